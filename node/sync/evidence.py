"""Evidence: verified before it is kept, passed on to every member, freezing the log that forked."""

from __future__ import annotations

import asyncio

from ledger.evidence import (
    Evidence,
    EvidenceKind,
    Finding,
    decode_evidence,
    encode_evidence,
    evidence_id,
    verify_evidence,
)
from node.changes import EVIDENCE
from node.node import Node
from node.storage import facts, logs
from node.sync.client import PeerClient


def take_evidence(node: Node, document: bytes) -> bool:
    """Keep evidence that a peer passed on; False if it was known. Raises: what verification raises."""
    evidence = decode_evidence(document)
    return keep_evidence(node, evidence, verify_evidence(evidence, node.membership.network))


def keep_evidence(node: Node, evidence: Evidence, finding: Finding) -> bool:
    """Keep verified evidence; that of a fork freezes the log in the same transaction. False if it was known."""
    document = encode_evidence(evidence)
    item = facts.StoredEvidence(
        id=evidence_id(document),
        kind=str(finding.kind),
        member=", ".join(finding.members),
        log="" if finding.log is None else str(finding.log),
        place=finding.version if finding.log is None else finding.size,
        found_ms=node.clock(),
        document=document,
    )
    with node.store.write("evidence") as tx:
        is_new = facts.insert_evidence(tx, item)
        log = logs.find_log(tx, finding.log) if finding.log is not None else None
        if log is not None and finding.kind is EvidenceKind.FORK and log.frozen is None:
            logs.set_log(tx, log.number, frozen=f"two histories from entry {finding.size} on or before")
        elif log is not None and finding.kind is EvidenceKind.REPEAT:
            limit = finding.size
            if log.no_cosign_from is None or limit < log.no_cosign_from:
                logs.set_log(tx, log.number, no_cosign_from=limit)
            logs.set_log(tx, log.number, repeat_first=None, repeat_second=None)
    if is_new:
        node.changes.bump(EVIDENCE)
        if finding.log is not None:
            node.changes.bump(finding.log.hash)
    return is_new


async def pass_on(node: Node, peer: PeerClient, sent: set[bytes]) -> None:
    """Give the peer whatever evidence is not among the ids in `sent`, which grow. Raises: what calling raises."""
    for item in await asyncio.to_thread(_list, node):
        if item.id not in sent:
            await peer.post_evidence(item.document)
            sent.add(item.id)


def _list(node: Node) -> list[facts.StoredEvidence]:
    with node.store.read() as tx:
        return facts.list_evidence(tx)
