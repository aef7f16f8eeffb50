"""How entries and sidecars lie in the database: everything derivable is left out.

An entry's log, index and `prev` follow from its place, so a row keeps the leaf hash, the
id and the body hash. A manifest's hashes follow from the ciphertexts that are held. What
does not fit the pattern (invalid or newer entries) is kept as the bytes that came.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.entry import SLOT_BYTES, Entry, encode_entry
from ledger.errors import BadProof
from ledger.manifest import Blob, Manifest, Section, decode_manifest, encode_manifest
from ledger.names import Digest, Origin, RecordId
from ledger.sealing import SEED_BYTES, TAG_BYTES, Wrap
from ledger.sidecar import Sidecar

_SLOT, _CARD, _CHARTER, _INVALID, _NEWER = 1, 2, 4, 64, 128
_RAW_LENGTH: Final = 33  # flags and leaf hash; the bytes that came follow
_PLAIN_LENGTH: Final = 81
_LENGTHS: Final = {
    flags: _PLAIN_LENGTH + SLOT_BYTES * (flags & _SLOT > 0) + 32 * (flags & _CARD > 0) + 32 * (flags & _CHARTER > 0)
    for flags in range(8)
}
_HELD: Final = 1 << 23  # top bit of a section's 3-byte size: its ciphertext is in this row
_SUM_LENGTH: Final = 4


class RowDamaged(BadProof):
    code = "row-damaged"
    template = "a stored row is damaged: {reason}"
    hint = "`tally fsck` names the rows; restore the database from a backup and let the node catch up."


@dataclass(frozen=True, slots=True)
class PackedEntry:
    """A row as read: its leaf hash, and either the parts of a header or the bytes that came."""

    leaf: Digest
    id: RecordId | None
    body: Digest | None
    slot: bytes | None
    card: Digest | None
    charter: Digest | None
    raw: bytes | None
    is_invalid: bool = False

    def encode(self, *, origin: Origin, index: int, prev: Digest) -> bytes:
        """The exact bytes of the log leaf."""
        if self.raw is not None:
            return self.raw
        assert self.id is not None and self.body is not None, "a row that is not raw has id and body"
        return encode_entry(
            Entry(
                log=origin, index=index, prev=prev, id=self.id, body=self.body,
                slot=self.slot, card=self.card, charter=self.charter,
            )
        )  # fmt: skip


def pack_entry(
    leaf: bytes,
    record_id: bytes,
    body: bytes,
    *,
    slot: bytes | None = None,
    card: bytes | None = None,
    charter: bytes | None = None,
) -> bytes:
    if slot is None and card is None and charter is None:
        return b"\x00" + leaf + record_id + body
    flags = (slot is not None) * _SLOT | (card is not None) * _CARD | (charter is not None) * _CHARTER
    return bytes([flags]) + leaf + record_id + body + (slot or b"") + (card or b"") + (charter or b"")


def pack_raw_entry(leaf: bytes, raw: bytes, *, is_invalid: bool) -> bytes:
    """An entry that is invalid, or of a newer version: kept as it came."""
    return bytes([_INVALID if is_invalid else _NEWER]) + leaf + raw


def unpack_entry(packed: bytes) -> PackedEntry:
    """The inverse of both packers. Raises: RowDamaged for a row that neither writes: no hash covers its flags."""
    if len(packed) < _RAW_LENGTH:
        raise RowDamaged(reason="it is shorter than its leaf hash")
    flags, leaf = packed[0], Digest(packed[1:33])
    if flags in (_INVALID, _NEWER):
        return PackedEntry(leaf, None, None, None, None, None, packed[33:], flags == _INVALID)
    if _LENGTHS.get(flags) != len(packed):
        raise RowDamaged(reason="its flags do not go with its length")
    at = _PLAIN_LENGTH
    parts: list[bytes | None] = []
    for bit, length in ((_SLOT, SLOT_BYTES), (_CARD, 32), (_CHARTER, 32)):
        parts.append(packed[at : at + length] if flags & bit else None)
        at += length if flags & bit else 0
    slot, card, charter = parts
    return PackedEntry(
        leaf,
        RecordId(packed[33:49]),
        Digest(packed[49:81]),
        slot,
        None if card is None else Digest(card),
        None if charter is None else Digest(charter),
        None,
    )


def pack_sidecar(
    roots: list[bytes], sections: list[bytes], wraps: list[Wrap], channel_numbers: Mapping[bytes, int]
) -> bytes:
    """A record of our own, just sealed: every section held, no blobs. The hot path of append."""
    parts = [bytes([len(sections), 0, len(wraps)])]
    for root, ciphertext in zip(roots, sections, strict=True):
        parts += ((_HELD | len(ciphertext)).to_bytes(3, "big"), root)
    return b"".join((*parts, _pack_wraps(wraps, channel_numbers), *sections))


def pack_received(sidecar: Sidecar, channel_numbers: Mapping[bytes, int], *, manifest: Manifest | None = None) -> bytes:
    """A sidecar that came from a peer: some ciphertexts may be withheld, and their hashes are kept.

    manifest: that of the sidecar, where it has been parsed already.
    """
    if manifest is None:
        manifest = decode_manifest(sidecar.manifest)
    parts = [bytes([len(manifest.sections), len(manifest.blobs), len(sidecar.wraps)])]
    for number, section in enumerate(manifest.sections):
        if number in sidecar.sections:
            parts += ((_HELD | section.size).to_bytes(3, "big"), section.root)
        else:
            parts += (section.size.to_bytes(3, "big"), section.root, section.hash)
    for blob in manifest.blobs:
        parts += (blob.size.to_bytes(8, "big"), blob.hash)
    held = [sidecar.sections[number] for number in sorted(sidecar.sections)]
    return b"".join((*parts, _pack_wraps(sidecar.wraps, channel_numbers), *held))


def _pack_wraps(wraps: Sequence[Wrap], channel_numbers: Mapping[bytes, int]) -> bytes:
    parts: list[bytes] = []
    for wrap in wraps:
        number = channel_numbers[wrap.channel].to_bytes(3, "big")
        parts += (number, bytes([len(wrap.sections)]), wrap.sections, wrap.sealed)
    packed = b"".join(parts)
    # Only its reader can open a wrap, and nothing else commits to it: without this sum, a
    # damaged one would be noticed by the reader alone, when it is too late to mend it.
    return packed + hashlib.sha256(packed).digest()[:_SUM_LENGTH]


class PackedWrap(NamedTuple):
    channel_number: int
    sections: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class PackedSidecar:
    manifest: Manifest
    wraps: tuple[PackedWrap, ...]
    sections: Mapping[int, bytes]

    @property
    def manifest_bytes(self) -> bytes:
        return encode_manifest(self.manifest)


def unpack_sidecar(packed: bytes) -> PackedSidecar:
    """The inverse of both packers; hashes of held sections are computed from their bytes. Raises: RowDamaged."""
    found = unpack_sidecar_if(packed, lambda _: True)
    assert found is not None, "any wraps will do"
    return found


def unpack_sidecar_if(packed: bytes, is_wanted: Callable[[Sequence[PackedWrap]], bool]) -> PackedSidecar | None:
    """The same where its wraps make it wanted; else None, which costs no hash of what it holds. Raises: RowDamaged."""
    try:
        return _unpack_sidecar(packed, is_wanted)
    except IndexError:
        raise RowDamaged(reason="it is shorter than its parts") from None


def _unpack_sidecar(packed: bytes, is_wanted: Callable[[Sequence[PackedWrap]], bool]) -> PackedSidecar | None:
    section_count, blob_count, wrap_count = packed[0], packed[1], packed[2]
    at = 3
    heads: list[tuple[int, bytes, bytes | None]] = []  # size, root, hash where the ciphertext is not held
    for _ in range(section_count):
        size, root = int.from_bytes(packed[at : at + 3], "big"), packed[at + 3 : at + 35]
        at += 35
        heads.append((size & ~_HELD, root, None if size & _HELD else packed[at : at + 32]))
        at += 0 if size & _HELD else 32
    blobs = []
    for _ in range(blob_count):
        blobs.append(Blob(int.from_bytes(packed[at : at + 8], "big"), Digest(packed[at + 8 : at + 40])))
        at += 40
    wraps, at = _unpack_wraps(packed, at, wrap_count)
    if not is_wanted(wraps):
        return None
    sections: dict[int, bytes] = {}
    manifest: list[Section] = []
    for number, (size, root, digest) in enumerate(heads):
        if digest is None:
            ciphertext = sections[number] = packed[at : at + size]
            digest = hashlib.sha256(ciphertext).digest()
            at += size
        manifest.append(Section(size, Digest(root), Digest(digest)))
    if at != len(packed):
        raise RowDamaged(reason="it is longer or shorter than its parts")
    return PackedSidecar(Manifest(tuple(manifest), tuple(blobs)), wraps, sections)


def glance_sidecar(packed: bytes) -> tuple[PackedWrap, dict[int, bytes]]:
    """The first wrap and the ciphertexts that are held, of a sidecar that was written here; no sum is computed.

    Raises: RowDamaged.
    """
    try:
        at, held = 3, list[tuple[int, int]]()
        for number in range(packed[0]):
            size = int.from_bytes(packed[at : at + 3], "big")
            at += 35 if size & _HELD else 67
            if size & _HELD:
                held.append((number, size & ~_HELD))
        at += 40 * packed[1]
        length = packed[at + 3]
        middle = at + 4 + length
        first = PackedWrap(
            int.from_bytes(packed[at : at + 3], "big"),
            packed[at + 4 : middle],
            packed[middle : middle + SEED_BYTES * length + TAG_BYTES],
        )
    except IndexError:
        raise RowDamaged(reason="it is shorter than its parts") from None
    # The ciphertexts are the end of the row, whatever number of wraps stands before them.
    at = len(packed) - sum([size for _, size in held])
    ciphertexts: dict[int, bytes] = {}
    for number, size in held:
        ciphertexts[number] = packed[at : at + size]
        at += size
    return first, ciphertexts


def _unpack_wraps(packed: bytes, start: int, count: int) -> tuple[tuple[PackedWrap, ...], int]:
    wraps, at = [], start
    for _ in range(count):
        length = packed[at + 3]
        middle, end = at + 4 + length, at + 4 + length + SEED_BYTES * length + TAG_BYTES
        wraps.append(
            PackedWrap(int.from_bytes(packed[at : at + 3], "big"), packed[at + 4 : middle], packed[middle:end])
        )
        at = end
    if hashlib.sha256(packed[start:at]).digest()[:_SUM_LENGTH] != packed[at : at + _SUM_LENGTH]:
        raise RowDamaged(reason="its wraps do not have the sum they were written with")
    return tuple(wraps), at + _SUM_LENGTH


def encode_header(origin_text: bytes, index: int, *, prev: bytes, record_id_text: bytes, body: bytes) -> bytes:
    """`encode_entry` for the common entry without slot, card or charter, for bulk append."""
    return b'{"body":"%b","id":"%b","index":%d,"log":"%b","prev":"%b","v":1}' % (
        b2a_base64(body, newline=False),
        record_id_text,
        index,
        origin_text,
        b2a_base64(prev, newline=False),
    )
