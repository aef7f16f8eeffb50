"""`tally contract new`, `test`, `run` and `compare`, and the guide that uses them: command by command."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from node.cli.authoring import _library
from tests.make_cli import Result, tally
from tests.make_crates import TEXT, blocks, run_crates

_ALWAYS_BROKEN = TEXT.replace("def key(record):\n", "def key(record):\n    x = 1 / 2\n")


# --- the guide ------------------------------------------------------------------------------


@pytest.mark.slow
def test_commands_of_the_guide_say_what_it_shows(guide: Path) -> None:
    said = Result(0, "", "")
    shown = 0
    for _, language, text in blocks():
        if text.startswith("tally "):
            said = tally(*shlex.split(text)[1:])
            assert said.code == ("compare" in text), said.err
        elif language == "text":
            lines = {line.rstrip() for line in (said.out + said.err).splitlines()}
            assert [line for line in text.splitlines() if line not in lines] == []
            shown += 1
    assert shown == 6
    assert len((guide / "states.ndjson").read_text().splitlines()) == 2


# --- new ------------------------------------------------------------------------------------


def test_new_writes_what_the_template_has(guide: Path) -> None:
    done = tally("contract", "new", "fish", "--from", "seafood_sharing")
    assert (done.code, done.out) == (0, "Wrote fish.py.\nWrote fish.schema.json.\nWrote fish.cases.json.\n")
    assert "tally contract lint fish.py" in done.err
    assert (guide / "fish.py").read_bytes() == (_library() / "seafood_sharing.py").read_bytes()
    assert tally("contract", "lint", "fish.py").code == 0


@pytest.mark.parametrize("ending", [".py", ".schema.json", ".cases.json"])
def test_new_overwrites_nothing(guide: Path, ending: str) -> None:
    (guide / f"fish{ending}").write_text("mine")
    done = tally("contract", "new", "fish", "--from", "seafood_sharing", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "file-there")
    assert [(path.name, path.read_text()) for path in guide.glob("fish*")] == [(f"fish{ending}", "mine")]


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", "a.py", "", "a b", "x" * 64])
def test_new_takes_a_plain_name_alone(guide: Path, name: str) -> None:
    assert tally("contract", "new", name, "--from", "seafood_sharing").code == 3


def test_new_without_a_name_asks_for_one(guide: Path) -> None:
    done = tally("contract", "new", "--from", "purchase")
    assert (done.code, "name of the new contract is missing" in done.err) == (3, True)


def test_new_names_the_templates(guide: Path) -> None:
    listed = tally("contract", "new", "--list", "--json").json
    assert {"name": "seafood_sharing"}.items() <= next(
        row for row in listed if row["name"] == "seafood_sharing"
    ).items()
    assert all(row["title"] for row in listed)
    assert "seafood_sharing" in tally("contract", "new", "--list").out
    for words in (["x", "--from", "none"], ["x"]):
        done = tally("contract", "new", *words)
        assert (done.code, "seafood_sharing: Four firms" in done.err) == (3, True)


# --- test -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failed_case_is_told_and_ends_with_1(guide: Path) -> None:
    cases = (guide / "crates.cases.json").read_text()
    (guide / "other.json").write_text(cases.replace("only 10", "only 12").replace('"out": 6', '"out": 7'))
    done = tally("contract", "test", "crates.py", "--cases", "other.json")
    assert done.code == 1
    assert done.out.splitlines() == [
        "FAILED  what comes back is credited",
        "        states['A'].out: expected 7",
        "                              got 6",
        "FAILED  more than went out cannot come back",
        "        steps[1]: expected rejected: only 12 were out",
        "                       got rejected: 11 crates came back, and only 10 were out (contract line 38 in apply)",
        "ok      what is no count of crates moves nothing",
    ]
    found = tally("contract", "test", "crates.py", "--cases", "other.json", "--json")
    assert (found.code, found.json["ok"], found.json["failed"]) == (1, 1, 2)
    assert found.json["cases"][1]["failures"][0]["reason"]["line"] == 38


def test_terms_of_cases_must_fit_the_schema(guide: Path) -> None:
    cases = json.loads((guide / "crates.cases.json").read_text())
    cases["cases"][1]["terms"] = {"deposit": 1}
    (guide / "crates.cases.json").write_text(json.dumps(cases))
    done = tally("contract", "test", "crates.py")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: crates.cases.json: cases[1]: terms: 'currency' is a required property")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"about"', '"abot"', ": 'abot' is not known here; known are about, cases, terms"),
        (
            '"type": "sent"',
            '"typ": "sent"',
            (
                ": cases[0].steps[0]: 'typ' is not known here; known are author, body, id, links, reads, rejected, "
                "role, source, time, type"
            ),
        ),
        ('"crates": 4', '"crates": 04', ": not strict JSON at byte 399: Expecting ',' delimiter, line 10 column 63"),
        (
            '"states"',
            '"stats"',
            ": cases[0]: 'stats' is not known here; known are name, states, steps, summaries, terms",
        ),
    ],
)
def test_a_wrong_file_of_cases_is_named_with_the_place(guide: Path, old: str, new: str, where: str) -> None:
    path = guide / "crates.cases.json"
    path.write_text(path.read_text().replace(old, new, 1))
    done = tally("contract", "test", "crates.py")
    assert (done.code, done.err.splitlines()[0]) == (1, f"error: crates.cases.json{where}"), done.err


def test_a_file_of_cases_that_is_not_there_ends_with_3(guide: Path) -> None:
    (guide / "crates.cases.json").unlink()
    done = tally("contract", "test", "crates.py")
    assert (done.code, "there is no crates.cases.json beside the contract" in done.err) == (3, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name.removesuffix(".cases.json") for path in _library().glob("*.cases.json")])
def test_a_contract_begun_from_a_template_passes_its_cases(guide: Path, name: str) -> None:
    assert tally("contract", "new", "mine", "--from", name).code == 0
    done = tally("contract", "test", "mine.py")
    assert (done.code, "FAILED" in done.out) == (0, False), done.out


# --- lint first -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["test", "bad.py"], ["run", "bad.py"], ["compare", "crates.py", "bad.py"]])
def test_a_contract_that_lint_refuses_is_not_run(guide: Path, words: list[str]) -> None:
    (guide / "bad.py").write_text(_ALWAYS_BROKEN)
    inputs = [] if words[0] == "test" else ["--inputs", "crates.ndjson", "--terms", "terms.json"]
    done = tally("contract", *words, *inputs, "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "contract-unsound")
    assert "bad.py:24: " in done.err


def test_doubts_of_lint_are_counted_after_a_run_and_not_among_the_results(guide: Path) -> None:
    (guide / "crates.py").write_text(TEXT + "\n\ndef _spare():\n    return 1\n")
    inputs = ["--inputs", "crates.ndjson", "--terms", "terms.json"]
    said = "lint has 1 doubt about crates.py: `tally contract lint crates.py` shows it"
    for words in (
        ["test", "crates.py"],
        ["run", "crates.py", *inputs],
        ["compare", "crates_2.py", "crates.py", *inputs],
    ):
        assert tally("contract", *words).err.splitlines()[-1] == said
    assert said not in tally("contract", "run", "crates.py", *inputs, "--no-lint").err
    shown = tally("contract", "lint", "crates.py", "--json").json
    assert tally("contract", "test", "crates.py", "--json").json["doubts"] == shown
    assert run_crates("--json").json["doubts"] == shown
    assert run_crates("--json", "--no-lint").json["doubts"] is None


def test_no_lint_runs_it_in_the_sandbox_nevertheless(guide: Path) -> None:
    (guide / "bad.py").write_text(TEXT.replace("def key(record):\n", "def key(record):\n    return eval('1')\n"))
    done = tally(
        "contract", "run", "bad.py", "--inputs", "crates.ndjson", "--terms", "terms.json", "--no-lint", "--json"
    )
    assert (done.code, done.json["applied"]) == (0, 0)
    assert {row["reason"]["kind"] for row in done.json["rejected"]} == {"NameError", "not-allowed"}


def test_a_contract_that_cannot_be_loaded_ends_with_1(guide: Path) -> None:
    (guide / "bad.py").write_text(_ALWAYS_BROKEN)
    done = tally(
        "contract", "run", "bad.py", "--inputs", "crates.ndjson", "--terms", "terms.json", "--no-lint", "--json"
    )
    assert (done.code, done.json["error"]["code"]) == (1, "contract-not-runnable")


# --- run ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_run_answers_with_all_that_came_of_the_stream(guide: Path) -> None:
    found = run_crates("--json").json
    assert (found["inputs"], found["applied"], found["cases"]) == (5, 3, 2)
    assert [(row["line"], row["case"], row["reason"]["line"]) for row in found["rejected"]] == [
        (4, "B", 38),
        (5, None, None),
    ]
    assert found["rejected"][0]["reason"]["calls"] == [{"function": "apply", "line": 38}]
    assert found["fuel"]["total"] > found["fuel"]["most"] > 0
    assert {run_crates("--json", "--batch", size).json["states_hash"] for size in ("1", "2")} == {found["states_hash"]}


def test_run_reads_stdin(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (guide / "crates.ndjson").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n" + content)))
    found = tally("contract", "run", "crates.py", "--inputs", "-", "--terms", "terms.json", "--json").json
    assert [row["line"] for row in found["rejected"]] == [5, 6]


def test_a_bad_line_stops_the_run_and_nothing_is_saved(guide: Path) -> None:
    with (guide / "crates.ndjson").open("a") as file:
        file.write("\n{}\n")
    done = run_crates("--save", "states.ndjson", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "input-malformed")
    assert done.err.startswith("error: crates.ndjson:7: it has no `body`")
    assert list(guide.glob("*states*")) == []


@pytest.mark.slow
def test_many_rejections_are_counted_by_their_place(guide: Path) -> None:
    (guide / "crates.ndjson").write_text('{"type": "returned", "body": {"pool": "A", "crates": 1}}\n' * 30)
    lines = run_crates().out.splitlines()
    assert sum(line.startswith("inputs line ") for line in lines) == 20
    assert "... and 10 more; --json lists all. By the place that rejected:" in lines
    assert "      30  such as: 1 crates came back, and only 0 were out" in lines
    assert len(run_crates("--json").json["rejected"]) == 30


def test_terms_must_fit_the_schema(guide: Path) -> None:
    (guide / "terms.json").write_text('{"deposit": "3.50", "currency": "EUR"}')
    done = run_crates()
    assert (done.code, done.err.splitlines()[0]) == (1, "error: terms.json at /deposit: '3.50' is not of type 'number'")


@pytest.mark.parametrize(
    "words", [["--inputs", "none.ndjson"], ["--batch", "0"], ["--batch", "257"], ["--terms", "none"]]
)
def test_a_wrong_command_line_of_run_ends_with_3(guide: Path, words: list[str]) -> None:
    assert run_crates(*words).code == 3


def test_an_engine_that_cannot_run_here_ends_with_4(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = guide / "cache"
    (cache / "tallystick").mkdir(parents=True)
    (cache / "tallystick").chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    done = run_crates("--json")
    assert (done.code, done.json["error"]["code"]) == (4, "engine-unfit")
    assert "XDG_CACHE_HOME" in done.json["error"]["hint"]


# --- compare --------------------------------------------------------------------------------


def compare(new: str, *words: str) -> Result:
    inputs = ["--inputs", "crates.ndjson", "--terms", "terms.json"]
    return tally("contract", "compare", "crates.py", new, *inputs, *words)


@pytest.mark.slow
def test_equal_versions_end_with_0_and_others_with_1(guide: Path) -> None:
    assert compare("crates.py").code == 0
    done = compare("crates_2.py", "--json")
    assert done.code == 1
    assert '{"case": "A", "path": "/balance", "old": 21.00, "new": 22.40}' in done.out
    assert done.json["rejections"] == []
    assert done.json["readers"]["rules"] == [
        {"type": "returned", "part": "/crates", "role": "carrier", "reads_under": "old"}
    ]
    assert [row["records"] for row in done.json["readers"]["records"]] == [2]


def test_new_may_have_terms_of_its_own(guide: Path) -> None:
    (guide / "more.json").write_text('{"deposit": 4.00, "currency": "EUR"}')
    rows = compare("crates.py", "--new-terms", "more.json", "--json").json["states"]
    assert [(row["case"], row["new"]) for row in rows] == [("A", 24.0), ("B", 8.0)]


@pytest.mark.slow
def test_migrate_is_offered_and_says_what_it_fails_for(guide: Path) -> None:
    migrate = (
        '\n\ndef migrate(state, terms):\n    if state["out"] == 2:\n        raise Reject("two")\n    return state\n'
    )
    (guide / "new.py").write_text(TEXT.replace("{**state, ", '{**state, "more": 1, ') + migrate)
    assert "--migrate" in compare("new.py").err
    done = compare("new.py", "--migrate")
    assert done.out.splitlines()[:4] == [
        "Carried over: 1 state, failed: 1",
        "  B: two (contract line 49 in migrate)",
        "States that differ: 1",
        "  A /more: nothing -> 1",
    ]
    assert compare("new.py", "--migrate", "--json").json["migrated"]["carried"] == 1
    assert compare("crates_2.py", "--migrate").code == 3
