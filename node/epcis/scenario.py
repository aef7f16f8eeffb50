"""A scenario to show and to try things with: a cold chain for fish, told in EPCIS 2.0 by four firms.

The same seed and number of events give the same bytes, on every machine. Prices,
customers, qualities and temperatures are extension members at the top of the
events, each a field that an agreement can share by itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from node.epcis.consignment import (
    CARRIER,
    OPENING,
    PLACES,
    PREFIXES,
    RETAILER,
    SPECIES,
    Consignment,
    Event,
    Telling,
    fish_class,
    party,
    place,
    reading,
)
from node.epcis.story import tell_all

FIRMS: Final = tuple(PREFIXES)
EVENTS_MIN: Final = 50
"""The longest story of one consignment: a scenario tells at least one whole."""
CONTEXT: Final[tuple[str | dict[str, str], ...]] = (
    "https://ref.gs1.org/standards/epcis/epcis-context.jsonld",
    {"cbvmda": "urn:epcglobal:cbv:mda:", "ext": "https://ns.cold-chain.example/epcis/"},
)

_READING_EVERY: Final = timedelta(minutes=12)
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """documents: firm -> its events as one EPCISDocument. events: all of them, (firm, event), as they happened."""

    documents: dict[str, bytes]
    events: tuple[tuple[str, Event], ...]


def scenario(seed: int = 7, events: int = 300) -> Scenario:
    """Make up as many consignments as fit into `events`, at least EVENTS_MIN; temperatures fill up the rest."""
    assert events >= EVENTS_MIN, f"a scenario has at least {EVENTS_MIN} events"
    consignments: list[Consignment] = []
    told: list[Telling] = []
    while True:
        story = Consignment(len(consignments), random.Random(f"{seed}/{len(consignments)}"))  # noqa: S311  # made up
        tell_all(story)
        if len(told) + len(story.told) > events:
            break
        consignments.append(story)
        told += story.told
    told += [_filling(consignments, i) for i in range(events - len(told))]
    told.sort(key=lambda telling: telling.moment)
    return Scenario(
        documents={
            firm: _document(firm, [telling.event for telling in told if telling.firm == firm]) for firm in FIRMS
        },
        events=tuple((telling.firm, telling.event) for telling in told),
    )


def _filling(consignments: Sequence[Consignment], i: int) -> Telling:
    """Reading number `i`: of the trucks and of the cold store by turns, each consignment in turn."""
    story, turn = consignments[i % len(consignments)], i // len(consignments)
    after = (turn // 2 + 1) * _READING_EVERY
    if turn % 2 == 0:
        return reading(story, firm=CARRIER, where=story.truck_place, moment=story.on_the_road + after)
    return reading(story, firm=RETAILER, where=place(RETAILER, "00002"), moment=story.moment + after)


def _document(firm: str, events: list[Event]) -> bytes:
    document = {
        "@context": CONTEXT,
        "id": f"https://{firm}.cold-chain.example/epcis/2026-03",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": _creation_date(events),
        "sender": party(firm),
        "epcisHeader": {"epcisMasterData": {"vocabularyList": _master_data(firm)}},
        "epcisBody": {"eventList": events},
    }
    return msgspec.json.format(_encode(document), indent=2) + b"\n"


def _creation_date(events: Sequence[Event]) -> str:
    latest = max((datetime.fromisoformat(event["eventTime"]) for event in events), default=OPENING)
    return (latest.astimezone(UTC) + timedelta(hours=1)).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _master_data(firm: str) -> list[dict[str, Any]]:
    """The firm's places and goods by name: what partners would otherwise ask for by telephone."""
    places = [_element(place(firm, reference), name) for reference, name in PLACES[firm].items()]
    goods = [
        _element(f"urn:epc:idpat:sgtin:{fish_class(firm, indicator, species)}.*", f"{species.name}, {form}")
        for species in SPECIES
        for indicator, form in _GOODS.get(firm, {}).items()
    ]
    lists = (("urn:epcglobal:epcis:vtype:BusinessLocation", places), ("urn:epcglobal:epcis:vtype:EPCClass", goods))
    return [{"type": kind, "vocabularyElementList": elements} for kind, elements in lists if elements]


_GOODS: Final = {"fishery": {0: "whole"}, "processor": {1: "fillets", 2: "trimmings", 3: "case of fillets"}}


def _element(identifier: str, name: str) -> dict[str, Any]:
    return {"id": identifier, "attributes": [{"id": "urn:epcglobal:cbv:mda#name", "attribute": name}]}
