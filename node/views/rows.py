"""What of a record can be searched: one row, and the identifiers that its readable fields name.

A pure function of the record as this member reads it, so that a view made anew is the same.
Whatever an author sealed there must do no harm: what is not of the due form is passed over,
and what is long or much is cut.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from ledger import limits
from ledger.errors import BadInput, JsonMalformed
from ledger.jsontext import members, parse
from ledger.names import id_time_ms
from ledger.record import Link
from node.reader import ReadRecord
from node.storage.tables import KEY_BITS
from node.storage.viewtables import RecordValues, make_place

EPCIS: Final = "epcis/"
DOCUMENT: Final = "document"
"""The relation of an event's link to the record of the document that it came in."""

_LISTS: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_QUANTITIES: Final = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
# The vocabulary's own terms stand bare in JSON, or as a URI in files that came from elsewhere.
_STANDARD_TERM: Final = re.compile(
    r"(?:urn:epcglobal:cbv:(?:bizstep|disp):|https?://(?:ref|ns)\.gs1\.org/cbv/(?:BizStep|Disp)-)([a-z_]+)\Z"
)
_REMEMBERED_BYTES: Final = 1024  # a hostile author's long ones would fill the memory
_DIGEST_MARK: Final = "...sha256:"
_HEAD_LENGTH: Final = (limits.VIEW_TEXT_BYTES_MAX - len(_DIGEST_MARK) - 64) // 4  # letters have at most four bytes


class Projected(NamedTuple):
    """One record, ready to be stored."""

    row: RecordValues
    identifiers: Sequence[str] = ()
    flags: Sequence[str] = ()
    problems: Sequence[str] = ()


def project(
    record: ReadRecord, *, key: int, time_ms: int, gap: str | None, is_own: bool, problems: Sequence[str] = ()
) -> Projected:
    """The row of `record`. time_ms: where it stands if it has no id of its own; gap: why its body is not here."""
    meta = record.meta
    said, is_cut = _NOTHING, False
    identifiers: tuple[str, ...] = ()
    event: tuple[str | None, ...] = _NO_EVENT
    if meta is not None:
        # In a section of another member's record these names would be its word, not this node's.
        notes = record.notes if is_own else {}
        said = _said(_Shape(meta.type, meta.contract, meta.role, notes.get("by"), notes.get("flags")))
        if is_event(meta.type):
            found = _event(record)
            identifiers, is_cut = _identifiers(found)
            event = tuple(read(t) if isinstance(t := found.get(name), str) else None for name, read in _TEXTS)
    event_id, event_time, biz_step, disposition, action = event
    row = RecordValues(
        make_place(time_ms if record.id is None else id_time_ms(record.id), key),
        key >> KEY_BITS,
        key,
        record.id,
        record.state,
        None if gap is None else clip(gap),
        *said.head,
        event_id,
        event_time,
        biz_step,
        disposition,
        action,
        said.flags_text,
        _document(record.links),
        said.by,
        is_cut,
        orjson.dumps(problems).decode() if problems else None,
    )
    return Projected(row, identifiers, said.flags, problems)


def is_event(type_name: str) -> bool:
    """Whether the body of a record of this type is looked into."""
    return type_name.startswith(EPCIS)


def clip(text: str) -> str:
    """`text`; where it is too long, its beginning and its hash. A search does the same, and so finds it."""
    if len(text) * 4 <= limits.VIEW_TEXT_BYTES_MAX:
        return text
    raw = text.encode()
    if len(raw) <= limits.VIEW_TEXT_BYTES_MAX:
        return text
    return text[:_HEAD_LENGTH] + _DIGEST_MARK + hashlib.sha256(raw).hexdigest()


def term(text: str) -> str:
    """A business step or disposition as the vocabulary writes it in JSON, whichever way it came."""
    found = _STANDARD_TERM.match(text)
    return clip(found[1] if found else text)


# --- inside --------------------------------------------------------------------------


class _Shape(NamedTuple):
    """What the records of one shape have in common."""

    type: str
    contract: bytes | None
    role: str | None
    by: bytes | None
    flags: bytes | None


class _Said(NamedTuple):
    """The same as a row has it. head: type, contract, role."""

    head: tuple[str | None, bytes | None, str | None]
    flags: tuple[str, ...]
    flags_text: str | None
    by: str | None


_NOTHING: Final = _Said((None, None, None), (), None, None)
_NO_EVENT: Final = (None,) * 5


def _said(shape: _Shape) -> _Said:
    length = len(shape.type) + len(shape.by or b"") + len(shape.flags or b"")
    return _remembered(shape) if length <= _REMEMBERED_BYTES else _say(shape)


def _say(shape: _Shape) -> _Said:
    flags = _flags(shape.flags)
    return _Said(
        (clip(shape.type), shape.contract, None if shape.role is None else clip(shape.role)),
        flags,
        orjson.dumps(flags).decode() if flags else None,
        _text(shape.by),
    )


_remembered: Final = lru_cache(maxsize=512)(_say)


def _event(record: ReadRecord) -> Mapping[str, Any]:
    """The members of an event that are looked at; most of a body is not even parsed."""
    try:
        texts = members(record.body)
    except JsonMalformed:
        return {}  # no object: another member may seal anything
    return {name: _parsed(texts[name]) for name in _WANTED if name in texts}


def _parsed(text: bytes | None) -> Any:
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # a number that no float can hold, say, beside what is looked for
    try:
        return parse(text)
    except BadInput:
        return None


def _text(text: bytes | None) -> str | None:
    found = _parsed(text)
    return clip(found) if isinstance(found, str) else None


def _identifiers(event: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Every EPC and EPC class that the event names, in order and once each; and whether there were too many."""
    found: dict[str, None] = {}
    for item in _named(event):
        if isinstance(item, str) and (identifier := clip(item)) not in found:
            if len(found) == limits.VIEW_IDENTIFIERS_MAX:
                return tuple(found), True
            found[identifier] = None
    return tuple(found), False


def _named(event: Mapping[str, Any]) -> Iterator[Any]:
    yield event.get("parentID")
    for name in _LISTS:
        items = event.get(name)
        yield from items if isinstance(items, list) else ()
    for name in _QUANTITIES:
        items = event.get(name)
        for item in items if isinstance(items, list) else ():
            yield item.get("epcClass") if isinstance(item, dict) else None


def _flags(text: bytes | None) -> tuple[str, ...]:
    found = _parsed(text)
    flags = [clip(flag) for flag in found if isinstance(flag, str)] if isinstance(found, list) else []
    return tuple(dict.fromkeys(flags))[: limits.VIEW_FLAGS_MAX]


def _document(links: Sequence[Link]) -> str | None:
    return next((clip(f"{link.origin}#{link.index}") for link in links if link.relation == DOCUMENT), None)


_TEXTS: Final = (
    ("eventID", clip),
    ("eventTime", clip),
    ("bizStep", term),
    ("disposition", term),
    ("action", clip),
)
"""Members of an event and how they are kept, in the order of their columns."""
_WANTED: Final = (*(name for name, _ in _TEXTS), "parentID", *_LISTS, *_QUANTITIES)
