"""Every test that the threat model and the page on leakage cite exists, and in a full run has run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.ran import RUN, Run
from tests.source import ROOT, functions, modules

pytest_plugins = ["tests.ran"]

MODEL: Final = ROOT / "docs" / "threat-model.md"
LEAKAGE: Final = ROOT / "docs" / "spec" / "leakage.md"
_CITED: Final = re.compile(r"`(tests/[a-z0-9_/]+\.py::[a-z0-9_]+)`")
_IN_CI: Final = os.environ.get("CI", "").lower() not in ("", "0", "false")


def cited(page: Path) -> list[str]:
    return _CITED.findall(page.read_text(encoding="utf-8"))


def existing() -> set[str]:
    return {f"{module.path}::{name}" for module in modules("tests") for name, _ in functions(module)}


def rows(page: Path) -> list[list[str]]:
    """The cells of every table row whose table has a column `test` at its end."""
    found, is_open = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if cells and cells[-1] in ("test", "test |"):
            is_open = True
        elif not cells:
            is_open = False
        elif is_open and not set(line) <= set("|-"):
            found.append(cells)
    return found


def missing_runs(run: Run, names: set[str]) -> list[str]:
    """Which of `names` should have run by now and did not: all in a whole run, else those that were selected."""
    due = {name for name in names if run.is_whole or run.is_selected(name)}
    return sorted(name for name in due if not run.of(name) or "skipped" in run.of(name).values())


@pytest.mark.parametrize("page", [MODEL, LEAKAGE], ids=lambda page: page.stem)
def test_every_cited_test_exists(page: Path) -> None:
    names = cited(page)
    assert len(names) > 20
    assert sorted(set(names) - existing()) == []


def test_every_attack_names_what_stops_it_and_its_test() -> None:
    found = rows(MODEL)
    assert len(found) > 50
    assert [row for row in found if len(row) != 3 or not all(row) or not _CITED.search(row[2])] == []


@pytest.mark.parametrize(
    "attack",
    [
        "a wrong root", "a broken link", "a rollback", "a fork", "an unknown key", "an outdated key", "a small-order key",
        "foreign origin", "a malformed entry", "an oversized answer", "endless",
    ],
)  # fmt: skip
def test_every_lie_that_was_asked_for_is_a_line(attack: str) -> None:
    words = attack.split(" ", 1)[-1] if attack.startswith(("a ", "an ")) else attack
    assert any(words in row[0] for row in rows(MODEL)), attack


@pytest.mark.last
def test_every_cited_test_ran() -> None:
    """Last of all. Outside CI a test may skip, where what it needs is not installed; in CI none may."""
    names = {*cited(MODEL), *cited(LEAKAGE)}
    missing = missing_runs(RUN, names)
    assert [name for name in missing if _IN_CI or not RUN.of(name)] == []


def test_tests_that_did_not_run_or_skipped_are_noticed() -> None:
    run = Run(
        selected={"tests/a.py::test_x[1]", "tests/a.py::test_x[2]", "tests/a.py::test_y", "tests/a.py::test_z"},
        ended={"tests/a.py::test_x[1]": "passed", "tests/a.py::test_x[2]": "failed", "tests/a.py::test_y": "skipped"},
    )
    names = {f"tests/a.py::test_{letter}" for letter in "wxyz"}
    assert missing_runs(run, names) == ["tests/a.py::test_y", "tests/a.py::test_z"]
    run.is_whole = True
    assert missing_runs(run, names) == ["tests/a.py::test_w", "tests/a.py::test_y", "tests/a.py::test_z"]


def test_plugin_keeps_how_each_test_went_and_this_one_is_under_way() -> None:
    assert RUN.of("tests/test_threat_model.py::test_tests_that_did_not_run_or_skipped_are_noticed") or not RUN.is_whole
    assert RUN.of("tests/test_threat_model.py::test_plugin_keeps_how_each_test_went_and_this_one_is_under_way") == {}
    assert RUN.is_selected("tests/test_threat_model.py::test_plugin_keeps_how_each_test_went_and_this_one_is_under_way")
