"""What of a record can be searched: one row, and the identifiers that its readable fields name.

A pure function of the record as this member reads it, so that a view made anew is the same.
Whatever an author sealed there must do no harm: what is not of the due form is passed over,
and what is long or much is cut.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ledger import limits
from ledger.errors import BadInput, JsonMalformed
from ledger.jsontext import members, parse
from ledger.names import id_time_ms
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
_DIGEST_MARK: Final = "...sha256:"
_HEAD_LENGTH: Final = (limits.VIEW_TEXT_BYTES_MAX - len(_DIGEST_MARK) - 64) // 4  # letters have at most four bytes


@dataclass(frozen=True, slots=True)
class Projected:
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
    said: dict[str, Any] = {}
    identifiers: dict[str, None] = {}
    flags: list[str] = []
    if meta is not None:
        said = {"type": clip(meta.type), "contract": meta.contract, "document": _document(record)}
        said["role"] = None if meta.role is None else clip(meta.role)
        if is_own:  # in a section of another member's record these names would be its word, not this node's
            flags = _flags(record.notes.get("flags"))
            said |= {"flags": orjson.dumps(flags).decode() if flags else None, "by": _text(record.notes.get("by"))}
        if is_event(meta.type):
            event = _event(record)
            identifiers, said["is_cut"] = _identifiers(event)
            said |= {column: read(text) for name, column, read in _TEXTS if isinstance(text := event.get(name), str)}
    row = RecordValues(
        place=make_place(time_ms if record.id is None else id_time_ms(record.id), key),
        log=key >> KEY_BITS,
        key=key,
        id=record.id,
        state=record.state,
        gap=None if gap is None else clip(gap),
        problems=orjson.dumps(problems).decode() if problems else None,
        **said,
    )
    return Projected(row, tuple(identifiers), flags, problems)


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


def _identifiers(event: Mapping[str, Any]) -> tuple[dict[str, None], bool]:
    """Every EPC and EPC class that the event names, in order and once each; and whether there were too many."""
    found: dict[str, None] = {}
    for item in _named(event):
        if isinstance(item, str) and (identifier := clip(item)) not in found:
            if len(found) == limits.VIEW_IDENTIFIERS_MAX:
                return found, True
            found[identifier] = None
    return found, False


def _named(event: Mapping[str, Any]) -> Iterator[Any]:
    yield event.get("parentID")
    for name in _LISTS:
        items = event.get(name)
        yield from items if isinstance(items, list) else ()
    for name in _QUANTITIES:
        items = event.get(name)
        for item in items if isinstance(items, list) else ():
            yield item.get("epcClass") if isinstance(item, dict) else None


def _flags(text: bytes | None) -> list[str]:
    found = _parsed(text)
    flags = [clip(flag) for flag in found if isinstance(flag, str)] if isinstance(found, list) else []
    return list(dict.fromkeys(flags))[: limits.VIEW_FLAGS_MAX]


def _document(record: ReadRecord) -> str | None:
    return next((clip(f"{link.origin}#{link.index}") for link in record.links if link.relation == DOCUMENT), None)


_TEXTS: Final = (
    ("eventID", "event_id", clip),
    ("eventTime", "event_time", clip),
    ("bizStep", "biz_step", term),
    ("disposition", "disposition", term),
    ("action", "action", clip),
)
_WANTED: Final = (*(name for name, _, _ in _TEXTS), "parentID", *_LISTS, *_QUANTITIES)
