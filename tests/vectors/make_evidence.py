"""Writes evidence.json: one piece of each kind with what it proves, and what proves nothing.

Usage: python -m tests.vectors.make_evidence (prints; the file beside it is frozen). The seed of a key is
SHA-256("membership test seed: " and its label), as in membership.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ledger.evidence import (
    Evidence,
    EvidenceKind,
    encode_evidence,
    evidence_id,
    make_contradiction,
    verify_evidence,
)
from ledger.jsontext import encode_canonical
from ledger.names import sha256
from ledger.network import encode_network_file
from ledger.note import add_signature, decode_note, encode_note
from tests.make import Log, network, record_id
from tests.make_evidence import LIAR, fork, forked, repeated, two_cards, two_charters
from tests.make_membership import FOUR, firm, firms, network_file


def build() -> dict[str, Any]:
    """All of evidence.json."""
    log = Log(LIAR).add(12)
    text = json.loads(encode_evidence(forked()))
    return {
        "source": "python -m tests.vectors.make_evidence; specified in docs/spec/evidence.md",
        "network": encode_network_file(network_file(firms(*FOUR))).decode(),
        "proven": [
            proven("a fork, sizes 7 and 12", forked()),
            proven("a fork, both of size 9", forked(9, 9)),
            proven("a fork where the smaller size is a power of two", forked(8, 13)),
            proven("a repeated id", repeated(id=record_id("once"))[1]),
            proven("a repeated slot", repeated(slot=bytes(range(16)))[1]),
            proven("two second charters", two_charters()),
            proven("two second cards", two_cards()),
        ],
        "refused": [
            refused("a rollback: consistent checkpoints", encode_evidence(fork(log, 7, log, 12)), "proof-invalid"),
            refused("a path of random hashes", encode_evidence(random_path()), "proof-invalid"),
            refused("a path that is too short", encode_evidence(short_path()), "proof-invalid"),
            refused("cards signed by another member", encode_evidence(signed_by_another()), "missing-signature"),
            refused("a charter signed by two of four", encode_evidence(few_signed()), "missing-signature"),
            refused("cards of a stranger", encode_evidence(of_stranger()), "unknown-member"),
            refused("halves in the wrong order", turned(text), "encoding"),
            refused("an unknown kind", encode_canonical({**text, "kind": "rollback"}) + b"\n", "evidence-kind-unknown"),
            refused("a line that is of no root key", encode_evidence(padded()), "proof-invalid"),
            refused("cards that follow no known card", encode_evidence(of_nowhere()), "proof-invalid"),
            refused("a member too many", encode_canonical({**text, "note": ""}) + b"\n", "encoding"),
            refused("no newline at the end", encode_evidence(forked())[:-1], "encoding"),
        ],
    }  # fmt: skip


def random_path() -> Evidence:
    evidence = fork(Log(LIAR).add(12), 7, Log(LIAR).add(12), 12)
    return replace(evidence, path=tuple(sha256(b"random %d" % i) for i in range(len(evidence.path))))


def short_path() -> Evidence:
    return replace(forked(), path=forked().path[:-1])


def few_signed() -> Evidence:
    return two_charters(firms(*FOUR[:3]), firms(*FOUR[:2]))


def signed_by_another() -> Evidence:
    return two_cards(signer=firm("carrier"))


def of_stranger() -> Evidence:
    return two_cards(firm("stranger"), firm("stranger"))


def turned(text: dict[str, Any]) -> bytes:
    return encode_canonical({**text, "first": text["second"], "second": text["first"]}) + b"\n"


def proven(why: str, evidence: Evidence) -> dict[str, Any]:
    raw, finding = encode_evidence(evidence), verify_evidence(evidence, network())
    return {
        "why": why,
        "id": evidence_id(raw).hex(),
        "finding": {
            "kind": str(finding.kind),
            "members": list(finding.members),
            "log": str(finding.log) if finding.log else None,
            "size": finding.size,
            "version": finding.version,
        },
        "evidence": raw.decode(),
    }


def padded() -> Evidence:
    """Two cards, one with the line of another member besides."""
    evidence = two_cards()
    busy = encode_note(add_signature(decode_note(evidence.first), firm("carrier").root_keys[0]))
    return replace(evidence, first=busy)


def of_nowhere() -> Evidence:
    """Two cards of version 3, of which nobody has version 2."""
    second = LIAR.card(previous=LIAR.card())
    notes = (LIAR.signed(LIAR.card(previous=second, endpoints=(f"https://{name}.example",))) for name in ("a", "b"))
    return make_contradiction(EvidenceKind.CARDS, *notes)


def refused(why: str, raw: bytes, code: str) -> dict[str, Any]:
    return {"why": why, "code": code, "evidence": raw.decode()}


if __name__ == "__main__":
    print(json.dumps(build(), indent=1, ensure_ascii=False))
