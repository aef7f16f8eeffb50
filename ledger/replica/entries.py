"""Checking the entries of a log in batches: hash, form and link of each, in one loop.

Spec: docs/spec/replica.md, "Entries"; docs/spec/entry.md.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.entry import VERSION, Entry, check_link, decode_entry
from ledger.errors import BadInput, BadProof
from ledger.merkle import leaf_hashes
from ledger.names import Digest, Origin

# The first two members of a header that has neither card nor charter; they end at byte 98.
_PLAIN: Final = re.compile(
    rb'\{"body":"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=",'
    rb'"id":"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"'
)
_PLAIN_LENGTH: Final = 98


class Unusual(NamedTuple):
    """An entry with a slot, card, charter or later version, or with no good header (`entry` is None)."""

    entry: Entry | None
    raw: bytes

    @property
    def is_invalid(self) -> bool:
        """It does not parse, does not link, or is not of this log and index: no id and no slot count."""
        return self.entry is None

    @property
    def is_newer(self) -> bool:
        """Only log, index, prev, id and slot are understood; `raw` is what must be kept."""
        return self.entry is not None and self.entry.version > VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBatch:
    """Entries [start, start + len(leaves)) of a log, as parallel lists.

    ids: 16 raw bytes; None where the entry is invalid. bodies: hashes of manifests; None where it
    is invalid or of a newer version. unusual: by index, all entries that are more or less than id and body.
    """

    origin: Origin
    start: int
    leaves: Sequence[Digest]
    ids: Sequence[bytes | None]
    bodies: Sequence[bytes | None]
    unusual: Mapping[int, Unusual]

    @property
    def end(self) -> int:
        """Size of the log once the batch is kept."""
        return self.start + len(self.leaves)

    @property
    def slots(self) -> list[tuple[bytes, int]]:
        """(slot, index) of the entries that have one, in order; a slot may occur twice."""
        return [(u.entry.slot, index) for index, u in self.unusual.items() if u.entry and u.entry.slot is not None]


def check_entries(entries: Sequence[bytes], *, origin: Origin, start: int, prev: Digest) -> EntryBatch:
    """Hash entries [start, ...) of the log `origin` and sort out which are what; prev: leaf hash of the one before.

    Never raises for what an author may have signed: an entry that is wrong is marked invalid.
    """
    leaves = leaf_hashes(entries)
    tail = b',"index":%%d,"log":"%b","prev":"%%b","v":1}' % str(origin).encode()
    ids: list[bytes | None] = []
    bodies: list[bytes | None] = []
    unusual: dict[int, Unusual] = {}
    is_plain, from_hex = _PLAIN.match, bytes.fromhex
    # Measured on plain headers, hashing included: 1.1 to 1.6 us each, where decode_entry alone takes 3.9. Tried: one
    # regular expression with groups for the whole header, 0.9 us before a single comparison.
    for index, (entry, before) in enumerate(zip(entries, (prev, *leaves), strict=False), start):
        if entry[_PLAIN_LENGTH:] == tail % (index, b2a_base64(before, newline=False)) and is_plain(entry):
            ids.append(from_hex(entry[61:97].replace(b"-", b"").decode()))
            bodies.append(a2b_base64(entry[9:53]))
            continue
        found = unusual[index] = _look(entry, origin=origin, index=index, prev=before)
        ids.append(found.entry.id if found.entry else None)
        bodies.append(found.entry.body if found.entry and not found.is_newer else None)
    return EntryBatch(origin=origin, start=start, leaves=leaves, ids=ids, bodies=bodies, unusual=unusual)


def _look(raw: bytes, *, origin: Origin, index: int, prev: Digest) -> Unusual:
    """The exact reading, of which the loop above is a short cut; a test holds the two together."""
    try:
        entry = decode_entry(raw)
        check_link(entry, log=origin, index=index, prev=prev)
    except (BadInput, BadProof):
        return Unusual(None, raw)
    return Unusual(entry, raw)
