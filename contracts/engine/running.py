"""The engine: runs contracts in a worker process, and starts that anew when it died.

What a contract does wrong comes back as the outcome of an input. What the host does wrong is an error (`EngineFailed`,
`EngineUnfit`), and nothing may be recorded of the batch it struck.

Spec: docs/spec/contract-engine.md.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from contracts import limits
from contracts.engine import children, wire
from contracts.engine.answers import Reason
from contracts.engine.cache import Tell, default_folder
from contracts.engine.errors import ContractNotRunnable, EngineFailed, EngineUnfit
from contracts.engine.outcomes import Answer, Lookup, Outcome

_START_S: Final = 600.0
"""Seconds until a worker must be ready: another process may be compiling on a slow machine."""


class Engine:
    """Runs contracts. One call at a time; further threads wait. `close` it, or use `with`.

    folder: where the compiled guest is kept. tell: takes lines for people who wait while it is compiled.
    """

    def __init__(self, *, folder: Path | None = None, tell: Tell = lambda line: None) -> None:
        self._folder = default_folder() if folder is None else folder
        self._tell = tell
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None  # owned by whoever holds the lock
        self._loaded: dict[str, None] = {}  # by this worker, the one used last at the end; owned as the worker is
        self._beside: Engine | None = None
        self._owes = False  # whether it was asked something and has not answered to the end; owned as the worker is

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def worker_pid(self) -> int | None:
        """The worker's process, if one was started: for those who watch it."""
        worker = self._worker
        return None if worker is None else worker.pid

    def start(self) -> None:
        """Start the worker now rather than with the first call. Raises: EngineUnfit, EngineFailed."""
        with self._lock:
            self._ready()

    def load(self, source: str) -> None:
        """Compile a contract and run its module level once. Raises: ContractNotRunnable, EngineFailed, EngineUnfit."""
        with self._lock:
            self._load(source)

    def run(self, source: str, terms: bytes, records: Sequence[str], lookup: Lookup) -> list[Outcome]:
        """Evaluate one batch; see `contracts.engine.evaluating`.

        terms, records: strict JSON. lookup: gives the states of cases; called on this thread, while the worker
        waits, and must not call this engine.
        Raises: ContractNotRunnable, EngineFailed, EngineUnfit. In each case nothing of the batch counts.
        """
        with self._lock:
            assert len(records) <= limits.BATCH_INPUTS_MAX, "a batch has a bound"
            _check_texts(records)
            given = _text(terms)
            key = self._load(source)
            answer = self._exchange(["run", key, given, list(records)])
            while answer[0] == "need":
                states = list(lookup(answer[1]))
                assert len(states) == len(answer[1]), "one state for each case"
                for state in states:
                    assert state is None or _text(state), "a state is an object"
                answer = self._exchange(states)
            return [_outcome(one) for one in _expect("done", answer)[0]]

    def find_cases(self, source: str, terms: bytes, records: Sequence[str]) -> list[str | None]:
        """The case of each record by `key` alone, None where it gives none. Records and errors: as for `run`."""
        with self._lock:
            _check_texts(records)
            given = _text(terms)
            key = self._load(source)
            return list(_expect("cases", self._exchange(["cases", key, given, list(records)]))[0])

    def ask(self, source: str, terms: bytes, name: str, arguments: Sequence[bytes]) -> list[Answer]:
        """Call `share`, `summary` or `migrate` of a contract, once for each JSON list of arguments.

        The answers are canonical, and no more is known of them: what they say is for the caller to check.
        Raises: ContractNotRunnable, EngineFailed, EngineUnfit.
        """
        with self._lock:
            assert name in ("share", "summary", "migrate"), "share, summary or migrate are asked so"
            given, texts = _text(terms), [_text(one) for one in arguments]
            key = self._load(source)
            answers: list[Answer] = []
            for start in range(0, len(texts), limits.BATCH_INPUTS_MAX):
                answer = self._exchange(["ask", key, given, name, texts[start : start + limits.BATCH_INPUTS_MAX]])
                answers += [_answer(one) for one in _expect("answers", answer)[0]]
            return answers

    def beside(self) -> Engine:
        """A second one with a worker of its own, for what need not wait for this one; it is closed with this one."""
        with self._lock:
            if self._beside is None:
                self._beside = Engine(folder=self._folder, tell=self._tell)
            return self._beside

    def interrupt(self) -> None:
        """End the worker, whatever it does: a call that waits for it on another thread fails (`EngineFailed`)."""
        worker = self._worker
        if worker is not None:
            worker.kill()
            worker.wait()  # or the next call might still take it for alive

    def close(self) -> None:
        if self._beside is not None:
            self._beside.close()
        with self._lock:
            self._end()

    # --- inside: the lock is held ---

    def _load(self, source: str) -> str:
        try:
            key = hashlib.sha256(source.encode()).hexdigest()
        except UnicodeEncodeError:
            raise ContractNotRunnable(reason="it holds half of a surrogate pair, which is no text") from None
        self._ready()
        if key in self._loaded:
            self._loaded[key] = self._loaded.pop(key)
            return key
        # The worker is told which to let go, rather than to find the same by itself.
        dropped = list(self._loaded)[: max(0, len(self._loaded) + 1 - limits.WORKER_CONTRACTS_MAX)]
        for one in dropped:
            del self._loaded[one]
        _expect("loaded", self._exchange(["load", key, source, dropped]))
        self._loaded[key] = None
        return key

    def _ready(self) -> subprocess.Popen[bytes]:
        # One that owes an answer was left in the middle, by an error or an interrupt: it goes, or what it says next
        # would be taken for the answer to another question.
        if self._worker is not None and not self._owes and self._worker.poll() is None:
            return self._worker
        self._end()
        self._worker = worker = _spawn(self._folder)
        self._owes = True  # the word that it is ready
        while True:
            answer = self._receive(_START_S)
            match answer:
                case ["tell", str(line)]:
                    self._tell(line)
                case ["unfit", str(reason), str(hint)]:
                    self._end()
                    error = EngineUnfit(reason=reason)
                    error.hint = hint
                    raise error
                case _:
                    assert answer == ["ready"], "the worker says that it is ready"
                    self._owes = False
                    return worker

    def _exchange(self, message: list[Any]) -> list[Any]:
        """Send a message and wait for what it is answered with. A worker that is gone is not started anew here."""
        worker = self._worker
        assert worker is not None and worker.stdin is not None, "it was started, with a pipe"
        self._owes = True
        try:
            wire.send(worker.stdin.fileno(), message, timeout_s=limits.WORKER_SILENT_S)
        except wire.Closed:
            raise self._failed() from None
        except wire.Silent:
            raise self._silent(limits.WORKER_SILENT_S) from None
        answer = ["busy"]
        while answer == ["busy"]:
            answer = self._receive(limits.WORKER_SILENT_S)
        self._owes = answer[0] == "need"
        return answer

    def _receive(self, timeout_s: float) -> list[Any]:
        worker = self._worker
        assert worker is not None and worker.stdout is not None, "it was started with a pipe"
        try:
            answer = wire.receive(worker.stdout.fileno(), timeout_s=timeout_s)
        except wire.Closed:
            raise self._failed() from None
        except wire.Silent:
            raise self._silent(timeout_s) from None
        assert isinstance(answer, list), "messages are lists"
        if answer[0] == "failed":
            self._end()
            raise EngineFailed(reason=answer[1])
        return answer

    def _silent(self, timeout_s: float) -> EngineFailed:
        self._end()
        return EngineFailed(reason=f"said nothing for {timeout_s:.0f} seconds, and was stopped")

    def _failed(self) -> EngineFailed:
        worker = self._worker
        assert worker is not None, "one was there to fail"
        code = worker.wait()
        self._end()
        return EngineFailed(reason=f"was ended by signal {-code}" if code < 0 else f"ended with code {code}")

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        self._loaded.clear()
        self._owes = False
        if worker is not None:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    worker = children.start("contracts.engine.worker", str(folder.absolute()), stdin=subprocess.PIPE)
    assert worker.stdin is not None, "it was started with a pipe"
    os.set_blocking(worker.stdin.fileno(), False)  # one that reads no more must not hold its caller for ever
    return worker


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        raise AssertionError("what the engine is given is UTF-8") from cause


def _check_texts(records: Sequence[str]) -> None:
    try:
        for one in records:
            str.isascii(one) or str.encode(one)  # which is quicker for most
    except (TypeError, UnicodeEncodeError) as cause:
        raise AssertionError("records are text, and hold no half of a surrogate pair") from cause


def _expect(kind: str, answer: list[Any]) -> list[Any]:
    if answer[0] == "refused":
        raise ContractNotRunnable(reason=answer[1])
    assert answer[0] == kind, f"expected {kind}, got {answer[0]}"
    return answer[1:]


def _outcome(packed: list[Any]) -> Outcome:
    case, state, reason, fuel = packed
    return Outcome(case=case, state=state, reason=_reason(reason), fuel=fuel)


def _answer(packed: list[Any]) -> Answer:
    content, reason, fuel = packed
    return Answer(content=content, reason=_reason(reason), fuel=fuel)


def _reason(packed: list[Any] | None) -> Reason | None:
    if packed is None:
        return None
    kind, message, calls = packed
    return Reason(kind=kind, message=message, calls=tuple((name, line) for name, line in calls))
