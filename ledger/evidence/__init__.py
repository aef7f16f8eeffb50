"""Evidence: two signed things of one member that contradict each other, in one document that anyone can check.

Four kinds. A fork: two checkpoints of one log that no single log has. A repeat: one
record id or slot at two places in a member's logs. Two charters of one version. Two
cards of one version. Whoever holds the charters and cards of the network needs
nothing else: who found a piece of evidence, and who passed it on, does not count.

Nobody can make evidence against a log whose keys sign one history: every kind needs
two signatures that only a liar, or a thief of its keys, gives. Two checkpoints that
agree contradict nothing, so a rollback alone is an observation and no evidence
(docs/decisions/rollback-is-an-observation.md).

`document` holds the form, `proving` what convicts.

Spec: docs/spec/evidence.md.
"""

from ledger.evidence.document import Evidence, EvidenceKind, Finding, decode_evidence, encode_evidence, evidence_id
from ledger.evidence.proving import make_contradiction, make_fork, make_repeat, verify_evidence

__all__ = [
    "Evidence",
    "EvidenceKind",
    "Finding",
    "decode_evidence",
    "encode_evidence",
    "evidence_id",
    "make_contradiction",
    "make_fork",
    "make_repeat",
    "verify_evidence",
]
