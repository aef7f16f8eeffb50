"""Searching `views.db`: one index leads, in the order of the page; the other filters look at what it finds."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, literal_column, select
from sqlalchemy.exc import OperationalError

from ledger import limits
from ledger.errors import BadInput
from ledger.names import Digest, decode_origin
from node.storage.tables import table_of
from node.storage.viewstore import ViewTx, read_positions
from node.storage.viewtables import FlagRow, IdentifierRow, ProblemRow, RecordValues, ViewRecordRow

_TIME_END: Final = 1 << 48  # a UUIDv7 has 48 bits of time
_STEPS: Final = 10_000  # of SQLite's machine between two looks at the clock
# The filter that narrows most leads. What is known of the data beats what SQLite could guess without statistics.
_LEADING: Final = ("event_id", "contract", "biz_step", "type", "log", "state")


class SearchTooSlow(BadInput):
    code = "search-too-slow"
    template = "the search did not come to an end within {limit} seconds"
    hint = "Add a filter, or narrow the time; `epc`, `event_id` and `contract` narrow most."


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a record must have; None asks for nothing. Times: Unix milliseconds of the author's clock, [from, to).

    log: its origin, or its member's name. epc: any EPC or EPC class that the readable part of an event names.
    flag, by which only own records can be found: others' flags are not ours to read. problem: a code of
    `node.problems`, by which only others' records can be found, or "any".
    """

    log: str | None = None
    author: str | None = None
    state: str | None = None
    type: str | None = None
    contract: Digest | None = None
    event_id: str | None = None
    epc: str | None = None
    biz_step: str | None = None
    flag: str | None = None
    problem: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None


def find_rows(
    tx: ViewTx, filters: Filters, *, after: bytes | None, count: int, newest_first: bool
) -> list[RecordValues]:
    """At most `count` rows that pass all filters, from beyond the place `after`. Raises: SearchTooSlow."""
    numbers = _log_numbers(tx, filters)
    if numbers is not None and not numbers:
        return []
    query = _query(filters, numbers, after=after, newest_first=newest_first).limit(count)
    with _limited(tx, limits.VIEW_SEARCH_S):
        return [RecordValues(*row) for row in tx.execute(query)]


def _log_numbers(tx: ViewTx, filters: Filters) -> list[int] | None:
    """The logs that the filters on log and author leave; None for all."""
    if filters.log is None and filters.author is None:
        return None
    found = []
    for position in read_positions(tx).values():
        member = decode_origin(position.origin).member
        if filters.log in (None, position.origin, member) and filters.author in (None, member):
            found.append(position.log)
    return found


def _query(filters: Filters, numbers: list[int] | None, *, after: bytes | None, newest_first: bool) -> Select[Any]:
    record = table_of(ViewRecordRow)
    query, place = _marked(filters)
    equal: dict[str, Any] = {name: getattr(filters, name) for name in _LEADING if name != "log"}
    wanted = [name for name in _LEADING if equal.get(name) is not None or (name == "log" and numbers is not None)]
    leader = wanted[0] if wanted and place is record.c.place else None
    for name in wanted:
        column = _column(name, is_leader=name == leader)
        if name != "log":
            query = query.where(column == equal[name])
        elif numbers is not None:
            # Not IN for a single log, as its index then gives the rows in the order of the page.
            query = query.where(column == numbers[0] if len(numbers) == 1 else column.in_(numbers))
    return _ordered(query, place, _bounds(filters), after=after, newest_first=newest_first)


def _marked(filters: Filters) -> tuple[Select[Any], ColumnElement[bytes]]:
    """The records with that problem, identifier and flag, and the column of places that leads to them."""
    record = table_of(ViewRecordRow)
    given = ((ProblemRow, filters.problem), (IdentifierRow, filters.epc), (FlagRow, filters.flag))
    marks = [(table_of(model), value) for model, value in given if value is not None]
    if not marks:
        return select(record), record.c.place
    (leading, value), *others = marks
    query = select(record).select_from(leading).join(record, record.c.place == leading.c.place)
    query = query.where(leading.c.value == value)
    for table, value in others:
        found = select(table.c.place).where(table.c.value == value, table.c.place == record.c.place)
        query = query.where(found.exists())
    return query, leading.c.place


def _column(name: str, *, is_leader: bool) -> ColumnElement[Any]:
    """A unary plus keeps SQLite from using the index of a column."""
    column: ColumnElement[Any] = table_of(ViewRecordRow).c[name]
    return column if is_leader else literal_column(f"+record.{name}", column.type)


def _bounds(filters: Filters) -> tuple[bytes, bytes | None]:
    """The first place within the time, and the first beyond it."""
    start = min(max(filters.from_ms or 0, 0), _TIME_END)
    end = _TIME_END if filters.to_ms is None else min(max(filters.to_ms, 0), _TIME_END)
    if start == _TIME_END:
        return b"\xff" * 15, None  # beyond every place
    return start.to_bytes(6, "big"), None if end == _TIME_END else end.to_bytes(6, "big")


def _ordered(
    query: Select[Any],
    place: ColumnElement[bytes],
    bounds: tuple[bytes, bytes | None],
    *,
    after: bytes | None,
    newest_first: bool,
) -> Select[Any]:
    start, end = bounds
    query = query.where(place >= start)
    if end is not None:
        query = query.where(place < end)
    if after is not None:
        query = query.where(place < after if newest_first else place > after)
    return query.order_by(place.desc() if newest_first else place.asc())


@contextmanager
def _limited(tx: ViewTx, seconds: float) -> Iterator[None]:
    """Stop a query that reads on and on: SQLite asks every few thousand steps whether it may."""
    connection: Any = tx.connection.driver_connection
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        yield
    except OperationalError as cause:
        if getattr(cause.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            raise
        raise SearchTooSlow(limit=seconds) from cause
    finally:
        connection.set_progress_handler(None, 0)
