"""Fetching bodies: of a log from its author, once; what was due and did not come is asked for again later.

Of the own log, after a restore, whoever has some of a body may give it back. Nothing is lost
silently, and nobody is held up: what is missing is a gap with its reason.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from ledger import limits
from ledger.errors import EncodingError, Missing
from ledger.names import Origin
from ledger.sidecar import Bodies, decode_bodies
from node.node import Node
from node.storage import logs, sidecars
from node.sync.client import BODIES_BYTES_MAX, AnswerTooLarge, PeerClient
from node.sync.recovery import take_back
from node.sync.sifting import LOST, Sieve, Sifted, announce, keep

_AHEAD: Final = 4  # answers asked for and not yet taken
_AHEAD_BYTES: Final = 6 << 20
"""Bytes of each of them: an honest node stops at some 4 MiB and a record. A longer one is asked for again, alone."""
_AT_ONCE: Final = 4  # answers in one commit, if so many are here
_COMMIT_BYTES: Final = 8 << 20
"""Bytes of a commit that gets no further answer."""


class _Answer(NamedTuple):
    """What a peer said of entries [start, end)."""

    start: int
    end: int
    bodies: Bodies
    length: int = 0


@dataclass(slots=True)
class Refill:
    """How far one peer was asked again about the gaps of one log. when: loop time; next: the entry to go on with."""

    when: float = -math.inf
    next: int = 0


async def fetch_from_author(node: Node, peer: PeerClient) -> bool:
    """Ask `peer` for the bodies of its own log, from where we stopped. Returns whether there were entries to ask of."""
    origin = node.membership.origin(peer.peer)
    has_asked = False
    while True:
        log = await asyncio.to_thread(find_log, node, origin)
        if log.bodies_size >= log.checkpoint_size:
            return has_asked
        has_asked = True
        async with aclosing(_ask(peer, log)) as answers:
            async for some in answers:
                await asyncio.to_thread(_take, node, log, some)
                some.clear()  # else they would stay in memory until the next have come


async def take_foreseen(node: Node, peer: PeerClient, *, within_s: float) -> None:
    """Take the first answer that `fetch_from_author` would ask for, if it is under way and comes so soon."""
    log = await asyncio.to_thread(find_log, node, node.membership.origin(peer.peer))
    start, size = log.bodies_size, log.checkpoint_size
    if start < size and await peer.has_bodies(log.origin.hash.hex(), start, within_s=within_s):
        found = await _ask_one(peer, log, start, size)
        await asyncio.to_thread(_take, node, log, [found])


async def fill_gaps(node: Node, peer: PeerClient, origin: Origin, refill: Refill | None = None) -> bool:
    """Ask `peer` again for what is named missing of a log: its author, or of the own log anybody.

    So many calls are made in one go, and `refill` keeps where the next goes on. Returns whether anything came of it.
    """
    refill = refill or Refill()
    log = await asyncio.to_thread(find_log, node, origin)
    has_filled = False
    for _ in range(limits.REFILL_CALLS_MAX):
        index = await asyncio.to_thread(_next_gap, node, log, refill.next)
        refill.next = 0
        if index is None or index >= log.checkpoint_size:
            break
        try:
            start, end, bodies, _ = await _ask_one(peer, log, index, log.checkpoint_size)
        except Missing:
            break  # it holds less of that log than we do, which is no fault of its own
        refill.next = end
        is_own = origin == node.joined.origin
        work = partial(take_back, giver=peer.peer) if is_own else _take_late
        has_filled |= await asyncio.to_thread(work, node, log, start, end, bodies=bodies)
    return has_filled


def find_log(node: Node, origin: Origin) -> logs.StoredLog:
    """Raises: Missing."""
    with node.store.read() as tx:
        return node.find_log(tx, str(origin))


async def _ask(peer: PeerClient, log: logs.StoredLog) -> AsyncGenerator[list[_Answer], None]:
    """Answers about all entries not asked of yet, in order; ends after one that was cut off.

    While some are taken the next ones are under way, so that the author works while we do. What is in memory is
    bounded by `_AHEAD_BYTES` and `_COMMIT_BYTES`, whatever a peer sends.
    """
    size, start, next_ = log.checkpoint_size, log.bodies_size, log.bodies_size
    asked: deque[asyncio.Task[_Answer]] = deque()
    try:
        while start < size or asked:
            some: list[_Answer] = []
            while not some or (len(some) < _AT_ONCE and asked and _has_come(asked[0]) and _has_room(some)):
                while start < size and len(asked) < _AHEAD:
                    asked.append(asyncio.create_task(_ask_one(peer, log, start, size, bytes_max=_AHEAD_BYTES)))
                    start = _bundle_end(start, size)
                some.append(await _unless_too_long(asked.popleft()) or await _ask_one(peer, log, next_, size))
                next_ = _bundle_end(next_, size)
                if some[-1].end < _bundle_end(some[-1].start, size):
                    yield some
                    return  # whoever wants the rest asks anew from where this one ended
            yield some
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _has_come(asked: asyncio.Task[_Answer]) -> bool:
    """A fault is left for the next commit, so that it does not take the answers before it along."""
    return asked.done() and not asked.cancelled() and asked.exception() is None


async def _unless_too_long(asked: asyncio.Task[_Answer]) -> _Answer | None:
    try:
        return await asked
    except AnswerTooLarge:  # what came of it goes with the task
        return None


def _has_room(some: Sequence[_Answer]) -> bool:
    return sum(answer.length for answer in some) < _COMMIT_BYTES


async def _ask_one(
    peer: PeerClient, log: logs.StoredLog, start: int, size: int, *, bytes_max: int = BODIES_BYTES_MAX
) -> _Answer:
    raw = await peer.bodies(log.origin.hash.hex(), start // limits.TILE_WIDTH, start, bytes_max)
    end = int.from_bytes(raw[:8], "big")
    if not start < end <= start - start % limits.TILE_WIDTH + limits.TILE_WIDTH:
        raise EncodingError(field="bodies", reason="the answer does not say up to which entry it speaks")
    bodies = decode_bodies(raw[8:], start=start, end=end)
    end = min(end, size)  # the peer may have grown meanwhile; what it tells of that is asked for in its turn
    held = {index: sidecar for index, sidecar in bodies.sidecars.items() if index < end}
    return _Answer(start, end, Bodies(messages=bodies.messages, sidecars=held), len(raw))


def _bundle_end(start: int, size: int) -> int:
    return min(size, start - start % limits.TILE_WIDTH + limits.TILE_WIDTH)


def _next_gap(node: Node, log: logs.StoredLog, start: int) -> int | None:
    with node.store.read() as tx:
        return sidecars.next_gap(tx, log.number, start)


def _take(node: Node, log: logs.StoredLog, answers: Sequence[_Answer]) -> None:
    """Commit what holds of neighbouring answers to the first question."""
    end = answers[-1].end
    messages = list(dict.fromkeys(message for answer in answers for message in answer.bodies.messages))
    given = {index: sidecar for answer in answers for index, sidecar in answer.bodies.sidecars.items()}
    found = Sieve.make(node, log, answers[0].start, end).sift(messages, given) if given else Sifted()
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
