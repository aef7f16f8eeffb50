"""What a consignment of fish is made of: firms, places, lots, cases; and the parts of the events that tell of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

Event: TypeAlias = dict[str, Any]

OPENING: Final = datetime(2026, 3, 2, 2, 40, tzinfo=UTC)
"""When the first boat of a scenario puts to sea."""
FISHERY, PROCESSOR, CARRIER, RETAILER = "fishery", "processor", "carrier", "retailer"
# Company prefixes under 952, which GS1 keeps for examples: no firm can have them.
PREFIXES: Final = {FISHERY: "9521101", PROCESSOR: "9521102", CARRIER: "9521103", RETAILER: "9521104"}

_OFFSET: Final = "+01:00"
_ZONE: Final = timedelta(hours=1)
_CASE_TENTHS: Final = 200  # a case takes 20 kg
PALLET_CASES: Final = 6


class Species(NamedTuple):
    """A kind of fish: its FAO code and names, the last digits of its items, and euros per kilogram landed."""

    code: str
    name: str
    scientific: str
    item: str
    price: Decimal


SPECIES: Final = (
    Species("COD", "Atlantic cod", "Gadus morhua", "01001", Decimal("4.80")),
    Species("HAD", "Haddock", "Melanogrammus aeglefinus", "01002", Decimal("3.65")),
    Species("POK", "Saithe", "Pollachius virens", "01003", Decimal("1.95")),
    Species("REB", "Beaked redfish", "Sebastes mentella", "01004", Decimal("2.70")),
)
VESSELS: Final = ("Havbris", "Sjøstjerna", "Nordlys II", "Måken")
AREAS: Final = ("27.2.a", "27.1.b", "27.5.b")
SHOPS: Final = {"00011": "Market hall", "00012": "Harbour street"}
PLACES: Final = {
    FISHERY: {"00001": "Fishing grounds", "00002": "Landing pier 3", "00003": "Ice store"},
    PROCESSOR: {"00001": "Goods in", "00002": "Filleting line", "00003": "Packing", "00004": "Dispatch ramp"},
    CARRIER: {"00001": "Depot", "00002": "Truck 12", "00003": "Truck 17"},
    RETAILER: {"00001": "Distribution centre", "00002": "Cold store", **SHOPS},
}


def place(firm: str, reference: str) -> str:
    return f"urn:epc:id:sgln:{PREFIXES[firm]}.{reference}.0"


def party(firm: str) -> str:
    return f"urn:epc:id:pgln:{PREFIXES[firm]}.00000"


def fish_class(firm: str, indicator: int, species: Species) -> str:
    """The trade item, without a lot: indicator 0 is whole fish, 1 fillets, 2 what is left of the fish."""
    return f"{PREFIXES[firm]}.{indicator}{species.item}"


def gln(firm: str, reference: str) -> str:
    """A Global Location Number: twelve digits and their check digit (GS1 General Specifications, 7.9)."""
    digits = PREFIXES[firm] + reference
    weighted = sum(int(digit) * (3 if i % 2 else 1) for i, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


def from_tenths(count: int) -> Decimal:
    """A number with one digit after the point, also where that is 0."""
    return Decimal(count).scaleb(-1)


class Telling(NamedTuple):
    """One event: when it happened, and the firm that tells of it."""

    moment: datetime
    firm: str
    event: Event


@dataclass(kw_only=True)
class Lot:
    """Fish of one kind and catch on its way; amounts in tenths of a kilogram, so that they add up exactly."""

    species: Species
    whole: str
    fillets: str
    rest: str
    tenths: int
    fillet_tenths: int
    cases: dict[str, int]


class Consignment:
    """What is told of one consignment, growing event by event; `tell` is the only way in."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.number = number
        self.rng = rng
        self.moment = OPENING + number * timedelta(hours=13, minutes=35)
        self.told: list[Telling] = []
        self.order = f"urn:epcglobal:cbv:bt:{gln(RETAILER, '00001')}:PO-2026-{number + 301:04d}"
        self.despatch = f"urn:epcglobal:cbv:bt:{gln(PROCESSOR, '00004')}:DA-{number + 71:05d}"
        truck = rng.choice(("00002", "00003"))
        self.truck = f"urn:epc:id:giai:{PREFIXES[CARRIER]}.{truck}"
        self.truck_place = place(CARRIER, truck)
        self.logger = f"urn:epc:id:giai:{PREFIXES[CARRIER]}.LOGGER-{rng.randint(10, 99)}"
        self.lots = [self._lot(i, species) for i, species in enumerate(rng.sample(SPECIES, 2))]
        self.pallets: dict[str, list[str]] = {}
        self.on_the_road = self.moment

    def tell(self, firm: str, kind: str, where: str, **members: Any) -> None:
        """Add an event, some minutes after the last one. `__` in a name stands for a colon; None is left out."""
        self.moment += timedelta(minutes=self.rng.randint(9, 40), seconds=self.rng.randint(0, 59))
        event = {"type": kind, **identity(self.rng, self.moment), "readPoint": {"id": where}}
        event |= {name.replace("__", ":"): member for name, member in members.items() if member is not None}
        self.told.append(Telling(self.moment, firm, event))

    def _lot(self, i: int, species: Species) -> Lot:
        tenths = self.rng.randint(1200, 2000)
        fillet_tenths = tenths * self.rng.randint(44, 52) // 100
        name = f"{species.code}26{self.number:03d}{i}"
        lot = Lot(
            species=species,
            whole=f"urn:epc:class:lgtin:{fish_class(FISHERY, 0, species)}.{name}",
            fillets=f"urn:epc:class:lgtin:{fish_class(PROCESSOR, 1, species)}.F{name}",
            rest=f"urn:epc:class:lgtin:{fish_class(PROCESSOR, 2, species)}.R{name}",
            tenths=tenths,
            fillet_tenths=fillet_tenths,
            cases={},
        )
        for k in range(-(-fillet_tenths // _CASE_TENTHS)):
            case = f"urn:epc:id:sgtin:{fish_class(PROCESSOR, 3, species)}.{self.number:04d}{i}{k:02d}"
            lot.cases[case] = min(_CASE_TENTHS, fillet_tenths - k * _CASE_TENTHS)
        return lot


def reading(consignment: Consignment, *, firm: str, where: str, moment: datetime) -> Telling:
    """What a thermometer on the way or in a store says: an event about a place, not about goods."""
    celsius = from_tenths(consignment.rng.randint(-4, 38))
    event = {
        "type": "ObjectEvent",
        **identity(consignment.rng, moment),
        "action": "OBSERVE",
        "bizStep": "sensor_reporting",
        "readPoint": {"id": where},
        "sensorElementList": [sensor(consignment.logger if firm == CARRIER else None, moment, celsius)],
        "ext:temperature": celsius,
    }
    return Telling(moment, firm, event)


# --- parts of events -----------------------------------------------------------------------------------


def identity(rng: random.Random, moment: datetime) -> Event:
    local = (moment + _ZONE).replace(tzinfo=None).isoformat(timespec="milliseconds")
    bits = f"{rng.getrandbits(128):032x}"
    uuid = f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"
    return {"eventID": f"urn:uuid:{uuid}", "eventTime": local + _OFFSET, "eventTimeZoneOffset": _OFFSET}


def quantity(lot: str, tenths: int) -> Mapping[str, object]:
    return {"epcClass": lot, "quantity": from_tenths(tenths), "uom": "KGM"}


def from_to(giver: str, taker: str) -> dict[str, Any]:
    kinds = ("possessing_party", "owning_party")
    return {
        "sourceList": [{"type": kind, "source": party(giver)} for kind in kinds],
        "destinationList": [{"type": kind, "destination": party(taker)} for kind in kinds],
    }


def papers(story: Consignment) -> list[dict[str, str]]:
    return [
        {"type": "po", "bizTransaction": story.order},
        {"type": "desadv", "bizTransaction": story.despatch},
    ]


def sensor(logger: str | None, moment: datetime, celsius: Decimal) -> Event:
    time = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    report = {"type": "Temperature", "value": celsius, "uom": "CEL"}
    return {
        "sensorMetadata": {"time": time} | ({"deviceID": logger} if logger else {}),
        "sensorReport": [report],
    }


def varied(rng: random.Random, price: Decimal) -> Decimal:
    """A price some percent up or down, in cents."""
    return (price * rng.randint(92, 108) / 100).quantize(Decimal("0.01"))
