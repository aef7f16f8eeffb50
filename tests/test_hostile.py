"""Hostile contracts can do nothing but fail, and fail in the same way everywhere: the programs of `tests/hostile`.

Each runs in two workers of two programs that differ in environment, folder, time zone and hash seed, with other
programs before it; alone, and with other inputs of the same contract before and behind it in one batch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from contracts.engine import Engine, make_pin
from contracts.source import lint
from tests.engines import contract
from tests.hostile import Program, read_programs
from tests.hostile.shown import OUTWARD, SHOWN
from tests.source import ROOT
from tests.vectors.make_hostile import shorten

PROGRAMS: Final = read_programs()
VECTORS: Final = json.loads((ROOT / "tests" / "vectors" / "hostile.json").read_text(encoding="utf-8"))
ENDINGS: Final[dict[str, str]] = VECTORS["endings"]
SECONDS_MAX: Final = 60.0
"""Of any program, all its runs together: they take 3 on a core of their own."""
PEAK_BYTES_MAX: Final = 320 << 20
"""Of a worker: an instance has 128 MiB, and the largest answers, read, take 60 beside what the worker has itself."""

QUICK: Final = (
    "answer_claims_success",
    "answer_is_deep_and_open",
    "answer_texts_lie_in_every_way",
    "case_turns_direction",
    "clock_by_modules",
    "code_of_nonsense",
    "decimal_nan",
    "entropy_by_seed",
    "environment_by_os",
    "error_kind_is_trap",
    "exit_by_posix",
    "file_by_the_builtins_of_a_frame",
    "forever_caught_bare",
    "letters_that_become_open",
    "limit_of_calls_lifted",
    "list_adds_itself",
    "memory_refused_becomes_a_reject",
    "nested_brackets",
    "order_of_hashes",
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Engine() as engine:
        engine.start()  # it is compiled once, before two at a time want it
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="session")
def quick(folder: Path) -> list[dict[str, Any]]:
    return run_everywhere(folder, QUICK)


@pytest.fixture(scope="session")
def everything(folder: Path) -> list[dict[str, Any]]:
    return run_everywhere(folder, ())


def run_everywhere(folder: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """What came of each program, by its name, in two places that have little in common."""
    places = [
        (ROOT, {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LANG": "C", "SECRET": "one"}),
        (folder, {"PYTHONHASHSEED": "2", "TZ": "America/Lima", "LANG": "C.UTF-8", "OTHER_SECRET": "two"}),
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.session", str(before), *names],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            cwd=place,
            stdout=subprocess.PIPE,
        )
        for before, (place, environment) in enumerate(places, 1)
    ]
    printed = [one.communicate()[0] for one in running]
    assert [one.returncode for one in running] == [0, 0], "no worker died"
    return [dict(map(json.loads, text.splitlines())) for text in printed]


def check(program: Program, runs: list[dict[str, Any]]) -> None:
    """It ended as it always ends, each time alike, and harmed nobody."""
    one, other = (run[program.name] for run in runs)
    assert shorten(one["kind"]) == ENDINGS[program.name], "the pinned engine has one ending for each"
    assert one["kind"] in program.expected or ("state" in program.expected and _is_state(one["kind"]))
    assert one["alone"] == other["alone"], "the same to the last instruction"
    assert max(one["seconds"], other["seconds"]) < SECONDS_MAX
    if one["kind"] == "refused":
        return
    for run in (one, other):
        if "drifts" not in program.flags:
            assert run["beside"] == one["beside"] and run["beside"].startswith("("), "neighbours change nothing"
        if not program.flags & {"spoils", "whole"}:
            assert run["neighbours"] == [f'{{"count":{n}}}' for n in range(1, len(run["neighbours"]) + 1)]


@pytest.mark.parametrize("name", QUICK)
def test_hostile_program_fails_alike_wherever_it_runs(name: str, quick: list[dict[str, Any]]) -> None:
    check(PROGRAMS[name], quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_every_hostile_program_fails_alike_wherever_it_runs(name: str, everything: list[dict[str, Any]]) -> None:
    check(PROGRAMS[name], everything)


@pytest.mark.slow
def test_memory_of_a_worker_has_a_bound_whatever_it_runs(everything: list[dict[str, Any]]) -> None:
    slowest = sorted((ran["seconds"], name) for name, ran in everything[0].items() if name)[-5:]
    peaks = [run[""]["peak_bytes"] for run in everything]
    print(f"peak {max(peaks) >> 20} MiB; slowest {slowest}")
    assert max(peaks) < PEAK_BYTES_MAX


def test_there_are_hostile_programs_of_every_kind() -> None:
    expected = {kind.split(" ")[0].split(":")[0] for program in PROGRAMS.values() for kind in program.expected}
    assert {"refused", "raised", "answer", "trap", "state"} <= expected
    assert len(PROGRAMS) >= 600


def test_the_endings_are_of_the_pinned_engine_and_of_each_program() -> None:
    assert VECTORS["pin"] == make_pin(), "another pin: write the endings anew, and read what has changed"
    assert ENDINGS.keys() == PROGRAMS.keys()


def test_what_reaches_outward_ends_in_no_state_but_in_those_that_show_nothing() -> None:
    outward = {name for name, program in PROGRAMS.items() if program.theme in OUTWARD and _is_state(ENDINGS[name])}
    kept = {name for name in outward if name.startswith(("in_", "context_"))}  # they look at what inputs leave behind
    assert outward - kept == SHOWN.keys()


def test_what_is_written_in_letters_that_become_others_is_seen_by_lint() -> None:
    for name in ("letters_that_become_open", "letters_that_become_float", "letters_that_become_a_class"):
        line = PROGRAMS[name].source.splitlines()[-1].strip()
        found = [finding for finding in lint(contract(line)) if finding.line == contract(line).count("\n")]
        assert found, name


def _is_state(ending: str) -> bool:
    return ending.startswith(("{", "a state of "))
