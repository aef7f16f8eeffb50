from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import EncodingError, ProofInvalid, TallyError, TooLarge
from ledger.merkle import (
    consistency_ranges,
    fork_ranges,
    inclusion_ranges,
    leaf_hash,
    leaf_hashes,
    prove_consistency,
    prove_fork,
    prove_inclusion,
    root_of,
    verify_inclusion,
)
from ledger.names import Digest, sha256
from ledger.tiles import (
    Level,
    Tile,
    bundles_between,
    decode_bundle,
    decode_tile,
    decode_tile_path,
    encode_bundle,
    encode_tile,
    entries_path,
    hash_reader,
    tile_of,
    tile_path,
    tiles_for,
    width_of,
)
from tests.make_tree import entries, files, leaves, reader

VECTORS: Final[dict[str, Any]] = json.loads((Path(__file__).with_name("vectors") / "log" / "tiles.json").read_text())
SIZE: Final = 70_000
LEAVES: Final = leaves(SIZE)

levels: Final[st.SearchStrategy[Level]] = st.integers(0, limits.TILE_LEVEL_MAX) | st.just("entries")


def read_from(stored: dict[str, bytes]) -> Callable[[Tile], list[Digest]]:
    return lambda tile: decode_tile(stored[tile.path], tile.width)


# --- paths --------------------------------------------------------------------


def test_paths_are_those_of_the_vectors() -> None:
    for level, n, width, path in VECTORS["paths"]:
        assert tile_path(level, n, width) == path
        assert Tile(level, n, width).path == path
        assert decode_tile_path(path) == (level, n, width)


@pytest.mark.parametrize("path", VECTORS["bad_paths"])
def test_bad_paths_of_the_vectors_are_refused(path: str) -> None:
    with pytest.raises(EncodingError):
        decode_tile_path(path)


@given(levels, st.integers(0, limits.INTEGER_MAX // 256), st.integers(1, 256))
def test_tile_paths_come_back_as_they_went(level: Level, n: int, width: int) -> None:
    assert decode_tile_path(tile_path(level, n, width)) == Tile(level, n, width)


@given(st.from_regex(r"\Atile/([0-9]{1,2}|entries)/(x?[0-9]{3}/){0,6}x?[0-9]{1,4}(\.p/[0-9]{1,3})?\n?\Z") | st.text())
def test_only_paths_that_we_write_are_read(path: str) -> None:
    try:
        level, n, width = decode_tile_path(path)
    except EncodingError:
        return
    assert tile_path(level, n, width) == path


@pytest.mark.parametrize(
    ("level", "n", "width"), [(-1, 0, 1), (7, 0, 1), (0, -1, 1), (0, 2**45, 1), (0, 0, 0), (0, 0, 257)]
)
def test_tiles_that_cannot_be_have_no_path(level: int, n: int, width: int) -> None:
    with pytest.raises(EncodingError):
        tile_path(level, n, width)


# --- which tiles there are ------------------------------------------------------


def test_the_tiles_of_the_example_are_those_of_the_vectors() -> None:
    assert VECTORS["size"] == SIZE
    read = reader(LEAVES)
    for level, n, width, path, digest in VECTORS["tiles"]:
        assert tile_of(level, n, SIZE) == (level, n, width)
        hashes = [read(8 * level, i) for i in range(256 * n, 256 * n + width)]
        assert (tile_path(level, n, width), sha256(encode_tile(hashes)).hex()) == (path, digest)
    # c2sp.org/tlog-tiles: 273 full tiles and one of 112, one full and one of 17, one of 1.
    assert [width_of(n, 0, SIZE) for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [width_of(n, "entries", SIZE) for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [width_of(n, 1, SIZE) for n in (0, 1, 2)] == [256, 17, 0]
    assert [width_of(n, 2, SIZE) for n in (0, 1)] == [1, 0]
    assert [width_of(0, level, 256) for level in (0, 1, 2)] == [256, 1, 0]


@pytest.mark.parametrize(("level", "n", "size"), [(0, 0, 0), (0, 1, 256), (1, 0, 255), ("entries", 1, 256), (0, -1, 9)])
def test_a_tile_that_a_log_does_not_have_is_refused(level: Level, n: int, size: int) -> None:
    with pytest.raises(EncodingError):
        tile_of(level, n, size)


def test_bundles_between_two_sizes_are_the_ones_to_fetch() -> None:
    assert bundles_between(0, 0) == bundles_between(700, 700) == []
    assert bundles_between(0, 700) == [("entries", 0, 256), ("entries", 1, 256), ("entries", 2, 188)]
    assert bundles_between(255, 256) == [("entries", 0, 256)]
    assert bundles_between(256, 257) == [("entries", 1, 1)]


# --- reading hashes and proofs out of tiles ----------------------------------------


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_proofs_read_from_tiles_are_those_of_the_leaves(size: int) -> None:
    stored, direct = files(entries(size)), reader(LEAVES[:size])
    for other in {0, 1, size // 3, size // 2, 254, 255, 256, 257, size - 1} & set(range(size)):
        read = hash_reader(read_from(stored), size)
        assert prove_inclusion(other, size, read) == prove_inclusion(other, size, direct)
        assert prove_consistency(other, size, read) == prove_consistency(other, size, direct)
        assert prove_fork(other, size, read) == prove_fork(other, size, direct)


@pytest.mark.slow
def test_hashes_of_every_level_are_read_from_tiles() -> None:
    stored, direct = files(entries(SIZE)), reader(LEAVES)
    read = hash_reader(read_from(stored), SIZE)
    for level in range(17):
        for index in {0, (SIZE >> level) - 1}:
            assert read(level, index) == direct(level, index)
    path = prove_inclusion(69_999, SIZE, read)
    verify_inclusion(LEAVES[69_999], index=69_999, size=SIZE, root=root_of(LEAVES), path=path)


@given(st.integers(1, SIZE).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_the_tiles_named_beforehand_are_those_that_are_read_and_each_once(place: tuple[int, int]) -> None:
    other, size = place
    zero = Digest(bytes(32))
    for ranges, prove in (
        (inclusion_ranges(other, size), prove_inclusion),
        (consistency_ranges(other, size), prove_consistency),
        (fork_ranges(other, size), prove_fork),
    ):
        asked: list[Tile] = []

        def read_tile(tile: Tile, asked: list[Tile] = asked) -> Sequence[Digest]:
            asked.append(tile)
            return [zero] * tile.width

        prove(other, size, hash_reader(read_tile, size))
        assert sorted(asked) == tiles_for(ranges, size)
        assert all(tile.width == width_of(tile.n, tile.level, size) for tile in asked)
        assert all(count <= 2 for count in Counter(tile.level for tile in asked).values())


def test_a_tile_that_lies_yields_a_proof_that_fails() -> None:
    stored = files(entries(700))
    liar = {path: raw[:-1] + bytes([raw[-1] ^ 1]) for path, raw in stored.items()}
    path = prove_inclusion(543, 700, hash_reader(read_from(liar), 700))
    with pytest.raises(ProofInvalid):
        verify_inclusion(LEAVES[543], index=543, size=700, root=root_of(LEAVES[:700]), path=path)


@pytest.mark.parametrize("width", [0, 187, 189])
def test_a_tile_of_another_width_than_asked_for_is_refused(width: int) -> None:
    read = hash_reader(lambda tile: LEAVES[:width], 188)
    with pytest.raises(EncodingError, match="188"):
        read(0, 0)


# --- bytes ------------------------------------------------------------------------


def test_the_bundle_of_the_vectors() -> None:
    items = [bytes.fromhex(text) for text in VECTORS["bundle"]["entries"]]
    assert encode_bundle(items).hex() == VECTORS["bundle"]["bytes"]
    assert decode_bundle(bytes.fromhex(VECTORS["bundle"]["bytes"]), len(items)) == items


@pytest.mark.parametrize(("width", "raw"), [(w, raw) for _, w, raw in VECTORS["bad_bundles"]])
def test_bad_bundles_of_the_vectors_are_refused(width: int, raw: str) -> None:
    with pytest.raises(EncodingError):
        decode_bundle(bytes.fromhex(raw), width)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=20))
def test_bundles_come_back_as_they_went(items: list[bytes]) -> None:
    raw = encode_bundle(items)
    assert decode_bundle(raw, len(items)) == items
    for width in {len(items) - 1, len(items) + 1}:
        with pytest.raises(EncodingError):
            decode_bundle(raw, width)
    for changed in (raw[:-1], raw + b"\0", b"\xff" + raw[1:]):
        with pytest.raises(EncodingError):
            decode_bundle(changed, len(items))


@given(st.binary(max_size=60), st.integers(-1, 30))
def test_only_bundles_that_we_write_are_read(raw: bytes, width: int) -> None:
    try:
        items = decode_bundle(raw, width)
    except TallyError:
        return
    assert encode_bundle(items) == raw
    assert len(items) == width


def test_every_byte_changed_in_a_bundle_is_seen_by_the_leaf_hashes() -> None:
    items = entries(5)
    raw, hashes = encode_bundle(items), leaf_hashes(items)
    for i in range(len(raw)):
        for bits in (1, 0x80, 0xFF):
            try:
                found = decode_bundle(raw[:i] + bytes([raw[i] ^ bits]) + raw[i + 1 :], 5)
            except EncodingError:
                continue
            assert leaf_hashes(found) != hashes


def test_bundles_hold_256_entries_of_65535_bytes_and_no_more() -> None:
    longest = b"x" * 0xFFFF
    raw = encode_bundle([longest] * 256)
    assert len(raw) == limits.BUNDLE_BYTES_MAX
    assert decode_bundle(raw, 256) == [longest] * 256
    with pytest.raises(TooLarge):
        decode_bundle(raw + b"\0", 256)
    for items in ([longest + b"x"], [b""] * 257, []):
        with pytest.raises(EncodingError):
            encode_bundle(items)


@given(st.lists(st.binary(min_size=32, max_size=32).map(Digest), min_size=1, max_size=256))
def test_tiles_come_back_as_they_went(hashes: list[Digest]) -> None:
    raw = encode_tile(hashes)
    assert decode_tile(raw, len(hashes)) == hashes
    for changed, width in ((raw[:-1], len(hashes)), (raw + b"\0", len(hashes)), (raw, len(hashes) + 1), (b"", 0)):
        with pytest.raises(EncodingError):
            decode_tile(changed, width)


def test_tiles_hold_1_to_256_hashes_of_32_bytes() -> None:
    hashes = [leaf_hash(b"")] * 257
    assert decode_tile(encode_tile(hashes[:256]), 256) == hashes[:256]
    for wrong in (hashes, [], [Digest(b"x" * 31)], [Digest(b"x" * 33)]):
        with pytest.raises(EncodingError):
            encode_tile(wrong)
    with pytest.raises(EncodingError):
        decode_tile(bytes(32 * 257), 257)


def test_bundles_and_tiles_of_one_number_belong_together() -> None:
    stored = files(entries(300))
    assert entries_path(1, 44) in stored
    assert leaf_hashes(decode_bundle(stored[entries_path(1, 44)], 44)) == decode_tile(stored[tile_path(0, 1, 44)], 44)
