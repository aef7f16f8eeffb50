"""Random inputs for the contracts of the library: many orders, lots and things at once, most of them well behaved.

Drawn are the cases of the library's own files, each time under another name, one after another or at the same time.
Of every stream a part is left out, comes twice, comes too early, or says another number or another text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tests.plain_fold import Object, cases

INPUTS: Final = 300
"""Of a stream: more than one batch and several windows."""

_ODD_LETTERS: Final = ("é", "e\u0301", "\U0001f34e", '"\\', "\u2028", " ")


def draw_stream(name: str, draw: random.Random) -> tuple[list[dict[str, Any]], Object]:
    """Inputs for a contract of the library, and the terms by which they are meant to be folded."""
    file = cases(name)
    terms = draw.choice([case.get("terms", file["terms"]) for case in file["cases"] if _is_taken(case)])
    suited = [case for case in file["cases"] if case.get("terms", file["terms"]) == terms]
    names = {key for case in file["cases"] for key in case.get("states", {})}
    inputs: list[dict[str, Any]] = []
    while len(inputs) < INPUTS:
        drawn = [draw.choice(suited if draw.random() < 0.5 else file["cases"]) for _ in range(6)]
        copies = [
            [_renamed(step, {key: f"{key}{len(inputs):03}{at}" for key in names}) for step in case["steps"]]
            for at, case in enumerate(drawn)
        ]
        inputs += _merged(draw, [_spoiled(draw, steps) for steps in copies])
    return inputs[:INPUTS], terms


# --- inside ------------------------------------------------------------------------


def _is_taken(case: Object) -> bool:
    """Most of its steps are applied: other terms may be there to be refused."""
    return sum("rejected" in step for step in case["steps"]) * 3 < len(case["steps"])


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with other names wherever one stands as a whole text."""
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _merged(draw: random.Random, streams: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All of them at once, each in its own order."""
    turns = [at for at, stream in enumerate(streams) for _ in stream]
    draw.shuffle(turns)
    waiting = [iter(stream) for stream in streams]
    return [next(waiting[at]) for at in turns]


def _spoiled(draw: random.Random, steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Most steps as they are; some not at all, twice, before the one in front of them, or with another value."""
    found: list[dict[str, Any]] = []
    for step in steps:
        changed = {**step, "body": _altered(draw, step["body"])} if step["body"] and draw.random() < 0.15 else step
        found += [changed] * draw.choice((1,) * 18 + (0, 2))
        if len(found) > 1 and draw.random() < 0.04:
            found[-2:] = found[:-3:-1]
    return found


def _altered(draw: random.Random, value: Any) -> Any:
    """The same with another value at one place in it."""
    if isinstance(value, dict) and value:
        key = draw.choice(list(value))
        return {**value, key: _altered(draw, value[key])}
    if isinstance(value, list) and value:
        at = draw.randrange(len(value))
        return [*value[:at], _altered(draw, value[at]), *value[at + 1 :]]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return draw.choice((value + 1, value * 2, value - Decimal("0.01"), -value, value + Decimal("1E-9")))
    if isinstance(value, str):
        return draw.choice((value + draw.choice(_ODD_LETTERS), value[:-1]))
    return draw.choice((None, True, 0))
