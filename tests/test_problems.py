"""Sharing is enforced twice: what an author seals otherwise than its contract says, its readers' nodes tell.

Spec: docs/spec/agreements.md, "What a reader's node compares".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import PatternOnElement
from ledger.fields import audience_of, compile_rules, cut
from ledger.jsontext import members
from ledger.names import Digest, MemberName, NetworkName, Origin, encode_b64, sha256
from ledger.record import Draft, Meta, Opened, Statement
from node.agreements import ACCEPT, DECLINE, END, PROPOSE, Agreements, Contract
from node.append import Appended, NewRecord
from node.cli.records import describe_problem
from node.node import Node
from node.problems import CODES, PASSING, Judge, Problem
from node.reader import ReadRecord
from node.services import records
from node.storage.viewstore import VIEWS_NAME, ViewStore
from node.views.search import Filters
from node.views.worker import open_projector
from tests.make import record_id
from tests.make_folders import answer, found, proposal
from tests.simulator import Machine, Simulation
from tests.source import ROOT
from tests.test_agreements import ID, decoded
from tests.test_agreements import proposal as proposal_body
from tests.test_fields import Shares, bodies, shares

pytestmark = pytest.mark.slow

FIRMS: Final = ("carrier", "fishery", "processor", "retailer")
PARTIES: Final = {
    "catcher": ["fishery"], "buyer": ["processor", "retailer"], "carrier": ["carrier"], "auditor": ["processor"],
}  # fmt: skip
SOURCE: Final = '''"""Share catches."""
ROLES = {"catcher", "buyer", "carrier", "auditor"}
SIGNERS = set()
AUTHORS = {"catch": {"catcher"}, "offer": {"buyer"}}
SHARES = {
    "catch": {
        "/*": {"catcher", "buyer"},
        "/weight": {"catcher", "buyer", "carrier"},
        "/lines/*/price": {"buyer", "auditor"},
        "/seal": {"auditor"},
        "/cost": set(),
    },
    "offer": {"/*": {"buyer", "catcher"}},
}
'''
HONEST: Final = {"weight": 7, "port": "Bergen", "lines": [{"price": 1, "n": 2}], "seal": "x", "cost": 3}
GIVEN: Final = {role: tuple(MemberName(name) for name in names) for role, names in PARTIES.items()}
BOTH: Final = ("buyer", "catcher")
Field = tuple[str, bytes, Sequence[str]]


@dataclass(frozen=True)
class Lie:
    """A record that no honest node would make. readers: whom the author wraps the sections of a role to."""

    fields: Sequence[Field] = (("/port", b'"Bergen"', BOTH),)
    type: str = "catch"
    role: str | None = "catcher"
    contract: bytes | None = b"agreed"
    readers: Mapping[str, Sequence[str]] | None = None

    def draft(self, agreed: Digest) -> Draft:
        readers = GIVEN | {name: tuple(map(MemberName, who)) for name, who in (self.readers or {}).items()}
        contract = agreed if self.contract == b"agreed" else self.contract
        statement = Statement(
            type=self.type, contract=None if contract is None else Digest(contract), role=self.role, readers=readers
        )
        return Draft(statement, b'"liar"', [(name, text, frozenset(who)) for name, text, who in self.fields])


# Each lie of the fishery, and what the named reader finds: (reader, code, section, field, who).
LIES: Final[dict[str, tuple[Lie, list[tuple[str, str, int | None, str | None, list[str]]]]]] = {
    "wider": (
        Lie([("/port", b"1", ("buyer", "carrier", "catcher"))]),
        [
            ("processor", "audience-wider", 1, "/port", ["carrier"]),
            ("carrier", "audience-wider", 1, "/port", ["carrier"]),
        ],
    ),
    "wider, to one that the contract does not name": (
        Lie([("/port", b"1", ("@carrier", "buyer", "catcher"))], readers={"@carrier": ["carrier"]}),
        [("processor", "audience-wider", 1, "/port", ["@carrier"])],
    ),
    "what is nobody's": (
        Lie([("/cost", b"1", BOTH)]),
        [("retailer", "audience-wider", 1, "/cost", ["buyer", "catcher"])],
    ),
    "narrower": (
        Lie([("/weight", b"1", BOTH)]),
        [("processor", "audience-narrower", 1, "/weight", ["carrier"])],
    ),
    "a part not cut out": (
        Lie([("/lines", b'[{"n":1},{"price":1}]', BOTH)]),
        [
            ("retailer", "audience-wider", 1, "/lines/1/price", ["catcher"]),
            ("retailer", "audience-narrower", 1, "/lines/1/price", ["auditor"]),
        ],
    ),
    "an audience of no rule, for others": (
        Lie([("/port", b"1", BOTH), ("/whisper", b"2", ("carrier",))]),
        [
            ("processor", "audience-foreign", 2, None, ["carrier"]),
            ("carrier", "audience-wider", 2, "/whisper", ["carrier"]),
            ("carrier", "audience-narrower", 2, "/whisper", ["buyer", "catcher"]),
        ],
    ),
    "an unknown type": (Lie(type="rumour"), [("processor", "type-unknown", None, None, [])]),
    "a role of others": (
        Lie(type="offer", role="buyer"),
        [("processor", "role-not-held", None, None, ["buyer"])],
    ),
    "no role": (Lie(role=None), [("processor", "role-not-held", None, None, [])]),
    "a role that may not": (
        Lie(type="offer"),
        [("processor", "role-not-author", None, None, ["catcher"])],
    ),
    "no contract": (
        Lie([("/port", b"1", ("@processor",))], contract=None, role=None, readers={"@processor": ["processor"]}),
        [("processor", "contract-missing", None, None, ["@processor"])],
    ),
    "another contract": (
        Lie(contract=sha256(b"never proposed")),
        [("processor", "contract-unknown", None, None, [])],
    ),
    "kept from one reader of its own": (
        Lie([("/port", b"1", BOTH), ("/seal", b"2", ("auditor",))], readers={"auditor": ["carrier"]}),
        [("processor", "section-owed", 1, None, ["auditor"]), ("carrier", "section-not-mine", 1, None, ["auditor"])],
    ),
}  # fmt: skip


def problems(node: Node, log: str, index: int) -> list[dict[str, Any]]:
    """As the API shows them."""
    shown = json.loads(records.encode_record(records.find_record(node, log, index), node.member))
    assert shown["state"] == "open", "a record with problems is read like any other"
    found_there: list[dict[str, Any]] = shown["problems"]
    return found_there


def fill(machine: Machine) -> None:
    with closing(open_projector(machine.folder)) as projector:
        while projector.run_round():
            pass


def marked(machine: Machine, code: str) -> list[tuple[str, int]]:
    """(author, index) of the records that a search finds by a problem, once the view is filled."""
    fill(machine)
    return searched(machine, code)


def searched(machine: Machine, code: str) -> list[tuple[str, int]]:
    views = ViewStore.open_for_search(machine.folder / VIEWS_NAME)
    page = records.list_records(machine.node, views, Filters(problem=code), records.Part(newest_first=False))
    return sorted((shown.record.origin.member, shown.record.index) for shown in page.records)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    root = tmp_path_factory.mktemp("problems")
    simulation = Simulation(found(root / "founded", *FIRMS), root / "running", seed=1)
    with simulation.running():
        simulation.run_until(simulation.is_in_sync)
        yield simulation


class Story:
    """One contract, proposed by the fishery, and what is said under it."""

    def __init__(self, running: Simulation) -> None:
        self.running = running
        self.id = Digest(self.append("fishery", proposal(PARTIES, source=SOURCE)).leaf)
        self.settle()

    @property
    def contract(self) -> Contract:
        return self.running.machines["fishery"].node.agreements.get(self.id)

    def node(self, name: str) -> Node:
        return self.running.machines[name].node

    def append(self, name: str, draft: Draft) -> Appended:
        done = self.running.machines[name].append(NewRecord(draft))
        assert isinstance(done, Appended), done
        return done

    def say(self, name: str, word: str) -> int:
        return self.append(name, answer(self.contract, word)).index

    def lie(self, name: str, lie: Lie) -> int:
        return self.append(name, lie.draft(self.id)).index

    def settle(self) -> None:
        self.running.run_until(self.running.is_in_sync)


@pytest.fixture(scope="module")
def story(running: Simulation) -> Story:
    """An active contract."""
    made = Story(running)
    for name in ("carrier", "processor", "retailer"):
        made.say(name, ACCEPT)
    made.settle()
    return made


# --- one record at a time -----------------------------------------------------------------


def test_what_an_honest_node_files_has_no_problems(story: Story) -> None:
    intake = story.node("fishery").joined.intake
    bodies = [HONEST, {"weight": 1}, {"lines": []}, {"lines": {"a": {"price": {"b": 1}}}}, {"note": {"deep": [1]}}, {}]
    indexes = [
        story.append("fishery", intake.draft("catch", json.dumps(body).encode(), by=b'"x"', contract=story.id)).index
        for body in bodies
    ]
    offer = story.node("retailer").joined.intake.draft("offer", b'{"port":1}', by=b'"x"', contract=story.id)
    offered = story.append("retailer", offer).index
    story.settle()
    for name in ("carrier", "fishery", "processor", "retailer"):
        node = story.node(name)
        with node.store.read() as tx:
            log = node.find_log(tx, "fishery")
            for record in node.joined.reader.scan(tx, log, 0, log.size):
                if record.index in indexes or (record.meta is not None and record.meta.contract is None):
                    assert Judge(node.agreements.get, node.member).find_problems(record) == (), (name, record.index)
    assert problems(story.node("fishery"), "retailer", offered) == []
    everybody = {place for m in story.running.machines.values() for place in marked(m, "any")}
    assert not everybody & {("fishery", index) for index in indexes}


@pytest.mark.parametrize("case", LIES)
def test_each_way_to_share_otherwise_is_told_by_its_readers(story: Story, case: str) -> None:
    lie, expected = LIES[case]
    index = story.lie("fishery", lie)
    story.settle()
    assert problems(story.node("fishery"), "fishery", index) == [], "nobody accuses itself"
    for reader in {row[0] for row in expected}:
        due = [
            {"code": code, "section": section, "field": field, "who": who}
            for name, code, section, field, who in expected
            if name == reader
        ]
        assert problems(story.node(reader), "fishery", index) == due
        for row in due:
            assert ("fishery", index) in marked(story.running.machines[reader], str(row["code"]))
        assert ("fishery", index) in marked(story.running.machines[reader], "any")


def test_every_code_has_its_case() -> None:
    told = {row[1] for _, rows in LIES.values() for row in rows}
    assert told | {"contract-not-active", "acceptance-not-seen"} == set(CODES)


def test_codes_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "spec" / "agreements.md").read_text(encoding="utf-8")
    for code in CODES:
        assert f"| `{code}` |" in page


def test_command_line_tells_where_and_whom() -> None:
    wide = {"code": "audience-wider", "section": 2, "field": "/lines/0/price", "who": ["bank", "carrier"]}
    assert describe_problem(wide) == "problem: audience-wider: section 2: /lines/0/price: bank, carrier"
    bare: dict[str, Any] = {"code": "contract-unknown", "section": None, "field": None, "who": []}
    assert describe_problem(bare) == "problem: contract-unknown"


# --- whether there was a contract ----------------------------------------------------------


def test_records_before_the_acceptance_and_after_the_end_of_their_author_are_marked(running: Simulation) -> None:
    """And one that only came early to a reader is so only until the other acceptances are there."""
    story, offer = Story(running), Lie(type="offer", role="buyer")
    fishery = running.machines["fishery"]
    early = story.lie("processor", offer)
    story.say("retailer", ACCEPT)
    hasty = story.lie("retailer", offer)
    story.settle()
    assert ("processor", early) in marked(fishery, "contract-not-active")
    assert ("retailer", hasty) in marked(fishery, "acceptance-not-seen")
    waiting = {"code": "acceptance-not-seen", "section": None, "field": None, "who": ["@carrier", "@processor"]}
    assert problems(fishery.node, "retailer", hasty) == [waiting]
    for name in ("carrier", "processor"):
        story.say(name, ACCEPT)
    between = story.lie("processor", offer)
    story.settle()
    code: list[dict[str, Any]] = [{"code": "contract-not-active", "section": None, "field": None, "who": []}]
    assert problems(fishery.node, "processor", early) == code
    assert problems(fishery.node, "retailer", hasty) == problems(fishery.node, "processor", between) == []
    assert not {("retailer", hasty), ("processor", between)} & set(marked(fishery, "any")), "the view looked again"
    story.say("processor", END)
    late, others = story.lie("processor", offer), story.lie("retailer", offer)
    story.settle()
    assert problems(fishery.node, "processor", late) == code
    assert problems(fishery.node, "processor", between) == [], "what was filed before the end stays what it was"
    assert problems(fishery.node, "retailer", others) == [], "it may not have heard of the end yet"
    now = set(marked(fishery, "contract-not-active"))
    assert {("processor", early), ("processor", late)} <= now
    assert not {("processor", between), ("retailer", hasty), ("retailer", others)} & now


def test_a_view_judged_step_by_step_is_one_made_anew(story: Story) -> None:
    for name in FIRMS:
        machine = story.running.machines[name]
        fill(machine)
        before = {code: searched(machine, code) for code in (*CODES, "any")}
        for path in machine.folder.glob(VIEWS_NAME + "*"):
            path.unlink()
        fill(machine)
        assert {code: searched(machine, code) for code in (*CODES, "any")} == before


def test_order_of_statements_does_not_matter() -> None:
    """A later acceptance arrives first; a repeated one counts from where it stands first."""
    one, other = Agreements(), Agreements()
    said = [(ACCEPT, "processor", (1, 9)), (ACCEPT, "processor", (1, 4)), (ACCEPT, "retailer", (1, 7)),
            (END, "processor", (1, 30)), (END, "processor", (1, 20))]  # fmt: skip
    for agreements, order in ((one, said), (other, said[::-1])):
        for word, member, place in order:
            agreements.state(ID, word, MemberName(member), place=place)
        agreements.propose(decoded())
    for agreements in (one, other):
        contract = agreements.get(ID)
        bound = [index for index in range(40) if contract.binds(MemberName("processor"), (1, index))]
        assert bound == list(range(4, 21))
        assert not contract.binds(MemberName("processor"), (2, 5)), "a log of a later epoch stands behind all of it"


# --- bounds -------------------------------------------------------------------------------------


def judged(
    meta: Meta, sections: Mapping[int, list[tuple[str, bytes]]], given: bytes, *, body: bytes = b"{}", **changes: Any
) -> list[Problem]:
    """What the processor finds in a record of the fishery, under the contract of test_agreements."""
    agreements = Agreements()
    agreements.propose(decoded(proposal_body(**changes)))
    for name in ("processor", "retailer"):
        agreements.state(ID, ACCEPT, MemberName(name))
    record = ReadRecord(
        origin=Origin(NetworkName("cold-chain.example"), MemberName("fishery")), index=9, leaf=ID, id=record_id("r"),
        state="open", opened=Opened(meta=meta, sections=sections, seeds={}), given=given, body=body,
    )  # fmt: skip
    return list(Judge(agreements.get, MemberName("processor")).find_problems(record))


SHARED: Final = Meta(
    type="landing", contract=ID, role="catcher", audience=(("buyer", "catcher"), ("buyer", "catcher"), ())
)


@pytest.mark.parametrize("count", [limits.RECORD_PROBLEMS_MAX, limits.RECORD_PROBLEMS_MAX + 1])
def test_problems_of_one_record_are_bounded(count: int) -> None:
    names = [tuple(sorted({"buyer", f"r{i:02}"})) for i in range(count)]
    everyone = tuple(sorted({name for audience in names for name in audience}))
    meta = replace(SHARED, audience=(everyone, *names, ()))
    sections = {number: [(f"/{number}", b"1"), (f"/x{number}", b"1")] for number in range(1, count + 1)}
    found_there = judged(meta, {0: [], **sections}, bytes(range(count + 1)))
    assert len(found_there) == limits.RECORD_PROBLEMS_MAX
    assert len({(problem.code, problem.section) for problem in found_there}) == len(found_there)


def test_what_a_function_adds_is_not_called_wider() -> None:
    """Contracts with `share` may add readers; which, only who runs it knows."""
    source = decoded().source_text
    wider = replace(SHARED, audience=(("buyer", "catcher", "judge"), ("buyer", "catcher", "judge"), ()))
    sections = {0: [], 1: [("/port", b"1")]}
    assert [problem.code for problem in judged(wider, sections, b"\0\1")] == ["audience-wider"]
    signed = source.replace("SIGNERS = set()", 'SIGNERS = {"catcher"}')
    adding = signed + "def share(record, terms):\n    return {}\n"
    assert judged(wider, sections, b"\0\1", source=adding) == []


@pytest.mark.parametrize("type_name", ["tally/ack", "tally/end", "tally/anything"])
@pytest.mark.parametrize(("is_known", "code"), [(True, "type-unknown"), (False, "contract-unknown")])
def test_types_of_the_ledger_under_a_contract_are_compared_like_any_other(
    type_name: str, code: str, *, is_known: bool
) -> None:
    """No contract has them in SHARES, whatever contract a record names: unmarked, they would be a way to share."""
    meta = replace(SHARED, type=type_name, contract=ID if is_known else Digest(sha256(b"never proposed")))
    assert [problem.code for problem in judged(meta, {0: [], 1: [("/port", b"1")]}, b"\0\1")] == [code]


OUTSIDE: Final = replace(SHARED, contract=None, role=None)
ANSWER: Final = f'{{"contract":"{encode_b64(ID)}"}}'.encode()
STATED: Final = {PROPOSE: proposal_body(), ACCEPT: ANSWER, DECLINE: ANSWER, END: ANSWER}


def outside(type_name: str, body: bytes, **changes: Any) -> list[str]:
    """Codes of a record outside any contract that was shared with its reader."""
    meta = replace(OUTSIDE, type=type_name, **changes)
    fields = {1: [(f"/{name}", text) for name, text in members(body).items()]}
    return [problem.code for problem in judged(meta, {0: [], **fields}, b"\0\1", body=body)]


@pytest.mark.parametrize("type_name", ["tally/price-list", "tally/ack", "price-list", "tally/start"])
def test_no_type_is_a_way_to_share_outside_any_contract_but_the_statements(type_name: str) -> None:
    assert outside(type_name, b'{"port":1}') == ["contract-missing"]
    for statement, body in STATED.items():
        assert outside(statement, body) == []


@pytest.mark.parametrize("type_name", STATED)
def test_no_statement_is_a_way_to_share_more_than_it_says(type_name: str) -> None:
    body = STATED[type_name]
    for other in (b'{"price":"12.50"}', body[:-1] + b',"price":"12.50"}', b"{}", body.replace(b'="', b'"')):
        assert outside(type_name, other) == ["contract-missing"]
    assert outside(type_name, body, version=2) == ["contract-missing"]
    assert outside(type_name, body, role="catcher") == ["contract-missing"]


def test_an_acceptance_that_was_kept_from_a_reader_is_not_held_against_the_author() -> None:
    """A party wraps its acceptance for all but one: the others count the contract active, and file under it."""
    agreements, retailer = Agreements(), MemberName("retailer")
    agreements.propose(decoded())
    agreements.state(ID, ACCEPT, retailer, place=(1, 3))

    def found_by(author: str) -> list[Problem]:
        record = ReadRecord(
            origin=Origin(NetworkName("cold-chain.example"), MemberName(author)), index=9, leaf=ID,
            id=record_id("r"), state="open", given=b"\0\1",
            opened=Opened(meta=SHARED, sections={0: [], 1: [("/port", b"1")]}, seeds={}),
        )  # fmt: skip
        return [
            problem
            for problem in Judge(agreements.get, retailer).find_problems(record)
            if problem.code in ("contract-not-active", "acceptance-not-seen")
        ]

    unseen = Problem(code="acceptance-not-seen", who=("@processor",))
    assert found_by("fishery") == [unseen]
    assert [problem.code for problem in found_by("processor")] == ["contract-not-active"]
    agreements.state(ID, DECLINE, MemberName("processor"), place=(1, 20))
    assert found_by("fishery") == [unseen], "nor is what the same party says behind it"
    agreements.state(ID, ACCEPT, MemberName("processor"), place=(1, 2))
    assert found_by("fishery") == []
    agreements.state(ID, END, MemberName("fishery"), place=(1, 5))
    assert [problem.code for problem in found_by("fishery")] == ["contract-not-active"]


def test_judging_remembers_a_bounded_number_of_shapes_and_not_how_a_contract_stands() -> None:
    agreements, processor = Agreements(), MemberName("processor")
    judge = Judge(agreements.get, processor)
    record = ReadRecord(
        origin=Origin(NetworkName("cold-chain.example"), MemberName("fishery")), index=9, leaf=ID, id=record_id("r"),
        state="open", opened=Opened(meta=SHARED, sections={0: [], 1: [("/port", b"1")]}, seeds={}), given=b"\0\1",
    )  # fmt: skip

    def codes() -> list[str]:
        return [problem.code for problem in judge.find_problems(record)]

    assert codes() == ["contract-unknown"]
    agreements.propose(decoded())
    assert codes() == ["acceptance-not-seen"]
    for name in ("processor", "retailer"):
        agreements.state(ID, ACCEPT, MemberName(name))
    assert codes() == []
    for i in range(3000):
        assert judge.find_problems(replace(record, given=b"\0\1", opened=_named(f"/f{i}"))) == ()
    assert len(judge._shapes) <= 1000
    judge._shapes.clear()
    for count, kept in ((4, 1), (5, 1), (3, 2)):
        names = [f"/{i}{'x' * 1000}" for i in range(count)]
        assert judge.find_problems(replace(record, opened=_named(*names))) == ()
        assert len(judge._shapes) == kept, "long names are judged each time, and fill no memory"
    assert set(PASSING) < set(CODES)


def _named(*names: str) -> Opened:
    return Opened(meta=SHARED, sections={0: [], 1: [(name, b"1") for name in names]}, seeds={})


# --- any rules, any body --------------------------------------------------------------------------


def contract_of(rules: Shares, mine: frozenset[str]) -> Contract:
    """An active contract of fishery (x) and processor, which has the roles `mine`."""
    known = decoded()
    fishery, processor = MemberName("fishery"), MemberName("processor")
    parties = {role: (fishery,) * (role == "x") + (processor,) * (role in mine) for role in "xyz"}
    source = replace(known.source, shares={"landing": rules}, authors={"landing": frozenset("x")})
    return replace(
        known, parties=parties, source=source, rules={"landing": compile_rules(rules)}, is_agreed=True,
        since={}, until={},
    )  # fmt: skip


def sealed_and_read(fields: Sequence[tuple[str, bytes, frozenset[str]]], mine: frozenset[str]) -> ReadRecord:
    """A record of these fields as a reader with the roles `mine` has it."""
    shared = sorted({tuple(sorted(audience)) for _, _, audience in fields if audience})
    everyone = tuple(sorted({role for audience in shared for role in audience}))
    meta = Meta(type="landing", contract=ID, role="x", audience=(everyone, *shared, ()))
    sections: dict[int, list[tuple[str, bytes]]] = {0: []}
    for number, audience in enumerate(shared, 1):
        if mine & set(audience):
            sections[number] = [(name, text) for name, text, to in fields if tuple(sorted(to)) == audience]
    return ReadRecord(
        origin=Origin(NetworkName("cold-chain.example"), MemberName("fishery")), index=9, leaf=ID, id=record_id("r"),
        state="open", opened=Opened(meta=meta, sections=sections, seeds={}), given=bytes(sections),
    )  # fmt: skip


def judge_of(rules: Shares, mine: frozenset[str]) -> Judge:
    contract = contract_of(rules, mine)
    return Judge(lambda _: contract, MemberName("processor"))


roles: Final = st.frozensets(st.sampled_from("xyz"), min_size=1)


@given(bodies, shares(), roles)
def test_whatever_an_honest_author_cuts_and_seals_has_no_problems(
    body: bytes, rules: Shares, mine: frozenset[str]
) -> None:
    try:
        fields = cut(body, compile_rules(rules))
    except PatternOnElement:
        return
    assert judge_of(rules, mine).find_problems(sealed_and_read(fields, mine)) == ()


@given(bodies, shares(), roles, roles, st.data())
def test_any_field_that_is_sealed_to_others_is_told_by_who_reads_it(
    body: bytes, rules: Shares, mine: frozenset[str], others: frozenset[str], draw: st.DataObject
) -> None:
    try:
        fields = cut(body, compile_rules(rules))
    except PatternOnElement:
        return
    lies = [i for i, field in enumerate(fields) if field.audience != others]
    if not lies or not mine & others:
        return
    at = draw.draw(st.sampled_from(lies))
    fields[at] = fields[at]._replace(audience=others)
    found_there = judge_of(rules, mine).find_problems(sealed_and_read(fields, mine))
    assert {problem.code for problem in found_there} & {"audience-wider", "audience-narrower"}


@given(bodies, shares(), roles)
def test_a_body_that_is_not_cut_at_all_is_told_where_a_part_is_due_to_others(
    body: bytes, rules: Shares, mine: frozenset[str]
) -> None:
    compiled = compile_rules(rules)
    try:
        fields = cut(body, compiled)
    except PatternOnElement:
        return
    whole = [(name, text, audience_of(compiled, name)) for name, text, _ in cut(body, compile_rules({}))]
    differs = {
        name
        for name, _, audience in whole
        if any(field.name.startswith(name + "/") and field.audience != audience for field in fields)
    }
    readable = {name for name, _, audience in whole if audience & mine}
    found_there = judge_of(rules, mine).find_problems(sealed_and_read(whole, mine))
    assert bool(found_there) == bool(differs & readable)
