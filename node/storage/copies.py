"""Copies of a database: a consistent one of a running node, and a damaged one to see that damage is noticed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy, also while the node writes (SQLite's online backup)."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def flip_byte(path: Path, seed: int) -> str:
    """Flip one byte of a random stored entry or sidecar of a copy; returns which, for people."""
    chance = random.Random(seed)  # noqa: S311  # a choice to be repeated, no secret
    with closing(sqlite3.connect(path)) as database:
        table = chance.choice(("entry", "sidecar"))
        keys = [row[0] for row in database.execute(f"SELECT key FROM {table} ORDER BY key")]  # noqa: S608
        key = chance.choice(keys)
        packed = bytearray(database.execute(f"SELECT packed FROM {table} WHERE key = ?", (key,)).fetchone()[0])  # noqa: S608
        at = chance.randrange(len(packed))
        packed[at] ^= 1 << chance.randrange(8)
        database.execute(f"UPDATE {table} SET packed = ? WHERE key = ?", (bytes(packed), key))  # noqa: S608
        database.commit()
    return f"byte {at} of {table} {key & ((1 << 40) - 1)} in log {key >> 40}"
