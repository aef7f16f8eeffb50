"""Events of seafood as steps of custody: what each becomes, and which faults of the samples are found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from ledger import limits
from ledger.errors import JsonMalformed, TooLarge
from ledger.names import decode_name
from node.documents.gdst import Custody, read_custody
from node.documents.gdstevents import EventsMalformed, member_of
from node.documents.lines import encode_lines
from tests.plain_contract import Outcome, fold, library_source
from tests.samples import sample

SOURCE: Final = library_source("custody")
TERMS: Final = {"return_days": 30, "holder_may_use": True}
TRACE: Final = "trace/opentraceability"
LOT: Final = "urn:gdst:x.example:product:lot:class:maker.fish.1"
PARTY: Final = "urn:gdst:x.example:party:"
OWNERS: Final = {"boat": "fisher", "plant": "processor", "shop": "retailer"}


def told(minute: int, step: str, place: str, owner: str | None = None, **members: Any) -> dict[str, Any]:
    event = {
        "type": "ObjectEvent", "eventID": f"e{minute}", "eventTime": f"2026-03-02T08:{minute:02d}:00.0000000+01:00",
        "action": "OBSERVE", "bizStep": step, "bizLocation": {"id": place},
    }  # fmt: skip
    return event | ({"gdst:productOwner": PARTY + owner} if owner else {}) | members


def lot(value: object = 10, epc: str = LOT) -> list[dict[str, Any]]:
    return [{"epcClass": epc, "quantity": value, "uom": "KGM"}]


def caught(**members: Any) -> dict[str, Any]:
    return told(1, "urn:gdst:bizStep:fishingEvent", "boat", "fisher", action="ADD", quantityList=lot()) | members


def file(*events: dict[str, Any], kind: str = "EPCISDocument") -> bytes:
    elements = [
        {"id": place, "attributes": [{"id": "urn:epcglobal:cbv:owning_party", "attribute": PARTY + party}]}
        for place, party in OWNERS.items()
    ]
    header = {"epcisMasterData": {"vocabularyList": [{"vocabularyElementList": elements}]}}
    body: dict[str, Any] = {"eventList": events}
    if kind == "EPCISQueryDocument":
        body = {"queryResults": {"resultsBody": body}}
    return json.dumps({"type": kind, "epcisHeader": header, "epcisBody": body}).encode()


def steps(custody: Custody) -> list[tuple[str, str, str]]:
    return [(given["type"], given["author"].partition(".")[0], given["body"]["epc"]) for given in custody.inputs]


def run(name: str, **terms: Any) -> tuple[Custody, Outcome]:
    custody = read_custody(sample(f"{TRACE}/{name}").read_bytes())
    return custody, fold(custody.inputs, SOURCE, TERMS | terms)


def refusals(custody: Custody, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Type and lot of what was refused, and why."""
    for i, reason in outcome.rejected.items():
        yield custody.inputs[i]["type"], custody.inputs[i]["body"]["epc"].rpartition(":")[2], reason


# --- what becomes what ------------------------------------------------------------------------


def test_a_catch_is_a_commission_by_who_owns_the_place() -> None:
    (given,) = read_custody(file(caught())).inputs
    assert (given["role"], given["author"], given["type"]) == ("maker", "fisher.example", "commission")
    assert given["time"] == "2026-03-02T07:01:00.000Z"
    assert given["body"]["quantity"] == {"value": 10, "unitCode": "KGM"}
    assert given["body"]["owner"] == "fisher.example"


def test_shipping_and_receiving_are_a_handover_and_its_confirmation() -> None:
    shipped, received = (told(m, step, place, quantityList=lot()) for m, step, place in _MOVES)
    custody = read_custody(file(caught(), shipped, received))
    assert [given["body"].get("ID") for given in custody.inputs] == [None, "e2", "e2"]
    state = fold(custody.inputs, SOURCE, TERMS).states[LOT]
    assert (state["owner"], state["holder"]) == ("fisher.example", "processor.example")


def test_an_owner_named_by_giver_and_taker_is_an_offer_and_its_acceptance() -> None:
    shipped, received = (told(m, step, place, "processor", quantityList=lot()) for m, step, place in _MOVES)
    state = fold(read_custody(file(caught(), shipped, received)).inputs, SOURCE, TERMS).states[LOT]
    assert (state["owner"], state["holder"], state["offer"]) == ("processor.example", "processor.example", None)


def test_an_owner_named_by_the_giver_alone_is_an_offer() -> None:
    shipped, received = (told(m, step, place, "retailer", quantityList=lot()) for m, step, place in _MOVES)
    state = fold(read_custody(file(caught(), shipped, received)).inputs, SOURCE, TERMS).states[LOT]
    assert (state["owner"], state["offer"]["to"]) == ("fisher.example", "retailer.example")


def test_an_owner_named_by_somebody_else_is_a_doubt() -> None:
    shipped = told(2, "shipping", "plant", "retailer", quantityList=lot())
    assert "owner-unsaid" in [doubt.code for doubt in read_custody(file(caught(), shipped)).doubts]


def test_a_transformation_uses_its_inputs_and_makes_its_outputs() -> None:
    made = told(2, "commissioning", "boat", "fisher", type="TransformationEvent", inputQuantityList=lot(4))
    custody = read_custody(file(caught(), made | {"outputQuantityList": lot(3, "urn:fillet")}))
    assert steps(custody)[1:] == [("use", "fisher", LOT), ("commission", "fisher", "urn:fillet")]
    assert fold(custody.inputs, SOURCE, TERMS).states[LOT]["quantity"] == 6


def test_a_package_moves_with_all_that_is_in_it() -> None:
    packed = told(2, "packing", "boat", "fisher", type="AggregationEvent", action="ADD", parentID="urn:box")
    outer = packed | {"eventID": "e3", "parentID": "urn:pallet", "childEPCs": ["urn:box"]}
    moved = [told(m + 4, step, place, "fisher", epcList=["urn:pallet"]) for m, step, place in _MOVES]
    emptied = [
        told(9 - i, "unpacking", "plant", "fisher", type="AggregationEvent", action="DELETE", parentID=parent)
        for i, parent in enumerate(("urn:box", "urn:pallet"))
    ]
    custody = read_custody(file(caught(), packed | {"childQuantityList": lot()}, outer, *moved, *emptied))
    outcome = fold(custody.inputs, SOURCE, TERMS)
    assert outcome.rejected == {}
    assert {state["holder"] for state in outcome.states.values()} == {"processor.example"}
    assert {state["packed_in"] for state in outcome.states.values()} == {None}


def test_packages_in_a_circle_end() -> None:
    packed = told(2, "packing", "boat", "fisher", type="AggregationEvent", action="ADD", parentID="a", childEPCs=["b"])
    again = packed | {"eventID": "e3", "parentID": "b", "childEPCs": ["a"]}
    shipped = told(4, "shipping", "boat", epcList=["a"], destinationList=_to("possessing_party", "processor"))
    custody = read_custody(file(packed, again, shipped))
    assert [epc for kind, _, epc in steps(custody) if kind == "handover"] == ["a", "b"]


def test_a_trade_is_an_offer_or_an_acceptance_by_who_tells_of_it() -> None:
    ends: dict[str, Any] = {"sourceList": [{"type": "owning_party", "source": PARTY + "fisher"}], "epcList": [LOT]}
    trade: dict[str, Any] = {
        "type": "TransactionEvent",
        "action": "ADD",
        **ends,
        "destinationList": _to("owning_party", "processor"),
    }
    events = (caught(), told(2, "accepting", "boat", **trade), told(3, "accepting", "plant", **trade))
    custody = read_custody(file(*events))
    assert [kind for kind, _, _ in steps(custody)] == ["commission", "title-offer", "title-acceptance"]
    assert fold(custody.inputs, SOURCE, TERMS).states[LOT]["owner"] == "processor.example"


def test_steps_that_say_nothing_of_custody_are_counted() -> None:
    assert read_custody(file(caught(), told(2, "urn:gdst:bizStep:landing", "boat"))).left_out == {"landing": 1}


# --- what the file does not say -----------------------------------------------------------------


def test_a_receiving_without_a_shipping_is_refused_by_the_contract() -> None:
    custody = read_custody(file(caught(), told(2, "receiving", "plant", quantityList=lot())))
    assert "open is none" in fold(custody.inputs, SOURCE, TERMS).rejected[1]


def test_a_shipping_to_nobody_is_no_handover() -> None:
    custody = read_custody(file(caught(), told(2, "shipping", "boat", quantityList=lot())))
    assert len(custody.inputs) == 1
    assert [doubt.code for doubt in custody.doubts] == ["taker-missing"]


@pytest.mark.parametrize(
    ("events", "codes"),
    [
        ([caught() | {"gdst:productOwner": None}], ["owner-missing"]),
        ([caught(), caught()], ["duplicate-event"]),
        ([caught(), caught() | {"bizStep": "landing", "action": "OBSERVE"}], ["event-id-repeated"] * 2),
        ([caught() | {"eventTime": "2026-03-02T08:00:00"}], ["event-unread"]),
        ([caught() | {"type": "AssociationEvent"}], ["event-unread"]),
        ([told(1, "landing", "nowhere")], ["actor-missing"]),
        ([caught() | {"cbvmda:informationProvider": PARTY + "shop"}], ["told-by-another"]),
    ],
)
def test_what_is_odd_is_told_of(events: list[dict[str, Any]], codes: list[str]) -> None:
    found = [doubt.code for doubt in read_custody(file(*events)).doubts]
    assert found == codes or (codes == ["duplicate-event"] and codes[0] in found)


def test_events_are_told_by_their_times_and_not_by_their_places() -> None:
    shipped, received = (told(m, step, place, quantityList=lot()) for m, step, place in _MOVES)
    assert steps(read_custody(file(received, shipped, caught()))) == steps(
        read_custody(file(caught(), shipped, received))
    )


def test_numbers_keep_their_text() -> None:
    text = file(caught(quantityList=lot(0))).replace(b'"quantity": 0', b'"quantity": 9876.0')
    assert b'"value":9876.0' in next(encode_lines(read_custody(text).inputs))


def test_every_kind_of_document_is_read_with_and_without_byte_order_mark() -> None:
    whole = read_custody(file(caught()))
    assert read_custody(file(caught(), kind="EPCISQueryDocument")) == whole
    assert read_custody(b"\xef\xbb\xbf" + file(caught())) == whole
    assert steps(read_custody(json.dumps(caught()).encode())) == steps(whole)


@pytest.mark.parametrize(
    "text", [b"[]", b"{}", b'{"type":"EPCISDocument"}', b'{"type":"EPCISDocument","epcisBody":{"eventList":[1]}}']
)
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(EventsMalformed):
        read_custody(text)


def test_members_get_names_that_are_good_and_apart() -> None:
    assert decode_name(member_of("urn:gdst:x:party:Feed_Mill.1u")) == "feed-mill.1u.example"
    other = caught() | {"eventID": "e0", "gdst:productOwner": "urn:gdst:other:party:fisher"}
    owners = [given["body"]["owner"] for given in read_custody(file(caught(), other)).inputs]
    assert owners == ["fisher.example", "fisher-2.example"]
    named = read_custody(file(caught()), members={PARTY + "fisher": "boats.example"})
    assert named.inputs[0]["author"] == "boats.example"
    with pytest.raises(EventsMalformed):
        member_of("urn:x:party:___")


def test_inputs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CUSTODY_INPUTS_MAX", 1)
    assert len(read_custody(file(caught())).inputs) == 1
    with pytest.raises(TooLarge):
        read_custody(file(caught(), caught(eventID="e9", eventTime="2026-03-02T09:00:00Z")))


# --- the samples --------------------------------------------------------------------------------


def test_planted_faults_of_the_tuna_chain_are_found_and_nothing_else() -> None:
    custody, outcome = run("traceback_tests.jsonld")
    fisher, feed, fry = "fisherman01.tunau.v1-0122-2022", "feedmill.1u.ff11252021", "hatchery.1u.tf12012021"
    found = list(refusals(custody, outcome))
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
    _, outcome = run("traceback_tests.jsonld")
    left = {key.rpartition(":")[2]: state["quantity"] for key, state in outcome.states.items()}
    assert left["processor.10u.commingle-01232022"] == 12_124
    assert left["fishfarm.1u.farmed-tuna-01192022"] == 0
    owner = {state["owner"] for key, state in outcome.states.items() if "sscc" in key or "processor.2u" in key}
    assert owner == {"importer.1u.example"}


def test_more_fish_than_was_put_in_is_found_where_the_terms_bound_the_yield() -> None:
    custody, outcome = run("traceback_tests.jsonld", yield_percent_max=Decimal(100))
    ((name, reason),) = [(name, reason) for kind, name, reason in refusals(custody, outcome) if kind == "commission"]
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
    custody, outcome = run(f"{name}.jsonld")
    assert sum(given["type"] == "commission" for given in custody.inputs) == commissions == len(outcome.states)


def _to(kind: str, party: str) -> list[dict[str, str]]:
    return [{"type": kind, "destination": PARTY + party}]


_MOVES: Final = ((2, "shipping", "boat"), (3, "receiving", "plant"))
