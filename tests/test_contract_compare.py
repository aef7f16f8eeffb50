"""Two versions of a contract on the same inputs: every difference is found, and none where there is none."""

from __future__ import annotations

import pytest

from contracts.comparing import Comparison, Version
from contracts.disclosing import Change, compare_rules
from contracts.engine import Engine
from contracts.inputs import InputMalformed
from contracts.source import Source, read_source
from contracts.streaming import Line
from tests.make_crates import TERMS, TEXT, changed, lines
from tests.test_contract_cases import SHARED

STREAM = lines("sent A 10", "returned A 4", "sent B 2", "returned B 3")


def compare(engine: Engine, new: str, stream: list[Line], *, old: str = TEXT, terms: bytes = TERMS) -> Comparison:
    found = Comparison(engine, Version(text=old, terms=terms), Version(text=new, terms=terms), "x.ndjson")
    found.add(stream)
    return found


def rules(**shares: str) -> Source:
    """A contract whose type `t` has these patterns: `rules(a="/x y z")` gives /x to y and z."""
    rows = "".join(
        f'"{pattern}": {{{", ".join(map(repr, roles))}}},' for pattern, *roles in map(str.split, shares.values())
    )
    text = (
        f'"""T."""\nROLES = {{"a", "b"}}\nSIGNERS = set()\nAUTHORS = {{"t": {{"a"}}}}\nSHARES = {{"t": {{{rows}}}}}\n'
    )
    return read_source(text)


def rows(changes: list[Change]) -> list[str]:
    return [f"{'+' if one.is_gained else '-'} {one.type} {one.part} {one.role}" for one in changes]


# --- states and rejections ----------------------------------------------------------------


def test_a_version_is_equal_to_itself(engine: Engine) -> None:
    found = compare(engine, TEXT, STREAM)
    assert (found.inputs, found.states(), found.turns, found.rules, found.disclosure.changes()) == (4, [], [], [], [])
    assert found.summaries() == []


def test_states_differ_where_a_path_differs(engine: Engine) -> None:
    found = compare(engine, changed(), STREAM)
    assert [(one.case, one.path, *map(str, one.sides.values())) for one in found.states()] == [
        ("A", "/balance", "21.00", "22.40")
    ]


def test_summaries_differ_by_column_and_where_one_fails(engine: Engine) -> None:
    """States are the same: what finance reads of them is not."""
    doubled = TEXT.replace('"amount_due": state["balance"]', '"amount_due": state["balance"] * 2')
    found = compare(engine, doubled, STREAM)
    assert doubled != TEXT and found.states() == []
    assert [(one.case, one.path, *map(str, one.sides.values())) for one in found.summaries()] == [
        ("A", "/amount_due", "21.00", "42.00"),
        ("B", "/amount_due", "7.00", "14.00"),
    ]
    failing = TEXT.replace('"amount_due": state["balance"]', '"amount_due": state["owed"]')
    assert {(one.path, one.sides["new"]) for one in compare(engine, failing, STREAM).summaries()} == {
        ("", "KeyError: 'owed'")
    }
    silent = TEXT.replace("def summary(state):", "def told(state):")
    assert compare(engine, silent, STREAM).summaries() == []


def test_members_and_elements_that_one_lacks_are_told_by_their_path(engine: Engine) -> None:
    old, new = (
        TEXT.replace("return {**state,", f"return {{**state, {more}")
        for more in ('"rows": [1, {"x": 1}], "gone": True,', '"rows": [1, {"x": "1"}, 3],')
    )
    found = compare(engine, new, lines("sent A 1"), old=old).states()
    assert [(one.path, dict(one.sides)) for one in found] == [
        ("/gone", {"old": True}),
        ("/rows/1/x", {"old": 1, "new": "1"}),
        ("/rows/2", {"new": 3}),
    ]


def test_digits_count_where_they_are_hashed(engine: Engine) -> None:
    found = compare(engine, TEXT.replace('Decimal("0.00")', 'Decimal("0.000")'), lines("sent A 1"))
    assert [(one.path, *map(str, one.sides.values())) for one in found.states()] == [("/balance", "3.50", "3.500")]


def test_cases_that_one_alone_has_are_told_whole(engine: Engine) -> None:
    found = compare(engine, TEXT.replace('return record["body"]["pool"]', 'return "X"'), lines("sent A 1")).states()
    assert [(one.case, one.path, list(one.sides)) for one in found] == [("A", "", ["old"]), ("X", "", ["new"])]


def test_inputs_that_one_alone_rejects_or_for_another_reason_are_told(engine: Engine) -> None:
    new = TEXT.replace("came back, and only", "came, and only").replace(
        'crates = record["body"]["crates"]\n',
        'crates = record["body"]["crates"]\n    if crates > 9:\n        raise Reject("too many")\n',
        1,
    )
    found = compare(engine, new, lines("sent A 10", "sent B 1", "returned B 2"))
    told = [(one.line, one.old and one.old.message, one.new and one.new.message) for one in found.turns]
    assert told == [
        (1, None, "too many"),
        (3, "2 crates came back, and only 1 were out", "2 crates came, and only 1 were out"),
    ]


def test_reasons_that_stand_in_other_lines_are_the_same(engine: Engine) -> None:
    assert compare(engine, TEXT.replace("\n\n\ndef key", "\n# More.\n\n\ndef key"), STREAM).turns == []


def test_what_old_cannot_fill_in_new_does(engine: Engine) -> None:
    new = TEXT.replace('"returned": {"shop"}}', '"returned": {"shop"}, "lost": {"shop"}}').replace(
        "SHARES = {\n", 'SHARES = {\n    "lost": {"/*": {"packer", "shop"}},\n'
    )
    stream = [(1, b'{"type":"lost","body":{"pool":"A","crates":1}}')]
    found = compare(engine, new, stream)
    assert [(one.line, one.old is None) for one in found.turns] == [(1, False)]
    assert rows(found.rules) == ["+ lost /* packer", "+ lost /* shop"]
    with pytest.raises(InputMalformed, match=r"x\.ndjson:1: it has no `role`"):
        compare(engine, TEXT, stream)


# --- readers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (rules(a="/x a"), rules(a="/x a"), []),
        (rules(a="/x a"), rules(a="/x a b"), ["+ t /x b"]),
        (rules(a="/* a b"), rules(a="/* a"), ["- t /* b"]),
        (rules(a="/* a b"), rules(a="/* a b", b="/x a"), ["- t /x b"]),
        (rules(a="/x a"), rules(a="/x a", b="/x/y a"), []),
        # Neither pattern alone tells who reads what both of them match.
        (rules(a="/x/* a"), rules(a="/*/y b"), ["+ t /*/y b", "- t /x/* a", "- t /x/y a", "+ t /x/y b"]),
        (rules(a="/x/* a"), rules(a="/*/y/z b"), ["+ t /*/y/z b", "- t /x/* a", "- t /x/y/z a", "+ t /x/y/z b"]),
    ],
)
def test_rules_are_compared_at_each_pattern_and_where_two_meet(old: Source, new: Source, expected: list[str]) -> None:
    assert rows(compare_rules(old, new)) == expected


def test_where_two_patterns_meet_in_a_name_that_is_too_long_no_field_is() -> None:
    first, second = "/" + "x" * 600, "/" + "y" * 600
    found = compare_rules(rules(a=f"{first}/* a"), rules(a=f"/*{second} b"))
    assert rows(found) == [f"+ t /*{second} b", f"- t {first}/* a"]


def test_readers_of_records_are_compared_field_by_field(engine: Engine) -> None:
    found = compare(engine, changed(), STREAM)
    assert rows(found.rules) == ["- returned /crates carrier"]
    (change,) = found.disclosure.changes()
    assert (rows([change]), change.records, change.line) == (["- returned /crates carrier"], 2, 2)


def test_indexes_of_fields_count_as_one_part(engine: Engine) -> None:
    new = TEXT.replace('"/stock_number": set(),', '"/stock_number": set(), "/rows/*/price": {"carrier"},')
    body = b'{"pool":"A","crates":1,"rows":[{"price":1,"n":2},{"price":1}]}'
    found = compare(engine, new, [(1, b'{"type":"sent","body":%b}' % body)])
    assert rows(found.disclosure.changes()) == [
        "+ sent /rows/*/price carrier",
        "- sent /rows/*/price packer",
        "- sent /rows/*/price shop",
    ]


def test_what_share_gives_counts_for_the_records(engine: Engine) -> None:
    stream = [(n, b'{"type":"reading","body":{"degrees":%d}}' % n) for n in (5, 9, 12)]
    new = SHARED.replace('terms["threshold"]', "10")
    found = compare(engine, new, stream, old=SHARED, terms=b'{"threshold":8}')
    (change,) = found.disclosure.changes()
    assert (found.rules, rows([change]), change.records, change.line) == ([], ["- reading /degrees insurer"], 1, 9)


def test_record_that_one_would_not_take_is_read_under_the_other_alone(engine: Engine) -> None:
    stream = [(1, b'{"type":"reading","body":{"degrees":101}}')]
    found = compare(engine, SHARED.replace("> 100", "> 200"), stream, old=SHARED, terms=b'{"threshold":8}')
    assert [(one.line, one.new) for one in found.turns] == [(1, None)]
    assert rows(found.disclosure.changes()) == ["+ reading /degrees carrier", "+ reading /degrees insurer"]


# --- migrate --------------------------------------------------------------------------------

MIGRATES = (
    TEXT.replace('"out"', '"away"').replace('state["away"]', 'state["away"]')
    + """

def migrate(state, terms):
    if state["out"] == 2:
        raise Reject("two are not carried over")
    if state["out"] == 3:
        return {"away": {3}}
    return {"away": state["out"], "balance": state["balance"], "currency": terms["currency"]}
"""
)


def test_states_are_carried_over_before_they_are_compared(engine: Engine) -> None:
    new = MIGRATES.replace("state['out']", "state['away']")
    found = compare(engine, new, lines("sent A 10", "sent B 2", "sent C 3"))
    assert {one.path for one in found.states()} == {"/out", "/away"}
    carried = found.carry_over()
    assert carried.states.keys() == {"A"}
    assert {case: why.kind for case, why in carried.failed.items()} == {"B": "Reject", "C": "TypeError"}
    assert found.states(carried) == []
