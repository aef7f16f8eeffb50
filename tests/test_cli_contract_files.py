"""What `tally contract new` and `run` write beside what they are given, and over what they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.make_cli import Result, tally
from tests.make_crates import write_all


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of the guide."""
    monkeypatch.chdir(tmp_path)
    write_all(tmp_path)
    return tmp_path


def run(*words: str | Path) -> Result:
    return tally("contract", "run", "crates.py", "--inputs", "crates.ndjson", "--terms", "terms.json", *words)


@pytest.mark.parametrize("name", ["crates.py", "crates.ndjson", "terms.json"])
def test_states_are_not_written_over_what_is_read(folder: Path, name: str) -> None:
    before = (folder / name).read_bytes()
    said = run("--save", name)
    assert (said.code, f"write over {name}" in said.err) == (3, True), said
    assert (folder / name).read_bytes() == before


def test_type_that_nobody_knows_is_named(folder: Path) -> None:
    lines = (folder / "crates.ndjson").read_text(encoding="utf-8")
    (folder / "crates.ndjson").write_text('{"type":"snt","body":{}}\n' + lines, encoding="utf-8")
    assert "it has no `role`, and AUTHORS does not know the type 'snt'" in run().err
    (folder / "crates.ndjson").write_text('{"type":"snt","role":"shop","body":{}}\n' + lines, encoding="utf-8")
    assert "SHARES does not know the type 'snt'" in run().out


def test_summaries_are_a_table_for_people(folder: Path) -> None:
    said = run("--table", "owed.csv", "--save", "states.ndjson")
    assert said.code == 0, said.err
    head, *rows = (folder / "owed.csv").read_text(encoding="utf-8").splitlines()
    states = [json.loads(line) for line in (folder / "states.ndjson").read_text(encoding="utf-8").splitlines()]
    assert head.split(",") == ["case", *states[0]["summary"], "no summary because"]
    assert [row.split(",")[0] for row in rows] == [state["case"] for state in states]


def test_table_is_not_written_where_the_states_are(folder: Path) -> None:
    assert run("--table", "x", "--save", "./x").code == 3
    assert not (folder / "x").exists()


def test_terms_of_the_worked_example_come_with_a_contract(folder: Path) -> None:
    done = tally("contract", "new", "cold", "--from", "cold_chain")
    assert "Wrote cold.terms.json." in done.out and "--terms cold.terms.json" in done.err
    (folder / "none.ndjson").write_text("", encoding="utf-8")
    assert tally("contract", "run", "cold.py", "--inputs", "none.ndjson", "--terms", "cold.terms.json").code == 0


def test_what_a_template_does_not_have_is_not_advised(folder: Path) -> None:
    assert "contract test" not in tally("contract", "new", "fish", "--from", "seafood_sharing").err
