"""The sync driver: two tasks per peer, one that polls it and takes its turn, one that passes evidence on.

It also opens the start-up guard: no log entry of ours is signed before enough members
have proved what they hold of our log, and what we miss of it was fetched back.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

import structlog

from ledger.errors import Missing, TallyError, Unavailable
from ledger.names import MemberName
from node.changes import EVIDENCE
from node.node import Node
from node.sync.client import Heads, HttpClient, PeerClient, make_http_client
from node.sync.evidence import pass_on
from node.sync.signing import CallSigner
from node.sync.turn import PeerState, Turns

_BACK_OFF_S: Final = (0.2, 30.0)
_GUARD_POLL_S: Final = (0.1, 2.0)
"""Pause between two polls as long as this node may not sign: each asks for everything."""
_IDLE_FREE: Final = 8
_IDLE_S: Final = (0.02, 5.0)
"""Pause after more than `_IDLE_FREE` answers in a row that came at once and told nothing new."""
_WATCH_S: Final = 60.0
_log = structlog.get_logger("tally.sync")


class SyncDriver:
    """Runs while the node serves. Owned by the event loop.

    http, chance: where the calls go and what spreads the back-off; by default the network and the system's.
    """

    def __init__(self, node: Node, *, http: HttpClient | None = None, chance: random.Random | None = None) -> None:
        self._node = node
        self.peers: dict[MemberName, PeerState] = {}
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
                group.create_task(self._keep_up(member))
                group.create_task(self._spread(member))

    async def _open_when_ready(self, *, not_restored: bool) -> None:
        """Begin to sign once the guard allows it, or an operator said that it need not be asked."""
        guard = self._node.joined.guard
        if not_restored and guard.proves_restore:
            _log.error("--not-restored is refused", signed=guard.target, member=self._node.member)
            not_restored = False
        if not (guard.is_ready or not_restored):
            await self._guard_opened.wait()
        failures = 0
        while True:
            try:
                await asyncio.to_thread(self._node.open_for_writing, not_restored=not_restored)
                break
            except Unavailable as cause:  # a full disk, say
                failures += 1
                _log.warning("cannot begin to write", code=cause.code, error=str(cause))
                await asyncio.sleep(self._pause(failures))
            except TallyError as cause:
                _log.error("cannot write", code=cause.code, error=str(cause))
                return
        self._guard_opened.set()
        _log.info("writing", member=self._node.member)

    # --- one peer ---------------------------------------------------------------------

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
                await asyncio.sleep(self._pause(state.failures))
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
        state.state, state.error = "failing", f"{cause.code}: {cause}"
        if state.failures in (1, 10, 100):
            _log.warning("peer", peer=state.member, code=cause.code, error=str(cause), failures=state.failures)

    async def _spread(self, member: MemberName) -> None:
        """Pass evidence on as soon as there is some; a peer that refuses a piece gets it again, ever more rarely."""
        changes = self._node.changes
        sent: set[bytes] = set()
        seen: int | None = None
        failures = 0
        while True:
            count = changes.count
            if failures or changes.moved(EVIDENCE, seen):
                try:
                    await pass_on(self._node, self._client(member), sent)
                    failures = 0
                except TallyError as cause:
                    failures += 1
                    _log.info("evidence not passed on", peer=member, code=cause.code, failures=failures)
                    await asyncio.sleep(self._pause(failures))
                    continue
            seen = count
            await changes.wait(count, _WATCH_S)

    def _pause(self, failures: int) -> float:
        """Seconds: doubling up to a limit, with jitter, so that peers do not all come back at once."""
        least, most = _BACK_OFF_S
        return min(most, least * 2.0 ** min(failures, 12)) * self._chance.uniform(0.5, 1.0)
