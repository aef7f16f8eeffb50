"""Sharing is enforced where a record is filed: what is wider than the contract is refused, nothing of it recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.errors import NotEntitled
from ledger.names import MemberName
from ledger.record import Draft, Statement
from node import agreements
from node.append import NewRecord
from node.node import Node
from node.storage import logs, sidecars
from tests.nodes import Door, agree, ask, found

SOURCE: Final = '''"""Share catches."""
ROLES = {"catcher", "buyer", "carrier"}
SIGNERS = set()
AUTHORS = {"catch": {"catcher"}, "offer": {"buyer"}, "unshared": {"catcher"}}
SHARES = {
    "catch": {"/weight": {"catcher", "buyer", "carrier"}, "/lines/*/price": {"catcher", "buyer"}, "/lines/*/*": set()},
    "offer": {"/*": {"buyer", "catcher"}},
}
'''
PARTIES: Final = {"catcher": ["fishery"], "buyer": ["retailer"], "carrier": ["carrier"]}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = found().join(tmp_path)
    yield node
    node.close()


def _size(node: Node) -> int:
    with node.store.read() as tx:
        log = logs.find_log(tx, node.joined.origin)
    assert log is not None
    return log.size


def _readers(node: Node, index: int) -> dict[str, set[int]]:
    """Who was wrapped which sections of an own record."""
    with node.store.read() as tx:
        log = logs.find_log(tx, node.joined.origin)
        assert log is not None
        packed = sidecars.read_sidecar(tx, log.number, index)
        channels = sidecars.list_channels(tx)
    assert packed is not None
    return {str(channels[wrap.channel_number].reader): set(wrap.sections) for wrap in packed.wraps}


ATTEMPTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "readers named by the request": ({"audience": [["carrier"]]}, "envelope-broken"),
    "readers named by the request, otherwise": ({"readers": ["carrier"]}, "envelope-broken"),
    "a type that is not shared": ({"type": "unshared"}, "type-unknown"),
    "a type that the contract does not know": ({"type": "rumour"}, "type-unknown"),
    "a type of the ledger's own": ({"type": "tally/propose"}, "envelope-broken"),
    "a type that another role files": ({"type": "offer"}, "role-not-allowed"),
    "a role that is another's": ({"role": "buyer"}, "role-not-allowed"),
    "a role that nobody has": ({"role": "auditor"}, "role-not-allowed"),
    "another contract": ({"contract": "0" * 64}, "not-found"),
    "a pattern on an element": ({"body": {"lines": [[1]]}}, "pattern-on-element"),
}


@pytest.mark.slow
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_wider_than_the_contract_is_refused_before_recording(node: Node, attempt: str) -> None:
    contract = agree(node, SOURCE, **PARTIES)
    change, code = ATTEMPTS[attempt]
    record = {"type": "catch", "contract": contract, "body": {"weight": 7}, **change}
    before = _size(node)

    async def story(door: Door) -> None:
        answer = await door.file(record)
        assert answer.json()["code"] == code, answer.text
        (line,) = await door.file_lines(json.dumps(record).encode())
        assert line["problem"]["code"] == code

    ask(node, story)
    assert _size(node) == before


@pytest.mark.slow
@pytest.mark.parametrize("word", ["", agreements.DECLINE, agreements.END])
def test_nothing_is_shared_under_a_contract_that_is_not_active(node: Node, word: str) -> None:
    contract = agree(node, SOURCE, **PARTIES)
    if word:
        node.agreements.state(bytes.fromhex(contract), word, MemberName("retailer"))  # type: ignore[arg-type]
    record = {"type": "catch", "contract": contract, "body": {"weight": 7}}
    before = _size(node)

    async def story(door: Door) -> str:
        return str((await door.file(record)).json().get("code"))

    assert ask(node, story) == ("contract-not-active" if word else "None")
    assert _size(node) == before + (not word)


def test_draft_for_a_reader_outside_its_statement_is_refused_and_nothing_recorded(node: Node) -> None:
    """The last line: whatever made such a draft, sealing it fails, and the records beside it are recorded."""
    statement = Statement(type="catch", contract=None, role=None, readers={"buyer": (MemberName("retailer"),)})
    wide = Draft(statement, b'"test"', [("/price", b"1", frozenset({"buyer", "carrier"}))])
    sound = agreements.draft_private("note", b"{}", by=b'"test"')
    before = _size(node)
    refused, done = node.append([NewRecord(wide), NewRecord(sound)])()
    assert isinstance(refused, NotEntitled)
    assert not isinstance(done, Exception)
    assert _size(node) == before + 1


def test_each_party_is_wrapped_exactly_its_sections(node: Node) -> None:
    contract = agree(node, SOURCE, **PARTIES)
    body = {"weight": 7, "lines": [{"price": 1}], "note": "mine"}

    async def story(door: Door) -> int:
        answer = await door.file({"type": "catch", "contract": contract, "body": body})
        return int(answer.json()["index"])

    index = ask(node, story)
    with node.store.read() as tx:
        meta = node.joined.reader.read(tx, node.find_log(tx, "fishery"), index).meta
    assert meta is not None
    assert meta.audience == (
        ("buyer", "carrier", "catcher"),
        ("buyer", "carrier", "catcher"),
        ("buyer", "catcher"),
        (),
    )
    assert _readers(node, index) == {"fishery": {0, 1, 2, 3}, "retailer": {0, 1, 2}, "carrier": {0, 1}}


def test_record_outside_any_contract_is_wrapped_for_its_author_alone(node: Node) -> None:
    async def story(door: Door) -> int:
        return int((await door.file({"type": "note", "body": {"a": 1}})).json()["index"])

    assert _readers(node, ask(node, story)).keys() == {"fishery"}


@pytest.mark.slow
def test_proposals_and_what_answers_them_go_to_the_parties_alone(tmp_path: Path) -> None:
    node = found("carrier", "fishery", "insurer", "retailer").join(tmp_path)
    try:
        contract = agree(node, SOURCE, **PARTIES)
        proposal = node.agreements.get(bytes.fromhex(contract))
        assert _readers(node, proposal.index).keys() == {"carrier", "fishery", "retailer"}

        async def story(door: Door) -> None:
            assert (await door.post(f"/api/v1/contracts/{contract}/end", {})).status_code == 200

        ask(node, story)
        assert _readers(node, _size(node) - 1).keys() == {"carrier", "fishery", "retailer"}
    finally:
        node.close()
