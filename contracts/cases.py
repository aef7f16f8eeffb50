"""Running the cases of a contract: every case in a fold of its own, and whatever came out otherwise is told.

Spec: docs/spec/contract-cases.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.casefile import Case
from contracts.engine import Engine, Reason
from contracts.folding import Filed, Fold
from contracts.wording import describe_reason, encode_value, find_function
from ledger.fields import cut
from ledger.jsontext import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that came out otherwise. where: path in the case. reason: the contract's own, where it gave one.

    function: the one of the contract that gave it, or was at work when it was stopped.
    """

    where: str
    expected: str
    got: str
    reason: Reason | None = None
    function: str | None = None


def run_case(engine: Engine, text: str, case: Case) -> list[Failure]:
    """Fold the steps of one case and compare. Empty if all came as expected.

    Raises: ContractNotRunnable, EngineFailed, EngineUnfit.
    """
    fold = Fold(engine, text, case.terms)
    filed = fold.file([step.one for step in case.steps])
    return [
        *_check_steps(case, filed),
        *_check_reads(case, filed),
        *_check_states(fold.states, case),
        *_check_summaries(fold, case),
    ]


# --- inside ------------------------------------------------------------------------


def _check_steps(case: Case, filed: Sequence[Filed]) -> Iterator[Failure]:
    for number, (step, one) in enumerate(zip(case.steps, filed, strict=True)):
        reason = one.outcome.reason
        got = "applied" if reason is None else f"rejected: {describe_reason(reason)}"
        asked = None if reason is None else find_function(one)
        if step.rejected is None:
            if reason is not None:
                yield Failure(where=f"steps[{number}]", expected="applied", got=got, reason=reason, function=asked)
        elif reason is None or step.rejected not in describe_reason(reason):
            expected = f"rejected: {step.rejected}"
            yield Failure(where=f"steps[{number}]", expected=expected, got=got, reason=reason, function=asked)


def _check_reads(case: Case, filed: Sequence[Filed]) -> Iterator[Failure]:
    for number, (step, one) in enumerate(zip(case.steps, filed, strict=True)):
        readings = cut(step.one.body, one.rules) if step.reads else []
        for role, expected in step.reads.items():
            got = [name for name, _, roles in readings if role in roles]
            if expected != set(got):
                where = f"steps[{number}].reads.{role}"
                yield Failure(where=where, expected=_listed(sorted(expected)), got=_listed(got))


def _check_states(states: Mapping[str, bytes], case: Case) -> Iterator[Failure]:
    for name, expected in case.states.items():
        where = f"states[{name!r}]"
        if expected is None:
            if name in states:
                yield Failure(where=where, expected="no state", got=states[name].decode())
        elif name not in states:
            others = ", ".join([repr(other) for other in sorted(states)[:10]])
            there = f"there are states of {others}" if others else "no case has one"
            yield Failure(where=where, expected="a state", got=f"none; {there}")
        else:
            yield from _compare_members(where, expected, parse(states[name]))


def _check_summaries(fold: Fold, case: Case) -> Iterator[Failure]:
    known = [name for name in case.summaries if name in fold.states]
    found = fold.summaries(known) if "summary" in fold.source.functions else {}
    for name, expected in case.summaries.items():
        where = f"summaries[{name!r}]"
        got = found.get(name)
        if got is None:
            why = "none: it has no state" if name not in fold.states else "none: the contract has no function summary"
            yield Failure(where=where, expected="a summary", got=why)
        elif isinstance(got, Reason):
            said = f"summary fails: {describe_reason(got)}"
            yield Failure(where=where, expected="a summary", got=said, reason=got, function="summary")
        else:
            yield from _compare_members(where, expected, got)


def _compare_members(where: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[Failure]:
    """The members that are named; others may be there."""
    for name, value in expected.items():
        if name not in got:
            yield Failure(where=f"{where}.{name}", expected=encode_value(value), got="no such member")
        else:
            yield from _compare(f"{where}.{name}", value, got[name])


def _compare(where: str, expected: Any, got: Any) -> Iterator[Failure]:
    """Numbers by value: 12.5 is 12.50, and neither is a text or true."""
    if isinstance(expected, dict) and isinstance(got, dict):
        yield from _compare_members(where, expected, got)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for number, (wanted, one) in enumerate(zip(expected, got, strict=True)):
            yield from _compare(f"{where}[{number}]", wanted, one)
    elif _kind(expected) != _kind(got) or expected != got:
        yield Failure(where=where, expected=encode_value(expected), got=encode_value(got))


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) if names else "nothing"


def _kind(value: Any) -> type:
    return Decimal if isinstance(value, int) and not isinstance(value, bool) else type(value)
