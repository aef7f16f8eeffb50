"""The library's custody contract: its terms, and what no order of steps can do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.plain_fold import LIBRARY, cases, fold, library

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


def test_one_member_does_not_use_up_the_ids_of_another() -> None:
    inputs = [_input(0, "commission", "a.example", ""), _input(1, "packing", "a.example", "")]
    inputs += [_input(i, "handover", "a.example", "b.example") for i in range(2, 103)]
    state = fold(inputs, SOURCE, TERMS).states["urn:x"]
    inputs.append(_input(103, "handover-confirmation", "b.example", "", state))
    inputs.append(_input(104, "handover", "b.example", "a.example"))
    folded = fold(inputs, SOURCE, TERMS)
    assert list(folded.rejected) == [102] and "a.example made 100 of them" in folded.rejected[102]
