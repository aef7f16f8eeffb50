"""Appending: durable before answered, one history only, whatever fails and whoever else writes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ledger.checkpoint import decode_checkpoint
from ledger.errors import Missing, TallyError, TooLarge
from ledger.names import id_time_ms
from ledger.note import decode_note
from node import agreements as agree
from node import append as append_module
from node import crash
from node.agreements import draft_addressed
from node.append import (
    Appended,
    Appender,
    HeadMoved,
    IdempotencyConflict,
    LogFrozen,
    LogIncomplete,
    NewRecord,
    NodeStopped,
    Outcome,
    QueueFull,
)
from node.fsck import check_store
from node.highwater import HIGH_WATER_NAME, read_high_water
from node.node import Node
from node.receipts import make_receipt
from node.storage import logs, places
from node.storage.engine import DiskFull
from tests.make import Log
from tests.make_folders import Founded, found, proposal, shipment
from tests.nodes import full_disk
from tests.simulator import InlineAppender


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A network of one, which waits for nobody before it signs."""
    return found(tmp_path_factory.mktemp("lone"), "fishery")


@pytest.fixture
def folder(lone: Founded, tmp_path: Path) -> Path:
    shutil.copytree(lone.folders["fishery"], tmp_path / "fishery")
    return tmp_path / "fishery"


@pytest.fixture
def node(folder: Path) -> Iterator[Node]:
    with opened(folder) as made:
        yield made


@contextmanager
def opened(folder: Path, appender: type[Appender] = Appender, **given: Any) -> Iterator[Node]:
    made = Node.open(folder, appender=appender, **given)
    made.open_for_writing()
    try:
        yield made
    finally:
        made.close()


def note(node: Node, number: int, *, key: bytes | None = None) -> NewRecord:
    return node.joined.intake.parse(shipment(number), by=b'"test"', answer_key=key)


def put(node: Node, *records: NewRecord) -> list[Outcome]:
    return node.joined.appender.submit(records).result(10)


def size(node: Node) -> int:
    with node.store.read() as tx:
        log = logs.find_log(tx, node.joined.origin)
    assert log is not None
    return log.size


def check_sound(folder: Path) -> None:
    assert check_store(folder).faults == []


@contextmanager
def failing(point: str, cause: Exception, *, times: int = 1) -> Iterator[None]:
    """Raise `cause` at a crash point: before a commit nothing persists, after it everything has."""
    left = times

    def fail(name: str) -> None:
        nonlocal left
        if name == point and left:
            left -= 1
            raise cause

    crash.watchers.append(fail)
    try:
        yield
    finally:
        crash.watchers.remove(fail)


def at(outcome: Outcome) -> int:
    assert isinstance(outcome, Appended), outcome
    index: int = outcome.index
    return index


# --- what fails ---------------------------------------------------------------------------


def test_commit_that_failed_and_did_not_persist_records_nothing(node: Node, folder: Path) -> None:
    before = size(node)
    with failing("append.before-commit", DiskFull()), pytest.raises(DiskFull):
        put(node, note(node, 1, key=b"k"))
    assert size(node) == before
    assert at(put(node, note(node, 1, key=b"k"))[0]) == before
    check_sound(folder)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["append.after-commit", "high-water.before-write", "high-water.after-write"])
def test_commit_that_failed_and_did_persist_is_answered_when_it_is_repeated(
    node: Node, folder: Path, point: str
) -> None:
    before = size(node)
    with failing(point, OSError("no")), pytest.raises(OSError, match="no"):
        put(node, note(node, 1, key=b"k"))
    assert size(node) == before + 1
    (again,) = put(node, note(node, 1, key=b"k"))
    assert isinstance(again, Appended) and again.is_repeat and at(again) == before
    assert at(put(node, note(node, 2))[0]) == before + 1
    mark = read_high_water(folder / HIGH_WATER_NAME)
    assert mark is not None and mark.size == before + 2
    check_sound(folder)


def test_receipt_leaves_only_once_the_high_water_file_knows_of_its_checkpoint(node: Node, folder: Path) -> None:
    before = size(node)
    with failing("high-water.before-write", OSError("no")), pytest.raises(OSError, match="no"):
        put(node, note(node, 1))
    mark = read_high_water(folder / HIGH_WATER_NAME)
    assert mark is not None and mark.size == before
    receipt = make_receipt(node, "fishery", 0, [])
    assert decode_checkpoint(decode_note(receipt.proof.note).text).size == before + 1
    mark = read_high_water(folder / HIGH_WATER_NAME)
    assert mark is not None and mark.size == before + 1


@pytest.mark.parametrize("point", ["channel.before-commit", "channel.after-commit"])
def test_failing_to_keep_a_channel_fails_the_batch_and_the_next_is_sealed_anew(folder: Path, point: str) -> None:
    day_ms = 86_400_000
    now = [1_763_680_000_000]
    with opened(folder, clock=lambda: now[0]) as node:
        now[0] += day_ms  # channels are made anew each day
        with failing(point, DiskFull()), pytest.raises(DiskFull):
            put(node, note(node, 1))
        assert isinstance(put(node, note(node, 2))[0], Appended)
    check_sound(folder)


@pytest.mark.slow
def test_disk_that_is_full_is_named_and_writing_goes_on_once_there_is_room(node: Node, folder: Path) -> None:
    records = [note(node, number) for number in range(1000)]
    with full_disk(node), pytest.raises(DiskFull):
        put(node, *records)
    assert isinstance(put(node, note(node, 1))[0], Appended)
    check_sound(folder)


@pytest.mark.slow
def test_what_is_durable_is_answered_although_telling_of_it_fails(node: Node, folder: Path) -> None:
    proposed = NewRecord(proposal({"shipper": ["fishery"], "receiver": ["fishery"], "insurer": ["fishery"]}))
    apply = node.apply_statements

    def broken(*_: Any) -> None:
        raise RuntimeError("the agreements are on fire")

    node.apply_statements = broken  # type: ignore[method-assign,assignment]
    assert isinstance(put(node, proposed)[0], Appended)
    assert node.agreements.list() == []
    node.apply_statements = apply  # type: ignore[method-assign]
    assert isinstance(put(node, note(node, 1))[0], Appended)
    assert len(node.agreements.list()) == 1, "what could not be told then is told with the next commit"
    check_sound(folder)


# --- the queue ------------------------------------------------------------------------------


def test_request_that_is_cancelled_while_it_waits_is_not_written_and_harms_no_other(node: Node) -> None:
    before = size(node)
    held, release = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "append.before-commit" and not held.is_set():
            held.set()
            release.wait(10)

    crash.watchers.append(hold)
    try:
        first = node.joined.appender.submit([note(node, 1)])
        held.wait(10)
        second = node.joined.appender.submit([note(node, 2)])
        third = node.joined.appender.submit([note(node, 3)])
        assert second.cancel()
        assert not first.cancel(), "what is being written cannot be taken back"
        release.set()
        assert [at(first.result(10)[0]), at(third.result(10)[0])] == [before, before + 1]
        with pytest.raises(CancelledError):
            second.result(10)
    finally:
        crash.watchers.remove(hold)
    assert size(node) == before + 2
    assert isinstance(put(node, note(node, 4))[0], Appended)


def test_requests_that_no_writer_ever_took_are_refused_when_the_node_stops(folder: Path) -> None:
    node = Node.open(folder)
    waiting = node.joined.appender.submit([note(node, 1)])
    node.close()
    with pytest.raises(NodeStopped):
        waiting.result(1)
    with pytest.raises(NodeStopped):
        node.joined.appender.submit([note(node, 2)])


@pytest.mark.slow
def test_stopping_leaves_nobody_without_an_answer(node: Node) -> None:
    pending, refused = [], []

    def send() -> None:
        try:
            while True:
                pending.append(node.joined.appender.submit([note(node, 1)]))
        except NodeStopped:
            refused.append(1)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.05)
    node.joined.appender.stop()
    for thread in threads:
        thread.join()
    assert len(refused) == 4
    for future in pending:
        try:
            assert isinstance(future.result(1)[0], Appended)
        except NodeStopped:
            continue


def test_queue_has_an_end(lone: Founded, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_module, "_QUEUE_MAX", 3)
    node = Node.open(folder)
    node.joined.appender.submit([note(node, n) for n in range(3)])
    with pytest.raises(QueueFull):
        node.joined.appender.submit([note(node, 4)])
    node.close()


def test_empty_request_is_answered(node: Node) -> None:
    assert put(node) == []


# --- one history only -----------------------------------------------------------------------


def test_two_nodes_on_one_database_take_turns(folder: Path) -> None:
    with opened(folder) as one, opened(folder) as other:
        places = [at(put(which, note(which, n))[0]) for n, which in enumerate([one, other, other, one, one, other])]
        assert places == list(range(places[0], places[0] + 6))
        (first,), (again,) = put(one, note(one, 7, key=b"k")), put(other, note(other, 7, key=b"k"))
        assert isinstance(again, Appended) and again.is_repeat and at(again) == at(first)
    check_sound(folder)


@pytest.mark.slow
def test_two_nodes_that_write_at_once_write_one_log(folder: Path) -> None:
    outcomes: list[Outcome] = []

    def write(node: Node) -> None:
        for n in range(40):
            try:
                outcomes.extend(put(node, note(node, n), note(node, -n)))
            except HeadMoved:
                continue  # told to send it again

    with opened(folder) as one, opened(folder) as other:
        threads = [threading.Thread(target=write, args=(node,)) for node in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({at(outcome) for outcome in outcomes}) == len(outcomes) >= 80
        assert size(one) == 1 + len(outcomes)
    check_sound(folder)


def test_log_that_forked_signs_nothing_more(node: Node) -> None:
    with node.store.write("evidence") as tx:
        logs.set_log(tx, 1, frozen="two histories")
    before = size(node)
    with pytest.raises(LogFrozen, match="two histories"):
        put(node, note(node, 1))
    assert size(node) == before


def test_log_that_is_fetched_back_in_part_signs_nothing(lone: Founded, node: Node) -> None:
    later = Log(lone.firms["fishery"]).add(9).signed()
    with node.store.write("sync-entries") as tx:
        logs.keep_target(tx, 1, 9, later.note)
    with pytest.raises(LogIncomplete):
        put(node, note(node, 1))


def test_ids_ascend_although_the_clock_steps_back(folder: Path) -> None:
    now = [1_763_680_000_000]
    with opened(folder, clock=lambda: now[0]) as node:
        first = put(node, note(node, 1))[0]
        now[0] -= 3_600_000
        second, third = put(node, note(node, 2), note(node, 3))
    with opened(folder, clock=lambda: now[0]) as node:
        fourth = put(node, note(node, 4))[0]
    ids = [outcome.id for outcome in (first, second, third, fourth) if isinstance(outcome, Appended)]
    assert ids == sorted(set(ids)) and len(ids) == 4
    assert id_time_ms(ids[3]) >= id_time_ms(ids[0])
    check_sound(folder)


# --- one batch, many callers ------------------------------------------------------------------


def test_record_for_somebody_unknown_is_refused_alone(node: Node) -> None:
    stranger = NewRecord(draft_addressed(agree.END, b"{}", by=b'"test"', to=["stranger"]))  # type: ignore[list-item]
    good, refused, also_good = put(node, note(node, 1), stranger, note(node, 2))
    assert isinstance(refused, Missing)
    assert at(also_good) == at(good) + 1


def test_refused_record_and_its_repeat_in_one_batch_are_refused_alone(node: Node) -> None:
    fields = [(f"/{n}", b"1", frozenset[str]()) for n in range(5000)]
    large = note(node, 1, key=b"k")
    large = large._replace(draft=large.draft._replace(fields=fields))
    outcomes = put(node, large, large, note(node, 2))
    assert [type(outcome) for outcome in outcomes] == [TooLarge, TooLarge, Appended]


def test_one_key_for_two_requests_is_a_conflict_within_a_batch_and_after_it(node: Node) -> None:
    first, other, same = put(node, note(node, 1, key=b"k"), note(node, 2, key=b"k"), note(node, 1, key=b"k"))
    assert isinstance(other, IdempotencyConflict)
    assert isinstance(same, Appended) and same.is_repeat and at(same) == at(first)
    assert isinstance(put(node, note(node, 2, key=b"k"))[0], IdempotencyConflict)


def test_every_commit_carries_a_slot_whether_or_not_it_needs_one(node: Node) -> None:
    start = size(node)
    put(node, note(node, 1), note(node, 2))
    put(node, note(node, 3), note(node, 4)._replace(slot=bytes(16)), note(node, 5))
    with node.store.read() as tx:
        rows = logs.read_packed(tx, 1, start, size(node))
        slots = [row.slot for row in rows]
        assert any(slots[:2])
        assert slots[3] == bytes(16)
        for index, slot in enumerate(slots, start):
            assert slot is None or places.find_slot(tx, 1, slot) == index, "fsck and repeats go by the index"


# --- any order of anything ----------------------------------------------------------------------


class AppendMachine(RuleBasedStateMachine):
    """Two nodes on one database, failures before and after each durable step, restarts, repeated keys."""

    lone: Founded
    root: Path
    runs = 0

    @initialize()
    def begin(self) -> None:
        AppendMachine.runs += 1
        self.folder = self.root / str(AppendMachine.runs)
        shutil.copytree(self.lone.folders["fishery"], self.folder)
        self.nodes = [self._open(), self._open()]
        self.told: dict[int, Appended] = {}
        self.by_key: dict[bytes, int] = {}

    def _open(self) -> Node:
        node = Node.open(self.folder, appender=InlineAppender)
        node.open_for_writing()
        return node

    def _put(self, which: int, records: Sequence[NewRecord]) -> None:
        try:
            outcomes = put(self.nodes[which], *records)
        except (DiskFull, HeadMoved):
            return  # nobody was told anything
        for record, outcome in zip(records, outcomes, strict=True):
            assert isinstance(outcome, Appended), outcome
            told = self.told.setdefault(at(outcome), outcome)
            assert (told.id, told.leaf) == (outcome.id, outcome.leaf), "one entry, two records"
            if record.answer_key is not None:
                assert self.by_key.setdefault(record.answer_key, at(outcome)) == at(outcome), "one key, two records"

    @rule(which=st.integers(0, 1), keys=st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=4))
    def append(self, which: int, keys: list[int | None]) -> None:
        node = self.nodes[which]
        records = [note(node, 0 if key is None else key, key=None if key is None else b"%d" % key) for key in keys]
        self._put(which, records)

    @rule(
        which=st.integers(0, 1),
        point=st.sampled_from(
            ["append.before-commit", "append.after-commit", "high-water.before-write", "high-water.after-write"]
        ),
        key=st.integers(0, 9),
    )
    def fail(self, which: int, point: str, key: int) -> None:
        with failing(point, DiskFull()):
            self._put(which, [note(self.nodes[which], key, key=b"%d" % key)])

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.nodes[which].close()
        self.nodes[which] = self._open()

    @invariant()
    def nothing_told_is_missing(self) -> None:
        with self.nodes[0].store.read() as tx:
            log = logs.find_log(tx, self.nodes[0].joined.origin)
            assert log is not None
            rows = logs.read_packed(tx, log.number, 0, log.size)
        assert all((rows[i].id, rows[i].leaf) == (told.id, told.leaf) for i, told in self.told.items())

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        mark = read_high_water(self.folder / HIGH_WATER_NAME)
        for node in self.nodes:
            node.close()
        check_sound(self.folder)
        assert mark is not None and mark.size > max(self.told, default=0), "what was told is below the high-water mark"
        shutil.rmtree(self.folder)


@pytest.mark.slow
def test_any_order_of_failures_restarts_and_repeats(lone: Founded, tmp_path: Path) -> None:
    AppendMachine.lone, AppendMachine.root = lone, tmp_path
    run_state_machine_as_test(AppendMachine, settings=settings(max_examples=40, stateful_step_count=20))


def test_errors_of_appending_are_ours() -> None:
    assert all(issubclass(kind, TallyError) for kind in (HeadMoved, LogFrozen, LogIncomplete, NodeStopped, QueueFull))
