"""Delivery histories in the form of the Supply Chain Management System: one CSV line per item of a shipment.

Every line becomes a consignment and its delivery, for the contract of the cold chain. The file tells days and not
times, who sold and who received, and nothing of what lies between: so there are no handovers, no readings and no
times, and the contract says "not monitored".

Amounts and weights may be a number, a word ("Freight Included in Commodity Cost") or point to the line that holds the
one number of a whole shipment ("See ASN-93 (ID#:1281)"): each is told as what it is, and none is shared out.

What is odd is kept and told of, as a `Doubt`: value-differs, recorded-early, duplicate-line, mojibake,
reference-unknown. What cannot be read is refused with its line. All arithmetic is decimal.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from ledger import limits
from ledger.errors import BadInput
from node.documents.faults import SPLIT_SHIPMENTS, above_limit
from node.documents.kinds import Encoding
from node.documents.lines import Doubt, InputLine

CURRENCY: Final = "USD"
COLUMNS: Final = (
    "ID", "Project Code", "PQ #", "PO / SO #", "ASN/DN #", "Country", "Fulfill Via", "Vendor INCO Term",
    "Shipment Mode", "PQ First Sent to Client Date", "PO Sent to Vendor Date", "Scheduled Delivery Date",
    "Delivered to Client Date", "Delivery Recorded Date", "Vendor", "Item Description", "Brand", "Dosage",
    "Unit of Measure (Per Pack)", "Line Item Quantity", "Line Item Value", "Pack Price", "Unit Price",
    "Manufacturing Site", "Weight (Kilograms)", "Freight Cost (USD)", "Line Item Insurance (USD)",
)  # fmt: skip

Row = Mapping[str, str]

_GZIP: Final = b"\x1f\x8b"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY: Final = re.compile(r"([0-9]{1,2})-([A-Z][a-z]{2})-((?:20)?[0-9]{2})\Z")
_SLASHED: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/((?:20)?[0-9]{2})\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,4})?\Z")
_REFERENCE: Final = re.compile(r"See ((?:ASN|DN)-[0-9]+) \(ID#:([0-9]+)\)\Z")
_WORD_LETTERS: Final = 80  # of a cell that is shown in a message
_CENTURY: Final = 2000  # years have two digits, and the system began in 2005
_WORDED: Final = ("PQ First Sent to Client Date", "PO Sent to Vendor Date", "Weight (Kilograms)", "Freight Cost (USD)")
_ABSENT: Final = frozenset({"", "N/A", "N/A - From RDC", "Pre-PQ Process"})


class ShipmentsMalformed(BadInput):
    """line: of the file, from 1; column: its name, or what is wrong with the line as a whole."""

    code = "shipments-malformed"
    template = "line {line}, {column}: {reason}"
    hint = "Mend the cell in the table, or leave the line out and tell who keeps it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipments:
    """inputs: a consignment and a delivery per line, in their order. words: (column, word) where a figure could be."""

    inputs: tuple[InputLine, ...]
    doubts: tuple[Doubt, ...]
    words: Counter[tuple[str, str]]


def read_shipments(
    file: bytes,
    *,
    shipper: str = "shipper.example",
    receiver: str = "receiver.example",
    encoding: Encoding = Encoding.UTF_8,
) -> Shipments:
    """Read a delivery history, CSV with or without byte order mark, as it is or in gzip.

    shipper, receiver: the members that file the consignments and the deliveries. encoding: of the text, as whoever
    has the file knows; it is not guessed.
    Raises: ShipmentsMalformed, TooLarge.
    """
    rows = list(_rows(_text(file, encoding)))
    inputs: list[InputLine] = []
    for line, row in rows:
        consignment, delivery = _consignment(line, row) | {"receiver": receiver}, _delivery(line, row)
        inputs.append({"role": "shipper", "author": shipper, "type": "consignment", "body": consignment})
        inputs.append({"role": "receiver", "author": receiver, "type": "delivery", "body": delivery})
    return Shipments(
        inputs=tuple(inputs),
        doubts=tuple(_doubts([row for _, row in rows])),
        words=Counter((column, row[column]) for _, row in rows for column in _WORDED if _is_word(row[column])),
    )


# --- the table ----------------------------------------------------------------------------------


def _text(file: bytes, encoding: Encoding) -> str:
    if file.startswith(_GZIP):
        try:
            with gzip.open(io.BytesIO(file)) as packed:
                file = packed.read(limits.SHIPMENTS_FILE_BYTES_MAX + 1)
        except (OSError, EOFError, zlib.error) as cause:
            raise _unreadable(1, "gzip", "cut off, or changed on its way", "Ask for the file again.") from cause
    if len(file) > limits.SHIPMENTS_FILE_BYTES_MAX:
        limit = limits.SHIPMENTS_FILE_BYTES_MAX
        raise above_limit(SPLIT_SHIPMENTS, what="the delivery history", got=len(file), limit=limit, unit="bytes")
    try:
        return file.decode(encoding)
    except UnicodeDecodeError as cause:
        line = file.count(b"\n", 0, cause.start) + 1
        raise _unreadable(line, "letters", f"not {encoding}", "Name it: --encoding cp1252 or latin-1.") from cause


def _rows(text: str) -> Iterator[tuple[int, Row]]:
    """Number of the line, and its cells by column: mended, and without the space around them."""
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(table, [])
        missing = [name for name in COLUMNS if header.count(name) != 1]
        if missing:
            raise _unreadable(1, missing[0], "no such column, or two of them", "Line 1 has each once, split by commas.")
        for cells in filter(None, table):  # empty lines are none
            if len(cells) != len(header):
                reason = f"{len(cells)} cells under {len(header)} columns"
                raise ShipmentsMalformed(line=table.line_num, column="cells", reason=reason)
            yield table.line_num, dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as cause:
        raise ShipmentsMalformed(line=table.line_num, column="cells", reason=str(cause)) from cause


# --- a line -------------------------------------------------------------------------------------


def _consignment(line: int, row: Row) -> dict[str, Any]:
    """Names of UBL, where it has one. What the table does not tell is not there."""
    quotation = {"ID": _known(row["PQ #"]), "IssueDate": _date_or_word(line, row, "PQ First Sent to Client Date")}
    order = {"ID": row["PO / SO #"], "IssueDate": _date_or_word(line, row, "PO Sent to Vendor Date")}
    item = {
        "Description": [_mended(row["Item Description"])],
        "PackQuantity": {"value": _number(line, row, "Unit of Measure (Per Pack)"), "unitCode": "C62"},
        "BrandName": [_mended(row["Brand"])],
        "Dosage": _known(row["Dosage"]),
        "ManufacturerParty": [_party(row["Manufacturing Site"])],
    }
    price = {"PriceAmount": _amount(line, row, "Pack Price"), "UnitPriceAmount": _amount(line, row, "Unit Price")}
    body = {
        "ID": row["ID"],
        "ContractDocumentReference": {"ID": row["Project Code"]},
        "QuotationDocumentReference": _filled(quotation) if quotation["ID"] else None,
        "OrderReference": _filled(order),
        "DespatchDocumentReference": {"ID": row["ASN/DN #"]},
        "SellerSupplierParty": {"Party": _party(row["Vendor"])},
        "FinalDestinationCountry": {"Name": _mended(row["Country"])},
        "DeliveryTerms": _known(row["Vendor INCO Term"]) and {"ID": row["Vendor INCO Term"]},
        "TransportMode": _known(row["Shipment Mode"]),
        "LatestDeliveryDate": _day(line, row, "Scheduled Delivery Date").isoformat(),
        "ConsignmentQuantity": {"value": _number(line, row, "Line Item Quantity"), "unitCode": "PK"},
        "DeclaredForCarriageValueAmount": _amount(line, row, "Line Item Value"),
        "Item": _filled(item),
        "Price": price,
    }
    if row["Line Item Insurance (USD)"]:
        body["InsurancePremiumAmount"] = _amount(line, row, "Line Item Insurance (USD)")
    body["GrossWeight"] = _figure(line, row, "Weight (Kilograms)", {"unitCode": "KGM"})
    body["Freight"] = _figure(line, row, "Freight Cost (USD)", {"currencyID": CURRENCY})
    return _filled(body)


def _delivery(line: int, row: Row) -> dict[str, Any]:
    return {
        "consignment": row["ID"],
        "ActualDeliveryDate": _day(line, row, "Delivered to Client Date").isoformat(),
        "RecordedDate": _day(line, row, "Delivery Recorded Date").isoformat(),
    }


def _figure(line: int, row: Row, column: str, unit: Mapping[str, str]) -> dict[str, Any]:
    """A number with its unit, the line and the document that hold it, or the word that stands there instead."""
    cell = row[column]
    found = _REFERENCE.match(cell)
    if found:
        return {"toldBy": {"consignment": found[2], "DespatchDocumentReference": {"ID": found[1]}}}
    if _NUMBER.match(cell):
        return {"value": Decimal(cell), **unit}
    if not _is_word(cell):
        raise _malformed(line, row, column, "no number, no reference and no word")
    return {"toldAs": _mended(cell)}


def _party(name: str) -> dict[str, Any]:
    return {"PartyName": [{"Name": _mended(name)}]}


def _amount(line: int, row: Row, column: str) -> dict[str, Any]:
    return {"value": _number(line, row, column), "currencyID": CURRENCY}


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


# --- cells --------------------------------------------------------------------------------------


def _number(line: int, row: Row, column: str) -> Decimal:
    if not _NUMBER.match(row[column]):
        raise _malformed(line, row, column, "no number")
    return Decimal(row[column])


def _day(line: int, row: Row, column: str) -> date:
    """A date like 2-Jun-06."""
    found = _DAY.match(row[column])
    try:
        if found is None:
            raise ValueError(row[column])
        return date(_CENTURY + int(found[3][-2:]), _MONTHS.index(found[2]) + 1, int(found[1]))
    except ValueError as cause:
        raise _malformed(line, row, column, "no day like 2-Jun-06") from cause


def _date_or_word(line: int, row: Row, column: str) -> str | None:
    """A date like 11/13/06, month first; None where a word says that there is none."""
    found = _SLASHED.match(row[column])
    if found is None and _is_word(row[column]):
        return None
    try:
        if found is None:
            raise ValueError(row[column])
        return date(_CENTURY + int(found[3][-2:]), int(found[1]), int(found[2])).isoformat()
    except ValueError as cause:
        raise _malformed(line, row, column, "neither a date like 11/13/06 nor a word") from cause


def _is_word(cell: str) -> bool:
    """Words and nothing that could be a date or a figure that is written in some other way."""
    return bool(cell) and not any(letter.isdigit() for letter in cell)


def _known(cell: str) -> str | None:
    return None if cell in _ABSENT else cell


def _mended(text: str) -> str:
    """Text that was UTF-8, was read as Windows-1252 and written anew ("GrÃ¸nland"), as it was before."""
    if text.isascii():
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def _unreadable(line: int, column: str, reason: str, hint: str) -> ShipmentsMalformed:
    error = ShipmentsMalformed(line=line, column=column, reason=reason)
    error.hint = hint
    return error


def _malformed(line: int, row: Row, column: str, reason: str) -> ShipmentsMalformed:
    return ShipmentsMalformed(line=line, column=column, reason=f"{row[column][:_WORD_LETTERS]!r} is {reason}")


# --- doubts -------------------------------------------------------------------------------------


def _doubts(rows: list[Row]) -> Iterator[Doubt]:
    documents = {row["ID"]: row["ASN/DN #"] for row in rows}
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        alike = tuple(cell for column, cell in row.items() if column != "ID")
        first = seen.setdefault(alike, row["ID"])
        if first != row["ID"]:
            yield Doubt(code="duplicate-line", place=row["ID"], message=f"equal to line {first} in all but its ID")
        yield from _doubts_of(row, documents)


def _doubts_of(row: Row, documents: Mapping[str, str]) -> Iterator[Doubt]:
    place, value = row["ID"], Decimal(row["Line Item Value"])
    computed = Decimal(row["Line Item Quantity"]) * Decimal(row["Pack Price"])
    if abs(computed - value) * 200 > value:
        message = f"{row['Line Item Quantity']} packs of {row['Pack Price']} are {computed}, not {value} {CURRENCY}"
        yield Doubt(code="value-differs", place=place, message=message)
    delivered, recorded = (_day(0, row, f"Deliver{name} Date") for name in ("ed to Client", "y Recorded"))
    if recorded < delivered:
        yield Doubt(code="recorded-early", place=place, message=f"delivered {delivered}, and recorded {recorded}")
    for column in ("Weight (Kilograms)", "Freight Cost (USD)"):
        found = _REFERENCE.match(row[column])
        if found and documents.get(found[2]) != found[1]:
            yield Doubt(code="reference-unknown", place=place, message=f"{column}: no line {found[2]} of {found[1]}")
    for column, cell in row.items():
        if _mended(cell) != cell:
            yield Doubt(code="mojibake", place=place, message=f"{column}: {cell!r} was mended")
