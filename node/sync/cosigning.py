"""Collecting cosignatures: what a peer itself cosigned last, and what else it has of that checkpoint."""

from __future__ import annotations

import asyncio

from ledger import limits
from ledger.checkpoint import verify_cosignature
from ledger.errors import TooLarge
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

    Raises: TooLarge; BadSignature, with nothing kept, if one of a member does not verify: the peer made it up.
    """
    if lines.count(b"\n") > limits.MEMBERS_MAX:
        raise TooLarge(what="cosignatures", got=lines.count(b"\n"), limit=limits.MEMBERS_MAX, unit="lines")
    note = decode_note(text.encode() + b"\n" + lines)
    good: list[tuple[MemberName, bytes]] = []
    for signature in note.signatures:
        witness = node.membership.witness_of(signature)
        if witness is not None:
            member, key = witness
            verify_cosignature(text, signature, key)
            good.append((member, encode_note(Note(text, (signature,)))[len(text.encode()) + 1 :]))
    with node.store.write("sync-cosignatures") as tx:
        added = [checkpoints.keep_cosignature(tx, number, member=member, size=size, line=line) for member, line in good]
    return any(added)
