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

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any, Final

from node.documents.lines import InputLine
from node.documents.wwitables import (
    PurchasesMalformed,
    Row,
    Tables,
    day_of,
    find,
    identifier,
    number,
    read_tables,
    refused,
    transactions,
)

UNIT: Final = "NAR"
"""UN/ECE recommendation 20: number of articles; here outers."""
BUYER: Final = "importer.example"
CURRENCY: Final = "USD"
_INVOICE: Final = "5"
_PAYMENT: Final = "7"
_HOURS: Final = {"order": "08", "receipt": "09", "invoice": "10", "payment": "11"}
"""The tables know days alone; of one day, documents come in this order."""
_DIGITS: Final = 60  # of any product of two numbers of the tables, so that none is rounded


def read_purchases(folder: Path | str, *, currency: str = CURRENCY) -> list[InputLine]:
    """All documents of the tables in `folder`, by day; of one day orders first, then receipts, invoices, payments.

    Raises: PurchasesMalformed where a table is missing, a value is none, or amounts contradict each other; TooLarge.
    """
    tables = read_tables(Path(folder), currency)
    with localcontext(Context(prec=_DIGITS)):
        found = [*_orders(tables), *_receipts(tables), *_invoices(tables), *_payments(tables)]
    return sorted(found, key=lambda document: str(document["time"]))


# --- documents ---------------------------------------------------------------------


def _orders(tables: Tables) -> Iterator[InputLine]:
    for row in tables.orders:
        order = identifier(row, "PurchaseOrderID")
        body: dict[str, Any] = {
            "ID": order,
            "IssueDate": day_of(row, "OrderDate"),
            "DocumentCurrencyCode": tables.currency,
            "SellerSupplierParty": {"CustomerAssignedAccountID": identifier(row, "SupplierID")},
            "Delivery": [{"RequestedDeliveryPeriod": {"EndDate": day_of(row, "ExpectedDeliveryDate")}}],
            "OrderLine": [
                {"LineItem": _line_item(tables, line)} for line in find(tables.lines, row, "PurchaseOrderID")
            ],
        }
        yield _input("order", BUYER, day_of(row, "OrderDate"), body)


def _line_item(tables: Tables, line: Row) -> dict[str, Any]:
    ordered = number(line, "OrderedOuters")
    price = number(line, "ExpectedUnitPricePerOuter")
    return {
        "ID": identifier(line, "PurchaseOrderLineID"),
        "Quantity": _quantity(ordered),
        "LineExtensionAmount": _amount(tables, ordered * price),
        "Price": {"PriceAmount": {"value": price, "currencyID": tables.currency}},
        "Item": _item(line),
    }


def _receipts(tables: Tables) -> Iterator[InputLine]:
    """One for each order and day on which lines of it were last received; what was not received has none."""
    for order, lines in tables.lines.items():
        days = defaultdict(list)
        for line in lines:
            if number(line, "ReceivedOuters"):
                days[day_of(line, "LastReceiptDate")].append(line)
        for day, received in sorted(days.items()):
            body: dict[str, Any] = {
                "ID": f"{order}-{day}",
                "IssueDate": day,
                "OrderReference": [{"ID": order}],
                "ReceiptLine": [_receipt_line(line) for line in received],
            }
            yield _input("receipt", BUYER, day, body)


def _receipt_line(line: Row) -> dict[str, Any]:
    name = identifier(line, "PurchaseOrderLineID")
    received = _quantity(number(line, "ReceivedOuters"))
    return {"ID": name, "ReceivedQuantity": received, "OrderLineReference": {"LineID": name}, "Item": _item(line)}


def _invoices(tables: Tables) -> Iterator[InputLine]:
    for row in transactions(tables, _INVOICE):
        order = identifier(row, "PurchaseOrderID")
        lines: list[Any] = []
        net = Decimal(0)
        for line in find(tables.lines, row, "PurchaseOrderID"):
            billed = number(line, "ReceivedOuters")
            if billed:
                amount = billed * number(line, "ExpectedUnitPricePerOuter")
                lines.append(_invoice_line(tables, line, billed, amount))
                net += amount
        if net != number(row, "AmountExcludingTax"):
            raise refused(row, "AmountExcludingTax", f"the lines received of order {order} come to {net}")
        day = day_of(row, "TransactionDate")
        body: dict[str, Any] = {
            "ID": identifier(row, "SupplierInvoiceNumber"),
            "IssueDate": day,
            "DueDate": _due(tables, row, day),
            "DocumentCurrencyCode": tables.currency,
            "OrderReference": {"ID": order},
            "TaxTotal": [{"TaxAmount": _amount(tables, number(row, "TaxAmount"))}],
            "LegalMonetaryTotal": {
                "LineExtensionAmount": _amount(tables, net),
                "PayableAmount": _amount(tables, number(row, "TransactionAmount")),
            },
            "InvoiceLine": lines,
        }
        yield _input("invoice", f"supplier-{identifier(row, 'SupplierID')}.example", day, body)


def _due(tables: Tables, row: Row, day: str) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(find(tables.paid_days, row, "SupplierID"))).isoformat()
    except OverflowError as cause:
        raise refused(row, "SupplierID", "its PaymentDays end after all calendars") from cause


def _invoice_line(tables: Tables, line: Row, billed: Decimal, amount: Decimal) -> dict[str, Any]:
    name = identifier(line, "PurchaseOrderLineID")
    rate = find(tables.tax_rates, line, "StockItemID")
    return {
        "ID": name,
        "InvoicedQuantity": _quantity(billed),
        "LineExtensionAmount": _amount(tables, amount),
        "OrderLineReference": [{"LineID": name}],
        "Item": _item(line) | {"ClassifiedTaxCategory": [{"Percent": rate}]},
    }


def _payments(tables: Tables) -> Iterator[InputLine]:
    settled = defaultdict(list)
    for row in transactions(tables, _INVOICE):
        if row.get("FinalizationDate"):
            settled[identifier(row, "SupplierID"), day_of(row, "FinalizationDate")].append(row)
    for payment in transactions(tables, _PAYMENT):
        rows = settled.pop((identifier(payment, "SupplierID"), day_of(payment, "TransactionDate")), [])
        paid = {identifier(row, "SupplierTransactionID"): _settled(row) for row in rows}
        if sum(paid.values()) != -number(payment, "TransactionAmount"):
            raise refused(payment, "TransactionAmount", f"the invoices settled on its day come to {sum(paid.values())}")
        for row in rows:
            name = identifier(row, "SupplierTransactionID")
            body: dict[str, Any] = {
                "ID": f"{identifier(payment, 'SupplierTransactionID')}-{name}",
                "PaidDate": day_of(payment, "TransactionDate"),
                "OrderReference": {"ID": identifier(row, "PurchaseOrderID")},
                "PaidAmount": _amount(tables, paid[name]),
                "BillingReference": [{"InvoiceDocumentReference": {"ID": identifier(row, "SupplierInvoiceNumber")}}],
            }
            yield _input("payment", BUYER, day_of(payment, "TransactionDate"), body)
    for (supplier, day), rows in settled.items():
        raise refused(rows[0], "FinalizationDate", f"supplier {supplier} was paid nothing on {day}")


def _settled(row: Row) -> Decimal:
    return number(row, "TransactionAmount") - number(row, "OutstandingBalance")


def _input(kind: str, author: str, day: str, body: dict[str, Any]) -> InputLine:
    role = "seller" if kind == "invoice" else "buyer"
    return {"role": role, "author": author, "type": kind, "time": f"{day}T{_HOURS[kind]}:00:00.000Z", "body": body}


def _item(line: Row) -> dict[str, Any]:
    return {
        "Name": line.get("Description") or "",
        "SellersItemIdentification": {"ID": identifier(line, "StockItemID")},
    }


def _quantity(value: Decimal) -> dict[str, Any]:
    return {"value": value, "unitCode": UNIT}


def _amount(tables: Tables, value: Decimal) -> dict[str, Any]:
    """Money as it is written, with two decimals; the tables drop trailing zeros. Nothing is rounded."""
    cents = value.quantize(Decimal("0.01"))
    if cents != value:
        raise PurchasesMalformed(field="an amount", reason=f"{value} has more than two decimals")
    return {"value": cents, "currencyID": tables.currency}
