"""In which order UBL documents become inputs: by their own dates, as file names sort a receipt before its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from ledger.errors import TallyError

_first: Final = itemgetter(0)
_ORDER: Final = "order"
_MIDNIGHT: Final = "T00:00:00.000Z"  # what a document has that tells its day alone
_DAY_LETTERS: Final = len("2026-01-31")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What one path became: a line, or why it became none. time: as in the line; None where it says none.

    orders: that it names; an order names itself.
    """

    path: Path
    type: str = ""
    time: str | None = None
    orders: frozenset[str] = frozenset()
    line: bytes | TallyError


def arrange(given: Sequence[Waiting]) -> list[Waiting]:
    """By days; what has none stays behind what was before it. Orders go before the first document that names them.

    Within a day the hour counts only if each tells one: else they stay as they are given.
    """
    days, day = list[tuple[str, Waiting]](), ""
    for one in given:
        day = one.time[:_DAY_LETTERS] if one.time is not None else day
        days.append((day, one))
    arranged: list[Waiting] = []
    for _, group in groupby(sorted(days, key=_first), key=_first):
        ones = [one for _, one in group]
        if all(one.time is not None and not one.time.endswith(_MIDNIGHT) for one in ones):
            ones.sort(key=lambda one: one.time or "")
        arranged += ones
    return _orders_first(arranged)


def _orders_first(arranged: Sequence[Waiting]) -> list[Waiting]:
    """Whatever the dates say: a receipt may be dated before its order, and is of no use before it."""
    named: dict[str, int] = {}
    for at, one in enumerate(arranged):
        for order in one.orders:
            named.setdefault(order, at)
    places = [
        (min((named[order] for order in one.orders), default=at), 0) if one.type == _ORDER else (at, 1)
        for at, one in enumerate(arranged)
    ]
    return [one for _, one in sorted(zip(places, arranged, strict=True), key=_first)]
