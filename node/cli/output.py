"""What the command line prints: results on stdout, everything else on stderr.

With `--json` stdout carries JSON and nothing else. Texts of partners are shown without their
control characters, so that no record can move the cursor or hide a line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from ledger.errors import TallyError

if TYPE_CHECKING:
    from rich.console import Console

# C0 without tab and newline, DEL, C1, line and paragraph separators, and the marks that reverse a line.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PIPE_COLUMNS: Final = 4096  # A pipe has no width: nothing is cut there.


def clean(text: object) -> str:
    """`text` as it may be shown on a terminal: control characters are written as escapes."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def format_time(time_ms: int | None) -> str | None:
    """Unix milliseconds as people and machines read a time, in UTC."""
    if time_ms is None:
        return None
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"  # an author may claim any time


class Output:
    """Where one command writes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def emit(self, value: object) -> None:
        """One JSON value and a newline on stdout."""
        self.raw(json.dumps(value, ensure_ascii=False).encode() + b"\n")

    def raw(self, content: bytes) -> None:
        """Bytes on stdout as they are: JSON of the node keeps every number text."""
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError as cause:
            # Whoever reads has seen enough (`tally records list | head`). What is still buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from cause

    def answer(self, content: bytes) -> None:
        """JSON of the node, as it came."""
        self.raw(content.rstrip(b"\n") + b"\n")

    def line(self, text: object = "") -> None:
        """One line of a result for people."""
        self.raw(clean(text).encode("utf-8", "backslashreplace") + b"\n")

    def say(self, text: object) -> None:
        """One line that is not the result, on stderr."""
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()

    def pairs(self, values: Mapping[str, object]) -> None:
        """Names and values, one a line, aligned."""
        width = max(map(len, values), default=0)
        for name, value in values.items():
            self.line(f"{name:<{width}}  {'-' if value is None else value}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under headings; on a terminal fitted to its width, in a pipe never cut."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text("-" if cell is None else clean(cell)) for cell in row))
        console = _console()
        with console.capture() as capture:
            console.print(table)
        text = "\n".join(line.rstrip() for line in capture.get().splitlines())
        self.raw(text.encode("utf-8", "backslashreplace") + b"\n")

    def error(self, error: TallyError) -> None:
        """An error: what, code, hint. With `--json` also as one object on stdout."""
        self.say(f"error: {error}")
        self.say(f"  code: {error.code}")
        if error.hint:
            self.say(f"  hint: {error.hint}")
        if self.as_json:
            self.emit({"error": {"code": error.code, "message": str(error), "hint": error.hint}})


def _console() -> Console:
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(markup=False, highlight=False, emoji=False)
    return Console(markup=False, highlight=False, emoji=False, width=_PIPE_COLUMNS, no_color=True)
