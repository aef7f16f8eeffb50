"""Making evidence, and what it takes for evidence to convict.

`verify_evidence` takes

1. a fork: two checkpoints of one log, each signed by the log key in force at its size, of one
   size and two roots, or with a path that derives the larger's root and another root for the smaller;
2. a repeat: two entries at two places in the logs of one member, each where its header says
   and proven to be under a checkpoint so signed, with one id, or with one slot;
3. charters: two that both may follow one charter of the network;
4. cards: two of one member and version, each signed by the root threshold that the newest
   charter listing the member gives it.

Spec: docs/spec/evidence.md, "Verifying".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from ledger.card import contradict as cards_contradict
from ledger.card import decode_card
from ledger.charter import CharterMember, decode_charter, verify_charter
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


def make_contradiction(kind: EvidenceKind, first: bytes, second: bytes) -> Evidence:
    """Evidence from the notes of two charters or two cards, in either order."""
    earlier, later = sorted_halves(kind, first, second)
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
    # The newest charter that lists the member: whoever holds root keys that it replaced cannot speak against it.
    listings = [charter.member(first.member) for charter in network.charters if first.member in charter.names]
    if not listings:
        raise UnknownMember(name=first.member)
    root = listings[-1]
    got = min(root.count_signed(_signers(note, root)) for note in (evidence.first, evidence.second))
    if got < root.threshold:
        raise MissingSignature(what="two cards", needed=root.threshold, who=f"the root keys of {root.name}", got=got)
    return Finding(kind=evidence.kind, members=(first.member,), version=first.version)


# --- inside -------------------------------------------------------------------


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
