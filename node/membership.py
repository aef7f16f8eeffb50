"""Who is in the network and which keys count: the verified network file, in memory.

An immutable snapshot; the node replaces it whole when a charter or card arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ledger import limits
from ledger.card import Card, decode_card
from ledger.errors import TooLarge, UnknownKey
from ledger.keys import VerifyKey
from ledger.names import MemberName, NetworkId, Origin
from ledger.network import Network, NetworkFile, verify_network_file
from ledger.note import Note, decode_note, encode_note
from node.storage import facts
from node.storage.store import Tx


@dataclass(frozen=True)
class Membership:
    """A verified network and the notes that prove it."""

    network: Network
    file: NetworkFile

    @cached_property
    def network_id(self) -> NetworkId:
        return self.network.id

    @property
    def names(self) -> tuple[MemberName, ...]:
        return self.network.charter.names

    def card(self, member: str) -> Card:
        """Raises: Missing."""
        return self.network.card(member)

    def origin(self, member: str) -> Origin:
        return self.card(member).origin

    @cached_property
    def origins(self) -> Mapping[bytes, Origin]:
        """Every log of every member in force, by the hash of its origin."""
        return {self.origin(member).hash: self.origin(member) for member in self.names}

    def transport_key(self, member: str, key_id: str) -> VerifyKey:
        """Only keys of the newest card of a member in force sign calls. Raises: Missing, UnknownKey."""
        if member in self.names:
            for key in self.card(member).transport_keys:
                if key.id == key_id:
                    return key
        raise UnknownKey(name=member, key_id=key_id, use="transport")

    def past_transport_key(self, member: str, key_hash: bytes) -> VerifyKey:
        """A key of any of the member's cards: channel messages outlive the key that signed them."""
        for card in self.network.cards.get(MemberName(member), ()):
            for key in card.transport_keys:
                if key.hash == key_hash:
                    return key
        raise UnknownKey(name=member, key_id=key_hash.hex(), use="transport")

    @cached_property
    def witness_keys(self) -> Mapping[MemberName, tuple[VerifyKey, ...]]:
        """Every witness key that a member's cards ever named; a cosignature stays true."""
        return {
            member: tuple(dict.fromkeys(key for card in chain for key in card.witness_keys))
            for member, chain in self.network.cards.items()
        }

    def _stripped(self, note: bytes) -> bytes:
        """The note of a card with the lines of root keys alone: whoever passes it on could add as many as it likes."""
        opened = decode_note(note)
        member = decode_card(opened.text).member
        roots = [
            key
            for charter in self.network.charters
            for listed in charter.members
            if listed.name == member
            for key in listed.keys
        ]
        kept = tuple(line for line in opened.signatures if any(line.is_of(key) for key in roots))
        return encode_note(Note(opened.text, kept))

    def with_cards(self, notes: tuple[bytes, ...]) -> Membership:
        """The membership after newer cards, all verified again. Raises: what verification raises."""
        known = {decode_note(note).text for note in self.file.cards}
        fresh = [self._stripped(note) for note in notes if decode_note(note).text not in known]
        if not fresh:
            return self
        total = sum(map(len, (*self.file.charters, *self.file.cards, *fresh)))
        if total > limits.NETWORK_FILE_BYTES_MAX // 2:
            # Every receipt carries these documents: one member must not make them all too large to be read.
            raise TooLarge(what="network file", got=total, limit=limits.NETWORK_FILE_BYTES_MAX // 2, unit="bytes")
        cards = sorted((*self.file.cards, *fresh), key=_member_and_version)
        return make_membership(NetworkFile(charters=self.file.charters, cards=tuple(cards)))


def make_membership(file: NetworkFile) -> Membership:
    """Verify a network file. Raises: what `verify_network_file` raises."""
    return Membership(verify_network_file(file), file)


def load_membership(tx: Tx) -> Membership | None:
    """The membership that the store holds; None before a charter was adopted."""
    charters = tuple(note for _, _, note in facts.list_documents(tx, "charter"))
    if not charters:
        return None
    cards = tuple(note for _, _, note in facts.list_documents(tx, "card"))
    return make_membership(NetworkFile(charters=charters, cards=cards))


def save_membership(tx: Tx, membership: Membership) -> None:
    for version, note in enumerate(membership.file.charters, 1):
        facts.insert_document(tx, kind="charter", owner="", version=version, note=note)
    for note in membership.file.cards:
        member, version = _member_and_version(note)
        facts.insert_document(tx, kind="card", owner=member, version=version, note=note)


def _member_and_version(note: bytes) -> tuple[str, int]:
    card = decode_card(decode_note(note).text)
    return card.member, card.version
