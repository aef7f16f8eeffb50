"""Contracts over HTTP: proposed, answered, shown; said once, and never said wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.names import Digest, MemberName
from node import agreements
from node.node import Node
from tests import nodes
from tests.nodes import SHARING, Door, ask

PATH = "/api/v1/contracts"
PARTIES = {"catcher": ["fishery"], "buyer": ["retailer"], "carrier": ["carrier"]}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = nodes.found().join(tmp_path_factory.mktemp("contracts"))
    yield found
    found.close()


def proposal(**given: Any) -> dict[str, Any]:
    return {"source": SHARING, "terms": {}, "parties": PARTIES} | given


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery").size


def from_another(node: Node, **given: Any) -> str:
    """A contract that the retailer proposed to this member."""
    contract = agreements.decode_proposal(
        json.dumps(proposal(secret="A" * 43 + "=", **given)).encode(),
        contract_id=Digest(size_of(node).to_bytes(32, "big")),
        record=b"\0" * 16,  # type: ignore[arg-type]  # nobody looks it up
        log=f"{nodes.NETWORK}/retailer",
        index=0,
        proposer=MemberName("retailer"),
    )
    node.agreements.propose(contract)
    return contract.id.hex()


async def propose(door: Door, **given: Any) -> dict[str, Any]:
    answer = await door.post(PATH, proposal(**given))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_proposal_waits_for_the_others_and_is_then_active(node: Node) -> None:
    async def story(door: Door) -> None:
        made = await propose(door)
        assert (made["status"], made["waiting_for"]) == ("proposed", ["carrier", "retailer"])
        assert (made["accepted"], made["my_roles"], made["proposer"]) == (["fishery"], ["catcher"], "fishery")
        for name in ("carrier", "retailer"):
            node.agreements.state(Digest(bytes.fromhex(made["id"])), agreements.ACCEPT, MemberName(name))
        shown = await door.get(f"{PATH}/{made['id']}")
        assert (shown["status"], shown["waiting_for"]) == ("active", [])
        listed = (await door.get(PATH))["contracts"]
        assert [row for row in listed if row["id"] == made["id"]] == [
            {name: value for name, value in shown.items() if name not in ("source", "terms")}
        ]

    ask(node, story)


def test_a_contract_is_shown_as_it_was_proposed(node: Node) -> None:
    async def story(door: Door) -> None:
        terms = b'{"rate":1.50,"late":1e3,"note":"\\u00e9"}'
        body = b'{"source":%b,"terms":%b,"parties":%b}' % (
            json.dumps(SHARING).encode(), terms, json.dumps(PARTIES).encode(),
        )  # fmt: skip
        made = (await door.post(PATH, body)).json()
        shown = await door.call("GET", f"{PATH}/{made['id']}")
        assert b'"terms":' + terms in shown.content
        found = shown.json()
        assert (found["source"], found["title"]) == (SHARING, "Share catches.")
        assert found["shares"]["catch"]["/weight"] == ["buyer", "carrier", "catcher"]
        assert found["authors"]["offer"] == ["buyer"]
        assert "secret" not in shown.text

    ask(node, story)


def test_a_contract_without_terms_is_taken(node: Node) -> None:
    async def story(door: Door) -> None:
        answer = await door.post(PATH, {"source": SHARING, "parties": PARTIES})
        assert answer.json()["terms"] == {}

    ask(node, story)


def test_the_same_proposal_with_the_same_key_is_one_contract(node: Node) -> None:
    async def story(door: Door) -> None:
        first = await door.post(PATH, proposal(), headers={"idempotency-key": "p-1"})
        size = size_of(node)
        again = await door.post(PATH, proposal(), headers={"idempotency-key": "p-1"})
        other = await door.post(PATH, proposal(terms={"a": 1}), headers={"idempotency-key": "p-1"})
        assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
        assert again.json()["id"] == first.json()["id"]
        assert size_of(node) == size

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "ROLES = 1"}, "line"),
        ({"source": 1}, "refused"),
        ({"parties": {}}, "roles"),
        ({"parties": PARTIES | {"buyer": []}}, "roles"),
        ({"parties": PARTIES | {"buyer": ["nobody"]}}, "nobody is no member"),
        ({"parties": PARTIES | {"catcher": ["retailer"]}}, "no party"),
        ({"parties": {role: names for role, names in PARTIES.items() if role != "buyer"}}, "no member for buyer"),
        ({"parties": PARTIES | {"Buyer": ["retailer"]}}, "no role is called 'Buyer'"),
        ({"parties": [1]}, "refused"),
        ({"secret": "A" * 43 + "="}, "no others"),
        ({"source": SHARING + "x" * (256 << 10)}, "refused"),
    ],
)
def test_what_a_party_would_refuse_is_not_proposed(node: Node, change: dict[str, Any], says: str) -> None:
    async def story(door: Door) -> None:
        size = size_of(node)
        answer = await door.post(PATH, proposal(**change))
        assert (answer.status_code, answer.json()["code"]) == (400, "proposal-broken")
        assert says in answer.json()["detail"]
        assert size_of(node) == size

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b"[]", b'{"source":"","source":""}', b"1"])
def test_what_is_no_proposal_is_refused(node: Node, body: bytes) -> None:
    async def story(door: Door) -> None:
        assert (await door.post(PATH, body)).status_code == 400

    ask(node, story)


def test_another_members_proposal_is_accepted_once(node: Node) -> None:
    contract = from_another(node)

    async def story(door: Door) -> None:
        size = size_of(node)
        answer = await door.call("POST", f"{PATH}/{contract}/accept")
        assert answer.status_code == 404  # its terms lie in a log that is not here
        assert node.agreements.get(bytes.fromhex(contract)).accepted == {"fishery", "retailer"}
        assert size_of(node) == size + 1
        await door.call("POST", f"{PATH}/{contract}/accept")
        assert size_of(node) == size + 1

    ask(node, story)


CODE = SHARING.replace("SIGNERS = set()", 'SIGNERS = {"catcher"}') + "def apply(state, record, terms): return state\n"


def test_a_contract_with_code_is_neither_proposed_nor_accepted(node: Node) -> None:
    contract = from_another(node, source=CODE)

    async def story(door: Door) -> None:
        size = size_of(node)
        answer = await door.post(PATH, proposal(source=CODE))
        assert (answer.status_code, answer.json()["code"]) == (403, "code-not-run")
        assert "apply" in answer.json()["detail"]
        answer = await door.call("POST", f"{PATH}/{contract}/accept")
        assert (answer.status_code, answer.json()["code"]) == (403, "code-not-run")
        assert size_of(node) == size
        (listed,) = [row for row in (await door.get(PATH))["contracts"] if row["id"] == contract]
        assert (listed["status"], listed["functions"], listed["waiting_for"]) == ("unsupported", ["apply"], [])
        answer = await door.file({"type": "catch", "contract": contract, "body": {}})
        assert (answer.status_code, answer.json()["code"]) == (403, "contract-not-active")
        await door.call("POST", f"{PATH}/{contract}/decline")
        assert size_of(node) == size + 1
        assert node.agreements.get(bytes.fromhex(contract)).status is agreements.Status.DECLINED

    ask(node, story)


def test_a_proposal_that_was_declined_is_over(node: Node) -> None:
    async def story(door: Door) -> None:
        made = await propose(door)
        answer = await door.call("POST", f"{PATH}/{made['id']}/decline")
        assert (answer.json()["status"], answer.json()["ended_by"]) == ("declined", "fishery")
        for verb in ("accept", "decline", "end"):
            answer = await door.call("POST", f"{PATH}/{made['id']}/{verb}")
            assert (answer.status_code, answer.json()["code"]) == (409, "contract-settled")

    ask(node, story)


def test_an_active_contract_is_ended_by_notice(node: Node) -> None:
    contract = nodes.agree(node)

    async def story(door: Door) -> None:
        assert (await door.call("POST", f"{PATH}/{contract}/decline")).status_code == 409
        answer = await door.call("POST", f"{PATH}/{contract}/end")
        assert (answer.json()["status"], answer.json()["ended_by"]) == ("ended", "fishery")
        assert (await door.call("POST", f"{PATH}/{contract}/end")).status_code == 409
        answer = await door.file({"type": "catch", "contract": contract, "body": {}})
        assert (answer.status_code, answer.json()["code"]) == (403, "contract-not-active")

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(("shown_id", "status"), [("0" * 64, 404), ("0" * 63, 400), ("x" * 64, 400), ("A" * 64, 400)])
def test_a_contract_that_is_not_there_is_said_to_be_missing(node: Node, shown_id: str, status: int) -> None:
    async def story(door: Door) -> None:
        assert (await door.call("GET", f"{PATH}/{shown_id}")).status_code == status
        for verb in ("accept", "decline", "end"):
            assert (await door.call("POST", f"{PATH}/{shown_id}/{verb}")).status_code == status

    ask(node, story)


@pytest.mark.slow
def test_what_was_said_is_read_again_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    founders = nodes.found("fishery", "retailer")
    root = tmp_path_factory.mktemp("restart")
    node = founders.join(root)
    source = SHARING.replace(', "carrier"', "")

    async def story(door: Door) -> str:
        made = await propose(door, source=source, parties={"catcher": ["fishery"], "buyer": ["retailer"]})
        await door.call("POST", f"{PATH}/{made['id']}/end")
        return str(made["id"])

    contract = ask(node, story)
    node.close()
    node = Node.open(root / "fishery")
    founders.answer_for_peers(node)
    node.open_for_writing()

    async def later(door: Door) -> None:
        assert (await door.get(f"{PATH}/{contract}"))["status"] == "ended"
        assert (await door.file({"type": "note", "body": {}})).status_code == 201

    ask(node, later)
    node.close()


def test_a_part_of_an_id_is_refused_with_advice_that_fits(node: Node) -> None:
    async def story(door: Door) -> None:
        record = {"type": "catch", "body": {}, "contract": "abcd"}
        answers = [await door.call("GET", f"{PATH}/abcd"), await door.file(record)]
        answers.append(await door.call("GET", "/api/v1/records", params={"contract": "abcd"}))
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (400, "encoding")
            assert "whole id" in answer.json()["hint"]

    ask(node, story)
