"""The document that holds a piece of evidence: its one form, which proves nothing yet.

Spec: docs/spec/evidence.md, "Document".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ledger import limits, shape
from ledger.checkpoint import Checkpoint, decode_checkpoint
from ledger.errors import EncodingError, EvidenceKindUnknown
from ledger.names import Digest, MemberName, Origin, sha256
from ledger.note import decode_note
from ledger.proof import TlogProof, decode_path, decode_proof, encode_path

_MEMBERS: Final = ("first", "kind", "path", "second")
_SHORT: Final = 1 << 16
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Looked at before anything is parsed: five million bytes of empty lists would become a hundred and forty of objects.
_FORM: Final = re.compile(
    rb'\{"first":%b,"kind":%b,"path":\[(?:%b,?){0,%d}\],"second":%b,"v":1\}\n\Z'
    % (_STRING, _STRING, _STRING, limits.PROOF_HASHES_MAX, _STRING),
    re.DOTALL,
)


class EvidenceKind(StrEnum):
    """What contradicts what; the values are those of the document."""

    FORK = "fork"
    REPEAT = "repeat"
    CHARTERS = "charters"
    CARDS = "cards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """first, second: the two signed things as they came; `path` links the checkpoints of a fork of unequal sizes.

    fork: checkpoint notes, the smaller first. repeat: tlog-proofs whose `extra` is the entry, the
    earlier first. charters, cards: notes, in the order of their texts.
    """

    kind: EvidenceKind
    first: bytes
    second: bytes
    path: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a piece of evidence proves. Two pieces with one finding say the same: keep one.

    members: whose keys signed both. log, size: what `log` says of its entries from `size` on is in
    doubt (fork), or its checkpoints from `size` on are never cosigned (repeat). version: of the two documents.
    """

    kind: EvidenceKind
    members: tuple[MemberName, ...]
    log: Origin | None = None
    size: int = 0
    version: int = 0


# --- bytes --------------------------------------------------------------------


def encode_evidence(evidence: Evidence) -> bytes:
    """Canonical JSON and a newline. Raises: as `decode_evidence`, for what it would refuse."""
    check_form(evidence)
    return shape.encode_text(
        {
            "first": evidence.first.decode(),
            "kind": str(evidence.kind),
            "path": encode_path(evidence.path),
            "second": evidence.second.decode(),
        }
    ).encode()


def decode_evidence(raw: bytes) -> Evidence:
    """Parse a piece of evidence; proves nothing.

    Raises: TooLarge, EncodingError, EvidenceKindUnknown, and what the documents in it raise.
    """
    found = _decode_text(raw)
    kind = shape.take_string(found["kind"], what="kind")
    if kind not in tuple(EvidenceKind):
        raise EvidenceKindUnknown(kind=kind[:40])
    path = shape.take_list(found["path"], what="path", most=limits.PROOF_HASHES_MAX)
    evidence = Evidence(
        kind=EvidenceKind(kind),
        first=shape.take_string(found["first"], what="first").encode(),
        second=shape.take_string(found["second"], what="second").encode(),
        path=decode_path([shape.take_string(digest, what="path") for digest in path]),
    )
    check_form(evidence)
    return evidence


def evidence_id(raw: bytes) -> Digest:
    """H(encoded evidence): the name under which it is kept and passed on.

    Two documents may prove the same (a liar signs as often as it likes); what they prove is told by `Finding`.
    """
    return sha256(raw)


def check_form(evidence: Evidence) -> None:
    """The rules that hold whether evidence is read or written: one contradiction has one order of its halves."""
    if evidence.kind is not EvidenceKind.FORK and evidence.path:
        raise EncodingError(field="path", reason="only a fork has one")
    order = _ORDER[evidence.kind]
    if not order(evidence.first) < order(evidence.second):
        raise EncodingError(field="evidence", reason="its halves are equal or in the wrong order")


def sorted_halves(kind: EvidenceKind, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """The two halves in the one order in which evidence of that kind has them."""
    halves = sorted((first, second), key=_ORDER[kind])
    return halves[0], halves[1]


def entry_of(proof: TlogProof) -> bytes:
    """The entry that one half of a repeat proves. Raises: EncodingError if it is not there."""
    if proof.extra is None:
        raise EncodingError(field="repeat", reason="a proof without its entry as extra data")
    return proof.extra


# --- inside -------------------------------------------------------------------


def _decode_text(raw: bytes) -> dict[str, Any]:
    if _SHORT < len(raw) <= limits.EVIDENCE_BYTES_MAX + 1 and not _FORM.match(raw):
        raise EncodingError(field="evidence", reason="a long one that is not made of its few strings")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise EncodingError(field="evidence", reason="not UTF-8") from None
    return shape.decode_text(text, _MEMBERS, what="evidence", bytes_max=limits.EVIDENCE_BYTES_MAX)


def _fork_order(note: bytes) -> tuple[int, Digest]:
    checkpoint = _read_checkpoint(note)
    return checkpoint.size, checkpoint.root


def _repeat_order(text: bytes) -> tuple[int, int]:
    proof = decode_proof(text)
    entry_of(proof)
    return _read_checkpoint(proof.note).origin.epoch, proof.index


def _read_checkpoint(note: bytes) -> Checkpoint:
    """The checkpoint, unverified. One signature: others would make many documents of one contradiction."""
    opened = decode_note(note)
    if len(opened.signatures) != 1:
        raise EncodingError(field="evidence", reason="a checkpoint with signatures beside the log's own")
    return decode_checkpoint(opened.text)


def _text_order(note: bytes) -> str:
    return decode_note(note).text


_ORDER: Final[Mapping[EvidenceKind, Callable[[bytes], Any]]] = {
    EvidenceKind.FORK: _fork_order,
    EvidenceKind.REPEAT: _repeat_order,
    EvidenceKind.CHARTERS: _text_order,
    EvidenceKind.CARDS: _text_order,
}
