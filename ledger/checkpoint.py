"""Checkpoints: what a log signs about itself, and what others cosign after they hold it.

A checkpoint says "the log `origin` has `size` entries and this root". A cosignature
of another member adds "at this time I durably held all of it, and knew of nothing
that contradicts it". Extension lines are refused: nobody could audit them.

Spec: docs/spec/checkpoint.md; c2sp.org/tlog-checkpoint@v1.0.0, c2sp.org/tlog-cosignature@v1.0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger import limits
from ledger.errors import BadSignature, EncodingError, ForeignOrigin
from ledger.keys import Algorithm, SigningKey, VerifyKey
from ledger.names import Digest, MemberName, Origin, decode_b64, decode_origin, decode_size, encode_b64
from ledger.note import (
    Note,
    Signature,
    check_algorithm,
    decode_note,
    encode_note,
    sign_note,
    verify_blob,
    verify_note,
)

TIME_MAX: Final = 2**63 - 1
"""Latest time of a cosignature, in POSIX seconds (c2sp.org/tlog-cosignature)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a log; size in entries."""

    origin: Origin
    size: int
    root: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint that was verified, and the bytes of the note that it was read from."""

    checkpoint: Checkpoint
    note: bytes


# --- bytes --------------------------------------------------------------------


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """The text of the note: origin, size and root, a line each."""
    if not 0 <= checkpoint.size <= limits.INTEGER_MAX or len(checkpoint.root) != 32:
        raise EncodingError(field="checkpoint", reason="a size below 2**53 and a root of 32 bytes")
    return f"{checkpoint.origin}\n{checkpoint.size}\n{encode_b64(checkpoint.root)}\n"


def decode_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a note. Believe it only after the note is verified. Raises: EncodingError."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise EncodingError(field="checkpoint", reason="not the three lines origin, size and root")
    return Checkpoint(
        origin=decode_origin(lines[0]),
        size=decode_size(lines[1]),
        root=Digest(decode_b64(lines[2], length=32, field="root")),
    )


# --- the log's own signature ----------------------------------------------------


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The note that a log publishes; its key carries the log's name. Raises: ForeignOrigin."""
    _check_name(checkpoint.origin, key.public)
    return encode_note(sign_note(encode_checkpoint(checkpoint), [key]))


def open_checkpoint(raw: bytes, *, origin: Origin, key: VerifyKey) -> Checkpoint:
    """Read a note and check that it is a checkpoint of the log `origin`, signed by its `key`.

    Whether `key` was in force at that size is the caller's to know (docs/spec/card.md).
    Raises: TooLarge, EncodingError, ForeignOrigin, MissingSignature, BadSignature.
    """
    _check_name(origin, key)
    note = decode_note(raw)
    checkpoint = decode_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise ForeignOrigin(expected=str(origin), got=str(checkpoint.origin))
    verify_note(note, key)
    return checkpoint


# --- cosignatures of others -------------------------------------------------------


def cosign(text: str, key: SigningKey, time_s: int) -> Signature:
    """Cosign the text of a checkpoint at a POSIX time in seconds; `key` is of type COSIGNATURE.

    It promises that this is the largest tree of that log the signer knows: call it after the commit.
    """
    check_algorithm(key.public, Algorithm.COSIGNATURE)
    decode_checkpoint(text)
    if not 0 <= time_s <= TIME_MAX:
        raise EncodingError(field="time", reason="not a POSIX time in seconds")
    blob = time_s.to_bytes(8, "big") + key.sign(_cosigned(text, time_s))
    return Signature(key.public.name, key.public.hash, blob)


def verify_cosignature(text: str, signature: Signature, key: VerifyKey) -> int:
    """Check that `key` cosigned the checkpoint `text`; returns when, in POSIX seconds.

    Raises: BadSignature, EncodingError if `key` is of another type.
    """
    check_algorithm(key, Algorithm.COSIGNATURE)
    time_s = int.from_bytes(signature.blob[:8], "big")
    if not signature.is_of(key) or time_s > TIME_MAX:
        raise BadSignature(signer=key.name, what="cosigned checkpoint")
    verify_blob(signature.blob[8:], _cosigned(text, time_s), key, what="cosigned checkpoint")
    return time_s


def verified_cosigners(note: Note, keys: Sequence[VerifyKey]) -> dict[VerifyKey, int]:
    """Those of `keys` that cosigned the checkpoint in `note`, and when, in POSIX seconds.

    Raises: BadSignature if a cosignature of one of them does not verify; unknown keys are passed over.
    """
    for key in keys:
        check_algorithm(key, Algorithm.COSIGNATURE)
    return {
        key: verify_cosignature(note.text, signature, key)
        for key in keys
        for signature in note.signatures
        if signature.is_of(key)
    }


def distinct_cosigners(found: Mapping[MemberName, Mapping[VerifyKey, int]]) -> dict[MemberName, int]:
    """As many of the members as can have a point of the curve each that stands for no other; and when each cosigned.

    found: of each member, its keys that cosigned one checkpoint, and when. A cosignature does not cover its signer's
    name: where two members list one key, its line can be relabelled, and is one cosignature all the same. Nor does
    who lists the key of another keep that one from being counted.
    """
    owners: dict[bytes, MemberName] = {}

    def place(member: MemberName, tried: set[bytes]) -> bool:
        # An augmenting path (Kuhn): who stands in the way moves to another of its keys if it has one.
        for key in sorted(found[member], key=lambda key: (-found[member][key], key.raw)):
            if key.raw in tried:
                continue
            tried.add(key.raw)
            if key.raw not in owners or place(owners[key.raw], tried):
                owners[key.raw] = member
                return True
        return False

    for member in sorted(found):
        place(member, set())
    times = {(member, key.raw): time for member, keys in found.items() for key, time in keys.items()}
    return {member: times[member, raw] for raw, member in owners.items()}


# --- inside -------------------------------------------------------------------


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _check_name(origin: Origin, key: VerifyKey) -> None:
    """The name of a log's key is its origin: a key of one log signs for no other."""
    if key.name != str(origin):
        raise ForeignOrigin(expected=str(origin), got=key.name)
