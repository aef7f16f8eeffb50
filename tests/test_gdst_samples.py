"""Whole chains of seafood, run through custody: their planted faults are found, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from ledger.errors import JsonMalformed
from node.documents.gdst import Custody, read_custody
from tests.plain_fold import Folded, fold, library
from tests.samples import sample

SOURCE: Final = library("custody")
TERMS: Final = {"return_days": 30, "holder_may_use": True}
TRACE: Final = "trace/opentraceability"


def run(name: str, **terms: Any) -> tuple[Custody, Folded]:
    custody = read_custody(sample(f"{TRACE}/{name}").read_bytes())
    return custody, fold(custody.inputs, SOURCE, TERMS | terms)


def refusals(custody: Custody, folded: Folded) -> Iterator[tuple[str, str, str]]:
    """Type and lot of what was refused, and why."""
    for i, reason in folded.rejected.items():
        yield custody.inputs[i]["type"], custody.inputs[i]["body"]["epc"].rpartition(":")[2], reason


def test_planted_faults_of_the_tuna_chain_are_found_and_nothing_else() -> None:
    custody, folded = run("traceback_tests.jsonld")
    fisher, feed, fry = "fisherman01.tunau.v1-0122-2022", "feedmill.1u.ff11252021", "hatchery.1u.tf12012021"
    found = list(refusals(custody, folded))
    assert [(kind, name) for kind, name, _ in found] == [
        ("use", feed),  # used on 2022-01-19, shipped on 2022-02-03
        ("use", fry),  # promised to the importer when it was shipped
        ("handover-confirmation", fisher),  # never shipped
        ("title-acceptance", fisher),
        ("use", fisher),
    ]
    assert found[0][2].endswith("feedmill.1u.ff11252021: feedmill.1u.example does")
    assert found[4][2].endswith("10000.0 KGM used up, 9876.0 KGM are there: 124.0 KGM too much")
    repeated = [doubt for doubt in custody.doubts if doubt.code == "event-id-repeated"]
    assert Counter(doubt.message[:8] for doubt in repeated) == {"3 events": 6, "2 events": 2}


def test_the_balance_of_the_tuna_chain_is_what_the_events_say() -> None:
    _, folded = run("traceback_tests.jsonld")
    left = {key.rpartition(":")[2]: state["quantity"] for key, state in folded.states.items()}
    assert left["processor.10u.commingle-01232022"] == 12_124
    assert left["fishfarm.1u.farmed-tuna-01192022"] == 0
    owner = {state["owner"] for key, state in folded.states.items() if "sscc" in key or "processor.2u" in key}
    assert owner == {"importer.1u.example"}


def test_more_fish_than_was_put_in_is_found_where_the_terms_bound_the_yield() -> None:
    custody, folded = run("traceback_tests.jsonld", yield_percent_max=Decimal(100))
    ((name, reason),) = [(name, reason) for kind, name, reason in refusals(custody, folded) if kind == "commission"]
    assert name == "fishfarm.1u.farmed-tuna-01192022"
    assert reason.endswith("12000.0 KGM made of 11000.0 KGM, at most 100 percent")


def test_a_lot_without_an_owner_is_not_commissioned() -> None:
    custody, _ = run("gdst_event_missing_product_owner.jsonld")
    assert (custody.inputs, [doubt.code for doubt in custody.doubts]) == ((), ["owner-missing"])


def test_equal_events_count_once() -> None:
    custody, _ = run("EPCISQueryDocument_duplicate_eventIDs.jsonld")
    assert [doubt.code for doubt in custody.doubts].count("duplicate-event") == 1


@pytest.mark.parametrize("name", ["EPCISQueryDocument_malformed", "EPCISQUERYDOCUMENT_advanced_5"])
def test_files_that_are_no_json_are_refused(name: str) -> None:
    with pytest.raises(JsonMalformed):
        run(f"{name}.jsonld")


@pytest.mark.parametrize(
    ("name", "commissions"),
    [("epcisquerydoc-example01", 15), ("gdst_data_withmasterdata", 7), ("epcisdocument-example01", 4)],
)
def test_other_documents_are_read_whole(name: str, commissions: int) -> None:
    custody, folded = run(f"{name}.jsonld")
    assert sum(given["type"] == "commission" for given in custody.inputs) == commissions == len(folded.states)
