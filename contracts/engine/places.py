"""Where in an answer stands what it may not hold: for its author, once it is refused.

The text is whatever the guest wrote, and may be no JSON. So the search is one pass over so many letters, without
recursion, and where it finds nothing it says nothing.

Spec: docs/spec/contract-engine.md, "Answers".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ledger import limits as ledger_limits
from ledger.fields import encode_pointer

_LETTERS_LOOKED_AT: Final = 256 << 10
_PLACE_LETTERS_MAX: Final = 200
_PIECE: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},:]|[^\s"\[\]{},:]+', re.DOTALL)


def find_place(answer: str, is_fine: Callable[[str], bool]) -> str:
    """` at /lines/3/price`: the first value that is not fine, or nested too deep. Empty if there is none.

    is_fine: asked of every value that is no container, as it is written, and of every key with its `:`.
    """
    steps: list[str | int] = []  # of each container that is open: the key or place that the next value has in it
    is_key = False
    for found in _PIECE.finditer(answer, 0, _LETTERS_LOOKED_AT):
        piece = found[0]
        match piece:
            case "{" | "[":
                if len(steps) == ledger_limits.JSON_DEPTH:
                    return _told(steps)
                steps.append("" if piece == "{" else 0)
                is_key = piece == "{"
            case "}" | "]":
                del steps[-1:]
                is_key = False
            case ",":
                last = steps[-1] if steps else None
                is_key = isinstance(last, str)
                if isinstance(last, int):
                    steps[-1] = last + 1
            case ":":
                is_key = False
            case _:
                if is_key and steps:
                    steps[-1] = piece.strip('"').removeprefix("\\ud800")
                if not is_fine(piece + ":" * is_key):
                    return _told(steps)
    return ""


def _told(steps: list[str | int]) -> str:
    place = encode_pointer(map(str, steps))
    if not place.isascii() or len(place) > _PLACE_LETTERS_MAX:
        place = f"{place[:_PLACE_LETTERS_MAX].encode('ascii', 'backslashreplace').decode()} ..."
    return f" at {place}" if steps else ""
