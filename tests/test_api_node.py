"""The node over HTTP: how it stands, what it belongs to, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import io
import json
import logging as stdlib_logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from ledger.names import MemberName
from ledger.network import encode_network_file
from node import logging
from node.node import Node
from node.services.standing import Contact
from node.storage import facts
from tests import nodes
from tests.nodes import NETWORK, Door, Founders, ask

RECORD = {"type": "note", "body": {"a": 1}}


@pytest.fixture(scope="module")
def founders() -> Founders:
    return nodes.found()


@pytest.fixture
def node(founders: Founders, tmp_path: Path) -> Iterator[Node]:
    found = founders.join(tmp_path)
    yield found
    found.close()


@pytest.fixture
def stranger(founders: Founders, tmp_path: Path) -> Iterator[Node]:
    """A node without a charter."""
    found = Node.open(founders.folder(tmp_path, "fishery"))
    yield found
    found.close()


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery").size


# --- how it stands --------------------------------------------------------------------------


def test_status_tells_who_the_node_is_and_what_it_holds(node: Node) -> None:
    async def story(door: Door) -> None:
        done = (await door.file(RECORD)).json()
        found = await door.get("/api/v1/status")
        assert (found["member"], found["network"]) == ("fishery", NETWORK)
        assert found["fingerprint"] == node.membership.network_id.hex()
        assert found["guard"] == {"state": "ready", "waiting_for": []}
        assert found["log"] == {"origin": f"{NETWORK}/fishery", "size": done["index"] + 1}
        assert {log["origin"]: log["size"] for log in found["logs"]} == {
            f"{NETWORK}/fishery": done["index"] + 1, f"{NETWORK}/retailer": 0, f"{NETWORK}/carrier": 0,
        }  # fmt: skip
        assert found["uptime_s"] >= 0

    ask(node, story)


@pytest.mark.slow
def test_peers_are_told_with_what_was_heard_of_them(node: Node) -> None:
    heard = Contact(endpoint="https://r", state="failing", last_contact_ms=7, error="no", sizes={"x": 3})

    async def story(door: Door) -> None:
        carrier, retailer = (await door.get("/api/v1/peers"))["peers"]
        assert (carrier["member"], carrier["state"], carrier["last_contact_ms"]) == ("carrier", "unknown", None)
        assert carrier["endpoint"] == "https://carrier.example"
        assert retailer | {"log": None} == {
            "member": "retailer", "endpoint": "https://r", "state": "failing", "last_contact_ms": 7,
            "error": "no", "sizes": {"x": 3}, "cosigned": 0, "log": None,
        }  # fmt: skip
        assert retailer["log"]["origin"] == f"{NETWORK}/retailer"

    ask(node, story, contacts=lambda: {MemberName("retailer"): heard})


@pytest.mark.slow
def test_evidence_is_handed_out_byte_for_byte(node: Node) -> None:
    text = b'{"kind":"fork"}\n'
    with node.store.write("evidence") as tx:
        item = facts.StoredEvidence(
            id=b"\1" * 32, kind="fork", member="retailer", log="x", place=3, found_ms=5, document=text
        )
        facts.insert_evidence(tx, item)

    async def story(door: Door) -> None:
        (found,) = (await door.get("/api/v1/evidence"))["evidence"]
        assert (found["id"], found["kind"], found["member"], found["found_ms"]) == ("01" * 32, "fork", "retailer", 5)
        assert found["document"].encode() == text

    ask(node, story)


# --- what it belongs to ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_node_without_a_charter_says_so_and_serves_what_it_can(stranger: Node) -> None:
    async def story(door: Door) -> None:
        found = await door.get("/api/v1/status")
        assert (found["fingerprint"], found["log"], found["guard"]["state"]) == (None, None, "not-adopted")
        assert (await door.get("/api/v1/contracts")) == {"contracts": [], "passed_over": []}
        for answer in (
            await door.file(RECORD),
            await door.call("GET", "/api/v1/network"),
            await door.call("GET", "/api/v1/peers"),
            await door.call("GET", "/api/v1/records"),
            await door.call("GET", "/api/v1/records/fishery/0"),
            await door.call("GET", "/api/v1/records/01000000-0000-7000-8000-000000000000"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "no-charter"), answer.request.url

    ask(stranger, story)


@pytest.mark.slow
def test_a_network_file_is_adopted_and_handed_out_again(stranger: Node, founders: Founders) -> None:
    file = encode_network_file(founders.file)

    async def story(door: Door) -> None:
        answer = await door.post("/api/v1/network", file)
        assert answer.status_code == 200
        assert answer.json() == {
            "network": NETWORK, "fingerprint": stranger.membership.network_id.hex(), "charter": 1,
            "members": ["carrier", "fishery", "retailer"],
        }  # fmt: skip
        assert (await door.call("GET", "/api/v1/network")).content == file
        assert (await door.post("/api/v1/network", file)).status_code == 200

    ask(stranger, story)


@pytest.mark.slow
def test_a_foreign_or_forged_network_file_is_refused(node: Node, founders: Founders) -> None:
    value = json.loads(encode_network_file(founders.file))
    unsigned = value["charters"][0].split("\n\n")[0]
    forged = json.dumps(value | {"charters": [value["charters"][0].replace('"threshold":1', '"threshold":2', 1)]})

    async def story(door: Door) -> None:
        assert "threshold" in unsigned
        for file, statuses in (
            (b"", {400}),
            (b"{}\n", {400}),
            (encode_network_file(founders.file)[:-1], {400}),
            (forged.encode() + b"\n", {400, 422}),
            (encode_network_file(nodes.found().file), {409}),
        ):
            assert (await door.post("/api/v1/network", file)).status_code in statuses, file[:40]

    ask(node, story)


def test_a_network_without_this_member_is_not_joined(stranger: Node) -> None:
    async def story(door: Door) -> None:
        answer = await door.post("/api/v1/network", encode_network_file(nodes.found("carrier", "retailer").file))
        assert (answer.status_code, answer.json()["code"]) == (400, "not-this-member")

    ask(stranger, story)


# --- when it cannot -------------------------------------------------------------------------


def waiting(founders: Founders, root: Path, **settings: Any) -> Node:
    node = Node.open(founders.folder(root, "fishery", **settings))
    node.adopt(founders.file)
    return node


@pytest.mark.slow
def test_what_waits_for_the_guard_too_long_is_told_for_whom(founders: Founders, tmp_path: Path) -> None:
    node = waiting(founders, tmp_path, queue_wait_s=0.1)

    async def story(door: Door) -> None:
        for answer in (
            await door.file(RECORD),
            await door.call(
                "POST", "/api/v1/records", content=b"{}\n", headers={"content-type": "application/x-ndjson"}
            ),
            await door.post("/api/v1/contracts", {"source": "", "parties": {}}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "node-not-ready")
            assert "carrier, retailer" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        found = (await door.get("/api/v1/status"))["guard"]
        assert found == {"state": "waiting", "waiting_for": ["carrier", "retailer"]}
        assert (await door.file(RECORD, params={"dry_run": "1"})).status_code == 200  # nothing is signed

    ask(node, story)
    node.close()


@pytest.mark.slow
def test_what_waits_for_the_guard_is_recorded_once_it_opens(founders: Founders, tmp_path: Path) -> None:
    node = waiting(founders, tmp_path, queue_wait_s=30)

    async def story(door: Door) -> None:
        filing = asyncio.ensure_future(door.file(RECORD))
        await asyncio.sleep(0.1)
        assert not filing.done()
        founders.answer_for_peers(node)
        await asyncio.to_thread(node.open_for_writing)
        assert (await filing).status_code == 201

    ask(node, story)
    node.close()


@pytest.mark.slow
def test_a_full_disk_is_named_and_nothing_is_recorded(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        big = {"type": "note", "body": {"x": "x" * 900_000}}
        with nodes.full_disk(node):
            answer = await door.file(big, key="big")
            assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
            assert int(answer.headers["retry-after"]) > 0
        assert size_of(node) == size
        assert (await door.file(big, key="big")).status_code == 201

    ask(node, story)


def test_a_full_queue_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.append._QUEUE_MAX", 0)

    async def story(door: Door) -> None:
        both = await asyncio.gather(door.file(RECORD), door.file(RECORD))
        assert [(answer.status_code, answer.json()["code"]) for answer in both] == [(503, "queue-full")] * 2

    ask(node, story)


def test_a_node_that_stops_says_so(node: Node) -> None:
    async def story(door: Door) -> None:
        node.joined.appender.stop()
        answer = await door.file(RECORD)
        assert (answer.status_code, answer.json()["code"]) == (503, "node-stopped")
        content, kind = b'{"type":"note","body":{}}\n', {"content-type": "application/x-ndjson"}
        answer = await door.call("POST", "/api/v1/records", content=content, headers=kind)
        assert [json.loads(line)["status"] for line in answer.content.splitlines()] == [503]

    ask(node, story)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process writes of itself."""
    lines, root = io.StringIO(), stdlib_logging.getLogger()
    kept = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", lines)
    logging.set_up("info")
    yield lines
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


@pytest.mark.slow
def test_a_fault_tells_the_caller_an_id_and_the_log_the_rest(
    node: Node, told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("the secret plan")

    async def story(door: Door) -> None:
        monkeypatch.setattr("node.storage.logs.insert_entries", break_down)
        monkeypatch.setattr("node.services.standing.logs.list_logs", break_down)
        filed = await door.file(RECORD)
        lines = await door.file_lines(b'{"type":"note","body":{}}\n')
        shown = await door.call("GET", "/api/v1/status")
        for problem in (filed.json(), lines[0]["problem"], shown.json()):
            assert (problem["status"], problem["code"]) == (500, "internal")
            assert "secret plan" not in str(problem)
            assert problem["id"] in told.getvalue()

    ask(node, story)
    rows = [json.loads(line) for line in told.getvalue().splitlines()]
    assert any("the secret plan" in row.get("exception", "") for row in rows)
    assert "tally_" not in told.getvalue()
