"""The judges: callables that put a question to an implementation not written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance import tools


@pytest.fixture(scope="session")
def go_judge() -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Cases in, answers out: golang.org/x/mod/sumdb (see go/main.go)."""
    try:
        verifier = tools.go_verifier()
    except tools.NotToBeHad as cause:
        pytest.skip(f"no Go verifier: {cause}")
    return lambda cases: list(tools.ask([verifier], cases))


@pytest.fixture(scope="session")
def npm_judge() -> Callable[[str, object], Any]:
    """Script and question in, answer out: packages of npm (see npm/)."""
    try:
        folder = tools.npm_folder()
    except tools.NotToBeHad as cause:
        pytest.skip(f"no npm packages: {cause}")
    return lambda script, question: tools.ask(["node", folder / script], question)
