"""A name that is not known, and the one that it is nearly the same as.

Spec: docs/spec/contract-source.md, "Findings".
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_CLOSE_LENGTH_MAX: Final = 80  # of a word that is compared with those that are known


def find_close(text: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is nearly `text`, if there is one."""
    if len(text) > _CLOSE_LENGTH_MAX:
        return None
    short = sorted(name for name in known if len(name) <= _CLOSE_LENGTH_MAX)
    return next(iter(get_close_matches(text, short, n=1)), None)


def suggest(text: str, known: Iterable[str], otherwise: str) -> str:
    """What to write in place of a name that is not known."""
    close = find_close(text, known)
    return f"correct the name, or {otherwise}" if close is None else f"write {close!a}, or {otherwise}"
