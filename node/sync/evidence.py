"""Evidence between nodes: verified before it is kept, passed on to every member."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from ledger import limits
from ledger.errors import TallyError
from ledger.evidence import Evidence, Finding, decode_evidence, verify_evidence
from node.node import Node
from node.storage import facts
from node.sync.client import PeerClient, PeerUnreachable


@dataclass(slots=True)
class Sent:
    """What one peer was given. about: how often it was told of one kind, member and log."""

    ids: set[bytes] = field(default_factory=set)
    about: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def take_evidence(node: Node, document: bytes) -> bool:
    """Keep evidence that a peer passed on; False if it is no news. Raises: what verification raises."""
    evidence = decode_evidence(document)
    return keep_evidence(node, evidence, verify_evidence(evidence, node.membership.documents))


def keep_evidence(node: Node, evidence: Evidence, finding: Finding) -> bool:
    """Keep verified evidence; that of a fork freezes the log in the same transaction. False if it is no news."""
    return node.findings.keep(evidence, finding, node.membership.documents)


async def pass_on(node: Node, peer: PeerClient, sent: Sent) -> None:
    """Give the peer what it was not given yet; of one kind, member and log only so much, as the first convicts.

    What it refuses does not hold up the rest. Raises: what calling raises, the first refusal once all was tried.
    """
    refusal: TallyError | None = None
    for id_, about in (await asyncio.to_thread(_list, node)).items():
        if id_ in sent.ids or all(sent.about[one] >= limits.EVIDENCE_PASSED_MAX for one in about):
            continue
        document = await asyncio.to_thread(_read, node, id_)
        if document is None:
            continue
        try:
            await peer.post_evidence(document)
        except PeerUnreachable:
            raise
        except TallyError as cause:
            refusal = refusal or cause
            continue
        sent.ids.add(id_)
        sent.about.update(about)
    if refusal is not None:
        raise refusal


def _list(node: Node) -> dict[bytes, list[tuple[str, str, str]]]:
    with node.store.read() as tx:
        return facts.list_evidence_ids(tx)


def _read(node: Node, id_: bytes) -> bytes | None:
    """One at a time, as a piece can have five million bytes."""
    with node.store.read() as tx:
        return facts.read_evidence(tx, id_)
