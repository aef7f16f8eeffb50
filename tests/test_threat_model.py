"""Every test that the threat model and the page on leakage cite exists, and in a full run has run."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import ALLOWED_SKIPS, is_allowed, read_allowed_skips
from tests.source import ROOT, functions, modules

pytest_plugins = ["tests.ran"]

MODEL: Final = ROOT / "docs" / "threat-model.md"
LEAKAGE: Final = ROOT / "docs" / "spec" / "leakage.md"
JUDGES: Final = {
    "logs": ("tests/conformance/test_log_go.py", "tests/conformance/test_log_npm.py"),
    "signatures": ("tests/conformance/test_ed25519_npm.py",),
}
"""What others' implementations judge, and the files of tests that ask them."""
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


@pytest.fixture
def ran() -> Any:
    """The plugin. Not imported above: pytest loads it once this file is read."""
    return importlib.import_module("tests.ran")


@pytest.mark.slow
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
        "a wrong root", "a broken link", "a rollback", "a fork", "an unknown key", "an outdated key",
        "a small-order key", "foreign origin", "a malformed entry", "an oversized answer", "endless",
    ],
)  # fmt: skip
def test_every_lie_that_was_asked_for_is_a_line(attack: str) -> None:
    words = attack.split(" ", 1)[-1] if attack.startswith(("a ", "an ")) else attack
    assert any(words in row[0] for row in rows(MODEL)), attack


def is_let_off(ended: Mapping[str, str], *, in_ci: bool, allowed: dict[str, str]) -> bool:
    """Whether a test skipped, and may: anywhere where it is listed, outside CI also where something is not installed.

    ended: how it went, under each of its parameters.
    """
    skipped = [name for name, how in ended.items() if how == "skipped"]
    return bool(skipped) and all(not in_ci or is_allowed(name, allowed) for name in skipped)


@pytest.mark.slow
def test_every_cited_test_ran(ran: Any) -> None:
    """Last of all."""
    allowed = read_allowed_skips(ALLOWED_SKIPS.read_text(encoding="utf-8"))
    missing = ran.RUN.missing({*cited(MODEL), *cited(LEAKAGE)})
    assert [name for name in missing if not is_let_off(ran.RUN.of(name), in_ci=_IN_CI, allowed=allowed)] == []


def unjudged(run: Any) -> list[str]:
    """What no implementation of others has looked at, in a run that was to show it."""
    asked = [what for what, files in JUDGES.items() if run.is_whole or any(_is_selected(run, file) for file in files)]
    return [what for what in asked if not any(run.passed_in(file) for file in JUDGES[what])]


def _is_selected(run: Any, file: str) -> bool:
    return any(test.startswith(f"{file}::") for test in run.selected)


def test_in_ci_somebody_else_judged_our_logs_and_our_signatures(ran: Any) -> None:
    """Last of all: that one judge is missing may be allowed, that none is left is not."""
    assert not _IN_CI or unjudged(ran.RUN) == []


def test_a_run_without_any_judge_is_noticed(ran: Any) -> None:
    go, npm, noble = (f"tests/conformance/test_{name}.py::test_a" for name in ("log_go", "log_npm", "ed25519_npm"))
    for ended, expected in (
        ({go: "passed", npm: "skipped", noble: "passed"}, []),
        ({go: "skipped", npm: "passed", noble: "passed"}, []),
        ({go: "skipped", npm: "skipped", noble: "passed"}, ["logs"]),
        ({go: "passed", noble: "skipped"}, ["signatures"]),
        ({}, ["logs", "signatures"]),
    ):
        assert unjudged(ran.Run(selected=set(), ended=ended, is_whole=True)) == expected, ended
        assert unjudged(ran.Run(selected=set(ended), ended=ended)) == (expected if ended else []), ended


def test_in_ci_only_tests_that_are_listed_may_skip_and_none_may_be_left_out() -> None:
    allowed = {"tests/a.py::test_x": "no such device", "tests/a.py::test_y[1]": "no such device"}
    for ended, in_ci, expected in (
        ({}, False, False),
        ({}, True, False),
        ({"tests/a.py::test_x[1]": "skipped", "tests/a.py::test_x[2]": "passed"}, True, True),
        ({"tests/a.py::test_y[1]": "skipped"}, True, True),
        ({"tests/a.py::test_y[1]": "skipped", "tests/a.py::test_y[2]": "skipped"}, True, False),
        ({"tests/a.py::test_y[2]": "skipped"}, False, True),
    ):
        assert is_let_off(ended, in_ci=in_ci, allowed=allowed) == expected, (ended, in_ci)


@pytest.mark.slow
def test_the_tests_that_ask_which_ran_are_there_and_so_are_those_they_ask_about(ran: Any) -> None:
    assert set(ran.LAST) <= existing()
    assert all((ROOT / file).is_file() for files in JUDGES.values() for file in files)


def test_tests_that_did_not_run_or_skipped_are_noticed(ran: Any) -> None:
    run = ran.Run(
        selected={"tests/a.py::test_x[1]", "tests/a.py::test_x[2]", "tests/a.py::test_y", "tests/a.py::test_z"},
        ended={"tests/a.py::test_x[1]": "passed", "tests/a.py::test_x[2]": "failed", "tests/a.py::test_y": "skipped"},
    )
    names = {f"tests/a.py::test_{letter}" for letter in "wxyz"}
    assert run.missing(names) == ["tests/a.py::test_y", "tests/a.py::test_z"]
    run.is_whole = True
    assert run.missing(names) == ["tests/a.py::test_w", "tests/a.py::test_y", "tests/a.py::test_z"]
    run.is_share = True
    assert run.missing(names) == [], "what the other shares ran is not known"


def test_runs_are_kept_as_they_end(ran: Any) -> None:
    own = "tests/test_threat_model.py::test_runs_are_kept_as_they_end"
    assert own in ran.RUN.selected
    assert ran.RUN.of(own) == {}, "it is still under way"
    assert all(
        how == "passed" for how in ran.RUN.of("tests/test_threat_model.py::test_every_cited_test_exists").values()
    )


_SMALL: Final = """
import importlib
pytest_plugins = ["tests.ran"]

def test_every_cited_test_ran():
    run = importlib.import_module("tests.ran").RUN
    print("whole" if run.is_whole else "chosen", run.missing(["tests/test_z.py::test_a", "tests/test_z.py::test_gone"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "whole ['tests/test_z.py::test_gone']"),
        (["-k", "not gone"], "chosen []"),
        (["-m", "not slow"], "chosen []"),
        (["tests/test_threat_model.py"], "chosen []"),
        (["--deselect", "tests/test_z.py::test_a"], "chosen []"),
    ],
)
def test_whole_runs_are_told_from_chosen_ones(tmp_path: Path, words: list[str], said: str) -> None:
    """In a process of its own: the test that asks comes last, and asks for all only where all were to run."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "ran.py").write_text((ROOT / "tests" / "ran.py").read_text())
    (tests / "test_threat_model.py").write_text(_SMALL)
    (tests / "test_z.py").write_text("def test_a(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\nmarkers = slow: slow\n")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:schemathesis", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert said in done.stdout
