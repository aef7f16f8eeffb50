"""Builders of trees and tiles for tests: entries by number, a reader over leaf hashes, the files of a log."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.merkle import HashReader, leaf_hash, leaf_hashes, root_of
from ledger.names import Digest
from ledger.tiles import encode_bundle, encode_tile, entries_path, tile_path


def entries(count: int, label: str = "entry") -> list[bytes]:
    return [f"{label} {i}".encode() for i in range(count)]


def leaves(count: int, label: str = "entry") -> list[Digest]:
    return leaf_hashes(entries(count, label))


def reader(hashes: Sequence[Digest]) -> HashReader:
    """Hashes of any complete subtree, computed from the leaves each time."""

    def read(level: int, index: int) -> Digest:
        assert (index + 1) << level <= len(hashes)
        return root_of(hashes[index << level : (index + 1) << level])

    return read


def uniform_reader() -> HashReader:
    """The tree in which every entry is empty: any size, at no cost."""
    by_level = [leaf_hash(b"")]
    while len(by_level) < 54:
        by_level.append(root_of([by_level[-1], by_level[-1]]))
    return lambda level, index: by_level[level]


def files(items: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile and bundle of a log, by path; partial ones only at the log's own size."""
    found = {}
    row, level = leaf_hashes(items), 0
    while row:
        for n in range((len(row) + 255) // 256):
            tile = row[256 * n : 256 * n + 256]
            found[tile_path(level, n, len(tile))] = encode_tile(tile)
            if level == 0:
                found[entries_path(n, len(tile))] = encode_bundle(items[256 * n : 256 * n + 256])
        row, level = [root_of(row[256 * n : 256 * n + 256]) for n in range(len(row) // 256)], level + 1
    return found


def flip(raw: bytes, position: int, bits: int = 1) -> bytes:
    """`raw` with one byte changed."""
    return raw[:position] + bytes([raw[position] ^ bits]) + raw[position + 1 :]
