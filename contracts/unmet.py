"""Patterns of SHARES that no field of any input met: what is misspelt there shares nothing, and nobody would notice.

Spec: docs/spec/contract-cases.md, "Inputs".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from contracts.inputs import Input
from contracts.source.literals import read_outline
from contracts.source.spelling import find_close
from ledger.fields import decode_pointer, encode_pointer

_BODIES_MAX: Final = 50  # of each type, of which the names are kept
_NAMES_MAX: Final = 4_096  # of parts, kept of each type
_BESIDE_MAX: Final = 256  # names in one place: more are keys, and each is compared with each pattern that is not met
_parse: Final = msgspec.json.Decoder(float_hook=str).decode

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A pattern that nothing met, and its line. close: what was seen that is nearly it, and that no pattern names."""

    type: str
    pattern: str
    line: int
    close: str | None


class Meeting:
    """Gathers, input by input, which patterns of a contract are met. Types of which no input came are left out.

    text: of the contract, which `read_source` took.
    """

    def __init__(self, text: str) -> None:
        outline, _ = read_outline(text)
        assert outline is not None, "the contract was read before"
        self._lines = {
            (kind, pattern): row.line for kind, rows in outline.shares.items() for pattern, row in rows.items()
        }
        self._all: dict[str, dict[str, Steps]] = {}
        for kind, pattern in self._lines:
            self._all.setdefault(kind, {})[pattern] = decode_pointer(pattern)
        self._open = {kind: dict(patterns) for kind, patterns in self._all.items()}  # not met yet
        self._seen: dict[str, set[Steps]] = {}  # type -> names of parts
        self._bodies: dict[str, int] = {}

    def add(self, inputs: Iterable[Input]) -> None:
        for one in inputs:
            waiting = self._open.get(one.type)
            if waiting is None:
                continue
            count = self._bodies[one.type] = self._bodies.get(one.type, 0) + 1
            if not waiting:
                continue
            body = _parse(one.body)
            for pattern in [pattern for pattern, steps in waiting.items() if _is_met(body, steps)]:
                del waiting[pattern]
            if count <= _BODIES_MAX:
                self._remember(one.type, body)

    def unmet(self) -> list[Unmet]:
        """In the order of the file."""
        return [
            Unmet(type=kind, pattern=pattern, line=self._lines[kind, pattern], close=self._find_close(kind, steps))
            for kind, patterns in self._open.items()
            if kind in self._bodies
            for pattern, steps in patterns.items()
        ]

    # --- inside ---

    def _remember(self, kind: str, body: Any) -> None:
        seen = self._seen.setdefault(kind, set())
        for name in _names(body):
            if len(seen) >= _NAMES_MAX:
                return
            seen.add(name)

    def _find_close(self, kind: str, steps: Steps) -> str | None:
        """The pattern with its first step that is nowhere written as one that is nearly it, if that is nobody's."""
        seen = self._seen.get(kind, set())
        reached: set[Steps] = {()}
        for at, step in enumerate(steps):
            here = {name for name in seen if len(name) == at + 1 and name[:-1] in reached}
            further = {name for name in here if step in ("*", name[-1])}
            if not further:
                taken = {other[at] for other in self._all[kind].values() if len(other) > at}
                beside = {name[-1] for name in here} - taken - {"*"}
                close = find_close(step, beside) if len(beside) <= _BESIDE_MAX else None
                return None if close is None else encode_pointer((*steps[:at], close, *steps[at + 1 :]))
            reached = further
        return None


def _is_met(value: Any, steps: Steps) -> bool:
    """Whether the body has a part of which the pattern is the name."""
    for at, step in enumerate(steps):
        if isinstance(value, list) or (isinstance(value, dict) and step == "*"):
            inner = value if isinstance(value, list) else value.values()
            return step == "*" and any(_is_met(item, steps[at + 1 :]) for item in inner)
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _names(value: Any) -> Iterator[Steps]:
    """The names of all parts, with `*` for the places of lists; outer ones first."""
    waiting: list[tuple[Steps, Any]] = [((), value)]
    for steps, part in waiting:  # which grows meanwhile
        inner = part.items() if isinstance(part, dict) else [("*", item) for item in part]
        for name, item in inner:
            yield (*steps, name)
            if isinstance(item, dict | list):
                waiting.append(((*steps, name), item))
