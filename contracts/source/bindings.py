"""Every place of a contract file that could give a name another value, or change the value that it has.

Nothing is run, so what is found is what stands there: a change by way of another name is not seen, and
has no effect either, as only the literals are read.

Spec: docs/spec/contract-source.md, "Nothing else gives these names a value".
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from contracts.source.walking import children

_READS: Final = frozenset(
    ("copy", "difference", "get", "intersection", "isdisjoint", "issubset", "issuperset", "items", "keys",
     "symmetric_difference", "union", "values")
)  # fmt: skip
"""What may be asked of the values that are read, and of what is in them. The rest changes them, or could."""


def find_bindings(tree: ast.Module, literals: Collection[str]) -> Iterator[tuple[str, ast.AST, bool]]:
    """Every name that the file could bind: name, the node that does it, and whether only inside a function or class.

    Of `literals` also what would change their values, at any depth.
    """
    queue: deque[tuple[ast.AST, bool]] = deque([(tree, False)])
    parents: dict[ast.AST, ast.AST] = {}
    while queue:
        node, is_inner = queue.popleft()
        match node:
            case ast.Name(ctx=ast.Load()) | ast.Constant() | ast.Attribute() | ast.Call():
                pass  # most of them, and so first
            case ast.Name(id=name):
                yield name, node, is_inner
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node, is_inner
            case ast.arg(arg=name):
                yield name, node, True
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0], node, is_inner
            case ast.Global(names=names):
                yield from ((name, node, False) for name in names)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node, is_inner
            case ast.MatchMapping(rest=str(name)):
                yield name, node, is_inner
        # Defaults, decorators and bases run outside: only the body of a function or class is inside.
        is_scope = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)
        inner = set(_body(node)) if is_scope else set()
        for child in children(node):
            parents[child] = node
            queue.append((child, is_inner or child in inner))
    yield from _changes(parents, literals)


def _changes(
    parents: Mapping[ast.AST, ast.AST], literals: Collection[str]
) -> Iterator[tuple[str, ast.AST, bool]]:  # fmt: skip
    """`SHARES["order"]["/price"] = x`, `del SHARES["order"]`, `ROLES.add(x)`, and longer ones."""
    for node in parents:
        if isinstance(node, ast.Name) and node.id in literals:
            step: ast.AST = node
            while (above := _above(step, parents[step])) is not None:
                step = above
                if _is_change(step):
                    yield node.id, step, False
                    break


def _above(node: ast.AST, parent: ast.AST) -> ast.expr | None:
    """`parent`, if it is a part of the value of `node`, or what a method of it answers."""
    match parent:
        case ast.Subscript(value=value) | ast.Attribute(value=value) if value is node:
            return parent
        case ast.Call(func=func) if func is node:
            return parent
    return None


def _is_change(node: ast.AST) -> bool:
    match node:
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return True
        case ast.Attribute(attr=name):
            return name not in _READS or not isinstance(node.ctx, ast.Load)
    return False


def _body(node: ast.AST) -> list[ast.AST]:
    body = getattr(node, "body", [])
    return body if isinstance(body, list) else [body]
