"""Sidecars, channels and gaps in the store, and what of them a peer may be given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from ledger import limits
from ledger.names import MemberName
from ledger.sealing import ChannelMessage, Wrap, decode_channel_message
from ledger.sidecar import Bodies, Sidecar
from node.storage.packing import PackedSidecar, PackedWrap, RowDamaged, unpack_sidecar, unpack_sidecar_if
from node.storage.store import Tx, insert_many
from node.storage.tables import ChannelRow, GapRow, SidecarRow, StatementRow, row_key, table_of

_ROWS_AT_ONCE: Final = 16
_SMALL_BYTES: Final = 64 << 10
"""Bytes of a row that is read along with others: one may have some 4 MiB, and many callers look at once."""
_LOOKED_AT_MAX: Final = 16 << 20
"""Bytes of rows that one answer looks at: else records that are not for its caller could make it last for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChannel:
    number: int
    id: bytes
    wrapper: MemberName
    reader: MemberName
    message: bytes

    def decoded(self) -> ChannelMessage:
        return decode_channel_message(self.message)


# --- channels ----------------------------------------------------------------------


def insert_channel(tx: Tx, *, channel_id: bytes, wrapper: str, reader: str, message: bytes) -> int:
    """Keep a channel message; returns its local number."""
    table = table_of(ChannelRow)
    result = tx.execute(table.insert().values(id=channel_id, wrapper=wrapper, reader=reader, message=message))
    number = result.inserted_primary_key
    assert number is not None, "the database numbers channels"
    return int(number[0])


def list_channels(tx: Tx, *, wrapper: MemberName | None = None) -> dict[int, StoredChannel]:
    """Channels (of one wrapper, or all) by their local number: all of them, for whoever looks at the whole store."""
    table = table_of(ChannelRow)
    query = select(table) if wrapper is None else select(table).where(table.c.wrapper == wrapper)
    return {row.number: StoredChannel(**row._mapping) for row in tx.execute(query)}


class ChannelsByNumber(dict[int, StoredChannel]):
    """Channels by their local number, each read when it is first asked for: an author makes as many as it likes."""

    def __init__(self, tx: Tx) -> None:
        super().__init__()
        self._tx = tx

    def __missing__(self, number: int) -> StoredChannel:
        table = table_of(ChannelRow)
        row = self._tx.execute(select(table).where(table.c.number == number)).first()
        if row is None:
            raise KeyError(number)
        self[number] = StoredChannel(**row._mapping)
        return self[number]


def find_channels(tx: Tx, wrapper: MemberName, ids: Iterable[bytes]) -> dict[bytes, StoredChannel]:
    """Those channels of `wrapper`, by id; what is not there is left out."""
    table, wanted = table_of(ChannelRow), list(ids)
    found: dict[bytes, StoredChannel] = {}
    for at in range(0, len(wanted), 500):
        query = select(table).where(table.c.wrapper == wrapper, table.c.id.in_(wanted[at : at + 500]))
        found |= {row.id: StoredChannel(**row._mapping) for row in tx.execute(query)}
    return found


def channel_room(tx: Tx, *, wrapper: str, reader: str) -> int:
    """How many more channels of `wrapper` to `reader` can be kept."""
    count = "SELECT count(*) FROM channel WHERE wrapper = ? AND reader = ?"
    return limits.CHANNELS_MAX - int(tx.exec_driver_sql(count, (wrapper, reader)).scalar_one())


def _has_channel(tx: Tx, *, wrapper: str, reader: str) -> bool:
    find = "SELECT 1 FROM channel WHERE wrapper = ? AND reader = ? LIMIT 1"
    return tx.exec_driver_sql(find, (wrapper, reader)).scalar() is not None


# --- sidecars ----------------------------------------------------------------------


def insert_sidecars(tx: Tx, log: int, packed: Sequence[tuple[int, bytes]]) -> None:
    """Keep sidecars by (index, packed)."""
    insert_many(tx, SidecarRow, [(row_key(log, index), row) for index, row in packed])


def delete_sidecars(tx: Tx, log: int, indexes: Sequence[int]) -> None:
    """Make place for fuller ones (more sections, more wraps), if there are any."""
    if indexes:
        tx.exec_driver_sql("DELETE FROM sidecar WHERE key = ?", [(row_key(log, index),) for index in indexes])


def read_sidecar(tx: Tx, log: int, index: int) -> PackedSidecar | None:
    row = tx.exec_driver_sql("SELECT packed FROM sidecar WHERE key = ?", (row_key(log, index),)).first()
    return None if row is None else unpack_sidecar(row[0])


def scan_sidecars(tx: Tx, log: int, start: int, end: int) -> Iterator[tuple[int, PackedSidecar]]:
    """(index, sidecar) of those held in [start, end), ascending."""
    for index, packed in _scan_packed(tx, log, start, end):
        yield index, unpack_sidecar(packed)


def scan_rows(tx: Tx, log: int, start: int, end: int) -> Iterator[tuple[int, bytes, bytes | None]]:
    """(index, packed entry, packed sidecar if one is held) of entries [start, end), ascending."""
    rows = tx.exec_driver_sql(
        "SELECT e.key, e.packed, s.packed FROM entry e LEFT JOIN sidecar s ON s.key = e.key "
        "WHERE e.key >= ? AND e.key < ? ORDER BY e.key",
        (row_key(log, start), row_key(log, end)),
    )
    base = row_key(log, 0)
    for key, entry, sidecar in rows:
        yield key - base, entry, sidecar


def scan_sidecars_raw(tx: Tx, log: int, start: int, end: int) -> Iterator[tuple[int, PackedSidecar | RowDamaged]]:
    """As `scan_sidecars`, with the fault in the place of a damaged one."""
    for index, packed in _scan_packed(tx, log, start, end):
        try:
            yield index, unpack_sidecar(packed)
        except RowDamaged as cause:
            yield index, cause


def _scan_packed(tx: Tx, log: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    # The length of a value that stands apart from its row is known without a look at it.
    rows = tx.exec_driver_sql(
        "SELECT key, CASE WHEN length(packed) <= ? THEN packed END FROM sidecar "
        "WHERE key >= ? AND key < ? ORDER BY key",
        (_SMALL_BYTES, row_key(log, start), row_key(log, end)),
    )
    base = row_key(log, 0)
    while some := rows.fetchmany(_ROWS_AT_ONCE):  # one at a time costs as much again
        for key, small in some:
            yield key - base, _read_packed(tx, key) if small is None else small


def _read_packed(tx: Tx, key: int) -> bytes:
    found: bytes = tx.exec_driver_sql("SELECT packed FROM sidecar WHERE key = ?", (key,)).scalar_one()
    return found


def read_bodies(
    tx: Tx,
    log: int,
    *,
    start: int,
    end: int,
    caller: MemberName,
    author: MemberName,
    keeper: MemberName,
    bytes_max: int,
) -> tuple[Bodies, int]:
    """What `caller` is entitled to of entries [start, end), and the index up to which that speaks.

    A caller gets the sections that a wrap to it names and no other byte of a record; with
    them goes the author's wrap to itself, so that an author that lost its store gets its own back.
    The author also gets the wrap that it made for the `keeper` of this store: it lost that with the rest.
    The answer stops early once it holds `bytes_max`, or has looked at very much that is for others.
    """
    if not _has_channel(tx, wrapper=author, reader=caller):  # all wraps of a log are its author's
        return Bodies(messages=[], sidecars={}), end
    channels = ChannelsByNumber(tx)
    other = keeper if caller == author else author
    used: dict[int, bytes] = {}
    sidecars: dict[int, Sidecar] = {}
    volume = looked_at = 0

    def is_to_caller(wraps: Iterable[PackedWrap]) -> bool:
        return any([channels[wrap.channel_number].reader == caller for wrap in wraps])

    for index, row in _scan_packed(tx, log, start, end):
        if looked_at > _LOOKED_AT_MAX:
            return Bodies(messages=list(used.values()), sidecars=sidecars), index
        looked_at += len(row)
        packed = unpack_sidecar_if(row, is_to_caller)
        if packed is None:
            continue
        mine = [w for w in packed.wraps if channels[w.channel_number].reader == caller]
        if volume > bytes_max:
            return Bodies(messages=list(used.values()), sidecars=sidecars), index
        others = [w for w in packed.wraps if channels[w.channel_number].reader == other and caller != other]
        entitled = {number for wrap in mine for number in wrap.sections}
        held = {number: text for number, text in packed.sections.items() if number in entitled}
        for wrap in (*mine, *others):
            used[wrap.channel_number] = channels[wrap.channel_number].message
        wraps = tuple(Wrap(channels[w.channel_number].id, w.sections, w.sealed) for w in (*mine, *others))
        sidecars[index] = Sidecar(packed.manifest_bytes, wraps, held)
        volume += sum(map(len, held.values())) + 300
    return Bodies(messages=list(used.values()), sidecars=sidecars), end


# --- gaps and statements -------------------------------------------------------------


def insert_gaps(tx: Tx, log: int, gaps: Sequence[tuple[int, str]]) -> None:
    for index, reason in gaps:
        tx.exec_driver_sql("INSERT OR REPLACE INTO gap (key, reason) VALUES (?, ?)", (row_key(log, index), reason))


def delete_gap(tx: Tx, log: int, index: int) -> None:
    tx.exec_driver_sql("DELETE FROM gap WHERE key = ?", (row_key(log, index),))


def list_gaps(tx: Tx, log: int, *, start: int = 0, end: int | None = None) -> list[tuple[int, str]]:
    """(index, reason) of every body of entries [start, end) of the log that was due and is not here."""
    last = row_key(log + 1, 0) if end is None else row_key(log, end)
    table = table_of(GapRow)
    query = select(table).where(table.c.key >= row_key(log, start), table.c.key < last)
    return [(row.key - row_key(log, 0), row.reason) for row in tx.execute(query.order_by(table.c.key))]


def end_of_bodies(tx: Tx, log: int) -> int:
    """The index after the last entry of a log of which a body is held or named missing."""
    keys = (row_key(log, 0), row_key(log + 1, 0))
    last = [
        tx.exec_driver_sql(f"SELECT max(key) FROM {table} WHERE key >= ? AND key < ?", keys).scalar()  # noqa: S608
        for table in ("sidecar", "gap")
    ]
    return max([key - row_key(log, 0) + 1 for key in last if key is not None], default=0)


def count_gaps(tx: Tx, log: int) -> int:
    keys = (row_key(log, 0), row_key(log + 1, 0))
    return int(tx.exec_driver_sql("SELECT count(*) FROM gap WHERE key >= ? AND key < ?", keys).scalar_one())


def has_gaps(tx: Tx, log: int) -> bool:
    return next_gap(tx, log, 0) is not None


def next_gap(tx: Tx, log: int, start: int) -> int | None:
    """The first entry from `start` on whose body is missing."""
    keys = (row_key(log, start), row_key(log + 1, 0))
    row = tx.exec_driver_sql("SELECT key FROM gap WHERE key >= ? AND key < ? ORDER BY key LIMIT 1", keys).first()
    return None if row is None else int(row[0]) - row_key(log, 0)


def insert_statement(tx: Tx, log: int, index: int, type_name: str) -> None:
    tx.exec_driver_sql("INSERT OR IGNORE INTO statement (key, type) VALUES (?, ?)", (row_key(log, index), type_name))


def list_statements(
    tx: Tx, *, log: int | None = None, start: int = 0, most: int | None = None
) -> list[tuple[int, int, str]]:
    """(log, index, type) of every readable statement; or of one log, `most` of them from entry `start` on."""
    table = table_of(StatementRow)
    query = select(table).order_by(table.c.key)
    if log is not None:
        query = query.where(table.c.key >= row_key(log, start), table.c.key < row_key(log + 1, 0)).limit(most)
    return [(row.key >> 40, row.key & ((1 << 40) - 1), row.type) for row in tx.execute(query)]
