"""Who must have signed a card, what may follow what, and which key counts where.

`verify_card` takes

1. a card of a member of the charter, signed by the root threshold that it has there;
2. card 1: epoch 1, its log key from size 0; card n+1: of the same member, the next
   version, with the hash of card n;
3. within an epoch the same log key from the same size, or another one from a larger size;
4. the same epoch, word for word, or the next one, whose log key counts from size 0;
5. no more cards of one member, and of no more bytes, than its share: it hinders nobody else.

Lines of unknown keys are ignored; a line of one of the member's root keys that does not
verify is an error.

Spec: docs/spec/card.md, "Signatures", "What may change" and "Which key counts".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from ledger import limits
from ledger.card.document import Card, decode_card, encode_card
from ledger.charter import Charter, CharterMember
from ledger.errors import (
    CardInvalid,
    EncodingError,
    ForeignNetwork,
    MissingSignature,
    PreviousMismatch,
    TooLarge,
    UnknownKey,
    UnknownMember,
    VersionGap,
)
from ledger.keys import SigningKey, VerifyKey
from ledger.names import NetworkName
from ledger.note import Note, decode_note, encode_note, sign_note, verified_signers


def sign_card(card: Card, keys: Sequence[SigningKey]) -> bytes:
    """The note of `card` signed by root keys of its member; more are added with `note.add_signature`."""
    return encode_note(sign_note(encode_card(card), keys))


def verify_card(note: bytes, *, charter: Charter, previous: Card | None) -> Card:
    """Return the card in `note` if it is good under `charter`, as the one after `previous` or as card 1 without it.

    Raises: UnknownMember, ForeignNetwork, MissingSignature, BadSignature, VersionGap,
    PreviousMismatch, CardInvalid, and what `decode_note` and `decode_card` raise.
    """
    opened = decode_note(note)
    card = decode_card(opened.text)
    _check_signed(opened, card, charter)
    _check_follows(card, previous)
    return card


def verify_card_of(member: CharterMember, note: bytes, *, network: NetworkName) -> Card:
    """Verify card 1 of a firm that no charter lists yet, by the root keys it claims. Raises: as `verify_card`."""
    opened = decode_note(note)
    card = decode_card(opened.text)
    if card.network != network:
        raise ForeignNetwork(what="card", expected=network, got=card.network)
    if card.member != member.name:
        raise UnknownMember(name=card.member)
    _check_roots(opened, card, member)
    _check_follows(card, None)
    return card


def verify_card_chain(notes: Sequence[bytes], *, charters: Sequence[Charter]) -> tuple[Card, ...]:
    """Verify the cards of one member from version 1 on, under the verified charters of its network.

    Each card is signed under some charter; the newest under the newest charter that lists
    the member, for root keys that were replaced speak for nobody. After a change of root
    keys a member adds signatures to its newest card; its text, and so its hash, stays.
    Raises: as `verify_card`; TooLarge for more than one member's share.
    """
    return extend_card_chain((), notes, charters=charters)


def extend_card_chain(held: Sequence[Card], notes: Sequence[bytes], *, charters: Sequence[Charter]) -> tuple[Card, ...]:
    """The chain `held`, verified under these very charters before, with the cards in `notes` verified after it.

    Raises: as `verify_card_chain`.
    """
    if not notes or not charters:
        raise EncodingError(field="cards", reason="no card or no charter is given")
    _check_share(len(held) + len(notes), limits.CARD_VERSIONS_MAX, "cards")
    chain = list(held)
    # Texts alone count: one node may hold more signature lines than another, and all must come to one result.
    length = sum(len(encode_card(card)) for card in held)
    for position, note in enumerate(notes):
        opened = decode_note(note)
        length += len(opened.text)
        _check_share(length, limits.CARDS_BYTES_MAX, "bytes")
        card = decode_card(opened.text)
        listing = [charter for charter in charters if card.member in charter.names] or list(charters[-1:])
        _check_signed_under_any(opened, card, listing[-1:] if position == len(notes) - 1 else listing)
        _check_follows(card, chain[-1] if chain else None)
        chain.append(card)
    return tuple(chain)


def log_key_at(cards: Sequence[Card], size: int, *, epoch: int = 1) -> VerifyKey:
    """The key that signs checkpoints of `size` in a member's log, by its verified chain of cards.

    It is the one that the newest card with `from` at most `size` names.
    Raises: UnknownKey if no card opens that epoch.
    """
    assert cards, "a chain of cards begins with version 1"
    for card in reversed(cards):
        if card.epoch.number == epoch and card.log_from <= size:
            return card.log_key
    raise UnknownKey(name=f"{cards[0].network}/{cards[0].member}", key_id="(any)", use=f"the log of epoch {epoch}")


def check_keys_distinct(cards: Iterable[Card]) -> None:
    """Raise unless no two members have a key in common.

    For whoever draws up a charter: there it is a mistake. Of cards in a network nobody asks it, as any member can
    write down the public key of another's next card before that card has come (docs/spec/card.md, "Shared keys").
    Raises: EncodingError.
    """
    owners: dict[bytes, str] = {}
    for card in cards:
        keys = (card.log_key, *card.witness_keys, *card.transport_keys)
        for raw in (card.sealing_key.raw, *(key.raw for key in keys)):
            if owners.setdefault(raw, card.member) != card.member:
                raise EncodingError(field="card keys", reason=f"{card.member} and {owners[raw]} list the same key")


def contradict(first: Card, second: Card) -> bool:
    """True if two verified cards of one member have one version and two texts: evidence against the member."""
    return (
        (first.network, first.member, first.version) == (second.network, second.member, second.version)
    ) and first.hash != second.hash


# --- inside ---------------------------------------------------------------------


def _check_share(got: int, limit: int, unit: str) -> None:
    """A bound of its own for each member: were it one for all, cards of one could keep another's from being taken."""
    if got > limit:
        raise TooLarge(what="chain of one member's cards", got=got, limit=limit, unit=unit)


def _check_follows(card: Card, previous: Card | None) -> None:
    """The rules of succession that need no signature."""
    what = f"card {card.version} of {card.member}"
    if previous is None:
        if card.version != 1:
            raise VersionGap(what=what, expected=1, got=card.version)
        return
    if card.network != previous.network:
        raise ForeignNetwork(what=what, expected=previous.network, got=card.network)
    if card.member != previous.member:
        raise UnknownMember(name=card.member)
    if card.version != previous.version + 1:
        raise VersionGap(what=what, expected=previous.version + 1, got=card.version)
    if card.prev != previous.hash:
        raise PreviousMismatch(what=what)
    reason = _complaint(card, previous)
    if reason:
        raise CardInvalid(member=card.member, version=card.version, reason=reason)


def _complaint(card: Card, previous: Card) -> str:
    if card.epoch != previous.epoch:
        if card.epoch.number != previous.epoch.number + 1:
            return "an epoch is changed or left out"
        return "" if card.log_from == 0 else "the log key of a new epoch counts from size 0"
    if card.log_key == previous.log_key:
        return "" if card.log_from == previous.log_from else "the same log key counts from another size"
    # Were it not larger, checkpoints that the old key signed in its own time would lose their key.
    return "" if card.log_from > previous.log_from else "a new log key counts from no larger size than the old one"


def _check_signed(opened: Note, card: Card, charter: Charter) -> None:
    if card.network != charter.network:
        raise ForeignNetwork(what=f"card of {card.member}", expected=charter.network, got=card.network)
    if card.member not in charter.names:
        raise UnknownMember(name=card.member)
    _check_roots(opened, card, charter.member(card.member))


def _check_signed_under_any(opened: Note, card: Card, charters: Sequence[Charter]) -> None:
    """Newest first: a card that is not the last of its chain may be signed by root keys since replaced."""
    for charter in reversed(charters[1:]):
        with suppress(MissingSignature):
            _check_signed(opened, card, charter)
            return
    _check_signed(opened, card, charters[0])


def _check_roots(opened: Note, card: Card, member: CharterMember) -> None:
    signers = verified_signers(opened, member.keys)
    if not member.has_signed(signers):
        raise MissingSignature(
            what=f"card {card.version} of {card.member}",
            needed=member.threshold,
            who=f"the root keys of {card.member}",
            got=member.count_signed(signers),
        )
