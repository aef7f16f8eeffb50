"""Copying another member's id, manifest or section into one's own log proves nothing.

Seeds, salts, leaves and wraps are bound to network, log, record and section. So what was copied
opens for nobody under another name, and no field of it can be disclosed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import pytest

from ledger.errors import ProofInvalid, SealBroken
from ledger.manifest import Manifest, Section, decode_manifest, encode_manifest
from ledger.merkle import prove_inclusion
from ledger.names import Digest, MemberName, NetworkId, Origin, RecordId, sha256
from ledger.network import Network, verify_network_file
from ledger.proof import TlogProof
from ledger.receipt import Receipt, make_disclosures, verify_receipt
from ledger.record import Draft, Sealed, Sealer, Statement, open_record
from ledger.sealing import (
    Channel,
    Contexts,
    FieldText,
    Wrap,
    Wrapper,
    open_channel,
    receive_channel,
    seal_section,
)
from ledger.sealing import decode_channel_message as decode_message
from ledger.sidecar import Bodies, Sidecar, encode_bodies
from ledger.tiles import decode_tile_path
from node.node import Node
from node.services import records
from node.storage import sidecars
from node.sync.bodies import fetch_from_author
from node.sync.client import PeerClient
from node.sync.rounds import run_round
from tests.make import Log, network, record_id
from tests.make_membership import FOUR, Firm, firm, firms, network_file
from tests.nodes import Founders, found

ID: Final = record_id("copied")
FIELDS: Final = [("/price", b"12.50", frozenset({"buyer"})), ("/port", b'"Bergen"', frozenset({"buyer"}))]
STATEMENT: Final = Statement(type="sale", contract=None, role=None, readers={"buyer": (MemberName("retailer"),)})


@dataclass(frozen=True)
class Record:
    """A record that its author sealed, and the log entry that names it."""

    log: Log
    index: int
    sealed: Sealed
    seeds: dict[int, bytes]
    fields: dict[int, list[FieldText]]
    channels: dict[str, Channel]

    @property
    def manifest(self) -> Manifest:
        return decode_manifest(self.sealed.manifest)


def seal(author: Firm, *, net: Network, record_id: RecordId = ID) -> Record:
    """The fishery's record for the retailer, in a log of its own."""
    origin = Origin(net.charter.network, author.name)
    channels = {name: _channel(net, author, name) for name in ("fishery", "retailer")}
    wrappers = {MemberName(name): Wrapper(channel, origin) for name, channel in channels.items()}
    sealer = Sealer(net.id, origin, author=author.name, wrappers=wrappers)
    sealed = sealer.seal([Draft(STATEMENT, b'"test"', FIELDS)], [record_id])[0]
    log = Log(author).add(2).add_entry(id=record_id, body=Digest(sealed.manifest_hash)).add(2)
    opened = _open(sealed, net, origin, record_id, channels["fishery"])
    seeds, fields = dict(opened.seeds), {number: list(found) for number, found in opened.sections.items()}
    return Record(log, 2, sealed, seeds, fields, channels)


def _channel(net: Network, author: Firm, reader: str) -> Channel:
    card = net.card(reader)
    channel, _ = open_channel(
        net.id,
        wrapper=author.name,
        reader=MemberName(reader),
        sealing_key=card.sealing_key,
        signer=author.transport_key(),
    )
    return channel


def _open(sealed: Sealed, net: Network, origin: Origin, record_id: bytes, channel: Channel) -> Any:
    wrap = next(wrap for wrap in sealed.wraps if wrap.channel == channel.id)
    return open_record(
        wrap,
        dict(enumerate(sealed.sections)),
        wrapper=Wrapper(channel, origin),
        contexts=Contexts(net.id, origin),
        record_id=record_id,
        manifest=decode_manifest(sealed.manifest),
        manifest_hash=sealed.manifest_hash,
    )


@cache
def original() -> Record:
    return seal(firm("fishery"), net=network())


def receipt(
    log: Log, index: int, record: Record, names: Sequence[str], *, source: tuple[NetworkId, Origin, bytes, int]
) -> Receipt:
    """A receipt for entry `index` of `log`, with fields of `record` disclosed as those of `source`.

    source: network, log, record id and section for which salts and paths are made.
    """
    net_id, origin, rid, section = source
    context = Contexts(net_id, origin).of(rid, section)
    number = 1
    path = prove_inclusion(index, log.size, log.read)
    return Receipt(
        proof=TlogProof(index=index, path=tuple(path), note=log.note(), extra=log.entries[index]),
        manifest=record.sealed.manifest,
        disclosures=tuple(
            replace(item, section=section)
            for item in make_disclosures(
                record.fields[number], names, section=number, seed=record.seeds[number], context=context
            )
        ),
        network=network_file(firms(*FOUR)),
    )


def _source(record: Record, net: Network | None = None) -> tuple[NetworkId, Origin, bytes, int]:
    return (net or network()).id, record.log.origin, ID, 1


def test_the_authors_own_receipt_proves_its_fields() -> None:
    record = original()
    whole = receipt(record.log, record.index, record, ["/price", "/port"], source=_source(record))
    proved = verify_receipt(whole, trust=network().id, witnesses=0)
    assert (proved.author, [item.name for item in proved.disclosures]) == ("fishery", ["/price", "/port"])


@pytest.mark.parametrize("whose", ["of the author", "of the copier"])
def test_copied_id_and_manifest_disclose_nothing_in_another_log(whose: str) -> None:
    """The carrier writes an entry with the fishery's id and manifest hash, whichever way it makes the disclosures."""
    record = original()
    log = Log(firm("carrier")).add(1).add_entry(id=ID, body=Digest(record.sealed.manifest_hash)).add(3)
    bare = verify_receipt(receipt(log, 1, record, [], source=_source(record)), trust=network().id, witnesses=0)
    assert (bare.author, bare.disclosures) == ("carrier", ())  # that it wrote an entry, and no word of what is in it
    origin = record.log.origin if whose == "of the author" else log.origin
    forged = receipt(log, 1, record, ["/price"], source=(network().id, origin, ID, 1))
    with pytest.raises(ProofInvalid):
        verify_receipt(forged, trust=network().id, witnesses=0)


def test_copied_manifest_discloses_nothing_under_another_id() -> None:
    record = original()
    other = record_id("another")
    log = Log(firm("fishery")).add(1).add_entry(id=other, body=Digest(record.sealed.manifest_hash)).add(1)
    for source in (_source(record), (network().id, log.origin, other, 1)):
        with pytest.raises(ProofInvalid):
            verify_receipt(receipt(log, 1, record, ["/price"], source=source), trust=network().id, witnesses=0)


def test_field_of_one_section_is_not_one_of_another() -> None:
    record = original()
    for section in (0, 2):
        moved = receipt(
            record.log, record.index, record, ["/price"], source=(network().id, record.log.origin, ID, section)
        )
        with pytest.raises(ProofInvalid):
            verify_receipt(moved, trust=network().id, witnesses=0)


def test_field_of_another_network_of_the_same_names_proves_nothing() -> None:
    """The same firms and keys in another network: nothing moves over, though every name is equal."""
    here = original()
    there = verify_network_file(network_file(firms(*FOUR, "zoo")))
    assert there.id != network().id
    foreign = seal(firm("fishery"), net=there)
    log = Log(firm("fishery")).add(1).add_entry(id=ID, body=Digest(foreign.sealed.manifest_hash)).add(1)
    for source in (_source(here, there), _source(here)):
        with pytest.raises(ProofInvalid):
            verify_receipt(receipt(log, 1, foreign, ["/price"], source=source), trust=network().id, witnesses=0)


def test_two_values_of_one_field_are_proved_by_two_receipts() -> None:
    """An author that seals a price of its own to each reader has committed to both, in one record."""
    author, net = firm("fishery"), network()
    readers = {name: (MemberName(member),) for name, member in (("buyer", "retailer"), ("bank", "carrier"))}
    statement = Statement(type="sale", contract=None, role=None, readers=readers)
    sealed, opened = _seal_two_prices(author, net, statement)
    log = Log(author).add_entry(id=ID, body=Digest(sealed.manifest_hash))
    contexts = Contexts(net.id, log.origin)
    proved = []
    for number in (1, 2):
        disclosures = make_disclosures(
            opened.sections[number], ["/price"], section=number, seed=opened.seeds[number],
            context=contexts.of(ID, number),
        )  # fmt: skip
        proof = TlogProof(index=0, path=(), note=log.note(), extra=log.entries[0])
        whole = Receipt(
            proof=proof, manifest=sealed.manifest, disclosures=tuple(disclosures), network=network_file(firms(*FOUR))
        )
        proved.append(verify_receipt(whole, trust=net.id, witnesses=0))
    assert proved[0].leaf == proved[1].leaf
    assert [item.name for one in proved for item in one.disclosures] == ["/price", "/price"]
    assert {item.value for one in proved for item in one.disclosures} == {b"1", b"2"}


def _seal_two_prices(author: Firm, net: Network, statement: Statement) -> tuple[Sealed, Any]:
    """What an honest sealer refuses, put together of two names of equal length in the two sections."""
    origin = Origin(net.charter.network, author.name)
    names = ("fishery", "retailer", "carrier")
    channels = {name: _channel(net, author, name) for name in names}
    wrappers = {MemberName(name): Wrapper(channel, origin) for name, channel in channels.items()}
    sealer = Sealer(net.id, origin, author=author.name, wrappers=wrappers)
    fields = [("/price", b"1", frozenset({"bank"})), ("/prixx", b"2", frozenset({"buyer"}))]
    honest = sealer.seal([Draft(statement, b'"test"', fields)], [ID])[0]
    opened = _open(honest, net, origin, ID, channels["fishery"])
    sections = {number: list(found) for number, found in opened.sections.items()}
    sections[2] = [("/price", text) for _, text in sections[2]]
    contexts = Contexts(net.id, origin)
    resealed = [
        seal_section(sections[number], seed=opened.seeds[number], context=contexts.of(ID, number))
        for number in sorted(sections)
    ]
    manifest = encode_manifest(Manifest(tuple(Section(len(text), root, sha256(text)) for text, root in resealed)))
    sealed = honest._replace(manifest=manifest, manifest_hash=sha256(manifest), sections=[text for text, _ in resealed])
    return sealed, replace(opened, sections=sections)


def test_copied_section_opens_for_nobody_under_another_log_or_id() -> None:
    """The copier knows the seeds, as it was a reader, and wraps them anew for its victim: they open nothing there."""
    record, net = original(), network()
    carrier = firm("carrier")
    for origin, rid in ((Log(carrier).origin, ID), (record.log.origin, record_id("another"))):
        channel = _channel(net, carrier, "retailer")
        wrapper = Wrapper(channel, origin)
        seeds = b"".join(record.seeds[number] for number in (0, 1))
        wrap = wrapper.wrap(seeds, rid, record.sealed.manifest_hash, bytes([0, 1]))
        with pytest.raises(SealBroken):
            open_record(
                wrap,
                dict(enumerate(record.sealed.sections)),
                wrapper=wrapper,
                contexts=Contexts(net.id, origin),
                record_id=rid,
                manifest=record.manifest,
                manifest_hash=record.sealed.manifest_hash,
            )


def test_wrap_of_one_record_is_not_one_of_another() -> None:
    record = original()
    channel = record.channels["retailer"]
    wrap = next(wrap for wrap in record.sealed.wraps if wrap.channel == channel.id)
    true = {"record_id": ID, "manifest_hash": record.sealed.manifest_hash, "sections": wrap.sections}

    def unwrap(origin: Origin = record.log.origin, **changed: bytes) -> bytes:
        return Wrapper(channel, origin).unwrap(wrap.sealed, **{**true, **changed})

    assert unwrap() == record.seeds[0] + record.seeds[1]
    with pytest.raises(SealBroken):
        unwrap(Log(firm("carrier")).origin)
    for changed in ({"record_id": record_id("another")}, {"manifest_hash": sha256(b"x")}, {"sections": bytes([0, 2])}):
        with pytest.raises(SealBroken):
            unwrap(**changed)


# --- at a node ----------------------------------------------------------------------------


@dataclass
class Copier:
    """The carrier's node, as far as a client asks it: it serves a log with another's record in it, and its body."""

    log: Log
    bodies_of: dict[int, Sidecar]
    messages: list[bytes]
    peer: str = "carrier"

    async def checkpoint(self, log: str) -> bytes:
        return self.log.note()

    async def bundle(self, log: str, path: str, bytes_max: int) -> bytes:
        return self.log.tile(decode_tile_path(path))

    async def bodies(self, log: str, bundle: int, start: int, _bytes_max: int = 0) -> bytes:
        found = {index: sidecar for index, sidecar in self.bodies_of.items() if index >= start}
        return self.log.size.to_bytes(8, "big") + encode_bodies(Bodies(messages=self.messages, sidecars=found))


@pytest.fixture
def founders() -> Founders:
    return found("carrier", "fishery", "retailer")


@pytest.fixture
def retailer(founders: Founders, tmp_path: Path) -> Iterator[Node]:
    node = founders.join(tmp_path, "retailer")
    yield node
    node.close()


def test_node_keeps_a_copied_record_as_a_gap_and_says_whose_id_it_is(founders: Founders, retailer: Node) -> None:
    """The carrier copies a record of the retailer: id, manifest and sections, with a wrap of its own making."""
    membership = retailer.membership
    carrier = membership.origin("carrier")
    channel, message = open_channel(
        membership.network_id,
        wrapper=MemberName("carrier"),
        reader=MemberName("retailer"),
        sealing_key=membership.card("retailer").sealing_key,
        signer=founders.rings["carrier"].transport,
    )
    done = retailer.append_one(_draft())
    with retailer.store.read() as tx:
        own = retailer.find_log(tx, "retailer")
        packed = sidecars.read_sidecar(tx, own.number, done.index)
        opened = retailer.joined.reader.read(tx, own, done.index).opened
    assert packed is not None and opened is not None
    manifest_hash = sha256(packed.manifest_bytes)
    seeds = b"".join(opened.seeds.values())
    numbers = bytes(opened.seeds)
    wrap: Wrap = Wrapper(channel, carrier).wrap(seeds, done.id, manifest_hash, numbers)
    sidecar = Sidecar(packed.manifest_bytes, (wrap,), dict(packed.sections))
    log = Log(firm("carrier"), key=founders.rings["carrier"].log)
    log.add(1).add_entry(id=done.id, body=Digest(manifest_hash)).add(1)
    peer = Copier(log=log, bodies_of={1: sidecar}, messages=[message])

    async def sync() -> None:
        await run_round(retailer, cast(PeerClient, peer), carrier, may_cosign=False)
        await fetch_from_author(retailer, cast(PeerClient, peer))

    asyncio.run(sync())
    with retailer.store.read() as tx:
        stored = retailer.find_log(tx, "carrier")
        copied = retailer.joined.reader.read(tx, stored, 1)
        gaps = dict(sidecars.list_gaps(tx, stored.number))
    assert (stored.size, copied.state, copied.opened) == (3, "closed", None)
    assert gaps[1].startswith("seal-broken")
    with pytest.raises(records.IdAmbiguous):
        records.find_record_by_id(retailer, done.id)
    assert receive_channel(decode_message(message), membership.network_id, _opening(founders)).key == channel.key


def _draft() -> Draft:
    statement = Statement(type="sale", contract=None, role=None, readers={"@retailer": (MemberName("retailer"),)})
    return Draft(statement, b'"test"', [("/price", b"1", frozenset({"@retailer"}))])


def _opening(founders: Founders) -> Any:
    """The retailer could open the channel: it is not for want of a key that the record stays closed."""
    return next(iter(founders.rings["retailer"].opening.values()))
