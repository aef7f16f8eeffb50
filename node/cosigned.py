"""The cosigned file: the newest checkpoint of each log that this node cosigned, written before the cosignature leaves.

Beside the database and not in it, as the high-water file and for the same reason: a restored database
has forgotten what was cosigned since, and would cosign another history. It is written without sync.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger.checkpoint import SignedCheckpoint, decode_checkpoint
from ledger.errors import BadInput
from ledger.names import Origin
from ledger.note import decode_note
from node.crash import crash_point

COSIGNED_NAME: Final = "cosigned"
_SLOT_BYTES: Final = 512  # a checkpoint with its log's signature alone has at most 462


class CosignedBroken(BadInput):
    code = "cosigned-broken"
    template = "{path}: {reason}"
    hint = "If the database was surely not restored from a backup, start once with --not-restored."


class CosignedFile:
    """One slot for each log. Any thread may use it.

    One write call of fixed length and place, so that a kill leaves the old checkpoint or the new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._slots: dict[Origin, int] = {}  # owned by _lock, like all below
        self._newest: dict[Origin, SignedCheckpoint] = {}
        self._broken: list[int] = []
        self._count = 0
        for slot, content in enumerate(_split(path.read_bytes())):
            self._take(slot, content)

    def check(self) -> None:
        """Raises: CosignedBroken; what could be read counts all the same."""
        if self._broken:
            raise CosignedBroken(path=self.path, reason=f"{len(self._broken)} of {self._count} slots are no checkpoint")

    def forget_broken(self) -> None:
        """By an operator's word; a blank slot holds nothing."""
        with self._lock:
            for slot in self._broken:
                self._write(slot, b"")
            self._broken.clear()

    def list_newest(self) -> list[SignedCheckpoint]:
        with self._lock:
            return list(self._newest.values())

    def newest(self, origin: Origin) -> SignedCheckpoint | None:
        """Of that log no smaller one may be cosigned, and none that does not contain it."""
        return self._newest.get(origin)

    def record(self, signed: SignedCheckpoint) -> None:
        """Call before the cosignature of `signed` is kept. What is not larger than what is there is passed over."""
        origin = signed.checkpoint.origin
        with self._lock:
            known = self._newest.get(origin)
            if known is not None and signed.checkpoint.size <= known.checkpoint.size:
                return
            slot = self._slots.get(origin, self._count)
            self._write(slot, signed.note)
            self._count = max(self._count, slot + 1)
            self._slots[origin], self._newest[origin] = slot, signed

    def close(self) -> None:
        os.close(self._file)

    def _take(self, slot: int, content: bytes) -> None:
        self._count = slot + 1
        if content == b" " * _SLOT_BYTES:
            return
        try:
            note = content.rstrip(b" ")
            signed = SignedCheckpoint(checkpoint=decode_checkpoint(decode_note(note).text), note=note)
        except BadInput:
            self._broken.append(slot)
            return
        known = self._newest.get(signed.checkpoint.origin)
        if known is None or known.checkpoint.size < signed.checkpoint.size:
            self._slots[signed.checkpoint.origin], self._newest[signed.checkpoint.origin] = slot, signed

    def _write(self, slot: int, note: bytes) -> None:
        assert len(note) <= _SLOT_BYTES, "names and numbers have bounds"
        crash_point("cosigned.before-write")
        written = os.pwrite(self._file, note.ljust(_SLOT_BYTES), slot * _SLOT_BYTES)
        assert written == _SLOT_BYTES, "a write into a file this small is whole or raises"
        crash_point("cosigned.after-write")


def _split(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), _SLOT_BYTES):
        yield content[at : at + _SLOT_BYTES]
