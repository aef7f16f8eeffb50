"""Statements of members, as others would write them (docs/spec/agreements.md): which count, and what they come to."""

from __future__ import annotations

import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.entry import SlotKind, decode_entry, make_slot
from ledger.merkle import leaf_hash
from ledger.names import Digest, MemberName, Origin, decode_b64
from ledger.record import Opened
from ledger.record.meta import decode_meta, encode_meta
from node.agreements import Agreements, answer_body
from node.contract import ACCEPT, DECLINE, END, PROPOSE
from node.reader import ReadRecord
from node.statements import take_statement
from tests.make import record_id
from tests.source import ROOT
from tests.vectors.make_agreements import render

FILE: Final = Path(__file__).parent / "vectors" / "agreements.json"
VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())
ENTRY: Final = decode_entry(VECTORS["entry"].encode())
ID: Final = Digest(bytes.fromhex(VECTORS["contract"]))
PARTIES: Final = ("fishery", "processor", "retailer")
PLAIN: Final = VECTORS["proposals"][0]
COMES_TO: Final = {ACCEPT: "active", DECLINE: "declined", END: "ended"}


def record(item: dict[str, Any], leaf: Digest) -> ReadRecord:
    """The statement as a reader has it who opened all of it."""
    meta = decode_meta(tuple((name, text.encode()) for name, text in item["section_zero"].items()))
    return ReadRecord(
        origin=Origin(ENTRY.log.network, MemberName(item["author"])), index=ENTRY.index, leaf=leaf, id=record_id("s"),
        state="open", opened=Opened(meta=meta, sections={}, seeds={}), body=item["body"].encode(),
    )  # fmt: skip


def type_of(item: dict[str, Any]) -> str:
    found: str = json.loads(item["section_zero"]["type"])
    return found


def answer_of(type_name: str, author: str) -> dict[str, Any]:
    """The plain answer of that type, given by `author`."""
    plain = next(item for item in VECTORS["answers"] if type_of(item) == type_name)
    return {**plain, "author": author}


def heard(*statements: dict[str, Any]) -> str:
    """The status after these; "" if there is no such contract."""
    found = Agreements()
    for item in statements:
        take_statement(found, record(item, ID if type_of(item) == PROPOSE else Digest(bytes(32))))
    return next((str(contract.status) for contract in found.list() if contract.id == ID), "")


def others_accept(author: str) -> list[dict[str, Any]]:
    return [answer_of(ACCEPT, name) for name in PARTIES if name != author]


def test_vectors_are_what_the_page_says() -> None:
    # A change here is a new version of the format, not a new file.
    assert render() == FILE.read_text()


def test_id_of_a_contract_is_the_leaf_hash_of_its_proposals_entry() -> None:
    assert leaf_hash(VECTORS["entry"].encode()) == ID


@pytest.mark.parametrize("item", VECTORS["proposals"], ids=lambda item: item["why"])
def test_proposal_of_a_vector_counts(item: dict[str, Any]) -> None:
    accepted = [answer_of(ACCEPT, name) for name in PARTIES]
    assert heard(item, *accepted) == item["status"]
    assert heard(*accepted, item) == item["status"]
    found = Agreements()
    take_statement(found, record(item, ID))
    contract, body = found.get(ID), json.loads(item["body"])
    assert {role: list(names) for role, names in contract.parties.items()} == body["parties"]
    assert (contract.source_text, contract.secret) == (body["source"], decode_b64(body["secret"]))


@pytest.mark.parametrize("item", VECTORS["refused_proposals"], ids=lambda item: item["why"])
def test_what_is_no_proposal_counts_for_nothing(item: dict[str, Any]) -> None:
    assert heard(item, *[answer_of(ACCEPT, name) for name in PARTIES]) == ""


@pytest.mark.parametrize("item", VECTORS["answers"], ids=lambda item: item["why"])
def test_answer_of_a_vector_counts(item: dict[str, Any]) -> None:
    assert heard(PLAIN, *others_accept(item["author"]), item) == COMES_TO[type_of(item)]


@pytest.mark.parametrize("item", VECTORS["refused_answers"], ids=lambda item: item["why"])
def test_what_is_no_answer_counts_for_nothing(item: dict[str, Any]) -> None:
    before = [PLAIN, *others_accept("retailer")]
    assert heard(*before, item) == heard(*before) == "proposed"
    assert heard(*before, answer_of(ACCEPT, "retailer"), item) == "active"


@pytest.mark.parametrize("item", VECTORS["outcomes"], ids=lambda item: f"{item['status']} {item['said']}")
def test_status_of_a_vector_follows_in_whatever_order(item: dict[str, Any]) -> None:
    said = [PLAIN, *(answer_of(type_name, author) for type_name, author in item["said"])]
    assert {heard(*order) for order in permutations(said)} == {item["status"]}


@pytest.mark.parametrize("item", VECTORS["slots"], ids=lambda item: f"{item['signer']} {item['kind']}")
def test_slot_of_a_vector(item: dict[str, Any]) -> None:
    secret = decode_b64(json.loads(PLAIN["body"])["secret"])
    found = make_slot(
        SlotKind(item["kind"]),
        secret=secret,
        contract=ID,
        signer=item["signer"],
        term=item["term"],
        batch=item["batch"],
    )
    assert found.hex() == item["slot"]


def test_the_nodes_own_answer_is_that_of_the_vectors() -> None:
    found = Agreements()
    take_statement(found, record(PLAIN, ID))
    answer = answer_of(ACCEPT, "retailer")
    assert json.loads(answer_body(found.get(ID))) == json.loads(answer["body"])
    meta = record(answer, ID).meta
    assert meta is not None
    assert {name: text.decode() for name, text in encode_meta(meta)} == answer["section_zero"]


def test_types_of_the_page_are_those_of_the_vectors() -> None:
    page = (ROOT / "docs" / "spec" / "agreements.md").read_text()
    shown = set(re.findall(r"^\| `(tally/[a-z]+)` \|", page, re.MULTILINE))
    assert shown == {type_of(item) for item in (PLAIN, *VECTORS["answers"])} == {PROPOSE, *COMES_TO}
