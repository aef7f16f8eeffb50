"""Two workers for one long stream: inputs of one case come one after the other, two cases need not wait for each other.

Which case an input is of only `key` can say. So both workers are first asked for the cases of all inputs, half of them
each; then each gets the inputs of its own cases, in order, in batches. How inputs are shared out hangs on their cases
alone, and neither on how many cores there are nor on which worker is quicker.

A contract that keeps something between inputs may name another case the second time. Then nothing of this counts, and
the inputs are run by one worker, as they came.

Spec: docs/spec/contract-engine.md, "A long stream".
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, TypeVar

from contracts.engine.outcomes import Outcome
from contracts.engine.running import Engine

LANES: Final = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A contract with its terms, records in order (strict JSON), the states before them, and inputs of a batch."""

    source: str
    terms: bytes
    records: Sequence[str]
    states: Mapping[str, bytes]
    batch_inputs: int


def start_in_lanes(engine: Engine, work: Work) -> Running:
    """Go on in the background. Raises: ContractNotRunnable, EngineFailed, EngineUnfit; later `Running.outcomes`.

    The engine is for nobody else until then: to stop what runs is to end its worker.
    """
    engine.load(work.source)  # the guest is compiled once, and not by both at the same time
    return Running([engine, engine.beside()], work)


def lane_of(case: str | None) -> int:
    """Which worker has a case. What has no case needs no state, and goes to the first."""
    return 0 if case is None else zlib.crc32(case.encode()) % LANES


class Running:
    """Work on its way: wait for its outcomes, or stop it, before the engines do anything else."""

    def __init__(self, engines: Sequence[Engine], work: Work) -> None:
        self._engines = engines
        self._work = work
        self._stopped = False
        self._pool = ThreadPoolExecutor(LANES + 1)  # one waits for the others
        self._done = self._pool.submit(self._run)

    def outcomes(self) -> list[Outcome]:
        """In the order of the records. Raises: ContractNotRunnable, EngineFailed, EngineUnfit."""
        try:
            return self._done.result()
        finally:
            self.stop()  # who waits may be interrupted, and what went on behind it would hold the engines

    def stop(self) -> None:
        """Give up at once; the engines are free afterwards."""
        self._stopped = True
        while not self._done.done():
            for engine in self._engines:
                engine.interrupt()
            wait([self._done], timeout=1)
        self._pool.shutdown()

    # --- inside: on threads of its own ---

    def _run(self) -> list[Outcome]:
        records, count = self._work.records, len(self._work.records)
        half = -(-count // LANES)
        parts = [records[half * lane : half * (lane + 1)] for lane in range(LANES)]
        cases = [case for part in self._side_by_side(self._find_cases, parts) for case in part]
        lanes = [[at for at in range(count) if lane_of(cases[at]) == lane] for lane in range(LANES)]
        parts = [[records[at] for at in lane] for lane in lanes]
        outcomes: dict[int, Outcome] = {}
        for lane, done in zip(lanes, self._side_by_side(self._evaluate, parts), strict=True):
            outcomes.update(zip(lane, done, strict=True))
        if any(outcomes[at].case != cases[at] for at in range(count)):
            return self._evaluate(self._engines[0], records)
        return [outcomes[at] for at in range(count)]

    def _side_by_side(self, do: Callable[[Engine, Sequence[str]], T], parts: Sequence[Sequence[str]]) -> list[T]:
        tasks = [self._pool.submit(do, engine, part) for engine, part in zip(self._engines, parts, strict=True)]
        _, others = wait(tasks, return_when=FIRST_EXCEPTION)
        self._stopped = self._stopped or bool(others)  # one failed, and the other need not go on
        wait(others)
        faults = [fault for task in tasks if (fault := task.exception()) is not None]
        if faults:
            raise min(faults, key=lambda fault: isinstance(fault, _Stopped))
        return [task.result() for task in tasks]

    def _find_cases(self, engine: Engine, records: Sequence[str]) -> list[str | None]:
        work, cases = self._work, list[str | None]()
        for start in range(0, len(records), work.batch_inputs):
            cases += engine.find_cases(work.source, work.terms, self._next(records, start))
        return cases

    def _evaluate(self, engine: Engine, records: Sequence[str]) -> list[Outcome]:
        work, outcomes = self._work, list[Outcome]()
        states: dict[str, bytes] = {}
        for start in range(0, len(records), work.batch_inputs):
            part = self._next(records, start)
            done = engine.run(
                work.source, work.terms, part, lambda cases: [states.get(one) or work.states.get(one) for one in cases]
            )
            states.update({one.case: one.state for one in done if one.case is not None and one.state is not None})
            outcomes += done
        return outcomes

    def _next(self, records: Sequence[str], start: int) -> Sequence[str]:
        if self._stopped:
            raise _Stopped
        return records[start : start + self._work.batch_inputs]


class _Stopped(Exception):
    """Whoever waited for it does so no more."""
