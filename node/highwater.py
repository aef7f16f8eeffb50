"""The high-water file: what this node last signed, written before anyone can see it.

Beside the database and not in it, so that a restored database is noticed. It is written
without sync: it guards against restored databases, not power cuts.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.errors import BadInput
from ledger.names import Digest, Origin, decode_b64, decode_origin, decode_size, encode_b64
from node.crash import crash_point

HIGH_WATER_NAME: Final = "high-water"
_LENGTH: Final = 320  # an origin of at most 150 letters, a size, a root
_NEVER: Final = 1 << 62


class HighWaterBroken(BadInput):
    code = "high-water-broken"
    template = "{path}: {reason}"
    hint = "If the database was surely not restored from a backup, start once with --not-restored."


@dataclass(frozen=True, slots=True)
class HighWater:
    origin: Origin
    size: int
    root: Digest


class HighWaterFile:
    """The mark only rises. Any thread may raise it: the one that signs, and whoever lets a checkpoint out before it.

    One write call of fixed length, so that a kill leaves the old mark or the new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._size = _NEVER  # owned by _lock; a mark that could not be read must not be written over
        self._mark: HighWater | None = None

    def read(self) -> HighWater | None:
        """Raises: HighWaterBroken."""
        return read_high_water(self.path)

    def begin_at(self, mark: HighWater | None) -> None:
        """What the file holds; None for nothing that counts, also by an operator's word."""
        with self._lock:
            self._size, self._mark = 0 if mark is None else mark.size, mark

    @property
    def size(self) -> int:
        """What the mark stands at; above every size as long as that is not known."""
        return self._size

    @property
    def mark(self) -> HighWater | None:
        """What this process knows to have been signed: at its start or since."""
        return self._mark

    def rise(self, mark: HighWater) -> None:
        """Write `mark` unless the file holds as much already."""
        if mark.size <= self._size:
            return
        text = f"{mark.origin}\n{mark.size}\n{encode_b64(mark.root)}\n".encode()
        with self._lock:
            if mark.size <= self._size:
                return
            crash_point("high-water.before-write")
            written = os.pwrite(self._file, text.ljust(_LENGTH), 0)
            assert written == _LENGTH, "a write into a file this small is whole or raises"
            self._size, self._mark = mark.size, mark
            crash_point("high-water.after-write")

    def close(self) -> None:
        os.close(self._file)


def read_high_water(path: Path) -> HighWater | None:
    """None if there is no file. Raises: HighWaterBroken."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not content.strip():
        return None  # made, and killed before the first mark: nothing had been signed
    try:
        origin, size, root, rest = content.decode("ascii").split("\n")
        if rest.strip(" "):
            raise HighWaterBroken(path=path, reason="not three lines")
        return HighWater(decode_origin(origin), decode_size(size), Digest(decode_b64(root, length=32)))
    except ValueError as cause:
        raise HighWaterBroken(path=path, reason="not three lines of ASCII") from cause
    except BadInput as cause:
        if isinstance(cause, HighWaterBroken):
            raise
        raise HighWaterBroken(path=path, reason=str(cause)) from cause
