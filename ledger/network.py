"""A network as one thing, and the two files that people hand around to found or join one.

The member file is what a firm gives to whoever draws up the charter: its root keys and
its first card. The network file is what all members, and anyone who verifies, then
hold: every charter and every card, in order. Both are canonical JSON and a newline.

`decode_*` proves the shape alone, so that a file which still lacks signatures can be
passed on; `verify_*` proves the rest. Which network to trust is decided by its fingerprint.

Spec: docs/spec/charter.md, "Network file"; docs/spec/card.md, "Member file".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger import limits, shape
from ledger.card import (
    Card,
    decode_card,
    log_key_at,
    verify_card_chain,
    verify_card_of,
)
from ledger.charter import Charter, CharterMember, decode_charter, fingerprint, verify_charter_chain
from ledger.charter.roots import check_edges, check_member, decode_member, encode_member
from ledger.errors import EncodingError, Missing, ProofInvalid
from ledger.keys import VerifyKey
from ledger.names import MemberName, NetworkId, NetworkName, Origin
from ledger.note import decode_note

_NETWORK_FILE: Final = ("cards", "charters")
_MEMBER_FILE: Final = ("card", "keys", "name", "network", "threshold")
_VERSIONS_MAX: Final = limits.NETWORK_FILE_BYTES_MAX // 256  # no note is shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFile:
    """charters: notes from version 1 on. cards: notes by member and version, of whoever is or was a member."""

    charters: tuple[bytes, ...]
    cards: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFile:
    """The root keys that a firm claims, and the note of its card 1."""

    network: NetworkName
    member: CharterMember
    card: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The verified charters and cards of a network; `cards` holds one chain per member, gone ones included."""

    charters: tuple[Charter, ...]
    cards: Mapping[MemberName, tuple[Card, ...]]

    @property
    def id(self) -> NetworkId:
        """The fingerprint: what people compare, and what every ctx and info of this network holds."""
        return fingerprint(self.charters)

    @property
    def charter(self) -> Charter:
        """The one in force: the newest."""
        return self.charters[-1]

    def card(self, member: str) -> Card:
        """The newest card of `member`. Raises: Missing."""
        return self._chain(member)[-1]

    def log_key(self, log: Origin, size: int) -> VerifyKey:
        """The key that signs checkpoints of `size` in `log`. Raises: Missing, UnknownKey."""
        if log.network != self.charter.network:
            raise Missing(what="network", name=log.network)
        return log_key_at(self._chain(log.member), size, epoch=log.epoch)

    def _chain(self, member: str) -> tuple[Card, ...]:
        if member not in self.cards:
            raise Missing(what="member", name=member)
        return self.cards[MemberName(member)]


# --- the network file ---------------------------------------------------------------


def encode_network_file(file: NetworkFile) -> bytes:
    """Raises: as `decode_network_file`, for what it would refuse."""
    _check_order(file)
    notes = {"cards": [n.decode() for n in file.cards], "charters": [n.decode() for n in file.charters]}
    return shape.encode_text(dict(notes)).encode()


def decode_network_file(text: bytes) -> NetworkFile:
    """Parse a network file: charters from version 1 on, cards by member and version. Proves no signature.

    Raises: EncodingError, TooLarge, and what the charters and cards in it raise.
    """
    found = shape.decode_text(
        _decode_utf8(text), _NETWORK_FILE, what="network file", bytes_max=limits.NETWORK_FILE_BYTES_MAX
    )
    file = NetworkFile(charters=take_notes(found["charters"]), cards=take_notes(found["cards"]))
    _check_order(file)
    return file


def verify_network_file(file: NetworkFile) -> Network:
    """Verify every charter and card; each member in force has a card. Two members may list one key, or claim to.

    Raises: what `verify_charter_chain` and `verify_card_chain` raise; Missing for a member without a card.
    """
    charters = verify_charter_chain(file.charters)
    cards = {member: verify_card_chain(chain, charters=charters) for member, chain in _chains(file.cards).items()}
    for name in charters[-1].names:
        if name not in cards:
            raise Missing(what="card of", name=name)
    return Network(charters=charters, cards=cards)


def unite(held: NetworkFile, shown: NetworkFile) -> NetworkFile:
    """All that two files of one network tell together. Neither need be verified, and the result is not.

    What both have is taken from the file with more charters: whose root keys changed signs its newest card again.
    Raises: ProofInvalid where they hold different texts for one version.
    """
    first, second = (shown, held) if len(shown.charters) > len(held.charters) else (held, shown)
    ours, theirs = _chains(first.cards), _chains(second.cards)
    cards = [_longer(ours.get(name, []), theirs.get(name, []), f"card of {name}") for name in sorted({*ours, *theirs})]
    charters = _longer(first.charters, second.charters, "charter")
    return NetworkFile(charters=charters, cards=tuple(note for chain in cards for note in chain))


def _longer(first: Sequence[bytes], second: Sequence[bytes], what: str) -> tuple[bytes, ...]:
    for version, (one, other) in enumerate(zip(first, second, strict=False), 1):
        if decode_note(one).text != decode_note(other).text:
            raise ProofInvalid(what=what, reason=f"there are two of version {version}")
    return (*first, *second[len(first) :])


def _chains(cards: Iterable[bytes]) -> dict[MemberName, list[bytes]]:
    """Notes of cards by the member that they are of, unverified."""
    chains: dict[MemberName, list[bytes]] = {}
    for note in cards:
        chains.setdefault(_read_card(note).member, []).append(note)
    return chains


# --- the member file ----------------------------------------------------------------


def encode_member_file(file: MemberFile) -> bytes:
    """Raises: as `decode_member_file`, for what it would refuse."""
    _check_member_file(file)
    return shape.encode_text(
        {**encode_member(file.member), "card": file.card.decode(), "network": file.network}
    ).encode()


def decode_member_file(text: bytes) -> MemberFile:
    """Parse a member file. Proves no signature.

    Raises: EncodingError, TooLarge, WeakKey, and what the card in it raises.
    """
    found = shape.decode_text(_decode_utf8(text), _MEMBER_FILE, what="member file", bytes_max=limits.NOTE_BYTES_MAX)
    file = MemberFile(
        network=NetworkName(shape.take_string(found["network"], what="network")),
        member=decode_member({name: found[name] for name in ("keys", "name", "threshold")}),
        card=shape.take_string(found["card"], what="card").encode(),
    )
    _check_member_file(file)
    return file


def verify_member_file(file: MemberFile) -> Card:
    """Return the card, signed by the root keys beside it: the firm holds them. Who it is, only people can tell.

    Raises: what `verify_card_of` raises.
    """
    return verify_card_of(file.member, file.card, network=file.network)


# --- inside -------------------------------------------------------------------------


def _check_order(file: NetworkFile) -> None:
    """One order, so that two honest files of one state are one file; and no version is missing in between."""
    versions = [decode_charter(decode_note(note).text).version for note in file.charters]
    if versions != list(range(1, len(versions) + 1)) or not versions:
        raise EncodingError(field="charters", reason="not every version from 1 on, in order")
    before: tuple[str, int] = ("", 0)
    for card in map(_read_card, file.cards):
        follows = card.version == before[1] + 1 if card.member == before[0] else card.version == 1
        if card.member < before[0] or not follows:
            raise EncodingError(field="cards", reason="not every version of each member from 1 on, in order")
        before = (card.member, card.version)


def _check_member_file(file: MemberFile) -> None:
    """The card is that of the firm named beside it: keys of one firm under the name of another would found a fraud."""
    check_edges(file.network, what="network")
    check_member(file.member, network=file.network)
    card = _read_card(file.card)
    if (card.network, card.member, card.version) != (file.network, file.member.name, 1):
        raise EncodingError(field="card", reason="not card 1 of that member in that network")


def _read_card(note: bytes) -> Card:
    """The card in a note, unverified."""
    return decode_card(decode_note(note).text)


def take_notes(value: object) -> tuple[bytes, ...]:
    """Notes as they were signed; that they are one chain each is found when they are verified."""
    return tuple(
        shape.take_string(note, what="note").encode()
        for note in shape.take_list(value, what="notes", most=_VERSIONS_MAX)
    )


def _decode_utf8(text: bytes) -> str:
    """Files come from people, in whatever encoding: ours is UTF-8, and no other is guessed."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise EncodingError(field="file", reason="not UTF-8") from None
