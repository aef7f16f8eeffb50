"""Sidecars: what stands beside an entry, and its form on the wire.

A sidecar holds a record's manifest, the ciphertexts that somebody holds and the wraps
they come with. It is never a log entry: erased everywhere, the content is gone and
the chain still verifies.

Spec: docs/spec/bodies.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.sealing import CHANNEL_ID_BYTES, TAG_BYTES, Wrap, check_section_list

SIDECAR_BYTES_MAX: Final = 4 * limits.BODY_BYTES_MAX
_MESSAGES_MAX: Final = 2 * limits.TILE_WIDTH * limits.READERS_MAX


@dataclass(frozen=True, slots=True)
class Sidecar:
    """manifest: its exact bytes. sections: number -> ciphertext, where held."""

    manifest: bytes
    wraps: tuple[Wrap, ...]
    sections: Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The answer to one request: sidecars by entry index, and the channel messages that their wraps need."""

    messages: Sequence[bytes] = ()
    sidecars: Mapping[int, Sidecar] = field(default_factory=dict)


def encode_sidecar(sidecar: Sidecar) -> bytes:
    parts = [len(sidecar.manifest).to_bytes(4, "big"), sidecar.manifest, bytes([len(sidecar.wraps)])]
    for wrap in sidecar.wraps:
        parts += (wrap.channel, bytes([len(wrap.sections)]), wrap.sections, wrap.sealed)
    parts.append(bytes([len(sidecar.sections)]))
    for number, ciphertext in sidecar.sections.items():
        parts += (bytes([number]), len(ciphertext).to_bytes(4, "big"), ciphertext)
    return b"".join(parts)


def decode_sidecar(data: bytes) -> Sidecar:
    """Raises: EncodingError, TooLarge."""
    if len(data) > SIDECAR_BYTES_MAX:
        raise TooLarge(what="sidecar", got=len(data), limit=SIDECAR_BYTES_MAX, unit="bytes")
    at = 4 + int.from_bytes(data[:4], "big")
    manifest = data[4:at]
    wraps: list[Wrap] = []
    count, at = _byte(data, at)
    for _ in range(count):
        channel = data[at : at + CHANNEL_ID_BYTES]
        length, at = _byte(data, at + CHANNEL_ID_BYTES)
        sections = data[at : at + length]
        at += length
        sealed = data[at : at + 32 * length + TAG_BYTES]
        at += 32 * length + TAG_BYTES
        wraps.append(Wrap(channel=channel, sections=check_section_list(sections), sealed=sealed))
    held: dict[int, bytes] = {}
    count, at = _byte(data, at)
    last = -1
    for _ in range(count):
        number, at = _byte(data, at)
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if number <= last:
            raise EncodingError(field="sidecar", reason="sections do not ascend")
        held[number] = data[at + 4 : end]
        at, last = end, number
    if at != len(data):
        raise EncodingError(field="sidecar", reason="truncated, or bytes after the end")
    return Sidecar(manifest, tuple(wraps), held)


def encode_bodies(bodies: Bodies) -> bytes:
    """u16be count, messages (u16be length each); then per sidecar u64be index, u32be length, bytes; ascending."""
    parts = [len(bodies.messages).to_bytes(2, "big")]
    for message in bodies.messages:
        parts += (len(message).to_bytes(2, "big"), message)
    for index in sorted(bodies.sidecars):
        data = encode_sidecar(bodies.sidecars[index])
        parts += (index.to_bytes(8, "big"), len(data).to_bytes(4, "big"), data)
    return b"".join(parts)


def decode_bodies(data: bytes, *, start: int, end: int) -> Bodies:
    """Parse an answer about entries [start, end). Raises: EncodingError, TooLarge."""
    count = int.from_bytes(data[:2], "big")
    if count > _MESSAGES_MAX:
        raise TooLarge(what="bodies", got=count, limit=_MESSAGES_MAX, unit="channel messages")
    at, messages = 2, []
    for _ in range(count):
        stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
        messages.append(data[at + 2 : stop])
        at = stop
    sidecars: dict[int, Sidecar] = {}
    last = start - 1
    while at < len(data):
        index = int.from_bytes(data[at : at + 8], "big")
        stop = at + 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        if not last < index < end:
            raise EncodingError(field="bodies", reason=f"entry {index} was not asked for, or out of order")
        if stop > len(data):
            raise EncodingError(field="bodies", reason="truncated")
        sidecars[index] = decode_sidecar(data[at + 12 : stop])
        at, last = stop, index
    if at != len(data):
        raise EncodingError(field="bodies", reason="truncated")
    return Bodies(messages=messages, sidecars=sidecars)


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise EncodingError(field="sidecar", reason="truncated")
    return data[at], at + 1
