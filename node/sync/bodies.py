"""Fetching bodies: of a log from its author, once; what was due and did not come is asked for again later.

Of the own log, after a restore, whoever has some of a body may give it back. Nothing is lost
silently, and nobody is held up: what is missing is a gap with its reason.
"""

from __future__ import annotations

import asyncio

from ledger import limits
from ledger.errors import EncodingError
from ledger.names import Origin
from ledger.sidecar import Bodies, decode_bodies
from node.node import Node
from node.storage import logs, sidecars
from node.sync.client import PeerClient, at_once
from node.sync.recovery import take_back
from node.sync.sifting import LOST, Sieve, announce, keep

_AHEAD = 4  # requests under way at once


async def fetch_from_author(node: Node, peer: PeerClient) -> bool:
    """Ask `peer` for the bodies of its own log, from where we stopped. Returns whether there were entries to ask of."""
    origin = node.membership.origin(peer.peer)
    has_asked = False
    while True:
        log = await asyncio.to_thread(find_log, node, origin)
        if log.bodies_size >= log.checkpoint_size:
            return has_asked
        has_asked = True
        for start, end, bodies in await _ask(peer, log, log.bodies_size, log.checkpoint_size):
            await asyncio.to_thread(_take, node, log, start, end, bodies=bodies)
            if end < _bundle_end(start, log.checkpoint_size):
                break  # a cut answer: go on from where it ended


async def fill_gaps(node: Node, peer: PeerClient, origin: Origin) -> bool:
    """Ask `peer` again for what is named missing of a log: its author, or of the own log anybody.

    Returns whether anything came of it.
    """
    log = await asyncio.to_thread(find_log, node, origin)
    asked, has_filled = 0, False
    for index in await asyncio.to_thread(_list_gaps, node, log):
        if asked <= index < log.checkpoint_size:
            start, asked, bodies = await _ask_one(peer, log, index, log.checkpoint_size)
            work = take_back if origin == node.joined.origin else _take_late
            has_filled |= await asyncio.to_thread(work, node, log, start, asked, bodies=bodies)
    return has_filled


def find_log(node: Node, origin: Origin) -> logs.StoredLog:
    """Raises: Missing."""
    with node.store.read() as tx:
        return node.find_log(tx, str(origin))


async def _ask(peer: PeerClient, log: logs.StoredLog, start: int, size: int) -> list[tuple[int, int, Bodies]]:
    """(start, end, bodies) of the next bundles, in order."""
    starts = [start]
    while len(starts) < _AHEAD and _bundle_end(starts[-1], size) < size:
        starts.append(_bundle_end(starts[-1], size))
    return await at_once([_ask_one(peer, log, at, size) for at in starts])


async def _ask_one(peer: PeerClient, log: logs.StoredLog, start: int, size: int) -> tuple[int, int, Bodies]:
    data = await peer.bodies(log.origin.hash.hex(), start // limits.TILE_WIDTH, start)
    end = int.from_bytes(data[:8], "big")
    if not start < end <= start - start % limits.TILE_WIDTH + limits.TILE_WIDTH:
        raise EncodingError(field="bodies", reason="the answer does not say up to which entry it speaks")
    bodies = decode_bodies(data[8:], start=start, end=end)
    end = min(end, size)  # the peer may have grown meanwhile; what it tells of that is asked for in its turn
    return start, end, Bodies(messages=bodies.messages, sidecars={i: s for i, s in bodies.sidecars.items() if i < end})


def _bundle_end(start: int, size: int) -> int:
    return min(size, start - start % limits.TILE_WIDTH + limits.TILE_WIDTH)


def _list_gaps(node: Node, log: logs.StoredLog) -> list[int]:
    with node.store.read() as tx:
        return [index for index, _ in sidecars.list_gaps(tx, log.number)]


def _take(node: Node, log: logs.StoredLog, start: int, end: int, *, bodies: Bodies) -> None:
    """Commit what holds of an answer to the first question."""
    found = Sieve.make(node, log, start, end).sift(bodies.messages, bodies.sidecars)
    with node.store.write("sync-bodies") as tx:
        keep(tx, log, found)
        logs.set_log(tx, log.number, bodies_size=end)
    announce(node, log, found)


def _take_late(node: Node, log: logs.StoredLog, start: int, end: int, *, bodies: Bodies) -> bool:
    """Commit what holds of an author's answer about entries [start, end) of which some are missing."""
    with node.store.read() as tx:
        due = dict(sidecars.list_gaps(tx, log.number, start=start, end=end))
    given = {index: sidecar for index, sidecar in bodies.sidecars.items() if index in due}
    found = Sieve.make(node, log, start, end).sift(bodies.messages, given)
    found.gaps = [(index, reason) for index, reason in found.gaps if reason != due[index]]
    # Found again by its author, and not for us. What was once offered to us and did not hold stays named.
    settled = [index for index, reason in due.items() if reason == LOST and index not in given]
    settled += [body.index for body in found.good]
    if not settled and not found.gaps:
        return False
    with node.store.write("sync-bodies") as tx:
        keep(tx, log, found)
        for index in settled:
            sidecars.delete_gap(tx, log.number, index)
    announce(node, log, found)
    return bool(settled)
