"""Checkpoints and cosignatures in the store: every one that was signed here, or seen of another log."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from ledger.names import MemberName
from node.storage.store import Tx
from node.storage.tables import CheckpointRow, CosignatureRow, table_of


def keep_checkpoint(tx: Tx, log: int, size: int, note: bytes) -> None:
    values = (log, size, note)
    tx.exec_driver_sql("INSERT OR IGNORE INTO checkpoint (log, size, note) VALUES (?, ?, ?)", values)


def read_checkpoint(tx: Tx, log: int, *, at_least: int) -> tuple[int, bytes] | None:
    """The oldest kept checkpoint of size `at_least` or more."""
    table = table_of(CheckpointRow)
    query = select(table.c.size, table.c.note).where(table.c.log == log, table.c.size >= at_least)
    row = tx.execute(query.order_by(table.c.size).limit(1)).first()
    return None if row is None else (row.size, row.note)


def list_checkpoints(tx: Tx, log: int) -> list[tuple[int, bytes]]:
    """(size, note) of every kept checkpoint, smallest first."""
    rows = tx.exec_driver_sql("SELECT size, note FROM checkpoint WHERE log = ? ORDER BY size", (log,))
    return [(row[0], row[1]) for row in rows]


def best_cosigned(tx: Tx, log: int, *, at_least: int, by: Collection[MemberName]) -> tuple[int, bytes] | None:
    """The kept checkpoint of size `at_least` or more that most of the members `by` cosigned, the newest of those."""
    kept, lines = table_of(CheckpointRow), table_of(CosignatureRow)
    same = (lines.c.log == kept.c.log) & (lines.c.size == kept.c.size)
    query = select(kept.c.size, kept.c.note).join(lines, same)
    query = query.where(kept.c.log == log, kept.c.size >= at_least, lines.c.member.in_(list(by)))
    query = query.group_by(kept.c.size, kept.c.note).order_by(func.count().desc(), kept.c.size.desc())
    row = tx.execute(query.limit(1)).first()
    return None if row is None else (row[0], row[1])


def keep_cosignature(tx: Tx, log: int, *, member: MemberName, size: int, line: bytes) -> bool:
    """Keep one member's cosignature line for one size; False if it was there."""
    found = tx.exec_driver_sql(
        "INSERT OR IGNORE INTO cosignature (log, member, size, line) VALUES (?, ?, ?, ?)", (log, member, size, line)
    )
    return found.rowcount == 1


def read_cosignatures(tx: Tx, log: int, size: int) -> list[tuple[MemberName, bytes]]:
    table = table_of(CosignatureRow)
    query = select(table.c.member, table.c.line).where(table.c.log == log, table.c.size == size)
    return [(MemberName(row.member), row.line) for row in tx.execute(query.order_by(table.c.member))]


def list_cosigned(tx: Tx) -> list[tuple[int, int, MemberName]]:
    """(log, size, member) of every cosignature there is."""
    rows = tx.exec_driver_sql("SELECT log, size, member FROM cosignature ORDER BY log, size, member")
    return [(row[0], row[1], MemberName(row[2])) for row in rows]


def cosigned_size(tx: Tx, log: int, member: MemberName) -> int:
    """The greatest size of a log that `member` cosigned, 0 for none."""
    table = table_of(CosignatureRow)
    query = select(func.max(table.c.size)).where(table.c.log == log, table.c.member == member)
    return tx.execute(query).scalar() or 0


def cosigned_sizes(tx: Tx, log: int) -> dict[MemberName, int]:
    """The greatest size that each member cosigned."""
    table = table_of(CosignatureRow)
    query = select(table.c.member, func.max(table.c.size)).where(table.c.log == log).group_by(table.c.member)
    return {MemberName(row[0]): row[1] for row in tx.execute(query)}
