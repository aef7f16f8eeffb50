"""Named crash points: `TALLY_CRASH_AT=name` kills this process there, as a power cut would.

Tests kill a real node at each one and then re-prove its store. A test fails when a
durable call stands without a crash point.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

CRASH_POINTS: Final = frozenset(
    f"{step}.{moment}"
    for step in (
        "append", "adopt", "sync-entries", "sync-cosign", "sync-bodies", "sync-cosignatures", "sync-documents",
        "evidence", "token", "restore", "restore-targets", "channel", "freeze", "migrate",
    )
    for moment in ("before-commit", "after-commit")
) | {"high-water.before-write", "high-water.after-write", "start.before-guard", "start.after-guard",
     "cosigned.before-write", "cosigned.after-write",
     "file.before-create", "file.after-create", "file.before-rename", "file.after-rename"}  # fmt: skip

watchers: Final[list[Callable[[str], None]]] = []
"""Called at every crash point: a test that has many nodes in one process fails or ends one of them from here."""

_AT: Final = os.environ.get("TALLY_CRASH_AT", "")
_AFTER: Final = int(os.environ.get("TALLY_CRASH_AFTER", "0"))
_passed = 0


def crash_point(name: str) -> None:
    """Die here if `TALLY_CRASH_AT` says so (after `TALLY_CRASH_AFTER` passes)."""
    assert name in CRASH_POINTS, f"unknown crash point {name}"
    for watch in watchers:
        watch(name)
    if name == _AT:
        global _passed  # noqa: PLW0603  # a process dies once
        _passed += 1
        if _passed > _AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
