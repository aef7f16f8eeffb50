"""Making evidence, and what it takes for evidence to convict.

`verify_evidence` takes

1. a fork: two checkpoints of one log, each signed by the log key in force at its size, of one
   size and two roots, or with a path that derives the larger's root and another root for the smaller;
2. a repeat: two entries at two places in the logs of one member, each where its header says
   and proven to be under a checkpoint so signed, with one id, or with one slot;
3. charters: two that both may follow one charter of the network;
4. cards: two of one member and version, each signed by the root threshold that the newest
   charter listing the member gives it, one of them following a card that is known: else
   there could be as many as there are versions, none of which anybody ever saw;
5. of charters and cards, only lines of root keys: others would make many documents of one lie.

Spec: docs/spec/evidence.md, "Verifying".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from ledger.card import Card, decode_card
from ledger.card import contradict as cards_contradict
from ledger.charter import Charter, CharterMember, decode_charter, verify_charter
from ledger.checkpoint import Checkpoint, decode_checkpoint, open_checkpoint
from ledger.entry import Entry, decode_entry
from ledger.errors import ForeignNetwork, MissingSignature, ProofInvalid, UnknownMember
from ledger.evidence.document import Evidence, EvidenceKind, Finding, check_form, entry_of, sorted_halves
from ledger.keys import VerifyKey
from ledger.merkle import leaf_hash, verify_fork
from ledger.names import Digest, NetworkName
from ledger.network import Network
from ledger.note import Note, decode_note, encode_note, verified_signers
from ledger.proof import TlogProof, decode_proof, encode_proof, verify_proof

# --- making -------------------------------------------------------------------


def make_fork(first: bytes, second: bytes, *, path: Sequence[Digest], network: Network) -> Evidence:
    """Evidence from two contradicting checkpoint notes, in either order; cosignatures are dropped.

    path: from `prove_fork` over the log that has the larger of the two; empty if the sizes are equal.
    """
    halves = (_log_signature_only(note, network) for note in (first, second))
    smaller, larger = sorted_halves(EvidenceKind.FORK, *halves)
    return Evidence(kind=EvidenceKind.FORK, first=smaller, second=larger, path=tuple(path))


def make_repeat(first: TlogProof, second: TlogProof, *, network: Network) -> Evidence:
    """Evidence from the inclusion proofs of two entries with one id or slot; `extra` of each is its entry."""
    proofs = (replace(proof, note=_log_signature_only(proof.note, network)) for proof in (first, second))
    return make_contradiction(EvidenceKind.REPEAT, *map(encode_proof, proofs))


def make_contradiction(kind: EvidenceKind, first: bytes, second: bytes, *, network: Network | None = None) -> Evidence:
    """Evidence from the notes of two charters or two cards, in either order.

    network: where it is given, signature lines that are of no root key of it are dropped.
    """
    halves = (first, second)
    if network is not None:
        halves = (_root_lines_only(kind, first, network), _root_lines_only(kind, second, network))
    earlier, later = sorted_halves(kind, *halves)
    return Evidence(kind=kind, first=earlier, second=later)


# --- verifying ----------------------------------------------------------------


def verify_evidence(evidence: Evidence, network: Network) -> Finding:
    """Check the signatures and that the two things contradict each other; returns whom that convicts of what.

    Raises: ProofInvalid if they do not, and what their signatures raise (UnknownKey,
    UnknownMember, ForeignNetwork, MissingSignature, BadSignature).
    """
    check_form(evidence)
    match evidence.kind:
        case EvidenceKind.FORK:
            return _verify_fork(evidence, network)
        case EvidenceKind.REPEAT:
            return _verify_repeat(evidence, network)
        case EvidenceKind.CHARTERS:
            return _verify_charters(evidence, network)
        case EvidenceKind.CARDS:
            return _verify_cards(evidence, network)
    assert_never(evidence.kind)


def _verify_fork(evidence: Evidence, network: Network) -> Finding:
    first, second = (_open_checkpoint(note, network) for note in (evidence.first, evidence.second))
    if first.origin != second.origin:
        raise ProofInvalid(what="fork", reason="the checkpoints are of two logs")
    verify_fork(
        old_size=first.size, old_root=first.root, new_size=second.size, new_root=second.root, path=evidence.path
    )
    return Finding(kind=evidence.kind, members=(first.origin.member,), log=first.origin, size=first.size)


def _verify_repeat(evidence: Evidence, network: Network) -> Finding:
    first, second = (_open_entry(text, network) for text in (evidence.first, evidence.second))
    if (first.log.network, first.log.member) != (second.log.network, second.log.member):
        raise ProofInvalid(what="repeat", reason="the entries are of two members")
    # Two places: the form has epoch and index of the first below those of the second.
    if first.id != second.id and (first.slot is None or first.slot != second.slot):
        raise ProofInvalid(what="repeat", reason="the entries have neither id nor slot in common")
    return Finding(kind=evidence.kind, members=(second.log.member,), log=second.log, size=second.index + 1)


def _verify_charters(evidence: Evidence, network: Network) -> Finding:
    prev = decode_charter(decode_note(evidence.first).text).prev
    previous = next((charter for charter in network.charters if charter.hash == prev), None)
    if previous is None:
        raise ProofInvalid(what="two charters", reason="they do not follow a charter of this network")
    notes = (evidence.first, evidence.second)
    for note in notes:  # first what is cheap and needs others: to read a large charter takes a second
        _check_council(note, previous)
    _check_lines(evidence, network)
    # The texts differ, or this were no evidence in form: two charters in the place of one.
    first, _ = (verify_charter(note, previous=previous) for note in notes)
    # Each has the threshold, more than half, of one council: at least one of it signed both.
    both = [member.name for member in previous.members if all(member.has_signed(_signers(n, member)) for n in notes)]
    return Finding(kind=evidence.kind, members=tuple(both), version=first.version)


def _verify_cards(evidence: Evidence, network: Network) -> Finding:
    first, second = (decode_card(decode_note(note).text) for note in (evidence.first, evidence.second))
    _check_network(first.network, network)
    if not cards_contradict(first, second):
        raise ProofInvalid(what="two cards", reason="they do not contradict each other")
    root = _newest_roots(first, network)
    if not any(_follows_known(card, network) for card in (first, second)):
        raise ProofInvalid(what="two cards", reason="neither follows a card that is known of that member")
    _check_lines(evidence, network)
    got = min(root.count_signed(_signers(note, root)) for note in (evidence.first, evidence.second))
    if got < root.threshold:
        raise MissingSignature(what="two cards", needed=root.threshold, who=f"the root keys of {root.name}", got=got)
    return Finding(kind=evidence.kind, members=(first.member,), version=first.version)


# --- inside -------------------------------------------------------------------


def _check_council(note: bytes, previous: Charter) -> None:
    """Raise MissingSignature unless the council of `previous` signed what is in `note`, as it must what follows it."""
    council = [previous.member(name) for name in previous.council.members]
    signers = verified_signers(decode_note(note), [key for member in council for key in member.keys])
    got, needed = sum(member.has_signed(signers) for member in council), previous.council.threshold
    if got < needed:
        raise MissingSignature(what="two charters", needed=needed, who=f"the council of {previous.version}", got=got)


def _newest_roots(card: Card, network: Network) -> CharterMember:
    """The member as the newest charter lists it that does: who holds root keys since replaced cannot speak against it.

    Raises: UnknownMember.
    """
    for charter in reversed(network.charters):
        if card.member in charter.names:
            return charter.member(card.member)
    raise UnknownMember(name=card.member)


def _follows_known(card: Card, network: Network) -> bool:
    """Whether `card` is a first one, or comes after one that is known of its member."""
    chain = network.cards.get(card.member, ())
    return card.version == 1 or (card.version <= len(chain) + 1 and card.prev == chain[card.version - 2].hash)


def _root_keys(kind: EvidenceKind, text: str, network: Network) -> list[VerifyKey]:
    """The root keys whose lines belong under the text of a charter or card."""
    if kind is EvidenceKind.CARDS:
        return list(_newest_roots(decode_card(text), network).keys)
    charter = decode_charter(text)
    before = [known for known in network.charters if known.hash == charter.prev]
    return [key for listed in (charter, *before) for member in listed.members for key in member.keys]


def _check_lines(evidence: Evidence, network: Network) -> None:
    for note in (evidence.first, evidence.second):
        if _root_lines_only(evidence.kind, note, network) != note:
            raise ProofInvalid(what=f"two {evidence.kind}", reason="a signature line that is of no root key")


def _root_lines_only(kind: EvidenceKind, note: bytes, network: Network) -> bytes:
    """`note` without the lines of strangers. Raises: MissingSignature if none is left."""
    opened = decode_note(note)
    keys = _root_keys(kind, opened.text, network)
    kept = tuple(line for line in opened.signatures if any(line.is_of(key) for key in keys))
    if not kept:
        raise MissingSignature(what=f"two {kind}", needed=1, who="the root keys", got=0)
    return encode_note(Note(opened.text, kept))


def _open_checkpoint(note: bytes, network: Network) -> Checkpoint:
    """The checkpoint in `note`, signed by the key in force at its size."""
    origin = decode_checkpoint(decode_note(note).text).origin
    return open_checkpoint(note, origin=origin, key=_log_key(note, network))


def _open_entry(text: bytes, network: Network) -> Entry:
    """The entry in a repeat's proof, which stands where it says and is in the signed log."""
    proof = decode_proof(text)
    entry = decode_entry(entry_of(proof))
    checkpoint = verify_proof(proof, leaf_hash(entry_of(proof)), origin=entry.log, key=_log_key(proof.note, network))
    if entry.index != proof.index:
        # Such an entry is invalid where it stands, and has neither id nor slot.
        raise ProofInvalid(what="repeat", reason=f"entry {proof.index} of {checkpoint.origin} claims another place")
    return entry


def _log_key(note: bytes, network: Network) -> VerifyKey:
    """The key in force for the log and size that an unverified checkpoint claims.

    Raises: ForeignNetwork, UnknownMember, UnknownKey.
    """
    checkpoint = decode_checkpoint(decode_note(note).text)
    _check_network(checkpoint.origin.network, network)
    if checkpoint.origin.member not in network.cards:
        raise UnknownMember(name=checkpoint.origin.member)
    return network.log_key(checkpoint.origin, checkpoint.size)


def _check_network(name: NetworkName, network: Network) -> None:
    if name != network.charter.network:
        raise ForeignNetwork(what="evidence", expected=network.charter.network, got=name)


def _signers(note: bytes, member: CharterMember) -> list[VerifyKey]:
    """The root keys of `member` that signed `note`."""
    return verified_signers(decode_note(note), member.keys)


def _log_signature_only(note: bytes, network: Network) -> bytes:
    """`note` without the signatures of others: they prove nothing here, and would give one fork many ids."""
    opened, key = decode_note(note), _log_key(note, network)
    return encode_note(Note(opened.text, tuple(s for s in opened.signatures if s.is_of(key))))
