"""`python -m tests.hostile.session NEIGHBOURS [NAME ...]`: run hostile programs in one worker, print what came of it.

Each runs twice: alone, and with honest inputs before and behind it in one batch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.engine import ContractNotRunnable, Engine, Outcome
from contracts.engine.programs import TRAPS
from tests.hostile import Program, read_programs

_TRAP_OF = {sentence: kind for kind, sentence in TRAPS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended. alone: all that there is to tell, fuel included. neighbours: states before and behind it."""

    kind: str
    alone: str
    beside: str
    neighbours: list[str]
    seconds: float


def run(engine: Engine, program: Program, *, before: int) -> Ran:
    began = time.perf_counter()
    try:
        (alone,) = engine.run(program.source, b'{"price":7}', [_record("A", 0)], _nothing)
    except ContractNotRunnable as cause:
        seconds = time.perf_counter() - began
        return Ran(kind="refused", alone=str(cause), beside="", neighbours=[], seconds=seconds)
    records = [_record("A" if at == before else "C", at) for at in range(before + 2)]
    outcomes = engine.run(program.source, b'{"price":7}', records, _nothing)
    seconds = time.perf_counter() - began
    beside = outcomes.pop(before)
    return Ran(
        kind=kind_of(alone),
        alone=repr(alone),
        beside=repr((beside.state, beside.reason)) if kind_of(beside) == kind_of(alone) else kind_of(beside),
        neighbours=[one.state.decode() if one.state else repr(one.reason) for one in outcomes],
        seconds=seconds,
    )


def kind_of(outcome: Outcome) -> str:
    if outcome.state is not None:
        return outcome.state.decode()
    assert outcome.reason is not None, "there is a state or a reason"
    match outcome.reason.kind:
        case "trap":
            return f"trap {_TRAP_OF[outcome.reason.message]}"
        case "answer":
            return "answer"
        case kind:
            return f"raised {kind}"


def peak_bytes(engine: Engine) -> int:
    """The most memory that the worker ever had."""
    assert engine._worker is not None, "it ran something"
    status = Path(f"/proc/{engine._worker.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def _record(case: str, position: int) -> str:
    body = {"case": case, "attack": True} if case == "A" else {"case": case}
    sequence = {"time": "2026-01-01T00:00:00.000Z", "position": position}
    record = {"id": f"r-{position}", "author": "buyer.example", "role": "buyer", "type": "order", "body": body}
    return json.dumps(record | {"links": [], "time": sequence["time"], "sequence": sequence})


def _nothing(cases: Iterable[str]) -> list[bytes | None]:
    return [None for _ in cases]


def main() -> None:
    before, names = int(sys.argv[1]), sys.argv[2:]
    programs = read_programs()
    if before % 2:  # so that other programs ran before each
        programs = dict(reversed(programs.items()))
    with Engine() as engine:
        for name in names or programs:
            sys.stdout.write(json.dumps([name, asdict(run(engine, programs[name], before=before))]) + "\n")
            sys.stdout.flush()
        sys.stdout.write(json.dumps(["", {"peak_bytes": peak_bytes(engine)}]) + "\n")


if __name__ == "__main__":
    main()
