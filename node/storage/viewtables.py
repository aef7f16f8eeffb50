"""The tables of `views.db`, and the order in which its rows stand.

Rows are clustered by `place` (the author's time, then log and index): an order that no later
change of a row moves, so that a cursor stays true. Every index ends in the place as well.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Index, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from node.storage.tables import KEY_BITS, table_of

LAYOUT: Final = 2
"""Raised whenever a table changes, or what is filled into it: older files are then dropped and filled again."""

ANY: Final = "any"
"""Finds every record that has a problem."""

_NO_ROWID: Final = {"sqlite_with_rowid": False}


class RecordValues(NamedTuple):
    """One row of the view, in the order of its columns. state: as `node.reader` has it.

    place: see `make_place`. gap: why a body that is due is not here. flags: JSON text of a list.
    document: `origin#index` of the record of the file that this event came in. by: JSON text, own records only.
    is_cut: the record names more identifiers than are searched. problems: JSON text of a list of codes.
    """

    place: bytes
    log: int
    key: int
    id: bytes | None
    state: str
    gap: str | None = None
    type: str | None = None
    contract: bytes | None = None
    role: str | None = None
    event_id: str | None = None
    event_time: str | None = None
    biz_step: str | None = None
    disposition: str | None = None
    action: str | None = None
    flags: str | None = None
    document: str | None = None
    by: str | None = None
    is_cut: bool = False
    problems: str | None = None


class Position(NamedTuple):
    """How far one log is projected. entries: rows there are. bodies: below it, late bodies were taken in.

    leaf, time_ms: of the last entry that is projected.
    """

    log: int
    origin: str
    entries: int
    bodies: int
    leaf: bytes
    time_ms: int


class ViewModel(SQLModel, registry=registry()):
    """The tables of `views.db`, apart from those of the ledger, whose migrations must not see them."""


class ViewRecordRow(ViewModel, table=True):
    """One log entry that this node knows, as far as it can be searched."""

    __tablename__ = "record"
    __table_args__ = (
        Index("record_log", "log"),
        Index("record_state", "state"),
        *(
            Index(f"record_{name}", name, sqlite_where=text(f"{name} IS NOT NULL"))
            for name in ("type", "contract", "event_id", "biz_step")
        ),
        Index("record_gap", "key", sqlite_where=text("gap IS NOT NULL")),
        _NO_ROWID,
    )
    place: bytes = Field(primary_key=True)
    log: int
    key: int
    id: bytes | None = None
    state: str
    gap: str | None = None
    type: str | None = None
    contract: bytes | None = None
    role: str | None = None
    event_id: str | None = None
    event_time: str | None = None
    biz_step: str | None = None
    disposition: str | None = None
    action: str | None = None
    flags: str | None = None
    document: str | None = None
    by: str | None = None
    is_cut: bool = False
    problems: str | None = None


class IdentifierRow(ViewModel, table=True):
    """An EPC or EPC class, and a record whose readable fields name it."""

    __tablename__ = "identifier"
    __table_args__ = _NO_ROWID
    value: str = Field(primary_key=True)
    place: bytes = Field(primary_key=True)


class FlagRow(ViewModel, table=True):
    """A flag, and a record that carries it."""

    __tablename__ = "flag"
    __table_args__ = _NO_ROWID
    value: str = Field(primary_key=True)
    place: bytes = Field(primary_key=True)


class ProblemRow(ViewModel, table=True):
    """The code of a problem, and a record that has it; every such record also under `ANY`."""

    __tablename__ = "problem"
    __table_args__ = _NO_ROWID
    value: str = Field(primary_key=True)
    place: bytes = Field(primary_key=True)


class JudgedRow(ViewModel, table=True):
    """By how many statements of contracts the problems were found."""

    __tablename__ = "judged"
    id: int = Field(primary_key=True)
    statements: int


class PositionRow(ViewModel, table=True):
    """How far one log is projected; written in the transaction of its rows."""

    __tablename__ = "position"
    log: int = Field(primary_key=True)
    origin: str
    entries: int
    bodies: int
    leaf: bytes
    time_ms: int


assert RecordValues._fields == tuple(table_of(ViewRecordRow).columns.keys()), "rows are written in column order"
assert Position._fields == tuple(table_of(PositionRow).columns.keys()), "rows are written in column order"


def make_place(time_ms: int, key: int) -> bytes:
    """Where a row stands: 48 bits of the author's time, then log number and index (`row_key`)."""
    return time_ms.to_bytes(6, "big") + key.to_bytes(8, "big")


def split_place(place: bytes) -> tuple[int, int, int]:
    """(time_ms, log number, index)."""
    key = int.from_bytes(place[6:], "big")
    return int.from_bytes(place[:6], "big"), key >> KEY_BITS, key & ((1 << KEY_BITS) - 1)
