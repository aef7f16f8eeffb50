"""Records over HTTP: filed once, refused with a code, shown with what is withheld."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger import limits
from ledger.names import Digest, MemberName, Origin, RecordId
from ledger.receipt import decode_receipt, verify_receipt
from ledger.record import Meta, Opened
from node.node import Node
from node.reader import ReadRecord
from node.services import records as services
from node.services.records import Shown, encode_record
from node.storage.tables import row_key
from node.views.search import search
from tests import nodes
from tests.nodes import NETWORK, Door, ask


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = nodes.found().join(tmp_path_factory.mktemp("api"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def contract(node: Node) -> str:
    return nodes.agree(node)


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery").size


# --- one ------------------------------------------------------------------------------------


def test_a_record_is_answered_with_its_place_and_is_there(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        answer = await door.file({"type": "note", "body": {"a": 1}})
        assert answer.status_code == 201
        done = answer.json()
        assert (done["log"], done["index"], done["repeated"]) == (f"{NETWORK}/fishery", size, False)
        shown = await door.get(f"/api/v1/records/{done['id']}")
        assert (shown["index"], shown["leaf"], shown["body"]) == (size, done["leaf"], {"a": 1})

    ask(node, story)


@pytest.mark.slow
def test_of_many_at_once_everyone_gets_the_answer_for_its_own(node: Node) -> None:
    async def story(door: Door) -> None:
        async def file(n: int) -> None:
            done = (await door.file({"type": "note", "body": {"n": n}})).json()
            assert (await door.get(f"/api/v1/records/{done['id']}"))["body"] == {"n": n}

        await asyncio.gather(*(file(n) for n in range(40)))

    ask(node, story)


def test_every_value_text_comes_back_as_it_was_sent(node: Node) -> None:
    body = (
        b'{"n":26.0,"e":1e3,"big":123456789012345678901234567890,"s":"\\u00e9\xc3\xa9\\/","z":-0,"o":{"b":1,"a":[ ]}}'
    )

    async def story(door: Door) -> None:
        done = (await door.file(b'{"type":"note","body":' + body + b"}")).json()
        shown = await door.call("GET", f"/api/v1/records/fishery/{done['index']}")
        assert b'"body":' + body in shown.content

    ask(node, story)


def test_the_same_request_with_the_same_key_is_recorded_once(node: Node) -> None:
    async def story(door: Door) -> None:
        first = await door.file({"type": "note", "body": {"a": 2}}, key="k-1")
        size = size_of(node)
        again = await door.file({"type": "note", "body": {"a": 2}}, key="k-1")
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json() | {"repeated": True}
        assert size_of(node) == size

    ask(node, story)


def test_one_key_under_way_twice_is_recorded_once(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        both = await asyncio.gather(*(door.file({"type": "note", "body": {}}, key="k-2") for _ in range(20)))
        assert sorted(answer.status_code for answer in both) == [200] * 19 + [201]
        assert {answer.json()["index"] for answer in both} == {size}

    ask(node, story)


def test_a_refused_record_under_way_twice_with_one_key_is_refused_twice(node: Node) -> None:
    body = {f"f{i}": 1 for i in range(limits.FIELDS_MAX + 1)}

    async def story(door: Door) -> None:
        both = await asyncio.gather(*(door.file({"type": "note", "body": body}, key="k-3") for _ in range(3)))
        assert [answer.status_code for answer in both] == [413] * 3

    ask(node, story)


def test_another_request_with_the_same_key_is_a_conflict_that_says_with_what(node: Node) -> None:
    async def story(door: Door) -> None:
        first = (await door.file({"type": "note", "body": {"a": 3}}, key="k-4")).json()
        answer = await door.file({"type": "note", "body": {"a": 4}}, key="k-4")
        assert answer.status_code == 409
        assert answer.json()["code"] == "idempotency-conflict"
        assert answer.json()["index"] == first["index"]

    ask(node, story)


def test_keys_of_two_tokens_are_two_keys(node: Node) -> None:
    async def story(door: Door) -> int:
        return (await door.file({"type": "note", "body": {"a": 5}}, key="k-5")).status_code

    assert [ask(node, story), ask(node, story)] == [201, 201]


def test_a_repeat_is_answered_also_after_the_contract_has_ended(node: Node) -> None:
    ending = nodes.agree(node)

    async def story(door: Door) -> None:
        record = {"type": "catch", "contract": ending, "body": {"weight": 1}}
        first = await door.file(record, key="k-6")
        assert (await door.post(f"/api/v1/contracts/{ending}/end", b"")).status_code == 200
        assert (await door.file(record)).status_code == 403
        again = await door.file(record, key="k-6")
        assert (again.status_code, again.json()["index"]) == (200, first.json()["index"])

    ask(node, story)


@pytest.mark.parametrize("length", [1, 255])
def test_keys_of_every_length_are_taken(node: Node, length: int) -> None:
    async def story(door: Door) -> None:
        assert (await door.file({"type": "note", "body": {}}, key="~" * length)).status_code == 201

    ask(node, story)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_other_keys_are_refused(node: Node, key: str) -> None:
    async def story(door: Door) -> None:
        answer = await door.file({"type": "note", "body": {}}, key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter")

    ask(node, story)


# --- refused --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "json-malformed"),
        (b"{", "json-malformed"),
        (b"\xef\xbb\xbf{}", "json-malformed"),
        (b'{"type":"x","body":{"a":NaN}}', "json-malformed"),
        (b'{"type":"x","body":{"a":1,"a":2}}', "json-duplicate-key"),
        (b'{"type":"x","body":' + b'{"a":' * 33 + b"1" + b"}" * 34, "json-too-deep"),
        (b"[]", "envelope-broken"),
        (b'{"type":"x"}', "envelope-broken"),
        (b'{"type":"x","body":[]}', "envelope-broken"),
        (b'{"type":"x","body":{},"more":1}', "envelope-broken"),
        (b'{"type":"tally/propose","body":{}}', "envelope-broken"),
        (b'{"type":"' + b"x" * 65 + b'","body":{}}', "envelope-broken"),
        (b'{"type":"x","body":{},"contract":"00"}', "encoding"),
        (b'{"type":"x","body":{},"contract":"' + b"0" * 64 + b'"}', "not-found"),
        (b'{"type":"x","body":{},"links":[["corrects","n/a",1,"00"]]}', "encoding"),
        (b'{"type":"x","body":{},"links":[["corrects","n/a",9007199254740992,"' + b"0" * 64 + b'"]]}', "encoding"),
        (b'{"type":"x","body":{"' + b"k" * 70_000 + b'":1}}', "too-large"),
    ],
)
def test_what_is_no_record_is_refused_by_its_code_and_not_recorded(node: Node, text: bytes, code: str) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        answer = await door.file(text)
        assert answer.json()["code"] == code
        assert 400 <= answer.status_code < 500
        assert size_of(node) == size

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("relation", "origin"),
    [
        ("Corrects", "cold-chain.example/fishery"),
        ("r" * 33, "cold-chain.example/fishery"),
        ("corrects", "fishery"),
        ("corrects", "ab12:cold-chain.example/fishery"),
        ("corrects", "A" * 64 + ":cold-chain.example/fishery"),
        ("corrects", "0" * 64 + ":" + "0" * 64 + ":cold-chain.example/fishery"),
    ],
)
def test_link_that_no_reader_would_take_is_refused_where_it_comes_in(node: Node, relation: str, origin: str) -> None:
    """Not only where the record is sealed: a dry run says so too."""

    async def story(door: Door) -> None:
        for link, status in (([relation, origin], 400), (["corrects", "0" * 64 + ":cold-chain.example/fishery"], 200)):
            record = {"type": "x", "body": {}, "links": [[*link, 1, "00" * 32]]}
            answer = await door.file(record, params={"dry_run": "true"})
            assert (answer.status_code, answer.json().get("code", "encoding")) == (status, "encoding")

    ask(node, story)


def test_the_largest_line_is_read_and_one_byte_more_is_not(node: Node) -> None:
    async def story(door: Door) -> None:
        head, tail = b'{"type":"note","body":{"a":"', b'"}}'
        longest = head + b"x" * (limits.LINE_BYTES_MAX - len(head) - len(tail)) + tail
        answer = await door.file(longest)
        assert (answer.status_code, answer.json()["code"]) == (400, "envelope-broken")  # its body is too long
        answer = await door.file(longest + b" ")
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")

    ask(node, story)


@pytest.mark.parametrize("length", [limits.BODY_BYTES_MAX, limits.BODY_BYTES_MAX + 1])
def test_the_largest_body_is_recorded(node: Node, length: int) -> None:
    async def story(door: Door) -> None:
        body = b'{"a":"' + b"x" * (length - 8) + b'"}'
        answer = await door.file(b'{"type":"note","body":' + body + b"}")
        assert answer.status_code == (201 if length == limits.BODY_BYTES_MAX else 400)

    ask(node, story)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/jsonx"},
    ],
)
def test_other_media_types_are_refused(node: Node, headers: dict[str, str]) -> None:
    async def story(door: Door) -> None:
        answer = await door.call("POST", "/api/v1/records", content=b'{"type":"x","body":{}}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "media-type")

    ask(node, story)


def test_wider_than_the_contract_is_refused(node: Node, contract: str) -> None:
    async def story(door: Door) -> None:
        for record, code in (
            ({"type": "landing", "contract": contract, "body": {}}, "type-unknown"),
            ({"type": "offer", "contract": contract, "body": {}}, "role-not-allowed"),
            ({"type": "catch", "contract": contract, "role": "buyer", "body": {}}, "role-not-allowed"),
        ):
            answer = await door.file(record)
            assert answer.json()["code"] == code

    ask(node, story)


def test_a_dry_run_records_nothing_and_refuses_the_same(node: Node) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        sound = await door.file({"type": "note", "body": {}}, params={"dry_run": "true"})
        assert (sound.status_code, sound.json()) == (200, {"dry_run": True})
        assert (await door.file({"type": "note"}, params={"dry_run": "true"})).status_code == 400
        assert size_of(node) == size

    ask(node, story)


# --- shown ----------------------------------------------------------------------------------


def test_a_record_is_shown_with_all_it_says(node: Node, contract: str) -> None:
    async def story(door: Door) -> None:
        earlier = (await door.file({"type": "note", "body": {}})).json()
        link = ["corrects", earlier["log"], earlier["index"], earlier["leaf"]]
        body = {"weight": 12.5, "cost": 3, "species": "cod"}
        record = {"type": "catch", "contract": contract, "body": body, "links": [link]}
        done = (await door.file(record)).json()
        shown = await door.get(f"/api/v1/records/{NETWORK}/fishery/{done['index']}")
        assert shown["id"] == done["id"]
        assert (shown["type"], shown["contract"], shown["role"], shown["author"]) == (
            "catch", contract, "catcher", "fishery",
        )  # fmt: skip
        assert shown["body"] == body
        assert shown["links"] == [dict(zip(("relation", "log", "index", "leaf"), link, strict=True))]
        assert shown["audience"][1:] == [["buyer", "carrier", "catcher"], ["buyer", "catcher"], []]
        assert shown["by"].startswith("test#")
        assert (shown["flags"], shown["withheld"], shown["problems"], shown["state"]) == ([], [], [], "open")
        assert abs(shown["time_ms"] - node.clock()) < 60_000

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("fishery/999999", "not-found"),
        ("nobody/0", "not-found"),
        ("01000000-0000-7000-8000-000000000000", "not-found"),
        ("01000000-0000-4000-8000-000000000000", "encoding"),
        ("fishery/-1", "encoding"),
        ("fishery/1e3", "encoding"),
        ("fishery/00", "encoding"),
        ("fishery/9007199254740992", "encoding"),
        ("fishery/999999/receipt", "not-found"),
        ("fishery/x/receipt", "encoding"),
    ],
)
def test_what_is_not_there_is_said(node: Node, path: str, code: str) -> None:
    async def story(door: Door) -> None:
        answer = await door.call("GET", f"/api/v1/records/{path}")
        assert answer.json()["code"] == code

    ask(node, story)


@pytest.mark.parametrize("index", [1 << 40, (1 << 40) + 1, 3 << 40, (1 << 40) - 1])
def test_an_index_beyond_every_log_names_no_entry_of_another_place(node: Node, index: int) -> None:
    """Forty bits of a row's key are the index; one more bit must not lead to entry 0."""

    async def story(door: Door) -> None:
        for path in (f"fishery/{index}", f"fishery/{index}/receipt"):
            answer = await door.call("GET", f"/api/v1/records/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), answer.text

    ask(node, story)


def test_a_key_has_room_for_an_index_of_forty_bits() -> None:
    assert row_key(2, (1 << 40) - 1) == (3 << 40) - 1
    for index in (1 << 40, -1):
        with pytest.raises(AssertionError):
            row_key(2, index)


def test_the_secret_of_a_contract_is_not_shown(node: Node, contract: str) -> None:
    async def story(door: Door) -> None:
        place = (await door.get(f"/api/v1/contracts/{contract}"))["record"]
        shown = await door.get(f"/api/v1/records/{place}")
        assert shown["body"].keys() == {"source", "terms", "parties"}

    ask(node, story)


def test_what_another_member_calls_flags_or_submitter_is_not_passed_on() -> None:
    hostile = [("/a", b"1"), ("by", b'0},"x":{'), ("flags", b"]")]
    meta = Meta(type="catch", contract=None, role="catcher", audience=(("buyer",), ("buyer",), ()))
    record = ReadRecord(
        origin=Origin(NETWORK, MemberName("retailer")),
        index=7,
        leaf=Digest(bytes(32)),
        id=RecordId(bytes.fromhex("01a1fbd2419374cb8f054402cb6d378e")),
        state="open",
        opened=Opened(meta=meta, sections={0: [], 1: hostile, 2: hostile}, seeds={}),
        body=b'{"a":1}',
    )
    shown = json.loads(encode_record(Shown(record=record), "fishery"))
    assert (shown["by"], shown["flags"], shown["body"]) == (None, None, {"a": 1})


# --- listed ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_pages_follow_each_other_to_the_end(node: Node) -> None:
    async def story(door: Door) -> None:
        filed = [(await door.file({"type": "paged", "body": {"n": n}})).json()["index"] for n in range(7)]
        nodes.catch_up(node)
        for order, wanted in (("newest", filed[::-1]), ("oldest", filed)):
            seen: list[int] = []
            cursor: dict[str, Any] = {}
            while True:
                page = await door.get("/api/v1/records", params={"type": "paged", "limit": 3, "order": order} | cursor)
                seen += [record["index"] for record in page["records"]]
                assert len(page["records"]) <= 3
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            assert seen == wanted

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("state", "bogus", "open, closed, invalid, newer, broken"),
        ("problem", "bogus", "contract-missing"),
        ("author", "nobody", ""),
        ("log", "nobody", ""),
    ],
)
def test_a_filter_that_no_record_can_pass_is_refused_with_what_it_takes(
    node: Node, name: str, value: str, allowed: str
) -> None:
    allowed = allowed or node.member

    async def story(door: Door) -> None:
        answer = await door.call("GET", f"/api/v1/records?{name}={value}")
        assert (answer.status_code, answer.json()["code"]) == (400, "search-wrong")
        assert answer.json()["detail"].startswith(f"{name}: '{value}' is none of ")
        assert allowed in answer.json()["detail"]
        for good in {"state": ["open"], "problem": ["any", "section-owed"]}.get(name, [allowed]):
            await door.get("/api/v1/records", params={name: good})

    ask(node, story)


@pytest.mark.slow
def test_a_page_of_large_bodies_ends_early_and_goes_on(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def count(*words: Any, **given: Any) -> Any:
        searched.append(given["limit"])
        return search(*words, **given)

    async def story(door: Door) -> None:
        for _ in range(6):
            await door.file({"type": "large", "body": {"x": "x" * 1_000_000}})
        nodes.catch_up(node)
        with monkeypatch.context() as patch:
            patch.setattr(services, "search", count)
            first = await door.get("/api/v1/records", params={"type": "large"})
        assert len(searched) == 1, "another one might find what came in between"
        assert len(first["records"]) == 5
        rest = await door.get("/api/v1/records", params={"type": "large", "cursor": first["next"]})
        assert (len(rest["records"]), rest["next"]) == (1, None)

    ask(node, story)


@pytest.mark.slow
def test_filters_narrow_the_page(node: Node, contract: str) -> None:
    event = {"eventID": "urn:x:1", "epcList": ["urn:epc:id:sgtin:1.2.3"], "bizStep": "shipping"}

    async def story(door: Door) -> None:
        record = {"type": "epcis/ObjectEvent", "contract": contract, "body": event}
        index = (await door.file(record)).json()["index"]
        await door.file({"type": "other", "body": {"eventID": "urn:x:2"}})
        nodes.catch_up(node)
        shown = await door.get(f"/api/v1/records/fishery/{index}")
        for name, value in {
            "log": "fishery",
            "type": "epcis/ObjectEvent",
            "contract": contract,
            "event_id": "urn:x:1",
            "epc": "urn:epc:id:sgtin:1.2.3",
            "biz_step": "shipping",
        }.items():
            page = await door.get("/api/v1/records", params={name: value, "from_ms": shown["time_ms"]})
            assert index in [found["index"] for found in page["records"]], name
        for name, value in {
            "type": "nothing",
            "event_id": "urn:x:3",
            "flag": "invalid",
            "log": "retailer",
            "problem": "any",
        }.items():
            page = await door.get("/api/v1/records", params={name: value})
            assert page["records"] == [], name
        assert (await door.get("/api/v1/records", params={"type": "other", "to_ms": 1}))["records"] == []

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "from_ms=-1", "order=x", "contract=00", "cursor=%00", "cursor=a", "dry_run=x"],
)
def test_wrong_parameters_are_named(node: Node, query: str) -> None:
    async def story(door: Door) -> None:
        answer = await door.call("GET", f"/api/v1/records?{query}")
        if query.startswith("dry_run"):
            answer = await door.file({"type": "x", "body": {}}, params=query)
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.json()["detail"]

    ask(node, story)


@pytest.mark.slow
def test_a_search_says_how_far_it_is_behind(node: Node, tmp_path: Path) -> None:
    alone = nodes.found().join(tmp_path)

    async def story(door: Door) -> None:
        answer = await door.call("GET", "/api/v1/records")
        assert (answer.status_code, answer.json()["code"]) == (503, "views-not-ready")
        assert int(answer.headers["retry-after"]) >= 1
        nodes.catch_up(alone)
        assert (await door.get("/api/v1/records"))["pending"] == 0
        await door.file({"type": "note", "body": {}})
        assert (await door.get("/api/v1/records"))["pending"] == 1

    ask(alone, story)
    alone.close()


# --- receipts -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_receipt_proves_the_chosen_field(node: Node, contract: str) -> None:
    async def story(door: Door) -> None:
        body = {"weight": 12.5, "cost": 3}
        done = (await door.file({"type": "catch", "contract": contract, "body": body})).json()
        path = f"/api/v1/records/fishery/{done['index']}/receipt"
        answer = await door.call("GET", path, params={"fields": "/weight"})
        receipt = decode_receipt(answer.content)
        proved = verify_receipt(receipt, trust=node.membership.network_id, witnesses=0)
        assert proved.is_complete
        assert [(found.name, found.value) for found in proved.disclosures] == [("/weight", b"12.5")]
        assert proved.leaf.hex() == done["leaf"]
        unknown = await door.call("GET", path, params={"fields": "/wait"})
        assert (unknown.status_code, unknown.json()["code"]) == (400, "field-unknown")

    ask(node, story)
