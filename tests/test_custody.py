"""The library's custody contract: its terms, and what no order of steps can do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts import limits
from tests.plain_fold import LIBRARY, cases, fold, library, write

CASES: Final = cases("custody")
SOURCE: Final = library("custody")
TERMS: Final = CASES["terms"]
_TYPES: Final = (
    "title-offer", "title-acceptance", "title-withdrawal", "handover", "handover-confirmation", "pledge",
    "pledge-confirmation", "pledge-release", "packing", "unpacking", "use", "loss", "finding", "destruction",
)  # fmt: skip
_ANSWERS: Final = {
    "title-acceptance": "offer", "title-withdrawal": "offer", "handover-confirmation": "handover",
    "pledge-confirmation": "pledge", "pledge-release": "pledge",
}  # fmt: skip
_MEMBERS: Final = {"a.example": "maker", "b.example": "buyer"}


def test_terms_of_the_cases_follow_the_schema() -> None:
    schema = json.loads((LIBRARY / "custody.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    for terms in [TERMS, *(case["terms"] for case in CASES["cases"] if "terms" in case)]:
        Draft202012Validator(schema).validate(json.loads(json.dumps(terms, default=float)))
    assert schema["additionalProperties"] is False
    assert all("description" in member for member in schema["properties"].values())


def _input(i: int, kind: str, author: str, other: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer bears the ID of what is open, all else a new one."""
    made = (state or {}).get(_ANSWERS.get(kind, "")) or {"ID": str(i)}
    time = (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=i)).isoformat(timespec="milliseconds")[:-6] + "Z"
    body = {"epc": "urn:x", "eventTime": time, "ID": made["ID"], "to": other, "packed_in": "p"}
    role = "financer" if kind in ("pledge-confirmation", "pledge-release") else _MEMBERS[author]
    return {"role": role, "author": author, "type": kind, "time": time, "body": body}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(_TYPES), st.sampled_from(sorted(_MEMBERS))), max_size=12))
def test_nothing_changes_hands_without_both_words(steps: list[tuple[str, str]]) -> None:
    inputs = [_input(0, "commission", "a.example", "")]
    state = fold(inputs, SOURCE, TERMS).states["urn:x"]
    for i, (kind, author) in enumerate(steps, 1):
        inputs.append(_input(i, kind, author, next(name for name in _MEMBERS if name != author), state))
        before, state = state, fold(inputs, SOURCE, TERMS).states["urn:x"]
        if state["owner"] != before["owner"]:
            assert (kind, author, before["offer"]["from"]) == ("title-acceptance", state["owner"], before["owner"])
            assert before["pledge"] is None
        if state["holder"] != before["holder"]:
            assert (kind, author) == ("handover-confirmation", state["holder"])
            assert before["handover"]["from"] == before["holder"]


def test_a_refused_input_changes_nothing() -> None:
    inputs = [_input(0, "commission", "a.example", ""), _input(1, "title-offer", "a.example", "b.example")]
    refused = _input(2, "title-offer", "a.example", "b.example")
    assert fold([*inputs, refused], SOURCE, TERMS).states == fold(inputs, SOURCE, TERMS).states


def test_a_holder_makes_a_hundred_handovers_and_as_many_again_when_it_takes_the_thing_anew() -> None:
    inputs = [_input(0, "commission", "a.example", ""), _input(1, "packing", "a.example", "")]
    inputs += [_input(i, "handover", "a.example", "b.example") for i in range(2, 103)]
    for giver, taker in (("a.example", "b.example"), ("b.example", "a.example")):
        state = fold(inputs, SOURCE, TERMS).states["urn:x"]
        inputs.append(_input(len(inputs), "handover-confirmation", taker, "", state))
        inputs.append(_input(len(inputs), "handover", taker, giver))
    folded = fold(inputs, SOURCE, TERMS)
    assert list(folded.rejected) == [102] and "a.example made 100 of them" in folded.rejected[102]
    assert folded.states["urn:x"]["handover"]["from"] == "a.example"


@pytest.mark.slow
def test_holders_in_collusion_leave_room_for_the_one_that_holds_it_now() -> None:
    """Each of thirty makes all the handovers that it may, under the longest names, before the next one takes it."""
    names = [f"{number:02}{'x' * 53}.example" for number in range(30)]
    inputs = [{**_input(0, "commission", "a.example", ""), "author": names[0], "role": "maker"}]
    for giver, taker in pairwise(names):
        for _ in range(100):
            inputs.append(_moved(len(inputs), "handover", giver, taker))
        inputs.append(_moved(len(inputs), "handover-confirmation", taker, "", inputs[-1]["body"]["ID"]))
    inputs.append(_moved(len(inputs), "handover", names[-1], "b.example"))
    folded = fold(inputs, SOURCE, {**TERMS})
    assert folded.rejected == {} and folded.states["urn:x"]["handover"]["to"] == "b.example"
    assert len(write(folded.states["urn:x"]).encode()) < limits.STATE_BYTES_MAX // 2


def _moved(i: int, kind: str, author: str, to: str, name: str | None = None) -> dict[str, Any]:
    made = _input(i, kind, "a.example", to)
    return {
        **made,
        "author": author,
        "body": {**made["body"], "ID": name or f"{i:04}".ljust(100, "x"), "packed_in": None},
    }


def test_an_id_is_not_used_again_while_an_answer_to_it_may_be_under_way() -> None:
    inputs = [_input(0, "commission", "a.example", ""), _input(1, "packing", "a.example", "")]
    inputs += [_input(i, "handover", "a.example", "b.example") for i in range(2, 102)]
    state = fold(inputs, SOURCE, TERMS).states["urn:x"]
    inputs.append(_input(102, "handover-confirmation", "b.example", "", state))
    again = _input(103, "handover", "b.example", "a.example")
    inputs.append({**again, "body": {**again["body"], "ID": "2"}})
    assert "handover 2 was made before" in fold(inputs, SOURCE, TERMS).rejected[103]


def test_offers_that_others_ended_do_not_count_against_the_owner() -> None:
    inputs = [_input(0, "commission", "a.example", "")]
    for i in range(1, 203, 2):
        offered = _input(i, "title-offer", "a.example", "b.example")
        answer = _input(i + 1, "title-withdrawal", "b.example", "")
        inputs += [offered, {**answer, "body": {**answer["body"], "ID": offered["body"]["ID"]}}]
    assert fold(inputs, SOURCE, TERMS).rejected == {}
    for i in range(203, 405, 2):
        offered = _input(i, "title-offer", "a.example", "b.example")
        answer = _input(i + 1, "title-withdrawal", "a.example", "")
        inputs += [offered, {**answer, "body": {**answer["body"], "ID": offered["body"]["ID"]}}]
    assert list(fold(inputs, SOURCE, TERMS).rejected) == [403, 404]


def test_an_answer_of_before_does_not_fit_an_offer_under_an_id_that_was_forgotten() -> None:
    inputs, giver, taker = [_input(0, "commission", "a.example", "")], "a.example", "b.example"
    for _ in range(6):
        inputs += [_moved(i, "handover", giver, taker, str(i)) for i in range(len(inputs), len(inputs) + 100)]
        made = inputs[-1]["body"]["ID"]
        inputs.append(_moved(len(inputs), "handover-confirmation", taker, "", made))
        giver, taker = taker, giver
    again = _moved(len(inputs), "handover", giver, taker, "1")
    old = _moved(len(inputs) + 1, "handover-confirmation", taker, "", "1")
    stale = {**old, "body": {**old["body"], "eventTime": inputs[2]["body"]["eventTime"]}}
    folded = fold([*inputs, again, stale], SOURCE, TERMS)
    assert list(folded.rejected) == [len(inputs) + 1] and "and the last step was at" in folded.rejected[len(inputs) + 1]
