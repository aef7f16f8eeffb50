"""The own log as others hold it: what the start-up guard hears of, and what is fetched back.

Nobody is believed: what counts is a checkpoint that this node itself signed. If one of them is not in
the log that is held here, this node lost entries, or has signed two histories. In the first case
the entries are fetched back and the node goes on; in the second the proof freezes its own log.
"""

from __future__ import annotations

import asyncio

import structlog

from ledger.checkpoint import Checkpoint, decode_checkpoint, open_checkpoint
from ledger.errors import Missing
from ledger.merkle import EMPTY_ROOT, range_hash
from ledger.note import decode_note
from ledger.replica import Result
from node.node import Node
from node.storage import logs
from node.sync.client import PeerClient
from node.sync.rounds import run_round

_log = structlog.get_logger("tally.sync")


async def check_own_log(node: Node, peer: PeerClient) -> bool:
    """Ask what the peer holds of our log, tell the guard, fetch back what we miss. Returns whether anything came back.

    Raises: what reading and verifying the peer's checkpoint raises; it then counts as no answer.
    """
    joined = node.joined
    try:
        note = await peer.checkpoint(joined.origin.hash.hex())
    except Missing:
        joined.guard.heard(peer.peer, 0)
        return False
    size = decode_checkpoint(decode_note(note).text).size
    key = node.membership.network.log_key(joined.origin, size)
    checkpoint = open_checkpoint(note, origin=joined.origin, key=key)
    # Told first, so that the guard cannot open while the entries are on their way.
    joined.guard.heard(peer.peer, checkpoint.size)
    # The answer was there before this look, so what it has and we have not is not just a commit under way.
    if await asyncio.to_thread(_is_held, node, checkpoint):
        return False
    outcome = await run_round(node, peer, joined.origin, may_cosign=False)
    tell = _log.error if outcome.result in (Result.FORKED, Result.FROZEN) else _log.warning
    tell("own log", result=str(outcome.result), peer=peer.peer, size=outcome.size, added=outcome.added)
    joined.guard.recovered(await asyncio.to_thread(_held_size, node))
    is_restored = outcome.result is Result.EXTENDED
    if is_restored:
        _log.warning("a backup was restored: tokens that were revoked since are valid again, revoke them again")
    return is_restored


def _is_held(node: Node, checkpoint: Checkpoint) -> bool:
    """Whether our log is whole up to the checkpoint's size, and has its root there."""
    with node.store.read() as tx:
        log = node.find_log(tx, str(checkpoint.origin))
        if checkpoint.size > log.checkpoint_size:
            return False
        root = range_hash(0, checkpoint.size, logs.hash_reader(tx, log.number)) if checkpoint.size else EMPTY_ROOT
        return root == checkpoint.root


def _held_size(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, str(node.joined.origin)).checkpoint_size
