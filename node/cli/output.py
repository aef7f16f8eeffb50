"""What the command line prints: results on stdout, everything else on stderr.

With `--json` stdout carries JSON and nothing else. All that people read passes `clean`, and is
one line unless it was asked for as more: no text of a partner can move the cursor, hide a line or
make up one of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from ledger.errors import TallyError
from ledger.letters import has_hidden, is_hidden

if TYPE_CHECKING:
    from rich.console import Console

_NOT_ASCII: Final = re.compile("[^ -~]")
_PLAIN_NAME: Final = re.compile(r'[^\s"\\=]+\Z')
_PIPE_COLUMNS: Final = 4096  # A pipe has no width: nothing is cut there.


def clean(text: object) -> str:
    """`text` in one line, as it may be shown on a terminal: all that is no visible letter or space becomes an escape.

    So do line ends, tabs, whatever turns the direction of writing, and letters of no width.
    """
    return _escape(str(text), lambda letter: f"\\u{ord(letter):04x}" if letter <= "\uffff" else f"\\U{ord(letter):08x}")


def clean_json(text: str) -> str:
    """JSON text as it may be shown, its value unchanged: escapes in strings, and line ends as they are."""
    return "\n".join(_escape(line, lambda letter: json.dumps(letter)[1:-1]) for line in text.split("\n"))


def format_name(name: str) -> str:
    """The name of a field: as it is where it can be taken for nothing else, else as a JSON string."""
    if _PLAIN_NAME.match(name) and clean(name) == name:
        return name
    return clean_json(json.dumps(name, ensure_ascii=False))


def format_field(name: str, text: str) -> str:
    """A field in one line; `text` is the JSON of its value."""
    return f"{format_name(name)} = {clean_json(text)}"


def format_time(time_ms: int | None) -> str | None:
    """Unix milliseconds as people and machines read a time, in UTC."""
    if time_ms is None:
        return None
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"  # an author may claim any time


def count(number: int, thing: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Output:
    """Where one command writes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def emit(self, value: object) -> None:
        """One JSON value and a newline on stdout."""
        # A file name that is no UTF-8 has lone surrogates, which JSON writes as escapes.
        self.answer(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))

    def raw(self, content: bytes) -> None:
        """Bytes on stdout as they are."""
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError as cause:
            # Whoever reads has seen enough (`tally records list | head`). What is still buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from cause

    def answer(self, content: bytes) -> None:
        """JSON as it came, with every number text. A terminal gets what would steer it as escapes: the same values."""
        if sys.stdout.isatty():
            content = clean_json(content.decode("utf-8", "backslashreplace")).encode()
        self.raw(content.rstrip(b"\n") + b"\n")

    def line(self, text: object = "") -> None:
        """One line of a result for people."""
        self.raw(clean(text).encode("utf-8", "backslashreplace") + b"\n")

    def lines(self, text: str) -> None:
        """A text of several lines, such as a body or a source: nothing of ours may stand beside it."""
        for line in text.split("\n"):
            self.line(line.removesuffix("\r").expandtabs())

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

    def error(self, error: TallyError, *, where: object = None) -> None:
        """An error: what, code, hint. With `--json` also as one object on stdout. where: which of several files."""
        message = str(error) if where is None else f"{where}: {error}"
        self.say(f"error: {message}")
        self.say(f"  code: {error.code}")
        if error.hint:
            self.say(f"  hint: {error.hint}")
        if self.as_json:
            self.emit({"error": {"code": error.code, "message": message, "hint": error.hint}})


def _escape(text: str, escape: Callable[[str], str]) -> str:
    if not has_hidden(text):
        return text
    return _NOT_ASCII.sub(lambda found: escape(found[0]) if is_hidden(found[0]) else found[0], text)


def _console() -> Console:
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(markup=False, highlight=False, emoji=False)
    return Console(markup=False, highlight=False, emoji=False, width=_PIPE_COLUMNS, no_color=True)
