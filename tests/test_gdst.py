"""Events of seafood as steps of custody: what each becomes, and what is told of it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import TooLarge
from ledger.names import decode_name
from node.documents.gdst import Custody, read_custody
from node.documents.gdstevents import EventsMalformed, member_of
from node.documents.lines import encode_lines
from tests.plain_fold import fold, library

SOURCE: Final = library("custody")
TERMS: Final = {"return_days": 30, "holder_may_use": True}
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


def test_the_owning_party_of_the_destination_is_the_owner_that_is_named() -> None:
    to = _to("owning_party", "processor")
    moves = (told(m, step, place, quantityList=lot(), destinationList=to) for m, step, place in _MOVES)
    assert fold(read_custody(file(caught(), *moves)).inputs, SOURCE, TERMS).states[LOT]["owner"] == "processor.example"


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
    folded = fold(custody.inputs, SOURCE, TERMS)
    assert folded.rejected == {}
    assert {state["holder"] for state in folded.states.values()} == {"processor.example"}
    assert {state["packed_in"] for state in folded.states.values()} == {None}


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
    assert read_custody(file(caught(), told(2, "urn:gdst:bizStep:landing", "boat", epcList=["a"]))).left_out == {
        "landing": 1
    }


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
        ([told(1, "landing", "nowhere", quantityList=lot())], ["actor-missing"]),
        ([told(1, "landing", "boat")], ["nothing-named"]),
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
    placed = read_custody(file(caught()), places={"boat": PARTY + "processor"})
    assert placed.inputs[0]["author"] == "processor.example"
    with pytest.raises(EventsMalformed):
        member_of("urn:x:party:___")


def test_inputs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CUSTODY_INPUTS_MAX", 1)
    assert len(read_custody(file(caught())).inputs) == 1
    with pytest.raises(TooLarge):
        read_custody(file(caught(), caught(eventID="e9", eventTime="2026-03-02T09:00:00Z")))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.data())
def test_whatever_stands_in_an_event_it_is_read_or_told_of(data: st.DataObject) -> None:
    event = caught(**{name: [] for name in ("epcList", "sourceList", "inputEPCList", "childEPCs")})
    strange = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | _strange_objects(inner)
    )
    event[data.draw(st.sampled_from([*event, "parentID", "destinationList", "childQuantityList"]))] = data.draw(strange)
    event["type"] = data.draw(st.sampled_from(["ObjectEvent", "AggregationEvent", "TransformationEvent"]))
    custody = read_custody(file(event))
    assert custody.inputs or custody.doubts or custody.left_out


def _to(kind: str, party: str) -> list[dict[str, str]]:
    return [{"type": kind, "destination": PARTY + party}]


def _strange_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["epcClass", "quantity", "uom", "id", "type", "source"])
    return st.dictionaries(names, inner)


_MOVES: Final = ((2, "shipping", "boat"), (3, "receiving", "plant"))
