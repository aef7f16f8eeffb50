"""Words for authors: what a trap's hint says, and that there is one for every way in which an instance ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts import limits
from contracts.engine import Reason
from contracts.engine.programs import TRAPS
from contracts.source import read_source
from contracts.wording import find_hint, reason_document
from tests.make_cli import tally
from tests.make_crates import TEXT, run_crates

_SPINS = TEXT.replace("        if out < 0:\n", "        while out:\n            pass\n        if out < 0:\n")


@pytest.mark.parametrize("message", TRAPS.values())
def test_every_trap_has_a_hint_for_an_input_and_for_loading(message: str) -> None:
    trap = Reason(kind="trap", message=message)
    assert find_hint(trap) and find_hint(trap, is_loading=True)
    assert reason_document(trap) == {
        "kind": "trap",
        "message": message,
        "line": None,
        "calls": [],
        "hint": find_hint(trap),
    }


@pytest.mark.parametrize(
    ("kind", "instead"), [("a set", "sorted("), ("a date", ".isoformat()"), ("a float", "Decimal(")]
)
def test_value_that_no_state_holds_is_told_with_what_to_write(kind: str, instead: str) -> None:
    hint = find_hint(Reason(kind="TypeError", message=f"the answer holds {kind}; it may hold dict"))
    assert hint and instead in hint


def test_words_of_a_contract_get_no_hint_of_a_trap() -> None:
    assert find_hint(Reason(kind="Reject", message=TRAPS["fuel"])) is None


@pytest.mark.slow
def test_decimal_that_json_does_not_take_is_told_with_what_to_write(guide: Path) -> None:
    told = 'return {"said": json.dumps(terms["deposit"])}\n\n\ndef summary'
    (guide / "crates.py").write_text(
        TEXT.replace("ROLES =", "import json\n\nROLES =", 1).replace("def summary", f"def more(terms):\n    {told}")
        .replace("    crates = record", "    more(terms)\n    crates = record")
    )  # fmt: skip
    said = run_crates()
    assert "hint: json.dumps takes no Decimal: write str(x) first" in said.err, said


def test_hints_name_the_limits() -> None:
    fuel, memory = (find_hint(Reason(kind="trap", message=TRAPS[kind])) for kind in ("fuel", "memory"))
    assert fuel and f"{limits.FUEL_INPUT:,}" in fuel and f"{limits.FUEL_BYTE:,}" in fuel
    assert memory and f"{limits.MEMORY_BYTES >> 20} MiB" in memory
    loading = find_hint(Reason(kind="trap", message=TRAPS["fuel"]), is_loading=True)
    assert loading and f"{limits.FUEL_LOAD:,}" in loading


@pytest.mark.slow
def test_trap_is_told_with_the_function_and_its_limit_once(guide: Path) -> None:
    (guide / "crates.py").write_text(_SPINS)
    line = '{"type": "returned", "body": {"pool": "A", "crates": 4}}\n'
    (guide / "crates.ndjson").write_text(line * 2)
    said = run_crates()
    wanted = "A: it used up the instructions that it has (in apply)"
    assert said.out.splitlines()[:2] == [f"inputs line 1: {wanted}", f"inputs line 2: {wanted}"]
    assert [line for line in said.err.splitlines() if line.startswith("hint: ")] == [
        f"hint: {find_hint(Reason(kind='trap', message=TRAPS['fuel']))}"
    ]
    rows = run_crates("--json").json["rejected"]
    assert [(row["function"], "200,000,000" in row["reason"]["hint"]) for row in rows] == [("apply", True)] * 2


@pytest.mark.slow
def test_trap_of_a_case_is_told_with_the_function_and_its_limit(guide: Path) -> None:
    (guide / "crates.py").write_text(_SPINS)
    said = tally("contract", "test", "crates.py")
    assert "got rejected: it used up the instructions that it has (in apply)" in said.out
    assert "hint: an input has 200,000,000 " in said.err
    found = tally("contract", "test", "crates.py", "--json").json["cases"][0]["failures"][0]
    assert (found["function"], "200,000,000" in found["reason"]["hint"]) == ("apply", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "function"),
    [
        ('    return record["body"]["pool"]', "    while True:\n        pass", "key"),
        ("def key", "def share(record, terms):\n    while True:\n        pass\n\n\ndef key", "share"),
    ],
)
def test_function_that_trapped_is_named(guide: Path, old: str, new: str, function: str) -> None:
    (guide / "crates.py").write_text(TEXT.replace(old, new))
    (guide / "crates.ndjson").write_text('{"type": "sent", "body": {"pool": "A", "crates": 4}}\n')
    (row,) = run_crates("--json", "--no-lint").json["rejected"]
    assert (row["function"], row["reason"]["kind"]) == (function, "trap")


_ANSWERS = [
    ('"tags": {1, 2}', "TypeError: the answer holds a set at /tags; "),
    ('"tags": {1: 2}', "TypeError: the answer has a dict with a key that is no text at /tags; "),
    (
        '"tags": [0, {"a": 2**-1}]',
        "the answer holds 0.5, a float at /tags/1/a; use Decimal and divide(a, b, places)",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("member", "said"), _ANSWERS)
def test_answer_that_is_refused_is_told_with_the_line_in_which_it_is_given(guide: Path, member: str, said: str) -> None:
    (guide / "crates.py").write_text(TEXT.replace("return {**state,", f"return {{**state, {member},"))
    line = run_crates().out.splitlines()[0]
    assert line.startswith(f"inputs line 1: A: {said}") and line.endswith(" (what apply answers, contract line 40)")
    told = tally("contract", "test", "crates.py").out
    assert f"got rejected: {said}" in told and " (what apply answers, contract line 40)" in told


@pytest.mark.slow
def test_case_that_is_no_text_is_told_with_the_line_of_key(guide: Path) -> None:
    (guide / "crates.py").write_text(TEXT.replace('return record["body"]["pool"]', "return 7"))
    said = "inputs line 1: TypeError: the case must be a str, not an int (what key answers, contract line 24)"
    assert said in run_crates("--no-lint").out.splitlines()


def test_function_that_answers_in_several_places_is_told_with_its_first_line() -> None:
    text = TEXT.replace("    crates = record", "    if not terms:\n        return {}\n    crates = record")
    assert read_source(text).answers == {"key": 24, "apply": 27, "summary": 46}
    nested = TEXT.replace("    crates = record", "    def f():\n        return 1\n\n    crates = record")
    assert read_source(nested).answers["apply"] == 43


def test_contract_that_traps_before_it_is_loaded_is_told_of_that_limit(guide: Path) -> None:
    (guide / "crates.py").write_text(TEXT + "\n\nfor _ in range(10**9):\n    pass\n")
    for words in (["test", "crates.py"], ["run", "crates.py", "--inputs", "crates.ndjson", "--terms", "terms.json"]):
        error = json.loads(tally("contract", *words, "--json").out)["error"]
        assert (error["code"], "400,000,000" in error["hint"]) == ("contract-not-runnable", True)
