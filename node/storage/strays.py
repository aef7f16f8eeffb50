"""Rows that are of no log or no entry: nothing reads them until one comes to stand there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from node.storage.logs import StoredLog
from node.storage.store import Tx
from node.storage.tables import KEY_BITS, row_key

_BY_LOG: Final = ("target", "node", "record_id", "slot", "checkpoint")  # cosignatures are of a checkpoint
_BY_KEY: Final = ("entry", "sidecar", "gap")  # and statements have a check of their own
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


def list_of_no_log(tx: Tx) -> Iterator[tuple[str, int]]:
    """(table, number of a log that there is not)."""
    for table in _BY_LOG:
        query = f"SELECT DISTINCT log FROM {table} WHERE log NOT IN (SELECT number FROM log)"  # noqa: S608
        for (number,) in tx.exec_driver_sql(query):
            yield table, number


def list_of_no_entry(tx: Tx, found: Sequence[StoredLog]) -> Iterator[tuple[str, int, int]]:
    """(table, number of the log, index) of what stands where no log has an entry."""
    starts = [_FIRST, *(row_key(log.number, log.size) for log in found)]
    ends = [*(row_key(log.number, 0) - 1 for log in found), _LAST]
    for table in _BY_KEY:
        for first, last in zip(starts, ends, strict=True):
            query = f"SELECT key FROM {table} WHERE key BETWEEN ? AND ?"  # noqa: S608
            for (key,) in tx.exec_driver_sql(query, (first, last)):
                yield table, key >> KEY_BITS, key & ((1 << KEY_BITS) - 1)
