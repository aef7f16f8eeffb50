"""Catch-up of an empty peer that may read all, a mirror that may read nothing, and hypercore's replication.

The copying node is started while the author's node stands still, so that its start is not counted; the time
runs from the moment that the author's goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from tests.bench import records
from tests.bench.meters import wait_for_rest
from tests.bench.network import LIMIT_S, held, pause, process_id
from tests.bench.rows import Row, at_least, make_row, median_ratio
from tests.bench.stage import Stage

NAMES: Final = ("catch-up", "mirror", "hypercore-replicate")
_LOOK_S: Final = 0.1
_SETTLE_S: Final = 1.0


def measure(stage: Stage) -> Iterator[Row]:
    stage.fill(stage.sizes.copy_records)
    ours: list[float] = []
    mirrored: list[float] = []
    theirs: list[float] = []
    hypercore = stage.hypercore
    for number in range(stage.sizes.copy_rounds):
        stage.say(f"copying {stage.sent:,} records, round {number + 1} of {stage.sizes.copy_rounds}")
        ours.append(_copy(stage, records.READERS[0]))
        if hypercore is not None:
            hypercore.append(stage.sizes.copy_records)
            theirs.append(stage.sizes.copy_records / hypercore.replicate(stage.sizes.copy_records))
        mirrored.append(_copy(stage, records.STRANGER))
    yield at_least(2, of="ratio")(make_row("catch-up", ours, "records/s", ratio=median_ratio(ours, theirs)))
    yield at_least(30_000)(make_row("mirror", mirrored, "entries/s"))
    if theirs:
        yield make_row("hypercore-replicate", theirs, "records/s")


def _copy(stage: Stage, name: str) -> float:
    """Records per second of an emptied firm, until it holds the author's log and all that it may read of it."""
    author, firm = stage.trade.author, stage.trade.firm(name)
    size = held(author, author.name)["size"]
    stage.empty(name)
    pause(author)
    try:
        firm.start()
        missing = size - held(firm, author.name)["size"]
        time.sleep(_SETTLE_S)
    finally:
        pause(author, is_over=True)
    start = time.perf_counter()
    while (found := held(firm, author.name))["size"] < size or found["bodies_size"] < size:
        if time.perf_counter() - start > LIMIT_S:
            raise TimeoutError(f"{name} holds {found} of {size}")
        time.sleep(_LOOK_S)
    seconds = time.perf_counter() - start
    firm.stop()
    wait_for_rest(process_id(author), LIMIT_S)
    return float(missing) / seconds
