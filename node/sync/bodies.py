"""Fetching bodies: from their author, or for the own log from whoever can give them back.

A body is kept only if its manifest is the one that the entry names, its ciphertexts are those of
the manifest, and every section that this member was given opens to the committed root. What was
due and does not hold is named as a gap; nothing is lost silently and nobody is held up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger import limits
from ledger.errors import BadProof, EncodingError, TallyError
from ledger.manifest import Manifest, decode_manifest
from ledger.names import MemberName, RecordId, sha256
from ledger.record import check_ciphertext, open_record
from ledger.sealing import ChannelMessage, Wrap, decode_channel_message
from ledger.sidecar import Bodies, Sidecar, decode_bodies
from node.agreements import RESERVED
from node.node import Node
from node.storage import logs, sidecars
from node.storage.packing import PackedEntry, PackedSidecar, pack_received
from node.storage.store import Tx
from node.sync.client import PeerClient, at_once

_AHEAD: Final = 4  # requests under way at once


@dataclass(slots=True)
class _Batch:
    """What one answer came to, before it is committed."""

    author: MemberName
    messages: dict[bytes, tuple[bytes, ChannelMessage]] = field(default_factory=dict)
    good: list[tuple[int, Sidecar]] = field(default_factory=list)
    gaps: list[tuple[int, str]] = field(default_factory=list)
    statements: list[tuple[int, str]] = field(default_factory=list)


async def fetch_from_author(node: Node, peer: PeerClient) -> int:
    """Ask `peer` for the bodies of its own log, from where we stopped. Returns how many were kept."""
    origin = node.membership.origin(peer.peer)
    kept = 0
    while True:
        log = await asyncio.to_thread(_find, node, str(origin))
        if log.bodies_size >= log.checkpoint_size:
            return kept
        answers = await _ask(peer, log, log.bodies_size, log.checkpoint_size)
        for start, end, bodies in answers:
            kept += await asyncio.to_thread(_take, node, log, start, end, bodies)
            if end < _bundle_end(start, log.checkpoint_size):
                break  # a cut answer: go on from where it ended


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
    end = min(end, size)
    bodies = decode_bodies(data[8:], start=start, end=max(end, int.from_bytes(data[:8], "big")))
    return start, end, Bodies(messages=bodies.messages, sidecars={i: s for i, s in bodies.sidecars.items() if i < end})


def _bundle_end(start: int, size: int) -> int:
    return min(size, start - start % limits.TILE_WIDTH + limits.TILE_WIDTH)


def _find(node: Node, origin: str) -> logs.StoredLog:
    with node.store.read() as tx:
        return node.find_log(tx, origin)


def _take(node: Node, log: logs.StoredLog, start: int, end: int, bodies: Bodies) -> int:
    """Check one answer and commit what holds. Returns how many bodies were kept."""
    with node.store.read() as tx:
        rows = logs.read_packed(tx, log.number, start, end)
        channels = sidecars.list_channels(tx, wrapper=log.origin.member).values()
    known = {channel.id: channel.decoded() for channel in channels}
    batch = _Batch(log.origin.member)
    _check_messages(node, bodies.messages, known, batch)
    messages = {**known, **{id_: message for id_, (_, message) in batch.messages.items()}}
    for index, sidecar in bodies.sidecars.items():
        try:
            type_name = _check(node, log, rows[index - start], sidecar, messages)
        except (BadProof, TallyError) as cause:
            batch.gaps.append((index, f"{cause.code}: {cause}"))
            continue
        batch.good.append((index, sidecar))
        if type_name is not None and type_name.startswith(RESERVED):
            batch.statements.append((index, type_name))
    with node.store.write("sync-bodies") as tx:
        _keep(tx, log, batch)
        logs.set_log(tx, log.number, bodies_size=end)
    if batch.statements:
        with node.store.read() as tx:
            node.apply_statements(tx, [(log.number, index) for index, _ in batch.statements])
    node.changes.bump(log.origin.hash)
    return len(batch.good)


def _check_messages(
    node: Node, messages: Sequence[bytes], known: Mapping[bytes, ChannelMessage], batch: _Batch
) -> None:
    """Keep new channel messages that the log's author signed; a second one with the id of another is refused.

    Those of others are passed over: a member could give a channel of its own the id of the author's.
    """
    for data in messages:
        try:
            message = decode_channel_message(data)
            if message.wrapper != batch.author or message.id in known or message.id in batch.messages:
                continue
            node.joined.channels.check_message(message)
        except TallyError:
            continue  # wraps under it then name a channel that we do not know, and are gaps
        batch.messages[message.id] = (data, message)


def _check(
    node: Node, log: logs.StoredLog, row: PackedEntry, sidecar: Sidecar, messages: Mapping[bytes, ChannelMessage]
) -> str | None:
    """Raise unless the sidecar is what the entry commits to; returns the record's type where it can be read."""
    if row.id is None or row.body is None or sha256(sidecar.manifest) != row.body:
        raise EncodingError(field="manifest", reason="not the one that the entry names")
    manifest = decode_manifest(sidecar.manifest)
    for number, ciphertext in sidecar.sections.items():
        if number >= len(manifest.sections):
            raise EncodingError(field="sidecar", reason=f"section {number} is not in the manifest")
        check_ciphertext(ciphertext, manifest, number)
    mine = None
    for wrap in sidecar.wraps:
        message = messages.get(wrap.channel)
        if message is None:
            raise EncodingError(field="wrap", reason="its channel message is missing, or its sender did not sign it")
        if message.reader == node.member:
            mine = mine or (wrap, message)
    if mine is None:
        return None
    return _open(node, log, mine, sidecar, manifest, row.id)


def _open(
    node: Node,
    log: logs.StoredLog,
    mine: tuple[Wrap, ChannelMessage],
    sidecar: Sidecar,
    manifest: Manifest,
    record_id: RecordId,
) -> str:
    wrap, message = mine
    channels = node.joined.channels
    opened = open_record(
        wrap,
        sidecar.sections,
        wrapper=channels.incoming(wrap.channel, message, log.origin),
        contexts=channels.contexts(log.origin),
        record_id=record_id,
        manifest=manifest,
        manifest_hash=sha256(sidecar.manifest),
    )
    if log.origin.member != node.member and set(opened.sections) != set(wrap.sections):
        raise EncodingError(field="sidecar", reason="a section that the wrap names was not sent")
    return opened.meta.type


def _keep(tx: Tx, log: logs.StoredLog, batch: _Batch) -> None:
    numbers = {channel.id: channel.number for channel in sidecars.list_channels(tx, wrapper=log.origin.member).values()}
    for id_, (data, message) in batch.messages.items():
        if id_ not in numbers:
            numbers[id_] = sidecars.insert_channel(
                tx, channel_id=id_, wrapper=message.wrapper, reader=message.reader, message=data
            )
    sidecars.insert_sidecars(tx, log.number, [(index, pack_received(s, numbers)) for index, s in batch.good])
    sidecars.insert_gaps(tx, log.number, batch.gaps)
    for index, type_name in batch.statements:
        sidecars.insert_statement(tx, log.number, index, type_name)


# --- the own log, after a restore -------------------------------------------------------


async def recover_own(node: Node, peer: PeerClient) -> int:
    """Ask `peer` for bodies of our own log that we miss. Returns how many records gained sections."""
    origin = node.joined.origin
    gained = 0
    log = await asyncio.to_thread(_find, node, str(origin))
    start = await asyncio.to_thread(_first_gap, node, log)
    while start is not None and start < log.checkpoint_size:
        _, end, bodies = await _ask_one(peer, log, start, log.checkpoint_size)
        gained += await asyncio.to_thread(_take_back, node, log, start, end, bodies)
        start = end
    return gained


def _first_gap(node: Node, log: logs.StoredLog) -> int | None:
    with node.store.read() as tx:
        gaps = sidecars.list_gaps(tx, log.number)
    return gaps[0][0] if gaps else None


def _take_back(node: Node, log: logs.StoredLog, start: int, end: int, bodies: Bodies) -> int:
    with node.store.read() as tx:
        rows = logs.read_packed(tx, log.number, start, end)
        channels = sidecars.list_channels(tx, wrapper=log.origin.member)
        held = dict(sidecars.scan_sidecars(tx, log.number, start, end))
        due = {index for index, _ in sidecars.list_gaps(tx, log.number)}
    known = {channel.id: channel.decoded() for channel in channels.values()}
    ids = {channel.number: channel.id for channel in channels.values()}
    batch = _Batch(log.origin.member)
    _check_messages(node, bodies.messages, known, batch)
    messages = {**known, **{id_: message for id_, (_, message) in batch.messages.items()}}
    for index, sidecar in bodies.sidecars.items():
        if index not in due:
            continue
        fuller = _merge(sidecar, held.get(index), ids)
        if fuller is None:
            continue
        try:
            type_name = _check(node, log, rows[index - start], fuller, messages)
        except TallyError:
            continue  # another peer may have the right bytes; the gap stays named
        batch.good.append((index, fuller))
        if type_name is not None and type_name.startswith(RESERVED):
            batch.statements.append((index, type_name))
    _commit_back(node, log, batch)
    return len(batch.good)


def _merge(fresh: Sidecar, held: PackedSidecar | None, ids: Mapping[int, bytes]) -> Sidecar | None:
    """The union of what is held and what came; None if nothing is new."""
    if held is None:
        return fresh
    if not fresh.sections.keys() - held.sections.keys():
        return None
    wraps = {wrap.channel: wrap for wrap in fresh.wraps}
    for packed in held.wraps:
        wraps[ids[packed.channel_number]] = Wrap(ids[packed.channel_number], packed.sections, packed.sealed)
    sections = dict(sorted({**held.sections, **fresh.sections}.items()))
    return Sidecar(fresh.manifest, tuple(wraps.values()), sections)


def _commit_back(node: Node, log: logs.StoredLog, batch: _Batch) -> None:
    if not batch.good:
        return
    with node.store.write("restore") as tx:
        for index, _ in batch.good:
            sidecars.delete_sidecar(tx, log.number, index)
        _keep(tx, log, batch)
        for index, sidecar in batch.good:
            missing = len(decode_manifest(sidecar.manifest).sections) - len(sidecar.sections)
            if missing:
                sidecars.insert_gaps(tx, log.number, [(index, f"{missing} sections were held by nobody who answered")])
            else:
                sidecars.delete_gap(tx, log.number, index)
    if batch.statements:
        with node.store.read() as tx:
            node.apply_statements(tx, [(log.number, index) for index, _ in batch.statements])
