"""The store: heads that move once, entries that come back byte for byte, and who is given which body."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import SignedCheckpoint
from ledger.entry import SLOT_BYTES
from ledger.errors import Missing
from ledger.jsontext import encode_canonical
from ledger.merkle import Frontier, leaf_hash, prove_inclusion, root_of, verify_inclusion
from ledger.names import Digest, MemberName, decode_origin
from ledger.replica import CommitEntries, EntryBatch, Repeat, check_entries
from ledger.sealing import decode_channel_message, open_channel
from ledger.sidecar import Sidecar, encode_bodies
from node.storage import checkpoints, logs, places, sidecars
from node.storage.packing import RowDamaged, pack_entry, pack_received
from node.storage.replicas import ReplicaMoved, commit_entries, read_head
from node.storage.store import Store, Tx
from tests.make import Log, record_id
from tests.make_membership import firm
from tests.make_sealed import MEMBERS, Record, record

FISHERY: Final = firm("fishery")
SLOT: Final = bytes(range(SLOT_BYTES))


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store.open(None)
    yield made
    made.close()


def read_log(store: Store, log: Log) -> logs.StoredLog:
    with store.read() as tx:
        found = logs.find_log(tx, log.origin)
    assert found is not None, "the test made the log"
    return found


def action(log: Log, start: int, end: int, *, signed: SignedCheckpoint | None = None) -> CommitEntries:
    """What a round commits of entries [start, end)."""
    prev = log.leaves[start - 1] if start else logs.GENESIS
    batch = check_entries(log.entries[start:end], origin=log.origin, start=start, prev=prev)
    return CommitEntries(
        batch=batch, frontier=Frontier().extended(log.leaves[:end]), checkpoint=signed or log.signed(end)
    )


def mirror(store: Store, log: Log, *ends: int) -> list[Repeat]:
    """Commit the entries up to each of `ends`, a transaction each."""
    found: list[Repeat] = []
    with store.write("adopt") as tx:
        start = logs.ensure_log(tx, log.origin).size
    for end in ends or (log.size,):
        with store.write("sync-entries") as tx:
            found += commit_entries(tx, action(log, start, end))
        start = end
    return found


def raise_in(store: Store, *ways: Any) -> None:
    """Run each way in one transaction that fails at its end."""

    def fail() -> None:
        with store.write("adopt") as tx:
            for way in ways:
                way(tx)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()


# --- transactions ---------------------------------------------------------------------


def test_transaction_that_raised_left_no_trace(store: Store) -> None:
    log = Log(FISHERY).add(3)
    raise_in(store, lambda tx: logs.ensure_log(tx, log.origin))
    with store.read() as tx:
        assert logs.list_logs(tx) == []
    mirror(store, log, 2)
    before = read_log(store, log)
    raise_in(store, lambda tx: commit_entries(tx, action(log, 2, 3)))
    assert read_log(store, log) == before
    mirror(store, log, 3)
    assert read_log(store, log).size == 3


def test_what_was_committed_is_there_after_opening_the_file_anew(tmp_path: Path) -> None:
    log = Log(FISHERY).add(300)
    first = Store.open(tmp_path / "ledger.db")
    mirror(first, log, 100, 300)
    kept = read_log(first, log)
    first.close()
    second = Store.open(tmp_path / "ledger.db")
    assert read_log(second, log) == kept
    with second.read() as tx:
        assert logs.read_entries(tx, kept, 0, 300) == log.entries
    second.close()


def test_reader_keeps_its_snapshot_while_others_write(tmp_path: Path) -> None:
    made = Store.open(tmp_path / "ledger.db")
    log = Log(FISHERY).add(4)
    mirror(made, log, 2)
    with made.read() as tx:
        assert logs.find_log(tx, log.origin) == read_log(made, log)
        mirror(made, log, 4)
        found = logs.find_log(tx, log.origin)
        assert found is not None
        assert (found.size, len(logs.read_entries(tx, found, 0, 9))) == (2, 2)
    assert read_log(made, log).size == 4
    made.close()


# --- heads ----------------------------------------------------------------------------


def test_log_is_made_empty_once(store: Store) -> None:
    log = Log(FISHERY)
    with store.write("adopt") as tx:
        made = logs.ensure_log(tx, log.origin)
        assert logs.ensure_log(tx, log.origin) == made
        other = logs.ensure_log(tx, decode_origin("cold-chain.example/carrier"))
        assert logs.list_logs(tx) == [made, other]
    assert (made.size, made.last_leaf, made.frontier.root()) == (0, Digest(bytes(32)), root_of([]))
    assert read_log(store, log) == made


def test_head_moves_for_whoever_saw_it_last(store: Store) -> None:
    log = Log(FISHERY).add(2)
    with store.write("adopt") as tx:
        before = logs.ensure_log(tx, log.origin)
        moved: dict[str, Any] = {
            "frontier": Frontier().extended(log.leaves), "last_leaf": log.leaves[-1],
            "checkpoint": log.note(), "checkpoint_size": 2,
        }  # fmt: skip
        assert logs.advance_head(tx, before, **moved)
        after = read_inside(tx, log)
        assert not logs.advance_head(tx, before, **moved)
        assert not logs.advance_head(tx, replace(before, size=2), **moved)
        assert not logs.advance_head(tx, replace(after, size=1), **moved)
        assert not logs.advance_head(tx, replace(after, last_leaf=log.leaves[0]), **moved)
        assert not logs.advance_head(tx, replace(after, checkpoint_size=1), **moved)
        assert not logs.advance_head(tx, replace(after, number=99), **moved)
        assert read_inside(tx, log) == after
    assert (after.size, after.checkpoint, after.checkpoint_size) == (2, log.note(), 2)


def read_inside(tx: Tx, log: Log) -> logs.StoredLog:
    found = logs.find_log(tx, log.origin)
    assert found is not None, "the test made the log"
    return found


def test_head_is_not_moved_by_the_back_door(store: Store) -> None:
    with store.write("adopt") as tx:
        made = logs.ensure_log(tx, Log(FISHERY).origin)
        logs.set_log(tx, made.number, frozen="fork", bodies_size=1, no_cosign_from=7)
        with pytest.raises(AssertionError, match="advance_head only"):
            logs.set_log(tx, made.number, size=9)
    found = read_log(store, Log(FISHERY))
    assert (found.frozen, found.bodies_size, found.no_cosign_from, found.size) == ("fork", 1, 7, 0)


def test_targets_are_kept_until_they_are_reached(store: Store) -> None:
    log = Log(FISHERY).add(9)
    with store.write("adopt") as tx:
        number = logs.ensure_log(tx, log.origin).number
        for size in (9, 4, 9):
            logs.keep_target(tx, number, size, log.note(size))
        assert logs.read_targets(tx, number) == [log.note(4), log.note(9)]
        logs.drop_targets(tx, number, up_to=8)
        assert logs.read_targets(tx, number) == [log.note(9)]


# --- entries --------------------------------------------------------------------------


def mixed() -> Log:
    """A log with every kind of entry: plain, with slot, card and charter, of a later version, malformed, unlinked."""
    log = Log(FISHERY).add(2)
    log.add_entry(slot=SLOT).add_entry(card=Digest(b"\1" * 32), charter=Digest(b"\2" * 32), slot=bytes(16)).add()
    newer = encode_canonical({
        "v": 2, "log": str(log.origin), "index": 5, "id": "0196f2a0-0000-7000-8000-000000000000",
        "prev": "A" * 43 + "=", "new": [1],
    })  # fmt: skip
    log.add_raw(newer).add_raw(b"no header at all").add_raw(b"").add_entry(prev=Digest(bytes(32))).add(3)
    log.add_entry(index=99).add_entry(log=decode_origin("cold-chain.example/carrier")).add(250)
    return log


@pytest.mark.parametrize("ends", [(), (1, 2, 3, 4, 5, 6, 7, 8, 9), (255, 256, 257), (100,)], ids=str)
def test_entries_come_back_byte_for_byte_whatever_they_are(store: Store, ends: Sequence[int]) -> None:
    log = mixed()
    mirror(store, log, *ends, *([log.size] if ends else []))
    found = read_log(store, log)
    with store.read() as tx:
        assert logs.read_entries(tx, found, 0, log.size + 5) == log.entries
        for start, end in ((0, 1), (3, 9), (5, 5), (7, 8), (250, 400), (log.size, log.size + 1)):
            assert logs.read_entries(tx, found, start, end) == log.entries[start:end]
        assert logs.read_leaves(tx, found.number, 2, 9) == log.leaves[2:9]
        kept = [row for _, row in logs.scan_packed(tx, found.number, 0, log.size)]
    assert [row.leaf for row in kept if not isinstance(row, RowDamaged)] == log.leaves
    assert found.frontier.root() == log.root()
    assert (found.last_leaf, found.checkpoint, found.checkpoint_size) == (log.leaves[-1], log.note(), log.size)


def test_damaged_row_is_told_where_it_is_read(store: Store) -> None:
    log = Log(FISHERY).add(3)
    mirror(store, log)
    with store.write("adopt") as tx:
        tx.exec_driver_sql("UPDATE entry SET packed = CAST(x'08' || substr(packed, 2) AS BLOB) WHERE key % 4 = 1")
    found = read_log(store, log)
    with store.read() as tx:
        rows = dict(logs.scan_packed(tx, found.number, 0, 3))
        assert [index for index, row in rows.items() if isinstance(row, RowDamaged)] == [1]
        with pytest.raises(RowDamaged):
            logs.read_entries(tx, found, 0, 3)


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(1, 700), st.integers(0, 699))
def test_proofs_are_read_from_the_hashes_that_are_kept(size: int, index: int) -> None:
    log = _GROWN.branch(size)
    index %= size
    made = Store.open(None)
    mirror(made, log, *[end for end in (1, 255, 257, 600) if end < size], size)
    with made.read() as tx:
        path = prove_inclusion(index, size, logs.hash_reader(tx, read_inside(tx, log).number))
    verify_inclusion(log.leaves[index], index=index, size=size, root=log.root(), path=path)
    made.close()


_GROWN: Final = Log(FISHERY).add(700)


def test_subtree_that_is_not_whole_has_no_hash(store: Store) -> None:
    log = Log(FISHERY).add(300)
    mirror(store, log)
    with store.read() as tx:
        number = read_inside(tx, log).number
        read = logs.hash_reader(tx, number)
        assert read(8, 0) == root_of(log.leaves[:256])
        assert [(level, index) for level, index, _ in logs.list_nodes(tx, number)] == [(1, 0)]
        for level, index in ((0, 300), (8, 1), (9, 0), (16, 0)):
            with pytest.raises(Missing):
                read(level, index)


def test_ids_and_slots_are_found_again(store: Store) -> None:
    log = Log(FISHERY).add(5).add_entry(slot=SLOT).add(1194)
    mirror(store, log)
    batch = action(log, 0, 1200).batch
    ids = [record_id_ for record_id_ in batch.ids if record_id_ is not None]
    with store.read() as tx:
        number = read_inside(tx, log).number
        assert places.find_ids(tx, number, [*ids, record_id("unknown")]) == {id_: i for i, id_ in enumerate(ids)}
        assert (places.find_id(tx, number, ids[7]), places.find_id(tx, number, record_id("unknown"))) == (7, None)
        assert places.last_id(tx, number) == max(ids)
        assert places.last_id(tx, 99) is None
        assert (places.find_slot(tx, number, SLOT), places.find_slot(tx, number, bytes(16))) == (5, None)


@pytest.mark.parametrize("index", [2, 4, 77, -1, 1 << 50])
def test_id_or_slot_that_leads_to_another_entry_is_not_followed(store: Store, index: int) -> None:
    log = Log(FISHERY).add(3).add_entry(slot=SLOT).add(2)
    mirror(store, log)
    stated = [id_ for id_ in action(log, 3, 4).batch.ids if id_ is not None]
    with store.write("adopt") as tx:
        number = read_inside(tx, log).number
        tx.exec_driver_sql('UPDATE record_id SET "index" = ? WHERE id = ?', (index, stated[0]))
        tx.exec_driver_sql('UPDATE slot SET "index" = ?', (index,))
        with pytest.raises(RowDamaged):
            places.find_id(tx, number, stated[0])
        with pytest.raises(RowDamaged):
            places.find_slot(tx, number, SLOT)


# --- what a round commits ---------------------------------------------------------------


def test_batch_that_does_not_continue_the_copy_is_refused_whole(store: Store) -> None:
    log = Log(FISHERY).add(9)
    mirror(store, log, 4)
    kept = read_log(store, log)
    for start, end in ((5, 9), (3, 9), (0, 9)):
        with pytest.raises(ReplicaMoved), store.write("sync-entries") as tx:
            commit_entries(tx, action(log, start, end))
    other = Log(firm("carrier")).add(1)
    with pytest.raises(ReplicaMoved), store.write("sync-entries") as tx:
        commit_entries(tx, action(other, 0, 1))
    assert read_log(store, log) == kept


def test_catch_up_that_is_under_way_keeps_its_target_and_the_old_checkpoint(store: Store) -> None:
    log = Log(FISHERY).add(9)
    mirror(store, log, 3)
    with store.write("sync-entries") as tx:
        commit_entries(tx, action(log, 3, 6, signed=log.signed(9)))
    found = read_log(store, log)
    assert (found.size, found.checkpoint_size, found.checkpoint) == (6, 3, log.note(3))
    with store.read() as tx:
        head = read_head(tx, found, member=MemberName("carrier"))
        assert logs.read_targets(tx, found.number) == [log.note(9)]
    assert (head.frontier.size, [target.checkpoint.size for target in head.targets]) == (6, [9])
    with store.write("sync-entries") as tx:
        commit_entries(tx, action(log, 6, 9))
    with store.read() as tx:
        assert logs.read_targets(tx, found.number) == []
    assert read_log(store, log).checkpoint_size == 9


def repeating(*places: int, **given: Any) -> Log:
    """A log of 12 entries of which those at `places` have the same id or slot."""
    log = Log(FISHERY)
    for index in range(12):
        log.add_entry(**(given if index in places else {}))
    return log


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"id": record_id("once", 5)}, {"slot": SLOT}], ids=["id", "slot"])
@pytest.mark.parametrize("ends", [(12,), (4, 12), (7, 8, 12), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)], ids=str)
def test_repeat_is_found_and_its_entry_kept_and_nothing_above_it_cosigned(
    store: Store, given: dict[str, Any], ends: Sequence[int]
) -> None:
    log = repeating(3, 7, 10, **given)
    found = mirror(store, log, *ends)
    assert found == [Repeat(3, 7), Repeat(3, 10)]
    kept = read_log(store, log)
    assert (kept.size, kept.no_cosign_from, kept.repeat) == (12, 8, (3, 7))
    with store.read() as tx:
        assert logs.read_entries(tx, kept, 0, 12) == log.entries
        assert read_head(tx, kept, member=MemberName("carrier")).repeat == Repeat(3, 7)


def test_earlier_repeat_that_comes_later_is_the_one_that_counts(store: Store) -> None:
    log = repeating(3, 7, slot=SLOT)
    mirror(store, log, 5)
    with store.write("adopt") as tx:
        logs.set_log(tx, read_inside(tx, log).number, no_cosign_from=3, repeat_first=0, repeat_second=2)
    mirror(store, log, 12)
    assert (read_log(store, log).no_cosign_from, read_log(store, log).repeat) == (3, (0, 2))


def test_repeats_of_another_log_are_none(store: Store) -> None:
    assert mirror(store, Log(FISHERY).add_entry(id=record_id("once"), slot=SLOT)) == []
    assert mirror(store, Log(firm("carrier")).add_entry(id=record_id("once"), slot=SLOT)) == []


def test_id_of_an_invalid_entry_is_not_taken(store: Store) -> None:
    log = Log(FISHERY).add_entry(id=record_id("once"), index=5).add_entry(id=record_id("once")).add()
    assert mirror(store, log) == []


def test_empty_batch_under_a_larger_checkpoint_changes_no_entry(store: Store) -> None:
    log = Log(FISHERY).add(3)
    mirror(store, log)
    batch = EntryBatch(origin=log.origin, start=3, leaves=[], ids=[], bodies=[], unusual={})
    empty = CommitEntries(batch=batch, frontier=Frontier().extended(log.leaves), checkpoint=log.signed(3))
    with store.write("sync-entries") as tx:
        assert commit_entries(tx, empty) == []
    assert read_log(store, log).last_leaf == log.leaves[-1]


# --- checkpoints and cosignatures -------------------------------------------------------


def test_first_checkpoint_of_a_size_is_the_one_that_is_kept(store: Store) -> None:
    with store.write("adopt") as tx:
        for size, note in ((5, b"five"), (9, b"nine"), (5, b"another")):
            checkpoints.keep_checkpoint(tx, 1, size, note)
        assert checkpoints.list_checkpoints(tx, 1) == [(5, b"five"), (9, b"nine")]
        found = [checkpoints.read_checkpoint(tx, 1, at_least=size) for size in (0, 5, 6, 10)]
    assert found == [(5, b"five"), (5, b"five"), (9, b"nine"), None]


def test_checkpoint_that_most_cosigned_is_found_and_the_newest_of_those(store: Store) -> None:
    with store.write("adopt") as tx:
        everyone = [MemberName(name) for name in "abc"]
        assert checkpoints.best_cosigned(tx, 1, at_least=0, by=everyone) is None
        for size, members in ((3, "ab"), (5, "abc"), (7, "abc"), (9, "a"), (11, "")):
            checkpoints.keep_checkpoint(tx, 1, size, b"%d" % size)
            for member in members:
                line = f"{member}{size}".encode()
                assert checkpoints.keep_cosignature(tx, 1, member=MemberName(member), size=size, line=line)
        assert not checkpoints.keep_cosignature(tx, 1, member=MemberName("a"), size=9, line=b"again")
        assert [checkpoints.best_cosigned(tx, 1, at_least=size, by=everyone) for size in (0, 6, 8, 10)] == [
            (7, b"7"), (7, b"7"), (9, b"9"), None
        ]  # fmt: skip
        # Who is not asked about counts for nothing.
        assert checkpoints.best_cosigned(tx, 1, at_least=0, by=everyone[:1]) == (9, b"9")
        assert checkpoints.best_cosigned(tx, 1, at_least=8, by=everyone[1:]) is None
        assert checkpoints.best_cosigned(tx, 1, at_least=0, by=[]) is None
        assert checkpoints.read_cosignatures(tx, 1, 5) == [("a", b"a5"), ("b", b"b5"), ("c", b"c5")]
        assert (
            checkpoints.cosigned_size(tx, 1, MemberName("b")),
            checkpoints.cosigned_size(tx, 2, MemberName("b")),
        ) == (7, 0)
        assert checkpoints.cosigned_sizes(tx, 1) == {"a": 9, "b": 7, "c": 7}


# --- bodies ---------------------------------------------------------------------------


class Held:
    """A store with records of the fishery, as their author keeps them."""

    def __init__(self, store: Store, *records: Record) -> None:
        self.records = dict(enumerate(records, 256))
        keys = {member: firm(member).sealing_key().public for member in MEMBERS}
        with store.write("adopt") as tx:
            self.log = logs.ensure_log(tx, Log(FISHERY).origin).number
            numbers = {}
            for member, key in keys.items():
                channel_id = records[0].wrap(member).channel
                _, message = open_channel(
                    records[0].network, wrapper=MemberName("fishery"), reader=MemberName(member),
                    sealing_key=key, signer=FISHERY.transport_key(),
                )  # fmt: skip
                numbers[channel_id] = sidecars.insert_channel(
                    tx, channel_id=channel_id, wrapper="fishery", reader=member, message=message
                )
            packed = [(index, pack_received(whole(item), numbers)) for index, item in self.records.items()]
            sidecars.insert_sidecars(tx, self.log, packed)
        self.numbers = numbers


def whole(item: Record) -> Sidecar:
    return Sidecar(item.sealed.manifest, tuple(item.sealed.wraps), dict(enumerate(item.sealed.sections)))


def read_bodies(store: Store, held: Held, caller: str, **given: Any) -> tuple[Any, int]:
    plain: dict[str, Any] = {"start": 256, "end": 512, "author": MemberName("fishery"), "bytes_max": 1 << 20}
    plain["keeper"] = MemberName("fishery")
    with store.read() as tx:
        return sidecars.read_bodies(tx, held.log, caller=MemberName(caller), **(plain | given))


def test_sidecars_are_kept_by_entry(store: Store) -> None:
    held = Held(store, record(label="one"), record(label="two"))
    with store.write("adopt") as tx:
        found = dict(sidecars.scan_sidecars(tx, held.log, 0, 1000))
        assert sorted(found) == [256, 257]
        assert found[257].sections == dict(enumerate(held.records[257].sealed.sections))
        assert sidecars.read_sidecar(tx, held.log, 256) == found[256]
        assert sidecars.read_sidecar(tx, held.log, 255) is None
        assert list(sidecars.scan_sidecars(tx, held.log + 1, 0, 1000)) == []
        sidecars.delete_sidecars(tx, held.log, [256])
        assert sidecars.read_sidecar(tx, held.log, 256) is None
        assert {c.reader for c in sidecars.list_channels(tx).values()} == set(MEMBERS)
        assert sidecars.list_channels(tx, wrapper=MemberName("carrier")) == {}


@pytest.mark.parametrize("caller", MEMBERS)
def test_caller_is_given_the_sections_of_its_wrap_and_no_other_byte(store: Store, caller: str) -> None:
    held = Held(store, record(label="one"), record(label="two"))
    answer, end = read_bodies(store, held, caller)
    assert end == 512
    assert sorted(answer.sidecars) == [256, 257]
    wire = encode_bodies(answer)
    for index, item in held.records.items():
        entitled = set(item.wrap(caller).sections)
        assert set(answer.sidecars[index].sections) == entitled
        for number, ciphertext in enumerate(item.sealed.sections):
            assert (ciphertext in wire) is (number in entitled)
        for member in MEMBERS:
            assert (item.wrap(member).sealed in wire) is (member in (caller, "fishery"))
    readers = {decode_channel_message(message).reader for message in answer.messages}
    assert readers == {caller, "fishery"}


def test_member_that_is_no_reader_is_given_nothing(store: Store) -> None:
    held = Held(store, record())
    with store.write("adopt") as tx:
        tx.exec_driver_sql("UPDATE sidecar SET packed = zeroblob(1 << 20)")
    answer, end = read_bodies(store, held, "stranger")
    assert (answer.messages, answer.sidecars, end) == ([], {}, 512), "nobody looks at what is for others"


def test_answer_stops_where_it_is_long_enough_and_says_so(store: Store) -> None:
    held = Held(store, *[record(label=f"number {i}") for i in range(5)])
    first, end = read_bodies(store, held, "carrier", bytes_max=0)
    assert (sorted(first.sidecars), end) == ([256], 257)
    second, end = read_bodies(store, held, "carrier", start=end, bytes_max=700)
    assert sorted(second.sidecars)[0] == 257
    rest, last = read_bodies(store, held, "carrier", start=end)
    assert sorted([*first.sidecars, *second.sidecars, *rest.sidecars]) == list(range(256, 261))
    assert last == 512


def test_large_records_of_others_are_looked_at_one_at_a_time_and_so_many_in_one_answer(store: Store) -> None:
    """An author fills a log with bodies of some MiB, and many callers ask whether any is for them."""
    held = Held(store, *[record(label=f"number {i}") for i in range(24)])
    with store.write("adopt") as tx:
        sidecars.insert_channel(tx, channel_id=b"a record", wrapper="fishery", reader="stranger", message=b"elsewhere")
        tx.exec_driver_sql("UPDATE sidecar SET packed = CAST(packed || zeroblob(1 << 20) AS BLOB)")
    tracemalloc.start()
    try:
        answer, end = read_bodies(store, held, "stranger")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert (answer.sidecars, end) == ({}, 256 + 16)
    assert read_bodies(store, held, "stranger", start=end)[1] == 512
    with store.read() as tx:
        assert [index for index, _ in sidecars.scan_sidecars_raw(tx, held.log, 256, 512)] == list(held.records)


def test_damaged_sidecar_is_told_in_its_place(store: Store) -> None:
    held = Held(store, record(label="one"), record(label="two"))
    with store.write("adopt") as tx:
        tx.exec_driver_sql("UPDATE sidecar SET packed = substr(packed, 1, 40) WHERE key % 2 = 0")
        found = dict(sidecars.scan_sidecars_raw(tx, held.log, 0, 1000))
        assert isinstance(found[256], RowDamaged)
        assert not isinstance(found[257], RowDamaged)
        with pytest.raises(RowDamaged):
            sidecars.read_sidecar(tx, held.log, 256)


def test_channel_id_counts_per_wrapper(store: Store) -> None:
    held = Held(store, record())
    channel_id = next(iter(held.numbers))
    with store.write("adopt") as tx:
        given_row: dict[str, Any] = {"channel_id": channel_id, "reader": "carrier", "message": b"m"}
        assert sidecars.insert_channel(tx, wrapper="carrier", **given_row) not in held.numbers.values()
    with pytest.raises(Exception, match="UNIQUE") as caught, store.write("adopt") as tx:
        sidecars.insert_channel(tx, wrapper="fishery", **given_row)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


def test_gaps_and_statements_are_named_by_entry(store: Store) -> None:
    with store.write("adopt") as tx:
        sidecars.insert_gaps(tx, 1, [(7, "late"), (3, "broken")])
        sidecars.insert_gaps(tx, 1, [(7, "later")])
        sidecars.insert_gaps(tx, 2, [(0, "other")])
        assert sidecars.list_gaps(tx, 1) == [(3, "broken"), (7, "later")]
        assert sidecars.list_gaps(tx, 1, start=4, end=8) == [(7, "later")]
        sidecars.delete_gap(tx, 1, 7)
        assert (sidecars.has_gaps(tx, 1), sidecars.has_gaps(tx, 3)) == (True, False)
        for place in ((2, 5), (1, 9), (1, 9)):
            sidecars.insert_statement(tx, *place, "tally/propose")
        assert sidecars.list_statements(tx) == [(1, 9, "tally/propose"), (2, 5, "tally/propose")]


def test_rows_lie_in_the_order_of_their_entries(store: Store) -> None:
    """Also at the far end of a log, and of a number of logs that no network reaches."""
    leaf = leaf_hash(b"x")
    row = pack_entry(leaf, bytes(16), bytes(32))
    last = (1 << 40) - 2
    with store.write("adopt") as tx:
        for log, index in ((1, last), (2, 0), (1 << 22, 5)):
            logs.insert_entries(tx, log, index, [row])
        assert logs.read_leaves(tx, 1, 0, last + 1) == [leaf]
        assert logs.read_leaves(tx, 2, 0, 1) == [leaf]
        assert logs.read_leaves(tx, 1 << 22, 5, 6) == [leaf]
        assert [index for index, _ in logs.scan_packed(tx, 1, 0, last + 1)] == [last]
