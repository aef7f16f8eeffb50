"""Single records over HTTP from many clients at a time, each answered once it is durable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from tests.bench.rows import Row, at_least, at_most, make_row, percentile
from tests.bench.stage import Stage

NAMES: Final = ("post", "post-main", "post-wall", "post-p50", "post-p99")


def measure(stage: Stage) -> Iterator[Row]:
    count, clients = stage.sizes.post_records, stage.sizes.clients
    stage.client("post", min(count, 2_000), str(clients))  # the first calls of a process are not like the rest
    rates: list[float] = []
    mains: list[float] = []
    walls: list[float] = []
    halves: list[float] = []
    tails: list[float] = []
    for number in range(stage.sizes.rounds):
        stage.say(f"single records, round {number + 1} of {stage.sizes.rounds}: {count:,} by {clients} clients")
        with stage.counted() as spent:
            found = stage.client("post", count, str(clients))
        cpu, main = spent[0]
        rates.append(count / max(cpu, 0.01))
        mains.append(count / max(main, 0.01))
        walls.append(count / cast(float, found["seconds"]))
        times = sorted(cast(list[float], found["times_ms"]))
        halves.append(percentile(times, 50))
        tails.append(percentile(times, 99))
    yield at_least(4_000)(make_row("post", rates, "records/s per core"))
    yield make_row("post-main", mains, "records/s per core")
    yield make_row("post-wall", walls, "records/s")
    yield make_row("post-p50", halves, "ms")
    yield at_most(25)(make_row("post-p99", tails, "ms"))
