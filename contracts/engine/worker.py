"""`python -m contracts.engine.worker FOLDER`: the process in which contracts run. It speaks `contracts.engine.wire`.

A process of its own, because a fault of the machine code, or a host without memory, must end it and nothing else:
no outcome is ever taken from how the host side fails. So what could fail here in silence is refused at the start.

Spec: docs/spec/contract-engine.md, "The worker".
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from contracts import limits
from contracts.engine import evaluating, programs, wire
from contracts.engine.answers import Reason
from contracts.engine.cache import open_compiled
from contracts.engine.errors import ContractNotRunnable, EngineFailed, EngineUnfit
from contracts.engine.host import check_host
from contracts.engine.machine import Instance, load_component, make_engine
from contracts.engine.outcomes import Answer, Outcome

_IN: Final = 0
_OUT: Final = 1
_NO_MEMORY: Final = 71
_BOUNDS: Final = (
    (resource.RLIMIT_AS, limits.WORKER_ADDRESS_BYTES),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_FSIZE, 1 << 20),  # its last words, where they go to a file
    (resource.RLIMIT_NOFILE, 64),
)
_BEAT_S: Final = 1.0


def main() -> None:
    try:
        check_host()
        serve(Path(sys.argv[1]))
    except EngineUnfit as cause:
        wire.send(_OUT, ["unfit", cause.fields["reason"], cause.hint])
    except EngineFailed as cause:
        wire.send(_OUT, ["failed", cause.fields["reason"]])
    except wire.Closed:
        pass
    except MemoryError:
        os._exit(_NO_MEMORY)


def serve(folder: Path) -> None:
    engine = make_engine()
    with open_compiled(folder, lambda line: wire.send(_OUT, ["tell", line])) as code:
        component = load_component(engine, code)
    confine()
    worker = _Worker(lambda: Instance(engine, component))
    wire.send(_OUT, ["ready"])
    while True:
        wire.send(_OUT, worker.answer(wire.receive(_IN)))


class _Worker:
    """Holds compiled contracts, those that the other end counts on: code by the key that it gave."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._codes: dict[str, str] = {}

    def answer(self, message: list[Any]) -> list[Any]:
        try:
            match message:
                case ["load", str(key), str(source), list(dropped)]:
                    for one in dropped:
                        del self._codes[one]
                    return self._load(key, source)
                case ["run", str(key), str(terms), list(records)]:
                    return self._run(key, terms, records)
                case ["cases", str(key), str(terms), list(records)]:
                    return ["cases", evaluating.find_cases(self._program(key, terms), records, _Beat())]
                case ["ask", str(key), str(terms), str(name), list(arguments)]:
                    return ["answers", [_pack_answer(one) for one in self._ask(key, terms, name, arguments)]]
        except ContractNotRunnable as cause:
            return ["refused", cause.fields["reason"]]
        raise AssertionError("the other end is this program, and sends what it can")

    def _load(self, key: str, source: str) -> list[Any]:
        instance = self._make()
        try:
            code = programs.translate(instance, source)
        finally:
            instance.close()
        instance = programs.Program(code=code, terms="{}", make=self._make).open()
        try:
            programs.rehearse(instance)
        finally:
            instance.close()
        self._codes[key] = code
        return ["loaded"]

    def _run(self, key: str, terms: str, records: list[str]) -> list[Any]:
        outcomes = evaluating.evaluate(self._program(key, terms), records, _lookup, _Beat())
        return ["done", [_pack(outcome) for outcome in outcomes]]

    def _ask(self, key: str, terms: str, name: str, arguments: list[str]) -> list[Answer]:
        return evaluating.ask(self._program(key, terms), name, arguments, _Beat())

    def _program(self, key: str, terms: str) -> programs.Program:
        return programs.Program(code=self._codes[key], terms=terms, make=self._make)


class _Beat:
    """Tells the other end, once in a while, that it is waiting for work and not for nothing."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()

    def __call__(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= _BEAT_S:
            self._told_s = now_s
            wire.send(_OUT, ["busy"])


def _lookup(cases: Sequence[str]) -> Sequence[bytes | None]:
    wire.send(_OUT, ["need", list(cases)])
    states = wire.receive(_IN)
    assert isinstance(states, list), "the other end answers with one state for each case"
    return states


def _pack(outcome: Outcome) -> list[Any]:
    reason = None if outcome.reason is None else _pack_reason(outcome.reason)
    return [outcome.case, outcome.state, reason, outcome.fuel]


def _pack_answer(answer: Answer) -> list[Any]:
    return [answer.content, None if answer.reason is None else _pack_reason(answer.reason), answer.fuel]


def _pack_reason(reason: Reason) -> list[Any]:
    return [reason.kind, reason.message, [list(call) for call in reason.calls]]


# --- the host ----------------------------------------------------------------------


def confine() -> None:
    """From here on: no large file written, no core dumped, few files open, an end to address space far above need."""
    for kind, bound in _BOUNDS:
        _, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


if __name__ == "__main__":
    main()
