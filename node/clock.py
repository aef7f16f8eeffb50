"""The clock, passed in wherever time matters, so that tests choose it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Unix time in milliseconds."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000
