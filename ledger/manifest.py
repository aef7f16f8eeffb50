"""The manifest of a record: its sections' sizes, roots and ciphertext hashes.

The entry carries the manifest's hash, so whoever has the entry can check a
manifest, and whoever has a manifest can check every ciphertext and opened section.
Two values per section, as they answer two questions: `hash` lets anyone who may not
read a section tell whether it came whole, `root` is what its author committed to,
and stays checkable field by field when the ciphertext is long erased.

Blobs (attached files) have their place here and are written by nobody yet.

Spec: docs/spec/record.md, "Manifest".
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.names import Digest, encode_b64_bytes

# Canonical base64 and decimals only, so that whatever matches is what `encode_manifest` writes for its values.
_DIGEST: Final = rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_SIZE: Final = rb"(?:0|[1-9][0-9]{0,15})"
_SECTION: Final = rb"\[(" + _SIZE + rb'),"(' + _DIGEST + rb')","(' + _DIGEST + rb')"\]'
_BLOB: Final = rb"\[(" + _SIZE + rb'),"(' + _DIGEST + rb')"\]'
# A comma only between two items; every step of it is decided by the next byte, so it never goes back.
_MANIFEST: Final = re.compile(
    rb'\{"blobs":\[(?P<blobs>(?:' + _BLOB + rb"(?:,(?=\[)|(?=\])))*)\],"
    rb'"sections":\[(?P<sections>(?:' + _SECTION + rb"(?:,(?=\[)|(?=\])))+)\],"
    rb'"v":1\}\Z'
)
_SECTIONS: Final = re.compile(_SECTION)
_BLOBS: Final = re.compile(_BLOB)


class Section(NamedTuple):
    """size: bytes of the ciphertext, padding and tag included. root: of the salted field leaves. hash: H(ciphertext).

    All three are in clear for every reader of the record, of sections that it cannot open as well.
    """

    size: int
    root: Digest
    hash: Digest


class Blob(NamedTuple):
    """size: bytes of the ciphertext. hash: H(ciphertext). Its commitment is in the field that refers to it."""

    size: int
    hash: Digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """Sections by number: 0 goes to every reader, the last to the author alone."""

    sections: tuple[Section, ...]
    blobs: tuple[Blob, ...] = ()


def encode_manifest(manifest: Manifest) -> bytes:
    """RFC 8785 of the manifest: one line, what the entry's `body` is the hash of.

    It checks no bound, as stores call it for what they have read and checked; whoever makes a manifest stays
    below those of `decode_manifest` (`ledger.record.Sealer.check`).
    """
    blobs = b",".join(b'[%d,"%b"]' % (b.size, encode_b64_bytes(b.hash)) for b in manifest.blobs)
    sections = b",".join(
        b'[%d,"%b","%b"]' % (s.size, encode_b64_bytes(s.root), encode_b64_bytes(s.hash)) for s in manifest.sections
    )
    return b'{"blobs":[%b],"sections":[%b],"v":1}' % (blobs, sections)


def decode_manifest(raw: bytes) -> Manifest:
    """Parse a manifest: exactly what `encode_manifest` writes, and no larger than a reader can bear.

    The sizes are the author's word, and decide how much a mirror fetches and keeps: hence their bounds.
    Raises: EncodingError, TooLarge.
    """
    if len(raw) > limits.MANIFEST_BYTES_MAX:
        raise TooLarge(what="manifest", got=len(raw), limit=limits.MANIFEST_BYTES_MAX, unit="bytes")
    # One match decides on the form; the parts are read from what matched.
    found = _MANIFEST.match(raw)
    if found is None:
        raise EncodingError(field="manifest", reason="not a canonical manifest of version 1")
    # Tuples, made in one go: a manifest is parsed for every record that comes, and has three sections at least.
    sections = tuple(
        [
            Section(int(size), Digest(a2b_base64(root)), Digest(a2b_base64(digest)))
            for size, root, digest in _SECTIONS.findall(found["sections"])
        ]
    )
    blobs = tuple([Blob(int(size), Digest(a2b_base64(digest))) for size, digest in _BLOBS.findall(found["blobs"])])
    if len(sections) > limits.SECTIONS_MAX or len(blobs) > limits.BLOBS_MAX:
        raise EncodingError(field="manifest", reason="too many sections or blobs")
    if any([section.size > limits.SECTION_BYTES_MAX for section in sections]):
        raise EncodingError(field="manifest", reason="a section larger than any body")
    if any(blob.size > limits.INTEGER_MAX for blob in blobs):
        raise EncodingError(field="manifest", reason="a blob's size above 2**53 - 1")
    return Manifest(sections, blobs)
