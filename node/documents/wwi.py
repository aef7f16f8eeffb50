"""Purchases of the Wide World Importers sample database, as documents in order of time.

Reads the folder of its purchasing tables (CSV, with or without gzip) and yields what a
contract takes in: orders, receipts, invoices and payments with the names of UBL 2.1.

What the tables do not say, and how it is filled in:

- The currency has no column; the caller names it.
- An invoice has no lines. It bills what was received of its order's lines, at the expected
  prices; amounts and tax are the table's own, and a table in which they do not add up is refused.
- A payment names no invoice. It settles the supplier's invoices whose FinalizationDate is its
  day; each becomes a payment of its own, as a document is about one order. A payment whose
  amount is not the sum of what it settles is refused: nothing is allocated by guess.
- An invoice is due PaymentDays of its supplier after its date.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ledger.errors import EncodingError

Json = str | int | Decimal | bool | None | list["Json"] | dict[str, "Json"]
Row = Mapping[str, str]
_T = TypeVar("_T")

UNIT: Final = "NAR"
"""UN/ECE recommendation 20: number of articles; here outers."""
BUYER: Final = "importer.example"
_INVOICE: Final = "5"
_PAYMENT: Final = "7"
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_HOURS: Final = {"order": "08", "receipt": "09", "invoice": "10", "payment": "11"}
"""The tables know days alone; of one day, documents come in this order."""
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One document, as a contract takes it in."""

    type: str
    role: str
    author: str
    time: str
    body: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """currency: of all amounts. lines: order -> its lines. paid_days: supplier -> days until its invoices are due."""

    currency: str
    orders: list[Row]
    lines: dict[str, list[Row]]
    transactions: list[Row]
    tax_rates: dict[str, Decimal]
    paid_days: dict[str, int]


def read_purchases(folder: Path, *, currency: str = "USD") -> list[Input]:
    """All documents of the tables in `folder`, by day; of one day orders first, then receipts, invoices, payments.

    Raises: EncodingError where a table is missing, a value is none, or amounts contradict each other.
    """
    tables = _read_tables(folder, currency)
    found = [*_orders(tables), *_receipts(tables), *_invoices(tables), *_payments(tables)]
    return sorted(found, key=lambda document: document.time)


def encode_lines(inputs: Iterable[Input]) -> Iterator[bytes]:
    """One line of JSON each, line feed included; numbers keep the text that they have in the tables."""
    for document in inputs:
        yield _encode(document) + b"\n"


# --- documents ---------------------------------------------------------------------


def _orders(tables: _Tables) -> Iterator[Input]:
    for row in tables.orders:
        order = _identifier(row, "PurchaseOrderID")
        body: dict[str, Json] = {
            "ID": order,
            "IssueDate": _day(row, "OrderDate"),
            "DocumentCurrencyCode": tables.currency,
            "SellerSupplierParty": {"CustomerAssignedAccountID": _identifier(row, "SupplierID")},
            "Delivery": [{"RequestedDeliveryPeriod": {"EndDate": _day(row, "ExpectedDeliveryDate")}}],
            "OrderLine": [{"LineItem": _line_item(tables, line)} for line in _of(tables.lines, row, "PurchaseOrderID")],
        }
        yield _input("order", BUYER, _day(row, "OrderDate"), body)


def _line_item(tables: _Tables, line: Row) -> dict[str, Json]:
    ordered = _number(line, "OrderedOuters")
    price = _number(line, "ExpectedUnitPricePerOuter")
    return {
        "ID": _identifier(line, "PurchaseOrderLineID"),
        "Quantity": _quantity(ordered),
        "LineExtensionAmount": _amount(tables, ordered * price),
        "Price": {"PriceAmount": {"value": price, "currencyID": tables.currency}},
        "Item": _item(line),
    }


def _receipts(tables: _Tables) -> Iterator[Input]:
    """One for each order and day on which lines of it were last received; what was not received has none."""
    for order, lines in tables.lines.items():
        days = defaultdict(list)
        for line in lines:
            if _number(line, "ReceivedOuters"):
                days[_day(line, "LastReceiptDate")].append(line)
        for day, received in sorted(days.items()):
            body: dict[str, Json] = {
                "ID": f"{order}-{day}",
                "IssueDate": day,
                "OrderReference": [{"ID": order}],
                "ReceiptLine": [_receipt_line(line) for line in received],
            }
            yield _input("receipt", BUYER, day, body)


def _receipt_line(line: Row) -> dict[str, Json]:
    name = _identifier(line, "PurchaseOrderLineID")
    received = _quantity(_number(line, "ReceivedOuters"))
    return {"ID": name, "ReceivedQuantity": received, "OrderLineReference": {"LineID": name}, "Item": _item(line)}


def _invoices(tables: _Tables) -> Iterator[Input]:
    for row in _transactions(tables, _INVOICE):
        order = _identifier(row, "PurchaseOrderID")
        lines: list[Json] = []
        net = Decimal(0)
        for line in _of(tables.lines, row, "PurchaseOrderID"):
            billed = _number(line, "ReceivedOuters")
            if billed:
                amount = billed * _number(line, "ExpectedUnitPricePerOuter")
                lines.append(_invoice_line(tables, line, billed, amount))
                net += amount
        if net != _number(row, "AmountExcludingTax"):
            raise _refused(row, "AmountExcludingTax", f"the lines received of order {order} come to {net}")
        day = _day(row, "TransactionDate")
        due = date.fromisoformat(day) + timedelta(_of(tables.paid_days, row, "SupplierID"))
        body: dict[str, Json] = {
            "ID": _identifier(row, "SupplierInvoiceNumber"),
            "IssueDate": day,
            "DueDate": due.isoformat(),
            "DocumentCurrencyCode": tables.currency,
            "OrderReference": {"ID": order},
            "TaxTotal": [{"TaxAmount": _amount(tables, _number(row, "TaxAmount"))}],
            "LegalMonetaryTotal": {
                "LineExtensionAmount": _amount(tables, net),
                "PayableAmount": _amount(tables, _number(row, "TransactionAmount")),
            },
            "InvoiceLine": lines,
        }
        yield _input("invoice", f"supplier-{_identifier(row, 'SupplierID')}.example", day, body)


def _invoice_line(tables: _Tables, line: Row, billed: Decimal, amount: Decimal) -> dict[str, Json]:
    name = _identifier(line, "PurchaseOrderLineID")
    rate = _of(tables.tax_rates, line, "StockItemID")
    return {
        "ID": name,
        "InvoicedQuantity": _quantity(billed),
        "LineExtensionAmount": _amount(tables, amount),
        "OrderLineReference": [{"LineID": name}],
        "Item": _item(line) | {"ClassifiedTaxCategory": [{"Percent": rate}]},
    }


def _payments(tables: _Tables) -> Iterator[Input]:
    settled = defaultdict(list)
    for row in _transactions(tables, _INVOICE):
        if row.get("FinalizationDate"):
            settled[_identifier(row, "SupplierID"), _day(row, "FinalizationDate")].append(row)
    for payment in _transactions(tables, _PAYMENT):
        rows = settled.pop((_identifier(payment, "SupplierID"), _day(payment, "TransactionDate")), [])
        paid = {_identifier(row, "SupplierTransactionID"): _settled(row) for row in rows}
        if sum(paid.values()) != -_number(payment, "TransactionAmount"):
            raise _refused(
                payment, "TransactionAmount", f"the invoices settled on its day come to {sum(paid.values())}"
            )
        for row in rows:
            name = _identifier(row, "SupplierTransactionID")
            body: dict[str, Json] = {
                "ID": f"{_identifier(payment, 'SupplierTransactionID')}-{name}",
                "PaidDate": _day(payment, "TransactionDate"),
                "OrderReference": {"ID": _identifier(row, "PurchaseOrderID")},
                "PaidAmount": _amount(tables, paid[name]),
                "BillingReference": [{"InvoiceDocumentReference": {"ID": _identifier(row, "SupplierInvoiceNumber")}}],
            }
            yield _input("payment", BUYER, _day(payment, "TransactionDate"), body)
    for (supplier, day), rows in settled.items():
        raise _refused(rows[0], "FinalizationDate", f"supplier {supplier} was paid nothing on {day}")


def _settled(row: Row) -> Decimal:
    return _number(row, "TransactionAmount") - _number(row, "OutstandingBalance")


def _input(kind: str, author: str, day: str, body: dict[str, Json]) -> Input:
    role = "seller" if kind == "invoice" else "buyer"
    return Input(type=kind, role=role, author=author, time=f"{day}T{_HOURS[kind]}:00:00.000Z", body=body)


def _item(line: Row) -> dict[str, Json]:
    return {
        "Name": line.get("Description") or "",
        "SellersItemIdentification": {"ID": _identifier(line, "StockItemID")},
    }


def _quantity(value: Decimal) -> Json:
    return {"value": value, "unitCode": UNIT}


def _amount(tables: _Tables, value: Decimal) -> Json:
    """Money as it is written, with two decimals; the tables drop trailing zeros."""
    return {"value": value.quantize(Decimal("0.01")), "currencyID": tables.currency}


# --- tables ------------------------------------------------------------------------


def _read_tables(folder: Path, currency: str) -> _Tables:
    lines: defaultdict[str, list[Row]] = defaultdict(list)
    for line in _table(folder, "Purchasing.PurchaseOrderLines"):
        lines[_identifier(line, "PurchaseOrderID")].append(line)
    items = _table(folder, "Warehouse.StockItems")
    suppliers = _table(folder, "Purchasing.Suppliers")
    return _Tables(
        currency=currency,
        orders=_table(folder, "Purchasing.PurchaseOrders"),
        lines=dict(lines),
        transactions=_table(folder, "Purchasing.SupplierTransactions"),
        tax_rates={_identifier(item, "StockItemID"): _number(item, "TaxRate") for item in items},
        paid_days={_identifier(row, "SupplierID"): int(_number(row, "PaymentDays")) for row in suppliers},
    )


def _table(folder: Path, name: str) -> list[Row]:
    """The rows of a table, packed or not."""
    for file in (folder / f"{name}.csv.gz", folder / f"{name}.csv"):
        if file.exists():
            text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            return list(csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True))
    raise EncodingError(field=name, reason="no such table in the folder")


def _transactions(tables: _Tables, kind: str) -> list[Row]:
    return [row for row in tables.transactions if _identifier(row, "TransactionTypeID") == kind]


def _of(rows: Mapping[str, _T], row: Row, column: str) -> _T:
    """What `rows` has for the identifier in `column`, which another table must have."""
    name = _identifier(row, column)
    if name not in rows:
        raise _refused(row, column, f"{name} is in no other table")
    return rows[name]


def _identifier(row: Row, column: str) -> str:
    """A whole number as text; columns with gaps were written as `7290.0`."""
    value = _number(row, column)
    if value != value.to_integral_value() or value < 0:
        raise _refused(row, column, "no whole number")
    return str(int(value))


def _number(row: Row, column: str) -> Decimal:
    """The number in `column`, whole ones without a fraction."""
    text = row.get(column) or ""
    if not _NUMBER.fullmatch(text):
        raise _refused(row, column, "no number")
    value = Decimal(text)
    return value.to_integral_value() if value == value.to_integral_value() else value


def _day(row: Row, column: str) -> str:
    try:
        return date.fromisoformat(row.get(column) or "").isoformat()
    except ValueError as cause:
        raise _refused(row, column, "no date") from cause


def _refused(row: Row, column: str, reason: str) -> EncodingError:
    return EncodingError(field=f"{column} of row {row.get('', '?')}", reason=reason)
