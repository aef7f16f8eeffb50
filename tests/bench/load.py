"""The client of the benchmarks, in a process of its own: sends records to a node and measures as its caller would.

Usage: python -m tests.bench.load bulk|post URL TOKEN FILE FIRST COUNT [CLIENTS]; prints one JSON object.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

from node.api.bulk import LINES_MAX, NDJSON_TYPE

PATH: Final = "/api/v1/records"
LINES: Final = 20_000
"""Different lines in a file; who sends more begins again."""
_REQUEST_LINES: Final = min(20_000, LINES_MAX)


def main() -> None:
    kind, url, token, file, first, count, *rest = sys.argv[1:]
    lines = _lines(Path(file), int(first), int(count))
    address = urlsplit(url).netloc
    found = _bulk(address, token, lines) if kind == "bulk" else _post(address, token, lines, int(rest[0]))
    print(json.dumps(found))


def _lines(file: Path, first: int, count: int) -> list[bytes]:
    """`count` lines of a file from number `first` on, beginning again at its end."""
    known = file.read_bytes().splitlines()
    return [known[i % len(known)] for i in range(first, first + count)]


# --- bulk -----------------------------------------------------------------------------


def _bulk(address: str, token: str, lines: list[bytes]) -> dict[str, Any]:
    """One request after the other; a request is done when every line of it was answered."""
    connection = http.client.HTTPConnection(address, timeout=600)
    headers = {"authorization": f"Bearer {token}", "content-type": NDJSON_TYPE}
    bodies = [b"\n".join(lines[at : at + _REQUEST_LINES]) for at in range(0, len(lines), _REQUEST_LINES)]
    recorded = 0
    start = time.perf_counter()
    for body in bodies:
        connection.request("POST", PATH, body, headers)
        recorded += connection.getresponse().read().count(b'"status":201')
    seconds = time.perf_counter() - start
    assert recorded == len(lines), f"{len(lines) - recorded} records were not recorded"
    return {"seconds": seconds}


# --- one by one -------------------------------------------------------------------------


def _post(address: str, token: str, lines: list[bytes], clients: int) -> dict[str, Any]:
    """`clients` connections at a time; each sends its next record when the last one was answered."""
    host, _, port = address.rpartition(":")
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n"
        "content-type: application/json\r\ncontent-length: "
    ).encode()
    requests = iter([b"%b%d\r\n\r\n%b" % (head, len(line), line) for line in lines])
    times: list[float] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        made = [_Client(loop, requests, times) for _ in range(clients)]
        for client in made:
            await loop.create_connection(lambda client=client: client, host, int(port))  # type: ignore[misc]  # bound
        start = time.perf_counter()
        for client in made:
            client.send_next()
        await asyncio.gather(*(client.done for client in made))
        return time.perf_counter() - start

    seconds = uvloop.run(run())
    return {"seconds": seconds, "times_ms": [round(1000 * s, 3) for s in times]}


class _Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, requests: Iterator[bytes], times: list[float]) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._requests = requests
        self._times = times
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own, of no class of asyncio

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"}"):  # the answers are small: a head, and one JSON object
            return
        self._times.append(time.perf_counter() - self._sent_at)
        if not self._received.startswith(b"HTTP/1.1 201 "):
            self.done.set_exception(AssertionError(self._received.decode(errors="replace")[:500]))
            return
        self._received = b""
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the node closed the connection"))

    def send_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


if __name__ == "__main__":
    main()
