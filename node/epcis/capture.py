"""An EPCIS file taken apart into records, and put together again.

One event is one record, and the document around the events is one more, before
them. Nothing is lost or respelled: every member's value keeps its text, whatever
it says and whether the standard knows it or not. Only the white space between
the members of an event and of a document is not kept.

An event's meaning hangs on the `@context` of its document, so each record carries
it: as its own if the event has none; else the two as one flat list, the
document's first, as JSON-LD reads contexts. (So a record may repeat a context, which
an event handed in may not: leaving either out could change what the names between
them mean.) `rebuild` tells the two apart again.
The one thing that it cannot tell is whether an event's own context, beside a
document's, was a single value or the list of that one value: it gives the list,
which means the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from ledger import limits
from ledger.errors import JsonMalformed, TooDeep, TooLarge
from ledger.jsontext import check_strict, encode_string, members, parse
from ledger.letters import BOM
from node.epcis.checks import EVENT_LIST, Fault, check_event, check_frame, pointer, terms

DOCUMENT_TYPE: Final = "epcis/document"
UNTYPED: Final = "epcis/event"
"""The record type of an event that is of none of the standard's types; its own type, a URI, stays in its body."""
ERROR_DECLARATION: Final = "error-declaration"
INVALID: Final = "invalid"

_CONTEXT: Final = "@context"
_HOPELESS: Final = ("too-large", "too-deep")
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedRecord:
    """What one record is to hold.

    source_path: JSON Pointer into the file, "" for the document and for a bare event.
    flags: ERROR_DECLARATION, INVALID.
    faults: why it is INVALID, with paths into the file.
    """

    type: str
    body: bytes
    source_path: str
    event_id: str | None = None
    flags: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One event that is not taken, and why; paths into the file."""

    source_path: str
    event_id: str | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a file came to.

    document_faults: what is wrong around the events; unless invalid ones are accepted, nothing is taken then.
    records: those that may be recorded, in the file's order.
    refused: events that may not, up to the one with which limits.CAPTURE_REFUSED_MAX faults are told.
    untold_faults: of the events that may not either, and are not in `refused`.
    event_count: events in the file, taken or not.
    """

    document_faults: tuple[Fault, ...]
    records: tuple[CapturedRecord, ...]
    refused: tuple[Refusal, ...]
    event_count: int
    untold_faults: int = 0


def capture(file: bytes, *, accept_invalid: bool = False) -> Capture:
    """Split an EPCIS document, query document or bare event into records.

    A byte order mark is dropped. With `accept_invalid`, what breaks the standard is taken too, flagged
    INVALID; save for what no record can hold: too long, too deep, or no object.
    Raises: TooLarge, TooDeep, JsonMalformed, DuplicateKey (naming the key) if the file is no strict JSON.
    """
    text = file.removeprefix(BOM)
    _check_text(text)
    value = parse(text, bytes_max=limits.EPCIS_FILE_BYTES_MAX, depth_max=limits.EPCIS_FILE_DEPTH)
    if not isinstance(value, dict):
        return Capture(document_faults=tuple(check_frame(value)), records=(), refused=(), event_count=0)
    events = _find_events(value)
    if events is None:
        return _capture_whole(text, value, accept_invalid)
    if len(events) > limits.EPCIS_EVENTS_MAX:
        raise TooLarge(what="the EPCIS file", got=len(events), limit=limits.EPCIS_EVENTS_MAX, unit="events")
    return _capture_document(text, value, events, accept_invalid)


def rebuild(records: Iterable[tuple[str, bytes]]) -> bytes:
    """The file again from (type, body) of its records, in order: equal as JSON, and in the text of every number.

    Of a valid file that was taken whole; see the module's docstring for the one exception.
    Raises: JsonMalformed if these are not the records of one file.
    """
    (kind, head), *rest = records
    if kind != DOCUMENT_TYPE:
        if rest:
            raise JsonMalformed(offset=0, reason="records of several files, or the document's own is not the first")
        return head
    steps = _steps(parse(members(head).get("type", b"null")))
    if not steps:
        raise JsonMalformed(offset=0, reason="the document's record names no type of document")
    context = members(head).get(_CONTEXT)
    events = [_without_context(body, context) for _, body in rest]
    return _with_events(head, steps, _list(events))


# --- taking apart -----------------------------------------------------------------------------


def _check_text(text: bytes) -> None:
    """Call nothing and XML what they are; refuse very many small values: made, they take thirty times their length."""
    if not text or text.isspace():
        raise JsonMalformed(offset=0, reason="the file is empty")
    if text[:100].lstrip().startswith(b"<"):
        raise JsonMalformed(offset=0, reason="EPCIS XML is not read; convert it to EPCIS 2.0 JSON")
    count = sum(text.count(letter) for letter in (b",", b"[", b"{"))
    if count > limits.EPCIS_VALUES_MAX:
        raise TooLarge(what="the EPCIS file", got=count, limit=limits.EPCIS_VALUES_MAX, unit="values")


def _capture_whole(text: bytes, value: dict[str, Any], accept_invalid: bool) -> Capture:
    """One record, if any: of a bare event, or of what should be a document and has no list of events."""
    record = _record(value, _object(members(text)), source_path="", faults=check_frame(value))
    is_document = bool(_steps(value.get("type")))
    is_event = isinstance(value.get("type"), str) and not is_document
    if is_document:
        record = replace(record, type=DOCUMENT_TYPE)
    is_taken = _is_taken(record, accept_invalid)
    return Capture(
        document_faults=() if is_event else record.faults,
        records=(record,) if is_taken else (),
        refused=(_refusal(record),) if is_event and not is_taken else (),
        event_count=int(is_event),
    )


def _capture_document(text: bytes, value: dict[str, Any], events: list[Any], accept_invalid: bool) -> Capture:
    steps = _steps(value["type"])
    head = _record(value, _without_events(text, steps), source_path="", faults=check_frame(value))
    head = replace(head, type=DOCUMENT_TYPE, event_id=None)
    context, place = members(text).get(_CONTEXT), pointer(*steps)
    taken: list[CapturedRecord] = []
    refused: list[Refusal] = []
    told = untold = 0
    for i, (raw, event) in enumerate(zip(_event_texts(text, steps), events, strict=True)):
        record = _event_record(raw, event, context, f"{place}/{i}")
        if _is_taken(record, accept_invalid):
            taken.append(record)
        elif told < limits.CAPTURE_REFUSED_MAX:
            refused.append(_refusal(record))
            told += len(record.faults)
        else:
            untold += len(record.faults)
    return Capture(
        document_faults=head.faults,
        records=(head, *taken) if _is_taken(head, accept_invalid) else (),
        refused=tuple(refused),
        event_count=len(events),
        untold_faults=untold,
    )


def _event_record(text: bytes, event: object, context: bytes | None, source_path: str) -> CapturedRecord:
    """The record of one event of a document whose context is `context`."""
    faults = check_event(event)
    if not isinstance(event, dict):
        return _record({}, b"", source_path=source_path, faults=faults)
    own = members(text)
    if context is not None:
        both = _joined(context, own.pop(_CONTEXT)) if _CONTEXT in own else context
        own = {_CONTEXT: both, **own}
    return _record(event, _object(own), source_path=source_path, faults=faults)


def _record(value: dict[str, Any], body: bytes, *, source_path: str, faults: Sequence[Fault]) -> CapturedRecord:
    kind, event_id = value.get("type"), value.get("eventID")
    told = [*faults, *_excess(body)] if body else faults
    flags = [ERROR_DECLARATION] if "errorDeclaration" in value else []
    if told:
        flags.append(INVALID)
    return CapturedRecord(
        type=f"epcis/{kind}" if kind in terms.EVENT_TYPES else UNTYPED,
        body=body,
        source_path=source_path,
        event_id=event_id if isinstance(event_id, str) else None,
        flags=tuple(flags),
        faults=tuple(replace(fault, path=source_path + fault.path) for fault in told),
    )


def _excess(body: bytes) -> Sequence[Fault]:
    """What keeps a body out of any record: the ledger's own bounds, asked of the ledger."""
    try:
        check_strict(body)
    except (TooLarge, TooDeep) as error:
        return (Fault(path="", code=error.code.removeprefix("json-"), message=str(error)),)
    return ()


def _is_taken(record: CapturedRecord, accept_invalid: bool) -> bool:
    if not record.faults:
        return True
    return accept_invalid and bool(record.body) and not any(fault.code in _HOPELESS for fault in record.faults)


def _refusal(record: CapturedRecord) -> Refusal:
    return Refusal(source_path=record.source_path, event_id=record.event_id, faults=record.faults)


# --- texts ------------------------------------------------------------------------------------


def _find_events(value: dict[str, Any]) -> list[Any] | None:
    """The list of events of a document, or None where there is none."""
    steps = _steps(value.get("type"))
    found: Any = value if steps else None
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, list) else None


def _steps(kind: object) -> tuple[str, ...]:
    """The members that lead to the events of a document of type `kind`; none if that is no document."""
    return EVENT_LIST.get(kind, ()) if isinstance(kind, str) else ()


def _event_texts(text: bytes, steps: Sequence[str]) -> list[bytes]:
    for step in steps:
        text = members(text)[step]
    return [bytes(raw) for raw in _items(text)]


def _without_events(text: bytes, steps: Sequence[str]) -> bytes:
    found = members(text)
    if len(steps) == 1:
        del found[steps[0]]
    else:
        found[steps[0]] = _without_events(found[steps[0]], steps[1:])
    return _object(found)


def _with_events(text: bytes, steps: Sequence[str], events: bytes) -> bytes:
    found = members(text)
    if len(steps) == 1:
        found.setdefault(steps[0], events)  # what stands there already is no list, and was left where it was
    elif steps[0] not in found:
        raise JsonMalformed(offset=0, reason="the document's record has no place for events")
    else:
        found[steps[0]] = _with_events(found[steps[0]], steps[1:], events)
    return _object(found)


def _joined(context: bytes, own: bytes) -> bytes:
    return _list([*_elements(context), *_elements(own)])


def _without_context(body: bytes, context: bytes | None) -> bytes:
    """The event as it stood in its document, whose context is `context`."""
    found = members(body)
    if context is None or _CONTEXT not in found:
        return body
    both = found.pop(_CONTEXT)
    inherited, joined = _elements(context), _elements(both)
    if both == context:
        return _object(found)
    if joined[: len(inherited)] != inherited:
        raise JsonMalformed(offset=0, reason="an event whose context is not that of the document before it")
    return _object({_CONTEXT: _list(joined[len(inherited) :]), **found})


def _elements(context: bytes) -> list[bytes]:
    return [bytes(raw) for raw in _items(context)] if context.startswith(b"[") else [context]


def _list(texts: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"


def _object(texts: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(encode_string(name) + b":" + text for name, text in texts.items()) + b"}"
