"""Opening the database: durability settings, and a schema of the newest version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from node.storage import facts
from node.storage.engine import SCHEMA_VERSION, migrate, open_engine
from node.storage.store import Store
from node.storage.viewsource import open_ledger
from node.storage.viewstore import ViewStore


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


def test_reader_of_a_database_that_another_writes_sees_one_state(tmp_path: Path) -> None:
    """Else `fsck` of a running node would compare rows of two states."""
    written, read = Store.open(tmp_path / "ledger.db"), Store.open_readonly(tmp_path / "ledger.db")
    with read.read() as tx:
        before = facts.list_meta(tx)
        with written.write("adopt") as other:
            facts.set_meta(other, facts.OWN_ORIGIN, "new")
        assert facts.list_meta(tx) == before == []
    with read.read() as tx:
        assert facts.list_meta(tx) == [(facts.OWN_ORIGIN, "new")]
    read.close()
    written.close()


def test_every_commit_is_synced_to_disk(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "ledger.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    engine.dispose()


def test_no_engine_repeats_what_it_was_given_in_an_error(tmp_path: Path) -> None:
    ledger, views = tmp_path / "ledger.db", tmp_path / "views.db"
    stores = [Store.open(None), Store.open(ledger), Store.open_readonly(ledger), open_ledger(ledger)]
    found = [store.engine for store in stores] + [store._anew for store in stores]
    found += [store._engine for store in (ViewStore.open(views), ViewStore.open_for_search(views))]
    for engine in found:
        with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
            connection.exec_driver_sql("SELECT ? FROM nothing", ("a-value",))
        assert "nothing" in str(caught.value) and "a-value" not in str(caught.value)
        engine.dispose()
