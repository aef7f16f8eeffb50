"""Two trees to compare: a peer's, by its hash tiles, each checked against a signed root; and our own, by its store.

Spec: docs/spec/replica.md, "Who lies".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ledger import limits
from ledger.checkpoint import Checkpoint
from ledger.errors import RootMismatch
from ledger.merkle import Frontier, HashReader, Range, fork_ranges, prove_fork, range_hash, root_of
from ledger.names import Digest, Origin
from ledger.replica.actions import GetTiles, ReadHashes, Steps
from ledger.tiles import Tile, decode_tile, hash_reader, tile_of, tiles_for, width_of

T = TypeVar("T")

_NO_HASH: Final = Digest(bytes(32))


@dataclass(frozen=True, slots=True)
class Subtree:
    """The complete subtree over leaves [index * 2**level, (index + 1) * 2**level), and its hash."""

    level: int
    index: int
    digest: Digest


class SignedTree:
    """A log as a peer shows it, read through hash tiles that lead to the signed root.

    A tile is checked before a hash of it is used: the partial ones at the right edge together
    make the root, every other is the preimage of a hash in the tile above it. One tile per
    level is kept, so memory is bounded whatever size was signed. Owned by one round.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._origin = checkpoint.origin
        self._root = checkpoint.root
        self._edge: dict[Tile, list[Digest]] = {}
        self._kept: dict[int, tuple[Tile, Sequence[Digest]]] = {}
        self.size = checkpoint.size

    def open(self) -> Steps[None]:
        """Fetch the right edge. Raises: RootMismatch if the peer's hashes do not lead to the signed root."""
        edge = [self._edge_tile(level) for level in reversed(range(limits.TILE_LEVEL_MAX + 1))]
        asked = [tile for tile in edge if tile.width]
        answers = yield GetTiles(self._origin, tuple(asked))
        hashes = {tile: decode_tile(raw, tile.width) for tile, raw in zip(asked, answers, strict=True)}
        frontier = Frontier()
        for tile in edge:
            # A tree over hashes of 256 leaves each is the same tree, counted in other units.
            frontier = Frontier(frontier.size * limits.TILE_WIDTH, frontier.hashes).extended(hashes.get(tile, []))
        if frontier.root() != self._root:
            raise RootMismatch(what=f"hash tiles of {self._origin} at {self.size}")
        self._edge = hashes

    def digest(self, level: int, index: int) -> Steps[Digest]:
        """The hash of one complete subtree, given as `ledger.merkle.HashReader` takes it."""
        leaves = Range(index << level, (index + 1) << level)
        return (yield from self._compute([leaves], lambda read: read(level, index)))

    def root_at(self, size: int) -> Steps[Digest]:
        """The root that the first `size` leaves had, at least one."""
        return (yield from self._compute([Range(0, size)], lambda read: range_hash(0, size, read)))

    def prove_fork(self, old_size: int) -> Steps[list[Digest]]:
        """The path that derives the signed root and the root at `old_size`."""
        ranges = fork_ranges(old_size, self.size)
        return (yield from self._compute(ranges, lambda read: prove_fork(old_size, self.size, read)))

    def has(self, subtrees: Iterable[Subtree]) -> Steps[bool]:
        """True if all of `subtrees` are in this tree, each in its place."""
        return (yield from self.first_other(subtrees)) is None

    def first_other(self, subtrees: Iterable[Subtree]) -> Steps[Subtree | None]:
        """The first of `subtrees` whose hash this tree does not have in its place."""
        for subtree in subtrees:
            if (yield from self.digest(subtree.level, subtree.index)) != subtree.digest:
                return subtree
        return None

    def _compute(self, ranges: Iterable[Range], compute: Callable[[HashReader], T]) -> Steps[T]:
        """Run `compute`, which reads hashes under `ranges` only, over checked tiles."""
        tiles: dict[Tile, Sequence[Digest]] = {}
        for tile in tiles_for(ranges, self.size):
            tiles[tile] = yield from self._tile(tile)
        return compute(hash_reader(tiles.__getitem__, self.size))

    def _tile(self, tile: Tile) -> Steps[Sequence[Digest]]:
        """The hashes of a tile: of the right edge, kept, or fetched and checked from above, at most 7 levels."""
        level, n, _ = tile
        assert level != "entries", "hashes are not in bundles"
        if tile in self._edge:
            return self._edge[tile]
        if level in self._kept and self._kept[level][0] == tile:
            return self._kept[level][1]
        above, slot = divmod(n, limits.TILE_WIDTH)
        parent = yield from self._tile(tile_of(level + 1, above, self.size))
        (raw,) = yield GetTiles(self._origin, (tile,))
        hashes = decode_tile(raw, tile.width)
        if root_of(hashes) != parent[slot]:
            raise RootMismatch(what=f"{tile.path} of {self._origin}")
        self._kept[level] = (tile, hashes)
        return hashes

    def _edge_tile(self, level: int) -> Tile:
        """The partial tile at the right end of a level; of width 0 where the last one is full."""
        n = self.size >> (limits.TILE_LEVELS * (level + 1))
        return Tile(level, n, width_of(n, level, self.size))


def subtrees_of(frontier: Frontier) -> list[Subtree]:
    """The complete subtrees that a frontier is made of, largest first."""
    places = _places(frontier.size)
    return [Subtree(*place, digest) for place, digest in zip(places, frontier.hashes, strict=True)]


def read_own(origin: Origin, compute: Callable[[HashReader], T]) -> Steps[T]:
    """Run `compute` over our own tree: once to see which hashes it takes, and again with them."""
    asked: dict[tuple[int, int], None] = {}

    def note(level: int, index: int) -> Digest:
        asked[level, index] = None
        return _NO_HASH

    compute(note)
    answers = yield ReadHashes(origin, tuple(asked))
    known = dict(zip(asked, answers, strict=True))
    return compute(lambda level, index: known[level, index])


def read_own_subtrees(origin: Origin, size: int) -> Steps[list[Subtree]]:
    """Those that the first `size` entries held are made of, largest first."""
    places = _places(size)
    answers = yield ReadHashes(origin, tuple(places))
    return [Subtree(*place, digest) for place, digest in zip(places, answers, strict=True)]


def find_first_difference(origin: Origin, tree: SignedTree, own: Iterable[Subtree]) -> Steps[int | None]:
    """Index of the first leaf under `own` that is another one in `tree`; None if there is none.

    own: complete subtrees from the left, without gaps. Cost: two hashes per level on the way down.
    """
    other = yield from tree.first_other(own)
    if other is None:
        return None
    level, index = other.level, other.index
    while level:
        level, index = level - 1, index * 2
        (left,) = yield ReadHashes(origin, ((level, index),))
        if left == (yield from tree.digest(level, index)):
            index += 1  # The left half is the same, so the difference is in the right one.
    return index


def _places(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees of a tree, largest first: one per 1 bit of its size."""
    return [(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1]
