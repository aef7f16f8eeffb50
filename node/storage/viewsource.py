"""What the view worker asks of `ledger.db` besides entries and sidecars; it opens it on its own, for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool

from node.storage.store import Store, Tx
from node.storage.tables import row_key

_CACHE_KIB: Final = 4096
_BUSY_MS: Final = 30_000


def open_ledger(path: Path) -> Store:
    """The ledger for one reader, on one connection with a small cache; it is neither made nor migrated."""

    def connect() -> sqlite3.Connection:
        # Not `mode=ro`: that cannot set up the shared memory of a WAL where nobody has the database open.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False)
        connection.isolation_level = None
        for pragma in ("query_only=ON", f"cache_size=-{_CACHE_KIB}", f"busy_timeout={_BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=0, hide_parameters=True
    )
    event.listen(engine, "begin", _on_begin)
    return Store(engine)


def data_version(tx: Tx) -> int:
    """A number that another connection's commit changes; to be compared on one connection."""
    return int(tx.exec_driver_sql("PRAGMA data_version").scalar() or 0)


def count_documents(tx: Tx) -> int:
    """How many charters and cards there are; they only ever become more."""
    return int(tx.exec_driver_sql("SELECT count(*) FROM document").scalar() or 0)


def count_statements(tx: Tx) -> int:
    """How many statements of contracts there are; they only ever become more."""
    return int(tx.exec_driver_sql("SELECT count(*) FROM statement").scalar() or 0)


def chunk_end(tx: Tx, log: int, start: int, *, end: int, bytes_max: int) -> int:
    """Up to where [start, end) can be read within `bytes_max` of sidecars; one entry at least."""
    volume = 0
    # length() of a blob reads its header only, not the pages that it fills.
    rows = tx.exec_driver_sql(
        "SELECT key, length(packed) FROM sidecar WHERE key >= ? AND key < ? ORDER BY key",
        (row_key(log, start), row_key(log, end)),
    )
    for key, length in rows:
        volume += length
        if volume > bytes_max:
            rows.close()
            return int(max(key - row_key(log, 0), start + 1))
    return end


def iterate_gaps(tx: Tx, log: int, *, start: int = 0, end: int) -> Iterator[tuple[int, str]]:
    """(index, reason) of the bodies in [start, end) that were due and are not here, ascending, one at a time."""
    base = row_key(log, 0)
    rows = tx.exec_driver_sql(
        "SELECT key, reason FROM gap WHERE key >= ? AND key < ? ORDER BY key", (base + start, base + end)
    )
    for key, reason in rows:
        yield key - base, reason


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")
