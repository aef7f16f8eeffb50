"""Builders of firms, charters and cards with keys from fixed seeds: the same call gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.card import Card, Epoch, make_card, sign_card
from ledger.charter import Charter, CharterMember, Council, make_charter, root_key_name, sign_charter
from ledger.jsontext import encode_canonical
from ledger.keys import Algorithm, OpeningKey, SigningKey, make_opening_key, make_signing_key
from ledger.names import MemberName, sha256
from ledger.network import MemberFile, NetworkFile

NETWORK: Final = "cold-chain.example"
FOUR: Final = ("carrier", "fishery", "processor", "retailer")

# Points of order 1, 2, 4 and 8 (little-endian y), and a canonical point's other encoding y + p.
SMALL_ORDER: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
NON_CANONICAL: Final = "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"


def seed(label: str) -> bytes:
    return sha256(f"membership test seed: {label}".encode())


def signing_key(name: str, number: int = 1, algorithm: Algorithm = Algorithm.ED25519) -> SigningKey:
    return make_signing_key(name, algorithm, seed=seed(f"{name} {algorithm.name} {number}"))


@dataclass(frozen=True)
class Firm:
    """A member with the private halves of all its keys; `generation` makes the root keys others."""

    name: MemberName
    network: str = NETWORK
    roots: int = 1
    threshold: int = 1
    generation: int = 1

    @property
    def root_keys(self) -> tuple[SigningKey, ...]:
        first = 100 * self.generation
        return tuple(signing_key(root_key_name(self.network, self.name), first + i) for i in range(self.roots))

    @property
    def member(self) -> CharterMember:
        keys = tuple(sorted((key.public for key in self.root_keys), key=str))
        return CharterMember(name=self.name, keys=keys, threshold=self.threshold)

    def log_key(self, number: int = 1, *, epoch: int = 1) -> SigningKey:
        return signing_key(f"{self.network}/{self.name}" + (f"/{epoch}" if epoch > 1 else ""), number)

    def witness_key(self, number: int = 1) -> SigningKey:
        return signing_key(f"{self.network}/{self.name}", number, Algorithm.COSIGNATURE)

    def transport_key(self, number: int = 1) -> SigningKey:
        return signing_key(f"{self.network}/{self.name}/transport", number)

    def sealing_key(self, number: int = 1) -> OpeningKey:
        return make_opening_key(seed=seed(f"{self.network}/{self.name} sealing {number}"))

    def card(
        self,
        *,
        log: int = 1,
        log_from: int = 0,
        epoch: Epoch | None = None,
        endpoints: Sequence[str] = ("https://node.example:8443",),
        previous: Card | None = None,
    ) -> Card:
        return make_card(
            log_key=self.log_key(log, epoch=epoch.number if epoch else 1).public,
            log_from=log_from,
            witness_keys=[self.witness_key().public],
            transport_keys=[self.transport_key().public],
            sealing_key=self.sealing_key().public,
            endpoints=endpoints,
            epoch=epoch,
            previous=previous,
        )

    def signed(self, card: Card) -> bytes:
        return sign_card(card, self.root_keys)


def firm(name: str, **given: Any) -> Firm:
    return Firm(MemberName(name), **given)


def firms(*names: str, **given: Any) -> tuple[Firm, ...]:
    return tuple(firm(name, **given) for name in names or FOUR)


def charter(
    members: Sequence[Firm],
    *,
    council: Sequence[str] | None = None,
    threshold: int | None = None,
    f: int = 0,
    previous: Charter | None = None,
    **given: Any,
) -> Charter:
    """The charter of `members`; by default all are the council and a bare majority decides."""
    names = tuple(MemberName(name) for name in (council or sorted(m.name for m in members)))
    return make_charter(
        network=members[0].network,
        members=[m.member for m in members],
        council=Council(members=names, threshold=threshold or len(names) // 2 + 1),
        f=f,
        previous=previous,
        expelled=given.pop("expelled", previous.expelled if previous else ()),
        **given,
    )


def signed(document: Charter, signers: Sequence[Firm]) -> bytes:
    return sign_charter(document, [key for member in signers for key in member.root_keys])


def founded(*names: str, **given: Any) -> Charter:
    return charter(firms(*names), **given)


def network_file(members: Sequence[Firm]) -> NetworkFile:
    ordered = sorted(members, key=lambda m: m.name)
    return NetworkFile(charters=(signed(charter(members), members),), cards=tuple(m.signed(m.card()) for m in ordered))


def member_file(member: Firm) -> MemberFile:
    return MemberFile(network=charter([member]).network, member=member.member, card=member.signed(member.card()))


def changed(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    """`text` with its JSON changed in place and written canonically again."""
    value = json.loads(text)
    change(value)
    return encode_canonical(value).decode() + "\n"
