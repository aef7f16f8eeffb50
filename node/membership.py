"""Who is in the network and which keys count: the verified network file, in memory.

An immutable snapshot; the node replaces it whole when a charter or card arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ledger import limits
from ledger.card import Card, decode_card
from ledger.charter import Charter, NetworkLimits, decode_charter
from ledger.errors import MissingSignature, TooLarge, UnknownKey
from ledger.evidence import Evidence, EvidenceKind, Finding, make_contradiction, verify_evidence
from ledger.keys import VerifyKey
from ledger.names import MemberName, NetworkId, Origin, sha256
from ledger.network import Network, NetworkFile, verify_network_file
from ledger.note import Note, decode_note, encode_note, verified_signers
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

    @property
    def limits(self) -> NetworkLimits:
        """What one record of this member may be."""
        return self.network.charter.limits

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

    def with_cards(self, notes: Iterable[bytes]) -> Membership:
        """The membership after newer cards, all verified again; another card of a version held changes nothing.

        Raises: what verification raises.
        """
        known = {_member_and_version(note) for note in self.file.cards}
        fresh = [n for n in _undisputed(self.file.cards, notes) if _member_and_version(n) not in known]
        if not fresh:
            return self
        fresh = [_own_lines(note, self.network.charters) for note in fresh]
        total = sum(map(len, (*self.file.charters, *self.file.cards, *fresh)))
        if total > limits.NETWORK_FILE_BYTES_MAX // 2:
            # Every receipt carries these documents: one member must not make them all too large to be read.
            raise TooLarge(what="network file", got=total, limit=limits.NETWORK_FILE_BYTES_MAX // 2, unit="bytes")
        cards = sorted((*self.file.cards, *fresh), key=_member_and_version)
        return make_membership(NetworkFile(charters=self.file.charters, cards=tuple(cards)))

    def renewed(self, newer: Membership) -> Membership:
        """The membership after a file of as many charters or more: its cards, and ours that it lacks or contradicts.

        Raises: what verification raises.
        """
        cards = {_member_and_version(note): note for note in self.file.cards}
        # Where the texts agree the file's note counts: a member that changed its root keys signs its card again.
        cards |= {_member_and_version(note): note for note in _undisputed(self.file.cards, newer.file.cards)}
        notes = tuple(cards[place] for place in sorted(cards))
        return make_membership(NetworkFile(charters=newer.file.charters, cards=notes))


Contradiction = tuple[Evidence, Finding]
"""Two documents of one version, and whom that convicts."""


def contradictions(held: Membership, file: NetworkFile) -> list[Contradiction]:
    """Evidence from every card of `file` that is another than the one held, and from where its charters part from ours.

    file: its charters, if there are any, are a verified chain; those of another network say nothing here.
    Raises: what verification raises: a card that its member did not sign is the fault of whoever gave it.
    """
    pairs = [(EvidenceKind.CHARTERS, *pair) for pair in zip(held.file.charters, file.charters, strict=False)]
    if pairs and _text(pairs[0][1]) != _text(pairs[0][2]):
        return []
    parted = [pair for pair in pairs if _text(pair[1]) != _text(pair[2])]
    known = {_member_and_version(note): note for note in held.file.cards}
    cards = [(EvidenceKind.CARDS, known.get(_member_and_version(note), note), note) for note in file.cards]
    differing = [pair for pair in cards if _text(pair[1]) != _text(pair[2])]
    return [_contradiction(kind, ours, theirs, held.network) for kind, ours, theirs in (*parted[:1], *differing)]


def take_file(file: NetworkFile) -> Membership:
    """The membership of a file that somebody handed in, without signature lines of strangers, which could be many.

    Raises: what `make_membership` raises; BadSignature for a line of a root key that does not verify.
    """
    charters = [decode_charter(_text(note)) for note in file.charters]
    notes = []
    for i, note in enumerate(file.charters):
        listed = [member for charter in charters[max(i - 1, 0) : i + 1] for member in charter.members]
        notes.append(_lines_of([key for member in listed for key in member.keys], note))
    cards = tuple(_own_lines(note, charters) for note in file.cards)
    return make_membership(NetworkFile(charters=tuple(notes), cards=cards))


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


def _contradiction(kind: EvidenceKind, ours: bytes, theirs: bytes, network: Network) -> Contradiction:
    evidence = make_contradiction(kind, ours, theirs, network=network)
    return evidence, verify_evidence(evidence, network)


def _undisputed(held: Iterable[bytes], notes: Iterable[bytes]) -> list[bytes]:
    """Those of `notes` that go with the cards held: of a member that made two of a version, only what follows ours."""
    texts = {_member_and_version(note): _text(note) for note in held}
    given = {_member_and_version(note): note for note in notes}
    disputed = {place[0] for place, note in given.items() if texts.get(place, _text(note)) != _text(note)}
    found = []
    for place in sorted(given):
        member, version = place
        text = _text(given[place])
        before = texts.get((member, version - 1))
        follows = before is not None and decode_card(text).prev == sha256(before.encode())
        if member not in disputed or texts.get(place) == text or (place not in texts and follows):
            texts[place] = text
            found.append(given[place])
    return found


def _own_lines(note: bytes, charters: Iterable[Charter]) -> bytes:
    """The note of a card with the lines of its member's root keys alone. Raises: as `_lines_of`."""
    member = decode_card(_text(note)).member
    roots = [key for charter in charters if member in charter.names for key in charter.member(member).keys]
    return _lines_of(roots, note)


def _lines_of(roots: Sequence[VerifyKey], note: bytes) -> bytes:
    """Raises: MissingSignature if none is left; BadSignature, as one that passes for a root key's could be endless."""
    opened = decode_note(note)
    signers = verified_signers(opened, roots)
    if not signers:
        raise MissingSignature(what="charter or card", needed=1, who="its root keys", got=0)
    return encode_note(Note(opened.text, tuple(line for line in opened.signatures if any(map(line.is_of, signers)))))


def _text(note: bytes) -> str:
    return decode_note(note).text


def _member_and_version(note: bytes) -> tuple[str, int]:
    card = decode_card(decode_note(note).text)
    return card.member, card.version
