"""Types, roles and members of records that the code names and the contract does not have.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.asking import MEMBERS, Asking, case_texts
from contracts.source.functions import find_functions
from contracts.source.literals import Finding, Outline
from contracts.source.scopes import Code, line_of
from contracts.source.spelling import find_close, suggest

_COMPARING: Final = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def check_kinds(code: Code, asking: Asking, outline: Outline) -> Iterator[Finding]:
    kinds = {*outline.types, *outline.authors}
    seen: set[ast.AST] = set()
    for what, text, node in _compared(code, asking):
        if node in seen:
            continue
        seen.add(node)
        if what == "type" and text not in kinds:
            message = f"the contract has no type {text[:80]!a}"
            yield _error(node, "type-unknown", message, suggest(text, kinds, "add it to SHARES and AUTHORS"))
        elif what == "role" and text not in outline.roles:
            message = f"ROLES does not have the role {text[:80]!a}"
            yield _error(node, "role-unknown", message, suggest(text, outline.roles, "add it to ROLES"))
    yield from _check_members(code, asking)


def _compared(code: Code, asking: Asking) -> Iterator[tuple[str, str, ast.AST]]:
    """Every text that a record's type or role is compared with or looked up in: which of the two, text and node."""
    for compare in code.all(ast.Compare):
        sides = [compare.left, *compare.comparators]
        for left, op, right in zip(sides, compare.ops, compare.comparators, strict=False):
            if isinstance(op, _COMPARING):
                yield from _texts(asking, left, right)
            if isinstance(op, ast.Eq | ast.NotEq):
                yield from _texts(asking, right, left)
    for match in code.all(ast.Match):
        what = _what(asking, match.subject)
        if what:
            yield from ((what, text, node) for case in match.cases for text, node in case_texts(case.pattern))
    for subscript in code.all(ast.Subscript):
        yield from _texts(asking, subscript.slice, subscript.value)
        match subscript:
            case ast.Subscript(value=ast.Name(id="AUTHORS" | "SHARES") as name, slice=ast.Constant(value=str(text))):
                if code.find(name) is code.file:
                    yield "type", text, subscript.slice
    for call in code.all(ast.Call):
        match call:
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[looked_up, *_]):
                yield from _texts(asking, looked_up, table)


def _texts(asking: Asking, asked: ast.expr, other: ast.expr) -> Iterator[tuple[str, str, ast.AST]]:
    what = _what(asking, asked)
    if what:
        yield from ((what, text, node) for text, node in asking.texts(other).items())


def _what(asking: Asking, node: ast.expr) -> str:
    path = asking.path(node)
    return path[0] if path in (("type",), ("role",)) else ""


def _check_members(code: Code, asking: Asking) -> Iterator[Finding]:
    """`record["kind"]`, and in `share` `record["sequence"]`."""
    share = find_functions(code).get("share")
    reads = [node for node in code.all(ast.Subscript) if isinstance(node.ctx, ast.Load)]
    for node in (*reads, *code.all(ast.Call)):
        path = asking.path(node, surely=True)
        if path == ("sequence",) and share is not None and code.scopes[node].node is share:
            message = "share is asked before the record has a place in the sequence"
            yield _error(node, "member-unknown", message, 'use record["time"], which its author gave it')
        elif path is not None and len(path) == 1 and path[0] not in MEMBERS:
            message = f"a record has no member {path[0][:80]!a}"
            close = find_close(path[0], MEMBERS)
            instead = f"{f'write {close!a}; ' if close else ''}it has {', '.join(MEMBERS)}; what was filed is in body"
            yield _error(node, "member-unknown", message, instead)


def _error(node: ast.AST, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead)
