"""The high-water file: what this node last signed, written before anyone could see it.

Beside the database and not in it, so that a restored database is noticed. It is written
without sync: it guards against restored databases, not power cuts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.errors import BadInput
from ledger.names import Digest, Origin, decode_b64, decode_origin, decode_size, encode_b64
from node.crash import crash_point

_LENGTH: Final = 320  # an origin of at most 150 letters, a size, a root


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
    """Owned by the writer thread. One write call of fixed length, so that a kill leaves the old mark or the new."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def write(self, mark: HighWater) -> None:
        crash_point("high-water.before-write")
        text = f"{mark.origin}\n{mark.size}\n{encode_b64(mark.root)}\n".encode()
        os.pwrite(self._file, text.ljust(_LENGTH), 0)

    def close(self) -> None:
        os.close(self._file)


def read_high_water(path: Path) -> HighWater | None:
    """None if there is no file. Raises: HighWaterBroken."""
    try:
        content = path.read_text()
    except FileNotFoundError:
        return None
    try:
        origin, size, root, rest = content.split("\n")
    except ValueError as cause:
        if not content.strip():
            return None  # made, and killed before the first mark: nothing had been signed
        raise HighWaterBroken(path=path, reason="not three lines") from cause
    try:
        if rest.strip():
            raise HighWaterBroken(path=path, reason="not three lines")
        return HighWater(decode_origin(origin), decode_size(size), Digest(decode_b64(root, length=32)))
    except BadInput as cause:
        raise HighWaterBroken(path=path, reason=str(cause)) from cause
