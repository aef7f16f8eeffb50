"""Two versions of a contract on the same inputs: where states, rejections and disclosure differ.

Spec: docs/spec/contract-cases.md, "Comparing".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import limits
from contracts.disclosing import Disclosure, compare_rules
from contracts.engine import Answer, Engine, Reason
from contracts.folding import Columns, Fold
from contracts.streaming import Line, Lines
from contracts.wording import describe_reason, encode_value
from ledger.fields import encode_pointer
from ledger.jsontext import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A contract and its terms."""

    text: str
    terms: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A part of a case's state or summary that differs, path empty: the whole. sides: `old`, `new`, if it is there."""

    case: str
    path: str
    sides: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An input on which the two disagree: rejected by one alone, or by each for another reason."""

    line: int
    old: Reason | None
    new: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """OLD's final states, taken over by NEW's `migrate`."""

    states: Mapping[str, bytes]
    failed: Mapping[str, Reason]


class Comparison:
    """Folds the same stream under two contracts. `name`: of the stream, for errors."""

    def __init__(self, engine: Engine, old: Version, new: Version, name: str) -> None:
        self.old = Fold(engine, old.text, old.terms)
        self.new = Fold(engine, new.text, new.terms)
        self.rules = compare_rules(self.old.source, self.new.source)
        self.turns: list[Turn] = []
        self.disclosure = Disclosure()
        self._engine = engine
        self._target = new
        self._lines = Lines([self.old.source, self.new.source], name)

    @property
    def inputs(self) -> int:
        return self._lines.count

    @property
    def can_migrate(self) -> bool:
        return "migrate" in self.new.source.functions

    def add(self, lines: Sequence[Line]) -> None:
        """Raises: InputMalformed, ContractNotRunnable, EngineFailed, EngineUnfit."""
        rows = self._lines.decode(lines)
        inputs = [one for _, one in rows]
        for (line, one), old, new in zip(rows, self.old.file(inputs), self.new.file(inputs), strict=True):
            before, after = old.outcome.reason, new.outcome.reason
            if _said(before) != _said(after):
                self.turns.append(Turn(line=line, old=before, new=after))
            self.disclosure.add(line, one, old.rules, new.rules)

    def carry_over(self) -> Carried:
        """Hand OLD's states to NEW's `migrate`, as the members do when they replace the contract."""
        assert self.can_migrate, "the caller looked"
        cases, states, failed = sorted(self.old.states), dict[str, bytes](), dict[str, Reason]()
        for start in range(0, len(cases), limits.BATCH_INPUTS_MAX):
            part = cases[start : start + limits.BATCH_INPUTS_MAX]
            arguments = [b"[%b,%b]" % (self.old.states[case], self._target.terms) for case in part]
            answers = self._engine.ask(self._target.text, self._target.terms, "migrate", arguments)
            for case, answer in zip(part, answers, strict=True):
                state = _read_state(answer)
                if isinstance(state, Reason):
                    failed[case] = state
                else:
                    states[case] = state
        return Carried(states=states, failed=failed)

    def states(self, carried: Carried | None = None) -> list[StateChange]:
        """Where the final states differ; of OLD's states those that were carried over, if they were."""
        old = self.old.states if carried is None else carried.states
        left_out = frozenset() if carried is None else carried.failed.keys()
        return [
            change
            for case in sorted(old.keys() | self.new.states.keys())
            if case not in left_out
            for change in _compare_state(case, old.get(case), self.new.states.get(case))
        ]

    def summaries(self) -> list[StateChange]:
        """Columns that differ, by their names, of the cases that both have; nothing if one has no `summary`."""
        if not all("summary" in fold.source.functions for fold in (self.old, self.new)):
            return []
        cases, found = sorted(self.old.states.keys() & self.new.states.keys()), list[StateChange]()
        for start in range(0, len(cases), limits.BATCH_INPUTS_MAX):
            part = cases[start : start + limits.BATCH_INPUTS_MAX]
            old, new = self.old.summaries(part), self.new.summaries(part)
            for case in part:
                for path, sides in _walk((), _columns(old[case]), _columns(new[case])):
                    found.append(StateChange(case=case, path=encode_pointer(path), sides=sides))
        return found


# --- inside ------------------------------------------------------------------------


def _columns(told: Columns | Reason) -> Any:
    return describe_reason(told) if isinstance(told, Reason) else told


def _said(reason: Reason | None) -> str | None:
    """What counts as the same reason: lines of two files always differ."""
    return None if reason is None else describe_reason(reason)


def _read_state(answer: Answer) -> bytes | Reason:
    if answer.content is None:
        assert answer.reason is not None, "there is an answer or a reason"
        return answer.reason
    return answer.content


def _compare_state(case: str, old: bytes | None, new: bytes | None) -> Iterator[StateChange]:
    if old == new:
        return
    sides = {name: parse(state) for name, state in (("old", old), ("new", new)) if state is not None}
    if len(sides) == 1:
        yield StateChange(case=case, path="", sides=sides)
        return
    for path, found in _walk((), sides["old"], sides["new"]):
        yield StateChange(case=case, path=encode_pointer(path), sides=found)


def _walk(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The innermost parts that differ: numbers by their digits, as they are hashed."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = ({str(index): item for index, item in enumerate(side)} for side in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            if name in old and name in new:
                yield from _walk((*path, name), old[name], new[name])
            else:
                sides = ("old", old), ("new", new)
                yield (*path, name), {key: side[name] for key, side in sides if name in side}
    elif type(old) is not type(new) or encode_value(old) != encode_value(new):
        yield path, {"old": old, "new": new}
