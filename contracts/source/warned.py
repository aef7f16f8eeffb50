"""What Python itself warns of. The engine makes errors of these warnings, as in it nobody would see them.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.literals import Finding, find_warnings
from contracts.source.scopes import Code

_ALIKE: Final = (str, bytes, int)
"""Constants of which Python may make one object or two, so that `is` answers by chance."""


def check_warned(text: str, code: Code) -> Iterator[Finding]:
    for line, message in find_warnings(text):
        yield _error(line, f"Python warns: {message[:200]}", 'write the text with r in front: r"\\d"')
    for node in code.all(ast.Compare):
        sides = [node.left, *node.comparators]
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops) and any(_is_alike(side) for side in sides):
            yield _error(node.lineno, "`is` asks for the same object, not for the same value", "write ==")
    for stated in code.all(ast.Assert):
        if isinstance(stated.test, ast.Tuple) and stated.test.elts:
            yield _error(stated.lineno, "a tuple is always true, so this asserts nothing", "leave the brackets out")


def _is_alike(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, _ALIKE) and not isinstance(node.value, bool)


def _error(line: int, message: str, instead: str) -> Finding:
    return Finding(line=line, code="python-warns", message=message, instead=instead)
