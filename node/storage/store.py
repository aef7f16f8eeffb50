"""The store: one database, one writer at a time, many readers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert
from sqlmodel import SQLModel

from ledger.errors import Unavailable
from node.crash import crash_point
from node.storage.engine import open_engine, open_engine_readonly
from node.storage.tables import table_of

Tx = Connection
"""A transaction on the store; every function of this folder takes one first."""


class DatabaseReplaced(Unavailable):
    code = "database-replaced"
    template = "another database, or an older state of it, is in the place of the one that this node opened"
    hint = "The node ends by itself. Start it again: it then sees what is there now, and what it had signed."


class Store:
    """Transactions on `ledger.db`. A write that raised is rolled back whole."""

    def __init__(self, engine: Engine, path: Path | None = None) -> None:
        self.engine = engine
        self._path = path
        self._identity = None if path is None else _identity(_look(path))
        self._bytes = 0  # that the file had at least: it never shrinks
        self._anew = engine if path is None else open_engine_readonly(path)
        self._writer = engine.execution_options(tally_write=True)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | None) -> Store:
        """Open and migrate the database at `path`; None keeps it in memory, for tests."""
        return cls(open_engine(path), path)

    @classmethod
    def open_readonly(cls, path: Path) -> Store:
        """Open a database, or a copy of one, that must not change."""
        return cls(open_engine_readonly(path))

    @contextmanager
    def write(self, crash_name: str) -> Iterator[Tx]:
        """One durable transaction. A crash before its commit leaves no trace; after it, all of it."""
        with self._lock, self._writer.connect() as connection:
            with connection.begin():
                yield connection
                self.check_identity()
                crash_point(f"{crash_name}.before-commit")
            crash_point(f"{crash_name}.after-commit")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One consistent snapshot."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read_anew(self) -> Iterator[Tx]:
        """As `read`, but past every cache: it shows what others did to the file itself. For append-only rows."""
        with self._anew.connect() as connection:
            yield connection

    def check_identity(self) -> None:
        """See that the file is the one that was opened: what is written to a file without a name is lost.

        Raises: DatabaseReplaced, also if another file was copied over it that is shorter.
        """
        if self._path is None:
            return
        least = self._bytes
        found = _look(self._path)
        if found is None or _identity(found) != self._identity or found.st_size < least:
            raise DatabaseReplaced()
        self._bytes = found.st_size

    def close(self) -> None:
        self.engine.dispose()
        self._anew.dispose()


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    return None if found is None else (found.st_dev, found.st_ino)


_INSERTS: dict[tuple[str, str], str] = {}


def insert_many(tx: Tx, model: type[SQLModel], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert plain tuples in column order: a fifth of the cost of going through objects."""
    if rows:
        tx.exec_driver_sql(_insert_sql(tx, model), list(rows))


def _insert_sql(tx: Tx, model: type[SQLModel]) -> str:
    table = table_of(model)
    key = (tx.dialect.name, table.name)
    if key not in _INSERTS:
        _INSERTS[key] = str(insert(table).compile(dialect=tx.dialect))
    return _INSERTS[key]
