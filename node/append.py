"""Append: drafts in, durable log entries out; group commit, one history only.

Requests gather while the last commit is under way. One transaction writes entries, sidecars,
ids, answers, the new head and its signed checkpoint; the head is compared-and-swapped in
it, so that two processes on one database cannot fork the log. Then the high-water file is
written, and only then is anybody answered: nothing is answered, and no checkpoint is seen,
before it is durable.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.entry import SLOT_BYTES, Entry, encode_entry
from ledger.errors import Conflict, TallyError, Unavailable
from ledger.jsontext import encode_canonical
from ledger.keys import SigningKey, entropy
from ledger.merkle import Frontier
from ledger.names import Digest, MemberName, NetworkId, Origin, RecordId, decode_b64, encode_b64, encode_id
from ledger.record import Draft, Sealed, Sealer
from node.channels import ChannelBook
from node.clock import Clock
from node.crash import crash_point
from node.highwater import HighWater, HighWaterFile
from node.ids import IdMaker
from node.storage import facts, logs, sidecars
from node.storage.packing import encode_header, pack_entry, pack_sidecar
from node.storage.store import Store, Tx

_QUEUE_MAX: Final = 100_000
RESERVED: Final = "tally/"
_CARD, _CHARTER = "announced-card", "announced-charter"
REUSED: Final = "event-id-reused"
"""Flag of a record whose subject, so far always an EPCIS event id, had been recorded with other bytes before."""


class IdempotencyConflict(Conflict):
    code = "idempotency-conflict"
    template = "this key was used for another request, which became entry {index}"
    hint = "Use a new Idempotency-Key for a new request."


class HeadMoved(Conflict):
    code = "head-moved"
    template = "another process appended to this log: expected size {expected}"
    hint = "Only one node process may write one database; stop the other one."


class QueueFull(Unavailable):
    code = "queue-full"
    template = "{queued} requests wait to be written"
    hint = "Send again later, or slower."


class NodeStopped(Unavailable):
    code = "node-stopped"
    template = "the node is stopping"
    hint = "Send again once it is up; nothing of this request was recorded."


class NewRecord(NamedTuple):
    """One record to append. A repeat of `answer_key` with the same `request` hash is answered, not recorded.

    subject: key of what the record is about; a repeat of it with another `request` hash is recorded and flagged.
    """

    draft: Draft
    answer_key: bytes | None = None
    request: bytes = b""
    slot: bytes | None = None
    subject: bytes | None = None


class Appended(NamedTuple):
    """A durable record. `is_repeat`: it had been recorded before, by this key. flags: as they were recorded now."""

    index: int  # type: ignore[assignment]  # nobody searches one as a tuple
    id: RecordId
    leaf: Digest
    is_repeat: bool
    flags: bytes = b""


Outcome = Appended | TallyError
_Job = tuple[Sequence[NewRecord], "Future[list[Outcome]]"]


@dataclass(frozen=True, slots=True)
class Head:
    """What is durable: the frontier, the last leaf, and the documents that the log announced last."""

    frontier: Frontier
    last_leaf: Digest
    card: Digest | None
    charter: Digest | None


class Appender:
    """The writer thread of this node's own log. Start it only once the start-up guard allows signing."""

    def __init__(
        self,
        store: Store,
        *,
        network: NetworkId,
        origin: Origin,
        key: SigningKey,
        channels: ChannelBook,
        documents: Callable[[], tuple[Digest | None, Digest | None]],
        high_water: HighWaterFile,
        clock: Clock,
        batch_records: int = 1024,
        on_commit: Callable[[int, Sequence[tuple[int, str]]], None] = lambda _size, _statements: None,
    ) -> None:
        self._store = store
        self._network = network
        self._origin = origin
        self._key = key
        self._channels = channels
        self._documents = documents
        self._high_water = high_water
        self._clock = clock
        self._batch_records = batch_records
        self._on_commit = on_commit
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        self._queued = 0  # owned by _lock
        self._lock = threading.Lock()
        self._stopped = False  # owned by _lock
        self._thread = threading.Thread(target=self._run, name="append", daemon=True)
        # All below is owned by the writer thread.
        self._log_number = -1
        self._head: Head | None = None
        self._ids = IdMaker()
        self._sealer: tuple[tuple[object, ...], Sealer] | None = None

    def start(self) -> None:
        self._thread.start()

    def submit(self, records: Sequence[NewRecord]) -> Future[list[Outcome]]:
        """Queue records; the future holds one outcome each once they are durable. Raises: QueueFull, NodeStopped."""
        future: Future[list[Outcome]] = Future()
        with self._lock:
            if self._stopped:
                raise NodeStopped()
            if self._queued + len(records) > _QUEUE_MAX:
                raise QueueFull(queued=self._queued)
            self._queued += len(records)
        self._queue.put((records, future))
        return future

    def stop(self) -> None:
        """Finish what is queued, then stop."""
        with self._lock:
            self._stopped = True
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    # --- the writer thread ---------------------------------------------------------

    def _run(self) -> None:
        while True:
            jobs = self._gather()
            if jobs is None:
                return
            try:
                outcomes = self._commit([record for records, _ in jobs for record in records])
            except BaseException as cause:
                # The outermost door of this thread: whoever waits must hear of it. The head is
                # read again before the next commit, as this one may or may not have persisted.
                self._head = None
                for _, future in jobs:
                    future.set_exception(cause)
                continue
            at = 0
            for records, future in jobs:
                future.set_result(outcomes[at : at + len(records)])
                at += len(records)

    def _gather(self) -> list[_Job] | None:
        job = self._queue.get()
        if job is None:
            return None
        jobs, count = [job], len(job[0])
        while count < self._batch_records:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            jobs.append(job)
            count += len(job[0])
        with self._lock:
            self._queued -= count
        return jobs

    def _commit(self, records: Sequence[NewRecord]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(records)
        fresh = self._answer_repeats(records, outcomes)
        sealer = self._fresh_sealer(records, fresh, outcomes)
        sound = [i for i in fresh if outcomes[i] is None]
        if sound:
            self._write([records[i] for i in sound], sound, sealer, outcomes)
        first = {records[i].answer_key: outcomes[i] for i in fresh if records[i].answer_key is not None}
        for i, outcome in enumerate(outcomes):
            if outcome is None:  # the same key twice in one batch
                original = first[records[i].answer_key]
                assert original is not None, "the first use of a key in a batch has an outcome"
                outcomes[i] = original._replace(is_repeat=True) if isinstance(original, Appended) else original
        return [outcome for outcome in outcomes if outcome is not None]

    def _answer_repeats(self, records: Sequence[NewRecord], outcomes: list[Outcome | None]) -> list[int]:
        """Fill in what was answered before; returns the positions that must be written."""
        keys = [record.answer_key for record in records if record.answer_key is not None]
        known: dict[bytes, facts.Answer] = {}
        if keys:
            with self._store.read() as tx:
                known = facts.find_answers(tx, keys)
                for i, record in enumerate(records):
                    answer = known.get(record.answer_key) if record.answer_key is not None else None
                    if answer is not None:
                        outcomes[i] = self._repeat(tx, record, answer)
        seen: dict[bytes, bytes] = {}
        fresh = []
        for i, record in enumerate(records):
            if outcomes[i] is not None:
                continue
            key = record.answer_key
            if key is not None and key in seen:
                if seen[key] != record.request:
                    outcomes[i] = IdempotencyConflict(index="of this batch")
                continue
            if key is not None:
                seen[key] = record.request
            fresh.append(i)
        return fresh

    def _repeat(self, tx: Tx, record: NewRecord, answer: facts.Answer) -> Outcome:
        if answer.request != record.request:
            return IdempotencyConflict(index=answer.index)
        row = logs.read_packed(tx, self._number(tx), answer.index, answer.index + 1)[0]
        assert row.id is not None, "own entries have ids"
        return Appended(answer.index, row.id, row.leaf, True)

    def _fresh_sealer(
        self, records: Sequence[NewRecord], fresh: Sequence[int], outcomes: list[Outcome | None]
    ) -> Sealer:
        readers: set[MemberName] = {self._origin.member}
        seen: set[int] = set()
        for i in fresh:
            statement = records[i].draft.statement
            if id(statement) not in seen:
                seen.add(id(statement))
                readers.update(member for members in statement.readers.values() for member in members)
        wrappers = self._channels.outgoing(readers, origin=self._origin, now_ms=self._clock())
        key = tuple(sorted((member, wrapper.channel_id) for member, wrapper in wrappers.items()))
        if self._sealer is None or self._sealer[0] != key:
            sealer = Sealer(self._network, self._origin, author=self._origin.member, wrappers=wrappers)
            self._sealer = (key, sealer)
        sealer = self._sealer[1]
        for i in fresh:
            try:
                sealer.check(records[i].draft)
            except TallyError as cause:
                outcomes[i] = cause
        return sealer

    def _write(
        self, records: Sequence[NewRecord], places: Sequence[int], sealer: Sealer, outcomes: list[Outcome | None]
    ) -> None:
        head = self._read_head()
        records, claims = flag_reused(self._store, records)
        ids = self._ids.make(self._clock(), len(records))
        sealed = sealer.seal([record.draft for record in records], ids)
        card, charter = self._documents()
        packed, leaves, slots = self._chain(records, ids, sealed, head, card, charter)
        start = head.frontier.size
        frontier, rows = head.frontier.extended_rows(leaves)
        root = frontier.root()
        note = sign_checkpoint(Checkpoint(origin=self._origin, size=frontier.size, root=root), self._key)
        statements = [
            (start + i, record.draft.statement.type)
            for i, record in enumerate(records)
            if record.draft.statement.type.startswith(RESERVED)
        ]
        with self._store.write("append") as tx:
            number = self._number(tx)
            before = logs.find_log(tx, self._origin)
            assert before is not None, "the own log was made at adoption"
            if before.size != start or before.last_leaf != head.last_leaf:
                raise HeadMoved(expected=start)
            logs.insert_entries(tx, number, start, packed)
            bodies = [
                (start + i, pack_sidecar(item.roots, item.sections, item.wraps, self._channels.numbers))
                for i, item in enumerate(sealed)
            ]
            sidecars.insert_sidecars(tx, number, bodies)
            logs.insert_ids(tx, number, start, ids)
            logs.insert_slots(tx, number, slots)
            logs.insert_rows(tx, number, rows)
            facts.insert_answers(
                tx,
                [
                    (record.answer_key, record.request, start + i, 1)
                    for i, record in enumerate(records)
                    if record.answer_key is not None
                ]
                + [(subject, records[i].request, start + i, 1) for subject, i in claims.items()],
            )
            if (card, charter) != (head.card, head.charter):
                facts.set_meta(tx, _CARD, encode_b64(card or b""))
                facts.set_meta(tx, _CHARTER, encode_b64(charter or b""))
            for index, type_name in statements:
                sidecars.insert_statement(tx, number, index, type_name)
            swapped = logs.advance_head(
                tx, before, frontier=frontier, last_leaf=leaves[-1], checkpoint=note, checkpoint_size=frontier.size
            )
            if not swapped:
                raise HeadMoved(expected=start)
        self._high_water.write(HighWater(self._origin, frontier.size, root))
        crash_point("append.after-high-water")
        self._head = Head(frontier, leaves[-1], card, charter)
        for i, place in enumerate(places):
            outcomes[place] = Appended(start + i, ids[i], leaves[i], False, records[i].draft.flags)
        self._on_commit(frontier.size, statements)

    def _chain(
        self,
        records: Sequence[NewRecord],
        ids: Sequence[RecordId],
        sealed: Sequence[Sealed],
        head: Head,
        card: Digest | None,
        charter: Digest | None,
    ) -> tuple[list[bytes], list[Digest], dict[bytes, int]]:
        """Packed entries, leaf hashes and slots; each header holds the leaf hash of the one before."""
        sha, origin = hashlib.sha256, str(self._origin).encode()
        packed: list[bytes] = []
        leaves: list[Digest] = []
        slots: dict[bytes, int] = {}
        prev, start = head.last_leaf, head.frontier.size
        has_slot = any(record.slot is not None for record in records)
        for i, (record, record_id, item) in enumerate(zip(records, ids, sealed, strict=True)):
            index, body = start + i, item.manifest_hash
            slot = record.slot
            if i == 0 and not has_slot:
                slot = entropy(SLOT_BYTES)  # a decoy: every batch carries a slot, statement or not
            new_card = card if i == 0 and card != head.card else None
            new_charter = charter if i == 0 and charter != head.charter else None
            if slot is None and new_card is None and new_charter is None:
                header = encode_header(
                    origin, index, prev=prev, record_id_text=encode_id(record_id).encode(), body=body
                )
                prev = Digest(sha(b"\0" + header).digest())
                packed.append(b"\0" + prev + record_id + body)
            else:
                header = encode_entry(
                    Entry(
                        log=self._origin, index=index, prev=prev, id=record_id, body=Digest(body),
                        slot=slot, card=new_card, charter=new_charter,
                    )
                )  # fmt: skip
                prev = Digest(sha(b"\0" + header).digest())
                packed.append(pack_entry(prev, record_id, body, slot=slot, card=new_card, charter=new_charter))
                if slot is not None:
                    slots[slot] = index
            leaves.append(prev)
        return packed, leaves, slots

    def _read_head(self) -> Head:
        if self._head is None:
            with self._store.read() as tx:
                log = logs.find_log(tx, self._origin)
                assert log is not None, "the own log was made at adoption"
                card, charter = facts.get_meta(tx, _CARD), facts.get_meta(tx, _CHARTER)
                self._head = Head(
                    log.frontier,
                    log.last_leaf,
                    None if not card else Digest(decode_b64(card)),
                    None if not charter else Digest(decode_b64(charter)),
                )
                self._ids = IdMaker(logs.last_id(tx, log.number))
                self._channels.numbers.update(
                    {c.id: c.number for c in sidecars.list_channels(tx, wrapper=self._origin.member).values()}
                )
        return self._head

    def _number(self, tx: Tx) -> int:
        if self._log_number < 0:
            log = logs.find_log(tx, self._origin)
            assert log is not None, "the own log was made at adoption"
            self._log_number = log.number
        return self._log_number


def flag_reused(store: Store, records: Sequence[NewRecord]) -> tuple[Sequence[NewRecord], dict[bytes, int]]:
    """The records, those flagged that speak of a known subject in other words; and new subjects by first position.

    For the writer thread alone: nobody else records a subject between this look and the commit.
    """
    named = [record.subject for record in records if record.subject is not None]
    if not named:
        return records, {}
    with store.read() as tx:
        known = {key: answer.request for key, answer in facts.find_answers(tx, named).items()}
    flagged, claims = list(records), dict[bytes, int]()
    for i, record in enumerate(records):
        if record.subject is None:
            continue
        if record.subject not in known:
            known[record.subject] = record.request
            claims[record.subject] = i
        elif known[record.subject] != record.request:
            flags = [*json.loads(record.draft.flags or b"[]"), REUSED]
            flagged[i] = record._replace(draft=record.draft._replace(flags=encode_canonical(flags)))
    return flagged, claims
