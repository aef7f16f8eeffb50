"""The charter in force at its members' nodes: limits of a record, members that have left, and who vouches then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.charter import Charter, CharterMember, Expulsion, NetworkLimits, decode_charter, make_charter, sign_charter
from ledger.checkpoint import cosign
from ledger.errors import TallyError, TooLarge
from ledger.names import MemberName, Origin
from ledger.network import NetworkFile
from ledger.note import Note, decode_note, encode_note
from ledger.receipt import Receipt, verify_receipt
from node import agreements as agree
from node.append import Appended, NewRecord
from node.batch import OverCharterLimit
from node.channels import PartyGone
from node.config import load_settings
from node.membership import make_membership
from node.node import Node
from node.receipts import NotInForce, make_receipt
from node.services.contracts import draft_proposal, draft_statement, find_contract
from node.storage import checkpoints, logs, sidecars
from tests import make_folders, nodes
from tests.make_membership import charter, signed
from tests.make_peers import serving, wait_until
from tests.nodes import Founders

BY: Final = b'"test"'


@pytest.fixture(scope="module")
def founders() -> Founders:
    return nodes.found()


@pytest.fixture
def node(founders: Founders, tmp_path: Path) -> Iterator[Node]:
    """The fishery's, which may sign."""
    found = founders.join(tmp_path)
    yield found
    found.close()


def renewed(founders: Founders, *, without: Mapping[str, int] | None = None, **given: Any) -> NetworkFile:
    """The file with a second charter. without: members that have left, with the size at which their log is cut off."""
    gone = without or {}
    one = decode_charter(decode_note(founders.file.charters[0]).text)
    two: Charter = make_charter(
        network=one.network,
        members=[
            CharterMember(name=MemberName(name), keys=(ring.root.public,), threshold=1)
            for name, ring in founders.rings.items()
            if name not in gone
        ],
        f=0,
        expelled=[Expulsion(log=Origin(one.network, MemberName(name)), size=size) for name, size in gone.items()],
        previous=one,
        **given,
    )
    note = sign_charter(two, [ring.root for name, ring in founders.rings.items() if name not in gone])
    return replace(founders.file, charters=(*founders.file.charters, note))


def test_newer_charter_says_for_whom_a_start_waits(founders: Founders, tmp_path: Path) -> None:
    waiting = Node.open(founders.folder(tmp_path, "fishery"))
    try:
        waiting.adopt(founders.file)
        guard = waiting.joined.guard
        guard.heard(MemberName("carrier"), 0)
        assert guard.waiting_for == ("retailer",)
        waiting.adopt(renewed(founders, without={"retailer": 0}))
        assert guard.is_ready
    finally:
        waiting.close()


def limit(node: Node, founders: Founders, **bounds: int) -> None:
    """Have the node adopt a second charter with those limits, while it runs."""
    node.adopt(renewed(founders, network_limits=NetworkLimits(**bounds)))


def file_record(node: Node, type_name: str, body: str, contract: str | None = None) -> Any:
    """What comes of a record: where it stands, or why it was refused."""
    envelope = f'{{"type":"{type_name}","body":{body}' + (f',"contract":"{contract}"}}' if contract else "}")
    try:
        record = node.joined.intake.parse(envelope.encode(), by=BY)
    except TallyError as cause:
        return cause
    return node.append([record])()[0]


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        log = logs.find_log(tx, node.joined.origin)
    assert log is not None
    return log.size


def body_of(length: int) -> str:
    return '{"a":"' + "x" * (length - 8) + '"}'


def fields_of(count: int) -> str:
    return json.dumps({f"f{number}": number for number in range(count)})


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bound", "make"),
    [("body_bytes", 65_536, body_of), ("body_bytes", 70_000, body_of), ("record_fields", 64, fields_of)],
)
def test_record_is_recorded_up_to_the_charters_limit(
    node: Node, founders: Founders, name: str, bound: int, make: Callable[[int], str]
) -> None:
    assert isinstance(file_record(node, "note", make(bound + 1)), Appended), "the first charter allows more"
    limit(node, founders, **{name: bound})
    assert isinstance(file_record(node, "note", make(bound)), Appended)
    before = size_of(node)
    refused = file_record(node, "note", make(bound + 1))
    assert isinstance(refused, OverCharterLimit)
    assert (refused.fields["name"], refused.fields["limit"], refused.fields["got"]) == (name, bound, bound + 1)
    assert f"the charter's {name} is {bound}" in str(refused)
    assert isinstance(refused, TooLarge), "over HTTP it is a 413"
    assert size_of(node) == before


@pytest.mark.slow
def test_record_has_so_many_readers_as_the_charter_allows(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    body = '{"weight":1,"kind":"cod"}'
    assert isinstance(file_record(node, "catch", body, contract), Appended)
    limit(node, founders, record_readers=3)
    assert isinstance(file_record(node, "catch", body, contract), Appended)
    second = renewed(founders, network_limits=NetworkLimits(record_readers=3))
    node.adopt(_next(founders, second, record_readers=2))
    refused = file_record(node, "catch", body, contract)
    assert isinstance(refused, OverCharterLimit)
    assert (refused.fields["name"], refused.fields["got"]) == ("record_readers", 3)
    assert isinstance(file_record(node, "catch", '{"kind":"cod"}', contract), Appended), "this one has two readers"


def _next(founders: Founders, file: NetworkFile, **bounds: int) -> NetworkFile:
    two = decode_charter(decode_note(file.charters[-1]).text)
    three = make_charter(
        network=two.network, members=two.members, f=0, previous=two, network_limits=NetworkLimits(**bounds)
    )
    note = sign_charter(three, [ring.root for ring in founders.rings.values()])
    return replace(file, charters=(*file.charters, note))


FIVE: Final = '''"""Five audiences."""
ROLES = {"catcher", "buyer", "carrier"}
SIGNERS = set()
AUTHORS = {"catch": {"catcher"}}
SHARES = {"catch": {"/a": {"catcher", "buyer"}, "/b": {"catcher", "carrier"}, "/c": {"catcher", "buyer", "carrier"}}}
'''


def test_record_has_so_many_sections_as_the_charter_allows(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node, FIVE, catcher=["fishery"], buyer=["retailer"], carrier=["carrier"])
    limit(node, founders, record_sections=4)
    assert isinstance(file_record(node, "catch", '{"a":1,"b":2}', contract), Appended), "0, two shared, the author's"
    refused = file_record(node, "catch", '{"a":1,"b":2,"c":3}', contract)
    assert isinstance(refused, OverCharterLimit)
    assert (refused.fields["name"], refused.fields["got"]) == ("record_sections", 5)


@pytest.mark.slow
def test_partners_system_is_told_which_limit_it_was(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    limit(node, founders, record_readers=2, record_fields=64)

    async def story(door: nodes.Door) -> None:
        answer = await door.file({"type": "catch", "contract": contract, "body": {"weight": 1}})
        assert (answer.status_code, answer.json()["code"], answer.json()["name"]) == (
            413, "over-charter-limit", "record_readers",
        )  # fmt: skip
        lines = b"".join(b'{"type":"note","body":%b}\n' % fields_of(count).encode() for count in (64, 65, 1))
        found = await door.file_lines(lines)
        assert [line.get("problem", line).get("code", "recorded") for line in found] == [
            "recorded",
            "over-charter-limit",
            "recorded",
        ]

    nodes.ask(node, story)


@pytest.mark.slow
def test_partners_system_is_told_that_a_party_has_left(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    node.adopt(renewed(founders, without={"retailer": 0}))

    async def story(door: nodes.Door) -> None:
        answer = await door.file({"type": "catch", "contract": contract, "body": {"kind": "cod"}})
        assert (answer.status_code, answer.json()["code"], answer.json()["member"]) == (403, "party-gone", "retailer")
        await door.post(f"/api/v1/contracts/{contract}/end", {})
        shown = await door.get(f"/api/v1/contracts/{contract}")
        assert shown["status"] == "ended"

    nodes.ask(node, story)


def test_refused_record_does_not_hold_up_its_batch(node: Node, founders: Founders) -> None:
    limit(node, founders, record_fields=64)
    parse = node.joined.intake.parse
    records = [parse(b'{"type":"note","body":%b}' % fields_of(n).encode(), by=BY) for n in (64, 65, 3)]
    outcomes = node.append(records)()
    assert [type(outcome) for outcome in outcomes] == [Appended, OverCharterLimit, Appended]


@pytest.mark.slow
def test_proposal_is_bound_by_the_charter_and_whoever_wants_out_is_heard(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    limit(node, founders, record_readers=2, body_bytes=65_536)
    parties = {"catcher": ["fishery"], "buyer": ["retailer"], "carrier": ["carrier"]}
    proposal = json.dumps({"source": nodes.SHARING, "terms": {}, "parties": parties}).encode()
    with pytest.raises(OverCharterLimit) as caught:
        node.append_one(draft_proposal(node, proposal, by=BY))
    assert caught.value.fields["name"] == "record_readers"
    long = json.dumps({"source": nodes.SHARING, "terms": {"x": "y" * 65_536}, "parties": parties}).encode()
    with pytest.raises(OverCharterLimit) as caught:
        draft_proposal(node, long, by=BY)
    assert caught.value.fields["name"] == "body_bytes"
    draft = draft_statement(node, find_contract(node, contract), agree.END, by=BY)
    assert draft is not None
    node.append_one(draft)
    assert node.agreements.get(bytes.fromhex(contract)).status is agree.Status.ENDED


@pytest.mark.slow
def test_record_beyond_the_readers_charter_is_kept_and_cosigned(tmp_path: Path) -> None:
    """The council lowered a limit, and the author does not know yet: to refuse its entry would split the network."""
    ports = make_folders.free_ports(2)
    names = ("fishery", "retailer")
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in zip(names, ports, strict=True)}
    founded = make_folders.found(tmp_path, *names, endpoints=endpoints)
    for name, port in zip(names, ports, strict=True):
        with (founded.folders[name] / "tally.toml").open("a") as file:
            file.write(f"port = {port}\n")
        assert load_settings(founded.folders[name]).port == port
    members = [founded.firms[name] for name in names]
    one = decode_charter(decode_note(founded.file.charters[0]).text)
    two = charter(members, previous=one, network_limits=NetworkLimits(record_fields=64))
    stricter = replace(founded.file, charters=(*founded.file.charters, signed(two, members)))
    with serving(*founded.folders.values()) as (fishery, retailer):
        parties = {"shipper": ["fishery"], "receiver": ["retailer"], "insurer": ["retailer"]}
        contract = fishery.agree([retailer], parties)
        retailer.node.adopt(stricter)
        placed = fishery.ship(1, contract, **{f"f{number}": number for number in range(100)})
        wait_until(lambda: retailer.holds("fishery", placed.index + 1), "it is held", 60)
        wait_until(lambda: fishery.cosigned("fishery", "retailer") > placed.index, "and cosigned", 60)
        assert retailer.gaps("fishery") == {}
        assert retailer.body("fishery", placed.index)["f99"] == 99
        assert retailer.findings() == []


# --- members that have left -------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_is_sealed_to_a_party_that_has_left(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    assert isinstance(file_record(node, "catch", '{"kind":"cod"}', contract), Appended)
    envelope = b'{"type":"catch","body":{"kind":"eel"},"contract":"%b"}' % contract.encode()
    queued: NewRecord = node.joined.intake.parse(envelope, by=BY)
    channels = channel_readers(node)
    node.adopt(renewed(founders, without={"retailer": 0}))
    before = size_of(node)
    for outcome in (file_record(node, "catch", '{"kind":"cod"}', contract), *node.append([queued])()):
        assert isinstance(outcome, PartyGone)
        assert outcome.fields["member"] == "retailer"
    assert size_of(node) == before
    assert channel_readers(node) == channels, "no channel to it was opened either"
    assert isinstance(file_record(node, "note", '{"kind":"cod"}'), Appended)


def channel_readers(node: Node) -> list[str]:
    with node.store.read() as tx:
        return sorted(channel.reader for channel in sidecars.list_channels(tx).values())


@pytest.mark.slow
def test_contract_with_a_party_that_has_left_is_ended_by_those_who_stay(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    node.adopt(renewed(founders, without={"retailer": 0}))
    draft = draft_statement(node, find_contract(node, contract), agree.END, by=BY)
    assert draft is not None
    placed = node.append_one(draft)
    with node.store.read() as tx:
        sidecar = sidecars.read_sidecar(tx, node.find_log(tx, "fishery").number, placed.index)
        assert sidecar is not None
        numbers = sidecars.list_channels(tx)
        readers = {numbers[wrap.channel_number].reader for wrap in sidecar.wraps}
    assert readers == {"fishery", "carrier"}
    assert node.agreements.get(bytes.fromhex(contract)).status is agree.Status.ENDED


@pytest.mark.slow
def test_nobody_accepts_towards_a_party_that_has_left(node: Node, founders: Founders) -> None:
    contract = nodes.agree(node)
    found = node.agreements.get(bytes.fromhex(contract))
    node.adopt(renewed(founders, without={"retailer": 0}))
    with pytest.raises(PartyGone):
        node.append_one(agree.draft_addressed(agree.ACCEPT, agree.answer_body(found), by=BY, to=found.members))


# --- who vouches ------------------------------------------------------------------------------


def vouch(node: Node, founders: Founders, author: str, name: str) -> int:
    """Have `name` cosign the newest checkpoint of the author's log; returns its size."""
    with node.store.read() as tx:
        log = node.find_log(tx, author)
    assert log.checkpoint is not None
    text = decode_note(log.checkpoint).text
    line = encode_note(Note(text, (cosign(text, founders.rings[name].witness, 1_800_000_000),)))
    with node.store.write("sync-cosign") as tx:
        checkpoints.keep_cosignature(
            tx, log.number, member=MemberName(name), size=log.checkpoint_size, line=line[len(text.encode()) + 1 :]
        )
    return log.checkpoint_size


def cosigners(receipt: Receipt, node: Node) -> set[str]:
    return set(verify_receipt(receipt, trust=node.membership.network_id, witnesses=1).cosigners)


@pytest.mark.slow
def test_receipt_counts_those_who_are_still_there(node: Node, founders: Founders) -> None:
    """The newest checkpoint, and the one with most lines, is vouched for by one that left: it counts for nothing."""
    placed = file_record(node, "note", '{"a":1}')
    early = vouch(node, founders, "fishery", "carrier")
    file_record(node, "note", '{"a":2}')
    vouch(node, founders, "fishery", "retailer")
    file_record(node, "note", '{"a":3}')
    vouch(node, founders, "fishery", "retailer")
    both = vouch(node, founders, "fishery", "carrier")
    file_record(node, "note", '{"a":4}')
    late = vouch(node, founders, "fishery", "retailer")
    receipt = make_receipt(node, "fishery", placed.index, ["/a"])
    assert cosigners(receipt, node) == {"carrier", "retailer"}
    node.adopt(renewed(founders, without={"retailer": 0}))
    receipt = make_receipt(node, "fishery", placed.index, ["/a"])
    assert cosigners(receipt, node) == {"carrier"}
    assert decode_note(receipt.proof.note).text.split("\n")[1] == str(both)
    assert b"retailer" not in receipt.proof.note
    assert early < both < late


@pytest.mark.slow
def test_no_receipt_is_made_above_the_cut_off_of_a_log(node: Node, founders: Founders) -> None:
    """Below it stays valid what was; above, no verifier would take one."""
    for number in range(3):
        file_record(node, "note", f'{{"a":{number}}}')
    vouch(node, founders, "fishery", "carrier")
    # The fishery's own node would not adopt a charter without it; any other one of the network would.
    node._membership = node.membership.renewed(make_membership(renewed(founders, without={"fishery": 2})))
    assert cosigners(make_receipt(node, "fishery", 1, ["/a"]), node) == {"carrier"}
    with pytest.raises(NotInForce):
        make_receipt(node, "fishery", 2, ["/a"])
