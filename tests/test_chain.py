"""Chaining entries: where slots stand, of statements and of decoys. Spec: docs/spec/entry.md, "Slot"."""

from __future__ import annotations

from ledger.merkle import Frontier
from ledger.names import Digest, MemberName, NetworkName, Origin
from node.chain import NewEntry, Tip, chain
from node.storage.packing import unpack_entry
from tests.make import record_id

ORIGIN = Origin(NetworkName("cold-chain.example"), MemberName("fishery"))


def _slots_of_batches(count: int, *taken: int) -> list[list[int]]:
    """The places of the slots in many batches of `count` entries, those at `taken` with one of a statement."""
    head = Tip(frontier=Frontier(0, ()), last_leaf=Digest(bytes(32)), card=None, charter=None)
    entries = [NewEntry(record_id(str(i)), bytes(32), bytes([i]) * 16 if i in taken else None) for i in range(count)]
    found = [chain(entries, head, origin=ORIGIN, documents=(None, None)).slots for _ in range(400)]
    for slots in found:
        assert all(slots[bytes([i]) * 16] == i for i in taken)
    return [sorted(slots.values()) for slots in found]


def test_neither_place_nor_number_tells_a_decoy_from_a_statement() -> None:
    """Each place and each number that is looked for fails to come with a chance below 2**-50."""
    alone, beside = _slots_of_batches(6), _slots_of_batches(6, 2)
    for batches in (alone, beside):
        assert {place for places in batches for place in places} == set(range(6))
        assert {len(places) for places in batches} >= {1, 2, 3}
    assert {places[0] for places in alone if len(places) == 1} == set(range(6)), "a lone slot may be anywhere"
    assert _slots_of_batches(1) == _slots_of_batches(1, 0) == [[0]] * 400, "a lone entry always has one"
    assert all(len(places) == 2 for places in _slots_of_batches(2, 0, 1))


def test_first_entry_announces_both_documents_and_later_ones_what_has_changed() -> None:
    card, charter, renewed = (Digest(bytes([number]) * 32) for number in range(3))
    entries = [NewEntry(record_id(str(i)), bytes(32), None) for i in range(3)]

    def announced(size: int, held: tuple[Digest | None, Digest | None], *documents: Digest) -> list[object]:
        frontier = Frontier(0, ()).extended([Digest(bytes(32))] * size)
        head = Tip(frontier=frontier, last_leaf=Digest(bytes(32)), card=held[0], charter=held[1])
        rows = chain(entries, head, origin=ORIGIN, documents=documents).packed
        return [(row.card, row.charter) for row in map(unpack_entry, rows)]

    silent = [(None, None)] * 2
    assert announced(0, (None, None), card, charter) == [(card, charter), *silent]
    assert announced(5, (card, charter), card, charter) == [(None, None), *silent]
    assert announced(5, (card, charter), renewed, charter) == [(renewed, None), *silent]
    assert announced(5, (card, charter), card, renewed) == [(None, renewed), *silent]
