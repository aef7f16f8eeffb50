"""Meters: CPU and memory of a node's processes, bytes on a wire, the size of files."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

_REST_S: Final = 0.5
_CHUNK_BYTES: Final = 1 << 16


def cpu_s(process_id: int) -> float:
    """CPU seconds, user and system, that a process and all its descendants have used so far."""
    main = psutil.Process(process_id)
    ended = main.cpu_times()
    total: float = ended.children_user + ended.children_system
    for process in (main, *main.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


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


def file_bytes(path: Path) -> int:
    """Bytes allocated for a file and those beside it of the same name (a database's write-ahead log)."""
    return sum(item.stat().st_blocks * 512 for item in path.parent.glob(path.name + "*"))


@dataclass(slots=True)
class Wire:
    """A TCP proxy on loopback that counts what passes, both ways, without the headers of TCP and IP."""

    to_port: int
    port: int = 0
    bytes_passed: int = 0

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()
        return self
