"""Append: requests gather while the last commit is under way, and become durable together.

One thread commits (`node.commit`); everybody else queues here. Nothing is answered before it
is durable. What is durable is answered as such, whatever fails afterwards.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Final, NamedTuple

import structlog

from ledger.errors import Unavailable
from node.batch import (
    REUSED,
    Appended,
    HeadMoved,
    IdempotencyConflict,
    LogFrozen,
    LogIncomplete,
    NewRecord,
    Outcome,
)
from node.commit import Committer

__all__ = [
    "REUSED",
    "Appended",
    "Appender",
    "HeadMoved",
    "IdempotencyConflict",
    "LogFrozen",
    "LogIncomplete",
    "NewRecord",
    "NodeStopped",
    "Outcome",
    "QueueFull",
]

_QUEUE_MAX: Final = 100_000
_log = structlog.get_logger("tally.append")

Statements = Sequence[tuple[int, str]]
"""(index, type) of entries that hold `tally/*` records."""


class QueueFull(Unavailable):
    code = "queue-full"
    template = "{queued} requests wait to be written"
    hint = "Send again later, or slower."


class NodeStopped(Unavailable):
    code = "node-stopped"
    template = "the node is stopping"
    hint = "Send again once it is up; nothing of this request was recorded."


class _Job(NamedTuple):
    records: Sequence[NewRecord]
    done: Future[list[Outcome]]


class Appender:
    """The queue and the writer thread of this node's own log. Start it only once the start-up guard allows signing.

    on_commit: told of the statements that became durable, before whoever waits for them is answered.
    """

    def __init__(
        self, committer: Committer, *, batch_records: int = 1024, on_commit: Callable[[Statements], None]
    ) -> None:
        self._committer = committer
        self._batch_records = batch_records
        self._on_commit = on_commit
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        self._lock = threading.Lock()
        self._queued = 0  # owned by _lock
        self._is_stopped = False  # owned by _lock
        self._thread = threading.Thread(target=self._run, name="append", daemon=True)
        self._untold: list[tuple[int, str]] = []  # owned by the writer thread: statements that on_commit failed for

    def start(self) -> None:
        """Begin to write what is queued; a second call changes nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def submit(self, records: Sequence[NewRecord]) -> Future[list[Outcome]]:
        """Queue records; the future holds one outcome each once they are durable. Raises: QueueFull, NodeStopped."""
        job = _Job(records, Future())
        with self._lock:
            if self._is_stopped:
                raise NodeStopped()
            if self._queued + len(records) > _QUEUE_MAX:
                raise QueueFull(queued=self._queued)
            self._queued += len(records)
            # Within the lock, so that nothing can be queued behind the end that `stop` queues.
            self._queue.put(job)
        return job.done

    def stop(self) -> None:
        """Finish what is queued, then stop. What was queued and never begun is told so."""
        with self._lock:
            self._is_stopped = True
            self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.done.set_running_or_notify_cancel():
                job.done.set_exception(NodeStopped())

    def write_queued(self, *, wait: bool) -> bool:
        """Commit one batch of what is queued, waiting for the first if `wait`; False at the end of the queue.

        For the writer thread, or in its place.
        """
        jobs = self._gather(wait=wait)
        if jobs is None:
            return False
        if jobs:
            with _Answering(jobs) as answers:
                outcomes, statements = self._committer.commit([record for job in jobs for record in job.records])
                answers.outcomes = outcomes
                self._untold += statements
                self._on_commit(self._untold)
                self._untold = []
        return True

    # --- the writer thread ---------------------------------------------------------

    def _run(self) -> None:
        while self.write_queued(wait=True):
            pass

    def _gather(self, *, wait: bool) -> list[_Job] | None:
        """The next jobs, up to a batch; those that nobody waits for any more are left out. None: nothing more comes."""
        jobs: list[_Job] = []
        records = 0
        while records < self._batch_records:
            try:
                job = self._queue.get(block=wait and not jobs)
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # found again once what is in hand is written
                break
            jobs.append(job)
            records += len(job.records)
        with self._lock:
            self._queued -= records
        # From here on nobody can cancel a job; were one cancelled in the midst, answering it would fail.
        return [job for job in jobs if job.done.set_running_or_notify_cancel()] if jobs else None


class _Answering:
    """The outermost door of the writer thread: whoever waits hears what became of the batch, whatever happened.

    `outcomes` are set once they are durable; what fails later changes no answer, and is logged.
    """

    def __init__(self, jobs: Sequence[_Job]) -> None:
        self._jobs = jobs
        self.outcomes: list[Outcome] | None = None

    def __enter__(self) -> _Answering:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self.outcomes is None:
            assert cause is not None, "a batch has outcomes, or failed"
            for job in self._jobs:
                job.done.set_exception(cause)
            return True
        if cause is not None:
            _log.error("durable, and not yet known to the agreements", exc_info=cause)
        at = 0
        for job in self._jobs:
            job.done.set_result(self.outcomes[at : at + len(job.records)])
            at += len(job.records)
        return True
