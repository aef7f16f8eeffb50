"""Opening `ledger.db`: durability settings, transactions, migrations.

WAL with synchronous FULL: a commit that returned survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, exc
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from ledger.errors import Unavailable
from node.crash import crash_point

PAGE_BYTES: Final = 16384  # Measured in docs/performance.md: 4096 costs twice the CPU per row.
SCHEMA_VERSION: Final = "0001"
"""Of the newest migration; a test compares."""
_CACHE_KIB: Final = 65536
_BUSY_MS: Final = 30_000
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""The second: no room for the index beside the write-ahead log, which every process makes anew."""


DatabaseError = exc.DatabaseError
"""What reading a damaged file raises, for those who may not name SQL."""
DatabaseAway = exc.OperationalError
"""Of those what may pass by itself: a lock, a disk that does not answer."""


class DiskFull(Unavailable):
    code = "disk-full"
    template = "the disk of this node is full"
    hint = "Free some room on the disk that holds the node's folder. Nothing was recorded; send the request again."


def open_engine(path: Path | None) -> Engine:
    """Open (and migrate) the database at `path`, or a private one in memory."""
    if path is None:
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        # Its owner's alone from the first byte; SQLite gives the files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=QueuePool,
            pool_size=8,
            max_overflow=24,
            connect_args={"check_same_thread": False},
            hide_parameters=True,  # what failed goes into the log of the process; bodies do not
        )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    event.listen(engine, "handle_error", _on_error)
    migrate(engine)
    return engine


def open_engine_readonly(path: Path) -> Engine:
    """Open a database (or a copy of one) without changing it."""

    def connect() -> sqlite3.Connection:
        # As a URI of its own making: a file name may hold "?mode=rwc".
        uri = f"{path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    # Else every statement would see a state of its own, while a node writes.
    event.listen(engine, "begin", _on_begin)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version."""
    if _schema_version(engine) == SCHEMA_VERSION:
        return
    # Imported only when there is work for it: it takes 11 MB, and a node runs for months between two versions.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "node:storage/migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        crash_point("migrate.before-commit")
    crash_point("migrate.after-commit")


def _schema_version(engine: Engine) -> str | None:
    with engine.connect() as connection, connection.begin():
        return schema_version(connection)


def schema_version(connection: Connection) -> str | None:
    """The migration that the database has come to; None for a new one."""
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    if not connection.exec_driver_sql(tables).scalar():
        return None
    version: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we begin and commit ourselves; sqlite3's own way commits behind our back
    for pragma in (
        f"page_size={PAGE_BYTES}",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"cache_size=-{_CACHE_KIB}",
        f"busy_timeout={_BUSY_MS}",
        "foreign_keys=ON",
    ):
        connection.execute(f"pragma {pragma}")


def _on_begin(connection: Any) -> None:
    mode = "IMMEDIATE" if connection.get_execution_options().get("tally_write") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")


def _on_error(context: ExceptionContext) -> None:
    """A full disk is the operator's business and has a name; whatever else the database says is a fault."""
    cause = context.original_exception
    if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", None) in _NO_ROOM:
        raise DiskFull() from cause
