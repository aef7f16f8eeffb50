"""Driving a round: carries out what `ledger.replica.replicate` asks of a peer and of the store.

Spec: docs/spec/replica.md, "Actions".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from ledger import limits
from ledger.checkpoint import cosign
from ledger.errors import Missing
from ledger.names import Digest, Origin
from ledger.network import Network
from ledger.note import Note, decode_note, encode_note
from ledger.replica import (
    Action,
    CommitEntries,
    Cosign,
    Freeze,
    GetCards,
    GetCheckpoint,
    GetEntries,
    GetTiles,
    KeepEvidence,
    Outcome,
    ReadEntries,
    ReadHashes,
    Repeat,
    Steps,
)
from ledger.replica import replicate as step
from ledger.tiles import Tile, bundles_between, entries_path, tile_path
from node.node import Node
from node.startup import may_cosign
from node.storage import checkpoints, logs, replicas, sidecars
from node.storage.replicas import read_signed
from node.sync.client import PLAIN_BUNDLE_BYTES, AnswerTooLarge, PeerClient, at_once
from node.sync.evidence import keep_evidence
from node.sync.recovery import REPLACED

_AT_ONCE: Final = 8
_log = structlog.get_logger("tally.sync")


async def run_round(
    node: Node,
    peer: PeerClient,
    origin: Origin,
    *,
    may_cosign: bool,
    before_cosigning: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    """One round about one log with one peer. Raises: what the peer or the store is at fault for.

    before_cosigning: what somebody waits for, once the entries are kept and before they are cosigned.
    """
    head = await asyncio.to_thread(_read_head, node, origin)
    is_author = peer.peer == origin.member
    steps: Steps[Outcome] = step(
        head, node.membership.network, peer_is_author=is_author, may_cosign=may_cosign and origin.member != node.member
    )
    answer: Any = None
    bundles = _Bundles(peer, origin)
    try:
        while True:
            # The checking between two actions hashes whole batches: not on the event loop.
            action = await asyncio.to_thread(_next_action, steps, answer)
            if isinstance(action, GetEntries):
                answer = await bundles.get(action)
            else:
                if isinstance(action, Cosign) and before_cosigning is not None:
                    await before_cosigning()
                answer = await _carry_out(node, peer, action)
    except _Done as done:
        return done.outcome
    finally:
        await bundles.drop()


class _Done(Exception):  # it carries a result out of a thread; StopIteration cannot
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def _next_action(steps: Steps[Outcome], answer: Any) -> Action:
    try:
        action: Action = steps.send(answer)
    except StopIteration as stop:
        raise _Done(stop.value) from None
    return action


def _read_head(node: Node, origin: Origin) -> Any:
    with node.store.read() as tx:
        log = logs.find_log(tx, origin)
        if log is None:
            raise Missing(what="log", name=str(origin))
        return replicas.read_head(tx, log, member=node.member)


async def _carry_out(node: Node, peer: PeerClient, action: Action) -> Any:
    match action:
        case GetCheckpoint(origin=origin):
            return await _checkpoint(peer, origin)
        case GetTiles(origin=origin, tiles=tiles):
            paths = [tile_path(tile.level, tile.n, tile.width) for tile in tiles]
            return await _gather(peer, origin, paths)
        case GetCards(member=member, after_version=after):
            return await fetch_cards(node, peer, member, after)
    return await asyncio.to_thread(_at_home, node, action)


def _at_home(node: Node, action: Action) -> Any:
    """The actions that only the own store is needed for."""
    match action:
        case ReadHashes(origin=origin, subtrees=subtrees):
            return _hashes(node, origin, subtrees)
        case ReadEntries(origin=origin, indexes=indexes):
            with node.store.read() as tx:
                log = node.find_log(tx, str(origin))
                return [logs.read_entries(tx, log, index, index + 1)[0] for index in indexes]
        case CommitEntries():
            return _commit(node, action)
        case Cosign():
            return _cosign(node, action)
        case KeepEvidence(evidence=evidence, finding=finding):
            keep_evidence(node, evidence, finding)
        case Freeze(origin=origin, common_size=size):
            with node.store.write("freeze") as tx:
                log = node.find_log(tx, str(origin))
                logs.set_log(tx, log.number, frozen=f"two histories; the first {size} entries are common to both")
    return None


# --- the peer ------------------------------------------------------------------------


async def _checkpoint(peer: PeerClient, origin: Origin) -> bytes | None:
    try:
        return await peer.checkpoint(origin.hash.hex())
    except Missing:
        return None


class _Bundles:
    """The entries of one round: while some are checked and committed, the next ones are under way.

    At most `_AT_ONCE` of `PLAIN_BUNDLE_BYTES` each, and beside them one of any length that a bundle may have.
    """

    def __init__(self, peer: PeerClient, origin: Origin) -> None:
        self._peer = peer
        self._log = origin.hash.hex()
        self._asked: dict[Tile, asyncio.Task[bytes]] = {}

    async def get(self, action: GetEntries) -> list[bytes]:
        """The first bundles asked for, as many as keep the answer within bounds."""
        answers: list[bytes] = []
        volume = 0
        for at, tile in enumerate(action.bundles):
            self._ask(action.bundles[at : at + _AT_ONCE])
            answers.append(await self._take(tile))
            volume += len(answers[-1])
            if volume > limits.CATCH_UP_BYTES:
                break
        start = (action.bundles[len(answers) - 1].n + 1) * limits.TILE_WIDTH
        if start < action.size:
            self._ask(bundles_between(start, min(action.size, start + _AT_ONCE * limits.TILE_WIDTH)))
        return answers

    async def drop(self) -> None:
        """Give up what was asked for and is not wanted any more."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    def _ask(self, bundles: Sequence[Tile]) -> None:
        for tile in bundles:
            if tile not in self._asked:
                call = self._peer.bundle(self._log, entries_path(tile.n, tile.width), PLAIN_BUNDLE_BYTES)
                self._asked[tile] = asyncio.create_task(call)

    async def _take(self, tile: Tile) -> bytes:
        try:
            return await self._asked.pop(tile)
        except AnswerTooLarge:
            return await self._peer.bundle(self._log, entries_path(tile.n, tile.width))


async def _gather(peer: PeerClient, origin: Origin, paths: Sequence[str]) -> list[bytes]:
    return await at_once([peer.tile(origin.hash.hex(), path) for path in paths])


async def fetch_cards(node: Node, peer: PeerClient, member: str, after: int) -> Network:
    """Take in what cards the peer has of `member` above version `after`; returns the network with them.

    The newest card held is asked for as well: a member that signs with an unknown key may have made two of it.
    """
    notes: list[bytes] = []
    # To the last one at once: after a change of root keys those before it may be signed by replaced ones alone.
    for version in range(max(after, 1), limits.CARD_VERSIONS_MAX + 1):
        try:
            notes.append(await peer.card(member, version))
        except Missing:
            if version > after:
                break
        if sum(map(len, notes)) > limits.CATCH_UP_BYTES:
            raise AnswerTooLarge(peer=peer.peer, limit=limits.CATCH_UP_BYTES, what=f"the cards of {member}")
    if notes:
        await asyncio.to_thread(node.learn_cards, notes)
    return node.membership.network


# --- the store ------------------------------------------------------------------------


def _hashes(node: Node, origin: Origin, subtrees: Sequence[tuple[int, int]]) -> list[Digest]:
    with node.store.read() as tx:
        read = logs.hash_reader(tx, node.find_log(tx, str(origin)).number)
        return [read(level, index) for level, index in subtrees]


def _commit(node: Node, action: CommitEntries) -> list[Repeat]:
    with node.store.write("sync-entries") as tx:
        repeats = replicas.commit_entries(tx, action)
        if action.batch.origin.member == node.member:
            # Our own entries, fetched back after a restore: their bodies are due until somebody gives them.
            log = node.find_log(tx, str(action.batch.origin))
            due = [(index, REPLACED) for index in range(action.batch.start, action.batch.end)]
            sidecars.insert_gaps(tx, log.number, due)
    if action.is_complete:
        node.changes.bump(action.batch.origin.hash)
    return repeats


def _cosign(node: Node, action: Cosign) -> None:
    """Signed after the commit that it speaks of, and kept before anybody sees it."""
    note = decode_note(action.checkpoint.note)
    signature = cosign(note.text, node.keyring.witness, node.clock() // 1000)
    line = encode_note(Note(note.text, (signature,)))[len(note.text.encode()) + 1 :]
    checkpoint = action.checkpoint.checkpoint
    with node.store.write("sync-cosign") as tx:
        log = node.find_log(tx, str(checkpoint.origin))
        # Evidence that a peer passed on may have come while the round was under way, or entries by another round: a
        # cosignature says that its signer knows of nothing larger.
        if log.frozen or (log.no_cosign_from is not None and checkpoint.size >= log.no_cosign_from):
            return
        larger = [log.checkpoint_size, *(read_signed(raw).checkpoint.size for raw in logs.read_targets(tx, log.number))]
        if max(larger) > checkpoint.size:
            return
        cosigned = node.joined.cosigned
        if not may_cosign(tx, log, checkpoint, cosigned.newest(log.origin)):
            _log.error("not cosigned: it does not go on from what was cosigned before", log=str(log.origin))
            return
        cosigned.record(action.checkpoint)
        checkpoints.keep_cosignature(tx, log.number, member=node.member, size=checkpoint.size, line=line)
    node.changes.bump(checkpoint.origin.hash)
