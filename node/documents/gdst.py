"""Seafood's events (GDST, which are EPCIS 2.0 with some members more) as inputs of the custody contract, lot by lot.

What becomes what: an ADD or an output is a `commission`, an input a `use`, a DELETE a `destruction`; shipping is a
`handover`, and the receiving after it the `handover-confirmation` of the same ID. `gdst:productOwner` says whose the
goods are, or, of goods that move, the owning party of the destination: where the giver names another at shipping, that
is a `title-offer`, and where the taker names itself at receiving, the `title-acceptance`. Packing moves what is in a
package with it: the contract sees one thing at a time, so a package's handover is told once for the package and once
for each thing in it.

What the file does not say is not made up. A receiving without a shipping becomes a confirmation of a handover that
nobody offered, and the contract refuses it; a commission that does not say whose the goods are becomes no input, and
a `Doubt`. Inputs come in the order of the events' times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ledger import limits
from node.documents.faults import SPLIT_EVENTS, above_limit
from node.documents.gdstevents import EACH, RECEIVING, SHIPPING, Event, Thing, read_events
from node.documents.lines import Doubt, InputLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """inputs: by time. left_out: business steps that say nothing of title or possession, and how often."""

    inputs: tuple[InputLine, ...]
    doubts: tuple[Doubt, ...]
    left_out: Counter[str]


def read_custody(
    file: bytes, *, members: Mapping[str, str] | None = None, places: Mapping[str, str] | None = None
) -> Custody:
    """Read an EPCIS document, query document or event in JSON, with or without byte order mark.

    members: party -> member that files for it; else a name is made of the party's (`member_of`).
    places: place -> party, beside and before what the file's own master data say.
    Raises: JsonMalformed and its like, TooLarge, EventsMalformed.
    """
    events, doubts = read_events(file, members or {}, places or {})
    teller = _Teller(events, doubts)
    inputs = list(islice((given for event in events for given in teller.tell(event)), limits.CUSTODY_INPUTS_MAX + 1))
    if len(inputs) > limits.CUSTODY_INPUTS_MAX:
        limit = limits.CUSTODY_INPUTS_MAX
        raise above_limit(SPLIT_EVENTS, what="the EPCIS file", got=len(inputs), limit=limit, unit="inputs")
    makers = {given["author"] for given in inputs if given["type"] == "commission"}
    for given in inputs:
        given["role"] = "maker" if given["author"] in makers else "buyer"
    return Custody(inputs=tuple(inputs), doubts=tuple(doubts), left_out=teller.left_out)


class _Teller:
    """Tells events one after another, and remembers what the next ones need: owners, packages, open shipments."""

    def __init__(self, events: list[Event], doubts: list[Doubt]) -> None:
        self.left_out: Counter[str] = Counter()
        self._doubts = doubts
        self._takers = _takers(events)
        self._owners: dict[str, str] = {}
        self._offers: dict[str, tuple[str, str]] = {}  # epc -> ID, to
        self._shipped: dict[str, str] = {}  # epc -> ID of a shipment that was not received yet
        self._content: dict[str, list[str]] = {}
        self._packed_in: dict[str, str] = {}

    def tell(self, event: Event) -> Iterator[InputLine]:
        if not (event.things or event.inputs or event.outputs or event.parent):
            self._doubt("nothing-named", event, "no serial number and no lot")
        elif event.actor is None:
            self._doubt("actor-missing", event, "no place with an owner, no party and nobody who told of it")
        elif event.type == "TransformationEvent":
            yield from self._transform(event)
        elif event.type == "AggregationEvent":
            yield from self._pack(event) if event.action == "ADD" else self._unpack(event)
        elif event.type == "TransactionEvent":
            yield from self._trade(event)
        elif event.action == "ADD":
            yield from self._commission(event, event.things, ())
        elif event.action == "DELETE":
            for thing in event.things:
                yield _input(event, "destruction", thing)
        elif event.step in SHIPPING:
            yield from self._ship(event)
        elif event.step in RECEIVING:
            yield from self._receive(event)
        else:
            self.left_out[event.step] += 1

    # --- making and using ---

    def _commission(self, event: Event, made: tuple[Thing, ...], used: tuple[Thing, ...]) -> Iterator[InputLine]:
        if event.owner is None:
            names = ", ".join(thing.epc for thing in made)
            self._doubt("owner-missing", event, f"no gdst:productOwner, so nobody knows whose {names} is")
            return
        parts = [{"epc": thing.epc, "quantity": thing.quantity or _one()} for thing in used]
        for thing in made:
            self._owners.setdefault(thing.epc, event.owner)
            told = {"quantity": thing.quantity or _one(), "owner": event.owner}
            yield _input(event, "commission", Thing(epc=thing.epc), **told, **({"inputs": parts} if parts else {}))

    def _transform(self, event: Event) -> Iterator[InputLine]:
        into = [thing.epc for thing in event.outputs]
        for thing in event.inputs:
            yield _input(event, "use", thing, into=into)
        yield from self._commission(event, event.outputs, event.inputs)

    # --- packages ---

    def _pack(self, event: Event) -> Iterator[InputLine]:
        if event.parent is None:
            self.left_out[event.step] += 1
            return
        if event.parent not in self._owners:  # a package is made by being packed
            yield from self._commission(event, (Thing(epc=event.parent),), ())
        for thing in event.things:
            yield _input(event, "packing", thing, packed_in=event.parent)
            self._content.setdefault(event.parent, []).append(thing.epc)
            self._packed_in[thing.epc] = event.parent

    def _unpack(self, event: Event) -> Iterator[InputLine]:
        """Without children all that is in the package is meant."""
        if event.parent is None or event.action != "DELETE":
            self.left_out[event.step] += 1
            return
        inside = self._content.get(event.parent, [])
        for thing in event.things or [Thing(epc=epc) for epc in inside]:
            yield _input(event, "unpacking", thing, packed_in=event.parent)
            if thing.epc in inside:
                inside.remove(thing.epc)
                del self._packed_in[thing.epc]

    def _opened(self, event: Event) -> Iterator[tuple[Thing, str]]:
        """The things of an event and what is in them, each once; with the one of the event that it is in, or is."""
        waiting, seen = [(thing, thing.epc) for thing in reversed(event.things)], set()
        while waiting:
            thing, outermost = waiting.pop()
            if thing.epc not in seen:
                seen.add(thing.epc)
                yield thing, outermost
                inside = self._content.get(thing.epc, [])
                waiting += [(Thing(epc=epc), outermost) for epc in reversed(inside)]

    # --- changing hands ---

    def _ship(self, event: Event) -> Iterator[InputLine]:
        for thing, outermost in self._opened(event):
            taker = self._takers.get((event.id, outermost)) or event.destination
            if event.owner is not None and event.owner != self._owners.get(thing.epc, event.owner):
                yield from self._offer(event, thing)
            if taker is None or taker == event.actor:
                self._doubt("taker-missing", event, f"nobody is named who receives {thing.epc}")
                continue
            inside = {"packed_in": self._packed_in[thing.epc]} if thing.epc in self._packed_in else {}
            yield _input(event, "handover", thing, ID=event.id, to=taker, **inside)
            self._shipped[thing.epc] = event.id

    def _offer(self, event: Event, thing: Thing) -> Iterator[InputLine]:
        owner, new = self._owners[thing.epc], event.owner
        if event.actor != owner:
            message = f"{thing.epc}: {event.actor} says that {new} owns what {owner} owns"
            self._doubt("owner-unsaid", event, message)
            return
        assert new is not None, "only an owner who is named is another one"
        self._offers[thing.epc] = event.id, new
        yield _input(event, "title-offer", Thing(epc=thing.epc), ID=event.id, to=new)

    def _receive(self, event: Event) -> Iterator[InputLine]:
        for thing, _ in self._opened(event):
            name = self._shipped.pop(thing.epc, event.id)
            yield _input(event, "handover-confirmation", thing, ID=name)
            owner = self._owners.get(thing.epc)
            if event.owner == event.actor and event.owner is not None and event.owner != owner:
                yield self._accept(event, thing, event.owner)

    def _accept(self, event: Event, thing: Thing, owner: str) -> InputLine:
        name, to = self._offers.pop(thing.epc, (event.id, owner))
        if to == owner:
            self._owners[thing.epc] = owner
        return _input(event, "title-acceptance", Thing(epc=thing.epc), ID=name)

    def _trade(self, event: Event) -> Iterator[InputLine]:
        """A sale told by who sells is an offer, told by who buys an acceptance; of other trades nothing is said."""
        for thing, _ in self._opened(event):
            if event.source == event.actor and event.destination not in (None, event.actor):
                self._offers[thing.epc] = event.id, str(event.destination)
                yield _input(event, "title-offer", Thing(epc=thing.epc), ID=event.id, to=event.destination)
            elif event.destination == event.actor and event.actor is not None:
                yield self._accept(event, thing, event.actor)
            else:
                self.left_out[event.step] += 1

    def _doubt(self, code: str, event: Event, message: str) -> None:
        self._doubts.append(Doubt(code=code, place=event.id, message=message))


def _input(event: Event, kind: str, thing: Thing, **told: Any) -> InputLine:
    body: dict[str, Any] = {"epc": thing.epc, "eventTime": event.told_time, "event": event.id, "bizStep": event.step}
    if thing.quantity is not None:
        body["quantity"] = thing.quantity
    return {"role": "", "author": event.actor, "type": kind, "time": event.time, "body": body | told}


def _one() -> dict[str, Any]:
    return {"value": 1, "unitCode": EACH}


def _takers(events: list[Event]) -> dict[tuple[str, str], str]:
    """(ID of a shipping event, epc) -> who tells first, after it, of having received the same."""
    found: dict[tuple[str, str], str] = {}
    waiting: dict[str, str] = {}
    for event in events:
        for thing in event.things if event.type == "ObjectEvent" else ():
            if event.step in SHIPPING:
                waiting[thing.epc] = event.id
            elif event.step in RECEIVING and event.actor is not None and thing.epc in waiting:
                found[waiting.pop(thing.epc), thing.epc] = event.actor
    return found
