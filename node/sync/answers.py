"""What this node answers to its peers: bytes for each resource, read in one snapshot each.

Any member may mirror any log; bodies go to the entitled alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger import limits
from ledger.checkpoint import decode_checkpoint
from ledger.errors import EncodingError, Missing
from ledger.names import MemberName, Origin, decode_hex
from ledger.note import decode_note
from ledger.sidecar import Bodies, Sidecar, encode_bodies
from ledger.tiles import Tile, decode_tile_path, encode_bundle, encode_tile, width_of
from node.node import Node
from node.storage import checkpoints, facts, logs, sidecars
from node.storage.store import Tx
from node.sync.heads import HeadHint, Heads

_BODIES_SOFT_MAX: Final = 4 << 20


def heads(node: Node, since: str) -> bytes:
    """Which logs moved since the cursor `since` ("" or a foreign one: all), and the new cursor."""
    count = node.changes.count
    known = node.changes.parse_cursor(since)
    with node.store.read() as tx:
        moved = [log for log in logs.list_logs(tx) if node.changes.moved(log.origin.hash, known)]
        items = [
            HeadHint(
                log.origin.hash.hex(),
                log.checkpoint_size,
                root_hint(log),
                checkpoints.cosigned_size(tx, log.number, node.member),
            )
            for log in moved
        ]
    return msgspec.json.encode(Heads(node.changes.cursor(count), items))


def root_hint(log: logs.StoredLog) -> str:
    """The first 8 bytes of the newest checkpoint's root, in hex; "" without a checkpoint."""
    if log.checkpoint is None:
        return ""
    return decode_checkpoint(decode_note(log.checkpoint).text).root[:8].hex()


def checkpoint(node: Node, log: str) -> bytes:
    """The newest signed checkpoint of a log that is held whole."""
    with node.store.read() as tx:
        found = _find(tx, node, log)
    if found.checkpoint is None:
        raise Missing(what="checkpoint of", name=str(found.origin))
    node.let_out(found)
    return found.checkpoint


def tile(node: Node, log: str, path: str) -> bytes:
    """A tile or an entry bundle by its C2SP path; a partial one may be asked of a tile that has grown."""
    wanted = decode_tile_path(path)
    with node.store.read() as tx:
        found = _find(tx, node, log)
        have = width_of(wanted.n, wanted.level, found.size)
        if wanted.width > have:
            raise Missing(what="tile", name=path)
        return _entries(tx, found, wanted) if wanted.level == "entries" else _hashes(tx, found, wanted)


def _entries(tx: Tx, log: logs.StoredLog, wanted: Tile) -> bytes:
    start = wanted.n * limits.TILE_WIDTH
    return encode_bundle(logs.read_entries(tx, log, start, start + wanted.width))


def _hashes(tx: Tx, log: logs.StoredLog, wanted: Tile) -> bytes:
    assert isinstance(wanted.level, int), "bundles are answered elsewhere"
    start = wanted.n * limits.TILE_WIDTH
    return encode_tile(logs.read_nodes(tx, log.number, level=wanted.level, start=start, end=start + wanted.width))


def cosignatures(node: Node, log: str, size: int) -> bytes:
    """The cosignature lines held for the checkpoint of `size`."""
    with node.store.read() as tx:
        found = _find(tx, node, log)
        return b"".join(line for _, line in checkpoints.read_cosignatures(tx, found.number, size)[: limits.MEMBERS_MAX])


def bodies(node: Node, log: str, *, bundle: int, start: int, caller: MemberName) -> bytes:
    """u64be `end`, then the bodies of entries [start, end) that `caller` is entitled to.

    Of our own log, an empty sidecar stands where a record was lost and who may read it is not known any more, or
    not for `caller`: else whoever was to read it would never learn that there was something, nor ask again.
    """
    first = bundle * limits.TILE_WIDTH
    if not first <= start < first + limits.TILE_WIDTH:
        raise EncodingError(field="from", reason="not an entry of that bundle")
    with node.store.read() as tx:
        found = _find(tx, node, log)
        if start >= found.checkpoint_size:
            raise Missing(what="entry", name=str(start))  # an answer about no entry would have its caller ask for ever
        end = min(first + limits.TILE_WIDTH, found.checkpoint_size)
        answer, end = sidecars.read_bodies(
            tx, found.number, start=start, end=end, caller=caller,
            author=found.origin.member, keeper=node.member, bytes_max=_BODIES_SOFT_MAX,
        )  # fmt: skip
        if found.origin == node.joined.origin:
            answer = _with_gaps(answer, [i for i, _ in sidecars.list_gaps(tx, found.number, start=start, end=end)])
    return end.to_bytes(8, "big") + encode_bodies(answer)


def _with_gaps(bodies: Bodies, gaps: Sequence[int]) -> Bodies:
    lost = {index: Sidecar(b"", (), {}) for index in gaps if index not in bodies.sidecars}
    return Bodies(messages=bodies.messages, sidecars={**bodies.sidecars, **lost})


def charter(node: Node, version: int) -> bytes:
    notes = node.membership.file.charters
    if not 1 <= version <= len(notes):
        raise Missing(what="charter version", name=str(version))
    return notes[version - 1]


def card(node: Node, member: str, version: int) -> bytes:
    with node.store.read() as tx:
        note = facts.find_document(tx, kind="card", owner=member, version=version)
    if note is None:
        raise Missing(what="card", name=f"{member}/{version}")
    return note


def evidence_ids(node: Node) -> bytes:
    with node.store.read() as tx:
        return msgspec.json.encode([id_.hex() for id_ in facts.list_evidence_ids(tx)])


def _find(tx: Tx, node: Node, log: str) -> logs.StoredLog:
    origin: Origin | None = node.membership.origins.get(decode_hex(log, length=32, field="log"))
    found = logs.find_log(tx, origin) if origin else None
    if found is None:
        raise Missing(what="log", name=log)
    return found
