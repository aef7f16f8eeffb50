"""Every durable call of the node stands with a crash point, and every crash point with a durable call.

So that killing a process at each named point (`tests/test_crash.py`) kills it at every step that matters.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from node.crash import CRASH_POINTS
from tests.source import Function, Module, functions, modules

# Not of the ledger: what is here can be made again from it, or is for people.
_ELSEWHERE: Final = {
    "node.cli": "commands write files where people tell them to",
    "node.views": "fills views, which are rebuilt from the ledger",
    "node.storage.viewstore": "keeps views",
    "node.storage.copies": "copies for people, which fsck checks",
    "node.dev": "addresses of nodes that end with it",
}
_READING: Final = frozenset(
    {"node/storage/store.py:Store.read", "node/storage/engine.py:_schema_version", "node/storage/viewsource.py:*"}
)
"""Functions that begin transactions in which nothing is written."""
_SYNCING: Final = frozenset({"pwrite", "write", "fsync", "fdatasync", "replace", "rename", "link", "truncate"})


def durable_modules() -> list[Module]:
    return [module for module in modules("node") if not module.is_in(*_ELSEWHERE)]


# --- what is durable ----------------------------------------------------------------------


def is_durable(call: ast.Call) -> bool:
    """`os.fsync(...)` and the like, `path.replace(target)`, `path.rename(target)`, `path.write_bytes(...)`."""
    if not isinstance(call.func, ast.Attribute):
        return False
    name, owner = call.func.attr, call.func.value
    if isinstance(owner, ast.Name) and owner.id == "os":
        return name in _SYNCING
    # Texts are replaced with two arguments, times with named ones.
    return name in ("write_bytes", "write_text", "rename", "hardlink_to", "symlink_to") or (
        name == "replace" and len(call.args) == 1 and not call.keywords
    )


def begins_a_transaction(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "begin"


def store_writes(module: Module) -> Iterator[tuple[str | None, int]]:
    """The step that each `....write("step")` names, None where it is no text; and its line."""
    for node in ast.walk(module.tree):
        for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "write":
                named = call.args[0] if call.args else None
                is_text = isinstance(named, ast.Constant) and isinstance(named.value, str)
                yield (named.value if is_text else None), call.lineno  # type: ignore[union-attr]  # is_text says so


def crash_names(tree: ast.AST) -> list[str]:
    """What `crash_point` is called with below `tree`; "*.moment" where the step is a variable."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crash_point":
            name = node.args[0]
            if isinstance(name, ast.Constant):
                found.append(str(name.value))
            elif isinstance(name, ast.JoinedStr) and isinstance(name.values[-1], ast.Constant):
                found.append("*" + str(name.values[-1].value))
    return found


def unguarded(module: Module) -> Iterator[str]:
    """Functions with a durable call, or a transaction that may write, and without a crash point on both sides of it.

    A private function counts as guarded if all in its module that call it are.
    """
    by_name = dict(functions(module))
    guarded = {name for name, function in by_name.items() if len(crash_names(function)) >= 2}
    for name, function in by_name.items():
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        writes = [call for call in calls if is_durable(call)]
        if not {f"{module.path}:{name}", f"{module.path}:*"} & _READING:
            writes += [call for call in calls if begins_a_transaction(call)]
        callers = _callers(name, by_name)
        if writes and name not in guarded and not (callers and callers <= guarded):
            yield f"{module.path}:{writes[0].lineno} {name}"


def _callers(called: str, by_name: dict[str, Function]) -> set[str]:
    return {
        name
        for name, function in by_name.items()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == called
    }


# --- tests -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_durable_call_stands_between_crash_points() -> None:
    assert [place for module in durable_modules() for place in unguarded(module)] == []


def test_every_transaction_names_its_step() -> None:
    for module in durable_modules():
        for step, line in store_writes(module):
            assert step is not None, f"{module.path}:{line} writes without naming its step"
            assert {f"{step}.before-commit", f"{step}.after-commit"} <= CRASH_POINTS, f"{module.path}:{line} {step}"


@pytest.mark.slow
def test_every_crash_point_is_used() -> None:
    used = {name for module in durable_modules() for name in crash_names(module.tree)}
    steps = {step for module in durable_modules() for step, _ in store_writes(module)}
    assert {"*.before-commit", "*.after-commit"} <= used, "a store's transactions have both"
    used |= {f"{step}.{moment}" for step in steps for moment in ("before-commit", "after-commit")}
    assert {name for name in used if not name.startswith("*")} == CRASH_POINTS


def test_what_is_left_out_exists() -> None:
    paths = {module.path for module in modules("node")}
    names = {f"{module.path}:{name}" for module in modules("node") for name, _ in functions(module)}
    assert all(any(module.is_in(name) for module in modules("node")) for name in _ELSEWHERE)
    assert all(entry in names or entry.removesuffix(":*") in paths for entry in _READING)


def _module(text: str) -> Module:
    return Module("node/x.py", text, ast.parse(text))


@pytest.mark.parametrize(
    "call",
    [
        "os.fsync(f)", "os.replace(a, b)", "os.rename(a, b)", "os.pwrite(f, b, 0)", "path.replace(other)",
        "path.rename(other)", "path.write_bytes(b)", "connection.begin()",
    ],
)  # fmt: skip
def test_durable_call_without_crash_points_is_found(call: str) -> None:
    assert list(unguarded(_module(f"def f():\n    {call}\n"))) == ["node/x.py:2 f"]
    assert list(unguarded(_module(f"def f():\n    crash_point('a')\n    {call}\n"))) == ["node/x.py:3 f"]
    assert list(unguarded(_module(f"def f():\n    crash_point('a')\n    {call}\n    crash_point('b')\n"))) == []


@pytest.mark.parametrize("call", ["text.replace('a', 'b')", "moment.replace(tzinfo=None)", "sys.stderr.write('a')"])
def test_what_is_not_durable_is_passed_over(call: str) -> None:
    assert list(unguarded(_module(f"def f():\n    {call}\n"))) == []


def test_private_part_of_a_durable_step_is_guarded_by_whoever_calls_it() -> None:
    part = "def _part():\n    os.fsync(f)\n"
    whole = "def whole():\n    crash_point('a')\n    _part()\n    crash_point('b')\n"
    assert list(unguarded(_module(part + whole))) == []
    assert list(unguarded(_module(part + whole + "def other():\n    _part()\n"))) == ["node/x.py:2 _part"]


def test_transaction_without_a_named_step_is_found() -> None:
    named = _module("with store.write('append') as tx:\n    pass\n")
    nameless = _module("with store.write(step) as tx:\n    pass\n")
    assert list(store_writes(named)) == [("append", 1)]
    assert list(store_writes(nameless)) == [(None, 1)]
