"""What the code asks of a record: `record["type"]`, `record["body"]["price"]`, also under a name given to a part.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from contracts.source.functions import PARAMETERS, find_functions
from contracts.source.scopes import Code, Function

MEMBERS: Final = ("id", "author", "role", "type", "body", "links", "time", "sequence")
"""What every record has."""
_STEPS_MAX: Final = 64  # twice the depth of a body: names on the way count too

Path = tuple[str, ...]
Texts = Mapping[str, ast.AST]
"""Texts written in the code -> the node of each."""


class Asking:
    """Answers for one file which part of a record an expression is, and under which types a line is reached."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._sure = {(code.inner[node], name) for node, name in _given(code)}
        self._records = self._sure | {
            (scope, "record")
            for node, scope in code.inner.items()
            if isinstance(node, Function | ast.Lambda) and "record" in scope.bound
        }
        self._texts: dict[ast.AST, Texts] = {}
        self._types: dict[ast.AST, frozenset[str]] | None = None

    def path(self, node: ast.expr | None, *, surely: bool = False) -> Path | None:
        """The steps from a record to what `node` stands for; None if it is no part of one, or may be several.

        surely: only of the records that `key`, `apply` and `share` are given.
        """
        found = self.paths(node, surely=surely)
        return next(iter(found)) if len(found) == 1 else None

    def paths(self, node: ast.expr | None, *, below: Path = (), surely: bool = False) -> frozenset[Path]:
        """The same for a name that is assigned in branches: every part that it may stand for, and `below` it.

        Empty if it may be something else than a part of a record, other than nothing.
        """
        found: set[Path] = set()
        waiting: list[tuple[ast.expr | None, Path]] = [(node, below)]
        for _ in range(_STEPS_MAX):
            if not waiting:
                return frozenset(found)
            node, below = waiting.pop()
            match node:
                case ast.Subscript(value=value, slice=ast.Constant(value=str() | int() as key)):
                    waiting.append((value, (str(key), *below)))
                case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[ast.Constant(value=str(key)), *_]):
                    waiting.append((value, (key, *below)))
                case ast.NamedExpr(value=value):
                    waiting.append((value, below))
                case ast.IfExp(body=chosen, orelse=otherwise):
                    waiting += [(chosen, below), (otherwise, below)]
                case ast.BoolOp(op=ast.Or(), values=values):
                    waiting += [(value, below) for value in values]
                case ast.Constant(value=None) | ast.Dict(keys=[]) if below:
                    continue  # nothing is read of it, whatever is asked
                case ast.Name(ctx=ast.Load()) if self._is_record(node, surely=surely):
                    found.add(below)
                case ast.Name(ctx=ast.Load()):
                    values = self._assigned(node)
                    if not values or any(isinstance(value, ast.Dict) for value in values):  # it may be filled
                        return frozenset()
                    waiting += [(value, below) for value in values]
                case _:
                    return frozenset()
        return frozenset()

    def texts(self, node: ast.expr) -> Texts:
        """The texts that `node` is written as: one, a collection of them, or the keys of a dictionary."""
        if isinstance(node, ast.Name):
            named = self._code.value(node)
            if named is None or isinstance(named, ast.Constant):
                return {}
            node = named
        if node not in self._texts:
            self._texts[node] = dict(_texts(node))
        return self._texts[node]

    def types(self, node: ast.AST) -> frozenset[str] | None:
        """The types of which the record is where `node` is reached; None where it may be any."""
        if self._types is None:
            self._types = self._find_types()
        return self._types.get(node)

    def _is_record(self, name: ast.Name, *, surely: bool) -> bool:
        scope = self._code.find(name)
        among = self._sure if surely else self._records
        return scope is not None and (scope, name.id) in among and len(scope.bound[name.id]) == 1

    def _assigned(self, name: ast.Name) -> list[ast.expr]:
        """All that the name is assigned; empty if it also gets values in another way."""
        scope = self._code.find(name)
        bound = scope.bound[name.id] if scope is not None else []
        values = [one.value for one in bound if one.value is not None and not one.is_update]
        return values if len(values) == len(bound) <= _STEPS_MAX else []

    def _find_types(self) -> dict[ast.AST, frozenset[str]]:
        found: dict[ast.AST, frozenset[str]] = {}
        for node in self._code.nodes:  # parents come first
            parent = self._code.parents.get(node)
            if node not in found and parent in found:
                found[node] = found[parent]
            match node:
                case ast.If(test=test, body=body):
                    self._narrow(found, node, self._tested(test), body)
                case ast.IfExp(test=test, body=chosen):
                    self._narrow(found, node, self._tested(test), [chosen])
                case ast.Match(subject=subject, cases=cases) if self.path(subject) == ("type",):
                    for case in cases:
                        kinds = [text for text, _ in case_texts(case.pattern)]
                        self._narrow(found, node, frozenset(kinds), case.body)
        return found

    def _narrow(
        self,
        found: dict[ast.AST, frozenset[str]],
        node: ast.AST,
        kinds: frozenset[str],
        body: list[ast.stmt] | list[ast.expr],
    ) -> None:
        if kinds:
            outer = found.get(node)
            inner = kinds & outer if outer is not None else kinds
            found.update(dict.fromkeys(body, inner or kinds))

    def _tested(self, test: ast.expr) -> frozenset[str]:
        """The types that a test lets pass; none if it lets pass any."""
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        for part in parts:
            match part:
                case ast.Compare(left=left, ops=[ast.Eq() | ast.In()], comparators=[right]):
                    if self.path(left) == ("type",):
                        return frozenset(self.texts(right))
                    if isinstance(part.ops[0], ast.Eq) and self.path(right) == ("type",):
                        return frozenset(self.texts(left))
        return frozenset()


def case_texts(pattern: ast.pattern) -> Iterator[tuple[str, ast.AST]]:
    """`case "a" | "b":`; nothing where the pattern takes anything else."""
    patterns = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
    for one in patterns:
        match one:
            case ast.MatchValue(value=ast.Constant(value=str(text))):
                yield text, one


def _given(code: Code) -> Iterator[tuple[ast.AST, str]]:
    """The functions that are given a record, and what each calls it."""
    for name, node in find_functions(code).items():
        if "record" in PARAMETERS[name]:
            arguments = [*node.args.posonlyargs, *node.args.args]
            at = PARAMETERS[name].index("record")
            if at < len(arguments):
                yield node, arguments[at].arg


def _texts(node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            candidates: list[ast.expr | None] = [*elements]
        case ast.Dict(keys=keys):
            candidates = keys
        case ast.Call(
            func=ast.Name(id="frozenset" | "set" | "tuple"), args=[ast.Set() | ast.Tuple() | ast.List() as a]
        ):
            candidates = [*a.elts]
        case _:
            candidates = [node]
    for candidate in candidates:
        if isinstance(candidate, ast.Constant) and isinstance(candidate.value, str):
            yield candidate.value, candidate
