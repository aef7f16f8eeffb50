"""EPCIS 2.0 events in JSON, as traders of seafood write them: put in order, with what each says of goods and firms.

Read here is what custody can use: which goods, how much, when, by whom, whose. A file needs not follow every rule of
the standard (many do not): what is not there is None, and what is odd is told of as a `Doubt`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any, Final

import msgspec

from ledger import limits
from ledger.errors import BadInput
from ledger.jsontext import parse
from ledger.letters import BOM
from node.documents.faults import SPLIT_EVENTS, above_limit
from node.documents.lines import Doubt
from node.epcis.checks import EVENT_LIST

EACH: Final = "C62"
"""The unit of things that are counted: what EPCIS means where it names none."""

SHIPPING: Final = ("shipping", "departing")
RECEIVING: Final = ("receiving", "accepting")

_TYPES: Final = frozenset({"ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent"})
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9.-]+")
_ID_LETTERS: Final = 150  # of an event's ID, from which those of handovers and offers are made
_encode: Final = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
_PARTY_KINDS: Final = ("possessing_party", "owning_party")  # who has it says more of a handover than whose it is


class EventsMalformed(BadInput):
    """No EPCIS document, or a party of which no member's name can be made."""

    code = "events-malformed"
    template = "{place}: {reason}"
    hint = "Ask for EPCIS 2.0 in JSON; where a party's name is the matter, say which member it is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A serial number, or a lot with how much of it (None: not said)."""

    epc: str
    quantity: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """id: of this event alone in its file. step: last word of the business step. owner, actor and so on: members.

    actor: whose place it happened at, else who gives, takes or owns, as the step implies, else who told of it.
    """

    id: str
    type: str
    step: str
    action: str
    time: str
    told_time: str
    actor: str | None
    owner: str | None
    source: str | None
    destination: str | None
    things: tuple[Thing, ...]
    inputs: tuple[Thing, ...]
    outputs: tuple[Thing, ...]
    parent: str | None


def read_events(file: bytes, members: Mapping[str, str], places: Mapping[str, str]) -> tuple[list[Event], list[Doubt]]:
    """The events of a document, or one by itself, by their times; equal ones once.

    members: party -> member; others get a name made of the party's, with a number where two would get one.
    places: place -> party, before what the file says.
    Raises: JsonMalformed and its like, TooLarge, EventsMalformed.
    """
    document = parse(file.removeprefix(BOM), bytes_max=limits.EPCIS_FILE_BYTES_MAX, depth_max=limits.EPCIS_FILE_DEPTH)
    found = _find(document)
    if len(found) > limits.EPCIS_EVENTS_MAX:
        limit = limits.EPCIS_EVENTS_MAX
        raise above_limit(SPLIT_EVENTS, what="the EPCIS file", got=len(found), limit=limit, unit="events")
    reader = _Reader(found, members, dict(_place_owners(document)) | dict(places))
    events = [event for i, told in enumerate(found) if (event := reader.read(i, told)) is not None]
    return sorted(events, key=lambda event: event.time), reader.doubts


def member_of(party: str) -> str:
    """A member's name made of a party's: `urn:gdst:example.org:party:feedmill.1u` -> `feedmill.1u.example`."""
    last = _NOT_IN_NAMES.sub("-", re.split(r"[:/]", party.rstrip(":/"))[-1].lower()).strip(".-")
    if not last or len(last) + len(".example") > limits.MEMBER_NAME_MAX:
        raise EventsMalformed(place="parties", reason=f"no name for a member can be made of {party[:80]!r}")
    return f"{last}.example"


class _Reader:
    """Knows of the whole file what an event by itself does not tell: places, repeated events, names."""

    def __init__(self, found: list[dict[str, Any]], members: Mapping[str, str], places: Mapping[str, str]) -> None:
        self.doubts: list[Doubt] = []
        self._owners = places
        self._ids = Counter(str(told.get("eventID")) for told in found)
        self._said: set[bytes] = set()
        self._members = dict(members)

    def read(self, i: int, told: dict[str, Any]) -> Event | None:
        name = told.get("eventID")
        if not isinstance(name, str) or len(name) > _ID_LETTERS:
            name = "event"
        unique = name if self._ids[name] == 1 else f"{name}#{i + 1}"
        text = _encode(told)
        if text in self._said:
            self._doubt("duplicate-event", unique, "equal to an earlier one in every member, and left out")
            return None
        self._said.add(text)
        if self._ids[name] > 1:
            self._doubt("event-id-repeated", unique, f"{self._ids[name]} events have the ID {name}")
        time = _time(told.get("eventTime"))
        if told.get("type") not in _TYPES or time is None:
            what = f"type {str(told.get('type'))[:40]}, time {str(told.get('eventTime'))[:40]}"
            self._doubt("event-unread", unique, what)
            return None
        return self._event(told, unique, time)

    def _event(self, told: dict[str, Any], unique: str, time: str) -> Event:
        place, provider = (
            told.get("bizLocation") or told.get("readPoint"),
            self._member(told.get("cbvmda:informationProvider")),
        )
        at = self._owners.get(str(place.get("id"))) if isinstance(place, dict) else None
        source, destination = self._party(told, "source"), self._party(told, "destination")
        step = re.split(r"[:/\-]", str(told.get("bizStep", "")))[-1].lower()
        owner = self._member(told.get("gdst:productOwner"))
        if step in SHIPPING + RECEIVING:
            owner = owner or self._party(told, "destination", kinds=("owning_party",))
        implied = source if step in SHIPPING else destination if step in RECEIVING else owner
        actor = self._member(at) or implied or provider
        if provider and actor != provider:
            self._doubt("told-by-another", unique, f"{step} by {actor}, told by {provider}")
        return Event(
            id=unique,
            type=told["type"],
            step=step,
            action=str(told.get("action", "")),
            time=time,
            told_time=told["eventTime"],
            actor=actor,
            owner=owner,
            source=source,
            destination=destination,
            **_goods(told),
        )

    def _party(self, told: dict[str, Any], name: str, kinds: tuple[str, ...] = _PARTY_KINDS) -> str | None:
        ends = [end for end in _dicts(told, f"{name}List") if isinstance(end.get("type"), str)]
        for kind in kinds:
            for end in ends:
                if end["type"].endswith(kind):
                    return self._member(end.get(name))
        return None

    def _member(self, party: object) -> str | None:
        if not isinstance(party, str) or not party:
            return None
        if party not in self._members:
            made, taken = member_of(party), set(self._members.values())
            same = (f"{made.removesuffix('.example')}-{i}.example" for i in count(2))
            self._members[party] = made if made not in taken else next(name for name in same if name not in taken)
        return self._members[party]

    def _doubt(self, code: str, place: str, message: str) -> None:
        self.doubts.append(Doubt(code=code, place=place, message=message))


# --- parts of a document ------------------------------------------------------------------------


def _find(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        raise EventsMalformed(place="document", reason="it is no object")
    found: Any = document
    for step in EVENT_LIST.get(str(document.get("type")), ()):
        found = found.get(step) if isinstance(found, dict) else None
    if found is document and document.get("type") in _TYPES:
        return [document]
    if found is document or not isinstance(found, list) or not all(isinstance(event, dict) for event in found):
        raise EventsMalformed(place="document", reason="it has no list of events where EPCIS has one")
    return found


def _place_owners(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Place -> party, from the master data in the header."""
    header = document.get("epcisHeader")
    master = header.get("epcisMasterData") if isinstance(header, dict) else None
    for vocabulary in _dicts(master, "vocabularyList"):
        for element in _dicts(vocabulary, "vocabularyElementList"):
            for attribute in _dicts(element, "attributes"):
                party = attribute.get("attribute")
                if str(attribute.get("id")).endswith("owning_party") and isinstance(party, str):
                    yield str(element.get("id")), party


def _goods(told: dict[str, Any]) -> dict[str, Any]:
    """What an event of its type names of goods."""
    if told["type"] == "TransformationEvent":
        used = _things(told, "inputEPCList", "inputQuantityList")
        made = _things(told, "outputEPCList", "outputQuantityList")
        return {"things": (), "inputs": used, "outputs": made, "parent": None}
    if told["type"] != "AggregationEvent":
        return {"things": _things(told, "epcList", "quantityList"), "inputs": (), "outputs": (), "parent": None}
    parent = told["parentID"] if isinstance(told.get("parentID"), str) else None
    return {"things": _things(told, "childEPCs", "childQuantityList"), "inputs": (), "outputs": (), "parent": parent}


def _things(told: dict[str, Any], serials: str, lots: str) -> tuple[Thing, ...]:
    named = told.get(serials)
    found = [Thing(epc=epc) for epc in named if isinstance(epc, str)] if isinstance(named, list) else []
    for lot in _dicts(told, lots):
        value, epc = lot.get("quantity"), lot.get("epcClass")
        if isinstance(epc, str):
            is_said = type(value) in (int, Decimal)
            quantity = {"value": value, "unitCode": str(lot.get("uom", EACH))} if is_said else None
            found.append(Thing(epc=epc, quantity=quantity))
    return tuple(found)


def _dicts(value: object, name: str) -> list[dict[str, Any]]:
    members = value.get(name) if isinstance(value, dict) else None
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []


def _time(text: object) -> str | None:
    """UTC, to the millisecond; None for what is no time, or names no offset."""
    try:
        when = datetime.fromisoformat(text) if isinstance(text, str) else None
        if when is None or when.tzinfo is None:
            return None
        return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None
