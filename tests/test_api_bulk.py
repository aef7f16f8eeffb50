"""NDJSON over HTTP: a result per line, in order, once it is durable; a prefix if the caller goes away."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ledger import limits
from node.api import bulk, uploads
from node.append import NewRecord
from node.node import Node
from tests import json_schemas, nodes
from tests import make_api_reference as reference
from tests.nodes import Caller, Door, ask

PATH = "/api/v1/records"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = nodes.found().join(tmp_path_factory.mktemp("bulk"), batch_records=64)
    yield found
    found.close()


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery").size


def line(n: int) -> bytes:
    return b'{"type":"bulk","body":{"n":%d}}\n' % n


def bodies(node: Node, start: int) -> list[Any]:
    """The bodies of the node's own entries from `start` on."""
    with node.store.read() as tx:
        log = node.find_log(tx, "fishery")
        return [json.loads(record.body) for record in node.joined.reader.scan(tx, log, start, log.size)]


def caller(door: Door, chunks: list[bytes], **given: Any) -> Caller:
    headers = {"authorization": f"Bearer {door.token}", "content-type": "application/x-ndjson"}
    return Caller(chunks, headers | given.pop("headers", {}), **given)


# --- results --------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_line_gets_its_result_in_order(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        results = await door.file_lines(b"".join(line(n) for n in range(1000)))
        assert [result["line"] for result in results] == list(range(1, 1001))
        assert [result["index"] for result in results] == list(range(size, size + 1000))
        assert {result["status"] for result in results} == {201}
        assert bodies(node, size) == [{"n": n} for n in range(1000)]

    ask(node, story)


def test_a_refused_line_has_its_problem_and_the_others_are_recorded(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        results = await door.file_lines(line(1) + b'{"type":"bulk"}\n' + b"{\n" + line(2))
        assert [result["status"] for result in results] == [201, 400, 400, 201]
        problem = results[1]["problem"]
        assert (problem["code"], problem["status"]) == ("envelope-broken", 400)
        assert results[2]["problem"]["code"] == "json-malformed"
        assert bodies(node, size) == [{"n": 1}, {"n": 2}]

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"", []),
        (b"\n\n", []),
        (line(1) + b"\n \t\r\n" + line(2), [1, 4]),
        (line(1).rstrip(), [1]),
        (line(1).replace(b"\n", b"\r\n") + line(2), [1, 2]),
        (b"\xef\xbb\xbf" + line(1), [1]),
    ],
)
def test_blank_lines_ends_and_a_byte_order_mark_do_no_harm(node: Node, text: bytes, numbers: list[int]) -> None:
    async def story(door: Door) -> None:
        results = await door.file_lines(text)
        assert [(result["line"], result["status"]) for result in results] == [(number, 201) for number in numbers]

    ask(node, story)


@pytest.mark.slow
def test_where_chunks_end_does_not_matter(node: Node, seed: int) -> None:
    chance = random.Random(seed)
    lines = [line(n) if n % 5 else b'{"no":1}\n' for n in range(61)]
    text = b"".join(lines).rstrip()

    async def story(door: Door) -> None:
        for _ in range(10):
            cuts = sorted(chance.choices(range(len(text)), k=30))
            chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            size = size_of(node)
            results = await caller(door, chunks).post(door.app, PATH)
            assert [result["status"] for result in results] == [201 if n % 5 else 400 for n in range(61)]
            assert [body["n"] for body in bodies(node, size)] == [n for n in range(61) if n % 5]

    ask(node, story)


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_not(node: Node) -> None:
    empty = b'{"type":"bulk","body":{}}'

    async def story(door: Door) -> None:
        longest = empty + b" " * (limits.LINE_BYTES_MAX - len(empty))
        text = longest + b"\n" + longest + b" \n" + b"x" * (3 * limits.LINE_BYTES_MAX) + b"\n" + line(1)
        chunks = [text[at : at + 100_000] for at in range(0, len(text), 100_000)]
        for parts in (chunks, [text]):
            results = await caller(door, parts).post(door.app, PATH)
            assert [result["status"] for result in results] == [201, 413, 413, 201]
            assert results[1]["problem"]["code"] == "too-large"

    ask(node, story)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_line_that_is_too_long_is_refused(node: Node, end: bytes) -> None:
    async def story(door: Door) -> None:
        chunks = [line(1) + b"x" * limits.LINE_BYTES_MAX, b"xx" + end]
        results = await caller(door, chunks).post(door.app, PATH)
        assert [result["status"] for result in results] == [201, 413]

    ask(node, story)


@pytest.mark.parametrize(("lines", "results"), [(5, [201] * 5), (6, [201] * 5 + [413]), (400, [201] * 5 + [413])])
def test_the_lines_of_one_request_are_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch, lines: int, results: list[int]
) -> None:
    monkeypatch.setattr(bulk, "LINES_MAX", 5)

    async def story(door: Door) -> None:
        found = await door.file_lines(b"".join(line(n) for n in range(lines)))
        assert [result["status"] for result in found] == results

    ask(node, story)


def test_a_dry_run_records_nothing(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        results = await door.file_lines(line(1) + b"{}\n" + line(2), params={"dry_run": "true"})
        assert [(result["line"], result["status"]) for result in results] == [(1, 200), (2, 400), (3, 200)]
        assert results[0]["dry_run"] is True
        assert size_of(node) == size

    ask(node, story)


def test_a_dry_run_with_a_key_tells_what_is_there_already(node: Node) -> None:
    async def story(door: Door) -> None:
        await door.file_lines(line(1), key="known")
        size = size_of(node)
        results = await door.file_lines(line(1) + line(2), key="known", params={"dry_run": "true"})
        assert [(result.get("repeated"), result.get("index")) for result in results] == [(True, size - 1), (None, None)]
        other = await door.file_lines(line(3), key="known", params={"dry_run": "true"})
        assert other[0]["problem"]["code"] == "idempotency-conflict"
        assert size_of(node) == size

    ask(node, story)


@pytest.mark.slow
def test_every_kind_of_result_is_as_the_openapi_document_describes_a_line(node: Node) -> None:
    document = reference.document()
    answer = document["paths"][PATH]["post"]["responses"]["200"]["content"][bulk.NDJSON_TYPE]["schema"]
    described = json_schemas.draft2020(answer | {"components": document["components"]})

    async def story(door: Door) -> None:
        lines = line(1) + b"{\n" + line(2)
        first, again = [await door.file_lines(lines, key="described") for _ in range(2)]
        dry = await door.file_lines(lines, params={"dry_run": "true"})
        assert [[result["status"] for result in results] for results in (first, again, dry)] == [
            [201, 400, 201],
            [200, 400, 200],
            [200, 400, 200],
        ]
        for result in (*first, *again, *dry):
            described.validate(result)
            for name in result:
                without = {key: value for key, value in result.items() if key != name}
                assert not described.is_valid(without), f"{result} without {name}"
            assert not described.is_valid(result | {"more": 1})
        assert not described.is_valid(first[0] | first[1])

    ask(node, story)


# --- once -----------------------------------------------------------------------------------


def test_a_key_covers_every_line_by_its_number(node: Node) -> None:
    lines = [line(n) for n in range(300)]

    async def story(door: Door) -> None:
        part = await door.file_lines(b"".join(lines[:100]), key="file-1")
        whole = await door.file_lines(b"".join(lines), key="file-1")
        assert [result["status"] for result in whole] == [200] * 100 + [201] * 200
        assert [result["index"] for result in whole[:100]] == [result["index"] for result in part]

    ask(node, story)


def test_another_line_under_a_used_key_is_a_conflict_of_that_line_alone(node: Node) -> None:
    async def story(door: Door) -> None:
        await door.file_lines(line(1) + line(2) + line(3), key="file-2")
        results = await door.file_lines(line(1) + line(9) + line(3) + line(4), key="file-2")
        assert [result["status"] for result in results] == [200, 409, 200, 201]
        assert results[1]["problem"]["code"] == "idempotency-conflict"

    ask(node, story)


def test_a_file_and_a_single_record_do_not_share_a_key(node: Node) -> None:
    async def story(door: Door) -> None:
        await door.file_lines(line(1), key="file-3")
        assert (await door.file(line(2), key="file-3")).status_code == 201

    ask(node, story)


# --- streaming ------------------------------------------------------------------------------


def test_results_come_while_the_request_still_goes_on(node: Node) -> None:
    async def story(door: Door) -> None:
        async def wait_for_results(received: int) -> None:
            if received == 1:
                await has_results.wait()

        async def look() -> None:
            if asking.sent.count(b"\n") >= 100:
                has_results.set()

        has_results = asyncio.Event()
        first = b"".join(line(n) for n in range(200))
        asking = caller(door, [first, line(200)], on_receive=wait_for_results, on_send=look)
        async with asyncio.timeout(30):
            results = await asking.post(door.app, PATH)
        assert len(results) == 201

    ask(node, story)


def test_a_result_is_sent_only_when_its_record_is_durable(node: Node) -> None:
    size = size_of(node)

    async def story(door: Door) -> None:
        async def look() -> None:
            durable.append(size_of(node) - size)
            sent.append(asking.sent.count(b"\n"))

        durable: list[int] = []
        sent: list[int] = []
        chunks = [b"".join(line(n) for n in range(50 * i, 50 * i + 50)) for i in range(20)]
        asking = caller(door, chunks, on_send=look)
        await asking.post(door.app, PATH)
        assert all(results <= records for results, records in zip(sent, durable, strict=True))
        assert len(sent) > 3

    ask(node, story)


@pytest.mark.slow
def test_a_caller_that_reads_nothing_before_it_has_sent_everything_is_served(node: Node) -> None:
    async def story(door: Door) -> None:
        async def look(received: int) -> None:
            if received == len(chunks) - 1:
                has_sent_all.set()

        async def wait_for_the_end() -> None:
            await has_sent_all.wait()

        has_sent_all = asyncio.Event()
        chunks = [b"".join(line(n) for n in range(100)) for _ in range(100)]
        asking = caller(door, chunks, on_receive=look, on_send=wait_for_the_end)
        async with asyncio.timeout(60):
            assert len(await asking.post(door.app, PATH)) == 10_000

    ask(node, story)


@pytest.mark.slow
def test_others_are_answered_while_a_bulk_runs(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: whoever else asks has a turn after every few lines."""
    lines: list[int] = []  # that were looked at in each turn of the loop
    answered: list[int] = []
    has_turn = False
    parse = node.joined.intake.parse

    def end_turn() -> None:
        nonlocal has_turn
        has_turn = False

    def count(*given: Any, **more: Any) -> NewRecord:
        nonlocal has_turn
        if not has_turn:
            has_turn = True
            lines.append(0)
            asyncio.get_running_loop().call_soon(end_turn)
        lines[-1] += 1
        return parse(*given, **more)

    async def story(door: Door) -> None:
        running = asyncio.ensure_future(door.file_lines(b"".join(line(n) for n in range(5000))))
        while not running.done():
            answered.append((await door.call("GET", "/health")).status_code)
            await asyncio.sleep(0.01)
        assert len(await running) == 5000

    monkeypatch.setattr(node.joined.intake, "parse", count)
    ask(node, story)
    assert sum(lines) == 5000
    assert max(lines) <= 256
    assert set(answered) == {200}


# --- broken off -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_caller_that_goes_away_leaves_a_prefix(node: Node, seed: int) -> None:
    chance = random.Random(seed)
    text = b"".join(line(n) for n in range(2000))

    async def story(door: Door) -> None:
        for _ in range(8):
            size, end = size_of(node), chance.randrange(len(text))
            chunks = [text[at : min(at + 5000, end)] for at in range(0, end, 5000)]
            await caller(door, chunks, ends_early=True).post(door.app, PATH)
            found = [body["n"] for body in bodies(node, size)]
            assert found == list(range(text[:end].count(b"\n")))

    ask(node, story)


@pytest.mark.slow
def test_a_caller_that_stops_sending_is_told_and_keeps_what_was_recorded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "READ_S", 0.2)

    async def story(door: Door) -> None:
        async def stall(received: int) -> None:
            if received == 1:
                await asyncio.sleep(60)

        results = await caller(door, [line(1) + line(2), b""], on_receive=stall).post(door.app, PATH)
        assert [(result["line"], result["status"]) for result in results] == [(1, 201), (2, 201), (3, 408)]
        asking = caller(door, [b"{", b"}"], on_receive=stall, headers={"content-type": "application/json"})
        (problem,) = await asking.post(door.app, PATH)
        assert (asking.status, problem["code"]) == (408, "upload-too-slow")

    ask(node, story)


@pytest.mark.slow
def test_a_full_disk_ends_the_request_and_says_which_lines_are_not_there(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        big = b'{"type":"bulk","body":{"x":"%b"}}\n' % (b"x" * 20_000)
        with nodes.full_disk(node, spare_pages=500):
            results = await door.file_lines(big * 3000)
        assert (results[0]["status"], results[-1]["status"]) == (201, 507)
        assert results[-1]["problem"]["code"] == "disk-full"
        recorded = [result for result in results if result["status"] == 201]
        assert [result["line"] for result in recorded] == list(range(1, len(recorded) + 1))
        assert size_of(node) == size + len(recorded)
        assert len(results) < 3000  # what comes after a failed commit is not tried
        assert {result["status"] for result in await door.file_lines(line(1) + line(2))} == {201}

    ask(node, story)


@pytest.mark.slow
def test_a_full_queue_slows_the_caller_down_and_loses_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.append._QUEUE_MAX", 150)

    async def story(door: Door) -> None:
        results = await door.file_lines(b"".join(line(n) for n in range(3000)))
        assert {result["status"] for result in results} == {201}

    ask(node, story)
