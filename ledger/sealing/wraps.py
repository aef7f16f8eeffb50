"""Wraps: the seeds of one record for one reader, under a channel.

The wrap key is bound to everything that says which record this is: network, wrapper,
reader, channel, log, id, manifest and sections. So a wrap that is moved to another
record, log or reader does not open, and a member that copies another's id, manifest
and sections into its own log has nothing that anyone could open.

Spec: docs/spec/channels.md, "Wraps". Source: RFC 5869 (HKDF-Expand; the channel key is uniform, so nothing
is extracted), NIST SP 800-38D (GCM).
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger import limits
from ledger.errors import EncodingError, SealBroken
from ledger.names import Origin, lp
from ledger.sealing.channels import Channel
from ledger.sealing.sections import NONCE, SEED_BYTES

TAG_BYTES: Final = 16


class Wrap(NamedTuple):
    """One reader's seeds of one record, under a channel.

    The section list is in clear, for whoever serves the record must know which ciphertexts go with it.
    """

    channel: bytes  # id
    sections: bytes  # ascending section numbers, one byte each
    sealed: bytes


class Wrapper:
    """Wraps and unwraps seeds under one channel, for records of one log.

    Holds the two SHA-256 states of HKDF-Expand's HMAC with the constant part of the
    info already hashed: one block costs two short updates instead of a whole HMAC.
    """

    __slots__ = ("_inner", "_outer", "author", "channel_id", "reader")

    def __init__(self, channel: Channel, origin: Origin) -> None:
        # RFC 2104: the key is padded to the 64 bytes of a block, and the hashing of key and message interleaved.
        padded = channel.key + bytes(32)
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))
        info = b"tally/wrap/v1\n" + channel.network + lp(channel.wrapper) + lp(channel.reader) + channel.id
        self._inner.update(info + lp(str(origin)))
        self.channel_id = channel.id
        self.reader = channel.reader
        self.author = origin.member

    def _key(self, record_id: bytes, manifest_hash: bytes, sections: bytes) -> bytes:
        """T(1) of RFC 5869, 2.3: HMAC(channel key, info || 0x01), all the 32 bytes that are needed."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(record_id + manifest_hash + sections + b"\x01")
        outer.update(inner.digest())
        return outer.digest()

    def wrap(self, seeds: bytes, record_id: bytes, manifest_hash: bytes, sections: bytes) -> Wrap:
        """Seal the concatenated `seeds` of the ascending `sections` (one byte each).

        The zero nonce is safe: the manifest's hash is in the key and fixes the seeds, so a key that is
        used again seals the same bytes again.
        """
        # The list is in key and aad alike: in the key it binds, as aad it is what was sent in clear.
        sealed = AESGCM(self._key(record_id, manifest_hash, sections)).encrypt(NONCE, seeds, sections)
        return Wrap(self.channel_id, sections, sealed)

    def unwrap(self, wrapped: bytes, *, record_id: bytes, manifest_hash: bytes, sections: bytes) -> bytes:
        """The seeds, one after the other. Raises: SealBroken."""
        try:
            seeds = AESGCM(self._key(record_id, manifest_hash, sections)).decrypt(NONCE, wrapped, sections)
        except InvalidTag:
            raise SealBroken(section="-", reason="the wrap is not of this record and channel") from None
        if len(seeds) != SEED_BYTES * len(sections):
            raise SealBroken(section="-", reason="the wrap does not hold one seed per section")
        return seeds


def check_section_list(sections: bytes) -> bytes:
    """Return `sections` if its numbers ascend and lie below the limit: a set has one way to be written.

    Raises: EncodingError.
    """
    if not sections or max(sections) >= limits.SECTIONS_MAX or any(a >= b for a, b in pairwise(sections)):
        raise EncodingError(field="wrap", reason="section numbers do not ascend")
    return sections
