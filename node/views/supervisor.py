"""Keeping the view worker running beside the node, and telling it when there is something to do.

One thread that sleeps costs the node next to nothing: the worker has its own process, memory
and database, and a nudge is one byte in a pipe. The pipe is also how the worker learns that
the node is gone, however that happened.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from node.changes import Changes

_PAUSE_S: Final = 0.02  # between nudges: under load the worker takes many commits at once
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 60.0
_STOP_S: Final = 5.0
_FOREVER_S: Final = 1e9


class ViewWorker:
    """A worker process that is started again when it dies. Any thread may call its methods."""

    def __init__(self, folder: Path, changes: Changes) -> None:
        self._folder = folder
        self._changes = changes
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()  # owned by the thread, like the process
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="views", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def process_id(self) -> int | None:
        """Of the worker that runs now; another one after it died."""
        process = self._process
        return None if process is None else process.pid

    def stop(self) -> None:
        """End the worker and wait for it; what it was doing is done again by the next one."""
        with suppress(RuntimeError):  # the loop is closed: somebody stopped it before
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    # --- the thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keep_running())
        finally:
            self._loop.close()

    async def _keep_running(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                process = self._process = spawn(self._folder)
                why = f"it ended with code {await self._attend(process)}"
            except OSError as cause:
                why = str(cause)
            if self._stopping.is_set():
                break
            if time.monotonic() - began_s > _LONGEST_WAIT_S:
                wait_s = _FIRST_WAIT_S
            structlog.get_logger().warning("view worker is not running", why=why, again_in_s=wait_s)
            await _first_of(self._stopping.wait(), asyncio.sleep(wait_s))
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        self._process = None

    async def _attend(self, process: subprocess.Popen[bytes]) -> int:
        """Nudge the worker at every change until it dies, or end it because we stop. Returns its exit code."""
        assert process.stdin is not None and process.stdout is not None, "both are pipes"
        died = asyncio.Event()
        # The worker writes nothing there: the end of the pipe is the end of the process, without polling for it.
        self._loop.add_reader(process.stdout.fileno(), died.set)
        os.set_blocking(process.stdin.fileno(), False)
        try:
            seen = -1
            while not died.is_set() and not self._stopping.is_set():
                await _first_of(self._changes.wait(seen, _FOREVER_S), died.wait(), self._stopping.wait())
                seen = self._changes.count
                _nudge(process.stdin.fileno())
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._loop.remove_reader(process.stdout.fileno())
            process.stdin.close()
            code = _reap(process)
            process.stdout.close()
        return code


def start_worker(folder: Path, changes: Changes) -> ViewWorker:
    """Run the view worker of the node in `folder` until `stop`; `changes`: the node's own."""
    worker = ViewWorker(folder, changes)
    worker.start()
    return worker


def spawn(folder: Path) -> subprocess.Popen[bytes]:
    """A worker process; its stdin is for nudges. No fork of the node's memory: CPython uses vfork and exec here."""
    # The child imports from where this process did, and never from whatever the current folder holds.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603  # our own program, and a folder that it opens as such
        [sys.executable, "-P", "-m", "node.views.worker", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=environment,
    )


def _nudge(pipe: int) -> None:
    try:
        os.write(pipe, b"\n")
    except BlockingIOError:
        pass  # it is full of nudges that the worker has not read
    except BrokenPipeError:
        pass  # it died; its other pipe says so, too


def _reap(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()  # harmless at any time
        return process.wait()


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return once one of `waits` is over; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
