"""Writes the part of docs/reference/cli.md that a program can write: exit codes, common options, every command.

`python -m tests.make_cli_reference` renews the page; test_cli_reference compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer.main

from node.cli.exits import MEANINGS
from node.cli.session import COMMON_PANEL
from node.cli.tree import app
from tests.source import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "cli.md"
MARKER: Final = "<!-- From here on written by `python -m tests.make_cli_reference`; a test compares. -->\n"


def commands() -> list[tuple[str, Any]]:
    """Every command that does something: its whole name, and the command; by name."""
    return sorted(_leaves(), key=lambda item: item[0])


def _leaves() -> Iterator[tuple[str, Any]]:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None:
            yield f"tally {name}", command
        else:
            yield from ((f"tally {name} {leaf}", found) for leaf, found in below.items())


def render() -> str:
    lines = ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    lines += ["", "## Common options", "", *_table(_common())]
    for name, command in commands():
        own = [param for param in command.params if not is_common(param)]
        lines += ["", f"## {name}", "", "```", _usage(name, own), "```", "", command.help]
        if own:
            lines += ["", *_table(own)]
        taken = [f"`{param.opts[0]}`" for param in command.params if is_common(param)]
        lines += ["", f"Common options: {', '.join(taken)}."]
    return "\n".join(lines) + "\n"


def write() -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(MARKER)] + MARKER + "\n" + render(), encoding="utf-8")


def is_common(param: Any) -> bool:
    return bool(param.rich_help_panel == COMMON_PANEL)


def _common() -> list[Any]:
    """Each common option once."""
    found = {param.name: param for _, command in commands() for param in command.params if is_common(param)}
    return sorted(found.values(), key=lambda param: param.opts[0])


def _usage(name: str, params: list[Any]) -> str:
    words = [name]
    for param in params:
        if param.param_type_name == "argument":
            word = param.metavar or param.name.upper()
            word += "..." if param.nargs != 1 else ""
            words.append(word if param.required else f"[{word}]")
        elif param.required:
            words.append(f"{param.opts[0]} ...")
    return " ".join([*words, "[OPTIONS]"])


def _table(params: list[Any]) -> list[str]:
    rows = ["| name | meaning | default |", "|---|---|---|"]
    for param in params:
        if param.param_type_name == "argument":
            shown = f"`{param.metavar or param.name.upper()}`"
        else:
            shown = ", ".join(f"`{text}`" for text in [*param.opts, *param.secondary_opts])
        help_text = (param.help or "").replace("|", "\\|")
        if param.envvar:
            help_text += f" Environment: `{param.envvar}`."
        rows.append(f"| {shown} | {help_text} | {_default(param)} |")
    return rows


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.default in (None, False, ()) or param.default == []:
        return ""
    return f"`{param.opts[0]}`" if param.default is True else f"`{param.default}`"


if __name__ == "__main__":
    write()
