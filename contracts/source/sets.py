"""Sets whose order could show: Python goes through them in another order in every run.

A set is what is written as one, made by `set`, `frozenset` or an operation on a set, or a name that stands for
nothing else. Sets that come from elsewhere are not known as such.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.allowed import words
from contracts.source.literals import Finding
from contracts.source.scopes import Code, Scope, line_of

_ORDER_FREE: Final = words("all any frozenset len max min set sorted sum")
_PASSED_ON: Final = words("filter iter list map reversed tuple")
_ORDERED: Final = words(
    "Counter OrderedDict accumulate batched chain combinations compress cycle deque dict dropwhile enumerate extend "
    "extendleft filterfalse from_iterable fromkeys groupby islice join pairwise permutations product reduce starmap "
    "takewhile tee zip zip_longest"
)
_SET_METHODS: Final = words("copy difference intersection symmetric_difference union")
_SET_OPERATIONS: Final = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
_MAY_BE_SETS: Final = (
    ast.Set, ast.SetComp, ast.Name, ast.Call, ast.Subscript, ast.BinOp, ast.IfExp, ast.BoolOp, ast.NamedExpr
)  # fmt: skip
_ROUNDS_MAX: Final = 4  # `a = set(); b = a; c = b` is followed so far, whatever the order of the lines


def check_sets(code: Code) -> Iterator[Finding]:
    found = find_sets(code)
    for node in code.nodes:
        if node in found:
            place = _ordering(code, node)
            if place is not None:
                message = f"{place} goes through a set, whose order differs from run to run"
                yield Finding(
                    line=line_of(node), code="set-order", message=message, instead="sort it first: sorted(...)"
                )
            elif _is_sorted_by_key(code, node):
                message = "a set sorted by a key keeps its own order where keys are equal"
                instead = "end the key with the element itself: key=lambda x: (..., x)"
                yield Finding(line=line_of(node), code="ties-open", message=message, instead=instead, is_error=False)
            elif _is_text(code, node):
                message = "the text of a set shows its order, which differs from run to run"
                instead = 'write ", ".join(sorted(...))'
                yield Finding(
                    line=line_of(node), code="text-unsteady", message=message, instead=instead, is_error=False
                )


def find_sets(code: Code) -> set[ast.AST]:
    """The expressions that are known to be sets."""
    found: set[ast.AST] = set()
    nodes = [node for node in reversed(code.nodes) if isinstance(node, _MAY_BE_SETS)]  # children come first
    for _ in range(_ROUNDS_MAX):
        before = len(found)
        names: dict[tuple[Scope, str], bool] = {}
        for node in nodes:
            if node not in found and _is_set(code, node, found, names):
                found.add(node)
        if len(found) == before:
            break
    return found


def _is_set(code: Code, node: ast.AST, found: set[ast.AST], names: dict[tuple[Scope, str], bool]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name(id=name, ctx=ast.Load()):
            scope = code.find(node)
            if scope is None:
                return False
            if (scope, name) not in names:
                values = [one.value for one in scope.bound[name] if not one.is_update]
                # Only what is a set wherever it gets a value: the rest may be anything.
                names[scope, name] = bool(values) and all(value in found for value in values)
            return names[scope, name]
        case ast.Call(func=ast.Name() as name):
            return code.is_given(name, ("set", "frozenset"))
        case ast.Call(func=ast.Attribute(value=value, attr=name)):
            return (value in found and name in _SET_METHODS) or (name == "get" and _holds_sets(code, value))
        case ast.Subscript(value=value):
            return _holds_sets(code, value)
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _SET_OPERATIONS):
            return left in found or right in found or (_is_view(left) and _is_view(right))
        case ast.IfExp(body=body, orelse=orelse):
            return body in found or orelse in found
        case ast.BoolOp(values=values):
            return any(value in found for value in values)
        case ast.NamedExpr(value=value):
            return value in found
    return False


def _holds_sets(code: Code, node: ast.expr) -> bool:
    """Whether a literal of the contract holds sets: AUTHORS, and one type of SHARES."""
    match node:
        case ast.Name(id="AUTHORS"):
            return code.find(node) is code.file
        case ast.Subscript(value=ast.Name(id="SHARES") as name):
            return code.find(name) is code.file
    return False


def _is_view(node: ast.expr) -> bool:
    """`a.keys()`: two of them make a set."""
    match node:
        case ast.Call(func=ast.Attribute(attr="keys" | "items"), args=[]):
            return True
    return False


# --- where the order shows -------------------------------------------------------------


def _ordering(code: Code, node: ast.AST) -> str | None:
    """What takes the elements one after the other; None if nothing does, or if what becomes of it has no order."""
    parent = code.parents[node]
    match parent:
        case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated) if iterated is node:
            return "a for loop"
        case ast.comprehension(iter=iterated) if iterated is node:
            whole = code.parents[parent]
            is_free = isinstance(whole, ast.SetComp) or _is_order_free(code, whole)
            return None if is_free and not isinstance(whole, ast.DictComp) else "a comprehension"
        case ast.Starred():
            above = code.parents[parent]
            return None if isinstance(above, ast.Set) or _is_order_free(code, parent) else "*"
        case ast.Assign(targets=targets) if any(isinstance(target, ast.Tuple | ast.List) for target in targets):
            return "an assignment to several names"
        case ast.AugAssign(op=ast.Add()):
            return "+="
        case ast.YieldFrom():
            return "yield from"
        case ast.Attribute(attr="pop"):
            return ".pop()"
        case ast.Call(func=func) if func is not node:
            return _taking(code, parent, func)
    return None


def _taking(code: Code, call: ast.Call, func: ast.expr) -> str | None:
    match func:
        case ast.Name(id=name) if name in _PASSED_ON and code.find(func) is None:
            return None if _is_order_free(code, call) else f"{name}()"
        case ast.Name(id=name) if name in _ORDERED and (code.find(func) is None or code.is_imported(func)):
            return f"{name}()"
        case ast.Attribute(attr=name) if name in _ORDERED:
            return f"{name}()"
    return None


def _is_order_free(code: Code, node: ast.AST) -> bool:
    """Whether what takes `node` gives the same whatever its order."""
    match code.parents[node]:
        case ast.Call(func=ast.Name() as name) as call if call.func is not node:
            return code.is_given(name, _ORDER_FREE)
        case ast.Compare(ops=[ast.In() | ast.NotIn()]) as compare:
            return compare.left is not node
    return False


def _is_sorted_by_key(code: Code, node: ast.AST) -> bool:
    match code.parents[node]:
        case ast.Call(func=ast.Name() as name, keywords=keywords):
            return code.is_given(name, ("sorted", "min", "max")) and any(one.arg == "key" for one in keywords)
    return False


def _is_text(code: Code, node: ast.AST) -> bool:
    match code.parents[node]:
        case ast.FormattedValue():
            return True
        case ast.Call(func=ast.Name() as name):
            return code.is_given(name, ("str", "repr", "ascii", "format"))
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
            return True
    return False
