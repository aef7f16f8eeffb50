"""Filling the view: a chunk of one log at a time, its rows and the log's position in one transaction.

Three things make rows: entries that came, bodies that came after their entries (the log's
`bodies_size` has moved on), and gaps that opened or closed. Each is seen by comparing the ledger
with what the view holds; nothing is remembered outside the two databases, so that a worker
killed anywhere goes on exactly, and two of them do each other no harm.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

from ledger import limits
from ledger.errors import TallyError
from ledger.keys import OpeningKey
from ledger.names import Digest, KeyId, MemberName, id_time_ms
from node.channels import ChannelBook
from node.membership import Membership, load_membership
from node.reader import Reader, ReadRecord
from node.storage import logs, viewsource, viewstore
from node.storage.store import Store, Tx
from node.storage.tables import row_key
from node.storage.viewstore import ViewStore
from node.storage.viewtables import Position
from node.views.glancing import Glancer
from node.views.judging import Judging
from node.views.rows import Projected, clip, project

GAPS_REST_S: Final = 1.0
_GAPS_SHARE: Final = 20  # comparing gaps takes at most a twentieth of the time


class Projector:
    """Owned by one thread. Reads the ledger in short transactions: a long one would keep its WAL from ending."""

    def __init__(
        self, ledger: Store, views: ViewStore, *, member: MemberName, opening: Mapping[KeyId, OpeningKey]
    ) -> None:
        self._ledger = ledger
        self._views = views
        self._member = member
        self._documents = -1
        self._membership: Membership | None = None
        self._reader: Reader | None = None
        self._glancer: Glancer | None = None
        self._channels = ChannelBook(
            ledger,
            member=member,
            membership=self._known_membership,
            transport=None,
            opening=opening,
        )
        self._judging = Judging(member)
        # By how many statements rows are judged again now, and pages of those still due.
        self._again: tuple[int, Iterator[list[tuple[int, int]]]] | None = None
        self._gaps_version = -1
        self._gaps_due_s = 0.0

    def run_round(self) -> bool:
        """Project a chunk of every log that has something new; False if none has."""
        with self._ledger.read() as tx:
            if not self._refresh_membership(tx):
                return False
            heads = logs.list_logs(tx)
            with self._views.read() as views:
                positions, judged = viewstore.read_positions(views), viewstore.read_judged(views)
            is_agreed = _agrees(tx, heads, positions)
            assert self._reader is not None, "it was made with the membership"
            statements = self._judging.refresh(tx, self._reader) if is_agreed else 0
        if not is_agreed:
            self._views.reset()
            self._judging, self._again = Judging(self._member), None
            return True
        # What is new comes first: a statement costs its author little, and may be about many records.
        moved = [self._advance(head, positions.get(head.number)) for head in heads]
        is_judging = self._judge_again(heads, judged=judged, statements=statements)
        return any(moved) or is_judging or self._revisit_gaps(heads)

    def rest_s(self, idle_s: float) -> float:
        """How long to rest after a round that found nothing: `idle_s`, or until gaps may be looked at again."""
        if self._reader is None:
            return idle_s
        with self._ledger.read() as tx:
            is_pending = viewsource.data_version(tx) != self._gaps_version
        return min(idle_s, max(self._gaps_due_s - time.monotonic(), 0.0)) if is_pending else idle_s

    def close(self) -> None:
        self._ledger.close()
        self._views.close()

    # --- the ledger ---------------------------------------------------------------------

    def _refresh_membership(self, tx: Tx) -> bool:
        """Channel messages are signed by keys of cards, so cards are read no later than records."""
        count = viewsource.count_documents(tx)
        if count != self._documents:
            self._membership = load_membership(tx)
            self._documents = count
        if self._reader is None and self._membership is not None:
            self._reader = Reader(self._ledger, member=self._member, channels=self._channels)
            self._glancer = Glancer(self._member, self._reader, self._channels)
        return self._reader is not None

    def _known_membership(self) -> Membership:
        assert self._membership is not None, "nothing is read before a charter was adopted"
        return self._membership

    # --- entries and late bodies ------------------------------------------------------------

    def _advance(self, head: logs.StoredLog, position: Position | None) -> bool:
        """Project the next chunk of one log, late bodies first; False if there is none."""
        before = position or Position(head.number, str(head.origin), 0, 0, b"", 0)
        late_end = min(head.bodies_size, before.entries)
        is_late = before.bodies < late_end
        start, end = (before.bodies, late_end) if is_late else (before.entries, head.size)
        if start == end:
            return False
        with self._ledger.read() as tx:
            self._refresh_membership(tx)
            end = _chunk_end(tx, head.number, start, end)
            chunk, time_ms = self._project(tx, head, start, end, time_ms=before.time_ms)
            leaf = _leaf(tx, head.number, end)
        if is_late:
            after = before._replace(bodies=end)
        else:
            # Not beyond what `head` said: bodies that came since then are late ones, and taken in once more.
            after = before._replace(entries=end, bodies=min(head.bodies_size, end), leaf=leaf, time_ms=time_ms)
        self._keep(position, after, chunk, is_new=not is_late)
        return True

    def _project(
        self, tx: Tx, head: logs.StoredLog, start: int, end: int, *, time_ms: int
    ) -> tuple[list[Projected], int]:
        """The records [start, end), and the time that the last one stands at. time_ms: of the one before them."""
        gaps = dict(viewsource.iterate_gaps(tx, head.number, start=start, end=end))
        is_own = head.origin.member == self._member
        chunk = []
        for record in self._scan(tx, head, start, end):
            if record.id is not None:
                time_ms = id_time_ms(record.id)
            key = row_key(head.number, record.index)
            problems = () if is_own else self._judging.find_codes(record)
            gap = gaps.get(record.index)
            chunk.append(project(record, key=key, time_ms=time_ms, gap=gap, is_own=is_own, problems=problems))
        return chunk, time_ms

    def _scan(self, tx: Tx, head: logs.StoredLog, start: int, end: int) -> Iterator[ReadRecord]:
        """Every record of [start, end). One that cannot be read at all is broken, and holds up none after it."""
        assert self._glancer is not None, "nothing is read before a charter was adopted"
        at = start
        while at < end:
            try:
                for record in self._glancer.scan(tx, head, at, end):
                    at = record.index + 1
                    yield record
            except (TallyError, LookupError):
                pass  # damaged on this disk, which `fsck` tells
            if at < end:
                yield _broken(tx, head, at)
                at += 1

    def _keep(self, before: Position | None, after: Position, chunk: list[Projected], *, is_new: bool) -> bool:
        """False if another worker was here, or the view was dropped: the next round begins from what is there."""
        with self._views.write() as tx:
            if viewstore.read_positions(tx).get(after.log) != before:
                return False
            if is_new:
                viewstore.insert_rows(tx, [item.row for item in chunk])
            else:
                # An entry without an id never gets a body, and only those before it told where its row stands.
                viewstore.replace_rows(tx, [item.row for item in chunk if item.row.id is not None])
            viewstore.add_identifiers(tx, [(value, item.row.place) for item in chunk for value in item.identifiers])
            viewstore.add_flags(tx, [(flag, item.row.place) for item in chunk for flag in item.flags])
            viewstore.add_problems(tx, [(code, item.row.place) for item in chunk for code in item.problems])
            if after != before:
                viewstore.keep_position(tx, after)
        return True

    # --- problems -----------------------------------------------------------------------

    def _judge_again(self, heads: list[logs.StoredLog], *, judged: int, statements: int) -> bool:
        """Project again a chunk of what is judged otherwise by the statements that there are now; False if none is due.

        What comes meanwhile waits for the next pass: begun anew for each statement, one would never end.
        """
        if self._again is None:
            if judged == statements:
                return False
            self._again = statements, self._judging.list_due(self._views, heads)
        aim, pages = self._again
        places = next(pages, None)
        if places is None:
            self._again = None
            with self._views.write() as tx:
                viewstore.keep_judged(tx, aim)
            return True
        with self._views.read() as views:
            positions = viewstore.read_positions(views)
        for number, found in groupby(places, key=itemgetter(0)):
            head, position = next(head for head in heads if head.number == number), positions.get(number)
            runs = _runs([index for _, index in found])
            if position is None or not all(self._project_again(head, position, *run) for run in runs):
                self._again = None  # another worker was here: what is due is looked for anew
                break
        return True

    def _project_again(self, head: logs.StoredLog, position: Position, start: int, end: int) -> bool:
        """Rows [start, end) made anew; False if they were not kept."""
        while start < end:
            with self._ledger.read() as tx:
                part_end = _chunk_end(tx, head.number, start, end)
                chunk, _ = self._project(tx, head, start, part_end, time_ms=0)
            if not self._keep(position, position, chunk, is_new=False):
                return False
            start = part_end
        return True

    # --- gaps ---------------------------------------------------------------------------

    def _revisit_gaps(self, heads: list[logs.StoredLog]) -> bool:
        """Project again where a body went missing, or came after it had been given up; False if nowhere."""
        began_s = time.monotonic()
        with self._ledger.read() as tx:
            version = viewsource.data_version(tx)
        if version == self._gaps_version or began_s < self._gaps_due_s:
            return False
        moved = [self._revisit_gaps_of(head) for head in heads]
        if any(moved):
            return True
        self._gaps_version = version
        self._gaps_due_s = began_s + max(GAPS_REST_S, _GAPS_SHARE * (time.monotonic() - began_s))
        return False

    def _revisit_gaps_of(self, head: logs.StoredLog) -> bool:
        with self._ledger.read() as tx, self._views.read() as views:
            position = viewstore.read_positions(views).get(head.number)
            if position is None:
                return False
            due = ((i, clip(why)) for i, why in viewsource.iterate_gaps(tx, head.number, end=position.entries))
            differing = _differing(due, viewstore.list_row_gaps(views, head.number))
            indexes = list(islice(differing, limits.VIEW_CHUNK_RECORDS))
        for start, end in _runs(indexes):
            with self._ledger.read() as tx:
                chunk, _ = self._project(tx, head, start, _chunk_end(tx, head.number, start, end), time_ms=0)
            self._keep(position, position, chunk, is_new=False)
        return bool(indexes)


def _agrees(tx: Tx, heads: list[logs.StoredLog], positions: dict[int, Position]) -> bool:
    """Whether the view can have been filled from this ledger: a restored backup is smaller, or another one."""
    known = {head.number: head for head in heads}
    for position in positions.values():
        head = known.get(position.log)
        if head is None or str(head.origin) != position.origin:
            return False
        if head.bodies_size < position.bodies or _leaf(tx, head.number, position.entries) != position.leaf:
            return False
    return True


def _leaf(tx: Tx, number: int, end: int) -> bytes:
    """The leaf before `end`, b"" for none: also of a damaged ledger the answer is the same each time."""
    found: list[Digest] = logs.read_leaves(tx, number, end - 1, end)
    return found[0] if found else b""


def _chunk_end(tx: Tx, number: int, start: int, end: int) -> int:
    end = min(end, start + limits.VIEW_CHUNK_RECORDS)
    return viewsource.chunk_end(tx, number, start, end=end, bytes_max=limits.VIEW_CHUNK_BYTES)


def _broken(tx: Tx, head: logs.StoredLog, index: int) -> ReadRecord:
    leaf = Digest(_leaf(tx, head.number, index + 1))
    try:
        record_id = logs.read_packed(tx, head.number, index, index + 1)[0].id
    except (TallyError, ValueError, LookupError):
        record_id = None
    return ReadRecord(origin=head.origin, index=index, leaf=leaf, id=record_id, state="broken")


def _differing(one: Iterable[tuple[int, str]], other: Iterable[tuple[int, str]]) -> Iterator[int]:
    """The indexes at which two ascending lists of (index, reason) are not the same."""
    for index, found in groupby(heapq.merge(one, other), key=itemgetter(0)):
        reasons = [reason for _, reason in found]
        if len(reasons) != 2 or reasons[0] != reasons[1]:
            yield index


def _runs(indexes: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending indexes as ranges [start, end)."""
    for _, run in groupby(enumerate(indexes), key=lambda item: item[1] - item[0]):
        found = [index for _, index in run]
        yield found[0], found[-1] + 1
