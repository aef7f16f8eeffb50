"""Bulk append over HTTP, beside the tuned loop, plain SQLite and hypercore; and the disk that a record takes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.storage.viewstore import VIEWS_NAME
from tests.bench import loop, records
from tests.bench.meters import database_bytes
from tests.bench.network import database
from tests.bench.peers import append_plainly
from tests.bench.rows import Row, at_least, at_most, make_row, median_ratio
from tests.bench.stage import Spent, Stage

NAMES: Final = (
    "append", "append-cpu", "append-main", "append-wall", "append-5m", "disk", "disk-search",
    "loop", "sqlite-batched", "hypercore-append",
)  # fmt: skip
_FULL_ROUNDS: Final = 6


def measure(stage: Stage) -> Iterator[Row]:
    """Rounds of ours and theirs in turn, up to 120,000 records with the usual sizes; with --full up to 5 million."""
    count = stage.sizes.bulk_records
    bodies = list(records.bodies(min(count, 20_000)))
    ours: list[Spent] = []
    loops: list[float] = []
    plain: list[float] = []
    others: list[float] = []
    hypercore = stage.hypercore
    stage.append(count)  # the first records of a process are not like the rest
    before = _stored_bytes(stage)
    for number in range(stage.sizes.rounds):
        stage.say(f"append, round {number + 1} of {stage.sizes.rounds}: {count:,} records")
        ours.append(stage.append(count))
        loops.append(_time_loop(bodies))
        with tempfile.TemporaryDirectory(dir=stage.folder) as folder:
            plain.append(append_plainly(Path(folder) / "plain.db", bodies) / len(bodies))
        if hypercore is not None:
            others.append(hypercore.append(count) / count)
    after = _stored_bytes(stage)
    cpu = [spent.cpu_s / count for spent in ours]
    per_core = [1 / seconds for seconds in cpu]
    yield at_least(12_000)(make_row("append", per_core, "records/s per core"))
    yield at_most(2, of="ratio")(make_row("append-cpu", _us(cpu), "us CPU/record", ratio=median_ratio(cpu, loops)))
    yield make_row("append-main", [count / spent.main_cpu_s for spent in ours], "records/s per core")
    yield make_row("append-wall", [count / spent.seconds for spent in ours], "records/s")
    written = count * stage.sizes.rounds
    yield at_most(1900)(make_row("disk", [(after[0] - before[0]) / written], "bytes/record"))
    yield make_row("disk-search", [(after[1] - before[1]) / written], "bytes/record")
    yield make_row("loop", _us(loops), "us CPU/record")
    yield make_row("sqlite-batched", [1 / seconds for seconds in plain], "records/s")
    if others:
        yield make_row("hypercore-append", [1 / seconds for seconds in others], "records/s")
    if stage.is_full:
        yield _append_many(stage, statistics.median(per_core))


def _append_many(stage: Stage, per_core: float) -> Row:
    """The same once the log is long; the ratio is to the rows above, in this run."""
    stage.fill(stage.sizes.full_records)
    count, rates = stage.sizes.bulk_records, []
    for number in range(_FULL_ROUNDS):
        stage.say(f"append to a long log, round {number + 1} of {_FULL_ROUNDS}: {count:,} records")
        rates.append(count / stage.append(count).cpu_s)
    ratio = statistics.median(rates) / per_core
    return at_least(0.9, of="ratio")(make_row("append-5m", rates, "records/s per core", ratio=ratio))


def _time_loop(bodies: list[bytes]) -> float:
    """CPU seconds of the tuned loop per record."""
    start = time.thread_time()
    loop.run(bodies)
    return (time.thread_time() - start) / len(bodies)


def _stored_bytes(stage: Stage) -> tuple[int, int]:
    """Of the author's ledger and of its record search."""
    author = stage.trade.author
    return database_bytes(database(author)), database_bytes(author.folder / VIEWS_NAME)


def _us(seconds: list[float]) -> list[float]:
    return [1e6 * value for value in seconds]
