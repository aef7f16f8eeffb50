"""What others do of the task, in the same run: plain SQLite, and hypercore from npm."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench import records
from tests.conformance.tools import Broken, npm_folder

_HERE: Final = Path(__file__).resolve().parent / "hypercore"
_BATCH: Final = 500
_LIMIT_S: Final = 900


def append_plainly(file: Path, bodies: Sequence[bytes]) -> float:
    """Seconds of writing `bodies` to a table: WAL, synchronous FULL, 500 rows a commit; no ledger at all."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table if not exists record (number integer primary key, body blob)")
    start = time.perf_counter()
    for at in range(0, len(bodies), _BATCH):
        database.execute("begin")
        database.executemany("insert into record (body) values (?)", [(b,) for b in bodies[at : at + _BATCH]])
        database.execute("commit")
    seconds = time.perf_counter() - start
    database.close()
    return seconds


class Hypercore:
    """A log of hypercore. It syncs no append to disk and seals nothing. Raises NotToBeHad where it is out of reach."""

    def __init__(self, folder: Path) -> None:
        self._program = npm_folder(_HERE) / "log.mjs"
        self._folder = folder / "hypercore"
        self._folder.mkdir()
        self._bodies = self._folder / "records.ndjson"
        self._bodies.write_bytes(b"\n".join(records.bodies(20_000)) + b"\n")
        self._logs = 0

    def append(self, count: int) -> float:
        """Seconds of appending `count` records to a new log, 500 at a time."""
        self._logs += 1
        return self._run("append", self._log(self._logs), self._bodies, count)

    def replicate(self, count: int) -> float:
        """Seconds of copying the newest log over TCP from a second process, each block verified."""
        with tempfile.TemporaryDirectory(dir=self._folder) as copy:
            return self._run("replicate", self._log(self._logs), Path(copy) / "copy", count)

    def _run(self, task: str, *words: str | Path | int) -> float:
        done = subprocess.run(
            ["node", str(self._program), task, *map(str, words)],
            capture_output=True, text=True, timeout=_LIMIT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Broken(f"hypercore failed: {done.stderr.strip()[-500:]}")
        return float(json.loads(done.stdout)["seconds"])

    def _log(self, number: int) -> Path:
        return self._folder / f"log-{number}"
