"""The made-up cold chain: sound, the same every time, consistent, and worth sharing in part."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from contracts.source import lint, read_source
from ledger.fields import compile_rules, cut, is_flat, join
from ledger.jsontext import parse
from node.epcis.capture import DOCUMENT_TYPE, capture, rebuild
from node.epcis.checks import check
from node.epcis.consignment import Consignment, gln
from node.epcis.scenario import EVENTS_MIN, FIRMS, Scenario, scenario
from node.epcis.story import tell_all
from tests.test_epcis_differential import schema

_AGREEMENT: Final = Path(__file__).parent.parent / "contracts" / "library" / "seafood_sharing.py"
_DEEP: Final = {"bytes_max": 1 << 24, "depth_max": 37}


def events_of(made: Scenario, **wanted: str) -> list[dict[str, Any]]:
    return [event for _, event in made.events if wanted.items() <= event.items()]


# --- sound and repeatable ------------------------------------------------------------------------


@pytest.mark.parametrize("seed_number", [7, 8])
def test_every_document_keeps_the_standard(seed_number: int) -> None:
    for text in scenario(seed_number).documents.values():
        assert [str(fault) for fault in check(parse(text, **_DEEP))] == []


@pytest.mark.conformance
def test_every_document_passes_the_schema() -> None:
    for text in scenario().documents.values():
        assert schema().is_valid(parse(text, **_DEEP))


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert scenario(7).documents == scenario(7).documents
    assert scenario(7).documents != scenario(8).documents


@pytest.mark.parametrize("count", [EVENTS_MIN, EVENTS_MIN + 1, 137, 300, 601])
def test_as_many_events_are_told_as_asked_for(count: int) -> None:
    made = scenario(3, count)
    assert len(made.events) == count
    assert sum(capture(text).event_count for text in made.documents.values()) == count


def test_no_story_is_longer_than_the_shortest_scenario() -> None:
    lengths = []
    for number in range(200):
        story = Consignment(number, random.Random(number))
        tell_all(story)
        lengths.append(len(story.told))
    assert EVENTS_MIN - 10 < max(lengths) <= EVENTS_MIN
    with pytest.raises(AssertionError, match="at least"):
        scenario(7, EVENTS_MIN - 1)


def test_every_firm_tells_of_its_own_and_every_type_occurs() -> None:
    made = scenario()
    assert set(made.documents) == set(FIRMS) == {"fishery", "processor", "carrier", "retailer"}
    assert min(Counter(firm for firm, _ in made.events).values()) > 20
    assert len({event["type"] for _, event in made.events}) == 5


def test_documents_are_captured_whole() -> None:
    for text in scenario().documents.values():
        found = capture(text)
        assert (found.document_faults, found.refused) == ((), ())
        assert parse(rebuild((r.type, r.body) for r in found.records), **_DEEP) == parse(text, **_DEEP)


# --- consistent -----------------------------------------------------------------------------------


def test_time_runs_forward_and_ids_are_unique() -> None:
    made = scenario()
    times = [event["eventTime"] for _, event in made.events]
    assert times == sorted(times)
    assert len({event["eventID"] for _, event in made.events}) == len(times)


def test_the_check_digit_of_a_location_number_is_right() -> None:
    # An independent rule: all 13 digits, weighted 1 and 3 by turns, come to a multiple of ten.
    for firm in FIRMS:
        digits = [int(digit) for digit in gln(firm, "00001")]
        assert len(digits) == 13
        assert (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def test_no_kilogram_appears_or_is_lost() -> None:
    made = scenario()
    balance: dict[str, Decimal] = defaultdict(Decimal)
    for event in events_of(made, action="ADD", bizStep="commissioning"):
        _count(balance, event.get("quantityList", []), +1)
    assert len(balance) > 10
    for event in events_of(made, type="TransformationEvent"):
        taken, given = (sum(q["quantity"] for q in event[f"{side}QuantityList"]) for side in ("input", "output"))
        assert taken == given
        _count(balance, event["inputQuantityList"], -1)
        _count(balance, event["outputQuantityList"], +1)
    for step in ("packing", "retail_selling"):
        left = balance.copy()
        for event in events_of(made, bizStep=step):
            _count(left, event.get("childQuantityList", event.get("quantityList", [])), -1)
        assert {lot.split(":lgtin:")[1].split(".")[1][0] for lot, kg in left.items() if kg} == {"2"}, "trimmings stay"


def _count(balance: dict[str, Decimal], quantities: list[dict[str, Any]], sign: int) -> None:
    for quantity in quantities:
        assert quantity["uom"] == "KGM"
        assert isinstance(quantity["quantity"], Decimal)
        balance[quantity["epcClass"]] += sign * quantity["quantity"]


def test_nothing_is_named_before_it_exists() -> None:
    known: set[str] = set()
    for _, event in scenario().events:
        made = event.get("action") == "ADD" or event["type"] == "TransformationEvent"
        born = {q["epcClass"] for q in event.get("outputQuantityList", [])}
        if made:
            born |= {q["epcClass"] for q in event.get("quantityList", [])} | set(event.get("epcList", []))
            born |= {event["parentID"]} if "parentID" in event else set()
        if event["type"] == "AssociationEvent":
            born |= set(event["childEPCs"])  # a logger is bought, not made
        if event["type"] == "TransactionEvent":
            born -= set(event["epcList"])
        lists = [event.get(name, []) for name in ("quantityList", "inputQuantityList", "childQuantityList")]
        named = {quantity["epcClass"] for quantities in lists for quantity in quantities}
        named |= {*event.get("epcList", []), *event.get("childEPCs", [])}
        named |= {event["parentID"]} if "parentID" in event else set()
        assert named - born <= known, event
        known |= born


# --- shared in part -----------------------------------------------------------------------------------


def test_the_agreement_is_sound_and_without_doubts() -> None:
    text = _AGREEMENT.read_text()
    assert lint(text) == []
    source = read_source(text)
    assert source.roles == source.signers == set(FIRMS)
    assert set(source.shares) == set(source.authors)
    assert "apply" not in source.functions


def test_every_type_of_the_scenario_is_shared_and_every_pattern_is_used() -> None:
    source, used = read_source(_AGREEMENT.read_text()), set()
    for text in scenario().documents.values():
        for record in capture(text).records:
            rules = compile_rules(source.shares[record.type])
            fields = cut(record.body, rules)
            assert parse(join((field.name, field.text) for field in fields)) == parse(record.body)
            used |= {(record.type, field.name) for field in fields}
    narrow = {(kind, pattern) for kind, patterns in source.shares.items() for pattern in patterns if "ext:" in pattern}
    assert narrow <= used, "a pattern that nothing matches shows nothing"
    assert not all(is_flat(compile_rules(patterns)) for patterns in source.shares.values())


def test_each_firm_reads_what_it_should_and_no_price_of_others() -> None:
    source = read_source(_AGREEMENT.read_text())
    seen: dict[str, set[str]] = {firm: set() for firm in FIRMS}
    for author, text in scenario().documents.items():
        for record in capture(text).records:
            for field in cut(record.body, compile_rules(source.shares[record.type])):
                for firm in field.audience - {author}:
                    seen[firm].add(f"{author}{field.name}")
    assert {"fishery/ext:temperature", "carrier/ext:temperature"} <= seen["retailer"] & seen["processor"]
    assert "carrier/ext:temperature" in seen["fishery"]
    assert "fishery/ext:landingPrice" in seen["processor"]
    assert "fishery/ilmd/ext:position" in seen["processor"]
    assert "processor/ext:price" in seen["retailer"]
    assert "carrier/ext:freightCharge" in seen["processor"]
    assert not any("rice" in name or "customer" in name or "quality" in name for name in seen["carrier"])
    assert not any("landingPrice" in name or "ext:position" in name or "freight" in name for name in seen["retailer"])
    assert not any("shelfPrice" in name for firm in FIRMS for name in seen[firm])
    assert DOCUMENT_TYPE in source.shares
