"""A turn: what follows from one answer to a poll. The same for a real peer and a simulated one.

A peer's heads are hints. Whatever it says of one log, the others are looked at all the same; a
fault is raised once the turn is over, so that one bad copy holds up nothing but itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from ledger import limits
from ledger.errors import BadProof, TallyError
from ledger.names import Digest, MemberName, Origin
from ledger.replica import Outcome, Result
from ledger.tiles import bundles_between
from node.node import Node
from node.storage import checkpoints, replicas, sidecars
from node.storage.logs import StoredLog
from node.storage.replicas import ReplicaMoved
from node.sync.answers import root_hint
from node.sync.bodies import Refill, fetch_from_author, fill_gaps, find_log, take_foreseen
from node.sync.client import PeerClient, PeerUnreachable
from node.sync.cosigning import collect_cosignatures
from node.sync.heads import HeadHint, Heads
from node.sync.ownlog import check_own_log
from node.sync.rounds import fetch_cards, run_round

_PATIENCE_S: Final = 10.0
"""Seconds that a round waits for another one about the same log, whose peer may be slow on purpose."""
_SOON_S: Final = 1.0
"""Seconds that a round waits for bodies before it cosigns: they were asked for together with the entries."""
_REFILL_S: Final = 30.0
"""Seconds between two questions to one peer about the same gaps."""
_RENEW_S: Final = 30.0
"""Seconds between two questions to one peer for the same card that a log announced."""
_log = structlog.get_logger("tally.sync")


@dataclass(slots=True)
class PeerState:
    """What is known of one peer, for display. Times in Unix milliseconds."""

    member: MemberName
    endpoint: str
    state: str = "connecting"
    last_contact_ms: int | None = None
    error: str = ""
    failures: int = 0
    sizes: dict[str, int] = field(default_factory=dict)  # origin -> size the peer says it holds
    author_behind: bool = False


class Turns:
    """Takes the turns of all peers of a node. Owned by the event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._locks: defaultdict[Origin, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refilled: defaultdict[tuple[MemberName, Origin], Refill] = defaultdict(Refill)
        # Of whom newer cards of a log's author were asked: which card had been announced, and when, loop time.
        self._renewed: dict[tuple[MemberName, Origin], tuple[Digest, float]] = {}

    async def take(self, peer: PeerClient, state: PeerState, heads: Heads, *, is_first: bool) -> bool:
        """Do what the peer's heads give reason for. Returns whether anything came of it.

        is_first: the peer was asked for everything it has, so that nothing that happened meanwhile is passed over.
        Raises: PeerUnreachable at once; else one of the peer's faults when all is done, a false proof before others.
        """
        faults: list[TallyError] = []
        has_moved = False
        try:
            for work in self._works(peer, state, heads, is_first=is_first):
                try:
                    has_moved |= await work
                except ReplicaMoved:
                    has_moved = True  # another peer was quicker; the next turn goes on from there
                except PeerUnreachable:
                    raise
                except TallyError as cause:
                    faults.append(cause)
        finally:
            await peer.forget()
        if faults:
            raise next((fault for fault in faults if isinstance(fault, BadProof)), faults[0])
        return has_moved

    def _works(
        self, peer: PeerClient, state: PeerState, heads: Heads, *, is_first: bool
    ) -> Iterator[Coroutine[Any, Any, bool]]:
        node = self._node
        known, own = node.membership.origins, node.joined.origin
        told = {known[oh]: head for head in heads.heads if (oh := bytes.fromhex(head.log)) in known}
        if is_first or own in told:
            yield self._check_own(peer, told.get(own), is_first=is_first)
        author = node.membership.origin(peer.peer)
        # The peer's own log and its bodies first: somebody waits to read them.
        if author in told:
            yield self._mirror(peer, author, told[author], state)
            yield self._renew_cards(peer, author)
        yield fetch_from_author(node, peer)
        for origin, head in told.items():
            state.sizes[str(origin)] = head.size
            if origin not in (own, author):
                yield self._mirror(peer, origin, head, state)
                yield self._renew_cards(peer, origin)
            yield collect_cosignatures(node, peer, origin, head)
        if is_first or author in told:
            yield self._refill(peer, author)
        if is_first:
            yield self._refill(peer, own)

    # --- other logs --------------------------------------------------------------------

    async def _mirror(self, peer: PeerClient, origin: Origin, head: HeadHint, state: PeerState) -> bool:
        node = self._node
        async with self._alone(origin):
            log = await asyncio.to_thread(find_log, node, origin)
            if not await asyncio.to_thread(self._has_news, log, peer.peer, head):
                return False
            is_foreseen = _foresee(peer, log, head)
            outcome = await run_round(
                node,
                peer,
                origin,
                may_cosign=node.joined.guard.is_ready,
                before_cosigning=partial(_fetch_bodies, node, peer) if is_foreseen else None,
            )
        if peer.peer == origin.member:
            state.author_behind = outcome.author_behind
        _tell(origin, peer, outcome)
        return outcome.result in (Result.EXTENDED, Result.FORKED) or outcome.cosigned

    @asynccontextmanager
    async def _alone(self, origin: Origin) -> AsyncIterator[None]:
        """One round about a log at a time, where that is quick: entries need not come twice.

        It is a courtesy and no more: what is committed is compared with what is held in the same transaction.
        """
        lock = self._locks[origin]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await lock.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def _has_news(self, log: StoredLog, peer: MemberName, head: HeadHint) -> bool:
        """Whether a round could change anything: entries to fetch, a fork to find, a checkpoint to cosign."""
        node = self._node
        if log.frozen:
            return False
        if head.size != log.checkpoint_size:
            # A holder with less than we have will find out from us what it misses.
            return head.size > log.checkpoint_size or peer == log.origin.member
        if head.root != root_hint(log):
            return True
        if not node.joined.guard.is_ready or log.no_cosign_from is not None:
            return False
        with node.store.read() as tx:
            return checkpoints.cosigned_size(tx, log.number, node.member) < head.size

    async def _renew_cards(self, peer: PeerClient, origin: Origin) -> bool:
        """Ask for the cards of an author whose log announced one that is not held: it may have lost its other keys."""
        node = self._node
        announced = await asyncio.to_thread(_unknown_card, node, origin)
        now = asyncio.get_running_loop().time()
        asked, when = self._renewed.get((peer.peer, origin), (None, 0.0))
        if announced is None or (asked == announced and now < when + _RENEW_S):
            return False
        self._renewed[peer.peer, origin] = announced, now
        held = node.membership
        await fetch_cards(node, peer, origin.member, held.documents.card(origin.member).version)
        return node.membership is not held

    # --- the own log, and what is missing ------------------------------------------------

    async def _check_own(self, peer: PeerClient, head: HeadHint | None, *, is_first: bool) -> bool:
        if not is_first and head is not None:
            log = await asyncio.to_thread(find_log, self._node, self._node.joined.origin)
            if head.size < log.checkpoint_size or (head.size, head.root) == (log.checkpoint_size, root_hint(log)):
                return False
        return await check_own_log(self._node, peer)

    async def _refill(self, peer: PeerClient, origin: Origin) -> bool:
        """Ask again for what is missing, if anything is, and not too often."""
        now, refill = asyncio.get_running_loop().time(), self._refilled[peer.peer, origin]
        if now < refill.when + _REFILL_S:
            return False
        if not await asyncio.to_thread(_has_gaps, self._node, origin):
            return False
        refill.when = now
        return await fill_gaps(self._node, peer, origin, refill)


async def _fetch_bodies(node: Node, peer: PeerClient) -> None:
    """Bodies that are as good as here: who waits to read them need not wait for our cosignature."""
    with suppress(TallyError):  # the turn asks again, where faults are told
        await take_foreseen(node, peer, within_s=_SOON_S)


def _foresee(peer: PeerClient, log: StoredLog, head: HeadHint) -> bool:
    """A little more of the author's own log is what a network does all day: then all calls are made at once."""
    is_level = log.size == log.checkpoint_size == log.bodies_size
    is_little = peer.peer == log.origin.member and is_level and log.size < head.size <= log.size + limits.TILE_WIDTH
    if is_little:
        bundles = bundles_between(log.size, head.size)
        peer.foresee(log.origin.hash.hex(), bundles=bundles, bodies_from=log.bodies_size)
    return is_little


def _has_gaps(node: Node, origin: Origin) -> bool:
    with node.store.read() as tx:
        return sidecars.has_gaps(tx, node.find_log(tx, str(origin)).number)


def _unknown_card(node: Node, origin: Origin) -> Digest | None:
    """The card that the log announced last, if it is none of those held."""
    with node.store.read() as tx:
        announced = replicas.announced_card(tx, origin)
    known = {card.hash for card in node.membership.documents.cards[origin.member]}
    return None if announced in known else announced


def _tell(origin: Origin, peer: PeerClient, outcome: Outcome) -> None:
    if outcome.result in (Result.FORKED, Result.DISPUTED, Result.DAMAGED) or outcome.author_behind:
        _log.error("round", log=str(origin), peer=peer.peer, result=str(outcome.result), size=outcome.size)
