"""An event loop in virtual time: it never waits, it sets its clock forward to whatever comes next.

What runs in a thread elsewhere runs here on the loop's own, begun after a small drawn delay,
so that one task's commit falls between another's look and its own commit, as with threads. With one
seed all comes in one order.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable
from typing import Any


class NothingLeft(Exception):
    """Every task waits for something that nobody will ever do."""


class _NoWait(selectors.SelectSelector):
    """Says that nothing is ready, and that as much time passed as was to be waited."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingLeft()
        self.loop.pass_time(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, chance: random.Random) -> None:
        selector = _NoWait()
        selector.loop = self
        self._now = 0.0
        self._chance = chance
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # as the loop that is replaced, without its threads
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            # As with a thread: it was begun, and ends, whether or not anybody waits for it any more.
            try:
                result = func(*args)
            except BaseException as cause:
                if not future.done():
                    future.set_exception(cause)
                return
            if not future.done():
                future.set_result(result)

        self.call_later(self._chance.choice((0.0, 0.0, 0.001, 0.003)), work)
        return future

    def _write_to_self(self) -> None:
        """There is no other thread to wake this one."""
