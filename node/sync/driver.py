"""The sync driver: one task per peer that polls it, runs rounds, fetches bodies and backs off when it fails.

It also feeds the start-up guard: no log entry of ours is signed before enough members
have proved what they hold of our log, and what we miss of it was fetched back.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import structlog

from ledger.checkpoint import decode_checkpoint, open_checkpoint, verify_cosignature
from ledger.errors import Missing, TallyError
from ledger.names import MemberName, Origin
from ledger.note import Note, decode_note, encode_note
from ledger.replica import Outcome, Result
from node.guard import GuardState
from node.node import Node
from node.storage import checkpoints, facts, logs
from node.sync.answers import root_hint
from node.sync.bodies import fetch_from_author, recover_own
from node.sync.client import Head, PeerClient, make_http_client
from node.sync.rounds import run_round
from node.sync.signing import CallSigner

_BACK_OFF_S: Final = (0.2, 30.0)
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


class SyncDriver:
    """Runs while the node serves. Owned by the event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.peers: dict[MemberName, PeerState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_locks: defaultdict[Origin, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent_evidence: dict[MemberName, set[bytes]] = defaultdict(set)
        self._not_restored = False
        self._guard_opened = asyncio.Event()

    async def run(self, *, not_restored: bool = False) -> None:
        """Serve until cancelled: waits for adoption, then keeps one task per peer."""
        self._not_restored = not_restored
        while not self._node.is_joined:
            await self._node.changes.wait(0, 60.0)
        self._http = make_http_client(self._node.settings)
        joined = self._node.joined
        if not_restored:
            joined.guard.override()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open_when_ready())
                for member in self._node.membership.names:
                    if member != self._node.member:
                        self.peers[member] = PeerState(member, "")
                        group.create_task(self._keep_up(member))
        finally:
            await self._http.aclose()

    async def _open_when_ready(self) -> None:
        """Begin to sign once the guard allows it."""
        if not self._node.joined.guard.is_ready:
            await self._guard_opened.wait()
        await asyncio.to_thread(self._node.open_for_writing, not_restored=self._not_restored)
        _log.info("writing", member=self._node.member)

    # --- one peer ---------------------------------------------------------------------

    async def _keep_up(self, member: MemberName) -> None:
        state = self.peers[member]
        cursor = ""
        while True:
            try:
                peer = self._client(member)
                state.endpoint = peer.endpoint
                cursor = await self._turn(peer, state, cursor)
                state.state, state.error, state.failures = "in contact", "", 0
            except TallyError as cause:
                cursor = ""
                state.failures += 1
                state.state, state.error = "failing", f"{cause.code}: {cause}"
                if state.failures in (1, 10, 100):
                    _log.warning("peer", peer=member, code=cause.code, error=str(cause), failures=state.failures)
                await asyncio.sleep(_pause(state.failures))

    def _client(self, member: MemberName) -> PeerClient:
        node = self._node
        endpoints = node.membership.card(member).endpoints
        if not endpoints:
            raise Missing(what="endpoint in the card of", name=member)
        state = self.peers[member]
        endpoint = endpoints[state.failures % len(endpoints)]
        signer = CallSigner(node.member, node.keyring.transport, node.clock)
        return PeerClient(member, endpoint, http=self._http, signer=signer, timeout_s=node.settings.peer_timeout_s)

    async def _turn(self, peer: PeerClient, state: PeerState, cursor: str) -> str:
        """One poll and what follows from it; returns the next cursor."""
        node = self._node
        wait_s = node.settings.poll_wait_s if cursor else 0.0
        if wait_s:
            state.state = "in contact"
        heads = await peer.heads(cursor, wait_s)
        state.last_contact_ms = node.clock()
        known = node.membership.origins
        own = node.joined.origin
        if not cursor:
            await self._ask_about_own_log(peer)
        for head in heads.heads:
            origin = known.get(bytes.fromhex(head.log)) if _is_hash(head.log) else None
            if origin is None:
                continue
            state.sizes[str(origin)] = head.size
            if origin != own:
                await self._mirror(peer, origin, head, state)
            await self._collect_cosignatures(peer, origin, head)
        await self._fetch_bodies(peer)
        await self._pass_on_evidence(peer)
        return heads.cursor

    async def _mirror(self, peer: PeerClient, origin: Origin, head: Head, state: PeerState) -> None:
        node = self._node
        async with self._log_locks[origin]:
            log = await asyncio.to_thread(_find, node, origin)
            if log.frozen or not await asyncio.to_thread(self._has_news, log, peer.peer, head):
                return
            outcome = await run_round(node, peer, origin, may_cosign=node.joined.guard.is_ready)
        state.author_behind = outcome.author_behind
        self._note(origin, peer, outcome)

    def _has_news(self, log: logs.StoredLog, peer: MemberName, head: Head) -> bool:
        """Whether a round could change anything: entries to fetch, a fork to find, a checkpoint to cosign."""
        if head.size != log.checkpoint_size:
            # A holder with less than we have will find out from us what it misses.
            return head.size > log.checkpoint_size or peer == log.origin.member
        if head.root != root_hint(log):
            return True
        with self._node.store.read() as tx:
            return (
                checkpoints.cosigned_size(tx, log.number, self._node.member) < head.size and log.no_cosign_from is None
            )

    def _note(self, origin: Origin, peer: PeerClient, outcome: Outcome) -> None:
        if outcome.result in (Result.FORKED, Result.DISPUTED, Result.DAMAGED) or outcome.author_behind:
            _log.error("round", log=str(origin), peer=peer.peer, result=str(outcome.result), size=outcome.size)

    # --- our own log -------------------------------------------------------------------

    async def _ask_about_own_log(self, peer: PeerClient) -> None:
        """Tell the guard what the peer can prove to hold of our log; fetch back what we miss."""
        node = self._node
        origin = node.joined.origin
        guard = node.joined.guard
        try:
            note = await peer.checkpoint(origin.hash.hex())
        except Missing:
            guard.heard(peer.peer, 0)
            if guard.is_ready:
                self._guard_opened.set()
            return
        size = decode_checkpoint(decode_note(note).text).size
        key = node.membership.network.log_key(origin, size)
        size = open_checkpoint(note, origin=origin, key=key).size
        guard.heard(peer.peer, size)
        async with self._log_locks[origin]:
            log = await asyncio.to_thread(_find, node, origin)
            if size > log.size and not guard.is_ready:
                outcome = await run_round(node, peer, origin, may_cosign=False)
                _log.warning("recovered", log=str(origin), peer=peer.peer, size=outcome.size, added=outcome.added)
        await recover_own(node, peer)
        if guard.state is GuardState.BEHIND:
            log = await asyncio.to_thread(_find, node, origin)
            guard.recovered(log.checkpoint_size)
        if guard.is_ready:
            self._guard_opened.set()

    # --- what goes with logs --------------------------------------------------------------

    async def _collect_cosignatures(self, peer: PeerClient, origin: Origin, head: Head) -> None:
        """Fetch the cosignatures that the peer has of the size it cosigned last, if we hold that checkpoint."""
        node = self._node
        if not head.cosigned:
            return
        wanted = await asyncio.to_thread(_wanted_checkpoint, node, origin, peer.peer, head.cosigned)
        if wanted is None:
            return
        number, text = wanted
        lines = await peer.cosignatures(origin.hash.hex(), head.cosigned)
        if lines:
            await asyncio.to_thread(_keep_cosignatures, node, number, head.cosigned, text, lines)

    async def _fetch_bodies(self, peer: PeerClient) -> None:
        origin = self._node.membership.origin(peer.peer)
        log = await asyncio.to_thread(_find, self._node, origin)
        if log.bodies_size < log.checkpoint_size:
            await fetch_from_author(self._node, peer)

    async def _pass_on_evidence(self, peer: PeerClient) -> None:
        sent = self._sent_evidence[peer.peer]
        for document in await asyncio.to_thread(_evidence, self._node):
            if document not in sent:
                await peer.post_evidence(document)
                sent.add(document)


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _pause(failures: int) -> float:
    """Seconds: doubling up to a limit, with jitter, so that peers do not all come back at once."""
    least, most = _BACK_OFF_S
    return min(most, least * 2.0 ** min(failures, 12)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _find(node: Node, origin: Origin) -> logs.StoredLog:
    with node.store.read() as tx:
        return node.find_log(tx, str(origin))


def _evidence(node: Node) -> list[bytes]:
    with node.store.read() as tx:
        return [item.document for item in facts.list_evidence(tx)]


def _wanted_checkpoint(node: Node, origin: Origin, peer: MemberName, size: int) -> tuple[int, str] | None:
    """The log's number and the text of its checkpoint of `size`, if the peer's cosignature of it is not here yet."""
    with node.store.read() as tx:
        log = node.find_log(tx, str(origin))
        if checkpoints.cosigned_size(tx, log.number, peer) >= size:
            return None
        found = checkpoints.read_checkpoint(tx, log.number, at_least=size)
    if found is None or found[0] != size:
        return None
    return log.number, decode_note(found[1]).text


def _keep_cosignatures(node: Node, number: int, size: int, text: str, lines: bytes) -> None:
    """Keep the lines that a member's witness key made; others are passed over."""
    note = decode_note(text.encode() + b"\n" + lines)
    good: list[tuple[MemberName, bytes]] = []
    for member, keys in node.membership.witness_keys.items():
        for key in keys:
            for signature in note.signatures:
                if signature.is_of(key):
                    verify_cosignature(text, signature, key)
                    line = encode_note(Note(text, (signature,)))[len(text.encode()) + 1 :]
                    good.append((member, line))
    with node.store.write("sync-cosignatures") as tx:
        for member, line in good:
            checkpoints.keep_cosignature(tx, number, member=member, size=size, line=line)
