"""Values that would be kept between inputs outside of the state, and changes to what others made.

Nothing is kept: every input begins anew. Code that counts on it computes something else than its author thinks.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.allowed import CHANGING
from contracts.source.literals import LITERALS, Finding
from contracts.source.scopes import Code, Function, Scope, line_of, show

_PARTS: Final = frozenset(("get", "setdefault", "values", "items"))
"""Methods whose answer is a part of what they are asked of."""
_MAKERS: Final = frozenset(("Counter", "OrderedDict", "bytearray", "defaultdict", "deque", "dict", "list", "set"))
_MUTABLE: Final = (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Set, ast.SetComp)


def check_keeping(code: Code) -> Iterator[Finding]:
    defaults = set(_mutable_defaults(code))
    for name in code.all(ast.Name):
        change = _find_change(code, name)
        if change is not None:
            yield from _judge(code, name, change, defaults)
    for call in code.all(ast.Call):
        if _is_context(call) and _find_change(code, call) is not None:
            yield _context_changed(call)


def _judge(code: Code, name: ast.Name, change: ast.AST, defaults: set[tuple[Scope, str]]) -> Iterator[Finding]:
    scope = code.find(name)
    if scope is None:
        return
    value = scope.value(name.id)
    if code.is_imported(name):
        message = f"the module {show(name.id)[1:-1]} is changed, which is not this contract's"
        yield _error(change, "module-changed", message, "keep the value in a variable of your own")
    elif value is not None and _is_context(value):
        yield _context_changed(change)
    elif (scope, name.id) in defaults:
        message = f"the default of {show(name.id)[1:-1]} is one value for all calls, and is changed"
        yield _error(change, "default-changed", message, "write None for the default, and make the value inside")
    elif scope is code.file and name.id not in LITERALS and code.scopes[name].is_inside_function():
        message = f"{show(name.id)[1:-1]} belongs to the file, and what a function changes in it is lost with the input"
        yield _error(change, "state-kept", message, "keep it in the state, or in a variable of the function")


def _find_change(code: Code, root: ast.expr) -> ast.AST | None:
    """The node that changes what `root` stands for: a store or deletion in it, or a method that changes it."""
    step: ast.AST = root
    while True:
        parent = code.parents[step]
        match parent:
            case ast.Subscript(value=value) if value is step:
                if not isinstance(parent.ctx, ast.Load):
                    return parent
                step = parent
            case ast.Attribute(value=value, attr=name) if value is step:
                if not isinstance(parent.ctx, ast.Load):
                    return parent
                above = code.parents[parent]
                is_called = isinstance(above, ast.Call) and above.func is parent
                if is_called and name in CHANGING:
                    return parent
                if is_called and name not in _PARTS:
                    return None
                step = above if is_called else parent
            case ast.Call(func=ast.Name() as func, args=[first, *_]) if first is step:
                return parent if code.is_given(func, ("setattr", "delattr")) else None
            case _:
                return None


def _mutable_defaults(code: Code) -> Iterator[tuple[Scope, str]]:
    for node in code.nodes:
        if isinstance(node, Function | ast.Lambda):
            arguments, scope = node.args, code.inner[node]
            placed = [*arguments.posonlyargs, *arguments.args]
            pairs = [
                *zip(reversed(placed), reversed(arguments.defaults), strict=False),
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ]
            for parameter, default in pairs:
                # A parameter that is given another value inside may not be the default any more.
                if len(scope.bound[parameter.arg]) == 1 and _is_mutable(code, default):
                    yield scope, parameter.arg


def _is_mutable(code: Code, node: ast.expr | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name) as func):
            return name in _MAKERS and (code.find(func) is None or code.is_imported(func))
    return isinstance(node, _MUTABLE)


def _is_context(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="getcontext") | ast.Attribute(attr="getcontext")):
            return True
    return False


def _context_changed(node: ast.AST) -> Finding:
    message = "the Decimal context of the contract is changed, by which every later result is rounded"
    return _error(node, "context-changed", message, "write with localcontext() as context: around what needs it")


def _error(node: ast.AST, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead)
