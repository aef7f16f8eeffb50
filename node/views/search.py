"""Asking the record search: a page of rows, and how far the view has come.

The view lags behind the ledger by as long as its worker needs; `position` says by how much,
and `wait_until` is for who wants to find what it has just written.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, replace
from typing import Final

import orjson

from ledger import limits
from ledger.errors import BadInput, EncodingError
from ledger.names import Digest, MemberName, Origin, RecordId, decode_origin, id_time_ms
from node.storage.viewsearch import Filters, find_rows
from node.storage.viewstore import ViewsNotReady, ViewStore, read_positions
from node.storage.viewtables import Position, RecordValues, split_place
from node.views.rows import clip, term

__all__ = ["Filters", "Found", "LogPosition", "Page", "position", "search", "wait_until"]

_PLACE_BYTES: Final = 14
_POLL_S: Final = 0.02


class SearchWrong(BadInput):
    code = "search-wrong"
    template = "{name}: {reason}"
    hint = "docs/reference/api.md lists the filters of a search and what each takes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record that was found, as far as the view knows it; `node.reader` reads the rest.

    place: where it stands in the order of time. gap: why a body that is due is missing.
    state, and the members that only open records have: as in `node.reader`.
    document: `origin#index` of the record of the document that an event came in. by, flags: own records only.
    problems: codes of `node.problems`, others' records only.
    has_more_identifiers: it names more than are searched.
    """

    log: Origin
    index: int
    place: bytes
    id: RecordId | None
    time_ms: int | None
    state: str
    gap: str | None
    type: str | None
    contract: Digest | None
    role: str | None
    event_id: str | None
    event_time: str | None
    biz_step: str | None
    disposition: str | None
    action: str | None
    flags: tuple[str, ...]
    problems: tuple[str, ...]
    document: str | None
    by: str | None
    has_more_identifiers: bool

    @property
    def author(self) -> MemberName:
        return self.log.member


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """next: the cursor of the page after this one; None at the end."""

    rows: tuple[Found, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """Entries [0, entries) of the log can be found; below `bodies`, also bodies that came late."""

    log: Origin
    entries: int
    bodies: int


def search(
    views: ViewStore, filters: Filters, *, cursor: str | None = None, limit: int = 100, newest_first: bool = True
) -> Page:
    """Records that pass every filter, by the author's time. A cursor holds for the same filters and order.

    Rows that come while pages are read may stand before the cursor; none is given twice, and none that stood
    there is left out. Raises: SearchWrong, EncodingError for a cursor, SearchTooSlow, ViewsNotReady, ViewsDamaged.
    """
    if not 1 <= limit <= limits.VIEW_PAGE_MAX:
        raise SearchWrong(name="limit", reason=f"{limit} is not within 1 to {limits.VIEW_PAGE_MAX}")
    after = None if cursor is None else _decode_cursor(cursor)
    with views.read() as tx:
        origins = {number: decode_origin(known.origin) for number, known in read_positions(tx).items()}
        rows = find_rows(tx, _stored_form(filters), after=after, count=limit + 1, newest_first=newest_first)
    has_more = len(rows) > limit
    del rows[limit:]
    return Page(
        rows=tuple(_found(row, origins[row.log]) for row in rows),
        next=_encode_cursor(rows[-1].place) if has_more else None,
    )


def cursor_after(found: Found) -> str:
    """The cursor of what comes behind `found` in its page."""
    return _encode_cursor(found.place)


def position(views: ViewStore) -> list[LogPosition]:
    """How far the view has come in each log. Raises: ViewsNotReady, ViewsDamaged."""
    with views.read() as tx:
        return [_position(known) for known in read_positions(tx).values()]


def wait_until(views: ViewStore, log: Origin, index: int, *, timeout_s: float) -> bool:
    """Whether entry `index` of `log` can be found, at the latest when the time is over. Blocks its thread."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            if any(known.log == log and known.entries > index for known in position(views)):
                return True
        except ViewsNotReady:
            pass  # the worker is only starting
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_S)


# --- inside --------------------------------------------------------------------------


def _stored_form(filters: Filters) -> Filters:
    """The filters with their texts as the view writes them."""
    texts: dict[str, str] = {}
    for name in ("log", "author", "state", "type", "event_id", "epc", "biz_step", "flag", "problem"):
        value = getattr(filters, name)
        if value is None:
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SearchWrong(name=name, reason="not a text that UTF-8 can write") from None
        texts[name] = term(value) if name == "biz_step" else clip(value)
    return replace(filters, **texts)  # type: ignore[arg-type]  # all of them are texts


def _found(row: RecordValues, log: Origin) -> Found:
    _, _, index = split_place(row.place)
    return Found(
        log=log,
        index=index,
        place=row.place,
        id=None if row.id is None else RecordId(row.id),
        time_ms=None if row.id is None else id_time_ms(RecordId(row.id)),
        contract=None if row.contract is None else Digest(row.contract),
        flags=() if row.flags is None else tuple(orjson.loads(row.flags)),
        problems=() if row.problems is None else tuple(orjson.loads(row.problems)),
        has_more_identifiers=row.is_cut,
        **{name: getattr(row, name) for name in _AS_STORED},
    )


_AS_STORED: Final = (
    "state", "gap", "type", "role", "event_id", "event_time", "biz_step", "disposition", "action", "document", "by",
)  # fmt: skip


def _position(known: Position) -> LogPosition:
    return LogPosition(log=decode_origin(known.origin), entries=known.entries, bodies=known.bodies)


def _encode_cursor(place: bytes) -> str:
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def _decode_cursor(text: str) -> bytes:
    try:
        place = base64.b64decode(text.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        place = b""
    if len(place) != _PLACE_BYTES or _encode_cursor(place) != text:
        raise EncodingError(field="cursor", reason="not one that a page gave")
    return place
