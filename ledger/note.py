"""Signed notes: a text and the signatures under it, byte for byte as C2SP has them.

Charters, cards and checkpoints are such notes. Reading is strict, and a signature is
checked over the text as it came. Signatures of unknown keys are carried along and
prove nothing; one of a known key that fails voids the note. Timestamped cosignatures
(type 0x04) cover more than the text: they are checked in `ledger.checkpoint`.

Spec: docs/spec/checkpoint.md; c2sp.org/signed-note@v1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger import limits
from ledger.errors import BadSignature, EncodingError, MissingSignature, TooLarge
from ledger.keys import SIGNATURE_BYTES, Algorithm, SigningKey, VerifyKey
from ledger.names import decode_b64, encode_b64

_DASH: Final = "\u2014 "
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note. key_hash: 4 bytes; blob: what the key's algorithm made, not yet believed."""

    name: str
    key_hash: bytes
    blob: bytes

    def is_of(self, key: VerifyKey) -> bool:
        """Name and id are those of `key`; says nothing about the blob."""
        return self.name == key.name and self.key_hash == key.hash


@dataclass(frozen=True, slots=True)
class Note:
    """`text` ends in a newline; at most one signature per key."""

    text: str
    signatures: tuple[Signature, ...]


# --- bytes --------------------------------------------------------------------


def encode_note(note: Note) -> bytes:
    """Raises: EncodingError or TooLarge for whatever `decode_note` would not take."""
    _check(note)
    lines = [_DASH + f"{s.name} {encode_b64(s.key_hash + s.blob)}\n" for s in note.signatures]
    try:
        raw = f"{note.text}\n{''.join(lines)}".encode()
    except UnicodeEncodeError:
        raise EncodingError(field="note", reason="lone surrogate") from None
    _check_length(raw)
    return raw


def decode_note(raw: bytes) -> Note:
    """Split a note into text and signatures; verifies none of them.

    Raises: TooLarge, EncodingError.
    """
    _check_length(raw)
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise EncodingError(field="note", reason="not UTF-8") from None
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise EncodingError(field="note", reason="no signature lines after a blank line")
    if lines.count("\n") > limits.NOTE_SIGNATURES_MAX:
        raise TooLarge(what="note", got=lines.count("\n"), limit=limits.NOTE_SIGNATURES_MAX, unit="signatures")
    # Not splitlines(): it also splits at U+0085 and U+2028, which a text may hold.
    note = Note(text + "\n", tuple(_decode_line(line) for line in lines[:-1].split("\n")))
    _check(note)
    return note


# --- signing ------------------------------------------------------------------


def sign_note(text: str, keys: Sequence[SigningKey]) -> Note:
    """A note of `text` with the signature of each key, in their order."""
    return Note(text, tuple(_sign(text, key) for key in keys))


def add_signature(note: Note, key: SigningKey) -> Note:
    """`note` with the signature of `key` as well; the same note if it has one already. Raises: BadSignature."""
    if any(signature.is_of(key.public) for signature in note.signatures):
        verify_note(note, key.public)
        return note
    return replace(note, signatures=(*note.signatures, _sign(note.text, key)))


# --- verifying ----------------------------------------------------------------


def verify_note(note: Note, key: VerifyKey) -> None:
    """Check that `key` signed the text. Raises: MissingSignature, BadSignature."""
    if not verified_signers(note, [key]):
        raise MissingSignature(what="note", needed=1, who=f"{key.name}+{key.id}", got=0)


def verified_signers(note: Note, keys: Sequence[VerifyKey]) -> list[VerifyKey]:
    """Those of `keys` that signed the text, each once, in the order of `keys`.

    Raises: BadSignature if a signature of one of them does not verify, EncodingError for a key that only cosigns.
    """
    signers = []
    for key in dict.fromkeys(keys):
        check_algorithm(key, Algorithm.ED25519)
        for signature in note.signatures:
            if signature.is_of(key):
                verify_blob(signature.blob, note.text.encode(), key, what="note")
                signers.append(key)
    return signers


def verify_blob(blob: bytes, message: bytes, key: VerifyKey, *, what: str) -> None:
    """Raises: BadSignature, also if `blob` is not exactly one Ed25519 signature."""
    # A longer one would pass its tail off as the beginning of the message.
    if len(blob) != SIGNATURE_BYTES:
        raise BadSignature(signer=key.name, what=what)
    key.verify(message, blob, what=what)


def check_algorithm(key: VerifyKey, algorithm: Algorithm) -> None:
    """Raises: EncodingError. A key has one use: a signature of one kind never stands for the other."""
    if key.algorithm is not algorithm:
        raise EncodingError(field="key", reason=f"{key.name}+{key.id} is not a key of type {int(algorithm):#04x}")


# --- inside -------------------------------------------------------------------


def _sign(text: str, key: SigningKey) -> Signature:
    check_algorithm(key.public, Algorithm.ED25519)
    return Signature(key.public.name, key.public.hash, key.sign(text.encode()))


def _check(note: Note) -> None:
    """The rules that hold for a note whether it is read or written."""
    if not note.text.endswith("\n") or _CONTROL.search(note.text):
        raise EncodingError(field="note", reason="the text ends in a newline and has no other control characters")
    if not 1 <= len(note.signatures) <= limits.NOTE_SIGNATURES_MAX:
        raise EncodingError(field="note", reason=f"has 1 to {limits.NOTE_SIGNATURES_MAX} signatures")
    if len({(s.name, s.key_hash) for s in note.signatures}) != len(note.signatures):
        raise EncodingError(field="note", reason="two signatures of one key")
    for signature in note.signatures:
        # c2sp.org/signed-note: unknown signers may have any name without white space and plus sign.
        name = signature.name
        if not name or _CONTROL.search(name) or any(c == "+" or c.isspace() for c in name):
            raise EncodingError(field="signature", reason="the key name is empty or has white space or a plus sign")
        if len(signature.key_hash) != 4 or not signature.blob:
            raise EncodingError(field="signature", reason="shorter than a key id and a signature")


def _check_length(raw: bytes) -> None:
    if len(raw) > limits.NOTE_BYTES_MAX:
        raise TooLarge(what="note", got=len(raw), limit=limits.NOTE_BYTES_MAX, unit="bytes")


def _decode_line(line: str) -> Signature:
    name, space, blob = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise EncodingError(field="signature", reason="not an em dash, a key name and base64")
    raw = decode_b64(blob, field="signature")
    return Signature(name, raw[:4], raw[4:])
