"""Audit replay: every entry of a log hashed, parsed and linked, and the root compared with the signed one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger import limits
from ledger.checkpoint import open_checkpoint
from ledger.errors import RootMismatch
from ledger.keys import VerifyKey
from ledger.merkle import Frontier
from ledger.names import MemberName
from ledger.replica.entries import check_entries
from ledger.tiles import decode_bundle, encode_bundle
from node.membership import load_membership
from node.storage import logs
from node.storage.logs import GENESIS, StoredLog
from node.storage.store import Store
from tests.bench import records
from tests.bench.network import database
from tests.bench.rows import Row, at_least, make_row
from tests.bench.stage import Stage

NAMES: Final = ("replay",)
_ROUNDS: Final = 5
_AT_ONCE: Final = limits.CATCH_UP_BUNDLES


def measure(stage: Stage) -> Iterator[Row]:
    stage.fill(stage.sizes.copy_records)
    log, key, bundles = _read(database(stage.trade.author))
    rates = []
    for number in range(_ROUNDS):
        stage.say(f"replay, round {number + 1} of {_ROUNDS}: {log.size:,} entries")
        start = time.perf_counter()
        _replay(log, key, bundles)
        rates.append(log.size / (time.perf_counter() - start))
    yield at_least(500_000)(make_row("replay", rates, "entries/s"))


def _read(path: Path) -> tuple[StoredLog, VerifyKey, list[bytes]]:
    """The author's log as it would be served: its head, the key that signed it, and its entry bundles."""
    store = Store.open_readonly(path)
    try:
        with store.read() as tx:
            membership = load_membership(tx)
            assert membership is not None, "the author's node adopted a charter"
            log = logs.find_log(tx, membership.origin(MemberName(records.AUTHOR)))
            assert log is not None, "and has a log"
            starts = range(0, log.size, limits.TILE_WIDTH)
            bundles = [encode_bundle(logs.read_entries(tx, log, at, at + limits.TILE_WIDTH)) for at in starts]
    finally:
        store.close()
    return log, membership.network.log_key(log.origin, log.size), bundles


def _replay(log: StoredLog, key: VerifyKey, bundles: list[bytes]) -> None:
    """Raises: what a log raises that is not what its author signed."""
    frontier, prev = Frontier(), GENESIS
    for at in range(0, len(bundles), _AT_ONCE):
        entries: list[bytes] = []
        for bundle in bundles[at : at + _AT_ONCE]:
            width = min(limits.TILE_WIDTH, log.size - frontier.size - len(entries))
            entries += decode_bundle(bundle, width)
        batch = check_entries(entries, origin=log.origin, start=frontier.size, prev=prev)
        frontier, prev = frontier.extended(batch.leaves), batch.leaves[-1]
    assert log.checkpoint is not None, "a log with entries has a checkpoint"
    signed = open_checkpoint(log.checkpoint, origin=log.origin, key=key)
    if (signed.size, signed.root) != (frontier.size, frontier.root()):
        raise RootMismatch(what=str(log.origin))
