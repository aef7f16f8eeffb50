"""Fields by role, thresholds and embargoes: what rules may open, alone and side by side."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from ledger.fields import compile_rules, cut
from tests.plain_fold import LIBRARY, cases, fold, library, write

_CASES: Final = cases("data_sharing")
_SOURCE: Final = library("data_sharing")
_SCHEMA: Final = json.loads((LIBRARY / "data_sharing.schema.json").read_bytes())
_VALID: Final = Draft202012Validator(_SCHEMA)


def _reading(terms: dict[str, Any], body: dict[str, Any], role: str) -> list[str]:
    folded = fold([{"role": "carrier", "type": "reading", "body": body}], _SOURCE, terms)
    assert (folded.rejected, folded.states) == ({}, {})
    return folded.reads(0, role)


def test_terms_of_the_cases_follow_their_schema() -> None:
    Draft202012Validator.check_schema(_SCHEMA)
    for terms in (_CASES["terms"], *(case["terms"] for case in _CASES["cases"] if "terms" in case)):
        _VALID.validate(terms)


@pytest.mark.parametrize("pattern", ["/", "*", "/*/a", "/a/*", "a", "/a/", "//a", "/a~1b", "/*/*", ""])
def test_schema_refuses_a_pattern_that_could_not_be_met_or_would_cut_an_element(pattern: str) -> None:
    assert not _VALID.is_valid({"rules": [{"type": "price", "share": [pattern], "roles": ["auditor"]}]})
    assert _VALID.is_valid(
        {"rules": [{"type": "price", "share": ["/*", "/a", "/a/b", "/a/*/b"], "roles": ["auditor"]}]}
    )


def test_rules_only_add_readers() -> None:
    body = {"ID": "T-1", "Temperature": {"value": 30, "unitCode": "CEL"}, "Position": "here", "InternalNote": "note"}
    for role in ("supplier", "buyer", "carrier"):
        without = _reading({"rules": []}, body, role)
        assert _reading(_CASES["terms"], body, role) == without


def test_no_rule_opens_what_supplier_and_buyer_do_not_both_read() -> None:
    for pattern in ("/*", "/InternalNote", "/InternalNote/deep"):
        terms = {"rules": [{"type": "reading", "share": [pattern], "roles": ["insurer"]}]}
        names = _reading(terms, {"ID": "T-1", "InternalNote": {"deep": "note"}}, "insurer")
        assert not [name for name in names if name.startswith("/InternalNote")]


def test_a_rule_does_not_see_what_supplier_and_buyer_do_not_both_read() -> None:
    condition = {"field": "/InternalNote", "equals": "note"}
    terms = {"rules": [{"type": "reading", "share": ["/ID"], "roles": ["insurer"], "when": [condition]}]}
    assert _reading(terms, {"ID": "T-1", "InternalNote": "note"}, "insurer") == []


def test_rules_side_by_side_open_what_each_opens_alone() -> None:
    """Random rules over one body: each opens what it shares and does not except, with all that is below."""
    chance = random.Random(8)
    body = {"a": {"b": {"c": 1, "d": 2}, "e": [{"c": 3, "f": {"c": 4}}, {"c": 5}]}, "b": {"c": 6}, "c": 7}
    leaves = ["/a/b/c", "/a/b/d", "/a/e/0/c", "/a/e/0/f/c", "/a/e/1/c", "/b/c", "/c"]
    patterns = ["/*", "/a", "/a/b", "/a/b/c", "/a/*/c", "/a/e/*/c", "/a/*/*/c", "/a/e/*/f", "/b/c", "/c", "/a/*/f/c"]
    for _ in range(150):
        rules = [
            {
                "type": "reading",
                "share": chance.sample(patterns, chance.randint(1, 3)),
                "except": chance.sample(patterns[1:], chance.randint(0, 2)),
                "roles": [chance.choice(["insurer", "auditor"])],
            }
            for _ in range(chance.randint(1, 4))
        ]
        found = _leaves(rules, body, leaves)
        for leaf in leaves:
            wanted = {role for rule in rules if _opens(rule, leaf) for role in rule["roles"]}
            assert found[leaf] == wanted, (rules, leaf)


def _opens(rule: dict[str, Any], leaf: str) -> bool:
    shared, excepted = ([_is_in(leaf, pattern) for pattern in rule[name]] for name in ("share", "except"))
    return any(shared) and not any(excepted)


def _is_in(leaf: str, pattern: str) -> bool:
    return re.match(pattern.replace("*", "[^/]+") + "(/|$)", leaf) is not None


def _leaves(rules: list[dict[str, Any]], body: dict[str, Any], leaves: list[str]) -> dict[str, set[str]]:
    """Leaf -> the roles beside the static ones that read it."""
    folded = fold([{"role": "carrier", "type": "reading", "body": body}], _SOURCE, {"rules": rules})
    assert folded.rejected == {}, (folded.rejected, rules)
    found = {part.name: set(part.audience) - {"supplier", "buyer", "carrier"} for part in folded.fields(0)}
    return {leaf: found[max((name for name in found if f"{leaf}/".startswith(f"{name}/")), key=len)] for leaf in leaves}


def test_what_a_rule_opens_is_cut_as_the_contract_alone_would_cut_it() -> None:
    body = {"ID": "T-1", "Temperature": {"unitCode": "CEL", "value": Decimal("8.50")}}
    folded = fold([{"role": "carrier", "type": "reading", "body": body}], _SOURCE, _CASES["terms"])
    plain = cut(write(body).encode(), compile_rules({"/*": {"supplier"}}))
    assert [(part.name, part.text) for part in folded.fields(0)] == [(part.name, part.text) for part in plain]


def test_most_rules_that_terms_may_have_stay_within_what_a_record_takes() -> None:
    rule = {"type": "reading", "share": [f"/m{n}" for n in range(8)], "except": ["/Position"], "roles": ["insurer"]}
    assert _reading({"rules": [rule] * 32}, {"ID": "T-1", "m3": 1}, "insurer") == ["/m3"]


def test_rules_that_meet_in_too_many_patterns_are_refused() -> None:
    shares = ["/m/" + "/".join("x" if at == n else "*" for at in range(9)) + "/z" for n in range(9)]
    rules = [{"type": "reading", "share": [share], "roles": ["insurer"]} for share in shares]
    inputs = [{"role": "carrier", "type": "reading", "body": {"ID": "T-1"}}]
    found = [fold(inputs, _SOURCE, {"rules": rules[:count]}).rejected.get(0) for count in (5, 9)]
    assert found == [None, "the rules of the terms meet in more than 256 patterns"]


def test_an_embargo_ends_at_its_millisecond() -> None:
    rule = {"type": "reading", "share": ["/ID"], "roles": ["insurer"], "from": "2026-05-01T12:00:00.000Z"}
    step = {"role": "carrier", "type": "reading", "body": {"ID": "T-1"}}
    times = ["2026-05-01T11:59:59.999Z", "2026-05-01T12:00:00.000Z"]
    folded = fold([{**step, "time": time} for time in times], _SOURCE, {"rules": [rule]})
    assert [folded.reads(i, "insurer") for i in range(2)] == [[], ["/ID"]]


def test_a_star_goes_through_members_as_through_elements() -> None:
    condition = {"field": "/Sensors/*/t", "above": 8}
    terms = {"rules": [{"type": "reading", "share": ["/Sensors/*/t"], "roles": ["insurer"], "when": [condition]}]}
    for sensors in ({"door": {"t": 9}, "front": {"t": 3}}, [{"t": 9}, {"t": 3}]):
        assert len(_reading(terms, {"ID": "T-1", "Sensors": sensors}, "insurer")) == 2


def test_contract_stays_within_its_budget() -> None:
    assert len(_SOURCE.splitlines()) <= 300
