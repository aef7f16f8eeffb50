"""What a round asks of whoever drives it, what it starts from, and what it comes to.

Each action names the type of its answer. A driver that cannot carry one out (the peer is
gone, an answer is longer than `bytes_max`, somebody else moved the head) drops the
generator: whatever was committed stays, and the next round goes on from there.

Spec: docs/spec/replica.md, "Actions".
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

from ledger import limits
from ledger.checkpoint import SignedCheckpoint
from ledger.evidence import Evidence, Finding
from ledger.merkle import Frontier
from ledger.names import Digest, MemberName, Origin
from ledger.replica.entries import EntryBatch
from ledger.tiles import Tile


@dataclass(frozen=True, slots=True)
class Repeat:
    """An id or slot at two indexes of one log."""

    first: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is durably held of one log when a round starts.

    last_leaf: leaf hash of the last entry, 32 zero bytes before the first.
    checkpoint: the largest one that all held entries up to its size were committed under.
    targets: larger than what is held: those that a catch-up, cut short, had led to, smallest first.
    cosigned_size: of the largest checkpoint of this log that was cosigned here.
    no_cosign_from: checkpoints of this size and above cover a repeat. repeat: one that is not yet proven.
    """

    origin: Origin
    frontier: Frontier
    last_leaf: Digest
    checkpoint: SignedCheckpoint | None = None
    targets: tuple[SignedCheckpoint, ...] = ()
    cosigned_size: int = 0
    no_cosign_from: int | None = None
    repeat: Repeat | None = None
    frozen: str | None = None

    @property
    def size(self) -> int:
        """Entries held, which may be more than the checkpoint covers."""
        return self.frontier.size


# --- asked of the peer ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GetCheckpoint:
    """Answer: bytes of the peer's newest checkpoint, or None if it holds nothing of that log."""

    origin: Origin
    bytes_max: ClassVar[int] = limits.CHECKPOINT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class GetEntries:
    """Answer: list of the bytes of these bundles, in order.

    All of them, or the first ones (at least one) if together they pass `limits.CATCH_UP_BYTES`.
    size: of the checkpoint that the round leads to; bundles up to it will be asked for next.
    """

    origin: Origin
    bundles: tuple[Tile, ...]
    size: int
    bytes_max: ClassVar[int] = limits.BUNDLE_BYTES_MAX  # of each


@dataclass(frozen=True, slots=True)
class GetTiles:
    """Answer: list of the bytes of these tiles, in order, all of them."""

    origin: Origin
    tiles: tuple[Tile, ...]
    bytes_max: ClassVar[int] = 32 * limits.TILE_WIDTH  # of each


@dataclass(frozen=True, slots=True)
class GetCards:
    """Answer: the `Network`, with those cards of `member` above `after_version` that the peer has and that verify."""

    member: MemberName
    after_version: int


# --- asked of the own store -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadHashes:
    """Answer: list of hashes of complete subtrees of the entries held, each given as (level, index)."""

    origin: Origin
    subtrees: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ReadEntries:
    """Answer: list of the bytes of these entries."""

    origin: Origin
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitEntries:
    """Make the batch, the frontier after it and the checkpoint durable in one transaction. Answer: list of `Repeat`.

    The head must still be the one that the round started from or last committed. If the frontier
    has reached the checkpoint's size, the checkpoint becomes that of the head; else it is kept among the targets.
    Ids and slots that the member's log already had, or that occur twice in the batch, are
    answered, with the earlier index first; and the smallest index + 1 of a later one
    becomes `no_cosign_from` in the same transaction, unless that is smaller already.
    """

    batch: EntryBatch
    frontier: Frontier
    checkpoint: SignedCheckpoint

    @property
    def is_complete(self) -> bool:
        """With this commit everything under the checkpoint is held."""
        return self.frontier.size == self.checkpoint.checkpoint.size


@dataclass(frozen=True, slots=True)
class Cosign:
    """Sign the checkpoint with the own witness key, now; keep the cosignature and pass it on. Answer: None."""

    checkpoint: SignedCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepEvidence:
    """Keep the evidence and pass it on; that of a fork freezes the log in the same transaction. Answer: None."""

    evidence: Evidence
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Note of a log that a fork froze how many of its first entries both branches have. Answer: None."""

    origin: Origin
    common_size: int


Action = (
    GetCheckpoint
    | GetEntries
    | GetTiles
    | GetCards
    | ReadHashes
    | ReadEntries
    | CommitEntries
    | Cosign
    | KeepEvidence
    | Freeze
)

T = TypeVar("T")
Steps = Generator[Action, Any, T]
"""A part of a round: yields actions, is sent their answers, returns a T."""


class Result(StrEnum):
    """What a round came to."""

    FROZEN = "frozen"  # by an earlier fork; nothing was asked
    ABSENT = "absent"  # the peer holds nothing of the log
    STALE = "stale"  # the peer holds less than we do, and the same
    CURRENT = "current"  # the peer holds what we hold
    EXTENDED = "extended"  # entries were added
    FORKED = "forked"  # two signed histories; the evidence is kept
    DISPUTED = "disputed"  # two signed histories, of which one is not yet held far enough to prove it
    DAMAGED = "damaged"  # our own copy is not what its checkpoint says; nothing was changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result and the figures of a round, for display.

    size, peer_size: entries held here afterwards, and at the peer. added: entries; invalid and newer are among them.
    author_behind: the author itself signs less than it once did: it lost data, or hides some. No proof of either.
    common_size: of a fork, where known.
    """

    result: Result
    size: int
    peer_size: int = 0
    added: int = 0
    invalid: int = 0
    newer: int = 0
    cosigned: bool = False
    author_behind: bool = False
    common_size: int | None = None
