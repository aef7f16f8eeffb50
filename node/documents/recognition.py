"""What kind of documents a path holds, by its form alone; whether they are sound is for their reader to say.

Looked at is the beginning of a file, and what is in a folder by name. Extensions of names say nothing here.
"""

from __future__ import annotations

import csv
import re
import zlib
from pathlib import Path
from typing import Final

from ledger.errors import BadInput
from ledger.letters import BOM
from node.documents.kinds import Kind
from node.documents.scms import COLUMNS
from node.documents.wwitables import ENDINGS, ORDERS

HEAD_BYTES: Final = 1 << 20
"""As much of a file as is looked at: the type of an EPCIS document may stand behind its context and master data."""

KNOWN: Final = {
    Kind.UBL: "UBL documents in XML",
    Kind.PURCHASES: f"a folder with the table {ORDERS} and those that belong to it",
    Kind.SHIPMENTS: "a delivery history in CSV, packed with gzip or not",
    Kind.EVENTS: "EPCIS events in JSON",
}

_GZIP: Final = b"\x1f\x8b"
_UNPACK_GZIP: Final = 16 + zlib.MAX_WBITS
_XML_UTF_16: Final = (b"\xff\xfe<\0", b"\xfe\xff\0<")
_EPCIS: Final = re.compile(
    rb'"type"\s*:\s*"(EPCIS(Query)?Document|(Object|Aggregation|Transaction|Transformation|Association)Event)"'
)


class SourceUnknown(BadInput):
    """A path of no kind that is read here."""

    code = "source-unknown"
    template = "none of what is read here: {known}"
    hint = (
        "Where it is one of these, and does not look like it, name the kind with --kind; its reader says what is odd."
    )


def recognize(path: Path, head: bytes) -> Kind:
    """The kind of a folder, or of a file that begins with `head` (up to HEAD_BYTES). Raises: SourceUnknown."""
    found = _of_folder(path) if path.is_dir() else _of_file(head[:HEAD_BYTES])
    if found is None:
        raise _unknown(path, head)
    return found


def _unknown(path: Path, head: bytes) -> SourceUnknown:
    error = SourceUnknown(known="; ".join(f"{text} ({kind})" for kind, text in KNOWN.items()))
    if path.is_dir():
        error.hint = f"Only tables are read from a folder. Documents are named one by one: {path / '*.xml'}."
    elif not head.removeprefix(BOM).strip():
        error.hint = "There is nothing in the file: export it again, or ask for it again."
    return error


def _of_folder(path: Path) -> Kind | None:
    return Kind.PURCHASES if any((path / f"{ORDERS}{ending}").is_file() for ending in ENDINGS) else None


def _of_file(head: bytes) -> Kind | None:
    if head.startswith(_GZIP):
        return Kind.SHIPMENTS if _has_columns(_unpacked(head)) else None
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"<") or head.startswith(_XML_UTF_16):
        return Kind.UBL
    if text.startswith(b"{"):
        return Kind.EVENTS if _EPCIS.search(text) else None
    return Kind.SHIPMENTS if _has_columns(text) else None


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(_UNPACK_GZIP).decompress(head, HEAD_BYTES).removeprefix(BOM)
    except zlib.error:
        return b""


def _has_columns(text: bytes) -> bool:
    """Whether the first line names most columns of a delivery history; which one is missing, its reader says."""
    try:
        header = next(csv.reader([text.partition(b"\n")[0].decode("latin-1")]), [])
    except csv.Error:
        return False
    return 2 * len(set(header) & set(COLUMNS)) > len(COLUMNS)
