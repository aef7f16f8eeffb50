"""Chaining: sealed records in, packed log entries out, each header holding the leaf hash of the one before.

Pure but for decoy slots (docs/spec/entry.md, "Slot"). The common entry is written by `encode_header`, everything
else by `encode_entry`; fsck reads all of them back through `decode_entry`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ledger.entry import SLOT_BYTES, Entry, encode_entry
from ledger.keys import entropy
from ledger.merkle import Frontier
from ledger.names import Digest, Origin, RecordId, encode_id
from node.storage.packing import encode_header, pack_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """What is durable of a log: the frontier, the last leaf, and the documents that the log announced last."""

    frontier: Frontier
    last_leaf: Digest
    card: Digest | None
    charter: Digest | None


class NewEntry(NamedTuple):
    """What an entry is made of. body: hash of the manifest. slot: 16 bytes for a statement that is made only once."""

    id: RecordId
    body: bytes
    slot: bytes | None


class Chained(NamedTuple):
    """Entries in order, as rows and as leaf hashes, and where each slot stands."""

    packed: list[bytes]
    leaves: list[Digest]
    slots: dict[bytes, int]


def chain(entries: Sequence[NewEntry], head: Tip, *, origin: Origin, documents: Sequence[Digest | None]) -> Chained:
    """The entries that follow `head`. documents: card and charter in force, announced by the first entry if new."""
    sha, name = hashlib.sha256, str(origin).encode()
    packed: list[bytes] = []
    leaves: list[Digest] = []
    slots: dict[bytes, int] = {}
    prev, start = head.last_leaf, head.frontier.size
    new_card, new_charter = _news(head, *documents)
    for index, (record_id, body, slot) in enumerate(_add_decoys(entries), start):
        if slot is None and new_card is None and new_charter is None:
            header = encode_header(name, index, prev=prev, record_id_text=encode_id(record_id).encode(), body=body)
            prev = Digest(sha(b"\0" + header).digest())
            packed.append(b"\0" + prev + record_id + body)
        else:
            header = encode_entry(
                Entry(
                    log=origin, index=index, prev=prev, id=record_id, body=Digest(body),
                    slot=slot, card=new_card, charter=new_charter,
                )
            )  # fmt: skip
            prev = Digest(sha(b"\0" + header).digest())
            packed.append(pack_entry(prev, record_id, body, slot=slot, card=new_card, charter=new_charter))
            new_card = new_charter = None
            if slot is not None:
                slots[slot] = index
        leaves.append(prev)
    return Chained(packed, leaves, slots)


def _add_decoys(entries: Sequence[NewEntry]) -> Sequence[NewEntry]:
    """The entries with random slots on some that have none, so that a slot does not tell a statement from a record.

    One where no entry has a slot, and then one more for every head that a coin falls on in a row: a batch with one
    statement looks as one without. Each decoy goes to a random place.
    """
    free = [i for i, entry in enumerate(entries) if entry.slot is None]
    coins = int.from_bytes(entropy(8), "big") | 1 << 63
    heads = (coins & -coins).bit_length() - 1
    hidden = list(entries)
    for _ in range(min(len(free), heads + (len(free) == len(entries)))):
        # A remainder of 64 bits prefers no place by more than one part in 2**50.
        i = free.pop(int.from_bytes(entropy(8), "big") % len(free))
        hidden[i] = entries[i]._replace(slot=entropy(SLOT_BYTES))
    return hidden


def _news(head: Tip, card: Digest | None, charter: Digest | None) -> tuple[Digest | None, Digest | None]:
    """Card and charter where the log has not announced them yet."""
    return card if card != head.card else None, charter if charter != head.charter else None
