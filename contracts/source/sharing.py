"""Patterns and roles that `share` writes out.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from contracts.source.functions import find_functions
from contracts.source.literals import Finding, Outline
from contracts.source.reading import repair
from contracts.source.scopes import Code, Function, line_of
from contracts.source.spelling import suggest
from ledger.errors import PatternMalformed
from ledger.fields import parse_pattern


class _Answers(NamedTuple):
    """Dictionaries that `share` returns whole or in part, and names of its own that stand for one."""

    tables: set[ast.Dict]
    names: set[str]


def check_sharing(code: Code, outline: Outline) -> Iterator[Finding]:
    share = find_functions(code).get("share")
    if share is None:
        return
    answers = _find_answers(code, share)
    for table in code.all(ast.Dict):
        if code.scopes[table].node is share:
            for key, value in zip(table.keys, table.values, strict=True):
                yield from _check_row(outline, key, value, is_answer=table in answers.tables)
    for place in code.all(ast.Subscript):
        match place:
            case ast.Subscript(value=ast.Name(id=name), slice=key, ctx=ast.Store()):
                parent = code.parents[place]
                if code.scopes[place].node is share and name in answers.names:
                    given = parent.value if isinstance(parent, ast.Assign) else None
                    yield from _check_row(outline, key, given, is_answer=True)


def _find_answers(code: Code, share: Function) -> _Answers:
    """Follows names that are assigned once, and what is put into them; no other function."""
    scope, found = code.inner[share], _Answers(set(), set())
    waiting: list[ast.expr | None] = [back.value for back in code.all(ast.Return) if code.scopes[back] is scope]
    while waiting:
        match waiting.pop():
            case ast.Dict(keys=keys, values=values) as table:
                found.tables.add(table)
                waiting += [value for key, value in zip(keys, values, strict=True) if key is None]
            case ast.IfExp(body=chosen, orelse=otherwise):
                waiting += [chosen, otherwise]
            case ast.BoolOp(values=values):
                waiting += values
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                waiting += [left, right]
            case ast.Name(id=name) if name not in found.names:
                bound = scope.bound.get(name, ())
                if sum(not one.is_update for one in bound) == 1:
                    found.names.add(name)
                    waiting += [one.value for one in bound]
                    waiting += _put_in(code, share, name)
    return found


def _put_in(code: Code, share: Function, name: str) -> Iterator[ast.expr]:
    """`name.update({...})`."""
    for call in code.all(ast.Call):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="update"), args=[table]) if owner == name:
                if code.scopes[call].node is share:
                    yield table


def _check_row(outline: Outline, key: ast.expr | None, value: ast.expr | None, *, is_answer: bool) -> Iterator[Finding]:
    """is_answer: that what stands here is a pattern; else it is taken for one if it looks like one."""
    match key:
        case ast.Constant(value=str(pattern)) if is_answer or pattern.startswith("/"):
            try:
                parse_pattern(pattern)
            except PatternMalformed as cause:
                yield _error(key, cause.code, str(cause), repair(pattern, cause))
            if is_answer and isinstance(value, ast.Constant):
                message = f"share gives {pattern[:80]!a} to {ast.unparse(value)[:80]}, and roles stand in a set"
                yield _error(value, "function-wrong", message, f"write {{{ast.unparse(value)[:80]}}}")
            for element in value.elts if isinstance(value, ast.Set | ast.List | ast.Tuple) else ():
                yield from _check_role(outline, element)


def _check_role(outline: Outline, element: ast.expr) -> Iterator[Finding]:
    match element:
        case ast.Constant(value=str(role)) if role not in outline.roles:
            message = f"share adds the role {role[:80]!a}, which ROLES does not have"
            yield _error(element, "role-unknown", message, suggest(role, outline.roles, "add it to ROLES"))


def _error(node: ast.AST, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead)
