"""The sync driver: two tasks per peer, one that polls it and takes its turn, one that passes evidence on.

It also opens the start-up guard: no log entry of ours is signed before enough members
have proved what they hold of our log, and what we miss of it was fetched back. What
goes wrong with one peer, of its making or ours, is between it and us, and stops nothing else.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from ledger.card import is_loopback
from ledger.errors import Missing, TallyError, Unavailable
from ledger.names import MemberName
from node.changes import EVIDENCE
from node.guard import OtherHistory, RestoreProved
from node.node import Node
from node.storage.engine import DatabaseError
from node.sync.client import HttpClient, PeerClient, PeerRestarted, make_http_client
from node.sync.evidence import Sent, pass_on
from node.sync.heads import Heads
from node.sync.signing import CallSigner
from node.sync.turn import PeerState, Turns

_BACK_OFF_S: Final = (0.2, 30.0)
_UNREADY_BACK_OFF_S: Final = 5.0
"""Longest pause before a peer is called again as long as this node may not sign: it waits for that very answer."""
_GUARD_POLL_S: Final = (0.1, 2.0)
"""Pause between two polls as long as this node may not sign: each asks for everything."""
_IDLE_FREE: Final = 8
_IDLE_S: Final = (0.02, 5.0)
"""Pause after more than `_IDLE_FREE` answers in a row that came at once and told nothing new."""
_WATCH_S: Final = 60.0
_RESTARTED_S: Final = 120.0
"""Longest pause that a peer's word of when it started can make us take: twice the clocks' usual skew."""
_log = structlog.get_logger("tally.sync")


class StoreFailed(Unavailable):
    code = "store-failed"
    template = "the database of this node failed: {reason}"
    hint = "Look at the disk that holds the node's folder; `tally fsck` says whether something is damaged."


class SyncDriver:
    """Runs while the node serves. Owned by the event loop.

    http, chance: where the calls go and what spreads the back-off; by default the network and the system's.
    """

    def __init__(self, node: Node, *, http: HttpClient | None = None, chance: random.Random | None = None) -> None:
        self._node = node
        self.peers: dict[MemberName, PeerState] = {}
        self.fault: BaseException | None = None  # the newest that no error of ours foresees; the log has all
        self._given_http = http
        self._chance = chance or random.Random()  # noqa: S311  # no secret
        self._turns = Turns(node)
        self._guard_opened = asyncio.Event()

    async def run(self, *, not_restored: bool = False) -> None:
        """Serve until cancelled: waits for adoption, then keeps up with every peer."""
        while not self._node.is_joined:
            await self._node.changes.wait(0, _WATCH_S)
        self._http = self._given_http or make_http_client(self._node.settings)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open_when_ready(not_restored=not_restored))
                while True:
                    count = self._node.changes.count
                    self._meet_new(group)
                    await self._node.changes.wait(count, _WATCH_S)
        finally:
            await self._http.aclose()

    def _meet_new(self, group: asyncio.TaskGroup) -> None:
        """Members of a charter that was adopted meanwhile are met as well."""
        for member in self._node.membership.names:
            if member not in self.peers and member != self._node.member:
                self.peers[member] = PeerState(member, "")
                group.create_task(self._tend(member, self._keep_up))
                group.create_task(self._tend(member, self._spread))

    async def _open_when_ready(self, *, not_restored: bool) -> None:
        """Begin to sign once the guard allows it, or an operator said that it need not be asked."""
        guard = self._node.joined.guard
        failures = 0
        if not_restored:
            await self._hear_all_once()
            not_restored = not guard.is_ready  # no word is needed then, and none is recorded
        while True:
            if not (guard.is_ready or not_restored):
                await self._guard_opened.wait()
            try:
                with _store_faults_named():
                    await asyncio.to_thread(self._node.open_for_writing, not_restored=not_restored)
                break
            except Unavailable as cause:  # a full disk, say
                failures += 1
                _log.warning("cannot begin to write", code=cause.code, error=str(cause))
                await asyncio.sleep(self._pause(failures))
            except (OtherHistory, RestoreProved) as cause:
                _log.error("--not-restored is refused", code=cause.code, error=str(cause))
                not_restored = False
            except TallyError as cause:
                _log.error("cannot write", code=cause.code, error=str(cause))
                return
        self._guard_opened.set()
        _log.info("writing", member=self._node.member)

    async def _hear_all_once(self) -> None:
        """Wait until every peer was asked, with an answer or without: one may prove that a word is not true."""
        while any(state.state == "connecting" for state in self.peers.values()):  # noqa: ASYNC110  # once in a life
            await asyncio.sleep(_GUARD_POLL_S[0])

    # --- one peer ---------------------------------------------------------------------

    async def _tend(self, member: MemberName, work: Callable[[MemberName], Coroutine[Any, Any, None]]) -> None:
        """The outermost door of a task about one peer: what nobody foresaw is told, and the task begins anew."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            outcomes = await asyncio.gather(work(member), return_exceptions=True)
            fault: BaseException | None = outcomes[0]
            assert fault is not None, "such a task has no end"
            if not isinstance(fault, Exception | asyncio.CancelledError):
                raise fault
            self.fault = fault
            failures = 1 if loop.time() - began > _WATCH_S else failures + 1
            _log.error("fault of this node", peer=member, task=work.__name__, failures=failures, exc_info=fault)
            state = self.peers[member]
            state.state, state.error = "failing", "internal: a fault of this node, told in its log"
            await asyncio.sleep(self._pause(failures))

    async def _keep_up(self, member: MemberName) -> None:
        state = self.peers[member]
        loop = asyncio.get_running_loop()
        guard = self._node.joined.guard
        cursor, idle, unready = "", 0, 0
        while True:
            began, was_ready = loop.time(), guard.is_ready
            try:
                peer = self._client(member)
                state.endpoint = peer.endpoint
                heads, has_moved = await self._turn(peer, state, cursor)
                state.state, state.error, state.failures = "in contact", "", 0
            except TallyError as cause:
                cursor = ""
                self._note_failure(state, cause)
                await asyncio.sleep(self._pause_after(cause, state.failures))
                continue
            if not was_ready:
                # All is asked for again: above all what the peer holds of our log, but also of others, as nothing
                # could be cosigned.
                cursor = ""
                await self._wait_for_guard(unready)
                unready += 1
                continue
            cursor = heads.cursor
            # An honest peer lets a poll wait until there is something. One that does not must not keep us busy.
            idle = 0 if has_moved or loop.time() - began > 1.0 else idle + 1
            if idle > _IDLE_FREE:
                least, most = _IDLE_S
                await asyncio.sleep(min(most, least * 2.0 ** min(idle - _IDLE_FREE, 12)))

    def _client(self, member: MemberName) -> PeerClient:
        node = self._node
        endpoints = node.membership.card(member).endpoints
        if not any(map(is_loopback, node.membership.card(node.member).endpoints)):
            # A member on another machine has no say over who is called on this one.
            endpoints = tuple(endpoint for endpoint in endpoints if not is_loopback(endpoint))
        if not endpoints:
            raise Missing(what="endpoint in the card of", name=member)
        endpoint = endpoints[self.peers[member].failures % len(endpoints)]
        signer = CallSigner(node.member, node.keyring.transport, node.clock)
        return PeerClient(member, endpoint, http=self._http, signer=signer, timeout_s=node.settings.peer_timeout_s)

    async def _turn(self, peer: PeerClient, state: PeerState, cursor: str) -> tuple[Heads, bool]:
        """One poll and what follows from it."""
        wait_s = self._node.settings.poll_wait_s if cursor else 0.0
        heads = await peer.heads(cursor, wait_s)
        state.last_contact_ms = self._node.clock()
        with _store_faults_named():
            has_moved = await self._turns.take(peer, state, heads, is_first=not cursor)
        if self._node.joined.guard.is_ready:
            self._guard_opened.set()
        return heads, has_moved

    async def _wait_for_guard(self, turns: int) -> None:
        least, most = _GUARD_POLL_S
        try:
            async with asyncio.timeout(min(most, least * 2.0 ** min(turns, 12))):
                await self._guard_opened.wait()
        except TimeoutError:
            return

    def _note_failure(self, state: PeerState, cause: TallyError) -> None:
        state.failures += 1
        state.error = f"{cause.code}: {cause}"
        if not (isinstance(cause, PeerRestarted) and state.failures == 1):  # that one was not heard yet
            state.state = "failing"
        if state.failures in (1, 10, 100):
            _log.warning("peer", peer=state.member, code=cause.code, error=str(cause), failures=state.failures)

    async def _spread(self, member: MemberName) -> None:
        """Pass evidence on as soon as there is some; a peer that refuses a piece gets it again, ever more rarely."""
        changes = self._node.changes
        sent = Sent()
        seen: int | None = None
        failures = 0
        while True:
            count = changes.count
            if failures or changes.moved(EVIDENCE, seen):
                try:
                    with _store_faults_named():
                        await pass_on(self._node, self._client(member), sent)
                    failures = 0
                except TallyError as cause:
                    failures += 1
                    _log.info("evidence not passed on", peer=member, code=cause.code, failures=failures)
                    await asyncio.sleep(self._pause(failures))
                    continue
            seen = count
            await changes.wait(count, _WATCH_S)

    def _pause_after(self, cause: TallyError, failures: int) -> float:
        """As `_pause`; sooner while the guard waits, and at once by its clock if a peer started just now."""
        if isinstance(cause, PeerRestarted) and failures == 1:
            started = cause.fields["started"]
            assert isinstance(started, int), "the client looked"
            return min(_RESTARTED_S, max(0.0, started - self._node.clock() / 1000) + 0.01)
        is_ready = self._node.is_joined and self._node.joined.guard.is_ready
        return self._pause(failures) if is_ready else self._pause(failures, most=_UNREADY_BACK_OFF_S)

    def _pause(self, failures: int, *, most: float = math.inf) -> float:
        """Seconds: doubling up to a limit, with jitter, so that peers do not all come back at once."""
        least, usual_most = _BACK_OFF_S
        return min(most, usual_most, least * 2.0 ** min(failures, 12)) * self._chance.uniform(0.5, 1.0)


@contextmanager
def _store_faults_named() -> Iterator[None]:
    """A database that is locked, or a disk that fails, is tried again as a peer is that does not answer."""
    try:
        yield
    except DatabaseError as cause:
        raise StoreFailed(reason=str(cause.orig)) from cause
