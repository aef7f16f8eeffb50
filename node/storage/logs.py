"""Logs in the store: heads, entries, subtree hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row as SqlRow
from sqlalchemy import func, select, update

from ledger import limits
from ledger.errors import Missing
from ledger.merkle import Frontier, HashReader, Row, decode_frontier, encode_frontier, root_of
from ledger.names import Digest, Origin, decode_origin
from node.storage.checkpoints import keep_checkpoint
from node.storage.packing import PackedEntry, RowDamaged, unpack_entry
from node.storage.store import Tx, insert_many
from node.storage.tables import KEY_BITS, EntryRow, LogRow, NodeRow, row_key, table_of

GENESIS: Final = Digest(bytes(32))

# Written out: every commit and every answer looks at heads, and to compose a statement costs more than to run it.
_SELECT_LOGS: Final = (
    "SELECT number, origin, size, last_leaf, frontier, checkpoint, checkpoint_size, bodies_size, frozen, "
    "no_cosign_from, repeat_first, repeat_second FROM log"
)
_MOVE: Final = "UPDATE log SET size = ?, last_leaf = ?, frontier = ?"
_WHERE_SAME: Final = "WHERE number = ? AND size = ? AND last_leaf = ? AND checkpoint_size = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLog:
    """The durable head of one log.

    checkpoint: note of the largest checkpoint that all entries up to its size were committed under.
    bodies_size: entries below it have been asked of their author.
    repeat: indexes of an id or slot that occurs twice and is not proven yet.
    """

    number: int
    origin: Origin
    size: int
    last_leaf: Digest
    frontier: Frontier
    checkpoint: bytes | None
    checkpoint_size: int
    bodies_size: int
    frozen: str | None
    no_cosign_from: int | None
    repeat: tuple[int, int] | None


# --- heads -----------------------------------------------------------------------


def find_log(tx: Tx, origin: Origin) -> StoredLog | None:
    row = tx.exec_driver_sql(f"{_SELECT_LOGS} WHERE origin = ?", (str(origin),)).first()
    return None if row is None else _stored(row)


def list_logs(tx: Tx) -> list[StoredLog]:
    return [_stored(row) for row in tx.exec_driver_sql(f"{_SELECT_LOGS} ORDER BY number")]


def list_half_repeats(tx: Tx) -> set[int]:
    """Numbers of the logs of whose repeat one index is kept, which no write leaves so."""
    rows = tx.exec_driver_sql("SELECT number FROM log WHERE (repeat_first IS NULL) <> (repeat_second IS NULL)")
    return {row[0] for row in rows}


def ensure_log(tx: Tx, origin: Origin) -> StoredLog:
    """The head of `origin`, made empty where it was unknown."""
    found = find_log(tx, origin)
    if found is not None:
        return found
    table = table_of(LogRow)
    number = (tx.execute(select(func.max(table.c.number))).scalar() or 0) + 1
    values = {"number": number, "origin": str(origin), "size": 0, "last_leaf": GENESIS, "checkpoint_size": 0}
    tx.execute(table.insert().values(**values, frontier=encode_frontier(Frontier()), bodies_size=0))
    return StoredLog(
        number=number,
        origin=origin,
        size=0,
        last_leaf=GENESIS,
        frontier=Frontier(),
        checkpoint=None,
        checkpoint_size=0,
        bodies_size=0,
        frozen=None,
        no_cosign_from=None,
        repeat=None,
    )


def advance_head(
    tx: Tx, before: StoredLog, *, frontier: Frontier, last_leaf: Digest, checkpoint: bytes | None, checkpoint_size: int
) -> bool:
    """Compare-and-swap the head: False (and nothing changed) if somebody else moved it since `before` was read.

    checkpoint: the signed note for `checkpoint_size`; None keeps the old one (a catch-up that is under way).
    """
    moved = _MOVE
    values: tuple[int | bytes, ...] = (frontier.size, last_leaf, encode_frontier(frontier))
    if checkpoint is not None:
        moved += ", checkpoint = ?, checkpoint_size = ?"
        values += (checkpoint, checkpoint_size)
    same = (before.number, before.size, before.last_leaf, before.checkpoint_size)
    swapped = tx.exec_driver_sql(f"{moved} {_WHERE_SAME}", (*values, *same))
    if swapped.rowcount != 1:
        return False
    if checkpoint is not None:
        keep_checkpoint(tx, before.number, checkpoint_size, checkpoint)
    return True


def set_log(tx: Tx, number: int, **values: object) -> None:
    """Change what is not the head of a log."""
    movable = {"frozen", "no_cosign_from", "bodies_size", "repeat_first", "repeat_second"}
    assert values.keys() <= movable, "heads move by advance_head only"
    table = table_of(LogRow)
    tx.execute(update(table).where(table.c.number == number).values(**values))


def keep_target(tx: Tx, log: int, size: int, note: bytes) -> None:
    tx.exec_driver_sql("INSERT OR IGNORE INTO target (log, size, note) VALUES (?, ?, ?)", (log, size, note))


def drop_targets(tx: Tx, log: int, *, up_to: int) -> None:
    tx.exec_driver_sql("DELETE FROM target WHERE log = ? AND size <= ?", (log, up_to))


def read_targets(tx: Tx, log: int) -> list[bytes]:
    """Notes of the checkpoints above what is held, smallest first."""
    return [note for _, note in list_targets(tx, log)]


def list_targets(tx: Tx, log: int) -> list[tuple[int, bytes]]:
    """(size, note), smallest first."""
    rows = tx.exec_driver_sql("SELECT size, note FROM target WHERE log = ? ORDER BY size", (log,))
    return [(row[0], row[1]) for row in rows]


# --- entries ---------------------------------------------------------------------


def insert_entries(tx: Tx, log: int, start: int, packed: Sequence[bytes]) -> None:
    key = row_key(log, start)
    insert_many(tx, EntryRow, list(zip(range(key, key + len(packed)), packed, strict=True)))


def read_packed(tx: Tx, log: int, start: int, end: int) -> list[PackedEntry]:
    """The rows of entries [start, end). Raises: RowDamaged."""
    rows = tx.exec_driver_sql(
        "SELECT packed FROM entry WHERE key >= ? AND key < ? ORDER BY key", (row_key(log, start), row_key(log, end))
    )
    return [unpack_entry(row[0]) for row in rows]


def count_held(tx: Tx, log: int) -> int:
    """The index after that of the last entry there is, whatever the head says."""
    keys = (row_key(log, 0), row_key(log + 1, 0))
    last = tx.exec_driver_sql("SELECT max(key) FROM entry WHERE key >= ? AND key < ?", keys).scalar()
    return 0 if last is None else int(last) - row_key(log, 0) + 1


def read_row(tx: Tx, log: int, index: int) -> PackedEntry:
    """The row of one entry. Raises: RowDamaged, also if there is none where something else says there is."""
    rows = read_packed(tx, log, index, index + 1) if 0 <= index < 1 << KEY_BITS else []
    if not rows:
        raise RowDamaged(reason=f"entry {index}, which another row names, is missing")
    return rows[0]


def scan_packed(tx: Tx, log: int, start: int, end: int) -> Iterator[tuple[int, PackedEntry | RowDamaged]]:
    """(index, row) of those kept in [start, end), ascending, with the fault in the place of a damaged one."""
    rows = tx.exec_driver_sql(
        "SELECT key, packed FROM entry WHERE key >= ? AND key < ? ORDER BY key",
        (row_key(log, start), row_key(log, end)),
    )
    base = row_key(log, 0)
    for key, packed in rows:
        try:
            yield key - base, unpack_entry(packed)
        except RowDamaged as cause:
            yield key - base, cause


def read_entries(tx: Tx, log: StoredLog, start: int, end: int) -> list[bytes]:
    """The exact bytes of entries [start, end), cut off at the log's size."""
    end = min(end, log.size)
    first = max(start - 1, 0)
    packed = read_packed(tx, log.number, first, end)
    prev = packed[0].leaf if first < start and packed else GENESIS
    out = []
    for index, row in enumerate(packed[start - first :], start):
        out.append(row.encode(origin=log.origin, index=index, prev=prev))
        prev = row.leaf
    return out


def read_leaves(tx: Tx, log: int, start: int, end: int) -> list[Digest]:
    rows = tx.exec_driver_sql(
        "SELECT substr(packed, 2, 32) FROM entry WHERE key >= ? AND key < ? ORDER BY key",
        (row_key(log, start), row_key(log, end)),
    )
    return [Digest(row[0]) for row in rows]


# --- subtree hashes ----------------------------------------------------------------


def insert_rows(tx: Tx, log: int, rows: Sequence[Row]) -> None:
    """Keep the hashes of the subtrees of 256, 65,536, ... leaves that an extension completed."""
    for row in rows:
        level = row.level // limits.TILE_LEVELS
        insert_many(tx, NodeRow, [(log, level, row.start + i, digest) for i, digest in enumerate(row.hashes)])


def read_nodes(tx: Tx, log: int, *, level: int, start: int, end: int) -> list[Digest]:
    """Hashes [start, end) at tile level `level` (256**level leaves each); level 0 are the leaves."""
    if level == 0:
        return read_leaves(tx, log, start, end)
    rows = tx.exec_driver_sql(
        'SELECT hash FROM node WHERE log = ? AND level = ? AND "index" >= ? AND "index" < ? ORDER BY "index"',
        (log, level, start, end),
    )
    return [Digest(row[0]) for row in rows]


def hash_reader(tx: Tx, log: int) -> HashReader:
    """Hashes of complete subtrees of 2**level leaves, for proofs."""

    def read(level: int, index: int) -> Digest:
        tile_level, rest = divmod(level, limits.TILE_LEVELS)
        width = 1 << rest
        hashes = read_nodes(tx, log, level=tile_level, start=index * width, end=(index + 1) * width)
        if len(hashes) != width:
            raise Missing(what="subtree hash", name=f"{level}/{index}")
        return root_of(hashes)

    return read


def list_nodes(tx: Tx, log: int) -> list[tuple[int, int, bytes]]:
    """(tile level, index, hash) of every kept subtree hash above the leaves."""
    rows = tx.exec_driver_sql('SELECT level, "index", hash FROM node WHERE log = ? ORDER BY level, "index"', (log,))
    return [(row[0], row[1], row[2]) for row in rows]


def _stored(row: SqlRow[Any]) -> StoredLog:
    return StoredLog(
        number=row.number,
        origin=decode_origin(row.origin),
        size=row.size,
        last_leaf=Digest(row.last_leaf),
        frontier=decode_frontier(row.frontier),
        checkpoint=row.checkpoint,
        checkpoint_size=row.checkpoint_size,
        bodies_size=row.bodies_size,
        frozen=row.frozen,
        no_cosign_from=row.no_cosign_from,
        repeat=None if row.repeat_first is None else (row.repeat_first, row.repeat_second),
    )
