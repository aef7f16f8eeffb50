"""Builders of sealed records: channels with keys from fixed seeds, drafts, and what a reader opens of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.manifest import Manifest, decode_manifest
from ledger.names import Digest, MemberName, NetworkId, NetworkName, Origin, RecordId, sha256
from ledger.record import Draft, Opened, Sealed, Sealer, Statement, open_record
from ledger.sealing import Channel, Contexts, Wrap, Wrapper
from tests.make import record_id

NETWORK: Final = NetworkId(sha256(b"charter 1"))
AUTHOR: Final = MemberName("fishery")
ORIGIN: Final = Origin(NetworkName("cold-chain.example"), AUTHOR)
MEMBERS: Final = ("carrier", "fishery", "processor", "retailer")
READERS: Final[Mapping[str, tuple[MemberName, ...]]] = {
    "seller": (AUTHOR,),
    "buyer": (MemberName("processor"), MemberName("retailer")),
    "carrier": (MemberName("carrier"),),
}
FieldGiven = tuple[str, bytes, Sequence[str]]


def channel(wrapper: str, reader: str, *, network: NetworkId = NETWORK, label: str = "") -> Channel:
    key = sha256(f"channel test seed: {wrapper} {reader} {label}".encode())
    return Channel(network=network, wrapper=MemberName(wrapper), reader=MemberName(reader), key=key)


def wrapper(reader: str, *, author: str = AUTHOR, origin: Origin = ORIGIN, network: NetworkId = NETWORK) -> Wrapper:
    return Wrapper(channel(author, reader, network=network), origin)


def statement(**given: Any) -> Statement:
    plain = {"type": "shipment", "contract": Digest(sha256(b"contract")), "role": "seller", "readers": READERS}
    return Statement(**(plain | given))


def draft(*fields: FieldGiven, **given: Any) -> Draft:
    """A draft of a shipment; by default two fields for the buyers, one for the carrier, one for nobody else."""
    chosen = fields or (
        ("/quantity", b"26.0", ["buyer", "seller"]),
        ("/price", b"1e3", ["buyer", "seller"]),
        ("/deliver_to", b'"Pier 7"', ["carrier", "seller"]),
        ("/note", b"null", []),
    )
    cut = [(name, text, frozenset(roles)) for name, text, roles in chosen]
    plain: dict[str, Any] = {"statement": statement(), "by": b'"clerk"'}
    return Draft(**(plain | given), fields=cut)


def sealer(*, origin: Origin = ORIGIN, network: NetworkId = NETWORK, members: Sequence[str] = MEMBERS) -> Sealer:
    author = origin.member
    wrappers = {MemberName(m): wrapper(m, author=author, origin=origin, network=network) for m in members}
    return Sealer(network, origin, author=author, wrappers=wrappers)


@dataclass
class Record:
    """One sealed record and its id; `origin` and `network`: where it was sealed."""

    sealed: Sealed
    id: RecordId
    origin: Origin = ORIGIN
    network: NetworkId = NETWORK
    manifest: Manifest = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = decode_manifest(self.sealed.manifest)

    @property
    def contexts(self) -> Contexts:
        return Contexts(self.network, self.origin)

    def wrap(self, reader: str) -> Wrap:
        channel_id = channel(self.origin.member, reader, network=self.network).id
        return next(wrap for wrap in self.sealed.wraps if wrap.channel == channel_id)

    def seeds(self, reader: str = AUTHOR) -> dict[int, bytes]:
        """Section -> seed, of those that `reader` was given."""
        wrap = self.wrap(reader)
        own = wrapper(reader, author=self.origin.member, origin=self.origin, network=self.network)
        given = own.unwrap(
            wrap.sealed, record_id=self.id, manifest_hash=self.sealed.manifest_hash, sections=wrap.sections
        )
        return {number: given[32 * at : 32 * at + 32] for at, number in enumerate(wrap.sections)}

    def open(self, reader: str = AUTHOR, **given: Any) -> Opened:
        """What `reader` opens; `given` are arguments of `open_record` that a test wants otherwise."""
        wrap = given["wrap"] if "wrap" in given else self.wrap(reader)
        plain: dict[str, Any] = {
            "wrap": wrap,
            "ciphertexts": {n: text for n, text in enumerate(self.sealed.sections) if n in wrap.sections},
            "wrapper": wrapper(reader, author=self.origin.member, origin=self.origin, network=self.network),
            "contexts": self.contexts,
            "record_id": self.id,
            "manifest": self.manifest,
            "manifest_hash": self.sealed.manifest_hash,
        }
        return open_record(**(plain | given))


def record(given: Draft | None = None, *, label: str = "one", by: Sealer | None = None) -> Record:
    own_id = record_id(label)
    used = by or sealer()
    chosen = given or draft()
    used.check(chosen)
    return Record(used.seal([chosen], [own_id])[0], own_id)
