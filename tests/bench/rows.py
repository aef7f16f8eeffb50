"""What a benchmark says: one row per figure, as a table for people or as JSON for programs (`schema.json`)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

SCHEMA: Final[Any] = json.loads((Path(__file__).parent / "schema.json").read_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. spread: smallest and largest of the rounds. ratio: to what the row's `goal` or name says, if any.

    goal, met: None where nothing was asked for; `met` is None also where what it is compared with could not be had.
    """

    name: str
    median: float
    unit: str
    spread: tuple[float, float]
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


def at_least(least: float, *, of: str = "median") -> Callable[[Row], Row]:
    """Judge a row by its `median` or its `ratio`."""
    return lambda row: _judged(row, f"{of} >= {least:g}", of, lambda value: value >= least)


def at_most(most: float, *, of: str = "median") -> Callable[[Row], Row]:
    """Judge a row by its `median` or its `ratio`."""
    return lambda row: _judged(row, f"{of} <= {most:g}", of, lambda value: value <= most)


def make_row(name: str, values: Sequence[float], unit: str, *, ratio: float | None = None) -> Row:
    """A row of several rounds, rounded to four digits: more would be noise."""
    low, high = min(values), max(values)
    return Row(
        name=name,
        median=_rounded(statistics.median(values)),
        unit=unit,
        spread=(_rounded(low), _rounded(high)),
        ratio=None if ratio is None else _rounded(ratio),
    )


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Median of the ratios of rounds that ran one after the other; None if there was nothing to compare with."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return statistics.median(pairs) if pairs else None


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The value that `percent` of a hundred are not above."""
    return ascending[min(len(ascending) * percent // 100, len(ascending) - 1)]


def encode_rows(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2)


def show_rows(rows: Sequence[Row], console: Console) -> None:
    table = Table("", "median", "", "lowest to highest", "ratio", "goal", "met", box=None, header_style="bold")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.median:,g}",
            row.unit,
            f"{row.spread[0]:,g} to {row.spread[1]:,g}",
            "" if row.ratio is None else f"{row.ratio:g}",
            row.goal or "",
            {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.met],
        )
    console.print(table)


def _judged(row: Row, goal: str, of: str, holds: Callable[[float], bool]) -> Row:
    value: float | None = getattr(row, of)
    fields = asdict(row) | {"goal": goal, "met": None if value is None else holds(value)}
    return Row(**fields)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
