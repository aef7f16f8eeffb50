"""Progress on stderr: a line that renews itself on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

from node.cli.output import Output

_TERMINAL_S: Final = 0.2
_PIPE_S: Final = 10.0


class Progress:
    """How far a file is. `with` ends the line. total_bytes: None where nobody knows, as of what is piped in."""

    def __init__(self, out: Output, *, total_bytes: int | None) -> None:
        self._out = out
        self._total = total_bytes
        self._is_terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def update(self, done_bytes: int, good: int, refused: int) -> None:
        """Show where it stands, if it is time to."""
        now = time.monotonic()
        if now - self._shown < (_TERMINAL_S if self._is_terminal else _PIPE_S):
            return
        self._shown = now
        share = None if self._total is None else done_bytes / max(self._total, 1)
        text = describe(share, good, refused, now - self._started)
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            self._out.say(text)


def describe(share: float | None, good: int, refused: int, seconds: float) -> str:
    """One line: how far, how many, how fast."""
    rate = (good + refused) / seconds if seconds > 0 else 0.0
    far = "" if share is None else f"{share:4.0%}  "
    return f"{far}{good:,} good, {refused:,} refused, {rate:,.0f}/s"
