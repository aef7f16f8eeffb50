"""Whether code can go on behind a statement, or a function can end without `return`.

A condition is taken as it may come out either way, so some code is thought to go on that never does; what is said to
end does end.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from contracts.source.scopes import Code

_Body = Sequence[ast.stmt]


class Ending:
    """Answers for one file. Each statement is judged once, the inner ones first, and a function before its callers."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._ends: set[ast.AST] = set()
        self._left = {loop for leaving in code.all(ast.Break) if (loop := _loop_of(code, leaving)) is not None}
        leaving = (*code.all(ast.Return), *code.all(ast.Yield), *code.all(ast.YieldFrom))
        self._answering = {code.scopes[one].node for one in leaving}
        self._own: dict[ast.AST, list[ast.stmt]] = {}  # the statements of each function, the inner ones first
        for node in reversed(code.nodes):
            if isinstance(node, ast.stmt):
                self._own.setdefault(code.scopes[node].node, []).append(node)
        self._refusing: set[ast.AST] = set()  # functions that never come back
        for owner in self._called_first():
            for node in self._own[owner]:
                if self._is_end(node):
                    self._ends.add(node)
            if isinstance(owner, ast.FunctionDef) and owner not in self._answering and not self.goes_on(owner.body):
                self._refusing.add(owner)

    def goes_on(self, body: _Body) -> bool:
        """Whether what stands behind these statements can be reached."""
        return not any(one in self._ends for one in body)

    def _is_end(self, node: ast.stmt) -> bool:
        match node:
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                return True
            case ast.Assert(test=ast.Constant(value=value)):
                return not value
            case ast.If(body=body, orelse=otherwise):
                return not self.goes_on(body) and not self.goes_on(otherwise)
            case ast.While(test=ast.Constant(value=value)) if value:
                return node not in self._left
            case ast.While(orelse=otherwise) | ast.For(orelse=otherwise):
                return node not in self._left and not self.goes_on(otherwise)
            case ast.With(body=body):
                return not self.goes_on(body)
            case ast.Try() | ast.TryStar():
                return self._is_try_end(node)
            case ast.Match(cases=cases):
                is_all = any(_takes_all(case) for case in cases)
                return is_all and not any(self.goes_on(case.body) for case in cases)
            case ast.Expr():
                return self._called(node) in self._refusing
        return False

    def _is_try_end(self, node: ast.Try | ast.TryStar) -> bool:
        if node.finalbody and not self.goes_on(node.finalbody):
            return True
        is_tried_end = not self.goes_on([*node.body, *node.orelse])
        return is_tried_end and not any(self.goes_on(handler.body) for handler in node.handlers)

    def _called(self, node: ast.stmt) -> ast.FunctionDef | None:
        """The function of the file that the statement calls, if that is all it does."""
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name() as name)):
                scope = self._code.find(name)
                bound = scope.bound[name.id] if scope is not None else []
                if len(bound) == 1 and isinstance(bound[0].node, ast.FunctionDef) and not bound[0].node.decorator_list:
                    return bound[0].node
        return None

    def _called_first(self) -> Iterator[ast.AST]:
        """All that has statements. Of functions that call each other in a circle, one is taken to go on."""
        seen: set[ast.AST] = set()
        stack = [(owner, False) for owner in self._own]
        while stack:
            owner, is_ready = stack.pop()
            if is_ready:
                yield owner
            elif owner not in seen:
                seen.add(owner)
                called = [one for node in self._own[owner] if (one := self._called(node)) is not None]
                stack += [(owner, True), *((one, False) for one in called)]


def _loop_of(code: Code, leaving: ast.Break) -> ast.AST | None:
    """The loop that a `break` leaves."""
    node: ast.AST = leaving
    while node in code.parents:
        inner, node = node, code.parents[node]
        if isinstance(node, ast.For | ast.AsyncFor | ast.While) and inner not in node.orelse:
            return node
    return None


def _takes_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
