"""Keeping the view worker running beside the node, and telling it when there is something to do.

The worker has its own process, memory and database, and a nudge is one byte in a pipe, written by whoever
brings the change. One pipe serves every worker that there ever is: what is told while none runs, the next one
reads. Its end is also how a worker learns that the node is gone, however that happened.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from node.changes import Changes

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 60.0
_STOP_S: Final = 5.0


class ViewWorker:
    """A worker process that is started again when it dies. Any thread may call its methods."""

    def __init__(self, folder: Path, changes: Changes) -> None:
        self._folder = folder
        self._changes = changes
        self._nudges, self._nudging = os.pipe()
        os.set_blocking(self._nudging, False)
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # nothing is written to the pipe once it is closed, nor started once stopping
        self._process: subprocess.Popen[bytes] | None = None  # owned by _lock
        self._thread = threading.Thread(target=self._keep_running, name="views", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._changes.listen(self.nudge)

    @property
    def process_id(self) -> int | None:
        """Of the worker that runs now; another one after it died."""
        process = self._process
        return None if process is None else process.pid

    def nudge(self) -> None:
        """Have the worker look at the ledger."""
        with self._lock:
            if not self._stopping.is_set():
                with suppress(BlockingIOError):  # it is full of nudges that the worker has not read
                    os.write(self._nudging, b"\n")

    def stop(self) -> None:
        """End the worker and wait for it; what it was doing is done again by the next one."""
        with self._lock:
            was_stopping = self._stopping.is_set()
            self._stopping.set()
            process = self._process
            if not was_stopping:
                os.close(self._nudging)
        self._thread.join(_STOP_S)
        if process is not None and self._thread.is_alive():
            process.kill()  # harmless at any time
        self._thread.join()
        if not was_stopping:
            os.close(self._nudges)

    # --- the thread ------------------------------------------------------------------

    def _keep_running(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            began_s = time.monotonic()
            why = self._run_one()
            if self._stopping.is_set():
                break
            if time.monotonic() - began_s > _LONGEST_WAIT_S:
                wait_s = _FIRST_WAIT_S
            structlog.get_logger().warning("view worker is not running", why=why, again_in_s=wait_s)
            self._stopping.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _run_one(self) -> str:
        """Start a worker and wait until it ends; returns why it does not run."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "the node stops"
                process = self._process = spawn(self._folder, self._nudges)
        except OSError as cause:
            return str(cause)
        code = process.wait()
        with self._lock:
            self._process = None
        return f"it ended with code {code}"


def start_worker(folder: Path, changes: Changes) -> ViewWorker:
    """Run the view worker of the node in `folder` until `stop`; `changes`: the node's own."""
    worker = ViewWorker(folder, changes)
    worker.start()
    return worker


def spawn(folder: Path, nudges: int) -> subprocess.Popen[bytes]:
    """A worker process; its stdin is `nudges`. No fork of the node's memory: CPython uses vfork and exec here."""
    # The child imports from where this process did, and never from whatever the current folder holds.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603  # our own program, and a folder that it opens as such
        [sys.executable, "-P", "-m", "node.views.worker", str(folder)],
        stdin=nudges,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
