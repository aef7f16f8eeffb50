"""Files of cases: what they may hold, what is told of a case that fails, which terms are taken."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from contracts.casefile import CasesMalformed, read_cases
from contracts.cases import Failure, run_case
from contracts.engine import Engine
from contracts.inputs import InputMalformed
from contracts.source import read_source
from contracts.wording import encode_value
from node.terms import SchemaWrong, TermsWrong, check_terms
from tests.make_crates import FILES, TERMS, TEXT, source

SHARED = '''"""Who reads the temperature depends on it."""
ROLES = {"carrier", "insurer"}
SIGNERS = {"carrier"}
AUTHORS = {"reading": {"carrier"}, "list": {"carrier", "insurer"}}
SHARES = {"reading": {"/*": {"carrier"}}, "list": {"/*": {"carrier"}, "/rows/*": {"insurer"}}}

def share(record, terms):
    degrees = record["body"]["degrees"]
    if degrees > 100:
        raise Reject(f"{degrees} is no temperature")
    return {"/degrees": {"insurer"}} if degrees > terms["threshold"] else {}
'''
SENT = {"type": "sent", "body": {"pool": "A", "crates": 10}}


def cases(*steps: dict[str, Any], text: str = TEXT, **more: Any) -> bytes:
    terms = json.loads(TERMS) if text == TEXT else {"threshold": 8}
    return json.dumps({"terms": terms, "cases": [{"name": "one", "steps": steps, **more}]}).encode()


def failures(engine: Engine, content: bytes, text: str = TEXT) -> list[Failure]:
    (case,) = read_cases(content, read_source(text))
    return run_case(engine, text, case)


def told(found: list[Failure]) -> list[tuple[str, str, str]]:
    return [(one.where, one.expected, one.got) for one in found]


# --- reading ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f.update(case=[]), "the file: 'case' is not known here"),
        (lambda f: f.pop("cases"), "the file: it has no `cases`"),
        (lambda f: f.update(cases=[]), "cases: there is none"),
        (lambda f: f.update(cases={}), "cases: it must be a list"),
        (lambda f: f.update(about=1), "about: it must be a text"),
        (lambda f: f.update(terms=[]), "terms: it must be an object"),
        (lambda f: f["cases"].append(f["cases"][0]), "cases[1].name: another case has the name 'one' too"),
        (lambda f: f["cases"][0].pop("name"), "cases[0]: it has no `name`"),
        (lambda f: f["cases"][0].update(state={}), "cases[0]: 'state' is not known here"),
        (lambda f: f["cases"][0].update(states={"A": 1}), "cases[0].states['A']: it must be an object"),
        (lambda f: f["cases"][0].update(summaries={"A": None}), "cases[0].summaries['A']: it must be an object"),
        (lambda f: f["cases"][0].update(terms=1), "cases[0].terms: it must be an object"),
        (lambda f: f["cases"][0].update(steps=[]), "cases[0].steps: there is none"),
        (lambda f: f["cases"][0].update(steps=["x"]), "cases[0].steps[0]: it must be an object"),
        (lambda f: f["cases"][0]["steps"][0].update(rejected=True), "cases[0].steps[0].rejected: it must be a text"),
        (lambda f: f["cases"][0]["steps"][0].update(rejected=" "), "cases[0].steps[0].rejected: it must hold part"),
        (lambda f: f["cases"][0]["steps"][0].update(reject="x"), "cases[0].steps[0]: 'reject' is not known here"),
        (lambda f: f["cases"][0]["steps"][0].update(time="now"), "cases[0].steps[0]: `time` must look like"),
        (lambda f: f["cases"][0]["steps"][0].pop("type"), "cases[0].steps[0]: it has no `type`"),
        (lambda f: f["cases"][0]["steps"][0].pop("body"), "cases[0].steps[0]: it has no `body`"),
        (lambda f: f["cases"][0]["steps"][0].update(reads=[]), "cases[0].steps[0].reads: it must be an object"),
        (
            lambda f: f["cases"][0]["steps"][0].update(reads={"bank": []}),
            "cases[0].steps[0].reads: 'bank' is not known",
        ),
        (lambda f: f["cases"][0]["steps"][0].update(reads={"shop": "/a"}), "steps[0].reads.shop: it must be a list"),
        (lambda f: f["cases"][0]["steps"][0].update(reads={"shop": [1]}), "steps[0].reads.shop[0]: it must be a text"),
        (lambda f: f["cases"][0]["steps"][0].update(reads={"shop": ["a"]}), "steps[0].reads.shop[0]: field name"),
    ],
)
def test_what_a_file_of_cases_may_not_hold_is_named_with_its_place(change: Any, complaint: str) -> None:
    found = json.loads(cases(SENT))
    change(found)
    with pytest.raises((CasesMalformed, InputMalformed)) as caught:
        read_cases(json.dumps(found).encode(), source())
    assert complaint in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cases":[],"cases":[]}', b'{"cases":[1]', b'\xff{"cases":[]}'])
def test_a_file_of_cases_is_strict_json(content: bytes) -> None:
    with pytest.raises(CasesMalformed, match="the file: "):
        read_cases(content, source())


def test_a_body_of_a_case_is_as_deep_as_one_of_a_record() -> None:
    def nested(levels: int) -> bytes:
        return cases(SENT).replace(b'"crates": 10', b'"crates": ' + b"[" * levels + b"]" * levels)

    read_cases(nested(31), source())
    with pytest.raises((CasesMalformed, InputMalformed)):
        read_cases(nested(32), source())


def test_numbers_and_times_of_steps_are_kept_as_they_are_written() -> None:
    late = {**SENT, "time": "2026-03-01T00:00:00.000Z"}
    content = cases(late, SENT).replace(b'"crates": 10', b'"crates": 10.50')
    (case,) = read_cases(content, source())
    assert [step.one.body for step in case.steps] == [b'{"pool": "A", "crates": 10.50}'] * 2
    assert [step.one.time[:19] for step in case.steps] == ["2026-03-01T00:00:00", "2026-01-01T00:00:01"]
    assert case.steps[1].one.ordered == case.steps[0].one.ordered, "the order's time never goes back"


# --- running ----------------------------------------------------------------------------


def test_cases_of_the_guide_hold(engine: Engine) -> None:
    found = read_cases(FILES["crates.cases.json"].encode(), source())
    assert [told(run_case(engine, TEXT, case)) for case in found] == [[], [], []]


def test_each_case_begins_without_states(engine: Engine) -> None:
    one = json.loads(cases(SENT, states={"A": {"out": 10}}))
    one["cases"].append({**one["cases"][0], "name": "two"})
    found = read_cases(json.dumps(one).encode(), source())
    assert [told(run_case(engine, TEXT, case)) for case in found] == [[], []]


def test_a_step_that_came_out_otherwise_is_told_with_reason_and_line(engine: Engine) -> None:
    back = {"type": "returned", "body": {"pool": "A", "crates": 11}}
    found = failures(engine, cases({**SENT, "rejected": "never"}, back, {**back, "rejected": "only 9"}))
    assert told(found) == [
        ("steps[0]", "rejected: never", "applied"),
        ("steps[1]", "applied", "rejected: 11 crates came back, and only 10 were out"),
        ("steps[2]", "rejected: only 9", "rejected: 11 crates came back, and only 10 were out"),
    ]
    line = TEXT.splitlines().index(
        "            raise Reject(f\"{crates} crates came back, and only {state['out']} were out\")"
    )
    assert found[1].reason is not None
    assert found[1].reason.calls == (("apply", line + 1),)


def test_other_exceptions_are_known_by_their_class(engine: Engine) -> None:
    step = {"type": "sent", "body": {"pool": "A"}, "rejected": "KeyError: 'crates'"}
    assert failures(engine, cases(step)) == []


def test_members_that_are_not_named_may_be_there_at_any_depth(engine: Engine) -> None:
    text = TEXT.replace(
        'return {**state, "out": out', 'return {**state, "deep": {"x": [1, {"y": 2, "z": 3}]}, "out": out'
    )
    assert failures(engine, cases(SENT, states={"A": {"deep": {"x": [1, {"z": 3}]}}}), text) == []
    found = failures(engine, cases(SENT, states={"A": {"deep": {"x": [1, {"z": "3"}]}, "gone": None}}), text)
    assert told(found) == [
        ("states['A'].deep.x[1].z", '"3"', "3"),
        ("states['A'].gone", "null", "no such member"),
    ]
    short = failures(engine, cases(SENT, states={"A": {"deep": {"x": [1]}}}), text)
    assert told(short) == [("states['A'].deep.x", "[1]", '[1, {"y": 2, "z": 3}]')]


@pytest.mark.parametrize(("written", "holds"), [("35", True), ("35.000", True), ('"35.00"', False), ("35.01", False)])
def test_numbers_are_equal_by_value(engine: Engine, written: str, holds: bool) -> None:
    content = cases(SENT, states={"A": {"balance": "?"}}).replace(b'"?"', written.encode())
    assert (failures(engine, content) == []) is holds


def test_true_is_no_number(engine: Engine) -> None:
    step = {"type": "sent", "body": {"pool": "A", "crates": 1}}
    assert told(failures(engine, cases(step, states={"A": {"out": True}}))) == [("states['A'].out", "true", "1")]


def test_states_that_are_missing_or_too_many_are_told(engine: Engine) -> None:
    assert failures(engine, cases(SENT, states={"B": None})) == []
    found = failures(engine, cases(SENT, states={"B": {}, "A": None}, summaries={"B": {}}))
    assert [(one.where, one.expected) for one in found] == [
        ("states['B']", "a state"),
        ("states['A']", "no state"),
        ("summaries['B']", "a summary"),
    ]


def test_a_summary_that_fails_is_told_with_its_reason(engine: Engine) -> None:
    text = TEXT.replace('"amount_due": state["balance"]', '"amount_due": state["no_such"]')
    (found,) = failures(engine, cases(SENT, summaries={"A": {"amount_due": 35}}), text)
    assert found.got == "summary fails: KeyError: 'no_such'"


def test_who_reads_which_field_counts_what_share_adds(engine: Engine) -> None:
    warm, cold = ({"type": "reading", "body": {"degrees": degrees, "place": "x"}} for degrees in (9, 7))
    steps = [{**warm, "reads": {"insurer": ["/degrees"]}}, {**cold, "reads": {"insurer": []}}]
    assert failures(engine, cases(*steps, text=SHARED), SHARED) == []
    steps = [{**warm, "reads": {"insurer": []}}, {**cold, "reads": {"insurer": ["/degrees"], "carrier": ["/place"]}}]
    assert told(failures(engine, cases(*steps, text=SHARED), SHARED)) == [
        ("steps[0].reads.insurer", "nothing", "/degrees"),
        ("steps[1].reads.insurer", "/degrees", "nothing"),
        ("steps[1].reads.carrier", "/place", "/degrees, /place"),
    ]


def test_record_that_share_refuses_is_rejected_and_read_by_nobody(engine: Engine) -> None:
    hot = {"type": "reading", "body": {"degrees": 101}, "rejected": "101 is no temperature", "reads": {"carrier": []}}
    assert failures(engine, cases(hot, text=SHARED), SHARED) == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"type": "other", "role": "shop", "body": {}}, "SHARES does not know the type 'other'"),
        ({"type": "sent", "role": "shop", "body": {}}, "the role 'shop' may not file the type 'sent'"),
    ],
)
def test_what_the_rules_refuse_is_rejected_and_read_by_nobody(engine: Engine, step: Any, reason: str) -> None:
    assert failures(engine, cases({**step, "rejected": reason, "reads": {"shop": []}})) == []


def test_body_that_the_patterns_cannot_cut_is_rejected(engine: Engine) -> None:
    step = {
        "type": "list",
        "role": "insurer",
        "body": {"rows": [1], "degrees": 1},
        "rejected": "an element of an array",
    }
    assert failures(engine, cases(step, text=SHARED), SHARED) == []


# --- terms ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        (b'{"deposit":3.50}', "terms: 'currency' is a required property"),
        (b'{"deposit":"3.50","currency":"EUR"}', "terms at /deposit: '3.50' is not of type 'number'"),
        (b'{"deposit":0,"currency":"EUR"}', "terms at /deposit: 0 is less than or equal to the minimum of 0"),
        (b'{"deposit":1,"currency":"EUR","x":1}', "terms: Additional properties are not allowed"),
        (b"[]", "terms: they are no object"),
        (b'{"a":1,"a":2}', "terms: the key 'a' occurs twice"),
    ],
)
def test_terms_that_the_schema_does_not_allow_are_refused(terms: bytes, complaint: str) -> None:
    with pytest.raises(TermsWrong) as caught:
        check_terms(terms, FILES["crates.schema.json"].encode())
    assert str(caught.value).startswith(complaint)


def test_terms_that_the_schema_allows_are_taken() -> None:
    check_terms(TERMS, FILES["crates.schema.json"].encode())
    check_terms(b"{}", None)


@pytest.mark.parametrize(
    "schema",
    [
        b'{"type":"nonsense"}',
        b"{",
        b'{"$ref":"https://schemas.example/other.json"}',
        b'{"$ref":"#"}',
        b'{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}',
    ],
)
def test_a_schema_that_is_none_or_lies_elsewhere_or_has_no_end_is_refused(schema: bytes) -> None:
    with pytest.raises(SchemaWrong):
        check_terms(TERMS, schema)


def test_expected_number_of_a_billion_digits_is_not_written_out() -> None:
    assert encode_value(Decimal("1e999999999999999")) == "1E+999999999999999"
    assert encode_value(Decimal("1e3")) == "1000"
