"""Which name in the code of a contract stands for what: the nodes of a file, and where each name gets its values.

Walked with a list, never by recursion, so that no file runs the reader out of stack.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from contracts.source.literals import Finding
from contracts.source.walking import children
from ledger import limits

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_N = TypeVar("_N", bound=ast.AST)
_UNPACKED_MAX: Final = 64  # names of one `a, b = x, y` that are followed
_NAME_LENGTH_MAX: Final = 80  # of a name in a message


class Binding(NamedTuple):
    """A place that gives a name a value. `value`: of a plain assignment; None elsewhere."""

    node: ast.AST
    value: ast.expr | None = None
    is_update: bool = False  # `x += 1`


@dataclass(slots=True, eq=False)
class Scope:
    """What has names of its own: the file, a function, a class or a comprehension."""

    node: ast.AST
    outer: Scope | None
    depth: int
    bound: dict[str, list[Binding]] = field(default_factory=dict)
    of_file: set[str] = field(default_factory=set)  # `global x`
    of_outer: set[str] = field(default_factory=set)  # `nonlocal x`

    def value(self, name: str) -> ast.expr | None:
        """What the name stands for, if it is assigned exactly once."""
        bindings = self.bound.get(name, ())
        return bindings[0].value if len(bindings) == 1 else None

    def is_inside_function(self) -> bool:
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.node, Function | ast.Lambda):
            scope = scope.outer
        return scope is not None


@dataclass(slots=True, eq=False)
class Code:
    """A file, taken apart. `nodes`: parents before their children, in the order of the text."""

    tree: ast.Module
    file: Scope
    nodes: list[ast.AST] = field(default_factory=list)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)  # of a node: where its names are looked up
    inner: dict[ast.AST, Scope] = field(default_factory=dict)  # of a function, class or comprehension: its own
    _found: dict[tuple[Scope, str], Scope | None] = field(default_factory=dict)
    _kinds: dict[type[ast.AST], list[ast.AST]] = field(default_factory=dict)

    def all(self, kind: type[_N]) -> list[_N]:
        """All nodes of exactly this class."""
        return self._kinds.get(kind, [])  # type: ignore[return-value]  # sorted by class when they were found

    def find(self, name: ast.Name) -> Scope | None:
        """The scope whose name this is; None for what Python or the engine gives, and for what nobody does."""
        start, text = self.scopes[name], name.id
        if (start, text) not in self._found:
            self._found[start, text] = self._look_up(start, text)
        return self._found[start, text]

    def value(self, name: ast.Name) -> ast.expr | None:
        """What the name stands for, if it is assigned exactly once."""
        scope = self.find(name)
        return scope.value(name.id) if scope is not None else None

    def is_given(self, node: ast.AST, names: Iterable[str]) -> bool:
        """Whether the node is one of these names of Python's own, and means just that."""
        return isinstance(node, ast.Name) and node.id in names and self.find(node) is None

    def is_imported(self, name: ast.Name) -> bool:
        scope = self.find(name)
        return scope is not None and any(isinstance(one.node, ast.alias) for one in scope.bound[name.id])

    def _look_up(self, start: Scope, text: str) -> Scope | None:
        scope: Scope | None = start
        while scope is not None:
            if text in scope.of_file:
                return self.file if text in self.file.bound else None
            # What a class names is seen in its own body, and not in its functions.
            is_seen = scope is start or not isinstance(scope.node, ast.ClassDef)
            if is_seen and text in scope.bound and text not in scope.of_outer:
                return scope
            scope = scope.outer
        return None


def read_code(tree: ast.Module) -> Code | Finding:
    """Take the file apart. A finding is returned where functions stand in functions too deeply to be followed."""
    code = Code(tree=tree, file=Scope(tree, None, 0))
    outside: set[ast.AST] = set()  # what stands inside a function or comprehension, and is looked up outside
    stack: list[tuple[ast.AST, Scope]] = [(tree, code.file)]
    while stack:
        node, scope = stack.pop()
        code.nodes.append(node)
        code.scopes[node] = scope
        code._kinds.setdefault(type(node), []).append(node)
        inner, own = scope, _own_children(node)
        if own is not None:
            inner = code.inner[node] = Scope(node, scope, scope.depth + 1)
            if inner.depth > limits.CONTRACT_SCOPES_MAX:
                message = f"functions and classes stand in each other deeper than {limits.CONTRACT_SCOPES_MAX}"
                line = getattr(node, "lineno", 1)
                return Finding(line=line, code="too-many", message=message, instead="take the code apart")
        outside.update(_outer_children(node))
        for child in reversed(children(node)):
            code.parents[child] = node
            there = inner if own is None or child in own else scope
            stack.append((child, there.outer or there if child in outside else there))
        for name, binding in _bindings(node, code.parents):
            _holder(node, scope).bound.setdefault(name, []).append(binding)
        match node:
            case ast.Global(names=names):
                scope.of_file.update(names)
                for name in names:
                    code.file.bound.setdefault(name, []).append(Binding(node))
            case ast.Nonlocal(names=names):
                scope.of_outer.update(names)
    return code


def line_of(node: ast.AST) -> int:
    return max(1, getattr(node, "lineno", 1))


def show(name: str) -> str:
    """A name for a message: not as long as the file allows, and every letter seen."""
    return ascii(name[:_NAME_LENGTH_MAX])


def _holder(node: ast.AST, scope: Scope) -> Scope:
    """`:=` in a comprehension gives a name to the function around it."""
    if isinstance(node, ast.NamedExpr):
        while isinstance(scope.node, Comprehension) and scope.outer is not None:
            scope = scope.outer
    return scope


def _own_children(node: ast.AST) -> set[ast.AST] | None:
    """The children that see the names of the scope that the node opens; None if it opens none."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return {node.args, *node.body}
        case ast.Lambda():
            return {node.args, node.body}
        case ast.ClassDef():
            return set(node.body)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return set(children(node))
    return None


def _outer_children(node: ast.AST) -> Iterator[ast.AST]:
    """What stands inside and is read before: defaults of parameters, and what a comprehension begins with."""
    match node:
        case ast.arguments():
            yield from node.defaults
            yield from (default for default in node.kw_defaults if default is not None)
        case ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield node.generators[0].iter


def _bindings(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            parent = parents.get(node)
            match parent:
                case ast.NamedExpr():
                    return
                case ast.Assign(value=value):
                    yield name, Binding(node, value)
                case ast.AnnAssign(value=ast.expr() as value):
                    yield name, Binding(node, value)
                case ast.AugAssign(value=value):
                    yield name, Binding(node, value, is_update=True)
                case ast.Tuple(elts=names) if len(names) <= _UNPACKED_MAX:
                    yield name, Binding(node, _unpacked(names.index(node), len(names), parents.get(parent)))
                case _:
                    yield name, Binding(node)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, Binding(node, value)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, Binding(node)
        case ast.arg(arg=name):
            yield name, Binding(node)
        case ast.alias(name=name, asname=alias):
            yield alias or name.partition(".")[0], Binding(node)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, Binding(node)
        case ast.MatchMapping(rest=str(name)):
            yield name, Binding(node)


def _unpacked(at: int, number: int, statement: ast.AST | None) -> ast.expr | None:
    """What `a, b = x, y` gives to one of its names."""
    match statement:
        case ast.Assign(value=ast.Tuple(elts=values)) if len(values) == number:
            is_plain = not any(isinstance(one, ast.Starred) for one in values)
            return values[at] if is_plain else None
    return None
