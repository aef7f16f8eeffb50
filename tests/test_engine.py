"""Opening the database: durability settings, and a schema of the newest version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from node.storage.engine import SCHEMA_VERSION, migrate, open_engine


def test_the_newest_migration_is_the_version_that_is_looked_for() -> None:
    config = Config()
    config.set_main_option("script_location", "node:storage/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_VERSION


def test_a_database_is_made_once_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_engine(path).dispose()
    engine = open_engine(path)
    migrate(engine)
    engine.dispose()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA_VERSION,)]


def test_every_commit_is_synced_to_disk(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "ledger.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    engine.dispose()
