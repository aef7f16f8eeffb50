"""Commit: one batch of drafts becomes durable log entries, or nothing does; one history only.

One transaction writes entries, sidecars, ids, answers, the new head and its signed checkpoint.
The head is compared-and-swapped in it, so that two processes on one database cannot fork the
log: the slower of the two begins anew on top of what the other wrote. Then the high-water
file is raised, and only then does `commit` return.

Whatever fails, the head is read again from the store before the next batch: a commit that
reported an error may have persisted all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import TallyError
from ledger.keys import SigningKey
from ledger.names import Digest, MemberName, NetworkId, Origin, RecordId, decode_b64, encode_b64
from ledger.record import Sealed, Sealer, Statement
from node.batch import (
    Appended,
    HeadMoved,
    IdempotencyConflict,
    LogFrozen,
    LogIncomplete,
    NewRecord,
    Outcome,
    check_measure,
    flag_reused,
)
from node.chain import Chained, NewEntry, Tip, chain
from node.channels import ChannelBook
from node.clock import Clock
from node.contract import STATEMENTS
from node.highwater import HighWater, HighWaterFile
from node.ids import IdMaker
from node.startup import check_history, let_out
from node.storage import facts, logs, places, sidecars
from node.storage.packing import RowDamaged, pack_sidecar
from node.storage.store import Store, Tx

_ATTEMPTS: Final = 8
"""Times that a batch begins anew because another process was quicker."""


class Committed(NamedTuple):
    """What became of a batch: one outcome per record, and (index, type) of the statements among the new entries."""

    outcomes: list[Outcome]
    statements: list[tuple[int, str]]


class _Batch(NamedTuple):
    """What one transaction writes."""

    records: Sequence[NewRecord]
    subjects: dict[bytes, int]
    ids: list[RecordId]
    sealed: list[Sealed]
    chained: Chained
    documents: tuple[Digest | None, Digest | None]


class Committer:
    """Writes batches to this node's own log. Owned by one thread, which is the only one to call it."""

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
    ) -> None:
        self._store = store
        self._network = network
        self._origin = origin
        self._key = key
        self._channels = channels
        self._documents = documents
        self._high_water = high_water
        self._clock = clock
        self._head: Tip | None = None
        self._ids = IdMaker()
        self._sealer: tuple[tuple[object, ...], Sealer] | None = None

    def commit(self, records: Sequence[NewRecord]) -> Committed:
        """Make a batch durable. A record that is refused does not hold up the others.

        Raises: DatabaseReplaced, HeadMoved, LogFrozen, LogIncomplete, and what the store raises; nothing of the
        batch is answered then, and all or nothing of it is recorded.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._commit(records)
            except HeadMoved:
                continue  # what was answered meanwhile by the other process is a repeat by now
        return self._commit(records)

    def _commit(self, records: Sequence[NewRecord]) -> Committed:
        outcomes: list[Outcome | None] = [None] * len(records)
        fresh = self._answer_repeats(records, outcomes)
        sealer = self._fresh_sealer(records, fresh, outcomes)
        sound = [i for i in fresh if outcomes[i] is None]
        statements: list[tuple[int, str]] = []
        if sound:
            appended, statements = self._write([records[i] for i in sound], sealer)
            for i, outcome in zip(sound, appended, strict=True):
                outcomes[i] = outcome
        first = {records[i].answer_key: outcomes[i] for i in fresh if records[i].answer_key is not None}
        for i, known in enumerate(outcomes):
            if known is None:  # the same key twice in one batch
                original = first[records[i].answer_key]
                assert original is not None, "the first use of a key in a batch has an outcome"
                outcomes[i] = original._replace(is_repeat=True) if isinstance(original, Appended) else original
        return Committed([outcome for outcome in outcomes if outcome is not None], statements)

    # --- what need not be written -----------------------------------------------------

    def _answer_repeats(self, records: Sequence[NewRecord], outcomes: list[Outcome | None]) -> list[int]:
        """Fill in what was answered before; returns the positions that must be written."""
        keys = [record.answer_key for record in records if record.answer_key is not None]
        if keys:
            with self._store.read() as tx:
                known, log = facts.find_answers(tx, keys), self._stored(tx)
                # What is told again may be of a commit that reported an error and persisted, or of another process.
                let_out(self._high_water, log)
                for i, record in enumerate(records):
                    answer = known.get(record.answer_key) if record.answer_key is not None else None
                    if answer is not None:
                        outcomes[i] = _repeat(tx, log, record, answer)
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

    def _fresh_sealer(
        self, records: Sequence[NewRecord], fresh: Sequence[int], outcomes: list[Outcome | None]
    ) -> Sealer:
        """The sealer for this batch's readers; a record that cannot be sealed, or to nobody known, gets its error."""
        # One time for all: a day that ended in between would drop the channels asked for first.
        now_ms, bounds = self._clock(), self._channels.membership.limits
        wrappers = self._channels.outgoing({self._origin.member}, origin=self._origin, now_ms=now_ms)
        refused: dict[int, TallyError | None] = {}
        for i in fresh:
            statement = records[i].draft.statement
            if id(statement) not in refused:
                try:
                    wrappers = self._channels.outgoing(_readers(statement), origin=self._origin, now_ms=now_ms)
                    refused[id(statement)] = None
                except TallyError as cause:
                    refused[id(statement)] = cause
            outcomes[i] = refused[id(statement)]
        key = tuple(sorted((member, wrapper.channel_id) for member, wrapper in wrappers.items()))
        if self._sealer is None or self._sealer[0] != key:
            sealer = Sealer(self._network, self._origin, author=self._origin.member, wrappers=wrappers)
            self._sealer = (key, sealer)
        sealer = self._sealer[1]
        for i in fresh:
            try:
                if outcomes[i] is None:
                    check_measure(records[i].draft, sealer.check(records[i].draft), bounds)
            except TallyError as cause:
                outcomes[i] = cause
        return sealer

    # --- writing ------------------------------------------------------------------------

    def _write(self, records: Sequence[NewRecord], sealer: Sealer) -> tuple[list[Appended], list[tuple[int, str]]]:
        head = self._take_head()
        records, subjects = flag_reused(self._store, records)
        ids = self._ids.make(self._clock(), len(records))
        sealed = sealer.seal([record.draft for record in records], ids)
        documents = self._documents()
        entries = [
            NewEntry(record_id, item.manifest_hash, record.slot)
            for record_id, item, record in zip(ids, sealed, records, strict=True)
        ]
        chained = chain(entries, head, origin=self._origin, documents=documents)
        start = head.frontier.size
        statements = [
            (index, record.draft.statement.type)
            for index, record in enumerate(records, start)
            if record.draft.statement.type in STATEMENTS
        ]
        batch = _Batch(records, subjects, ids, sealed, chained, documents)
        self._head = self._persist(batch, head, statements)
        appended = [
            Appended(index, record_id, leaf, False, record.draft.flags)
            for index, (record_id, leaf, record) in enumerate(zip(ids, chained.leaves, records, strict=True), start)
        ]
        return appended, statements

    def _persist(self, batch: _Batch, head: Tip, statements: Sequence[tuple[int, str]]) -> Tip:
        """The one durable step; returns the head after it."""
        start, chained = head.frontier.size, batch.chained
        frontier, rows = head.frontier.extended_rows(chained.leaves)
        root, last_leaf = frontier.root(), chained.leaves[-1]
        note = sign_checkpoint(Checkpoint(origin=self._origin, size=frontier.size, root=root), self._key)
        with self._store.write("append") as tx:
            before = self._check_head(tx, head)
            number = before.number
            logs.insert_entries(tx, number, start, chained.packed)
            bodies = [
                (index, pack_sidecar(item.roots, item.sections, item.wraps, self._channels.numbers))
                for index, item in enumerate(batch.sealed, start)
            ]
            sidecars.insert_sidecars(tx, number, bodies)
            places.insert_ids(tx, number, start, batch.ids)
            places.insert_slots(tx, number, chained.slots)
            logs.insert_rows(tx, number, rows)
            facts.insert_answers(tx, _answers(batch, start))
            if batch.documents != (head.card, head.charter):
                for name, digest in zip(facts.ANNOUNCED, batch.documents, strict=True):
                    facts.set_meta(tx, name, encode_b64(digest or b""))
            for index, type_name in statements:
                sidecars.insert_statement(tx, number, index, type_name)
            swapped = logs.advance_head(
                tx, before, frontier=frontier, last_leaf=last_leaf, checkpoint=note, checkpoint_size=frontier.size
            )
            if not swapped:
                raise HeadMoved(expected=start)
        self._high_water.rise(HighWater(self._origin, frontier.size, root))
        card, charter = batch.documents
        return Tip(frontier=frontier, last_leaf=last_leaf, card=card, charter=charter)

    def _check_head(self, tx: Tx, head: Tip) -> logs.StoredLog:
        """The stored head, which must be the one that the batch was made for, whole, and not contradicted."""
        before = self._stored(tx)
        if before.frozen is not None:
            raise LogFrozen(reason=before.frozen)
        if before.size != before.checkpoint_size or logs.read_targets(tx, before.number):
            # Fetched back in part: what would be signed now contradicts what was signed of the rest.
            raise LogIncomplete(size=before.size)
        if before.size != head.frontier.size or before.last_leaf != head.last_leaf:
            raise HeadMoved(expected=head.frontier.size)
        return before

    def _take_head(self) -> Tip:
        """The head to write after. It is forgotten here and known again once the write has succeeded."""
        head, self._head = self._head, None
        if head is not None:
            return head
        mark = self._high_water.mark
        with self._store.read() as tx:
            log = self._stored(tx)
            check_history(tx, log, mark)  # where the head moved by itself, another database is there
            announced = [facts.get_meta(tx, name) for name in facts.ANNOUNCED]
            self._ids = IdMaker(places.last_id(tx, log.number))
        card, charter = (Digest(decode_b64(text)) if text else None for text in announced)
        return Tip(frontier=log.frontier, last_leaf=log.last_leaf, card=card, charter=charter)

    def _stored(self, tx: Tx) -> logs.StoredLog:
        log = logs.find_log(tx, self._origin)
        assert log is not None, "the own log was made at adoption"
        return log


def _repeat(tx: Tx, log: logs.StoredLog, record: NewRecord, answer: facts.Answer) -> Outcome:
    if answer.request != record.request:
        return IdempotencyConflict(index=answer.index)
    try:
        row = logs.read_row(tx, log.number, answer.index)
    except RowDamaged as cause:
        return cause  # of this request alone: the rest of the batch is as good as ever
    assert row.id is not None, "own entries have ids"
    return Appended(answer.index, row.id, row.leaf, True)


def _answers(batch: _Batch, start: int) -> list[tuple[bytes, bytes, int, int]]:
    """Rows of the answers to be repeated: of requests with a key, and of subjects named for the first time."""
    rows = [
        (record.answer_key, record.request, index, 1)
        for index, record in enumerate(batch.records, start)
        if record.answer_key is not None
    ]
    return rows + [(subject, batch.records[i].request, start + i, 1) for subject, i in batch.subjects.items()]


def _readers(statement: Statement) -> set[MemberName]:
    return {member for members in statement.readers.values() for member in members}
