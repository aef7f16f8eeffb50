"""Rules of the architecture that the import linter cannot say: calls, dotted names, doors.

The layers themselves stand in `.importlinter`.
"""

from __future__ import annotations

import ast
from typing import Final

import pytest

from tests.conftest import ALLOWED_SKIPS, read_allowed_skips
from tests.source import PACKAGES, ROOT, Module, calls, functions, imports, modules

DOORS: Final = ("node.api", "node.cli", "node.console", "node.sync")
_PURE: Final = ("ledger", "contracts.source")
_OUTSIDE_CALLS: Final = frozenset(
    {"open", "print", "input", "eval", "exec", "compile", "breakpoint", "__import__", "globals"}
)
_CLOCK_CALLS: Final = frozenset({"now", "utcnow", "today"})
_ENTROPY_CALLS: Final = frozenset({"generate", "generate_key", "urandom", "randombytes", "token_bytes", "uuid4"})
# Whatever else can open a connection, by its dotted name; `.importlinter` forbids whole packages.
_CONNECT: Final = ("urllib.request", "http.client", "asyncio.open_connection", "socket.create_connection")
_CONNECT_CALLS: Final = frozenset({"open_connection", "create_connection", "urlopen"})


def _pure_modules() -> list[Module]:
    return [module for module in modules("ledger", "contracts") if module.is_in(*_PURE)]


def _called(module: Module, names: frozenset[str]) -> list[str]:
    return [
        f"{module.path}:{line} {name}"
        for name, line in calls(module)
        if name in names or name.rpartition(".")[2] in names - _OUTSIDE_CALLS
    ]


@pytest.mark.slow
def test_pure_packages_call_nothing_outside_themselves() -> None:
    assert [found for module in _pure_modules() for found in _called(module, _OUTSIDE_CALLS)] == []


def test_pure_packages_read_no_clock() -> None:
    assert [found for module in _pure_modules() for found in _called(module, _CLOCK_CALLS)] == []


def test_the_core_draws_entropy_in_one_module() -> None:
    found = {
        module.name: _called(module, _ENTROPY_CALLS)
        for module in _pure_modules()
        if _called(module, _ENTROPY_CALLS) or "nacl.utils" in imports(module)
    }
    assert set(found) <= {"ledger.keys"}, found


@pytest.mark.slow
def test_doors_are_strangers() -> None:
    found = []
    for module in modules("node"):
        own = [door for door in DOORS if module.is_in(door)]
        for name in imports(module):
            others = [door for door in DOORS if name == door or name.startswith(door + ".")]
            if own and others and own != others:
                found.append(f"{module.path} imports {name}")
    assert found == []


@pytest.mark.slow
def test_only_the_clients_open_connections() -> None:
    found = []
    for module in modules(*PACKAGES):
        if not module.is_in("node.sync.client", "node.cli.client"):
            found += [f"{module.path} imports {name}" for name in imports(module) if name.startswith(_CONNECT)]
            found += _called(module, _CONNECT_CALLS)
    assert found == []


@pytest.mark.slow
def test_every_verify_function_returns_no_bool() -> None:
    found = [
        f"{module.path} {name}"
        for module in modules(*PACKAGES)
        for name, function in functions(module)
        if function.name.startswith("verify") and function.returns and ast.unparse(function.returns) == "bool"
    ]
    assert found == []


@pytest.mark.slow
def test_allowed_skips_name_tests_that_exist() -> None:
    tests = {
        f"{module.path}::{name.replace('.', '::')}" for module in modules("tests") for name, _ in functions(module)
    }
    tests |= {module.path for module in modules("tests")}
    unknown = [name for name in read_allowed_skips(ALLOWED_SKIPS.read_text()) if name.partition("[")[0] not in tests]
    assert unknown == []


def test_an_allowed_skip_without_a_reason_is_refused() -> None:
    assert read_allowed_skips("# words\n\ntests/test_x.py::test_y # no such device\n") == {
        "tests/test_x.py::test_y": "no such device"
    }
    with pytest.raises(pytest.UsageError, match="no reason given for tests/test_x.py::test_y"):
        read_allowed_skips("tests/test_x.py::test_y\n")


@pytest.mark.slow
def test_every_package_is_marked_as_one() -> None:
    # The import linter and mypy pass over a folder that is none, without a word.
    folders = {(ROOT / module.path).parent for module in modules(*PACKAGES)}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
