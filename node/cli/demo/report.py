"""What the demo says: steps, tables and commands, for people; on stderr where stdout is for JSON."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node.cli.client import PREFIX
from node.founding import ADMIN_TOKEN_NAME

if TYPE_CHECKING:
    from node.cli.demo.firms import Firm


class Story:
    """A console with three kinds of sentences."""

    def __init__(self, *, as_json: bool) -> None:
        self._console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._step = 0

    def step(self, text: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}. {escape(text)}[/]")

    def say(self, text: str) -> None:
        self._console.print(f"   {escape(text)}")

    def good(self, text: str) -> None:
        self._console.print(f"   [green]✓[/] {escape(text)}")

    def bad(self, text: str) -> None:
        self._console.print(f"   [red]✗[/] {escape(text)}")

    def verdict(self, *, holds: bool, text: str) -> None:
        if holds:
            self.good(text)
        else:
            self.bad(text)

    def command(self, words: Sequence[str]) -> None:
        self._console.print(f"   [dim]$ {escape(' '.join(words))}[/]")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        table = Table(*head, box=None, padding=(0, 2), header_style="bold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self._console.print(table)

    def last_words(self, firms: Sequence[Firm]) -> None:
        """What the nodes logged last: their folders go, and what went wrong may stand nowhere else."""
        for firm in firms:
            for line in firm.last_words():
                self.say(f"{firm.name}: {line}")

    def invite(self, firms: Sequence[Firm], folder: Path) -> None:
        self.step("The nodes stay up. Try them; Ctrl-C ends them and removes what they stored")
        # A checkout has `tally` in .venv only; what is printed is to run as it stands.
        tally = "tally" if shutil.which("tally") else f"{shlex.quote(sys.executable)} -m node.cli"
        for firm in firms:
            here = folder / firm.name
            token = shlex.quote(str(here / ADMIN_TOKEN_NAME))
            self.say(f"{firm.name:10} {firm.url}/health")
            self.say(f"  $ {tally} records list --dir {shlex.quote(str(here))}")
            self.say(f'  $ curl -H "Authorization: Bearer $(cat {token})" {firm.url}{PREFIX}/status')
