"""Tiles: a log's hashes and entries as files that never change, and reading proofs out of them.

A tile holds up to 256 neighbouring hashes of one level, a bundle the entries under a
level-0 tile. Neither is believed: what is read here is checked by the proof, or the
root, that is made of it.

Spec: docs/spec/tiles.md; c2sp.org/tlog-tiles@v0.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.merkle import HashReader, Range, root_of
from ledger.names import Digest

Level = int | Literal["entries"]

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<n>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z"
)
_N_MAX: Final = limits.INTEGER_MAX // limits.TILE_WIDTH


class Tile(NamedTuple):
    """Number `n` at `level`, `width` hashes wide; at level `"entries"` a bundle of `width` entries."""

    level: Level
    n: int
    width: int = limits.TILE_WIDTH

    @property
    def path(self) -> str:
        return entries_path(self.n, self.width) if self.level == "entries" else tile_path(*self)


TileReader = Callable[[Tile], Sequence[Digest]]
"""Fetches the hashes of a tile, as many as its width says."""


# --- paths --------------------------------------------------------------------


def tile_path(level: Level, n: int, width: int = limits.TILE_WIDTH) -> str:
    """`tile/0/x001/x234/067`, with `.p/5` behind it for a partial tile of 5."""
    if level != "entries" and not 0 <= level <= limits.TILE_LEVEL_MAX:
        raise EncodingError(field="tile path", reason="no such level")
    if not 0 <= n <= _N_MAX or not 1 <= width <= limits.TILE_WIDTH:
        raise EncodingError(field="tile path", reason="number or width out of range")
    groups = [f"{n % 1000:03d}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == limits.TILE_WIDTH else f".p/{width}")


def entries_path(n: int, width: int = limits.TILE_WIDTH) -> str:
    return tile_path("entries", n, width)


def decode_tile_path(path: str) -> Tile:
    """Parse what `tile_path` or `entries_path` wrote; as a tuple: (level or "entries", n, width)."""
    found = _PATH.match(path)
    if not found:
        raise EncodingError(field="tile path", reason="not tile/LEVEL/N or tile/entries/N")
    level: Level = "entries" if found["level"] == "entries" else int(found["level"])
    n = int(found["n"].replace("x", "").replace("/", ""))
    width = int(found["width"] or limits.TILE_WIDTH)
    if tile_path(level, n, width) != path:
        raise EncodingError(field="tile path", reason="not in canonical form")
    return Tile(level, n, width)


# --- which tiles there are ------------------------------------------------------


def width_of(n: int, level: Level, size: int) -> int:
    """Width of tile `n` at `level` in a log of `size` entries: 0 if there is none, 256 if it is full."""
    hashes = size if level == "entries" else size >> (limits.TILE_LEVELS * level)
    return min(max(hashes - n * limits.TILE_WIDTH, 0), limits.TILE_WIDTH)


def tile_of(level: Level, n: int, size: int) -> Tile:
    """Tile `n` at `level` as wide as a log of `size` entries has it. Raises: EncodingError if it has none."""
    width = width_of(n, level, size) if n >= 0 else 0
    if not width:
        raise EncodingError(field="tile", reason=f"a log of {size} entries has no tile {n} at level {level}")
    return Tile(level, n, width)


def bundles_between(start: int, end: int) -> list[Tile]:
    """The bundles that hold entries [start, end) of a log of `end` entries, in order."""
    if start >= end:
        return []
    first, last = start // limits.TILE_WIDTH, (end - 1) // limits.TILE_WIDTH
    return [tile_of("entries", n, end) for n in range(first, last + 1)]


def tiles_for(ranges: Iterable[Range], size: int) -> list[Tile]:
    """The tiles that `hash_reader` will ask for to hash `ranges` in a log of `size` entries: fetch them all at once."""
    found = set()
    for start, end in ranges:
        while start < end:
            level = (end - start).bit_length() - 1
            found.add(_locate(level, start >> level, size)[0])
            start += 1 << level
    return sorted(found)


def hash_reader(read_tile: TileReader, size: int) -> HashReader:
    """Turn "read a tile" into "read a hash at any level" for a log of `size` entries.

    Each tile is read once and kept as long as the reader: make one per proof. The reader
    raises EncodingError if a tile has another width than asked for; whether its hashes
    are right shows when the proof is verified.
    """
    kept: dict[Tile, Sequence[Digest]] = {}

    def read(level: int, index: int) -> Digest:
        tile, start, end = _locate(level, index, size)
        if tile not in kept:
            kept[tile] = read_tile(tile)
        if len(kept[tile]) != tile.width:
            raise EncodingError(field=tile.path, reason=f"{len(kept[tile])} hashes where {tile.width} are due")
        return root_of(kept[tile][start:end])

    return read


# --- bytes --------------------------------------------------------------------


def encode_tile(hashes: Sequence[Digest]) -> bytes:
    if not 1 <= len(hashes) <= limits.TILE_WIDTH or any(len(digest) != 32 for digest in hashes):
        raise EncodingError(field="tile", reason="a tile is 1 to 256 hashes of 32 bytes")
    return b"".join(hashes)


def decode_tile(raw: bytes, width: int) -> list[Digest]:
    """The `width` hashes of a tile. Raises: EncodingError if it is not exactly as long."""
    if not 1 <= width <= limits.TILE_WIDTH or len(raw) != 32 * width:
        raise EncodingError(field="tile", reason=f"{len(raw)} bytes where {32 * width} are due")
    return [Digest(raw[i : i + 32]) for i in range(0, len(raw), 32)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """u16be length and bytes of each entry."""
    if not 1 <= len(entries) <= limits.TILE_WIDTH or any(len(entry) > 0xFFFF for entry in entries):
        raise EncodingError(field="bundle", reason="a bundle is 1 to 256 entries of at most 65,535 bytes")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_bundle(raw: bytes, width: int) -> list[bytes]:
    """The `width` entries of a bundle; what they hold, and `limits.ENTRY_BYTES_MAX`, is for the reader of entries.

    Raises: EncodingError, TooLarge.
    """
    if len(raw) > limits.BUNDLE_BYTES_MAX:
        raise TooLarge(what="bundle", got=len(raw), limit=limits.BUNDLE_BYTES_MAX, unit="bytes")
    if not 1 <= width <= limits.TILE_WIDTH or len(raw) < 2 * width:
        raise EncodingError(field="bundle", reason=f"too short for {width} entries")
    entries, end = [], 0
    try:
        for _ in range(width):
            start = end + 2
            end = start + (raw[end] << 8 | raw[end + 1])  # a third of what int.from_bytes of a slice takes
            entries.append(raw[start:end])
    except IndexError:
        end = -1  # a length behind the last byte
    if end != len(raw):  # also where an entry is cut short
        raise EncodingError(field="bundle", reason=f"its entries do not end where its {len(raw)} bytes end")
    return entries


# --- inside -------------------------------------------------------------------


def _locate(level: int, index: int, size: int) -> tuple[Tile, int, int]:
    """The tile that holds subtree `index` of 2**level leaves, and which of its hashes, [start, end), are under it."""
    assert (index + 1) << level <= size, "only complete subtrees are read from tiles"
    tile_level, depth = divmod(level, limits.TILE_LEVELS)
    n, start = divmod(index << depth, limits.TILE_WIDTH)
    return tile_of(tile_level, n, size), start, start + (1 << depth)
