"""What `tally contract new` and `run` write beside what they are given, and over what they do not."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.authoring import _library
from tests.make_cli import tally
from tests.make_crates import run_crates
from tests.source import ROOT

DOCUMENTS = (ROOT / "docs" / "reference" / "documents.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["crates.py", "crates.ndjson", "terms.json"])
def test_states_are_not_written_over_what_is_read(guide: Path, name: str) -> None:
    before = (guide / name).read_bytes()
    said = run_crates("--save", name)
    assert (said.code, f"write over {name}" in said.err) == (3, True), said
    assert (guide / name).read_bytes() == before


def test_type_that_nobody_knows_is_named(guide: Path) -> None:
    lines = (guide / "crates.ndjson").read_text(encoding="utf-8")
    (guide / "crates.ndjson").write_text('{"type":"snt","body":{}}\n' + lines, encoding="utf-8")
    assert "it has no `role`, and AUTHORS does not know the type 'snt'" in run_crates().err
    (guide / "crates.ndjson").write_text('{"type":"snt","role":"shop","body":{}}\n' + lines, encoding="utf-8")
    assert "SHARES does not know the type 'snt'" in run_crates().out


def test_rejected_input_is_told_with_the_document_that_it_is_made_of(guide: Path) -> None:
    line = '{"type":"returned","source":{"file":"back 7.xml","sha256":"00"},"body":{"pool":"A","crates":1}}\n'
    (guide / "crates.ndjson").write_text(line + line.replace('{"file":"back 7.xml","sha256":"00"}', "7"))
    first, second = run_crates().out.splitlines()[:2]
    assert first.startswith("inputs line 1 (back 7.xml): A: 1 crates came back") and second.startswith(
        "inputs line 2: A: "
    )
    assert [row["file"] for row in run_crates("--json").json["rejected"]] == ["back 7.xml", None]


def test_terms_that_are_missing_are_asked_for_by_the_option(guide: Path) -> None:
    said = tally("contract", "run", "crates.py", "--inputs", "crates.ndjson")
    assert (said.code, "hint: --terms names the file" in said.err) == (1, True), said


def test_summaries_are_a_table_for_people(guide: Path) -> None:
    said = run_crates("--table", "owed.csv", "--save", "states.ndjson")
    assert said.code == 0, said.err
    head, *rows = (guide / "owed.csv").read_text(encoding="utf-8").splitlines()
    states = [json.loads(line) for line in (guide / "states.ndjson").read_text(encoding="utf-8").splitlines()]
    assert head.split(",") == ["case", "crates_out", "amount_due", "currency", "no summary because"]
    assert {*head.split(",")[1:-1]} == {*states[0]["summary"]}
    assert [row.split(",")[0] for row in rows] == [state["case"] for state in states]


def test_terms_without_a_schema_are_said_to_be_unchecked(guide: Path) -> None:
    assert "not checked" not in run_crates().err
    (guide / "crates.schema.json").unlink()
    assert "there is no crates.schema.json: the terms are not checked" in run_crates().err


def test_file_whose_name_is_no_utf_8_is_named_in_json(guide: Path) -> None:
    name = os.fsdecode(b"c\xff.ndjson")
    (guide / name).write_bytes(b"[]\n")
    said = tally("contract", "run", "crates.py", "--terms", "terms.json", "--inputs", name, "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "input-malformed"), said
    assert said.json["error"]["message"].startswith(f"{name}:1: ")


def test_states_that_find_no_room_are_named_and_nothing_of_them_is_left(guide: Path) -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # no file may grow beyond: what a full disk looks like
    try:
        said = run_crates("--save", "states.ndjson")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert (said.code, "error: states.ndjson: File too large" in said.err) == (3, True), said
    assert not list(guide.glob("*states*")) and not list(guide.glob(".*"))


def test_contract_without_summary_has_no_table_and_nothing_is_written_over(guide: Path) -> None:
    text = (guide / "crates.py").read_text(encoding="utf-8")
    (guide / "crates.py").write_text(text.replace("def summary(state):", "def told(state):"), encoding="utf-8")
    (guide / "states.ndjson").write_text("older")
    said = run_crates("--save", "states.ndjson", "--table", "owed.csv")
    assert (said.code, "no `summary`" in said.err) == (1, True), said
    assert (guide / "states.ndjson").read_text() == "older" and not (guide / "owed.csv").exists()


def test_cases_whose_summary_fails_are_counted_to_whoever_asked_for_the_table(guide: Path) -> None:
    text = (guide / "crates.py").read_text(encoding="utf-8")
    assert "summary failed" not in run_crates("--table", "owed.csv").err
    (guide / "crates.py").write_text(text.replace("def summary(state):\n", "def summary(state):\n    state['x']\n"))
    said = run_crates("--table", "owed.csv")
    rows = (guide / "owed.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert f"summary failed for {len(rows)} cases" in said.err and all("KeyError" in row for row in rows), said


@pytest.mark.parametrize("option", ["--table", "--save"])
def test_nothing_is_written_to_a_file_whose_name_is_a_dash(guide: Path, option: str) -> None:
    said = run_crates(option, "-")
    assert (said.code, (guide / "-").exists()) == (3, False), said


@pytest.mark.parametrize("option", ["--table", "--save"])
def test_folder_that_is_not_there_is_named_before_anything_runs(guide: Path, option: str) -> None:
    said = run_crates(option, "none/x")
    assert (said.code, said.out) == (3, "")
    assert "there is no folder none to write x into: make it first" in said.err
    assert "is a folder: name a file in it" in run_crates(option, guide).err


def test_one_is_no_plural(guide: Path) -> None:
    (guide / "crates.ndjson").write_text('{"type": "returned", "body": {"pool": "A", "crates": 1}}\n')
    words = ["--inputs", "crates.ndjson", "--terms", "terms.json"]
    said = tally("contract", "compare", "crates.py", "crates_2.py", *words)
    assert "under OLD: 1 record\n" in said.out and said.err.endswith("1 input compared\n")
    assert tally("contract", "test", "warm.py").err.endswith("1 case ok, 0 failed\n")


def test_table_is_not_written_where_the_states_are(guide: Path) -> None:
    assert run_crates("--table", "x", "--save", "./x").code == 3
    assert not (guide / "x").exists()


def test_terms_of_the_worked_example_come_with_a_contract(guide: Path) -> None:
    done = tally("contract", "new", "cold", "--from", "cold_chain")
    assert "Wrote cold.terms.json." in done.out and "--terms cold.terms.json" in done.err
    (guide / "none.ndjson").write_text("", encoding="utf-8")
    assert tally("contract", "run", "cold.py", "--inputs", "none.ndjson", "--terms", "cold.terms.json").code == 0


def test_who_reads_which_field_is_told_of_every_input(guide: Path) -> None:
    with (guide / "crates.ndjson").open("a") as file:
        file.write('{"type": "sent", "body": {"pool": "C", "crates": 1, "stock_number": "7"}}\n')
    lines = run_crates("--readers").out.splitlines()
    assert lines[:3] == ["inputs line 1, sent", "  /pool    packer, shop", "  /crates  carrier, packer, shop"]
    at = lines.index("inputs line 5, returned")
    assert lines[at + 1] == "  nobody reads it: no node would record it"
    assert lines[at + 5] == "  /stock_number  its author alone"
    found = run_crates("--readers", "--json").json["readers"]
    assert found[5]["fields"][1:] == [
        {"name": "/crates", "roles": ["carrier", "packer", "shop"]}, {"name": "/stock_number", "roles": []}
    ]  # fmt: skip
    assert {**found[4], "line": 5} == {"line": 5, "type": "returned", "fields": None}
    assert run_crates("--json").json["readers"] is None


def test_readers_that_share_adds_are_told_too(guide: Path) -> None:
    (guide / "warm.ndjson").write_text(
        '{"type": "reading", "body": {"lorry": "L7", "degrees": 5, "at": "10:00"}}\n'
        '{"type": "reading", "body": {"lorry": "L7", "degrees": 9, "at": "10:30"}}\n'
    )
    (guide / "warm.terms.json").write_text('{"warmest": 8}')
    said = tally(
        "contract", "run", "warm.py", "--inputs", "warm.ndjson", "--terms", "warm.terms.json", "--readers", "--json"
    )
    assert [["insurer" in field["roles"] for field in row["fields"]] for row in said.json["readers"]] == [
        [False, False, False], [False, True, True]
    ]  # fmt: skip


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_streams_that_the_caller_closed_are_no_fault(guide: Path, closed: str) -> None:
    """The worker's pipes and the files that are written must not get their numbers either."""
    words = f"{shlex.quote(sys.executable)} -m node.cli contract test crates.py --cases crates.cases.json {closed}"
    assert subprocess.run(["sh", "-c", words], cwd=guide, check=False, stdin=subprocess.DEVNULL).returncode == 0


def test_summary_that_fails_is_told_without_a_table_too(guide: Path) -> None:
    text = (guide / "crates.py").read_text(encoding="utf-8")
    (guide / "crates.py").write_text(text.replace("def summary(state):\n", "def summary(state):\n    state['x']\n"))
    told = "summary failed for 2 cases, the first of them A: KeyError: 'x' (contract line 44 in summary)"
    assert told in run_crates().err.splitlines()
    assert f"{told}; the last column of the table says why" in run_crates("--table", "owed.csv").err.splitlines()
    rows = run_crates("--json").json["summaries_refused"]
    assert [(row["case"], row["reason"]["line"]) for row in rows] == [("A", 44), ("B", 44)]


def test_readers_of_a_long_stream_are_not_kept_in_memory(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.cli.readers._MEMORY_BYTES", 100)
    lines = (guide / "crates.ndjson").read_text(encoding="utf-8").splitlines(keepends=True)
    (guide / "crates.ndjson").write_text("".join(lines * 20))
    told = [line for line in run_crates("--readers").out.splitlines() if line.startswith("inputs line ")]
    assert told[:100] == [line for line in told if ", sent" in line or ", returned" in line] and len(told) > 100
    rows = run_crates("--readers", "--json").json["readers"]
    assert [row["line"] for row in rows] == list(range(1, 101))


def test_nobody_is_told_as_a_reader_of_a_stream_that_breaks_off(guide: Path) -> None:
    with (guide / "crates.ndjson").open("a") as file:
        file.write("{}\n")
    assert run_crates("--readers").out == ""
    assert list(run_crates("--readers", "--json").json) == ["error"]


@pytest.mark.parametrize("asked", ['terms["deposit"]', 'terms["depo" + "sit"]'])
def test_terms_that_were_forgotten_are_asked_for(guide: Path, asked: str) -> None:
    (guide / "crates.schema.json").unlink()
    text = (guide / "crates.py").read_text(encoding="utf-8").replace('"currency": terms["currency"]', '"currency": ""')
    (guide / "crates.py").write_text(text.replace('terms["deposit"]', asked))
    said = tally("contract", "run", "crates.py", "--inputs", "crates.ndjson")
    assert "hint: give --terms FILE: the contract asks for terms['deposit']" in said.err.splitlines()
    (guide / "terms.json").write_text("{}")
    assert "hint: write it into terms.json: the contract asks for terms['deposit']" in run_crates().err.splitlines()
    words = ["crates.py", "crates.py", "--inputs", "crates.ndjson"]
    (guide / "crates.cases.json").write_text((guide / "crates.cases.json").read_text().replace('"deposit"', '"x"'))
    hint = "hint: write it into the `terms` of crates.cases.json: the contract asks for terms['deposit']"
    assert hint in tally("contract", "test", "crates.py").err.splitlines()
    assert tally("contract", "compare", *words).code == 0


def test_key_that_a_body_lacks_is_not_taken_for_a_term(guide: Path) -> None:
    (guide / "crates.ndjson").write_text('{"type": "sent", "body": {"pool": "A"}}\n')
    said = run_crates()
    assert "KeyError: 'crates'" in said.out and "terms[" not in said.err


@pytest.mark.parametrize("template", [path.stem for path in _library().glob("[a-z]*.py")])
def test_new_says_where_inputs_come_from(guide: Path, template: str) -> None:
    said = tally("contract", "new", "mine", "--from", template).err
    named = re.findall(rf"\| \[`{template}`\]|, \[`{template}`\]", DOCUMENTS)
    assert ("`tally contract inputs` makes it of" in said) == bool(named)
    assert ("the steps of mine.cases.json show what it holds" in said) == (not named)
