"""Collecting cosignatures: what a peer itself cosigned last, and what else it has of that checkpoint."""

from __future__ import annotations

import asyncio

from ledger.checkpoint import verify_cosignature
from ledger.names import MemberName, Origin
from ledger.note import Note, decode_note, encode_note
from node.node import Node
from node.storage import checkpoints
from node.sync.client import PeerClient
from node.sync.heads import HeadHint


async def collect_cosignatures(node: Node, peer: PeerClient, origin: Origin, head: HeadHint) -> bool:
    """Fetch the cosignatures that the peer has of the size it cosigned last, if we hold that checkpoint.

    Returns whether any was new.
    """
    if not head.cosigned:
        return False
    wanted = await asyncio.to_thread(_wanted, node, origin, peer.peer, size=head.cosigned)
    if wanted is None:
        return False
    number, text = wanted
    lines = await peer.cosignatures(origin.hash.hex(), head.cosigned)
    return bool(lines) and await asyncio.to_thread(_keep, node, number, text, lines, size=head.cosigned)


def _wanted(node: Node, origin: Origin, peer: MemberName, *, size: int) -> tuple[int, str] | None:
    """The log's number and the text of its checkpoint of `size`, if the peer's cosignature of it is not here yet."""
    with node.store.read() as tx:
        log = node.find_log(tx, str(origin))
        if checkpoints.cosigned_size(tx, log.number, peer) >= size:
            return None
        found = checkpoints.read_checkpoint(tx, log.number, at_least=size)
    if found is None or found[0] != size:
        return None
    return log.number, decode_note(found[1]).text


def _keep(node: Node, number: int, text: str, lines: bytes, *, size: int) -> bool:
    """Keep the lines that a member's witness key made; others are passed over.

    Raises: BadSignature, with nothing kept, if one of a member does not verify: the peer made it up.
    """
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
        added = [checkpoints.keep_cosignature(tx, number, member=member, size=size, line=line) for member, line in good]
    return any(added)
