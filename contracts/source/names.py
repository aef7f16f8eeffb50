"""Imports, names and attributes of a contract: what is not there, and what would lead out of it.

The engine is the wall. What is said here, is said early and with a line.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from contracts.source.allowed import (
    BUILTINS,
    CLOCK,
    DEFINED_ONLY,
    DUNDERS,
    FLOATS,
    FORBIDDEN,
    GIVEN,
    INSTEAD_OF_MEMBERS,
    INSTEAD_OF_MODULES,
    MODULES,
    REACHING,
)
from contracts.source.literals import Finding
from contracts.source.scopes import Code, line_of, show

_ACCESSORS: Final = frozenset(("getattr", "setattr", "delattr", "hasattr"))
_REACHING_FIELD: Final = re.compile(r"\{[^{}:!]*[.\[]")  # before the colon, behind which `.2f` is a width
_MEMBERS_LISTED_MAX: Final = 12
_MODULES_LISTED: Final = ", ".join(sorted(MODULES))


def check_names(code: Code) -> Iterator[Finding]:
    yield from _check_imports(code)
    yield from _check_unbound(code)
    yield from _check_attributes(code)
    yield from _check_calls(code)


# --- imports -------------------------------------------------------------------------


def _check_imports(code: Code) -> Iterator[Finding]:
    for node in code.all(ast.Import):
        for alias in node.names:
            if alias.name not in MODULES:
                yield _refuse_module(node, alias.name)
    for taken in code.all(ast.ImportFrom):
        module = taken.module or ""
        if taken.level:
            message = "a contract is one file, and imports nothing beside it"
            yield _error(taken, "import-refused", message, "write what is needed into this file")
        elif module not in MODULES:
            yield _refuse_module(taken, module)
        else:
            for alias in taken.names:
                if alias.name not in MODULES[module] and alias.name != "*":  # which is refused anyhow
                    yield _refuse_member(taken, module, alias.name)


def _refuse_module(node: ast.AST, name: str) -> Finding:
    message = f"contracts cannot import {name[:80]}"
    instead = INSTEAD_OF_MODULES.get(name.partition(".")[0], f"use only {_MODULES_LISTED}")
    return _error(node, "import-refused", message, instead)


def _refuse_member(node: ast.AST, module: str, name: str) -> Finding:
    message = f"{module}.{name[:80]} is not for contracts"
    members = sorted(MODULES[module])
    otherwise = (
        f"use {', '.join(members)}"
        if len(members) <= _MEMBERS_LISTED_MAX
        else f"do without, or use another part of {module}"
    )
    instead = INSTEAD_OF_MEMBERS.get(f"{module}.{name}", otherwise)
    return _error(node, "import-refused", message, instead)


# --- names ---------------------------------------------------------------------------


def _check_unbound(code: Code) -> Iterator[Finding]:
    """Names that nothing in the file gives a value."""
    for node in code.all(ast.Name):
        name = node.id
        if isinstance(node.ctx, ast.Del) and (name in BUILTINS or name in FORBIDDEN or name in GIVEN):
            message = f"del takes {name} away, which is not this contract's"
            yield _error(node, "name-forbidden", message, "remove it")
        elif _is_dunder(name) and name not in DUNDERS and name not in FORBIDDEN:
            yield _reaching(node, name)
        elif code.find(node) is not None:
            continue
        elif name in FORBIDDEN:
            message, instead = FORBIDDEN[name]
            yield _error(node, "float-used" if name in ("float", "complex") else "name-forbidden", message, instead)
        elif name not in BUILTINS and name not in GIVEN:
            message = f"nothing gives the name {show(name)} a value"
            instead = f"write import {name} at the top" if name in MODULES else "correct the name, or define it"
            yield _error(node, "name-unknown", message, INSTEAD_OF_MODULES.get(name, instead))
    for defined in code.nodes:
        match defined:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if _is_dunder(name) and name not in DUNDERS:
                    yield _reaching(defined, name)


def _check_attributes(code: Code) -> Iterator[Finding]:
    has_clock = any(name.name == "datetime" for node in code.all(ast.Import) for name in node.names) or any(
        node.module == "datetime" for node in code.all(ast.ImportFrom)
    )
    for node in code.all(ast.Attribute):
        name = node.attr
        module = _module(code, node.value)
        if _is_reaching(name) or name in DEFINED_ONLY:
            yield _reaching(node, name)
        elif module is not None and name not in MODULES[module] and isinstance(node.ctx, ast.Load):
            yield _refuse_member(node, module, name)
        elif has_clock and name in CLOCK:
            what, instead = CLOCK[name]
            yield _error(node, "clock-asked", f".{name} asks for {what} of the machine", instead)
        elif has_clock and name in FLOATS:
            message = f".{name} makes a binary float, which is not exact"
            yield _error(node, "float-used", message, FLOATS[name])
        elif name == "astimezone" and has_clock and _is_bare_call(code, node):
            message = ".astimezone() asks for the zone of the machine"
            yield _error(node, "clock-asked", message, "name the zone: .astimezone(UTC)")


def _module(code: Code, node: ast.expr) -> str | None:
    """The module that the name stands for, where `import` gives it its one value."""
    if isinstance(node, ast.Name):
        scope = code.find(node)
        bindings = scope.bound[node.id] if scope is not None else []
        for binding in bindings:
            alias = binding.node
            if isinstance(alias, ast.alias) and isinstance(code.parents[alias], ast.Import) and alias.name in MODULES:
                return alias.name
    return None


def _is_bare_call(code: Code, node: ast.AST) -> bool:
    call = code.parents[node]
    return isinstance(call, ast.Call) and call.func is node and not call.args and not call.keywords


# --- calls that take names as text -----------------------------------------------------


def _check_calls(code: Code) -> Iterator[Finding]:
    called = {call.func: call for call in code.all(ast.Call)}
    for node in code.all(ast.Name):
        if code.is_given(node, _ACCESSORS) and isinstance(node.ctx, ast.Load):
            yield from _check_accessor(node, called.get(node))
        elif code.is_given(node, ("type",)) and len(called[node].args if node in called else ()) > 1:
            message = "type() with three arguments makes a class that nobody can read"
            yield _error(node, "name-forbidden", message, "write the class out")
    for member in code.all(ast.Attribute):
        if member.attr in ("format", "format_map") and isinstance(member.ctx, ast.Load):
            yield from _check_format(member)


def _check_accessor(node: ast.Name, call: ast.Call | None) -> Iterator[Finding]:
    match call:
        case ast.Call(args=[_, ast.Constant(value=str(name)), *_]):
            if _is_reaching(name):
                yield _reaching(node, name)
            elif name in CLOCK:
                what, instead = CLOCK[name]
                yield _error(
                    node, "clock-asked", f"{node.id} with {show(name)} asks for {what} of the machine", instead
                )
            elif name.startswith("_"):
                message = f"{node.id} with a name that begins with _ reaches what is not shown"
                yield _error(node, "name-forbidden", message, "use a name without _")
        case _:
            message = f"{node.id} with a name that is not written out could reach anything"
            yield _error(node, "name-forbidden", message, 'write the name as text, or use a dictionary: values["name"]')


def _check_format(node: ast.Attribute) -> Iterator[Finding]:
    """`"{0.a[b]}".format(x)` reaches attributes of x that stand nowhere in the code."""
    instead = 'write it as f"{amount} {currency}"'
    match node.value:
        case ast.Constant(value=str(text)) if node.attr == "format":
            if _REACHING_FIELD.search(text.replace("{{", "").replace("}}", "")):
                message = "a field of .format() with a dot or bracket reaches into its value"
                yield _error(node, "format-reaches", message, instead)
        case _:
            message = f".{node.attr}() of a text that is not written there could reach into its values"
            yield _error(node, "format-reaches", message, instead)


# --- inside --------------------------------------------------------------------------


def _is_dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def _is_reaching(name: str) -> bool:
    return name in REACHING or (_is_dunder(name) and name not in DUNDERS)


def _reaching(node: ast.AST, name: str) -> Finding:
    message = f"{show(name)[1:-1]} reaches the interpreter, which is not the contract's"
    return _error(node, "name-forbidden", message, "use the value itself")


def _error(node: ast.AST, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line_of(node), code=code, message=message, instead=instead)
