"""One round with one peer. The rules are listed in `ledger.replica`.

Spec: docs/spec/replica.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ledger import limits
from ledger.checkpoint import Checkpoint, SignedCheckpoint
from ledger.errors import BadInput, BadProof, ProofInvalid, RootMismatch
from ledger.evidence import make_fork, make_repeat, verify_evidence
from ledger.merkle import EMPTY_ROOT, prove_fork, prove_inclusion, range_hash
from ledger.names import Digest
from ledger.network import Network
from ledger.proof import TlogProof
from ledger.replica.actions import (
    CommitEntries,
    Cosign,
    Freeze,
    GetCheckpoint,
    GetEntries,
    Head,
    KeepEvidence,
    Outcome,
    ReadEntries,
    Repeat,
    Result,
    Steps,
)
from ledger.replica.entries import check_entries
from ledger.replica.signing import open_signed
from ledger.replica.tree import (
    SignedTree,
    find_first_difference,
    read_own,
    read_own_subtrees,
    subtrees_of,
)
from ledger.tiles import bundles_between, decode_bundle

_CHUNK: Final = limits.CATCH_UP_BUNDLES * limits.TILE_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What does not change in a round once the peer's checkpoint is verified.

    head: as the round found it; commits do not change it. network: with the cards that the
    checkpoint took. signed: the peer's checkpoint.
    """

    head: Head
    network: Network
    signed: SignedCheckpoint
    peer_is_author: bool
    may_cosign: bool

    @property
    def checkpoint(self) -> Checkpoint:
        return self.signed.checkpoint

    def outcome(self, result: Result) -> Outcome:
        """With nothing changed."""
        return Outcome(result=result, size=self.head.size, peer_size=self.checkpoint.size)


def replicate(head: Head, network: Network, *, peer_is_author: bool, may_cosign: bool = True) -> Steps[Outcome]:
    """Bring the copy of one log up to what one peer has of it. Yields actions, returns the outcome.

    may_cosign: False for the own log, and as long as this node does not know that it is not behind itself.
    Raises: BadInput or BadProof where the peer is at fault; what was committed before is good and stays.
    """
    if head.frozen is not None:
        return Outcome(result=Result.FROZEN, size=head.size)
    note = yield GetCheckpoint(head.origin)
    if note is None:
        return Outcome(result=Result.ABSENT, size=head.size, author_behind=peer_is_author and head.size > 0)
    signed, network = yield from open_signed(note, origin=head.origin, network=network)
    this = _Round(head=head, network=network, signed=signed, peer_is_author=peer_is_author, may_cosign=may_cosign)
    size = signed.checkpoint.size
    for target in head.targets:
        if target.checkpoint.size == size and target.checkpoint != signed.checkpoint:
            return (yield from _convict(this, target, path=()))
    if size < head.size:
        return (yield from _look_back(this))
    if size == head.size:
        return (yield from _compare(this))
    return (yield from _extend(this))


# --- no more than what is held --------------------------------------------------


def _look_back(this: _Round) -> Steps[Outcome]:
    """The peer has a checkpoint of less (rule 4): is it the beginning of what is held?

    It needs no answer of the peer: our own tree has the root of every smaller size.
    """
    size, root = this.checkpoint.size, EMPTY_ROOT
    if size:
        root = yield from read_own(this.head.origin, partial(range_hash, 0, size))
    if root != this.checkpoint.root:
        return (yield from _contradicted(this))
    return replace(this.outcome(Result.STALE), author_behind=this.peer_is_author)


def _compare(this: _Round) -> Steps[Outcome]:
    """The peer has a checkpoint of as much (rule 5): the roots decide."""
    head = this.head
    if head.frontier.root() != this.checkpoint.root:
        return (yield from _contradicted(this))
    outcome = this.outcome(Result.CURRENT)
    if not head.size:
        return outcome
    repeats: list[Repeat] = []
    if head.checkpoint is None or head.checkpoint.checkpoint.size < head.size:
        # The last commit of a catch-up did not have its checkpoint yet; this one is of the same size.
        nothing = check_entries([], origin=head.origin, start=head.size, prev=head.last_leaf)
        repeats = yield CommitEntries(batch=nothing, frontier=head.frontier, checkpoint=this.signed)
    return (yield from _finish(this, outcome, repeats))


def _contradicted(this: _Round) -> Steps[Outcome]:
    """What is held has another root at the peer's size, which is no more than the size held.

    Our own tree leads from that size to a checkpoint that we hold: the proof takes no answer of the peer.
    """
    size, witness = this.checkpoint.size, this.head.checkpoint
    if witness is None or witness.checkpoint.size < size:
        # Only targets cover what differs, and the trees that lead to them are not held yet.
        return this.outcome(Result.DISPUTED if this.head.targets else Result.DAMAGED)
    path = yield from read_own(this.head.origin, partial(prove_fork, size, witness.checkpoint.size))
    return (yield from _convict(this, witness, path=path))


# --- more than what is held -----------------------------------------------------


def _extend(this: _Round) -> Steps[Outcome]:
    """The peer has a checkpoint of more (rules 6 to 8): fetch it, check it against the signed root, then keep it.

    Cost: where all fits one commit, one request and a root; else a few hash tiles first, and
    one full tile for every 256 bundles. Memory: one commit's entries and a tile per level.
    """
    head, size = this.head, this.checkpoint.size
    entries = yield from _fetch(this, head.size)
    batch = check_entries(entries, origin=head.origin, start=head.size, prev=head.last_leaf)
    frontier = head.frontier.extended(batch.leaves)
    is_short = frontier.size == size
    # Few entries: the root alone proves them. A target must be compared as well, which takes the tree.
    is_proven = is_short and frontier.root() == this.checkpoint.root and not _passes_target(this)
    tree = SignedTree(this.checkpoint)
    if not is_proven:
        yield from tree.open()
        outcome = yield from _check_history(this, tree)
        if outcome is not None:
            return outcome
    outcome, repeats, known = this.outcome(Result.EXTENDED), [], set(subtrees_of(head.frontier))
    while True:
        if not is_proven and not (yield from tree.has(s for s in subtrees_of(frontier) if s not in known)):
            raise RootMismatch(what=f"entries {batch.start} to {batch.end} of {head.origin}")
        repeats += yield CommitEntries(batch=batch, frontier=frontier, checkpoint=this.signed)
        outcome = replace(
            outcome,
            size=batch.end,
            added=outcome.added + len(batch.leaves),
            invalid=outcome.invalid + sum(u.is_invalid for u in batch.unusual.values()),
            newer=outcome.newer + sum(u.is_newer for u in batch.unusual.values()),
        )
        if frontier.size == size:
            return (yield from _finish(this, outcome, repeats))
        known, prev = set(subtrees_of(frontier)), batch.leaves[-1]
        entries = yield from _fetch(this, frontier.size)
        batch = check_entries(entries, origin=head.origin, start=frontier.size, prev=prev)
        frontier = frontier.extended(batch.leaves)


def _fetch(this: _Round, start: int) -> Steps[list[bytes]]:
    """Entries from `start` on: those of the next bundles, as many as fit one commit, or as the driver brought.

    The size is the author's claim and may be absurd: no list is made of what is not asked for now.
    """
    # What the first bundle repeats of the entries held is not compared: the root takes in all of them.
    end = min(this.checkpoint.size, start - start % limits.TILE_WIDTH + _CHUNK)
    bundles = bundles_between(start, end)
    answers = yield GetEntries(this.head.origin, tuple(bundles), this.checkpoint.size)
    assert 1 <= len(answers) <= len(bundles), "a driver answers with the first bundles, at least one"
    entries: list[bytes] = []
    for raw, bundle in zip(answers, bundles, strict=False):
        entries += decode_bundle(raw, bundle.width)
    return entries[start % limits.TILE_WIDTH :]


def _passes_target(this: _Round) -> bool:
    """True if a larger tree is about to be accepted than one that the author signed before: they must agree."""
    return any(target.checkpoint.size < this.checkpoint.size for target in this.head.targets)


def _check_history(this: _Round, tree: SignedTree) -> Steps[Outcome | None]:
    """None if the peer's tree goes on from what is held and from what is known to be signed; else what came of it.

    By now the tree is known to be the author's, so whatever differs from it was signed by the author as well.
    """
    head = this.head
    at = yield from find_first_difference(head.origin, tree, subtrees_of(head.frontier))
    for witness in (*([head.checkpoint] if head.checkpoint else []), *head.targets):
        if witness.checkpoint.size > this.checkpoint.size:
            break
        # At size 0 there is nothing to differ in.
        if witness.checkpoint.size and (yield from tree.root_at(witness.checkpoint.size)) != witness.checkpoint.root:
            path = yield from tree.prove_fork(witness.checkpoint.size)
            return (yield from _convict(this, witness, path=path))
    if at is None:
        return None
    # What differs was kept for a target that is larger still, or is not what was committed.
    return this.outcome(
        Result.DISPUTED if any(t.checkpoint.size > this.checkpoint.size for t in head.targets) else Result.DAMAGED
    )


# --- forks ----------------------------------------------------------------------


def _convict(this: _Round, witness: SignedCheckpoint, *, path: Sequence[Digest]) -> Steps[Outcome]:
    """The author signed this round's checkpoint and `witness`: keep the proof, then look where the branches part."""
    if witness.checkpoint == this.checkpoint:
        return this.outcome(Result.DAMAGED)  # The signed roots agree; what is held is not what was committed.
    try:
        evidence = make_fork(this.signed.note, witness.note, path=path, network=this.network)
        finding = verify_evidence(evidence, this.network)
    except ProofInvalid:
        return this.outcome(Result.DAMAGED)  # Our own hashes do not lead to the root that we once checked.
    except (BadInput, BadProof):
        # A newer card took its key from the witness, against the rule for `from`: it convinces nobody any more.
        return this.outcome(Result.DISPUTED)
    # Kept first: the peer may have nothing more to say.
    yield KeepEvidence(evidence=evidence, finding=finding)
    common_size = yield from _find_common_size(this)
    if common_size is not None:
        yield Freeze(origin=this.head.origin, common_size=common_size)
    return replace(this.outcome(Result.FORKED), common_size=common_size)


def _find_common_size(this: _Round) -> Steps[int | None]:
    """How many first entries the peer's branch and ours share; None if the peer does not show its tree.

    Good to know and no part of the proof, so nothing that a peer does here is an error.
    """
    size = min(this.head.size, this.checkpoint.size)
    tree = SignedTree(this.checkpoint)
    try:
        yield from tree.open()
        own = yield from read_own_subtrees(this.head.origin, size)
        at = yield from find_first_difference(this.head.origin, tree, own)
    except (BadInput, BadProof):
        return None
    return size if at is None else at


# --- after the commit -----------------------------------------------------------


def _finish(this: _Round, outcome: Outcome, repeats: Sequence[Repeat]) -> Steps[Outcome]:
    """All entries of the checkpoint are durable: prove a repeat (rule 10), or cosign (rule 11).

    A crash before either is made up for in the next round: the store knows both the repeat and what was cosigned.
    """
    head, size = this.head, this.checkpoint.size
    found = [*([head.repeat] if head.repeat else []), *repeats]
    if found:
        yield from _prove_repeat(this, min(found, key=lambda repeat: repeat.second))
    repeated_at = [repeat.second + 1 for repeat in found]
    if head.no_cosign_from is not None:
        repeated_at.append(head.no_cosign_from)
    # A cosignature says that its signer knows of nothing larger, so a target above forbids one too.
    forbidden = size >= min(repeated_at, default=size + 1) or any(t.checkpoint.size > size for t in head.targets)
    if not this.may_cosign or forbidden or size <= head.cosigned_size:
        return outcome
    yield Cosign(this.signed)
    return replace(outcome, cosigned=True)


def _prove_repeat(this: _Round, repeat: Repeat) -> Steps[None]:
    """Keep the two entries and their inclusion proofs under the checkpoint as evidence."""
    origin, size = this.head.origin, this.checkpoint.size
    entries = yield ReadEntries(origin, (repeat.first, repeat.second))
    proofs = []
    for index, entry in zip((repeat.first, repeat.second), entries, strict=True):
        path = yield from read_own(origin, partial(prove_inclusion, index, size))
        proofs.append(TlogProof(index=index, path=tuple(path), note=this.signed.note, extra=entry))
    evidence = make_repeat(proofs[0], proofs[1], network=this.network)
    yield KeepEvidence(evidence=evidence, finding=verify_evidence(evidence, this.network))
