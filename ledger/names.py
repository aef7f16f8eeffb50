"""Names, digests and ids: the small values that every other module passes around.

Each has one way to be written, and every `decode_*` takes that one alone: what can be
written in two ways can be signed in one and compared in the other. Python's own readers
forgive: int() takes "+7", " 7", "1_0" and digits of other scripts, b64decode() skips
what it does not know.

Spec: docs/spec/notation.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final, NewType

from ledger import limits
from ledger.errors import EncodingError

Digest = NewType("Digest", bytes)
"""32 bytes of SHA-256."""
MemberName = NewType("MemberName", str)
NetworkName = NewType("NetworkName", str)
KeyId = NewType("KeyId", str)
"""Hexadecimal key id: 8 digits for signing keys (C2SP), 16 for sealing keys."""
RecordId = NewType("RecordId", bytes)
"""16 raw bytes of a UUIDv7."""
NetworkId = NewType("NetworkId", bytes)
"""H(text of charter 1): the fingerprint that people compare."""

RESERVED: Final = "tally/"
"""What the types of the ledger's own records begin with, and no other type does."""

# \Z and not $: that one also matches before a last newline.
_NAME: Final = re.compile(rf"[a-z0-9.-]{{1,{limits.MEMBER_NAME_MAX}}}\Z")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_INTEGER: Final = re.compile(r"(0|[1-9][0-9]{0,15})\Z")


def sha256(message: bytes) -> Digest:
    """H of the pages of the spec. The caller puts a tag in front: no hash for one purpose may stand for another."""
    return Digest(hashlib.sha256(message).digest())


def decode_name(text: str, field: str = "name") -> str:
    """Check a network or member name: 1 to `limits.MEMBER_NAME_MAX` of a-z, 0-9, dot and hyphen.

    No slash, space or upper case: names stand in origins, key names, paths and URLs. Charters ask for more
    (docs/spec/charter.md, "Names"); a log that no charter lists is refused there.
    Raises: EncodingError.
    """
    if not _NAME.match(text):
        allowed = f"1 to {limits.MEMBER_NAME_MAX} of a-z, 0-9, '.' and '-'"
        error = EncodingError(field=field, reason=f"{text[:80]!r} is not {allowed}")
        error.hint = "Choose another name; docs/spec/charter.md has the rule for names."
        raise error
    return text


def encode_b64(raw: bytes) -> str:
    """RFC 4648 section 4, with padding."""
    return base64.b64encode(raw).decode()


def encode_b64_bytes(raw: bytes) -> bytes:
    """As `encode_b64`, as bytes: hot paths spare the two steps by way of text."""
    return binascii.b2a_base64(raw, newline=False)


def decode_b64(text: str, *, length: int | None = None, field: str = "base64") -> bytes:
    """RFC 4648 section 4, padded, trailing bits zero; `length` in bytes where it is fixed.

    Raises: EncodingError. The unused bits of the last letter must be zero: else one hash had four spellings.
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise EncodingError(field=field, reason="not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise EncodingError(field=field, reason="base64 is not canonical")
    if length is not None and len(raw) != length:
        raise EncodingError(field=field, reason=f"{len(raw)} bytes where {length} are due")
    return raw


def decode_hex(text: str, *, length: int, field: str = "hex") -> bytes:
    """Lower-case hexadecimal of exactly `length` bytes. Raises: EncodingError."""
    if len(text) != 2 * length or not re.fullmatch(r"[0-9a-f]*", text):
        raise EncodingError(field=field, reason=f"not {2 * length} lower-case hexadecimal digits")
    return bytes.fromhex(text)


def decode_size(text: str, field: str = "size") -> int:
    """Parse a tree size or index: ASCII decimal, no sign, no leading zero. Source: c2sp.org/tlog-checkpoint.

    Raises: EncodingError. Sixteen digits at most are looked at before int() is, whose time is quadratic.
    """
    if not _INTEGER.match(text) or int(text) > limits.INTEGER_MAX:
        raise EncodingError(field=field, reason="not a canonical decimal below 2**53")
    return int(text)


def encode_id(raw: bytes) -> str:
    """The lower-case hyphenated text of 16 bytes: 8, 4, 4, 4 and 12 digits."""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def decode_id(text: str, field: str = "id") -> RecordId:
    """Parse a UUIDv7 in lower-case hyphenated text (RFC 9562) to its 16 bytes.

    Raises: EncodingError. Version and variant are looked at: a nil or random id would not sort by time.
    """
    if not _ID.match(text):
        raise EncodingError(field=field, reason="not a lower-case hyphenated UUIDv7")
    return RecordId(bytes.fromhex(text.replace("-", "")))


def make_id(time_ms: int, entropy: bytes) -> RecordId:
    """Build a UUIDv7 (RFC 9562, 5.7) from a Unix time in milliseconds and 10 random bytes."""
    assert len(entropy) == 10, "a UUIDv7 takes ten random bytes"
    head = time_ms.to_bytes(6, "big")
    return RecordId(head + bytes([0x70 | (entropy[0] & 0x0F), entropy[1], 0x80 | (entropy[2] & 0x3F)]) + entropy[3:10])


def id_time_ms(record_id: bytes) -> int:
    """The author's clock when the id was made: Unix milliseconds. Its word alone; nobody else vouches for it."""
    return int.from_bytes(record_id[:6], "big")


def lp(text: str) -> bytes:
    """u16be length, then UTF-8 bytes: in a hash, no text can pass its end off as the beginning of the next.

    The caller has checked the length: above 65,535 bytes there is no way to write it.
    """
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The name of a log: `network/member`, later epochs `network/member/2` and on.

    It is also the name of the log's key, the first line of its checkpoints, and part of every section's `ctx`.
    Origins sort by network, member and epoch, the epoch as a number.
    """

    network: NetworkName
    member: MemberName
    epoch: int = 1

    def __str__(self) -> str:
        return f"{self.network}/{self.member}" + ("" if self.epoch == 1 else f"/{self.epoch}")

    @property
    def hash(self) -> Digest:
        """SHA-256 of the origin: the `oh` of the sync routes, in hex there."""
        return sha256(str(self).encode())


def decode_origin(text: str) -> Origin:
    """Parse `network/member` or `network/member/N` with N of 2 and on: epoch 1 has one spelling, without a number.

    Raises: EncodingError.
    """
    parts = text.split("/")
    if len(parts) not in (2, 3):
        raise EncodingError(field="log", reason="an origin is network/member or network/member/epoch")
    epoch = 1 if len(parts) == 2 else decode_size(parts[2], "log")
    if len(parts) == 3 and epoch < 2:
        raise EncodingError(field="log", reason="the first epoch has no number")
    return Origin(NetworkName(decode_name(parts[0], "log")), MemberName(decode_name(parts[1], "log")), epoch)
