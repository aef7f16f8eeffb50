"""Where ids and slots stand: the tables by which an entry is found, made of the entries and signed by nobody.

So whatever is looked up is compared with the entry that it leads to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Table, func, select

from ledger.entry import decode_entry
from ledger.errors import BadInput
from node.storage.logs import StoredLog, read_row
from node.storage.packing import PackedEntry, RowDamaged, unpack_entry
from node.storage.store import Tx, insert_many
from node.storage.tables import IdRow, SlotRow, row_key, table_of


def insert_ids(tx: Tx, log: int, start: int, ids: Sequence[bytes | None]) -> None:
    insert_many(tx, IdRow, [(log, id_, start + i) for i, id_ in enumerate(ids) if id_ is not None])


def insert_slots(tx: Tx, log: int, slots: Mapping[bytes, int]) -> None:
    insert_many(tx, SlotRow, [(log, slot, index) for slot, index in slots.items()])


def last_id(tx: Tx, log: int) -> bytes | None:
    """The greatest id of a log: every id above it is new."""
    table = table_of(IdRow)
    return tx.execute(select(func.max(table.c.id)).where(table.c.log == log)).scalar()


def find_id(tx: Tx, log: int, record_id: bytes) -> int | None:
    """Raises: RowDamaged if the entry that the table names has another id."""
    return find_ids(tx, log, [record_id]).get(record_id)


def find_ids(tx: Tx, log: int, ids: Sequence[bytes]) -> dict[bytes, int]:
    """Those of `ids` that the log already has, with their index. Raises: as `find_id`."""
    found = read_ids(tx, log, ids)
    for record_id, index in found.items():
        if names_of(read_row(tx, log, index))[0] != record_id:
            raise RowDamaged(reason=f"the table of ids leads to entry {index}, which has another id")
    return found


def find_slot(tx: Tx, log: int, slot: bytes) -> int | None:
    """Raises: RowDamaged if the entry that the table names has another slot."""
    index = read_slots(tx, log, [slot]).get(slot)
    if index is not None and names_of(read_row(tx, log, index))[1] != slot:
        raise RowDamaged(reason=f"the table of slots leads to entry {index}, which has another slot")
    return index


def names_of(row: PackedEntry) -> tuple[bytes | None, bytes | None]:
    """Id and slot of an entry, also of a newer version; an invalid one has neither."""
    if row.raw is None:
        return row.id, row.slot
    try:
        entry = None if row.is_invalid else decode_entry(row.raw)
    except BadInput:
        entry = None
    return (None, None) if entry is None else (entry.id, entry.slot)


# --- as the tables say it, for whoever compares them ----------------------------------


def read_ids(tx: Tx, log: int, ids: Sequence[bytes]) -> dict[bytes, int]:
    """Where each of `ids` stands by the table alone."""
    return _read(tx, table_of(IdRow), log, ids)


def read_slots(tx: Tx, log: int, slots: Sequence[bytes]) -> dict[bytes, int]:
    return _read(tx, table_of(SlotRow), log, slots)


def scan_ids(tx: Tx, log: StoredLog) -> Iterator[tuple[bytes, int, PackedEntry | None]]:
    """(id, index, the entry there if it can be read) of all of a log."""
    return _scan(tx, "record_id", "id", log)


def scan_slots(tx: Tx, log: StoredLog) -> Iterator[tuple[bytes, int, PackedEntry | None]]:
    return _scan(tx, "slot", "slot", log)


def _read(tx: Tx, table: Table, log: int, names: Sequence[bytes]) -> dict[bytes, int]:
    name = table.c[1]
    found: dict[bytes, int] = {}
    for at in range(0, len(names), 500):
        query = select(name, table.c.index).where(table.c.log == log, name.in_(list(names[at : at + 500])))
        found |= {row[0]: row[1] for row in tx.execute(query)}
    return found


def _scan(tx: Tx, table: str, column: str, log: StoredLog) -> Iterator[tuple[bytes, int, PackedEntry | None]]:
    # Compared with the size as well: an index beyond the bits of a key would be a place of another log.
    rows = tx.exec_driver_sql(
        f'SELECT t.{column}, t."index", e.packed FROM {table} t '  # noqa: S608  # the names are those above
        'LEFT JOIN entry e ON t."index" >= 0 AND t."index" < ? AND e.key = ? + t."index" WHERE t.log = ?',
        (log.size, row_key(log.number, 0), log.number),
    )
    for name, index, packed in rows:
        try:
            yield name, index, None if packed is None else unpack_entry(packed)
        except RowDamaged:
            yield name, index, None
