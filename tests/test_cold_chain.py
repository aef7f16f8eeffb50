"""The library's cold chain contract: its terms, and that its state does not grow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.plain_fold import LIBRARY, cases, fold, library

CASES: Final = cases("cold_chain")
SOURCE: Final = library("cold_chain")
TERMS: Final = CASES["terms"]
_BEGIN: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(minute: int) -> str:
    return (_BEGIN + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def consignment() -> dict[str, Any]:
    return {
        "role": "shipper",
        "type": "consignment",
        "time": at(0),
        "body": {"ID": "C-1", "receiver": "receiver.example", "eventTime": at(0)},
    }


def reading(*told: tuple[int, object], filed: int = 10_000) -> dict[str, Any]:
    reports = [{"time": at(minute), "value": value, "uom": "CEL"} for minute, value in told]
    body = {"consignment": "C-1", "deviceID": "L", "sensorReport": reports}
    return {"role": "shipper", "type": "reading", "time": at(filed), "body": body}


def test_terms_of_the_cases_follow_the_schema() -> None:
    schema = json.loads((LIBRARY / "cold_chain.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    for terms in [TERMS, *(case["terms"] for case in CASES["cases"] if "terms" in case)]:
        Draft202012Validator(schema).validate(json.loads(json.dumps(terms, default=float)))
    assert schema["additionalProperties"] is False
    assert all("description" in member for member in schema["properties"].values())


def test_state_does_not_grow_with_the_readings() -> None:
    inputs = [consignment(), *(reading((minute, 4)) for minute in range(0, 3000, 10))]
    short, long = fold(inputs[:10], SOURCE, TERMS).states["C-1"], fold(inputs, SOURCE, TERMS).states["C-1"]
    assert long["readings"] == 300
    assert len(json.dumps(long, default=str)) <= len(json.dumps(short, default=str)) + 2


def test_excursions_are_bounded_and_none_is_left_out() -> None:
    told = [(minute, 9 if minute % 2 else 4) for minute in range(260)]
    inputs = [consignment(), *(reading(*told[i : i + 80]) for i in range(0, 260, 80))]
    state = fold(inputs, SOURCE, TERMS).states["C-1"]
    assert len(state["excursions"]) == 100
    assert state["minutes_outside"] >= 130


def test_gaps_are_bounded_and_none_is_left_out() -> None:
    inputs = [consignment(), *(reading((minute, 4), filed=10_000) for minute in range(0, 120 * 20, 20))]
    state = fold(inputs, SOURCE, TERMS).states["C-1"]
    assert len(state["gaps"]) == 100
    assert state["gaps"][-1]["until"] == at(119 * 20)


@pytest.mark.parametrize(("count", "is_taken"), [(0, False), (80, True), (81, False)])
def test_one_reading_has_a_bounded_number_of_reports(count: int, is_taken: bool) -> None:
    folded = fold([consignment(), reading(*((minute, 4) for minute in range(count)))], SOURCE, TERMS)
    assert (folded.rejected == {}) is is_taken


@settings(max_examples=50)
@given(st.lists(st.integers(0, 120), min_size=2, max_size=12, unique=True), st.integers(0, 4))
def test_batches_of_readings_do_not_matter(values: list[int], size: int) -> None:
    told = [(10 * i, Decimal(value) / 10) for i, value in enumerate(values)]
    whole = fold([consignment(), reading(*told)], SOURCE, TERMS).states
    parts = [told[i : i + size + 1] for i in range(0, len(told), size + 1)]
    assert fold([consignment(), *(reading(*part) for part in parts)], SOURCE, TERMS).states == whole


@settings(max_examples=50)
@given(st.lists(st.integers(20, 120), min_size=3, max_size=10), st.data())
def test_a_warm_reading_counts_whenever_it_is_filed(values: list[int], data: st.DataObject) -> None:
    told = [(10 * i, Decimal(value) / 10) for i, value in enumerate(values)]
    shuffled = data.draw(st.permutations(told))
    state = fold([consignment(), *(reading(one) for one in shuffled)], SOURCE, TERMS).states["C-1"]
    worst = max(value for _, value in told)
    assert worst <= 8 or max(excursion["peak"] for excursion in state["excursions"]) == worst
    spans = [(excursion["from"], excursion["until"] or "9999") for excursion in state["excursions"]]
    for minute, value in told:
        assert value <= 8 or any(since <= at(minute) <= until for since, until in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_a_refused_input_changes_nothing() -> None:
    inputs = [consignment(), reading((0, 9), (10, 4)), {**reading((20, 9), (5, 9)), "role": "carrier"}]
    assert fold(inputs, SOURCE, TERMS).states == fold(inputs[:2], SOURCE, TERMS).states


@settings(max_examples=50)
@given(st.lists(st.integers(0, 39), min_size=1, max_size=30, unique=True), st.integers(0, 3), st.integers(0, 12))
def test_what_a_former_custodian_tells_late_never_makes_a_later_one_liable(
    minutes: list[int], place: int, warm: int
) -> None:
    def step(role: str, kind: str, minute: int, **body: object) -> dict[str, Any]:
        body |= {"ID": "H", "consignment": "C-1", "eventTime": at(minute)}
        return {"role": role, "type": kind, "time": at(10_000), "body": body}

    told = [(45 + 10 * i, 9 if i < warm else 4) for i in range(12)]
    inputs = [consignment(), reading((0, 4), (35, 4)), step("shipper", "handover", 35, to="carrier.example")]
    inputs += [step("carrier", "handover-confirmation", 40), {**reading(*told[:1]), "role": "carrier"}]
    inputs += [{**reading(*told[1:]), "role": "carrier"}, step("receiver", "delivery", 160)]
    before = fold(inputs, SOURCE, TERMS).states["C-1"]
    late = fold(
        [*inputs[: 4 + place], reading(*((one, 9) for one in sorted(minutes))), *inputs[4 + place :]], SOURCE, TERMS
    )
    assert late.rejected == {} or list(late.rejected) == [4 + place]
    state = late.states["C-1"]
    assert state["liability"].get("carrier.example") == before["liability"].get("carrier.example")
    assert state["minutes_outside"] >= before["minutes_outside"]
    assert all(len(held.get("told_late", ())) <= 10 for held in state["custody"])


def test_the_claims_of_one_leave_room_for_those_of_the_other() -> None:
    def step(role: str, kind: str, **body: object) -> dict[str, Any]:
        return {"role": role, "type": kind, "time": at(200), "body": {"ID": "H", "consignment": "C-1", **body}}

    def claim(role: str, name: str) -> dict[str, Any]:
        return step(role, "claim", ID=name, against="carrier.example", ClaimAmount={"value": 1, "currencyID": "EUR"})

    inputs = [consignment(), reading((0, 4)), step("shipper", "handover", to="carrier.example", eventTime=at(5))]
    inputs.append(step("carrier", "handover-confirmation", eventTime=at(5)))
    inputs.append(step("receiver", "delivery", eventTime=at(100)))
    claims = [claim("receiver", f"R-{number}") for number in range(101)]
    folded = fold([*inputs, *claims, claim("shipper", "S-1")], SOURCE, TERMS)
    assert list(folded.rejected) == [105] and "one of more than 100 of receiver.example" in folded.rejected[105]
