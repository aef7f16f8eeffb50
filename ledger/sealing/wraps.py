"""Wraps: the seeds of one record for one reader, under a channel.

Spec: docs/spec/channels.md. Source: RFC 5869 (HKDF-Expand; the channel key is uniform, so nothing is extracted).
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
    """One reader's seeds of one record, under a channel."""

    channel: bytes  # id
    sections: bytes  # ascending section numbers, one byte each
    sealed: bytes


class Wrapper:
    """Wraps and unwraps seeds under one channel, for records of one log.

    Holds the two SHA-256 states of HKDF-Expand's HMAC with the constant part of the
    info already hashed: one block costs two short updates instead of a whole HMAC.
    """

    __slots__ = ("_inner", "_outer", "channel_id", "reader")

    def __init__(self, channel: Channel, origin: Origin) -> None:
        padded = channel.key + bytes(32)
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))
        info = b"tally/wrap/v1\n" + channel.network + lp(channel.wrapper) + lp(channel.reader) + channel.id
        self._inner.update(info + lp(str(origin)))
        self.channel_id = channel.id
        self.reader = channel.reader

    def _key(self, record_id: bytes, manifest_hash: bytes, sections: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(record_id + manifest_hash + sections + b"\x01")
        outer.update(inner.digest())
        return outer.digest()

    def wrap(self, seeds: bytes, record_id: bytes, manifest_hash: bytes, sections: bytes) -> Wrap:
        """Seal the concatenated `seeds` of the ascending `sections` (one byte each)."""
        sealed = AESGCM(self._key(record_id, manifest_hash, sections)).encrypt(NONCE, seeds, sections)
        return Wrap(self.channel_id, sections, sealed)

    def unwrap(self, wrapped: bytes, *, record_id: bytes, manifest_hash: bytes, sections: bytes) -> bytes:
        """Raises: SealBroken."""
        try:
            seeds = AESGCM(self._key(record_id, manifest_hash, sections)).decrypt(NONCE, wrapped, sections)
        except InvalidTag:
            raise SealBroken(section="-", reason="the wrap is not of this record and channel") from None
        if len(seeds) != SEED_BYTES * len(sections):
            raise SealBroken(section="-", reason="the wrap does not hold one seed per section")
        return seeds


def check_section_list(sections: bytes) -> bytes:
    """Raise unless section numbers ascend and lie below the limit."""
    if not sections or max(sections) >= limits.SECTIONS_MAX or any(a >= b for a, b in pairwise(sections)):
        raise EncodingError(field="wrap", reason="section numbers do not ascend")
    return sections
