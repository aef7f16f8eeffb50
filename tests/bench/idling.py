"""What a node uses that has nothing to do: memory, and bytes on the wire to a peer.

Two nodes of their own are left alone for longer than a long poll waits, beside the other scenes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import psutil

from tests.bench.meters import pss_bytes
from tests.bench.network import Trade, process_id
from tests.bench.rows import Row, at_most, make_row
from tests.bench.stage import Stage
from tests.bench.wire import Wire

NAMES: Final = ("idle-memory", "idle-memory-search", "idle-traffic")
_FIRMS: Final = ("north", "south")
_MEGABYTE: Final = 1_000_000


class Idle:
    """Two nodes that do nothing from `with` on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._trade = Trade(stage.folder / "idle", _FIRMS)
        self._wires = [Wire(firm.port) for firm in self._trade.firms]
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._stage.say("starting two nodes that do nothing")
        with ExitStack() as opened:
            for wire in self._wires:
                opened.enter_context(wire)
            opened.callback(self._trade.stop)
            self._trade.found(
                {name: f"http://127.0.0.1:{wire.port}" for name, wire in zip(_FIRMS, self._wires, strict=True)}
            )
            self._open = opened.pop_all()
        self._began_s = time.monotonic()
        self._before = self._bytes_passed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def measure(self) -> Iterator[Row]:
        rest_s = self._stage.sizes.idle_s - (time.monotonic() - self._began_s)
        if rest_s > 0:
            self._stage.say(f"leaving the idle nodes alone for {rest_s:.0f} s more")
            time.sleep(rest_s)
        minutes = (time.monotonic() - self._began_s) / 60
        # Each wire carries one node's polls of the other: a node sends and receives what both carry.
        passed = (self._bytes_passed() - self._before) / minutes
        one, other = self._trade.firms
        other.stop()  # pages that two nodes share would be counted in halves
        main = process_id(one)
        workers = psutil.Process(main).children()
        yield at_most(100)(make_row("idle-memory", [pss_bytes(main) / _MEGABYTE], "MB"))
        yield make_row("idle-memory-search", [sum(pss_bytes(w.pid) for w in workers) / _MEGABYTE], "MB")
        yield at_most(2_000)(make_row("idle-traffic", [max(passed, 1.0)], "bytes/min per peer"))

    def _bytes_passed(self) -> int:
        return sum(wire.bytes_passed for wire in self._wires)
