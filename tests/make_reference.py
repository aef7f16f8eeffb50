"""Writes what a program can of docs: the tables of settings and limits, and the list of decisions.

`python -m tests.make_reference` renews the pages; `tests/docs_check.py` compares.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic_core import PydanticUndefined

from contracts import limits as contract_limits
from ledger import limits
from node.config import Settings
from tests.source import ROOT

REFERENCE: Final = ROOT / "docs" / "reference"
MARKER: Final = "<!-- From here on written by `python -m tests.make_reference`; `make check` compares. -->\n"


def pages() -> dict[Path, str]:
    """Each page that is written here, and what its written part must be."""
    return {
        REFERENCE / "settings.md": render_settings(),
        REFERENCE / "limits.md": render_limits(),
        ROOT / "docs" / "index.md": render_decisions(),
    }


def render_settings() -> str:
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "required" if field.default is PydanticUndefined else _shown(field.default)
        rows.append(f"| `{name}` | `TALLY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def render_limits() -> str:
    parts = []
    for title, module in (("Of the protocol", limits), ("Of contracts that run", contract_limits)):
        parts += [f"## {title}", "", "| constant | value | of what, and why |", "|---|---|---|"]
        parts += [
            f"| `{name}` | {_number(value)} | {' '.join(note.split())} |" for name, value, note in constants(module)
        ]
        parts.append("")
    return "\n".join(parts[:-1]) + "\n"


def render_decisions() -> str:
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in found]
    return "".join(f"- [{title}](decisions/{path.name})\n" for title, path in zip(titles, found, strict=True))


def constants(module: ModuleType) -> Iterator[tuple[str, Any, str]]:
    """Name, value and docstring of every constant of a module of limits, in its order."""
    tree = ast.parse((ROOT / f"{module.__name__.replace('.', '/')}.py").read_text(encoding="utf-8"))
    for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_note = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            note = str(after.value.value) if is_note else ""  # type: ignore[union-attr]
            yield statement.target.id, getattr(module, statement.target.id), note


def written_part(path: Path) -> str | None:
    """What stands behind the marker of a page; None without a marker."""
    _, marker, rest = path.read_text(encoding="utf-8").partition(MARKER)
    return rest.removeprefix("\n") if marker else None


def write() -> None:
    for path, text in pages().items():
        head = path.read_text(encoding="utf-8").partition(MARKER)[0]
        path.write_text(head + MARKER + "\n" + text, encoding="utf-8")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"`{value}`" if not isinstance(value, float) else f"`{value:g}`"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


if __name__ == "__main__":
    write()
