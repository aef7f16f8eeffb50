"""News inside one process: which log moved, for long polls, the sync driver and the view worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ledger.keys import entropy

EVIDENCE: Final = b"evidence"
"""What is bumped besides logs: there is evidence to be passed on."""


class Changes:
    """A counter that grows with every durable change; waiters wake when it passes theirs. Any thread may bump.

    A cursor names this process as well, as the counter begins anew with each.
    """

    def __init__(self) -> None:
        self._instance = entropy(6).hex()
        self._count = 0  # owned by _lock, like all below
        self._moved: dict[bytes, int] = {}
        # A dictionary for its order: who waits longest is woken first.
        self._waiters: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._lock = threading.Lock()

    def listen(self, told: Callable[[], None]) -> None:
        """Call `told` at every change from now on, in the thread that brings it: it is quick, and does not raise."""
        with self._lock:
            self._listeners = (*self._listeners, told)

    @property
    def count(self) -> int:
        return self._count

    def bump(self, log: bytes) -> None:
        """`log` (the hash of its origin) moved: grew, or was cosigned. Or there is `EVIDENCE`."""
        with self._lock:
            self._count += 1
            self._moved[log] = self._count
            listeners = self._listeners
        self.release()
        for told in listeners:
            told()

    def release(self) -> None:
        """Let whoever waits go on, whether or not anything moved: a node that stops has polls to answer."""
        with self._lock:
            waiters, self._waiters = self._waiters, {}
        for event, loop in waiters.items():
            # A loop that was closed meanwhile has nobody left who waits; whoever bumps must not fail over it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

    def moved(self, log: bytes, since: int | None) -> bool:
        """Whether `log` moved after the count `since`; None stands for "before this process began"."""
        return since is None or self._moved.get(log, 0) > since

    def cursor(self, count: int) -> str:
        return f"{self._instance}.{count}"

    def parse_cursor(self, text: str) -> int | None:
        """The count in a cursor of this process; None for any other text."""
        instance, _, count = text.partition(".")
        if instance != self._instance or not (count.isascii() and count.isdigit() and len(count) < 16):
            return None
        return int(count)

    async def wait(self, since: int, timeout_s: float) -> int:
        """The count, once it is above `since`, or `timeout_s` has passed, or the node stops."""
        event = asyncio.Event()
        with self._lock:
            if self._count > since:
                return self._count
            self._waiters[event] = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiters.pop(event, None)
        return self._count
