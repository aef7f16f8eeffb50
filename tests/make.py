"""Builders of networks and logs with keys and ids from fixed seeds: the same call gives the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from ledger.entry import Entry, encode_entry
from ledger.keys import SigningKey
from ledger.merkle import leaf_hash, root_of
from ledger.names import Digest, NetworkName, Origin, RecordId, make_id, sha256
from ledger.network import Network, verify_network_file
from ledger.tiles import Tile, encode_bundle, encode_tile
from tests.make_membership import FOUR, Firm, firms, network_file

FIRST_LEAF: Final = Digest(bytes(32))
"""What the first entry names as the leaf hash before it."""


@cache
def network(*names: str) -> Network:
    """A founded network, by default of four firms: one charter, one card each."""
    return verify_network_file(network_file(firms(*(names or FOUR))))


def entropy(label: str) -> bytes:
    """32 bytes that look random and are the same in every run."""
    return hashlib.sha256(f"log test seed: {label}".encode()).digest()


def record_id(label: str, number: int = 0) -> RecordId:
    return make_id(1_763_680_000_000 + number, entropy(label)[:10])


@dataclass
class Log:
    """A member's log with the key that signs it, whole and in memory.

    label: tells the entries of two logs of one origin apart, for forks.
    """

    author: Firm
    label: str = "honest"
    epoch: int = 1
    key: SigningKey | None = None
    entries: list[bytes] = field(default_factory=list)
    leaves: list[Digest] = field(default_factory=list)
    _levels: dict[int, list[Digest]] = field(default_factory=dict)

    @property
    def origin(self) -> Origin:
        return Origin(NetworkName(self.author.network), self.author.name, self.epoch)

    @property
    def size(self) -> int:
        return len(self.entries)

    # --- writing

    def add(self, count: int = 1) -> Log:
        """Append plain entries, ids and bodies all different."""
        for _ in range(count):
            self.add_raw(encode_entry(self.next_entry()))
        return self

    def next_entry(self, **given: Any) -> Entry:
        """The entry that would come next, with members that a test wants otherwise."""
        number = len(self.entries)
        label = f"{self.label} {self.origin} {number}"
        plain = Entry(
            log=self.origin,
            index=number,
            prev=self.leaves[-1] if self.leaves else FIRST_LEAF,
            id=record_id(label, number),
            body=sha256(label.encode()),
        )
        return replace(plain, **given) if given else plain

    def add_entry(self, **given: Any) -> Log:
        """Append one entry with members that a test wants otherwise."""
        return self.add_raw(encode_entry(self.next_entry(**given)))

    def add_raw(self, entry: bytes) -> Log:
        """Append these bytes, whatever they are."""
        self.entries.append(entry)
        self.leaves.append(leaf_hash(entry))
        self._levels.clear()
        return self

    def branch(self, size: int, label: str = "fork") -> Log:
        """A log of the same author that has the first `size` entries in common with this one."""
        return Log(self.author, label, self.epoch, self.key, self.entries[:size], self.leaves[:size])

    # --- reading

    def root(self, size: int | None = None) -> Digest:
        return root_of(self.leaves[: self.size if size is None else size])

    def signed(self, size: int | None = None, *, root: Digest | None = None) -> SignedCheckpoint:
        size = self.size if size is None else size
        checkpoint = Checkpoint(origin=self.origin, size=size, root=root or self.root(size))
        key = self.key or self.author.log_key(epoch=self.epoch)
        return SignedCheckpoint(checkpoint=checkpoint, note=sign_checkpoint(checkpoint, key))

    def note(self, size: int | None = None, *, root: Digest | None = None) -> bytes:
        return self.signed(size, root=root).note

    def read(self, level: int, index: int) -> Digest:
        """The hash of a complete subtree (`ledger.merkle.HashReader`)."""
        return root_of(self.leaves[index << level : (index + 1) << level])

    def tile(self, tile: Tile) -> bytes:
        """The bytes of a tile or bundle, as a server has them."""
        start, end = tile.n * 256, tile.n * 256 + tile.width
        if tile.level == "entries":
            return encode_bundle(self.entries[start:end])
        return encode_tile(self._level(tile.level)[start:end])

    def _level(self, level: int) -> list[Digest]:
        if level == 0:
            return self.leaves
        if level not in self._levels:
            below = self._level(level - 1)
            self._levels[level] = [root_of(below[i : i + 256]) for i in range(0, len(below) // 256 * 256, 256)]
        return self._levels[level]
