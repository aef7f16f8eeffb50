"""Who sees what of the records that the firms captured, as each firm's own API tells it.

A field is the least part that can be shared by itself (docs/spec/fields.md): a member of
the body, or a part further down that the agreement cuts out of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ledger.fields import Rules, compile_rules, cut
from node.cli.demo.firms import Firm, Network
from node.epcis.capture import DOCUMENT_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A record: whose log, where in it, and of what type."""

    log: str
    index: int
    type: str

    @property
    def is_event(self) -> bool:
        """False for what a document says besides its events: its header and master data."""
        return self.type != DOCUMENT_TYPE

    def __str__(self) -> str:
        return f"{self.log}/{self.index}"


Views = Mapping[Place, Mapping[str, Mapping[str, Any]]]
"""Record -> firm -> the body that the firm's own API returns; empty where it returns none."""


def read_views(network: Network, places: Sequence[Place]) -> Views:
    """Ask every firm's API for every record."""

    def read(firm: Firm) -> list[dict[str, Any]]:
        with firm.client() as client:
            return [client.get_json(f"/records/{place.log}/{place.index}")["body"] or {} for place in places]

    by_firm = network.each(read)
    names = [firm.name for firm in network.firms]
    by_place = zip(*by_firm, strict=True)
    return {place: dict(zip(names, bodies, strict=True)) for place, bodies in zip(places, by_place, strict=True)}


def count_withheld(views: Views, shares: Mapping[str, Mapping[str, Sequence[str]]]) -> int:
    """Fields that the author's own API returns and another firm's does not, over all records and other firms.

    shares: what the agreement shares: type -> pattern -> roles.
    """
    rules = {name: compile_rules({pattern: set(roles) for pattern, roles in shares[name].items()}) for name in shares}
    nothing = compile_rules({})
    return sum(
        len(_fields(bodies[place.log], known).items() - _fields(body, known).items())
        for place, bodies in views.items()
        for known in (rules.get(place.type, nothing),)
        for name, body in bodies.items()
        if name != place.log
    )


def _fields(body: Mapping[str, Any], rules: Rules) -> dict[str, bytes]:
    """Name and text of each field. Texts are compared as well: an object stands in for a parent that is withheld."""
    return {field.name: field.text for field in cut(msgspec.json.encode(body), rules)}
