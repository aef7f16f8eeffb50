"""The project's own source, parsed: what the tests on layers and budgets look at."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("ledger", "contracts", "node")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file of the project."""

    path: str
    """Relative to the project, with slashes."""
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def is_in(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below `folders`, in order of path, save for programs that run only in the sandbox."""
    found = []
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if not path.startswith(("contracts/library/", "contracts/guest/")):
                text = file.read_text()
                found.append(Module(path, text, ast.parse(text, path)))
    return tuple(found)


def docstrings(module: Module) -> Iterator[str]:
    """The docstring of the module, and those of its classes and functions."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""


def imports(module: Module) -> Iterator[str]:
    """Dotted names that `module` imports; `from a import b` gives `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def calls(module: Module) -> Iterator[tuple[str, int]]:
    """Dotted name and line of every call, as written: `open`, `datetime.now`, `.now` on anything else."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, node.lineno
            elif isinstance(node.func, ast.Attribute):
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                yield f"{owner}.{node.func.attr}", node.lineno


def functions(module: Module) -> Iterator[tuple[str, Function]]:
    """Every function with its dotted name inside the module: `Store.open`, `outer.inner`."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, Function | ast.ClassDef):
                name = f"{prefix}.{child.name}".lstrip(".")
            if isinstance(child, Function):
                yield name, child
            yield from walk(child, name)

    return walk(module.tree, "")


def docstring_lines(tree: ast.AST) -> set[int]:
    """Lines of bare strings: docstrings, and those that stand below a constant or a field."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def comment_lines(text: str) -> set[int]:
    """Lines that hold a comment, those for tools (`noqa`, `type: ignore`) not counted."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        token.start[0]
        for token in tokens
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:", "# fmt:"))
    }
