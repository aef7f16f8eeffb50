"""Records as this member sees them: one by its place or id, or a page of those that match.

What a reader is not given is said, not left out: sections that are withheld, bodies that
are not here, entries that are broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import Conflict, EncodingError, Missing
from ledger.jsontext import encode_canonical, encode_string
from ledger.names import decode_size, encode_id, id_time_ms
from ledger.record import Link
from node.node import Node
from node.reader import ReadRecord
from node.services.matching import Filters, matches
from node.storage import logs

PAGE_RECORDS: Final = 100
PAGE_RECORDS_MAX: Final = 1000
PAGE_BYTES_MAX: Final = 4 << 20
"""Bytes of bodies on one page, beyond which it ends early: a page is put together in memory."""
SCAN_RECORDS_MAX: Final = 5000
"""Entries that one page looks at: a filter that matches little answers with a cursor instead of taking minutes."""
_STEP: Final = 256


class IdAmbiguous(Conflict):
    code = "id-ambiguous"
    template = "the id {id} stands in several logs: {logs}"
    hint = "Ask for the record by its log and index; a member may have copied another's id."


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """records: in the order of log and index. next: cursor of the page after this one; None at the end."""

    records: Sequence[ReadRecord]
    next: str | None


def find_record(node: Node, log: str, index: int) -> ReadRecord:
    """One entry by its log (origin or member's name) and index. Raises: Missing."""
    with node.store.read() as tx:
        return node.joined.reader.read(tx, node.find_log(tx, log), index)


def find_record_by_id(node: Node, record_id: bytes) -> ReadRecord:
    """The record with this id, in whichever log. Raises: Missing, IdAmbiguous."""
    with node.store.read() as tx:
        found = [
            (log, index)
            for log in logs.list_logs(tx)
            if (index := logs.find_id(tx, log.number, record_id)) is not None
        ]
        if not found:
            raise Missing(what="record", name=encode_id(record_id))
        if len(found) > 1:
            raise IdAmbiguous(id=encode_id(record_id), logs=", ".join(str(log.origin) for log, _ in found))
        return node.joined.reader.read(tx, *found[0])


def list_records(node: Node, filters: Filters, *, cursor: str | None, limit: int) -> Page:
    """Records that match every filter, from `cursor` on. Raises: Missing for a log, EncodingError for a cursor."""
    reader = node.joined.reader
    with node.store.read() as tx:
        places = logs.list_logs(tx) if filters.log is None else [node.find_log(tx, filters.log)]
        number, index = _decode_cursor(cursor)
        found: list[ReadRecord] = []
        scanned = volume = 0
        for log in sorted(places, key=lambda place: place.number):
            if log.number < number:
                continue
            index = index if log.number == number else 0
            while index < log.size:
                for record in reader.scan(tx, log, index, min(index + _STEP, log.size)):
                    index += 1
                    scanned += 1
                    if matches(record, filters):
                        found.append(record)
                        volume += len(record.body)
                    if len(found) == limit or scanned >= SCAN_RECORDS_MAX or volume >= PAGE_BYTES_MAX:
                        return Page(records=found, next=f"{log.number}.{index}")
        return Page(records=found, next=None)


def encode_record(record: ReadRecord) -> bytes:
    """The JSON of a record, with the exact text of its body in it."""
    meta, notes = record.meta, record.notes
    is_author = b"by" in notes or "by" in notes
    members: list[tuple[str, bytes]] = [
        ("log", encode_string(str(record.origin))),
        ("index", b"%d" % record.index),
        ("id", _text(None if record.id is None else encode_id(record.id))),
        ("leaf", _text(record.leaf.hex())),
        ("time_ms", b"null" if record.id is None else b"%d" % id_time_ms(record.id)),
        ("state", _text(record.state)),
        ("author", _text(record.origin.member)),
        ("type", _text(meta.type if meta else None)),
        ("contract", _text(meta.contract.hex() if meta and meta.contract else None)),
        ("role", _text(meta.role if meta else None)),
        ("body", record.body if meta else b"null"),
        ("links", _canonical([_link(link) for link in record.links])),
        ("flags", notes.get("flags", b"[]") if is_author else b"null"),
        ("by", notes.get("by", b"null")),
        ("audience", _canonical([list(names) for names in meta.audience] if meta else [])),
        ("withheld", _canonical([_withheld(record, i) for i in range(len(record.withheld))])),
        ("problem", _text(record.problem or None)),
    ]
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), text) for name, text in members) + b"}"


def encode_page(page: Page) -> bytes:
    records = b",".join(encode_record(record) for record in page.records)
    return b'{"records":[' + records + b'],"next":' + _text(page.next) + b"}"


def _link(link: Link) -> dict[str, Any]:
    return {"relation": link.relation, "log": link.origin, "index": link.index, "leaf": link.leaf.hex()}


def _withheld(record: ReadRecord, i: int) -> dict[str, Any]:
    section = record.withheld[i]
    return {"section": section.section, "audience": list(section.audience), "size": section.size}


def _text(value: str | None) -> bytes:
    return b"null" if value is None else encode_string(value)


def _canonical(value: object) -> bytes:
    return encode_canonical(value)


def _decode_cursor(cursor: str | None) -> tuple[int, int]:
    """Log number and index. A cursor names a place, and gives no access: whoever holds it asks with a token."""
    if cursor is None:
        return 0, 0
    number, dot, index = cursor.partition(".")
    if not dot:
        raise EncodingError(field="cursor", reason="not one that a page gave")
    return decode_size(number, "cursor"), decode_size(index, "cursor")
