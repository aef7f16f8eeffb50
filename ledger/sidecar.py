"""Sidecars: what stands beside an entry, and its form on the wire.

A sidecar holds a record's manifest, the ciphertexts that somebody holds and the wraps
they come with. It is never a log entry: erased everywhere, the content is gone and
the chain still verifies.

Nothing here is signed or sent to be believed: the entry has the manifest's hash, the
manifest the ciphertexts', a wrap opens or does not. What is read strictly all the same
is how many and how long, for that is what whoever answers could do harm with.

Spec: docs/spec/bodies.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.sealing import CHANNEL_ID_BYTES, SEED_BYTES, TAG_BYTES, Wrap, check_section_list

_TRUNCATED: Final = "truncated, or bytes after the end"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """manifest: its exact bytes. wraps: one per channel. sections: number -> ciphertext, where held."""

    manifest: bytes
    wraps: tuple[Wrap, ...]
    sections: Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The answer to one request: sidecars by entry index, and the channel messages that their wraps need.

    A message is sent with every answer that needs it: who asks may have lost what it was once given.
    """

    messages: Sequence[bytes] = ()
    sidecars: Mapping[int, Sidecar] = field(default_factory=dict)


# --- one sidecar ------------------------------------------------------------------


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """u32be length, manifest; u8 count, wraps; u8 count, sections in ascending order. Raises: as `decode_sidecar`."""
    _check_lost(sidecar)
    parts = [len(sidecar.manifest).to_bytes(4, "big"), sidecar.manifest, bytes([len(sidecar.wraps)])]
    for wrap in sidecar.wraps:
        parts += (wrap.channel, bytes([len(wrap.sections)]), wrap.sections, wrap.sealed)
    parts.append(bytes([len(sidecar.sections)]))
    for number in sorted(sidecar.sections):
        ciphertext = sidecar.sections[number]
        parts += (bytes([number]), len(ciphertext).to_bytes(4, "big"), ciphertext)
    return b"".join(parts)


def decode_sidecar(raw: bytes) -> Sidecar:
    """Parse a sidecar: exactly what `encode_sidecar` writes. Raises: EncodingError, TooLarge.

    A slice that runs past the end is short, and never an error in Python; so lengths are not checked one by one:
    the place reached at the end is compared with the end, and each count is read where there must be a byte.
    """
    if len(raw) > limits.SIDECAR_BYTES_MAX:
        raise TooLarge(what="sidecar", got=len(raw), limit=limits.SIDECAR_BYTES_MAX, unit="bytes")
    at = 4 + int.from_bytes(raw[:4], "big")
    manifest = raw[4:at]
    wraps, at = _decode_wraps(raw, at)
    held: dict[int, bytes] = {}
    count, at = _byte(raw, at)
    last = -1
    for _ in range(count):
        number, at = _byte(raw, at)
        end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        if not last < number < limits.SECTIONS_MAX:
            raise EncodingError(field="sidecar", reason="sections do not ascend, or there are none of that number")
        held[number] = raw[at + 4 : end]
        at, last = end, number
    if at != len(raw):
        raise EncodingError(field="sidecar", reason=_TRUNCATED)
    sidecar = Sidecar(manifest, wraps, held)
    _check_lost(sidecar)
    return sidecar


def _check_lost(sidecar: Sidecar) -> None:
    """An empty manifest stands for a body that was lost: its record's entry is in the log all the same."""
    if not sidecar.manifest and (sidecar.wraps or sidecar.sections):
        raise EncodingError(field="sidecar", reason="wraps or sections without a manifest")


def _decode_wraps(raw: bytes, start: int) -> tuple[tuple[Wrap, ...], int]:
    """The wraps from `start`, and the place after them.

    A record has one wrap per channel. A second one would be found by some readers and not by others, depending on
    which of the two they look at.
    """
    wraps: dict[bytes, Wrap] = {}
    count, at = _byte(raw, start)
    for _ in range(count):
        channel = raw[at : at + CHANNEL_ID_BYTES]
        length, at = _byte(raw, at + CHANNEL_ID_BYTES)
        sections = raw[at : at + length]
        at += length
        sealed = raw[at : at + SEED_BYTES * length + TAG_BYTES]
        at += SEED_BYTES * length + TAG_BYTES
        wraps[channel] = Wrap(channel=channel, sections=check_section_list(sections), sealed=sealed)
    if len(wraps) != count:
        raise EncodingError(field="sidecar", reason="two wraps under one channel")
    return tuple(wraps.values()), at


# --- an answer --------------------------------------------------------------------


def encode_bodies(bodies: Bodies) -> bytes:
    """u16be count, messages (u16be length each); then per sidecar u64be index, u32be length, bytes; ascending."""
    parts = [len(bodies.messages).to_bytes(2, "big")]
    for message in bodies.messages:
        parts += (len(message).to_bytes(2, "big"), message)
    for index in sorted(bodies.sidecars):
        raw = encode_sidecar(bodies.sidecars[index])
        parts += (index.to_bytes(8, "big"), len(raw).to_bytes(4, "big"), raw)
    return b"".join(parts)


def decode_bodies(raw: bytes, *, start: int, end: int) -> Bodies:
    """Parse an answer about entries [start, end): exactly what `encode_bodies` writes, and about no other entry.

    A malformed sidecar voids the answer: it is the answering node's doing, whoever the author is.
    Raises: EncodingError, TooLarge.
    """
    count = int.from_bytes(raw[:2], "big")
    if count > limits.BODIES_MESSAGES_MAX:
        raise TooLarge(what="bodies", got=count, limit=limits.BODIES_MESSAGES_MAX, unit="channel messages")
    # Messages are passed on as they are: a malformed one harms the wraps under it and nothing else.
    at, messages = 2, []
    for _ in range(count):
        stop = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        messages.append(raw[at + 2 : stop])
        at = stop
    sidecars: dict[int, Sidecar] = {}
    last = start - 1
    while at < len(raw):
        index = int.from_bytes(raw[at : at + 8], "big")
        stop = at + 12 + int.from_bytes(raw[at + 8 : at + 12], "big")
        if not last < index < end:
            raise EncodingError(field="bodies", reason=f"entry {index} was not asked for, or out of order")
        if stop > len(raw):
            raise EncodingError(field="bodies", reason=_TRUNCATED)
        sidecars[index] = decode_sidecar(raw[at + 12 : stop])
        at, last = stop, index
    if at != len(raw):
        raise EncodingError(field="bodies", reason=_TRUNCATED)
    return Bodies(messages=messages, sidecars=sidecars)


def _byte(raw: bytes, at: int) -> tuple[int, int]:
    """The byte at `at` and the place after it."""
    if at >= len(raw):
        raise EncodingError(field="sidecar", reason=_TRUNCATED)
    return raw[at], at + 1
