"""Sections: one random seed gives a section's key and every salt; its fields are committed and sealed together.

Whoever holds the seed can open the section and recompute its root: that comparison,
not the AEAD tag, is the commitment. AES-GCM does not commit: who chooses two keys can
make one ciphertext that opens under both, and show two readers two texts. The root under
the author's signature allows one text alone.

The salts make leaves of guessable values (a price, "yes") unguessable for whoever sees
only the tree. They come from the seed, so that who may read the section can disclose
any field of it, and who erases the seed erases all of them. A section's seed is drawn
on its own, never derived from another secret: nothing that is kept can bring it back.

Spec: docs/spec/sealing.md. Sources: FIPS 202 (SHAKE-128), NIST SP 800-38D (GCM), Padme (arXiv:1806.03160).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger import limits
from ledger.errors import SealBroken
from ledger.merkle import root_of
from ledger.names import Digest, NetworkId, Origin, lp, sha256

SEED_BYTES: Final = 32
SALT_BYTES: Final = 16
NONCE: Final = bytes(12)
"""Safe: each key seals exactly one message in its life."""
FIELDS_MAX: Final = limits.FIELDS_MAX + limits.OWN_FIELDS_MAX
"""Fields of one section: those of a body, and what a record has besides."""
SECTION_TAG: Final = b"tally/section/v1\n"
FIELD_TAG: Final = b"\x00tally/field/v1\n"

_U8: Final = [bytes([i]) for i in range(256)]
_U32: Final = struct.Struct(">I").unpack_from
INDEXES: Final = [i.to_bytes(2, "big") for i in range(FIELDS_MAX + 1)]
"""The numbers of fields, encoded."""
SALTS: Final = [slice(32 + 16 * i, 48 + 16 * i) for i in range(FIELDS_MAX)]
_SALTS_AT_ONCE: Final = 16

FieldText = tuple[str, bytes]
"""Name (a JSON Pointer, or a name without a slash) and the exact JSON text of the value.

A tuple and no class: there are a dozen in every record that is sealed or opened.
"""


class Contexts:
    """`ctx` of the sections of one log: binds every key, salt, leaf and tag to its network, log, record and section.

    Whatever is carried to another place has another ctx there, and proves and opens nothing.
    """

    __slots__ = ("_head",)

    def __init__(self, network: NetworkId, origin: Origin) -> None:
        # What is the same for all sections of a log is hashed once.
        self._head = hashlib.sha256(b"tally/ctx/v1\n" + network + lp(str(origin)))

    def of(self, record_id: bytes, section: int) -> bytes:
        """The 32 bytes of one section's `ctx`."""
        state = self._head.copy()  # a quarter of hashing the constant part again
        state.update(record_id + _U8[section])
        return state.digest()


def field_salt(seed: bytes, context: bytes, index: int) -> bytes:
    """The 16 bytes that a disclosure of field `index` shows; they tell nothing about other salts or the key."""
    return hashlib.shake_128(SECTION_TAG + seed + context).digest(48 + 16 * index)[-SALT_BYTES:]


def field_leaf(context: bytes, *, index: int, salt: bytes, name: str, text: bytes) -> Digest:
    """The commitment to one field; what a disclosure is checked against.

    It begins as every leaf of RFC 9162 does (0x00), so no inner node of the tree passes for a field.
    """
    chunk = lp(name) + len(text).to_bytes(4, "big") + text
    return sha256(FIELD_TAG + context + index.to_bytes(2, "big") + salt + chunk)


def padded_length(length: int) -> int:
    """Padme: the size leaks at most O(log log n) bits and grows by at most 12 %.

    With L = length, E = floor(log2 L), S = floor(log2 E) + 1: rounded up so that the last E - S bits are zero.
    """
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def seal_section(fields: Sequence[FieldText], *, seed: bytes, context: bytes) -> tuple[bytes, Digest]:
    """Commit to `fields` and encrypt them. Returns the ciphertext and the section root.

    seed: 32 random bytes that seal this one section. The bulk path has this loop inlined (`ledger.record`);
    a test holds the two together.
    """
    stream = hashlib.shake_128(SECTION_TAG + seed + context).digest(32 + 16 * len(fields))
    chunks = [lp(name) + len(text).to_bytes(4, "big") + text for name, text in fields]
    leaves = [
        sha256(FIELD_TAG + context + i.to_bytes(2, "big") + stream[32 + 16 * i : 48 + 16 * i] + chunk)
        for i, chunk in enumerate(chunks)
    ]
    plain = len(fields).to_bytes(2, "big") + b"".join(chunks)
    plain += bytes(padded_length(len(plain)) - len(plain))
    return AESGCM(stream[:32]).encrypt(NONCE, plain, context), root_of(leaves)


def open_section(ciphertext: bytes, root: Digest, *, seed: bytes, context: bytes, section: int) -> list[FieldText]:
    """Decrypt a section and compare its recomputed root with the one its author committed to.

    The names and texts of the fields are the author's, and not looked at any further: `ledger.fields.join` does.
    Raises: SealBroken.
    """
    stream = hashlib.shake_128(SECTION_TAG + seed + context)
    # How many salts there are is written inside; for most sections what is drawn with the key is enough.
    drawn = stream.digest(32 + 16 * _SALTS_AT_ONCE)
    try:
        plain = AESGCM(drawn[:32]).decrypt(NONCE, ciphertext, context)
    except InvalidTag:
        raise SealBroken(section=section, reason="the key does not open the sealed bytes") from None
    # The chunks are hashed as they came: to encode the fields again would prove what we wrote, not what was sealed.
    fields, chunks = _decode_plain(plain, section)
    if len(fields) > _SALTS_AT_ONCE:
        drawn = stream.digest(32 + 16 * len(fields))
    head = FIELD_TAG + context
    sha = hashlib.sha256
    leaves = [
        sha(head + index + drawn[salt] + chunk).digest()
        for index, salt, chunk in zip(INDEXES, SALTS, chunks, strict=False)
    ]
    if root_of(cast(list[Digest], leaves)) != root:
        raise SealBroken(section=section, reason="the opened fields are not those of the signed root")
    return fields


def unseal_section(ciphertext: bytes, *, seed: bytes, context: bytes, section: int) -> bytes:
    """The plaintext, for `decode_fields`, of a section that was compared with its root before; it is not again.

    Raises: SealBroken for bytes that were damaged since.
    """
    key = hashlib.shake_128(SECTION_TAG + seed + context).digest(32)
    try:
        return AESGCM(key).decrypt(NONCE, ciphertext, context)
    except InvalidTag:
        raise SealBroken(section=section, reason="the key does not open the sealed bytes") from None


def decode_fields(plain: bytes, section: int) -> list[FieldText]:
    """The fields of a plaintext, in order. Raises: SealBroken."""
    return _decode_plain(plain, section)[0]


def _decode_plain(plain: bytes, section: int) -> tuple[list[FieldText], list[bytes]]:
    """Fields and their encoded chunks; padding must be what `padded_length` says, and zero.

    Other padding would let an author tell a reader something that its signature does not cover.
    """
    fields: list[FieldText] = []
    chunks: list[bytes] = []
    end = len(plain)
    try:
        at, count = 2, plain[0] << 8 | plain[1]
        if count > FIELDS_MAX:
            raise SealBroken(section=section, reason="more fields than a record may have")
        for _ in range(count):
            # Tried: unpack_from for the two bytes, and int.from_bytes; both cost more than indexing twice.
            name_end = at + 2 + (plain[at] << 8 | plain[at + 1])
            text = name_end + 4
            stop = text + _U32(plain, name_end)[0]
            fields.append((plain[at + 2 : name_end].decode(), plain[text:stop]))
            chunks.append(plain[at:stop])
            at = stop
    except (IndexError, struct.error):
        raise SealBroken(section=section, reason="a field runs past the end") from None
    except UnicodeDecodeError:
        raise SealBroken(section=section, reason="a field name is not UTF-8") from None
    if at > end:
        raise SealBroken(section=section, reason="a field runs past the end")
    if padded_length(at) != end or plain.count(0, at) != end - at:
        raise SealBroken(section=section, reason="the padding is not canonical")
    return fields, chunks
