"""`views.db`: what the record search finds, filled from the ledger and thrown away at will.

A view is never the truth: it is dropped and filled again when its layout changes, when its
file is damaged, and when the ledger turns out not to be the one that it was filled from.
Hence synchronous NORMAL: a power cut may undo the newest commits, rows and position together.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, insert, select
from sqlalchemy.pool import NullPool, QueuePool
from sqlmodel import SQLModel

from ledger import limits
from ledger.errors import Unavailable
from node.storage.store import insert_many
from node.storage.tables import row_key, table_of
from node.storage.viewtables import (
    ANY,
    LAYOUT,
    FlagRow,
    IdentifierRow,
    JudgedRow,
    Position,
    PositionRow,
    ProblemRow,
    RecordValues,
    ViewModel,
    ViewRecordRow,
)

VIEWS_NAME: Final = "views.db"

_PAGE_BYTES: Final = 8192
_CACHE_KIB: Final = 8192
_BUSY_MS: Final = 30_000
_WAL_ATTEMPTS: Final = 100
_WAL_PAUSE_S: Final = 0.02
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

ViewTx = Connection
"""A transaction on `views.db`."""


class ViewsNotReady(Unavailable):
    code = "views-not-ready"
    template = "the record search is being built up"
    hint = "Ask again in a moment. Records can be read by log and index all the while."


class ViewsDamaged(Unavailable):
    code = "views-damaged"
    template = "the file of the record search is damaged"
    hint = "The node makes it anew from the ledger by itself; ask again in a moment."


class ViewStore:
    """Transactions on `views.db`: `open` for its one kind of writer, `open_for_search` for everybody else."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._writer = engine.execution_options(tally_write=True)

    @classmethod
    def open(cls, path: Path) -> ViewStore:
        """Open `path` for filling it; made where there is none, made anew where it is damaged or of another layout."""
        store = cls(path, _open_engine(path, is_writer=True))
        try:
            store._prepare()
        except ViewsDamaged:
            store.close()
            discard(path)
            store = cls(path, _open_engine(path, is_writer=True))
            store._prepare()
        return store

    @classmethod
    def open_for_search(cls, path: Path) -> ViewStore:
        """For reading, whether or not there is a file yet. Holds no connection: no memory, no file that was removed."""
        return cls(path, _open_engine(path, is_writer=False))

    @contextmanager
    def write(self) -> Iterator[ViewTx]:
        with self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[ViewTx]:
        """One consistent snapshot. Raises: ViewsNotReady, ViewsDamaged."""
        if not self.path.exists():
            raise ViewsNotReady()
        with self._engine.connect() as connection, connection.begin():
            if _layout(connection) != LAYOUT:
                raise ViewsNotReady()
            yield connection

    def reset(self) -> None:
        """Drop all rows and positions, in one transaction: whoever fills the view begins at the start again."""
        with self.write() as tx:
            _make_tables(tx)

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.write() as tx:
            if _layout(tx) != LAYOUT:
                _make_tables(tx)


def discard(path: Path) -> None:
    """Remove the files of a view that is damaged."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


# --- filling -------------------------------------------------------------------------


def read_positions(tx: ViewTx) -> dict[int, Position]:
    """By log number."""
    return {row.log: Position(*row) for row in tx.execute(select(table_of(PositionRow)))}


def keep_position(tx: ViewTx, position: Position) -> None:
    _insert_or(tx, "REPLACE", PositionRow, [position])


def insert_rows(tx: ViewTx, rows: Sequence[RecordValues]) -> None:
    insert_many(tx, ViewRecordRow, rows)


def replace_rows(tx: ViewTx, rows: Sequence[RecordValues]) -> None:
    """Put rows in the place of what stands there; what is the same already costs no write."""
    table = table_of(ViewRecordRow)
    held: dict[bytes, tuple[Any, ...]] = {}
    for at in range(0, len(rows), 500):
        places = [row.place for row in rows[at : at + 500]]
        held.update((found.place, tuple(found)) for found in tx.execute(select(table).where(table.c.place.in_(places))))
    changed = [row for row in rows if held.get(row.place) != row]
    _insert_or(tx, "REPLACE", ViewRecordRow, changed)
    old = [(row.place, RecordValues(*held[row.place]).problems) for row in changed if row.place in held]
    # Unlike all else, a problem can go: what was missing has come.
    gone = [(value, place) for place, problems in old if problems for value in (ANY, *orjson.loads(problems))]
    if gone:
        tx.exec_driver_sql("DELETE FROM problem WHERE value = ? AND place = ?", gone)


def add_identifiers(tx: ViewTx, identifiers: Sequence[tuple[str, bytes]]) -> None:
    """(value, place). None is ever taken away: of a record that stands, only ever more can be read."""
    _insert_or(tx, "IGNORE", IdentifierRow, identifiers)


def add_flags(tx: ViewTx, flags: Sequence[tuple[str, bytes]]) -> None:
    """(value, place)."""
    _insert_or(tx, "IGNORE", FlagRow, flags)


def add_problems(tx: ViewTx, problems: Sequence[tuple[str, bytes]]) -> None:
    """(code, place); after `replace_rows`, which takes away what stood there."""
    marks = {mark for code, place in problems for mark in ((code, place), (ANY, place))}
    _insert_or(tx, "IGNORE", ProblemRow, sorted(marks))


def list_marked(tx: ViewTx, *, code: str, after: bytes) -> list[bytes]:
    """The next places, a chunk at most, of records with this problem."""
    query = "SELECT place FROM problem WHERE value = ? AND place > ? ORDER BY place LIMIT ?"
    return list(tx.exec_driver_sql(query, (code, after, limits.VIEW_CHUNK_RECORDS)).scalars())


def list_under(tx: ViewTx, *, contract: bytes, keys: tuple[int, int], after: bytes) -> list[bytes]:
    """The next places, a chunk at most, of records under this contract with a key in the range."""
    query = (
        'SELECT place FROM record WHERE contract = ? AND "key" >= ? AND "key" < ? AND place > ? ORDER BY place LIMIT ?'
    )
    return list(tx.exec_driver_sql(query, (contract, *keys, after, limits.VIEW_CHUNK_RECORDS)).scalars())


def read_judged(tx: ViewTx) -> int:
    """By how many statements the problems of all rows were found."""
    return int(tx.exec_driver_sql("SELECT statements FROM judged").scalar() or 0)


def keep_judged(tx: ViewTx, statements: int) -> None:
    _insert_or(tx, "REPLACE", JudgedRow, [(0, statements)])


def list_row_gaps(tx: ViewTx, log: int) -> Iterator[tuple[int, str]]:
    """(index, reason) of the rows whose body was due and not there, ascending."""
    query = 'SELECT "key", gap FROM record WHERE gap IS NOT NULL AND "key" >= ? AND "key" < ? ORDER BY "key"'
    base = row_key(log, 0)
    for key, gap in tx.exec_driver_sql(query, (base, row_key(log + 1, 0))):
        yield key - base, gap


# --- inside --------------------------------------------------------------------------


def _insert_or(tx: ViewTx, otherwise: str, model: type[SQLModel], rows: Iterable[tuple[Any, ...]]) -> None:
    batch = list(rows)
    if batch:
        statement = insert(table_of(model)).prefix_with(f"OR {otherwise}")
        tx.exec_driver_sql(str(statement.compile(dialect=tx.dialect)), batch)


def _layout(tx: ViewTx) -> int:
    return int(tx.exec_driver_sql("PRAGMA user_version").scalar() or 0)


def _make_tables(tx: ViewTx) -> None:
    held = tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for name in held.scalars().all():
        tx.exec_driver_sql(f'DROP TABLE "{name}"')
    ViewModel.metadata.create_all(tx)
    tx.exec_driver_sql(f"PRAGMA user_version = {LAYOUT}")


def _open_engine(path: Path, *, is_writer: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        mode = "rwc" if is_writer else "rw"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
        connection.isolation_level = None  # as in node.storage.engine: we begin and commit ourselves
        setting_up = ["synchronous=NORMAL", f"cache_size=-{_CACHE_KIB}", f"busy_timeout={_BUSY_MS}"]
        setting_up += [f"page_size={_PAGE_BYTES}"] if is_writer else ["query_only=ON"]
        try:
            for pragma in setting_up:
                connection.execute(f"PRAGMA {pragma}")
            if is_writer:
                _use_wal(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    if is_writer and not path.exists():
        # What can be searched lies here in clear: as private as the keys. SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 1} if is_writer else {"poolclass": NullPool}
    # What failed goes into the log of the process; what would have been found by does not.
    engine = create_engine("sqlite://", creator=connect, hide_parameters=True, **pool)
    event.listen(engine, "begin", _on_begin)
    event.listen(engine, "handle_error", _on_error)
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Two that make a file at the same moment: SQLite tells one that it is locked, without waiting as it is set to."""
    for attempt in range(_WAL_ATTEMPTS, -1, -1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as cause:
            if cause.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not attempt:
                raise
            time.sleep(_WAL_PAUSE_S)


def _on_begin(connection: Connection) -> None:
    mode = "IMMEDIATE" if connection.get_execution_options().get("tally_write") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")


def _on_error(context: ExceptionContext) -> None:
    cause = context.original_exception
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _DAMAGED:
        raise ViewsDamaged() from cause
    if code == sqlite3.SQLITE_CANTOPEN:
        raise ViewsNotReady() from cause
