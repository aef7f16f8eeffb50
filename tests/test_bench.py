"""What the benchmarks print is what their schema and their list of rows say; what they measure is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import json_schemas
from tests.bench import stage as bench_stage
from tests.bench.__main__ import names
from tests.bench.peers import Hypercore
from tests.bench.rows import SCHEMA, Row, at_least, at_most, encode_rows, make_row
from tests.bench.stage import QUICK, Stage
from tests.conformance.tools import NotToBeHad
from tests.source import ROOT

Judge = Callable[..., Callable[[Row], Row]]

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]


def _is_valid(rows: object) -> bool:
    return json_schemas.draft2020(SCHEMA).is_valid(rows)


@pytest.mark.slow
def test_a_quick_run_prints_the_rows_of_its_scenes_and_nothing_else() -> None:
    words = ["--quick", "--json", "--only", "replaying", "--only", "idling"]
    program = f"import sys; from tests.bench.__main__ import main; sys.exit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    json_schemas.draft2020(SCHEMA).validate(rows)
    assert [row["name"] for row in rows] == [*names()["replaying"], *names()["idling"]]
    assert "replay, round" in done.stderr, "progress goes elsewhere than the rows"


def test_every_row_has_a_name_of_its_own_that_the_schema_takes() -> None:
    every = [name for scene in names().values() for name in scene]
    assert len(set(every)) == len(every)
    assert set(names()).isdisjoint(every), "--only takes either"
    assert _is_valid(json.loads(encode_rows([make_row(name, [1.0], "s") for name in every])))


@pytest.mark.parametrize("of", ["median", "ratio"])
@pytest.mark.parametrize(("judge", "met"), [(at_least, [False, True, True]), (at_most, [True, True, False])])
def test_a_goal_is_met_or_missed_as_it_says(judge: Judge, met: list[bool], of: str) -> None:
    rows = [judge(2, of=of)(make_row("a-row", [value], "s", ratio=value)) for value in (1.0, 2.0, 3.0)]
    assert [row.met for row in rows] == met
    assert _is_valid(json.loads(encode_rows(rows)))


def test_a_ratio_to_what_could_not_be_had_is_neither_met_nor_missed() -> None:
    row = at_least(2, of="ratio")(make_row("a-row", [1.0], "s", ratio=None))
    assert row.met is None
    assert _is_valid(json.loads(encode_rows([row])))


@pytest.mark.parametrize(
    "change", [{"name": "Two Words"}, {"median": 0}, {"spread": [1]}, {"goal": "median > 2"}, {"met": 1}, {"more": 1}]
)
def test_the_schema_refuses_other_rows(change: dict[str, object]) -> None:
    row: Row = at_least(2)(make_row("a-row", [1.0], "s"))
    (good,) = json.loads(encode_rows([row]))
    assert _is_valid([good])
    assert not _is_valid([good | change])


# --- hypercore --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.conformance
def test_hypercore_appends_and_replicates(tmp_path: Path) -> None:
    try:
        hypercore = Hypercore(tmp_path)
    except NotToBeHad as cause:
        pytest.skip(f"no hypercore: {cause}")
    assert hypercore.append(50) > 0
    assert hypercore.replicate(50) > 0


def test_a_run_without_hypercore_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> Hypercore:
        raise NotToBeHad("node and npm are not installed")

    monkeypatch.setattr(bench_stage, "Hypercore", fail)
    said: list[str] = []
    stage = Stage(tmp_path, QUICK, False, said.append)
    assert stage.hypercore is None
    assert said[0].startswith("SKIPPED")
    assert said[0].endswith("node and npm are not installed")
