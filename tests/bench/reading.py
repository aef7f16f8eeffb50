"""How long until a record that one firm files can be read by another: real processes, one record at a time."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from node.api.routes import JSON_TYPE
from node.cli.demo.firms import Firm, wait_until
from tests.bench import records
from tests.bench.load import PATH
from tests.bench.network import LIMIT_S, held
from tests.bench.rows import Row, at_most, make_row, percentile
from tests.bench.stage import Stage

NAMES: Final = ("readable-p50", "readable-p99")
_ROUNDS: Final = 3
_GAP_S: Final = 0.02  # between records, longer than any step takes to come to rest
_LOOK_S: Final = 0.0005


def measure(stage: Stage) -> Iterator[Row]:
    # A node that has not heard most others asks for everything anew, until it has.
    readers = [stage.trade.firm(name) for name in records.READERS]
    reader = readers[0]
    stage.trade.each(lambda firm: firm.start(), readers)
    try:
        for firm in readers:
            wait_until(partial(_is_level, stage, firm), LIMIT_S, f"{firm.name} holds what was filed before")
        # Two nodes are measured: on two cores the others would only be in the way.
        stage.trade.each(lambda firm: firm.stop(), readers[1:])
        bodies = list(records.bodies(stage.sizes.latencies))
        rounds = []
        for number in range(_ROUNDS):
            stage.say(f"record to readable, round {number + 1} of {_ROUNDS}: {len(bodies)} records")
            rounds.append(sorted(_measure(stage, reader, bodies)))
    finally:
        stage.trade.each(lambda firm: firm.stop(), readers)
    yield at_most(20)(make_row("readable-p50", [percentile(times, 50) for times in rounds], "ms"))
    yield at_most(100)(make_row("readable-p99", [percentile(times, 99) for times in rounds], "ms"))


def _measure(stage: Stage, reader: Firm, bodies: list[bytes]) -> list[float]:
    """Milliseconds from the first byte of the author's request to the reader's answer that holds the body."""
    author = stage.trade.author
    filing, looking = _Caller(author), _Caller(reader)
    times = []
    for body in bodies:
        start = time.perf_counter()
        status, answer = filing.call("POST", PATH, records.envelope(body, stage.trade.contract))
        assert status == http.client.CREATED, answer
        index = msgspec.json.decode(answer)["index"]
        while body not in looking.call("GET", f"{PATH}/{author.name}/{index}")[1]:
            time.sleep(_LOOK_S)
        times.append(1000 * (time.perf_counter() - start))
        time.sleep(_GAP_S)
    stage.sent += len(bodies)
    return times


def _is_level(stage: Stage, reader: Firm) -> bool:
    author = stage.trade.author
    with reader.client() as client:
        if client.get_json("/status")["guard"]["state"] != "ready":
            return False
    found = held(reader, author.name)
    return bool(found["size"] == found["bodies_size"] == held(author, author.name)["size"])


class _Caller:
    """One connection to a firm's node."""

    def __init__(self, firm: Firm) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(firm.url).netloc, timeout=60)
        self._headers = {"authorization": f"Bearer {firm.token()}", "content-type": JSON_TYPE}

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()
