"""What a peer sends in great number is looked up, not searched for, and ends at the first lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger import limits
from ledger.errors import BadSignature, TooLarge, UnknownKey
from ledger.keys import Algorithm, VerifyKey
from ledger.manifest import Manifest, Section, encode_manifest
from ledger.names import Digest, MemberName, sha256
from ledger.note import Note, Signature, decode_note, encode_note
from ledger.sealing import ChannelMessage, Wrap, decode_channel_message, encode_channel_message, open_channel
from ledger.sidecar import Sidecar
from node.node import Node
from node.storage import logs
from node.sync.cosigning import _keep
from node.sync.sifting import Sieve
from tests import nodes
from tests.test_channels import mirror
from tests.test_charter_in_force import file_record, founders

__all__ = ["founders"]  # a fixture


@pytest.fixture
def pair(founders: nodes.Founders, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """The fishery's node and the retailer's, which holds the fishery's log."""
    both = founders.join(tmp_path, "fishery"), founders.join(tmp_path, "retailer")
    file_record(both[0], "note", '{"a":1}')
    mirror(*both)
    yield both
    for node in both:
        node.close()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[VerifyKey]:
    """The keys whose hash was computed."""
    found: list[VerifyKey] = []
    real = VerifyKey.hash.fget  # type: ignore[attr-defined]  # it is a property

    def note(key: VerifyKey) -> Any:
        found.append(key)
        return real(key)

    monkeypatch.setattr(VerifyKey, "hash", property(note))
    return found


def log_of(node: Node) -> logs.StoredLog:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery")


def test_keys_of_all_cards_are_hashed_once(pair: tuple[Node, Node], hashed: list[VerifyKey]) -> None:
    membership = pair[1].membership
    key = membership.card("fishery").transport_keys[0]
    witness = membership.card("fishery").witness_keys[0]
    line = Signature(witness.name, witness.hash, bytes(72))
    key_hash = key.hash
    for _ in range(2):
        assert membership.past_transport_key("fishery", key_hash) == key
        assert membership.witness_of(line) == ("fishery", witness)
        known, hashed[:] = len(hashed), []
    assert known == 0
    with pytest.raises(UnknownKey):
        membership.past_transport_key("retailer", key_hash)
    assert membership.witness_of(replace(line, name="cold-chain.example/retailer")) is None


def test_messages_behind_a_false_signature_are_not_looked_at(
    pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    fishery, retailer = pair
    channel, raw = open_channel(
        fishery.membership.network_id, wrapper=fishery.member, reader=retailer.member,
        sealing_key=retailer.membership.card("retailer").sealing_key, signer=fishery.keyring.transport,
    )  # fmt: skip
    message = decode_channel_message(raw)
    false = [encode_channel_message(replace(message, signature=i.to_bytes(64, "big"))) for i in range(50)]
    asked: list[ChannelMessage] = []
    real = retailer.joined.channels.check_message

    def check(given: ChannelMessage) -> None:
        asked.append(given)
        real(given)

    monkeypatch.setattr(retailer.joined.channels, "check_message", check)
    manifest = encode_manifest(Manifest((Section(10, Digest(sha256(b"r")), Digest(sha256(b"x"))),)))
    sidecar = Sidecar(manifest, (Wrap(channel.id, b"\0", bytes(48)),), {})
    for messages, looked_at in (([*false, raw], 1), ([raw, *false], 1)):
        asked.clear()
        found = Sieve.make(retailer, log_of(retailer), 0, 1).sift(messages, {0: sidecar})
        assert (len(asked), found.good, len(found.gaps)) == (looked_at, [], 1)


@pytest.mark.slow
def test_cosignatures_are_as_many_as_members_can_be(pair: tuple[Node, Node], hashed: list[VerifyKey]) -> None:
    fishery, retailer = pair
    log = log_of(retailer)
    assert log.checkpoint is not None
    text = decode_note(log.checkpoint).text
    name = retailer.membership.card("carrier").witness_keys[0].name

    def lines(count: int, *more: Signature) -> bytes:
        strange = [Signature(name, i.to_bytes(4, "big"), bytes(72)) for i in range(count)]
        return encode_note(Note(text, (*strange, *more)))[len(text.encode()) + 1 :]

    def keep(raw: bytes) -> bool:
        return _keep(retailer, log.number, text, raw, size=log.checkpoint_size)

    assert not keep(lines(limits.MEMBERS_MAX))
    hashed.clear()
    assert not keep(lines(limits.MEMBERS_MAX))
    assert not hashed
    with pytest.raises(TooLarge):
        keep(lines(limits.MEMBERS_MAX + 1))
    own = fishery.keyring.witness.public
    assert own.algorithm == Algorithm.COSIGNATURE
    with pytest.raises(BadSignature):
        keep(lines(3, Signature(own.name, own.hash, bytes(72))))
    assert MemberName("fishery") in retailer.membership.names
