"""fsck: every column of every table is changed, every table loses a row; what goes unnoticed is what the docs say."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.make_store import Filled, fill_store
from tests.source import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "fsck.md"
ROWS_EACH: Final = 3
"""Of each table, the first and the last among them."""
CHOSEN: Final = {
    "answer.index": 0,
    "log.frozen": "two histories from entry 4 on or before",
    "token.scopes": "admin audit read write",
}
"""What somebody would put there who knows what is looked at."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    made = fill_store(tmp_path_factory.mktemp("filled"))
    report = made.check()
    assert report.faults == []
    return made


def told(heading: str) -> set[str]:
    """The first cells of the table under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return {name for line in section.splitlines() for name in re.findall(r"^\| (.*?) \|", line)}


def names(cells: set[str]) -> set[str]:
    return {name for cell in cells for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", cell)}


def tables(path: Path) -> dict[str, list[tuple[str, bool]]]:
    """Columns of every table, and whether each is part of the key: by what the database itself says."""
    with closing(sqlite3.connect(path)) as database:
        found = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [(row[1], row[5] > 0) for row in database.execute(f'PRAGMA table_info("{table}")')]
            for table in found
            if not table.startswith("sqlite_")
        }


def keys_of(
    database: sqlite3.Connection, table: str, columns: list[tuple[str, bool]], *, most: int = ROWS_EACH
) -> list[tuple[str, tuple[Any, ...]]]:
    """Some rows: the condition that finds each, with its values."""
    key = [name for name, is_key in columns if is_key] or [name for name, _ in columns]
    chosen = ", ".join(f'"{name}"' for name in key)
    rows = database.execute(f'SELECT {chosen} FROM "{table}" ORDER BY {chosen}').fetchall()
    assert rows, f"the builder fills every table, so also {table}"
    between = rows[1:-1]
    some = [rows[0], *random.Random(table).sample(between, min(most - 2, len(between))), *rows[1:][-1:]]
    return [(" AND ".join(f'"{name}" = ?' for name in key), row) for row in some]


def others(value: Any) -> Iterator[Any]:
    """What somebody could put in the place of a value: nothing, and something of its kind."""
    if value is None:
        yield from (1, "x")
        return
    yield None
    if isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, bytes):
        changed = bytearray(value)
        at = random.Random(value).randrange(len(value))
        changed[at] ^= 1 << random.Random(value).randrange(8)
        yield bytes(changed)
    elif value:
        at = random.Random(value).randrange(len(value))
        yield value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    else:
        yield "x"


def changed(filled: Filled, path: Path, statement: str, values: tuple[Any, ...]) -> bool | None:
    """Whether fsck notices the change in a copy; None where the database does not allow it."""
    path.write_bytes(filled.path.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        try:
            assert database.execute(statement, values).rowcount == 1
        except sqlite3.IntegrityError:
            return None
        database.commit()
    return not filled.check(path).is_sound


def test_every_changed_column_is_noticed_or_is_named_in_the_docs(filled: Filled, tmp_path: Path) -> None:
    unnoticed = set()
    with closing(sqlite3.connect(filled.path)) as database:
        for table, columns in tables(filled.path).items():
            rows = keys_of(database, table, columns)
            for column, _ in columns:
                for where, key in rows:
                    value = database.execute(f'SELECT "{column}" FROM "{table}" WHERE {where}', key).fetchone()[0]
                    statement = f'UPDATE "{table}" SET "{column}" = ? WHERE {where}'
                    news = {*others(value), CHOSEN.get(f"{table}.{column}", value)} - {value}
                    found = [changed(filled, tmp_path / "copy.db", statement, (new, *key)) for new in news]
                    if False in found:
                        unnoticed.add(f"{table}.{column}")
    assert unnoticed == names(told("Columns"))


def test_every_row_that_is_gone_is_noticed_or_its_table_is_named_in_the_docs(filled: Filled, tmp_path: Path) -> None:
    unnoticed = set()
    with closing(sqlite3.connect(filled.path)) as database:
        for table, columns in tables(filled.path).items():
            for where, key in keys_of(database, table, columns, most=16):
                if not changed(filled, tmp_path / "copy.db", f'DELETE FROM "{table}" WHERE {where}', key):
                    unnoticed.add(table)
    assert unnoticed == names(told("Rows that are gone"))
