"""Agreements (docs/spec/agreements.md): what a set of statements comes to, whatever order it arrives in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import TallyError
from ledger.names import Digest, MemberName, NetworkName, Origin, encode_b64, sha256
from ledger.record import Meta, Opened
from node.agreements import (
    ACCEPT,
    DECLINE,
    END,
    PROPOSE,
    Agreements,
    Contract,
    ContractNotActive,
    ProposalBroken,
    RoleNotAllowed,
    Status,
    TypeUnknown,
    decode_proposal,
    named_contract,
)
from node.reader import ReadRecord
from node.statements import take_statement
from tests.make import record_id
from tests.source import ROOT

PARTIES: Final = {"catcher": ["fishery"], "buyer": ["processor", "retailer"]}
NAMES: Final = ("fishery", "processor", "retailer")
SOURCE: Final = '''"""Share landings."""
ROLES = {"catcher", "buyer"}
SIGNERS = set()
AUTHORS = {"landing": {"catcher"}, "offer": {"buyer"}}
SHARES = {"landing": {"/*": {"catcher", "buyer"}}, "offer": {"/*": {"catcher", "buyer"}}}
'''
SECRET: Final = encode_b64(sha256(b"secret"))
ID: Final = Digest(sha256(b"the entry of the proposal"))
Said = tuple[str, str]


def proposal(**changes: Any) -> bytes:
    value = {"source": SOURCE, "terms": {}, "parties": PARTIES, "secret": SECRET, **changes}
    return json.dumps({name: item for name, item in value.items() if item is not ...}).encode()


def decoded(body: bytes | None = None, proposer: str = "fishery") -> Contract:
    return decode_proposal(
        proposal() if body is None else body, contract_id=ID, record=record_id("p"), log="cold-chain.example/fishery",
        index=3, proposer=MemberName(proposer),
    )  # fmt: skip


def after(*said: Said, proposed_at: int = 0) -> Contract:
    """The contract after statements in this order; the proposal arrives before number `proposed_at`."""
    found = Agreements()
    for number, (type_name, member) in enumerate(said):
        if number == proposed_at:
            found.propose(decoded())
        found.state(ID, type_name, MemberName(member))
    found.propose(decoded())
    return found.get(ID)


# --- what it comes to ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "ended_by"),
    [
        ([], Status.PROPOSED, None),
        ([(ACCEPT, "retailer")], Status.PROPOSED, None),
        ([(ACCEPT, "retailer"), (ACCEPT, "processor")], Status.ACTIVE, None),
        ([(ACCEPT, "retailer"), (DECLINE, "processor")], Status.DECLINED, "processor"),
        ([(ACCEPT, "retailer"), (ACCEPT, "processor"), (END, "retailer")], Status.ENDED, "retailer"),
        ([(END, "fishery")], Status.ENDED, "fishery"),
        ([(ACCEPT, "retailer"), (ACCEPT, "processor"), (DECLINE, "retailer")], Status.DECLINED, "retailer"),
        ([(DECLINE, "retailer"), (END, "processor")], Status.DECLINED, "retailer"),
        ([(DECLINE, "fishery")], Status.DECLINED, "fishery"),
        ([(ACCEPT, "carrier"), (END, "carrier"), (DECLINE, "carrier")], Status.PROPOSED, None),
    ],
)
def test_status_follows_from_what_was_said_in_any_order(
    said: Sequence[Said], status: Status, ended_by: str | None
) -> None:
    for order in permutations(said):
        for proposed_at in range(len(said) + 1):
            found = after(*order, proposed_at=proposed_at)
            assert (found.status, found.ended_by) == (status, ended_by), (order, proposed_at)


@given(st.lists(st.tuples(st.sampled_from([ACCEPT, DECLINE, END]), st.sampled_from([*NAMES, "carrier"])), max_size=8))
def test_nodes_with_the_same_statements_agree(said: list[Said]) -> None:
    one, other = after(*said), after(*reversed(said), *said, proposed_at=len(said) // 2)
    assert (one.status, one.accepted, one.ended_by) == (other.status, other.accepted, other.ended_by)
    spoke = {type_name for type_name, member in said if member in NAMES}
    if spoke & {DECLINE, END}:
        assert one.status in (Status.DECLINED, Status.ENDED)


def test_who_is_still_missing_is_told() -> None:
    assert after().waiting_for == ("processor", "retailer")
    assert after((ACCEPT, "retailer")).waiting_for == ("processor",)
    assert after((ACCEPT, "retailer"), (END, "processor")).waiting_for == ()


def test_second_proposal_of_one_id_changes_nothing() -> None:
    found = Agreements()
    found.propose(decoded())
    found.propose(decoded(proposal(parties={"catcher": ["fishery"], "buyer": ["retailer"]})))
    assert found.get(ID).members == NAMES
    assert len(found.list()) == 1


def test_records_are_filed_under_an_active_contract_alone() -> None:
    found = Agreements()
    found.propose(decoded())
    fishery = MemberName("fishery")
    with pytest.raises(ContractNotActive):
        found.statement(found.get(ID), "landing", None, author=fishery)
    for name in NAMES[1:]:
        found.state(ID, ACCEPT, MemberName(name))
    statement = found.statement(found.get(ID), "landing", None, author=fishery)
    assert (statement.role, statement.contract) == ("catcher", ID)
    assert found.statement(found.get(ID), "landing", None, author=fishery) is statement
    for type_name, role, error in (
        ("rumour", None, TypeUnknown),
        ("offer", None, RoleNotAllowed),
        ("landing", "buyer", RoleNotAllowed),
    ):
        with pytest.raises(error):
            found.statement(found.get(ID), type_name, role, author=fishery)
    found.state(ID, END, MemberName("retailer"))
    with pytest.raises(ContractNotActive):
        found.statement(found.get(ID), "landing", None, author=fishery)


# --- what one party is told, all are ---------------------------------------------------------


def record(
    type_name: str, body: bytes, *, author: str = "fishery", audience: Sequence[Sequence[str]], version: int = 1
) -> ReadRecord:
    """A statement as a reader has it. audience: of each shared section."""
    shared = tuple(tuple(f"@{name}" if name in NAMES else name for name in names) for names in audience)
    everyone = tuple(sorted({name for names in shared for name in names}))
    meta = Meta(type=type_name, contract=None, role=None, audience=(everyone, *shared, ()), version=version)
    return ReadRecord(
        origin=Origin(NetworkName("cold-chain.example"), MemberName(author)), index=3, leaf=ID, id=record_id("p"),
        state="open", opened=Opened(meta=meta, sections={}, seeds={}), body=body,
    )  # fmt: skip


def heard(*records: ReadRecord) -> Agreements:
    found = Agreements()
    for item in records:
        take_statement(found, item)
    return found


ACCEPTED: Final = json.dumps({"contract": encode_b64(ID)}).encode()


def test_statements_to_all_parties_count() -> None:
    found = heard(
        record(PROPOSE, proposal(), audience=[NAMES]),
        record(ACCEPT, ACCEPTED, author="retailer", audience=[NAMES]),
        record(ACCEPT, ACCEPTED, author="processor", audience=[NAMES]),
    )
    assert found.get(ID).status is Status.ACTIVE


@pytest.mark.parametrize(
    "audience",
    [
        [NAMES[:2]],
        [NAMES[:2], NAMES[2:]],
        [NAMES, NAMES[1:]],
        [("catcher", "buyer")],
        [],
    ],
)
def test_proposal_that_could_tell_each_party_another_thing_is_none(audience: Sequence[Sequence[str]]) -> None:
    """Sections for different readers under one entry: the parties would accept different contracts by one id."""
    assert heard(record(PROPOSE, proposal(), audience=audience)).list() == []


def test_acceptance_that_not_all_parties_are_told_of_binds_nobody() -> None:
    to_all = record(PROPOSE, proposal(), audience=[NAMES])
    other = record(ACCEPT, ACCEPTED, author="processor", audience=[NAMES])
    for audience in ([("fishery",)], [("fishery",), ("processor",)], [NAMES, ("fishery",)]):
        whispered = record(ACCEPT, ACCEPTED, author="retailer", audience=audience)
        for order in permutations([to_all, other, whispered]):
            assert heard(*order).get(ID).status is Status.PROPOSED


@pytest.mark.parametrize(("type_name", "status"), [(DECLINE, Status.DECLINED), (END, Status.ENDED)])
def test_notice_counts_for_whoever_hears_of_it(type_name: str, status: Status) -> None:
    to_all = record(PROPOSE, proposal(), audience=[NAMES])
    whispered = record(type_name, ACCEPTED, author="retailer", audience=[("fishery",)])
    assert heard(to_all, whispered).get(ID).status is status


def test_only_an_author_speaks_for_itself() -> None:
    """The carrier writes an acceptance; whatever it says, it is the carrier's."""
    found = heard(
        record(PROPOSE, proposal(), audience=[NAMES]),
        record(ACCEPT, b'{"contract":"' + encode_b64(ID).encode() + b'","member":"retailer"}', author="carrier",
               audience=[NAMES]),
    )  # fmt: skip
    assert found.get(ID).accepted == {"fishery"}


# --- what this version does not wholly understand ----------------------------------------------


@pytest.mark.parametrize("version", [2, 7])
def test_statement_of_another_version_counts_for_nothing(version: int) -> None:
    """What a later version means by it, a node of this one cannot know: it would accept another contract."""
    to_all: Any = {"audience": [NAMES]}
    proposed = record(PROPOSE, proposal(), **to_all)
    assert heard(record(PROPOSE, proposal(), version=version, **to_all)).list() == []
    for word in (ACCEPT, DECLINE, END):
        said = [record(word, ACCEPTED, author=name, version=version, **to_all) for name in NAMES]
        found = heard(proposed, *said).get(ID)
        assert (found.status, found.accepted) == (Status.PROPOSED, {"fishery"})


def test_proposal_with_a_further_member_is_none() -> None:
    for name in ("engine", "sequencer", "v", "signers"):
        with pytest.raises(ProposalBroken, match="no others"):
            decoded(proposal(**{name: 1}))
        assert heard(record(PROPOSE, proposal(**{name: 1}), audience=[NAMES])).list() == []
    assert decoded(proposal(terms=...)).status is Status.PROPOSED, "a proposal without terms is whole"


def test_acceptance_with_a_further_member_counts_for_nothing_and_a_notice_with_one_counts() -> None:
    more = json.dumps({"contract": encode_b64(ID), "until": 7}).encode()
    proposed = record(PROPOSE, proposal(), audience=[NAMES])
    for word, status in ((DECLINE, Status.DECLINED), (END, Status.ENDED)):
        assert heard(proposed, record(word, more, author="retailer", audience=[NAMES])).get(ID).status is status
    found = heard(proposed, record(ACCEPT, more, author="retailer", audience=[NAMES])).get(ID)
    assert found.accepted == {"fishery"}


WITH_CODE: Final = SOURCE.replace("SIGNERS = set()", 'SIGNERS = {"catcher"}') + "def {}(*given): return None\n"


@pytest.mark.parametrize("function", ["share", "key", "apply", "summary", "migrate"])
def test_contract_with_code_is_known_and_never_active(function: str) -> None:
    source = WITH_CODE.replace("{}(", f"{function}(")
    found = heard(
        record(PROPOSE, proposal(source=source), audience=[NAMES]),
        *[record(ACCEPT, ACCEPTED, author=name, audience=[NAMES]) for name in NAMES],
    )
    contract = found.get(ID)
    assert (contract.status, contract.accepted, contract.waiting_for) == (Status.UNSUPPORTED, set(NAMES), ())
    with pytest.raises(ContractNotActive):
        found.statement(contract, "landing", None, author=MemberName("fishery"))
    found.state(ID, END, MemberName("retailer"))
    assert found.get(ID).status is Status.ENDED, "notice is heard all the same"


# --- malformed statements ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"source": ...}, {"source": 7}, {"source": "not Python ("}, {"source": SOURCE.replace("SHARES", "SHARED")},
        {"parties": ...}, {"parties": []}, {"parties": {}}, {"parties": {"catcher": ["fishery"]}},
        {"parties": {**PARTIES, "auditor": ["bank"]}}, {"parties": {**PARTIES, "buyer": []}},
        {"parties": {**PARTIES, "buyer": "retailer"}}, {"parties": {**PARTIES, "buyer": {"retailer": 1}}},
        {"parties": {**PARTIES, "buyer": [7]}}, {"parties": {**PARTIES, "buyer": [None, "retailer"]}},
        {"parties": {**PARTIES, "buyer": [["retailer"]]}}, {"parties": {**PARTIES, "buyer": ["Retailer"]}},
        {"parties": {**PARTIES, "buyer": ["re tailer"]}}, {"parties": {**PARTIES, "catcher": ["carrier"]}},
        {"parties": {**PARTIES, "buyer": ["processor", "retailer", "processor"]}},
        {"secret": ...}, {"secret": 7}, {"secret": SECRET[:-4]}, {"secret": SECRET[:-1]}, {"secret": "*" * 44},
    ],
)  # fmt: skip
def test_malformed_proposal_is_refused_with_its_reason(change: dict[str, Any]) -> None:
    with pytest.raises(ProposalBroken):
        decoded(proposal(**change))
    assert heard(record(PROPOSE, proposal(**change), audience=[NAMES])).list() == []


_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.sampled_from([*NAMES, SOURCE, SECRET]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["catcher", "buyer", "x"]), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    st.dictionaries(st.sampled_from(["source", "terms", "parties", "secret"]), _JSON), st.sampled_from([PROPOSE, END])
)
def test_no_body_of_a_statement_brings_a_node_down(changes: Mapping[str, Any], type_name: str) -> None:
    """Whatever a member writes there is read or passed over: else it could stop every node that it addresses."""
    body = proposal(**changes)
    heard(record(type_name, body, audience=[NAMES]))
    try:
        found = decoded(body)
    except ProposalBroken:
        return
    assert found.accepted <= set(found.members)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"x"', b"{}", b'{"contract":7}', b'{"contract":"QUJD"}'])
def test_malformed_answer_is_refused(body: bytes) -> None:
    with pytest.raises(TallyError):
        named_contract(body, END)
    for type_name in (PROPOSE, ACCEPT, DECLINE, END):
        assert heard(record(type_name, body, author="retailer", audience=[NAMES])).list() == []


def test_page_tells_every_statement_and_status() -> None:
    page = (ROOT / "docs" / "spec" / "agreements.md").read_text(encoding="utf-8")
    for name in (PROPOSE, ACCEPT, DECLINE, END, *Status):
        assert f"| `{name}` |" in page
