"""The purchasing tables of the Wide World Importers sample database, cell by cell; `wwi` makes documents of them."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

from ledger import limits
from ledger.errors import BadInput
from node.documents.faults import SPLIT_PURCHASES, above_limit

Row = Mapping[str, str]
_T = TypeVar("_T")

ORDERS: Final = "Purchasing.PurchaseOrders"
ENDINGS: Final = (".csv.gz", ".csv")
_PLACE_LETTERS: Final = 20  # of a row's own number, which messages name
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")


class PurchasesMalformed(BadInput):
    """field: the table, or the column and its row."""

    code = "purchases-malformed"
    template = "{field}: {reason}"
    hint = "Export the tables anew, all of the same moment; where they contradict themselves, ask who keeps them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """currency: of all amounts. lines: order -> its lines. paid_days: supplier -> days until its invoices are due."""

    currency: str
    orders: list[Row]
    lines: dict[str, list[Row]]
    transactions: list[Row]
    tax_rates: dict[str, Decimal]
    paid_days: dict[str, int]


def read_tables(folder: Path, currency: str) -> Tables:
    lines: defaultdict[str, list[Row]] = defaultdict(list)
    for line in _table(folder, "Purchasing.PurchaseOrderLines"):
        lines[identifier(line, "PurchaseOrderID")].append(line)
    items = _table(folder, "Warehouse.StockItems")
    suppliers = _table(folder, "Purchasing.Suppliers")
    return Tables(
        currency=currency,
        orders=_table(folder, ORDERS),
        lines=dict(lines),
        transactions=_table(folder, "Purchasing.SupplierTransactions"),
        tax_rates={identifier(item, "StockItemID"): number(item, "TaxRate") for item in items},
        paid_days={identifier(row, "SupplierID"): int(number(row, "PaymentDays")) for row in suppliers},
    )


def _table(folder: Path, name: str) -> list[Row]:
    """The rows of a table, packed or not."""
    for file in (folder / f"{name}{ending}" for ending in ENDINGS):
        if file.exists():
            try:
                text = _content(file, name).decode("utf-8-sig")
                if not text.strip():
                    raise PurchasesMalformed(field=name, reason="the table is empty, without a line of headings")
                return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
            except UnicodeDecodeError as cause:
                raise PurchasesMalformed(field=name, reason="not UTF-8") from cause
            except csv.Error as cause:
                raise PurchasesMalformed(field=name, reason=str(cause)) from cause
    raise PurchasesMalformed(field=name, reason="no such table in the folder")


def _content(file: Path, name: str) -> bytes:
    """What is in the file, unpacked, and no more of it than the limit. Raises: PurchasesMalformed, TooLarge."""
    limit = limits.PURCHASES_TABLE_BYTES_MAX
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            content = stream.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
        raise PurchasesMalformed(field=name, reason="cut off, or changed on its way") from cause
    if len(content) > limit:
        raise above_limit(SPLIT_PURCHASES, what=name, got=len(content), limit=limit, unit="bytes")
    return content


def transactions(tables: Tables, kind: str) -> list[Row]:
    return [row for row in tables.transactions if identifier(row, "TransactionTypeID") == kind]


def find(rows: Mapping[str, _T], row: Row, column: str) -> _T:
    """What `rows` has for the identifier in `column`, which another table must have."""
    name = identifier(row, column)
    if name not in rows:
        raise refused(row, column, f"{name} is in no other table")
    return rows[name]


def identifier(row: Row, column: str) -> str:
    """A whole number as text; columns with gaps were written as `7290.0`."""
    value = number(row, column)
    if value != value.to_integral_value() or value < 0:
        raise refused(row, column, "no whole number")
    return str(int(value))


def number(row: Row, column: str) -> Decimal:
    """The number in `column`, whole ones without a fraction."""
    text = row.get(column) or ""
    if not _NUMBER.fullmatch(text):
        raise refused(row, column, "no number")
    value = Decimal(text)
    return value.to_integral_value() if value == value.to_integral_value() else value


def day_of(row: Row, column: str) -> str:
    try:
        return date.fromisoformat(row.get(column) or "").isoformat()
    except ValueError as cause:
        raise refused(row, column, "no date") from cause


def refused(row: Row, column: str, reason: str) -> PurchasesMalformed:
    return PurchasesMalformed(field=f"{column} of row {row.get('', '?')[:_PLACE_LETTERS]}", reason=reason)
