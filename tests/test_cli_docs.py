"""Every `tally` command in the guides and the README is one that this program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.make_cli_reference import commands
from tests.source import ROOT

PAGES = [ROOT / "README.md", ROOT / "docs" / "reference" / "cli.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
COMMANDS: dict[str, Any] = dict(commands())


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words of each `tally ...` line in the fenced blocks and code spans of a page."""
    text = page.read_text(encoding="utf-8").split("<!-- From here on")[0]
    for block in re.findall(r"^```[a-z]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("tally "):
                yield shlex.split(line.removesuffix("&"), comments=True)
    for span in re.findall(r"`(tally [a-z][^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        yield shlex.split(span)


def complaint(words: list[str]) -> str:
    """What is wrong with a command line; empty if nothing is."""
    name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in COMMANDS), None)
    if name is None:
        return (
            "" if words[1].startswith("--") or any(key.startswith(" ".join(words)) for key in COMMANDS) else "unknown"
        )
    known = {option for param in COMMANDS[name].params for option in (*param.opts, *param.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word != "--help" and word not in known]
    return f"no {wrong[0]}" if wrong else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_docs_are_those_of_the_program(page: Path) -> None:
    found = list(command_lines(page))
    assert found
    assert [(" ".join(words), complaint(words)) for words in found if complaint(words)] == []


@pytest.mark.parametrize(("begin", "has_folder"), [("These need none", False), ("These need the folder", True)])
def test_the_page_lists_all_commands_that_need_no_running_node(begin: str, has_folder: bool) -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"{begin}[^:]*:([^;]*);", page)
    taken = {name: {param.opts[0] for param in command.params} for name, command in COMMANDS.items()}
    wanted = [name for name, options in taken.items() if "--url" not in options and ("--dir" in options) is has_folder]
    assert re.findall(r"`([^`]+)`", listed) == [name.removeprefix("tally ") for name in wanted]


@pytest.mark.parametrize("words", ["tally bogus", "tally charter bogus x", "tally verify x --bogus"])
def test_a_wrong_command_would_be_noticed(words: str) -> None:
    assert complaint(words.split())
