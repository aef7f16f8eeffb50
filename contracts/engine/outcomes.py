"""What comes of an input, and of a question: for whoever asks the engine, and loads no machine for that.

Spec: docs/spec/contract-engine.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.engine.answers import Reason

Lookup = Callable[[Sequence[str]], Sequence[bytes | None]]
"""Cases -> the canonical state of each, None for one that is new. Asked once for a case in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an input: a new state of its case, or the reason for which it was rejected. fuel: instructions."""

    case: str | None
    state: bytes | None = None
    reason: Reason | None = None
    fuel: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a function answered, an object as canonical JSON, or why there is no answer."""

    content: bytes | None = None
    reason: Reason | None = None
    fuel: int = 0
