"""Keeping evidence: one piece for each kind, accused member and log, and what follows from it for the log.

One finding convicts; more of the same kind are no news. Of two the one that goes back further is kept, then
the one with the smaller id: so all nodes come to hold the same, in whatever order the pieces came.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.errors import TallyError
from ledger.evidence import (
    Evidence,
    EvidenceKind,
    Finding,
    decode_evidence,
    encode_evidence,
    evidence_id,
    verify_evidence,
)
from ledger.network import Network
from node.changes import EVIDENCE, Changes
from node.clock import Clock
from node.storage import facts, logs
from node.storage.store import Store, Tx


class FindingBook:
    """Where a node keeps what it found. Any thread may use it."""

    def __init__(self, store: Store, changes: Changes, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock

    def keep(self, evidence: Evidence, finding: Finding, network: Network) -> bool:
        """Keep verified evidence; that of a fork freezes the log in the same transaction. False if it is no news.

        network: the documents that it was verified with; what is held and does not convince by them any more
        makes place for what does.
        """
        document = encode_evidence(evidence)
        place = finding.version if finding.log is None else finding.size
        is_news = False
        with self._store.write("evidence") as tx:
            for member in finding.members:
                item = facts.StoredEvidence(
                    id=evidence_id(document),
                    kind=str(finding.kind),
                    member=member,
                    log="" if finding.log is None else str(finding.log),
                    place=place,
                    found_ms=self._clock(),
                    document=document,
                )
                held = facts.find_evidence(tx, item)
                if held is None or _order(item) < _order(held) or not _convinces(held, network):
                    is_news |= facts.insert_evidence(tx, item)
            _act(tx, finding)
        if is_news:
            self._changes.bump(EVIDENCE)
            if finding.log is not None:
                self._changes.bump(finding.log.hash)
        return is_news

    def keep_all(self, found: Iterable[tuple[Evidence, Finding]], network: Network) -> None:
        for evidence, finding in found:
            self.keep(evidence, finding, network)


def _order(item: facts.StoredEvidence) -> tuple[int, bytes]:
    return item.place, item.id


def _convinces(held: facts.StoredEvidence, network: Network) -> bool:
    try:
        verify_evidence(decode_evidence(held.document), network)
    except TallyError:
        return False  # a later card took its key from it, say
    return True


def _act(tx: Tx, finding: Finding) -> None:
    """What follows for the log, also from a finding that is no news: it may be the first since a store was restored."""
    log = logs.find_log(tx, finding.log) if finding.log is not None else None
    if log is None:
        return
    if finding.kind is EvidenceKind.FORK and log.frozen is None:
        logs.set_log(tx, log.number, frozen=f"two histories from entry {finding.size} on or before")
    elif finding.kind is EvidenceKind.REPEAT:
        if log.no_cosign_from is None or finding.size < log.no_cosign_from:
            logs.set_log(tx, log.number, no_cosign_from=finding.size)
        logs.set_log(tx, log.number, repeat_first=None, repeat_second=None)
