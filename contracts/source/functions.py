"""The functions by which a contract is run: that they are there together, and take and return what they must.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from contracts.source.ending import Ending
from contracts.source.literals import Finding
from contracts.source.scopes import Code, Function

PARAMETERS: Final = {
    "key": ("record",),
    "apply": ("state", "record", "terms"),
    "share": ("record", "terms"),
    "summary": ("state",),
    "migrate": ("state", "terms"),
}
_NEEDS: Final = {"key": "apply", "apply": "key", "summary": "apply", "migrate": "apply"}
_CLOSE: Final = 0.75  # of difflib: `aply` and `Key` are that close, `supply` and `merge` are not
_NAME_LETTERS: Final = 20  # of names that are compared
_RETURNS: Final = {
    "key": "return the name of the case, a text",
    "apply": 'return the new state, a dictionary, or raise Reject("why")',
    "share": "return a dictionary of patterns with the roles that read more, {} for none",
    "summary": "return a dictionary of columns",
    "migrate": "return the state to begin with, a dictionary",
}


def find_functions(code: Code) -> dict[str, ast.FunctionDef]:
    """The functions at the top level by which a contract is run."""
    return {node.name: node for node in code.tree.body if isinstance(node, ast.FunctionDef) and node.name in PARAMETERS}


def find_unused(code: Code) -> Iterator[ast.FunctionDef]:
    """The functions at the top level that nothing names: neither the file nor whoever runs it."""
    used = {
        named.id
        for named in code.all(ast.Name)
        if isinstance(named.ctx, ast.Load) and code.find(named) is code.file and not _is_own(code, named)
    }
    for node in code.tree.body:
        match node:
            case ast.FunctionDef(name=name) if name not in used and name not in PARAMETERS:
                yield node


def meant(code: Code, name: str) -> str:
    """The function that `name` was meant to be, as it seems, and that the file lacks; empty if it seems to be none."""
    lacking = sorted(PARAMETERS.keys() - find_functions(code).keys())
    close = get_close_matches(name.lower(), lacking, n=1, cutoff=_CLOSE) if len(name) <= _NAME_LETTERS else []
    return close[0] if close else ""


_REJECT: Final = "a Reject"


def check_functions(code: Code) -> Iterator[Finding]:
    found = find_functions(code)
    leaving, ending = _leaving(code), Ending(code)
    for name, node in found.items():
        needed = _NEEDS.get(name)
        if needed is not None and needed not in found:
            message = f"{name} is defined and {needed} is not: nothing would ever call it"
            yield _finding(node, "function-missing", message, f"define {needed}({', '.join(PARAMETERS[needed])}) too")
        if not _has_parameters(node.args, len(PARAMETERS[name])):
            message = f"{name} takes other parameters than it is given"
            yield _finding(node, "function-wrong", message, f"write def {name}({', '.join(PARAMETERS[name])}):")
        for decorator in node.decorator_list:
            message = f"{name} has a decorator, which puts another function in its place"
            yield _finding(decorator, "function-wrong", message, f"call what is needed inside {name}")
        if node in leaving["yield"]:
            message = f"{name} yields, so that a call of it returns no value"
            yield _finding(node, "function-wrong", message, _RETURNS[name])
        elif ending.goes_on(node.body):
            can_end = f"can end behind line {node.body[-1].end_lineno} without a return"
            message = f"{name} {can_end if node in leaving['return'] else 'returns nothing'}"
            yield _finding(node, "function-wrong", message, _RETURNS[name])
    yield from _check_returned(code, found)
    for node in find_unused(code):
        if function := meant(code, node.name):
            message = f"nothing calls {node.name}, and there is no {function}"
            yield _finding(node, "function-misspelt", message, f"write {function}, or another name if it is not meant")


def _is_own(code: Code, name: ast.Name) -> bool:
    """Whether a function names itself: that alone does not make it used."""
    node = code.scopes[name].node
    return isinstance(node, Function) and node.name == name.id


def _check_returned(code: Code, found: dict[str, ast.FunctionDef]) -> Iterator[Finding]:
    """`return`, `return None` and what is written as another thing than the function is to answer with."""
    names = {node: name for name, node in found.items()}
    for back in code.all(ast.Return):
        name = names.get(code.scopes[back].node)  # type: ignore[call-overload]  # a scope of another kind is no key
        what = _named(name, back.value) if name is not None else ""
        if name is not None and what:
            instead = "write raise Reject(...)" if what == _REJECT else _RETURNS[name]
            yield _finding(back, "function-wrong", f"{name} returns {what} here", instead)


def _named(name: str, value: ast.expr | None) -> str:
    """What the value is, if it is none of those that `name` may answer with; empty if it may be one."""
    match value:
        case None | ast.Constant(value=None):
            return "nothing"
        case ast.Constant(value=str()) | ast.JoinedStr():
            return "" if name == "key" else "a text"
        case ast.Constant(value=bool()) | ast.Compare():
            return "true or false"
        case ast.Constant():
            return "a number"
        case ast.Call(func=ast.Name(id="Reject")):
            return _REJECT
        case ast.List() | ast.ListComp() | ast.Tuple():
            return "a list"
        case ast.Set() | ast.SetComp():
            return "a set"
        case ast.Dict() | ast.DictComp() if name == "key":
            return "a dictionary"
    return ""


def _has_parameters(arguments: ast.arguments, number: int) -> bool:
    more = (*arguments.kwonlyargs, *arguments.defaults, arguments.vararg, arguments.kwarg)
    return len(arguments.posonlyargs) + len(arguments.args) == number and not any(more)


def _leaving(code: Code) -> dict[str, set[ast.AST]]:
    """Which functions yield, or return a value, in code of their own."""
    found: dict[str, set[ast.AST]] = {"yield": set(), "return": set()}
    for node in (*code.all(ast.Yield), *code.all(ast.YieldFrom)):
        found["yield"].add(code.scopes[node].node)
    for back in code.all(ast.Return):
        if back.value is not None:
            found["return"].add(code.scopes[back].node)
    return found


def _finding(node: ast.stmt | ast.expr, code: str, message: str, instead: str) -> Finding:
    return Finding(line=node.lineno, code=code, message=message, instead=instead)
