"""Who is in the network and which keys count: the verified network file, in memory.

An immutable snapshot; the node replaces it whole when a charter or card arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeVar

import structlog

from ledger.card import Card, decode_card, extend_card_chain
from ledger.charter import Charter, NetworkLimits, decode_charter
from ledger.errors import MissingSignature, UnknownKey
from ledger.evidence import Evidence, EvidenceKind, Finding, make_contradiction, verify_evidence
from ledger.keys import VerifyKey
from ledger.names import Digest, MemberName, NetworkId, Origin, sha256
from ledger.network import Network, NetworkFile, verify_network_file
from ledger.note import Note, Signature, decode_note, encode_note, verified_signers
from node.storage import facts
from node.storage.store import Tx

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Membership:
    """A verified network and the notes that prove it.

    network: what is in force. documents: all that the notes prove, cards of later epochs among them; two cards, and
    which of them follows one that is known, are judged by it.
    """

    network: Network
    file: NetworkFile
    documents: Network

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
        """Every log that a card in force has named, by the hash of its origin: a later card retires none."""
        return {card.origin.hash: card.origin for member in self.names for card in self.network.cards[member]}

    @cached_property
    def announced(self) -> Mapping[MemberName, tuple[Digest, Digest]]:
        """Hashes of the card and the charter in force, which a member's log announces. Every commit asks for them."""
        charter = self.network.charter.hash
        return {member: (self.card(member).hash, charter) for member in self.names}

    @cached_property
    def newer(self) -> Mapping[MemberName, str]:
        """Members whose newest card is of a later epoch, and so not in force; why that is, in words."""
        return {
            member: f"newer version: card {card.version} opens epoch {card.epoch.number} of the log, "
            f"which this program does not know; card {self.card(member).version} stays in force"
            for member in self.names
            if (card := self.documents.card(member)).epoch.number > _EPOCH
        }

    def transport_key(self, member: str, key_id: str) -> VerifyKey:
        """Only keys of the newest card of a member in force sign calls. Raises: Missing, UnknownKey."""
        if member in self.names:
            for key in self.card(member).transport_keys:
                if key.id == key_id:
                    return key
        raise UnknownKey(name=member, key_id=key_id, use="transport")

    def past_transport_key(self, member: str, key_hash: bytes) -> VerifyKey:
        """A key of any of the member's cards: channel messages outlive the key that signed them. Raises: UnknownKey."""
        key = self._transport_keys.get((MemberName(member), key_hash))
        if key is None:
            raise UnknownKey(name=member, key_id=key_hash.hex(), use="transport")
        return key

    @cached_property
    def _transport_keys(self) -> Mapping[tuple[MemberName, bytes], VerifyKey]:
        """Of two with one hash the earlier: their member made them so."""
        cards = [(member, card) for member, chain in self.network.cards.items() for card in chain]
        return _first(((member, key.hash), key) for member, card in cards for key in card.transport_keys)

    @cached_property
    def witness_keys(self) -> Mapping[MemberName, tuple[VerifyKey, ...]]:
        """Every witness key that a member's cards ever named; a cosignature stays true."""
        return {
            member: tuple(dict.fromkeys(key for card in chain for key in card.witness_keys))
            for member, chain in self.network.cards.items()
        }

    def witness_of(self, line: Signature) -> tuple[MemberName, VerifyKey] | None:
        """Whose cosignature a line says it is, by any of the witness keys; it is not believed yet."""
        return self._witnesses.get((line.name, line.key_hash))

    @cached_property
    def _witnesses(self) -> Mapping[tuple[str, bytes], tuple[MemberName, VerifyKey]]:
        return _first(((key.name, key.hash), (m, key)) for m, keys in self.witness_keys.items() for key in keys)

    @cached_property
    def notes(self) -> Mapping[Place, bytes]:
        """The notes of all cards by member and version, which is the order that `make_membership` puts them in."""
        chains = self.documents.cards
        places = [(member, version) for member in sorted(chains) for version in range(1, len(chains[member]) + 1)]
        return dict(zip(places, self.file.cards, strict=True))

    def with_cards(self, notes: Iterable[bytes]) -> Membership:
        """The membership after newer cards; another card of a version held changes nothing.

        Only what is new is verified, against what was; and each member has a share of its own, so that nobody's cards
        make another's slow or too many. Raises: what verification raises.
        """
        charters, held = self.documents.charters, self.documents.cards
        fresh: dict[MemberName, list[bytes]] = {}
        for note in _undisputed(self.notes, notes):
            if (place := _member_and_version(note)) not in self.notes:
                fresh.setdefault(place[0], []).append(_own_lines(note, charters))
        if not fresh:
            return self
        chains = {m: extend_card_chain(held.get(m, ()), new, charters=charters) for m, new in fresh.items()}
        added = {(m, version): n for m, new in fresh.items() for version, n in enumerate(new, len(held.get(m, ())) + 1)}
        cards = {**self.notes, **added}
        file = NetworkFile(charters=self.file.charters, cards=tuple(cards[place] for place in sorted(cards)))
        return _in_force(replace(self.documents, cards={**held, **chains}), file)

    def renewed(self, newer: Membership) -> Membership:
        """The membership after a file of as many charters or more: its cards, and ours that it lacks or contradicts.

        Raises: what verification raises.
        """
        # Where the texts agree the file's note counts: a member that changed its root keys signs its card again.
        cards = {**self.notes, **{_member_and_version(n): n for n in _undisputed(self.notes, newer.file.cards)}}
        notes = tuple(cards[place] for place in sorted(cards))
        return make_membership(NetworkFile(charters=newer.file.charters, cards=notes))


_EPOCH: Final = 1
"""Of the one log of a member that this version knows."""
_log = structlog.get_logger("tally.membership")
Place = tuple[MemberName, int]
"""Member and version of a card."""
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
    cards = [(EvidenceKind.CARDS, held.notes.get(_member_and_version(note), note), note) for note in file.cards]
    differing = [pair for pair in cards if _text(pair[1]) != _text(pair[2])]
    return [_contradiction(kind, ours, theirs, held.documents) for kind, ours, theirs in (*parted[:1], *differing)]


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
    """Verify a network file; cards of later epochs are kept, and not put in force: those before stay.

    Else a member could retire the log that others hold of it, and nothing would be compared with that any more.
    Raises: what `verify_network_file` raises.
    """
    documents = verify_network_file(file)
    return _in_force(documents, replace(file, cards=tuple(sorted(file.cards, key=_member_and_version))))


def _in_force(documents: Network, file: NetworkFile) -> Membership:
    # Card 1 is of epoch 1, and epochs only grow: what is left is a chain, and begins with its first card.
    cards = {
        member: tuple(card for card in chain if card.epoch.number <= _EPOCH)
        for member, chain in documents.cards.items()
    }
    return Membership(replace(documents, cards=cards), file, documents)


def tell_newer(membership: Membership) -> Membership:
    """Say in the node's log which cards it does not go by; returns the membership."""
    for member, reason in membership.newer.items():
        _log.warning("card not in force", peer=member, reason=reason)
    return membership


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
    for (member, version), note in membership.notes.items():
        facts.insert_document(tx, kind="card", owner=member, version=version, note=note)


def _contradiction(kind: EvidenceKind, ours: bytes, theirs: bytes, network: Network) -> Contradiction:
    evidence = make_contradiction(kind, ours, theirs, network=network)
    return evidence, verify_evidence(evidence, network)


def _undisputed(held: Mapping[Place, bytes], notes: Iterable[bytes]) -> list[bytes]:
    """Those of `notes` that go with the cards held: of a member that made two of a version, only what follows ours."""
    given = {_member_and_version(note): note for note in notes}
    near = {(member, version - before) for member, version in given for before in (0, 1)}
    texts = {place: _text(held[place]) for place in near if place in held}
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
    """The note of a card with as many lines of its member's root keys as each charter asks for, and no others.

    Raises: as `_lines_of`.
    """
    opened = decode_note(note)
    name = decode_card(opened.text).member
    listed = [charter.member(name) for charter in charters if name in charter.names]
    signers = set(verified_signers(opened, list(dict.fromkeys(key for member in listed for key in member.keys))))
    enough = [[key for key in member.keys if key in signers][: member.threshold] for member in listed]
    return _lines_of(list(dict.fromkeys(key for keys in enough for key in keys)), note)


def _lines_of(roots: Sequence[VerifyKey], note: bytes) -> bytes:
    """Raises: MissingSignature if none is left; BadSignature, as one that passes for a root key's could be endless."""
    opened = decode_note(note)
    signers = verified_signers(opened, roots)
    if not signers:
        raise MissingSignature(what="charter or card", needed=1, who="its root keys", got=0)
    return encode_note(Note(opened.text, tuple(line for line in opened.signatures if any(map(line.is_of, signers)))))


def _first(pairs: Iterable[tuple[K, V]]) -> Mapping[K, V]:
    """A dictionary in which the first pair of a key counts."""
    found: dict[K, V] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _text(note: bytes) -> str:
    return decode_note(note).text


def _member_and_version(note: bytes) -> Place:
    card = decode_card(decode_note(note).text)
    return card.member, card.version
