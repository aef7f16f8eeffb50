from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import EncodingError, ProofInvalid, TooLarge
from ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Range,
    Row,
    consistency_ranges,
    decode_frontier,
    encode_frontier,
    fork_ranges,
    inclusion_ranges,
    leaf_hash,
    leaf_hashes,
    node_hash,
    prove_consistency,
    prove_fork,
    prove_inclusion,
    range_hash,
    root_of,
    verify_consistency,
    verify_fork,
    verify_inclusion,
)
from ledger.names import Digest
from tests.make_tree import flip, leaves, reader, uniform_reader
from tests.vectors import make_log

VECTORS: Final = Path(__file__).with_name("vectors") / "log"
TREE: Final[dict[str, Any]] = json.loads((VECTORS / "tree.json").read_text())
SHORT: Final = leaf_hashes([bytes.fromhex(text) for text in TREE["leaves"]])
LONG: Final = leaves(1000)
LIE: Final = leaf_hash(b"a lie")

digests: Final = st.binary(min_size=32, max_size=32).map(Digest)


class Untouchable(bytes):
    """A hash that fails the test as soon as anyone hashes it."""

    def __add__(self, other: object) -> bytes:
        raise AssertionError("hashed before the shape was checked")

    __radd__ = __add__


# --- vectors ------------------------------------------------------------------


@pytest.mark.parametrize("name", make_log.FILES)
def test_frozen_vectors_are_what_the_definitions_give(name: str) -> None:
    assert (VECTORS / f"{name}.json").read_text() == make_log.render(name)


def test_roots_of_the_reference_tree() -> None:
    assert [make_log.b64(root_of(SHORT[:n])) for n in range(9)] == TREE["roots"]
    assert root_of(SHORT[:1]).hex().startswith("6e340b9cffb37a989ca544e6bb780a2c")
    assert root_of(SHORT).hex().startswith("5dc9da79a70659a9ad559cb701ded9a2")
    assert [[n, make_log.b64(root_of(LONG[:n]))] for n, _ in TREE["long"]["roots"]] == TREE["long"]["roots"]


def test_the_pages_show_the_vectors() -> None:
    pages = Path(__file__).resolve().parent.parent / "docs" / "spec"
    page = (pages / "log.md").read_text()
    for size in (0, 1, 3, 4, 7):
        assert root_of(SHORT[:size]).hex() in page
    read, names = reader(SHORT[:7]), {f"l{i}": digest for i, digest in enumerate(SHORT)}
    names |= {"a": root_of(SHORT[:4]), "b": root_of(SHORT[4:7]), "c": root_of(SHORT[:2])}
    shown = (
        ("inclusion of entry 5", "l4, l6, a", prove_inclusion(5, 7, read)),
        ("consistency of the first 3 with 7", "l2, l3, c, b", prove_consistency(3, 7, read)),
        ("consistency of the first 4 with 7", "b", prove_consistency(4, 7, read)),
        ("fork at 3, and at 4, against 7", "l2, l3, c, b", prove_fork(3, 7, read)),
        ("and a, b |", "a, b", prove_fork(4, 7, read)),
    )
    for what, letters, path in shown:
        assert what in (pages / "proofs-log.md").read_text()
        assert [names[letter] for letter in letters.split(", ")] == path


@pytest.mark.parametrize(("tree", "hashes"), [(TREE, SHORT), (TREE["long"], LONG)], ids=["short", "long"])
def test_proofs_are_those_of_the_vectors(tree: dict[str, Any], hashes: list[Digest]) -> None:
    read = reader(hashes)
    provers = {"inclusion": prove_inclusion, "consistency": prove_consistency, "fork": prove_fork}
    for kind, prove in provers.items():
        for first, second, path in tree[kind]:
            assert [make_log.b64(digest) for digest in prove(first, second, read)] == path, (kind, first, second)


# --- every proof of every small tree --------------------------------------------


@pytest.mark.slow
def test_every_leaf_of_every_small_tree_is_proven_and_no_other_in_its_place() -> None:
    for size in range(1, 65):
        hashes, root = LONG[:size], root_of(LONG[:size])
        for index in range(size):
            path = prove_inclusion(index, size, reader(hashes))
            verify_inclusion(hashes[index], index=index, size=size, root=root, path=path)
            for leaf in {LIE, hashes[index - 1]} - {hashes[index]}:
                with pytest.raises(ProofInvalid):
                    verify_inclusion(leaf, index=index, size=size, root=root, path=path)


@pytest.mark.slow
def test_every_pair_of_small_sizes_is_consistent_and_proves_no_fork() -> None:
    for new in range(65):
        read, roots = reader(LONG[:new]), [root_of(LONG[:size]) for size in range(new + 1)]
        for old in range(new + 1):
            sizes: dict[str, Any] = {"old_size": old, "old_root": roots[old], "new_size": new, "new_root": roots[new]}
            verify_consistency(**sizes, path=prove_consistency(old, new, read))
            with pytest.raises(ProofInvalid, match="consistent"):
                verify_fork(**sizes, path=prove_fork(old, new, read))


@pytest.mark.slow
def test_every_fork_of_small_sizes_is_proven_and_is_not_consistent() -> None:
    for new in range(1, 65):
        read, root = reader(LONG[:new]), root_of(LONG[:new])
        for old in range(1, new + 1):
            for changed in {0, old // 2, old - 1}:
                other = root_of([*LONG[:changed], LIE, *LONG[changed + 1 : old]])
                sizes: dict[str, Any] = {"old_size": old, "old_root": other, "new_size": new, "new_root": root}
                verify_fork(**sizes, path=prove_fork(old, new, read))
                with pytest.raises(ProofInvalid):
                    verify_consistency(**sizes, path=prove_consistency(old, new, read))


# --- larger trees -----------------------------------------------------------------


@given(st.integers(1, 1000).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_inclusion_in_larger_trees_and_no_change_passes(place: tuple[int, int], data: st.DataObject) -> None:
    size, index = place
    root, path = root_of(LONG[:size]), prove_inclusion(index, size, reader(LONG[:size]))
    verify_inclusion(LONG[index], index=index, size=size, root=root, path=path)
    for changed in _changes(path, data):
        with pytest.raises(ProofInvalid):
            verify_inclusion(LONG[index], index=index, size=size, root=root, path=changed)
    other = data.draw(st.integers(-1, size).filter(lambda i: i != index))
    with pytest.raises(ProofInvalid):
        verify_inclusion(LONG[index], index=other, size=size, root=root, path=path)


@given(st.integers(1, 1000).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))), st.data())
def test_consistency_of_larger_trees_and_no_change_passes(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    old_root, new_root, read = root_of(LONG[:old]), root_of(LONG[:new]), reader(LONG[:new])
    path = prove_consistency(old, new, read)
    verify_consistency(old_size=old, old_root=old_root, new_size=new, new_root=new_root, path=path)
    for changed in _changes(path, data):
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=old, old_root=old_root, new_size=new, new_root=new_root, path=changed)
    with pytest.raises(ProofInvalid):
        verify_consistency(old_size=old, old_root=LIE, new_size=new, new_root=new_root, path=path)
    if old:
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=old, old_root=old_root, new_size=new, new_root=LIE, path=path)


@given(st.integers(1, 300).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))), st.data())
def test_nobody_can_accuse_an_honest_log(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    true = prove_fork(old, new, reader(LONG[:new]))
    own = st.sampled_from([*LONG[:new], root_of(LONG[:old]), root_of(LONG[:new]), *true])
    path = data.draw(
        st.lists(own | digests, max_size=len(true) + 1)
        | st.lists(own | digests, min_size=len(true), max_size=len(true))
        | st.just(prove_fork(old, new, reader(leaves(new, "another log"))))
        | st.sampled_from(_changes(true, data) or [[]])
    )
    with pytest.raises(ProofInvalid):
        verify_fork(old_size=old, old_root=root_of(LONG[:old]), new_size=new, new_root=root_of(LONG[:new]), path=path)


@given(st.integers(1, 1000).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))), st.data())
def test_forks_of_larger_trees_are_proven_from_either_branch(sizes: tuple[int, int], data: st.DataObject) -> None:
    old, new = sizes
    changed = data.draw(st.integers(0, old - 1))
    other = [*LONG[:changed], LIE, *LONG[changed + 1 : new]]
    for short, tall in ((LONG, other), (other, LONG)):
        claim: dict[str, Any] = {"old_size": old, "old_root": root_of(short[:old])}
        claim |= {"new_size": new, "new_root": root_of(tall[:new])}
        path = prove_fork(old, new, reader(tall[:new]))
        verify_fork(**claim, path=path)
        for altered in _changes(path, data):
            with pytest.raises(ProofInvalid):
                verify_fork(**claim, path=altered)


def _changes(path: list[Digest], data: st.DataObject) -> list[list[Digest]]:
    """A byte changed, a hash left out, one added, two swapped."""
    found = [[*path, LIE]]
    if path:
        i = data.draw(st.integers(0, len(path) - 1))
        changed = Digest(flip(path[i], data.draw(st.integers(0, 31)), data.draw(st.integers(1, 255))))
        found += [[*path[:i], changed, *path[i + 1 :]], [*path[:i], *path[i + 1 :]]]
        found += [
            [*path[:i], Digest(path[i][:31]), *path[i + 1 :]],
            [*path[:i], Digest(path[i] + b"\0"), *path[i + 1 :]],
        ]
        found += [path[::-1]] if path != path[::-1] else []
    return found


def test_every_bit_of_a_path_counts() -> None:
    path, root = prove_inclusion(543, 700, reader(LONG[:700])), root_of(LONG[:700])
    for i, digest in enumerate(path):
        for bit in range(256):
            changed = Digest(flip(digest, bit // 8, 1 << bit % 8))
            with pytest.raises(ProofInvalid):
                verify_inclusion(LONG[543], index=543, size=700, root=root, path=[*path[:i], changed, *path[i + 1 :]])


# --- edges ------------------------------------------------------------------------


def test_the_empty_tree_begins_every_tree_and_only_with_its_own_root() -> None:
    root = root_of(LONG[:9])
    verify_consistency(old_size=0, old_root=EMPTY_ROOT, new_size=9, new_root=root, path=[])
    verify_consistency(old_size=0, old_root=EMPTY_ROOT, new_size=0, new_root=EMPTY_ROOT, path=[])
    with pytest.raises(ProofInvalid):
        verify_consistency(old_size=0, old_root=LIE, new_size=9, new_root=root, path=[])
    verify_fork(old_size=0, old_root=LIE, new_size=9, new_root=root, path=[])


def test_two_roots_of_one_size_are_a_fork_and_one_root_is_none() -> None:
    for size in (0, 1, 9):
        verify_fork(old_size=size, old_root=LIE, new_size=size, new_root=LONG[0], path=[])
        with pytest.raises(ProofInvalid):
            verify_fork(old_size=size, old_root=LIE, new_size=size, new_root=LIE, path=[])
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=size, old_root=LIE, new_size=size, new_root=LONG[0], path=[])
        verify_consistency(old_size=size, old_root=LIE, new_size=size, new_root=LIE, path=[])


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1), (1, limits.INTEGER_MAX + 1)])
def test_sizes_out_of_order_or_range_are_refused(old: int, new: int) -> None:
    with pytest.raises(ProofInvalid, match="sizes"):
        verify_consistency(old_size=old, old_root=LIE, new_size=new, new_root=LIE, path=[])
    with pytest.raises(ProofInvalid, match="sizes"):
        verify_fork(old_size=old, old_root=LIE, new_size=new, new_root=LIE, path=[])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 1), (1, 1), (0, limits.INTEGER_MAX + 1)])
def test_a_leaf_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid, match="no such leaf"):
        verify_inclusion(LIE, index=index, size=size, root=LIE, path=[])


@pytest.mark.parametrize("count", [0, 1, 8, 12, 100_000])
def test_nothing_is_hashed_before_the_shape_fits(count: int) -> None:
    untouchable = Digest(Untouchable(32))
    claim: dict[str, Any] = {"old_size": 123, "old_root": LIE, "new_size": 700, "new_root": LIE}
    path = [untouchable] * count
    with pytest.raises(ProofInvalid, match="as many hashes"):
        verify_inclusion(untouchable, index=543, size=700, root=LIE, path=path)
    for verify in (verify_consistency, verify_fork):
        with pytest.raises(ProofInvalid, match="as many hashes"):
            verify(**claim, path=path)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hashes_of_another_length_are_refused_before_any_hashing(length: int) -> None:
    wrong, untouchable = Digest(Untouchable(length)), Digest(Untouchable(32))
    path = [untouchable] * (len(fork_ranges(123, 700)) - 1)
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_fork(old_size=123, old_root=LIE, new_size=700, new_root=LIE, path=[*path, wrong])
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_consistency(old_size=123, old_root=wrong, new_size=700, new_root=LIE, path=[*path, untouchable])
    path = [untouchable] * len(inclusion_ranges(543, 700))
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_inclusion(wrong, index=543, size=700, root=LIE, path=path)


def test_proofs_of_the_largest_tree_stay_within_the_limit() -> None:
    size, read = limits.INTEGER_MAX, uniform_reader()
    frontier = Frontier(size, tuple(read(level, 0) for level in range(52, -1, -1)))
    old_sizes = (1, 2**52 - 1, 2**52, 2**52 + 1, size - 1)
    for index in (0, 2**52, size - 1):
        path = prove_inclusion(index, size, read)
        verify_inclusion(read(0, 0), index=index, size=size, root=frontier.root(), path=path)
        assert len(path) <= limits.PROOF_HASHES_MAX
    for old in old_sizes:
        claim: dict[str, Any] = {"old_size": old, "new_size": size, "new_root": frontier.root()}
        path = prove_fork(old, size, read)
        verify_fork(**claim, old_root=LIE, path=path)
        verify_consistency(**claim, old_root=range_hash(0, old, read), path=prove_consistency(old, size, read))
        assert len(path) <= limits.PROOF_HASHES_MAX
    assert max(len(fork_ranges(old, size)) for old in old_sizes) == 54
    with pytest.raises(TooLarge):
        frontier.extended([LIE])


# --- ranges -------------------------------------------------------------------------


@given(st.integers(1, 5000).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_the_ranges_of_an_inclusion_proof_and_its_leaf_are_the_whole_tree(place: tuple[int, int]) -> None:
    index, size = place
    ranges = sorted([*inclusion_ranges(index, size), Range(index, index + 1)])
    assert ranges[0][0] == 0
    assert [end for _, end in ranges] == [start for start, _ in ranges[1:]] + [size]


@given(st.integers(1, 5000).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_the_ranges_of_a_fork_proof_are_the_whole_tree_and_break_at_the_old_size(sizes: tuple[int, int]) -> None:
    old, new = sizes
    ranges = sorted(fork_ranges(old, new)) or [Range(0, old)]
    assert ranges[0][0] == 0
    assert [end for _, end in ranges] == [start for start, _ in ranges[1:]] + [new]
    assert old in [end for _, end in ranges]
    assert consistency_ranges(old, new) in (fork_ranges(old, new), fork_ranges(old, new)[1:])


# --- growing --------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300), max_size=8))
def test_a_frontier_grown_in_any_batches_has_the_root_of_all_leaves(batches: list[int]) -> None:
    hashes, frontier = leaves(sum(batches)), Frontier()
    for start, end in zip([0, *accumulate(batches)], accumulate(batches), strict=False):
        frontier = frontier.extended(hashes[start:end])
        assert frontier.size == end
        assert frontier.root() == root_of(hashes[:end])
        assert len(frontier.hashes) == end.bit_count()
        assert decode_frontier(encode_frontier(frontier)) == frontier


@given(st.integers(0, 600), st.integers(0, 1200))
def test_a_frontier_tells_which_higher_subtrees_became_complete(old: int, added: int) -> None:
    hashes = leaves(old + added)
    _, rows = Frontier().extended(hashes[:old]).extended_rows(hashes[old:])
    expected = [root_of(hashes[256 * i : 256 * i + 256]) for i in range(old // 256, (old + added) // 256)]
    assert rows == ([Row(8, old // 256, expected)] if expected else [])


def test_rows_reach_the_third_level_of_tiles() -> None:
    read = uniform_reader()
    leaf, start = read(0, 0), 65_536 - 300
    frontier = Frontier(start, tuple(read(level, 0) for level in range(15, -1, -1) if start >> level & 1))
    grown, rows = frontier.extended_rows([leaf] * 301)
    assert [(row.level, row.start, len(row.hashes)) for row in rows] == [(8, 254, 2), (16, 0, 1)]
    assert rows[1].hashes == [read(16, 0)]
    assert grown.hashes == (read(16, 0), leaf)


def test_extending_leaves_the_old_frontier_as_it_was() -> None:
    given_leaves = leaves(5)
    frontier = Frontier().extended(given_leaves)
    before = (frontier.size, frontier.hashes, list(given_leaves))
    frontier.extended(given_leaves)
    assert (frontier.size, frontier.hashes, given_leaves) == before


@given(st.integers(0, 40), st.binary(max_size=80), st.integers(0, 2**64 - 1))
def test_a_frontier_of_another_length_than_its_size_says_is_refused(count: int, tail: bytes, size: int) -> None:
    raw = size.to_bytes(8, "big") + bytes(32 * count) + tail
    try:
        assert encode_frontier(decode_frontier(raw)) == raw
    except EncodingError:
        assert size > limits.INTEGER_MAX or len(raw) != 8 + 32 * size.bit_count()


@pytest.mark.parametrize("raw", [b"", bytes(7), bytes(9), bytes(40), (1).to_bytes(8, "big"), b"\xff" * (8 + 64 * 32)])
def test_frontiers_cut_or_padded_are_refused(raw: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_frontier(raw)


def test_leaves_and_nodes_never_hash_alike() -> None:
    left, right = LONG[0], LONG[1]
    assert leaf_hash(left + right) != node_hash(left, right)
    assert leaf_hash(b"\1" + left + right) != node_hash(left, right)
    assert leaf_hashes([b"a", b"b"]) == [leaf_hash(b"a"), leaf_hash(b"b")]
