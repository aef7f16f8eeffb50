"""Meters: CPU and memory of a node's processes, and the size of its databases."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final

import psutil

_REST_S: Final = 0.5


def cpu_s(process_id: int) -> float:
    """CPU seconds, user and system, that a process and all its descendants have used so far."""
    main = psutil.Process(process_id)
    ended = main.cpu_times()
    total: float = ended.children_user + ended.children_system
    for process in (main, *main.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def own_cpu_s(process_id: int) -> float:
    """CPU seconds of one process alone."""
    times = psutil.Process(process_id).cpu_times()
    return float(times.user + times.system)


def wait_for_rest(process_id: int, limit_s: float) -> None:
    """Return once a process and its descendants use next to no CPU: what they did after answering is done."""
    end = time.monotonic() + limit_s
    before = cpu_s(process_id)
    while time.monotonic() < end:
        time.sleep(_REST_S)
        now = cpu_s(process_id)
        if now - before < _REST_S / 20:
            return
        before = now


def pss_bytes(process_id: int) -> int:
    """Memory of one process, pages that it shares counted in part (Linux)."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not say what memory the process uses")


def database_bytes(path: Path) -> int:
    """Bytes of a database's pages, those in its write-ahead log counted once."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        pages, page_bytes, free = (
            int(database.execute(f"pragma {name}").fetchone()[0])
            for name in ("page_count", "page_size", "freelist_count")
        )
    finally:
        database.close()
    return (pages - free) * page_bytes
