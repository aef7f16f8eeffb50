"""Opening a checkpoint that a peer sent: of this log, and signed by the key in force at its size (rules 2 and 3).

Spec: docs/spec/replica.md, "Rules"; docs/spec/card.md, "Which key counts".
"""

from __future__ import annotations

from ledger import limits
from ledger.checkpoint import SignedCheckpoint, decode_checkpoint, open_checkpoint
from ledger.errors import ForeignOrigin, RootMismatch, TooLarge, UnknownKey, UnknownMember
from ledger.merkle import EMPTY_ROOT
from ledger.names import Origin
from ledger.network import Network
from ledger.note import Note, decode_note, encode_note
from ledger.replica.actions import GetCards, Steps


def open_signed(raw: bytes, *, origin: Origin, network: Network) -> Steps[tuple[SignedCheckpoint, Network]]:
    """Verify a checkpoint; returns it without the signatures of others, and the network with the cards that it took.

    Raises: TooLarge, EncodingError, ForeignOrigin, UnknownMember, UnknownKey, BadSignature, RootMismatch.
    """
    if len(raw) > limits.CHECKPOINT_BYTES_MAX:
        raise TooLarge(what="checkpoint", got=len(raw), limit=limits.CHECKPOINT_BYTES_MAX, unit="bytes")
    note = decode_note(raw)
    size = decode_checkpoint(note.text).size
    if decode_checkpoint(note.text).origin != origin:
        raise ForeignOrigin(expected=str(origin), got=str(decode_checkpoint(note.text).origin))
    if not _names_a_known_key(note, origin, network):
        cards = network.cards.get(origin.member, ())
        network = yield GetCards(origin.member, cards[-1].version if cards else 0)
    if origin.member not in network.cards:
        raise UnknownMember(name=origin.member)
    key = network.log_key(origin, size)
    lines = [signature for signature in note.signatures if signature.is_of(key)]
    if not lines:
        got = [signature.key_hash.hex() for signature in note.signatures if signature.name == str(origin)]
        raise UnknownKey(name=str(origin), key_id=" ".join(got[:4]) or "(none)", use=f"checkpoints of size {size}")
    # Other lines are dropped before anything is kept: a peer could add as many as it likes.
    own = encode_note(Note(note.text, tuple(lines)))
    checkpoint = open_checkpoint(own, origin=origin, key=key)
    if not size and checkpoint.root != EMPTY_ROOT:
        raise RootMismatch(what=f"the empty log {origin}")
    return SignedCheckpoint(checkpoint=checkpoint, note=own), network


def _names_a_known_key(note: Note, origin: Origin, network: Network) -> bool:
    """True if some card has a key that signed; whether it was in force there is another question."""
    cards = network.cards.get(origin.member, ())
    return any(signature.is_of(card.log_key) for card in cards for signature in note.signatures)
