"""Constructs that contracts do without: fractions that are not exact, errors swallowed, loops without end.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from contracts.source.allowed import GIVEN
from contracts.source.literals import Finding
from contracts.source.scopes import Code, Function, line_of

_BROAD: Final = frozenset(("BaseException", "Exception"))
_LIMITS: Final = frozenset(("MemoryError", "RecursionError"))
_Loop = ast.For | ast.AsyncFor | ast.While


def check_constructs(code: Code) -> Iterator[Finding]:
    yield from _check_numbers(code)
    yield from _check_handlers(code)
    yield from _check_async(code)
    yield from _check_leaving(code)
    yield from _check_given(code)
    for node in code.all(ast.Global):
        message = f"global {', '.join(node.names)[:80]} keeps a value outside of the state"
        yield _error(node, "global-used", message, "keep it in the state, or pass it to the function and return it")


def _check_numbers(code: Code) -> Iterator[Finding]:
    for node in code.all(ast.Constant):
        if isinstance(node.value, float):
            message = "a number with a fraction or exponent is a binary float, which is not exact"
            yield _error(node, "float-used", message, f'write it as text: Decimal("{node.value!r}")')
        elif isinstance(node.value, complex):
            yield _error(node, "float-used", "a complex number is not exact", "use int or Decimal")
    operations = [(divided, divided.op) for divided in code.all(ast.BinOp)]
    updates = [(divided, divided.op) for divided in code.all(ast.AugAssign)]
    for divided, op in (*operations, *updates):
        if isinstance(op, ast.Div):
            message = "/ leaves open how the result is rounded"
            yield _error(divided, "division-used", message, "write divide(a, b, places), or // for whole numbers")


def _check_handlers(code: Code) -> Iterator[Finding]:
    for node in code.all(ast.ExceptHandler):
        if node.type is None:
            message = "except: swallows every error, also what nobody foresaw"
            yield _error(node, "except-broad", message, "name the exception: except KeyError:")
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for name in [name.id for name in caught if isinstance(name, ast.Name) and code.find(name) is None]:
            if name in _BROAD:
                message = f"except {name} swallows also what nobody foresaw"
                yield _error(node, "except-broad", message, "name the exception: except KeyError:")
            elif name in _LIMITS:
                message = f"except {name} goes on after a limit was met"
                instead = "keep the input from getting there: check its size, and raise Reject"
                yield _error(node, "limit-caught", message, instead, is_error=False)


def _check_async(code: Code) -> Iterator[Finding]:
    waiting = [
        *code.all(ast.AsyncFunctionDef), *code.all(ast.AsyncFor), *code.all(ast.AsyncWith), *code.all(ast.Await),
        *[node.iter for node in code.all(ast.comprehension) if node.is_async],
    ]  # fmt: skip
    for node in waiting:
        yield _error(node, "async-used", "contracts wait for nothing", "leave async and await out")


def _check_given(code: Code) -> Iterator[Finding]:
    """`Decimal = float` above a contract would make another contract of it."""
    for name in sorted(GIVEN):
        for binding in code.file.bound.get(name, ()):
            parent = code.parents.get(binding.node)
            if name == "Decimal" and isinstance(parent, ast.ImportFrom) and parent.module == "decimal":
                continue
            message = f"{name} is given by the engine, and gets another meaning here"
            yield _error(binding.node, "given-replaced", message, "choose another name")


# --- how loops and functions are left ------------------------------------------------


def _check_leaving(code: Code) -> Iterator[Finding]:
    """`while True` that nothing ends, and `return` in `finally`, which swallows errors."""
    loops, finals = _surroundings(code)
    ended: set[ast.AST] = set()
    for left in code.all(ast.Break):
        ended.update(loop for loop in (loops.get(left),) if loop is not None)
    # A generator hands over in between, and is left by whoever asks it.
    for node in (*code.all(ast.Return), *code.all(ast.Raise), *code.all(ast.Yield), *code.all(ast.YieldFrom)):
        loop = loops.get(node)
        while loop is not None and loop not in ended:
            ended.add(loop)
            loop = loops.get(loop)
    for endless in code.all(ast.While):
        is_true = isinstance(endless.test, ast.Constant) and bool(endless.test.value)
        if is_true and endless not in ended and not _is_tried(code, endless):
            message = "this loop never ends: there is no break, return or raise in it"
            yield _error(endless, "endless", message, "say in the condition of while when it ends, or use for")
    for back in code.all(ast.Return):
        if back in finals:
            message = "return in finally swallows the error that led there, a Reject too"
            yield _error(back, "finally-return", message, "return after the try statement")


def _is_tried(code: Code, node: ast.AST) -> bool:
    """Whether an error that is caught, as of an index, could lead out of it in the same function."""
    while not isinstance(node, Function | ast.Module):
        parent = code.parents[node]
        if isinstance(parent, ast.Try | ast.TryStar) and parent.handlers and node in parent.body:
            return True
        node = parent
    return False


def _surroundings(code: Code) -> tuple[dict[ast.AST, ast.AST | None], set[ast.AST]]:
    """The innermost loop around each node, in the same function; and all nodes that stand in a `finally`."""
    loops: dict[ast.AST, ast.AST | None] = {}
    finals: set[ast.AST] = set()
    for node in code.nodes:  # parents come first
        parent = code.parents.get(node)
        if parent is None:
            continue
        loop = loops.get(parent)
        if isinstance(parent, _Loop):
            # Set by the lines below for what stands behind the loop, in its `else`.
            loops.setdefault(node, parent)
        elif isinstance(parent, Function | ast.Lambda | ast.ClassDef):
            loops[node] = None
        else:
            loops.setdefault(node, loop)
            if parent in finals:
                finals.add(node)
        if isinstance(parent, _Loop) and parent in finals:
            finals.add(node)
        if isinstance(node, _Loop):
            loops.update(dict.fromkeys(node.orelse, loops.get(node)))
        elif isinstance(node, ast.Try | ast.TryStar):
            finals.update(node.finalbody)
    return loops, finals


def _error(node: ast.AST, code: str, message: str, instead: str, *, is_error: bool = True) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead, is_error=is_error)
