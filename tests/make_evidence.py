"""Builders of contradictions, with the keys of a liar, and of what looks like one."""

from __future__ import annotations

from typing import Any, Final

from ledger.charter import Charter
from ledger.evidence import Evidence, EvidenceKind, make_contradiction, make_fork, make_repeat
from ledger.merkle import prove_fork, prove_inclusion
from ledger.proof import TlogProof
from tests.make import Log, network
from tests.make_membership import FOUR, Firm, charter, firm, firms, signed

LIAR: Final = firm("fishery")


def fork(log: Log, first: int, other: Log, second: int) -> Evidence:
    """Evidence that `log` at size `first` and `other` at size `second`, which is no smaller, contradict each other."""
    path = prove_fork(first, second, other.read) if first != second else []
    return make_fork(log.note(first), other.note(second), path=path, network=network())


def forked(first: int = 7, second: int = 12, *, common: int = 5) -> Evidence:
    log = Log(LIAR).add(first)
    return fork(log, first, log.branch(common).add(second - common), second)


def proof(log: Log, index: int, size: int | None = None) -> TlogProof:
    """The half of a repeat that shows one entry."""
    size = log.size if size is None else size
    path = prove_inclusion(index, size, log.read)
    return TlogProof(index=index, path=tuple(path), note=log.note(size), extra=log.entries[index])


def repeated(**name: Any) -> tuple[Log, Evidence]:
    """A log whose entries 2 and 6 have the same id, slot or both; and the evidence."""
    log = Log(LIAR).add(2).add_entry(**name).add(3).add_entry(**name).add(2)
    return log, make_repeat(proof(log, 2), proof(log, 6), network=network())


def two_cards(member: Firm = LIAR, signer: Firm = LIAR) -> Evidence:
    """Two second cards with other endpoints."""
    first = member.card()
    notes = (
        signer.signed(member.card(previous=first, endpoints=(f"https://{name}.example",))) for name in ("one", "other")
    )
    return make_contradiction(EvidenceKind.CARDS, *notes)


def two_charters(*signers: tuple[Firm, ...], previous: Charter | None = None) -> Evidence:
    """Two second charters with another f, by default signed by three of four each, the same three."""
    before = previous or charter(firms(*FOUR))
    by = signers or (firms(*FOUR[:3]), firms(*FOUR[:3]))
    notes = (signed(charter(firms(*FOUR), f=f, previous=before), who) for f, who in enumerate(by))
    return make_contradiction(EvidenceKind.CHARTERS, *notes)
