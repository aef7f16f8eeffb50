"""Keeping a verified copy of another member's log: one round with one peer, as a pure state machine.

`replicate` is a generator. It yields actions (`ledger.replica.actions`), whoever drives it
carries them out and sends the results back; it opens no socket, reads no clock and keeps
nothing. The peer may be the log's author or anybody else: no answer of a peer is believed,
only what the author signed. In order of a round:

1.  A frozen log is left alone.
2.  The checkpoint is short, well formed and of this log.
3.  It is signed by the key that the author's cards put in force at its size. A key that no
    card names is looked for in newer cards, once; one that was replaced, or does not count
    yet, is refused.
4.  Smaller than what is held: the tree that is held had that root at that size, and the peer
    is behind (which is remarkable, and no more, where it is the author); else it is a fork.
5.  As large: the roots are equal; else it is a fork.
6.  Larger: what is held, extended by the entries that follow, has the signed root. If not,
    the peer's hash tiles tell who lies: if they do not lead to the signed root, the peer
    does. If they do and what is held is not in them, the author signed two histories: a
    fork. If they do and what is held is in them, the peer changed the entries.
7.  An entry that does not parse, does not link, or names another log or index is kept,
    marked invalid, and has neither id nor slot. One of a newer version is kept as such. To
    refuse either would split the network.
8.  Entries become durable with their frontier in one commit. What needs more than one commit
    is checked bundle by bundle against the signed root before the first; until the last,
    the checkpoint it leads to is kept beside the old one and must not be contradicted.
9.  A fork is proven, kept as evidence and freezes the log; then the size up to which the
    branches agree is looked for. What cannot be proven yet stops the round and convicts nobody.
10. A repeated id or slot is kept, proven, and no checkpoint that covers it is cosigned.
11. A checkpoint is cosigned after its commit, if it is larger than what was cosigned before.

Spec: docs/spec/replica.md.
"""

from ledger.replica.actions import (
    Action,
    CommitEntries,
    Cosign,
    Freeze,
    GetCards,
    GetCheckpoint,
    GetEntries,
    GetTiles,
    Head,
    KeepEvidence,
    Outcome,
    ReadEntries,
    ReadHashes,
    Repeat,
    Result,
    Steps,
)
from ledger.replica.entries import EntryBatch, Unusual, check_entries
from ledger.replica.round import replicate

__all__ = [
    "Action",
    "CommitEntries",
    "Cosign",
    "EntryBatch",
    "Freeze",
    "GetCards",
    "GetCheckpoint",
    "GetEntries",
    "GetTiles",
    "Head",
    "KeepEvidence",
    "Outcome",
    "ReadEntries",
    "ReadHashes",
    "Repeat",
    "Result",
    "Steps",
    "Unusual",
    "check_entries",
    "replicate",
]
