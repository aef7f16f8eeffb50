"""Which terms the code asks for, by the lines in which it does.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

import ast

from contracts.source.literals import read_outline


def find_terms_lines(text: str) -> frozenset[int]:
    """Lines with `terms[...]`, of a file that `read_source` took: a KeyError there may be of the terms."""
    outline, _ = read_outline(text)
    assert outline is not None, "the contract was read before"
    return frozenset(
        node.lineno
        for node in ast.walk(outline.tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "terms"
    )
