"""Schemas of terms: what is no schema is named, and what would be checked without end is stopped."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from contracts import limits
from node.terms import SchemaSlow, SchemaWrong, TermsWrong, check_schema, check_terms, lint_schema
from tests.make_cli import tally
from tests.make_crates import TEXT, run_crates
from tests.source import ROOT


def doubling(word: str) -> dict[str, Any]:
    """40 definitions, of which each names the one before it twice."""
    inner = {f"d{n}": {word: [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)}
    return {"properties": {"a": {"$ref": "#/$defs/d39"}}, "$defs": {"d0": {"type": "integer"}, **inner}}


_SLOW: Final = {
    "pattern": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, "a" * 60 + "!"),
    "name": ({"patternProperties": {"^(a+)+$": {}}}, {}),
    "definitions that fit": (doubling("allOf"), 1),
    "definitions that do not": (doubling("anyOf"), "x"),
}


@pytest.mark.parametrize("name", _SLOW)
def test_schema_that_would_be_checked_without_end_is_stopped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TERMS_CHECK_S", 0.3)
    schema, value = _SLOW[name]
    terms = {"a" * 60 + "!": 1} if name == "name" else {"a": value}
    check_terms(b'{"b":1}', json.dumps(schema).encode())
    with pytest.raises(SchemaSlow, match=r"crates.schema.json: to check terms by it takes more than 0.3 seconds"):
        check_terms(json.dumps(terms).encode(), json.dumps(schema).encode(), schema_name="crates.schema.json")
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL


def test_terms_can_be_checked_beside_the_main_thread() -> None:
    wrong: list[Exception] = []

    def check() -> None:
        try:
            check_terms(b'{"a":"x"}', b'{"properties":{"a":{"type":"integer"}}}')
        except TermsWrong as cause:
            wrong.append(cause)

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert [str(one) for one in wrong] == ["terms at /a: 'x' is not of type 'integer'"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": "intger"}}}, "'intger' is not valid"),
        ({"properties": {"a": {"pattern": "("}}}, "'(' is not a 'regex' at /properties/a/pattern"),
        ([], "[] is not of type"),
        ({"properties": {"a": {"pattern": "a{99999999999}"}}}, "it cannot be read: OverflowError"),
        ({"patternProperties": {"(" * 3000 + ")" * 3000: {}}}, "it cannot be read: RecursionError"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(schema: Any, said: str) -> None:
    with pytest.raises(SchemaWrong) as caught:
        check_schema(json.dumps(schema).encode(), name="a.schema.json")
    assert str(caught.value).startswith(f"a.schema.json is no JSON Schema: {said}")


@pytest.mark.parametrize("place", ["#/x", "#/x/q", "#/y", "#/y/0"])
def test_reference_to_what_is_no_schema_is_a_fault_of_the_schema(place: str) -> None:
    schema = {"properties": {"a": {"$ref": place}}, "x": [1], "y": "text"}
    with pytest.raises(SchemaWrong, match="it refers to a part of itself that is no schema"):
        check_terms(b'{"a":1}', json.dumps(schema).encode())


def test_number_that_cannot_be_divided_is_no_fault_of_ours() -> None:
    with pytest.raises(TermsWrong, match="too many digits"):
        check_terms(b'{"a":1e400}', b'{"properties":{"a":{"multipleOf":0.01}}}')


# --- lint ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"number",', '"number"', ":7: this is no JSON Schema: not strict JSON at byte"),
        ('"number"', '"numbr"', ":1: this is no JSON Schema: 'numbr' is not valid under any of the given schemas at"),
        ('"^[A-Z]{3}$"', '"("', ":1: this is no JSON Schema: '(' is not a 'regex' at /properties/currency/pattern; "),
    ],
)
def test_schema_that_is_none_is_an_error_of_lint(guide: Path, old: str, new: str, said: str) -> None:
    path = guide / "crates.schema.json"
    path.write_text(path.read_text().replace(old, new, 1))
    done = tally("contract", "lint", "crates.py")
    assert (done.code, done.out.startswith(f"crates.schema.json{said}")) == (1, True), done
    (row,) = tally("contract", "lint", "crates.py", "--json").json
    assert (row["file"], row["code"], row["is_error"]) == ("crates.schema.json", "schema-wrong", True)


def test_members_that_only_one_of_schema_and_contract_has_are_doubts(guide: Path) -> None:
    path = guide / "crates.schema.json"
    path.write_text(path.read_text().replace('"deposit": {', '"deposits": {'))
    done = tally("contract", "lint", "crates.py")
    asked = "line 34 of the contract asks for terms['deposit'], which is not allowed here"
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            f"crates.schema.json:1: {asked}; ask for 'deposits' there, or add it to properties",
            "crates.schema.json:7: the contract never asks for terms['deposits']; leave it out, or use it",
        ],
    )


def test_doubts_about_the_schema_are_counted_after_a_run(guide: Path) -> None:
    path = guide / "crates.schema.json"
    path.write_text(path.read_text().replace('"deposit": {', '"rebate": {}, "deposit": {'))
    assert "lint has 1 doubt about crates.py: `tally contract lint crates.py` shows it" in run_crates().err
    (row,) = run_crates("--json").json["doubts"]
    assert (row["file"], row["code"]) == ("crates.schema.json", "term-unasked")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('terms["deposit"]', 'terms["depo" + "sit"]'),
        ('terms["deposit"]', "list(terms.values())[0]"),
        ('terms["deposit"]', "of(terms)"),
        ('terms["deposit"]', "made_of(terms)"),
        ("    crates = record", "    terms = {}\n    crates = record"),
    ],
)
def test_members_are_not_doubted_where_it_cannot_be_told_what_is_asked(guide: Path, old: str, new: str) -> None:
    asked = '"depo" + "sit"' if "made_of" in new else '"deposit"'
    more = f"\n\ndef {new[:-7]}(given):\n    return given[{asked}]\n" if "of(" in new else ""
    (guide / "crates.py").write_text(TEXT.replace(old, new) + more)
    assert "schema" not in tally("contract", "lint", "crates.py").out


def test_contracts_of_the_library_and_their_schemas_agree() -> None:
    for path in sorted((ROOT / "contracts" / "library").glob("*.schema.json")):
        text = path.with_name(path.name.replace(".schema.json", ".py")).read_text(encoding="utf-8")
        assert lint_schema(path.read_bytes(), text, name=path.name) == []
