"""The tlog-proof: one text file that shows offline that an entry is in a signed log.

It holds the entry's index, the inclusion path and the checkpoint with whatever
cosignatures it has. It does not say whose keys count: that is the receipt's part.

Spec: docs/spec/proofs-log.md; c2sp.org/tlog-proof@v1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger import limits
from ledger.checkpoint import Checkpoint, decode_checkpoint, open_checkpoint
from ledger.errors import EncodingError, TooLarge
from ledger.keys import VerifyKey
from ledger.merkle import verify_inclusion
from ledger.names import Digest, Origin, decode_b64, decode_size, encode_b64
from ledger.note import decode_note

_FIRST: Final = b"c2sp.org/tlog-proof@v1\n"
_HEAD_BYTES_MAX: Final = 256 + 45 * limits.PROOF_HASHES_MAX + limits.PROOF_EXTRA_BYTES_MAX // 3 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """path: sibling digests, leaf side first. note: the signed checkpoint as it came. extra: vouched for by nobody."""

    index: int
    path: tuple[Digest, ...]
    note: bytes
    extra: bytes | None = None


def encode_proof(proof: TlogProof) -> bytes:
    """The file of C2SP's tlog-proof, which software of others reads.

    Raises: EncodingError or TooLarge for whatever `decode_proof` would not take.
    """
    _check(proof)
    extra = "" if proof.extra is None else f"extra {encode_b64(proof.extra)}\n"
    path = "".join(line + "\n" for line in encode_path(proof.path))
    return _FIRST + f"{extra}index {proof.index}\n{path}\n".encode() + proof.note


def decode_proof(raw: bytes) -> TlogProof:
    """Parse a proof; verifies nothing but the form, also that of the checkpoint in it.

    Raises: TooLarge, EncodingError.
    """
    head, blank, note = raw[: _HEAD_BYTES_MAX + 2].partition(b"\n\n")
    if not blank or not head.startswith(_FIRST):
        raise EncodingError(field="proof", reason="not a head, a blank line and a checkpoint")
    note = raw[len(head) + 2 :]
    try:
        lines = head[len(_FIRST) :].decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise EncodingError(field="proof", reason="the head is not ASCII") from None
    extra = decode_b64(lines.pop(0)[6:], field="extra") if lines[0].startswith("extra ") else None
    if not lines or not lines[0].startswith("index "):
        raise EncodingError(field="proof", reason="no index where it is due")
    index = decode_size(lines[0][6:], "index")
    proof = TlogProof(index=index, path=decode_path(lines[1:]), note=note, extra=extra)
    _check(proof)
    return proof


def verify_proof(proof: TlogProof, leaf: Digest, *, origin: Origin, key: VerifyKey) -> Checkpoint:
    """Check that `leaf` is in the log `origin` where the proof says; returns the checkpoint that covers it.

    key: the log's key at that size. Cosignatures are counted apart (`ledger.checkpoint.verified_cosigners`).
    Raises: ProofInvalid, and what `open_checkpoint` raises.
    """
    checkpoint = open_checkpoint(proof.note, origin=origin, key=key)
    verify_inclusion(leaf, index=proof.index, size=checkpoint.size, root=checkpoint.root, path=proof.path)
    return checkpoint


def encode_path(path: Sequence[Digest]) -> list[str]:
    """The digests of an inclusion, consistency or fork proof in base64, as documents of ours hold them."""
    return [encode_b64(digest) for digest in path]


def decode_path(texts: Sequence[str]) -> tuple[Digest, ...]:
    """Raises: TooLarge before anything is decoded, EncodingError."""
    if len(texts) > limits.PROOF_HASHES_MAX:
        raise TooLarge(what="proof", got=len(texts), limit=limits.PROOF_HASHES_MAX, unit="hashes")
    return tuple(Digest(decode_b64(text, length=32, field="path")) for text in texts)


def _check(proof: TlogProof) -> None:
    """The rules that hold for a proof whether it is read or written."""
    if proof.extra is not None and not 1 <= len(proof.extra) <= limits.PROOF_EXTRA_BYTES_MAX:
        raise EncodingError(field="extra", reason=f"left out, or 1 to {limits.PROOF_EXTRA_BYTES_MAX} bytes")
    if len(proof.path) > limits.PROOF_HASHES_MAX:
        raise TooLarge(what="proof", got=len(proof.path), limit=limits.PROOF_HASHES_MAX, unit="hashes")
    if any(len(digest) != 32 for digest in proof.path):
        raise EncodingError(field="path", reason="a hash is not 32 bytes")
    checkpoint = decode_checkpoint(decode_note(proof.note).text)
    if not 0 <= proof.index < checkpoint.size:
        raise EncodingError(field="index", reason="the checkpoint does not cover it")
