"""Gathering: many requests of one event loop go to the appender as one.

Waking the loop and queueing cost more than a record's own share of a commit; so what comes
in within a moment is handed over together, and one wake-up answers all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from ledger.errors import TallyError
from node.append import Appended, NewRecord, Outcome, QueueFull
from node.guard import Guard
from node.node import Node

LINGER_S: Final = 0.002  # Measured: see docs/performance.md; a client on its own does not wait it out.
_WAITING_MAX: Final = 20_000
_POLL_S: Final = 0.05

_Waiter = tuple[NewRecord, "asyncio.Future[Outcome]"]


class Gathering:
    """Owned by one event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._gathered: list[_Waiter] = []
        self._is_due = False
        self._last = 0  # records of the last hand-over
        self._waiting = 0  # requests that wait for the start-up guard

    async def wait_until_ready(self) -> None:
        """Return once the node may sign. Raises: NotAdopted, NodeNotReady, QueueFull."""
        guard = self._node.joined.guard
        if guard.is_ready:
            return
        if self._waiting >= _WAITING_MAX:
            raise QueueFull(queued=self._waiting)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._node.settings.queue_wait_s):
                await _opened(guard)
        except TimeoutError:
            guard.wait(0)
        finally:
            self._waiting -= 1

    async def append(self, record: NewRecord) -> Appended:
        """One record, durable. Raises: what sealing or storing it raises; QueueFull."""
        await self.wait_until_ready()
        if len(self._gathered) >= _WAITING_MAX:
            raise QueueFull(queued=len(self._gathered))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._gathered.append((record, answer))
        if not self._is_due:
            self._is_due = True
            if self._last > 1:
                loop.call_later(LINGER_S, self._hand_over)
            else:
                loop.call_soon(self._hand_over)
        outcome = await answer
        if isinstance(outcome, TallyError):
            raise outcome
        return outcome

    async def submit(self, records: Sequence[NewRecord]) -> asyncio.Future[list[Outcome]]:
        """Queue a batch, `wait_until_ready` having come before; whoever sends too much is slowed down first.

        Raises: QueueFull once that has not helped for long, NodeStopped.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._node.settings.queue_wait_s
        while True:
            try:
                return asyncio.wrap_future(self._node.joined.appender.submit(records))
            except QueueFull:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(_POLL_S)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._is_due = False
        self._last = len(gathered)
        loop = asyncio.get_running_loop()

        def settle(done: Future[list[Outcome]]) -> None:
            loop.call_soon_threadsafe(_answer, gathered, done)

        try:
            pending = self._node.joined.appender.submit([record for record, _ in gathered])
        except TallyError as cause:
            _refuse(gathered, cause)
            return
        pending.add_done_callback(settle)


async def _opened(guard: Guard) -> None:
    while True:
        if guard.is_ready:
            return
        await asyncio.sleep(_POLL_S)


def _answer(gathered: Sequence[_Waiter], done: Future[list[Outcome]]) -> None:
    cause = done.exception()
    if cause is not None:
        _refuse(gathered, cause)
        return
    for (_, answer), outcome in zip(gathered, done.result(), strict=True):
        if not answer.done():
            answer.set_result(outcome)


def _refuse(gathered: Sequence[_Waiter], cause: BaseException) -> None:
    for _, answer in gathered:
        if not answer.done():
            answer.set_exception(cause)
