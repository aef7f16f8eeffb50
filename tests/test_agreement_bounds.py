"""What other members can fill the agreements of a node with is bounded, and floods nobody else's contracts."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from ledger import limits
from ledger.names import Digest, MemberName, sha256
from node.agreements import (
    ACCEPT,
    DECLINE,
    END,
    PROPOSE,
    Agreements,
    Contract,
    ContractNotActive,
    Status,
    decode_proposal,
)
from node.append import Appended, NewRecord
from node.statements import take_statement
from node.views.judging import Judging
from tests.make import record_id
from tests.make_folders import answer
from tests.make_folders import found as founded
from tests.make_folders import proposal as draft_proposal
from tests.nodes import Door, ask
from tests.simulator import Machine, Simulation
from tests.test_agreements import ID, NAMES, decoded, proposal, record

OWN: Final = MemberName("processor")
LIAR: Final = MemberName("fishery")


def id_of(index: int) -> Digest:
    return Digest(sha256(b"proposal %d" % index))


def contract(index: int, *, proposer: MemberName = LIAR) -> Contract:
    return decode_proposal(
        proposal(), contract_id=id_of(index), record=record_id("p"), log=f"cold-chain.example/{proposer}",
        index=index, proposer=proposer,
    )  # fmt: skip


def offer(found: Agreements, index: int, *, proposer: MemberName = LIAR, length: int = 1000) -> bool:
    """Offer a proposal as a reading of statements does; whether it was taken in."""
    if not found.has_room(proposer, id_of(index), length, place=(1, index)):
        return False
    found.propose(contract(index, proposer=proposer), length=length)
    return True


def flooded() -> Agreements:
    found = Agreements(OWN)
    taken = [offer(found, index) for index in range(limits.PROPOSALS_OPEN_MAX + 3)]
    assert taken == [True] * limits.PROPOSALS_OPEN_MAX + [False] * 3
    return found


def test_proposals_that_nobody_here_answered_are_bounded_for_each_member() -> None:
    found = flooded()
    assert len(found.list()) == limits.PROPOSALS_OPEN_MAX
    assert found.passed_over() == {LIAR: (1, limits.PROPOSALS_OPEN_MAX)}


def test_a_flood_of_one_member_takes_no_room_of_another_nor_of_the_own() -> None:
    found = flooded()
    assert offer(found, 1000, proposer=MemberName("retailer"))
    assert all(offer(found, 2000 + i, proposer=OWN) for i in range(limits.PROPOSALS_OPEN_MAX + 1))


def test_their_bytes_are_bounded_too_and_one_always_has_room() -> None:
    found = Agreements(OWN)
    assert offer(found, 0, length=limits.PROPOSALS_OPEN_BYTES + 1)
    assert not offer(found, 1, length=1)
    found = Agreements(OWN)
    half = limits.PROPOSALS_OPEN_BYTES // 2
    assert [offer(found, i, length=n) for i, n in enumerate((half, half, 1))] == [True, True, False]


def test_what_stands_behind_a_proposal_that_was_passed_over_waits_for_it() -> None:
    found = Agreements(OWN)
    half = limits.PROPOSALS_OPEN_BYTES // 2
    assert [offer(found, i, length=n) for i, n in enumerate((half, half + 1, 1))] == [True, False, False]


def test_refused_proposals_take_room_too_and_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROPOSALS_OPEN_MAX", 4)
    found, whispered = Agreements(OWN), record(PROPOSE, proposal(), audience=[NAMES[:2]])
    for index in range(6):
        refused = whispered if index == 0 else record(PROPOSE, proposal(source="a;"), audience=[NAMES])
        take_statement(found, replace(refused, leaf=id_of(index), index=index))
    assert found.list() == []
    assert found.passed_over() == {LIAR: (1, 4)}, "those beyond were not read"
    found.look_again(LIAR)
    assert not found.has_room(LIAR, id_of(0), 0, place=(1, 0))
    assert found.passed_over() == {}, "one that was read and refused holds up none behind it"
    assert not offer(found, 6)
    assert offer(found, 7, proposer=MemberName("retailer"))
    found.state(id_of(8), ACCEPT, OWN)
    assert offer(found, 8)


@pytest.mark.slow
@pytest.mark.parametrize("word", [ACCEPT, DECLINE, END])
def test_an_answer_of_the_own_member_makes_room(word: str) -> None:
    found = flooded()
    found.state(id_of(0), word, OWN)
    found.look_again(LIAR)
    assert offer(found, limits.PROPOSALS_OPEN_MAX)
    assert not offer(found, limits.PROPOSALS_OPEN_MAX + 1)
    assert found.get(id_of(0)).id == id_of(0)


def test_what_the_own_member_answered_is_taken_in_whatever_there_is_besides() -> None:
    found = flooded()
    found.state(id_of(5000), ACCEPT, OWN)
    assert offer(found, 5000)
    assert OWN in found.get(id_of(5000)).accepted


def test_what_was_ended_without_an_answer_makes_room_once_it_is_needed() -> None:
    found = flooded()
    found.look_again(LIAR)
    found.state(id_of(7), END, LIAR)
    assert found.get(id_of(7)).status is Status.ENDED
    assert offer(found, limits.PROPOSALS_OPEN_MAX)
    kept = {one.id for one in found.list()}
    assert id_of(7) not in kept
    assert len(kept) == limits.PROPOSALS_OPEN_MAX


def test_words_on_unknown_contracts_are_bounded_for_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WORDS_EARLY_MAX", 5)
    found = Agreements(OWN)
    for index in range(8):
        found.state(id_of(index), ACCEPT, MemberName("retailer"), place=(1, index))
        found.state(id_of(index), ACCEPT, OWN, place=(1, index))
    assert found.lost_words() == {MemberName("retailer"): (1, 5)}
    for index in range(8):
        assert offer(found, index)
    assert [one.status for one in found.list()] == [Status.ACTIVE] * 5 + [Status.PROPOSED] * 3
    found.state(id_of(8), ACCEPT, MemberName("retailer"))
    assert offer(found, 8)
    assert "retailer" in found.get(id_of(8)).accepted, "those whose contract is known take no room any more"


def test_words_of_who_is_no_party_are_not_kept_once_the_contract_is_known() -> None:
    found = Agreements(OWN)
    found.propose(decoded())
    for number in range(100):
        told = frozenset({MemberName(f"x{number}"), LIAR})
        for name in ("carrier", "retailer"):
            found.state(ID, ACCEPT, MemberName(name), told=told)
            found.state(ID, END, MemberName("carrier"), told=told)
    assert found._words[ID] == {}


def test_filing_ends_with_the_contract_also_for_who_looked_it_up_before() -> None:
    found = Agreements(OWN)
    found.propose(decoded())
    for name in ("processor", "retailer"):
        found.state(ID, ACCEPT, MemberName(name))
    before = found.get(ID)
    found.state(ID, END, MemberName("retailer"))
    for one in (before, found.get(ID)):
        with pytest.raises(ContractNotActive):
            found.statement(one, "offer", None, author=OWN)


def test_filing_against_an_end_that_comes_at_the_same_time_is_never_remembered() -> None:
    for _ in range(50):
        found = Agreements(OWN)
        found.propose(decoded())
        for name in ("processor", "retailer"):
            found.state(ID, ACCEPT, MemberName(name))
        barrier = threading.Barrier(2)

        def end(found: Agreements = found, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            found.state(ID, END, MemberName("retailer"))

        ending = threading.Thread(target=end)
        ending.start()
        before = found.get(ID)
        barrier.wait()
        with contextlib.suppress(ContractNotActive):
            found.statement(before, "offer", None, author=OWN)
        ending.join()
        with pytest.raises(ContractNotActive):
            found.statement(before, "offer", None, author=OWN)


# --- a whole node -------------------------------------------------------------------------

PARTIES: Final = {"shipper": ["fishery"], "receiver": ["retailer"], "insurer": ["retailer"]}


def say(machine: Machine, draft: object) -> Digest:
    done = machine.append(NewRecord(draft))  # type: ignore[arg-type]  # a draft
    assert isinstance(done, Appended), done
    return done.leaf


async def listed(door: Door) -> list[str]:
    names: list[str] = (await door.get("/api/v1/contracts"))["passed_over"]
    return names


def known(machine: Machine, among: list[Digest]) -> list[int]:
    """Which of these contracts its node lists; its view, read anew, judges by the same."""
    judging = Judging(machine.name)
    with machine.node.store.read() as tx:
        judging.refresh(tx, machine.node.joined.reader)
    mine = {one.id: one.status for one in machine.node.agreements.list()}
    assert mine == {one.id: one.status for one in judging._agreements.list()}
    return [number for number, id_ in enumerate(among) if id_ in mine]


@pytest.mark.slow
def test_a_flooded_node_takes_up_what_has_room_and_comes_to_the_same_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROPOSALS_OPEN_MAX", 3)
    simulation = Simulation(founded(tmp_path / "founded", "fishery", "retailer"), tmp_path / "running", seed=1)
    with simulation.running():
        simulation.run_until(simulation.is_in_sync)
        liar, other = simulation.machines["fishery"], simulation.machines["retailer"]
        ids = [say(liar, draft_proposal(PARTIES)) for _ in range(6)]
        simulation.run_until(simulation.is_in_sync)
        assert known(other, ids) == [0, 1, 2]
        assert ask(other.node, listed) == ["fishery"], "it is told"
        assert known(liar, ids) == list(range(6)), "what one proposes oneself is always known"
        mine = say(other, draft_proposal({**PARTIES, "shipper": ["retailer"], "receiver": ["fishery"]}))
        assert other.node.agreements.get(mine).status is Status.PROPOSED

        say(other, answer(other.node.agreements.get(ids[1]), DECLINE))
        say(other, answer(other.node.agreements.get(ids[2])))
        assert known(other, ids) == [0, 1, 2, 3, 4]
        say(other, answer(other.node.agreements.get(ids[4])))
        assert known(other, ids) == list(range(6))
        assert ask(other.node, listed) == []

        ids += [say(liar, draft_proposal(PARTIES)) for _ in range(2)]
        simulation.run_until(simulation.is_in_sync)
        assert known(other, ids) == list(range(6))
        before = {one.id: one.status for one in other.node.agreements.list()}
        other.stop()
        other.start()
        simulation.run_until(simulation.is_in_sync)
        assert {one.id: one.status for one in other.node.agreements.list()} == before
        assert [before[ids[n]] for n in (1, 2, 4)] == [Status.DECLINED, Status.ACTIVE, Status.ACTIVE]

        say(liar, answer(liar.node.agreements.get(ids[0]), END))
        simulation.run_until(simulation.is_in_sync)
        assert known(other, ids) == [1, 2, 3, 4, 5, 6], "one that its proposer took back made room"


@pytest.mark.slow
def test_an_own_statement_has_no_more_proposals_looked_at_than_find_room_and_those_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROPOSALS_OPEN_MAX", 2)
    simulation = Simulation(founded(tmp_path / "founded", "fishery", "retailer"), tmp_path / "running", seed=1)
    with simulation.running():
        simulation.run_until(simulation.is_in_sync)
        liar, other = simulation.machines["fishery"], simulation.machines["retailer"]
        ids = [say(liar, draft_proposal(PARTIES)) for _ in range(12)]
        simulation.run_until(simulation.is_in_sync)
        looked: list[Digest] = []
        has_room = Agreements.has_room

        def looking(self: Agreements, proposer: MemberName, contract_id: Digest, *given: Any, **named: Any) -> bool:
            looked.append(contract_id)
            return has_room(self, proposer, contract_id, *given, **named)

        monkeypatch.setattr(Agreements, "has_room", looking)
        mine = say(other, draft_proposal({**PARTIES, "shipper": ["retailer"], "receiver": ["fishery"]}))
        assert set(looked) == {mine, ids[2]}, "the first that was passed over has no room, so nobody behind it"
        say(other, answer(liar.node.agreements.get(ids[9])))
        assert ids[9] in looked and ids[10] not in looked
        assert known(other, ids) == [0, 1, 9]


@pytest.mark.slow
def test_words_that_had_no_room_are_heard_when_their_contract_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROPOSALS_OPEN_MAX", 2)
    monkeypatch.setattr(limits, "WORDS_EARLY_MAX", 1)
    simulation = Simulation(founded(tmp_path / "founded", "fishery", "retailer"), tmp_path / "running", seed=1)
    with simulation.running():
        simulation.run_until(simulation.is_in_sync)
        liar, other = simulation.machines["fishery"], simulation.machines["retailer"]
        ids = [say(liar, draft_proposal(PARTIES)) for _ in range(5)]
        for id_ in ids[2:]:
            say(liar, answer(liar.node.agreements.get(id_), END))
        simulation.run_until(simulation.is_in_sync)
        assert known(other, ids) == [0, 1]
        for id_ in ids[:2]:
            say(other, answer(other.node.agreements.get(id_), DECLINE))
        simulation.run_until(simulation.is_in_sync)
        statuses = {one.id: one.status for one in other.node.agreements.list()}
        assert [statuses[id_] for id_ in ids[:2]] == [Status.DECLINED] * 2
        assert Status.PROPOSED not in statuses.values(), "of all that is known, the end was heard"
