"""Named crash points: `TALLY_CRASH_AT=name` kills this process there, as a power cut would.

Tests kill a real node at each one and then re-prove its store. A test fails when a
durable call stands without a crash point.
"""

from __future__ import annotations

import os
import signal
from typing import Final

CRASH_POINTS: Final = frozenset(
    f"{step}.{moment}"
    for step in (
        "append", "adopt", "sync-entries", "sync-cosign", "sync-bodies", "sync-cosignatures", "sync-documents",
        "evidence", "token", "restore", "channel", "freeze",
    )
    for moment in ("before-commit", "after-commit")
) | {"append.after-high-water", "high-water.before-write", "start.before-guard", "start.after-guard",
     "file.before-rename", "file.after-rename"}  # fmt: skip

_AT: Final = os.environ.get("TALLY_CRASH_AT", "")
_AFTER: Final = int(os.environ.get("TALLY_CRASH_AFTER", "0"))
_passed = 0


def crash_point(name: str) -> None:
    """Die here if `TALLY_CRASH_AT` says so (after `TALLY_CRASH_AFTER` passes)."""
    assert name in CRASH_POINTS, f"unknown crash point {name}"
    if name == _AT:
        global _passed  # noqa: PLW0603  # a process dies once
        _passed += 1
        if _passed > _AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
