"""The start-up guard: nothing is signed before it is known that nothing would be signed twice."""

from __future__ import annotations

import threading
from typing import Any, Final

import pytest

from ledger.names import MemberName
from node.guard import Guard, GuardState, NodeNotReady, OtherHistory, RestoreProved

OTHERS: Final = tuple(map(MemberName, ("carrier", "processor", "retailer")))


def guard(**given: Any) -> Guard:
    """The guard of a node that holds 10 entries and waits for two of three others."""
    plain: dict[str, Any] = {"others": OTHERS, "required": 2, "size": 10, "high_water": 10}
    return Guard(**(plain | given))


def answered(made: Guard, *sizes: int) -> Guard:
    for member, size in zip(OTHERS, sizes, strict=False):
        made.heard(member, size)
    return made


def test_node_waits_until_enough_members_have_answered() -> None:
    made = guard()
    assert (made.state, made.waiting_for) == (GuardState.WAITING, OTHERS)
    made.heard(OTHERS[0], 10)
    assert (made.state, made.waiting_for) == (GuardState.WAITING, OTHERS[1:])
    assert not made.is_ready
    made.heard(OTHERS[2], 0)
    assert (made.state, made.waiting_for, made.is_ready) == (GuardState.READY, (), True)


def test_member_that_answers_twice_counts_once() -> None:
    made = guard()
    made.heard(OTHERS[0], 10)
    made.heard(OTHERS[0], 10)
    assert made.state is GuardState.WAITING


def test_answer_of_no_member_counts_for_nothing() -> None:
    made = guard(required=1)
    made.heard(MemberName("stranger"), 99)
    assert (made.state, made.target) == (GuardState.WAITING, 10)


def test_newer_charter_says_who_must_answer() -> None:
    made, (gone, kept, other), new = guard(), OTHERS, MemberName("bank")
    made.heard(gone, 10)
    made.ask((new, kept, other), required=3)
    made.heard(kept, 10)
    made.heard(other, 10)
    assert (made.state, made.waiting_for) == (GuardState.WAITING, (new,)), "who has left vouches for nothing"
    made.heard(new, 0)
    assert made.is_ready


def test_newer_charter_without_whom_the_node_waits_for_lets_it_begin() -> None:
    made = answered(guard(required=3), 10, 10)
    assert made.waiting_for == OTHERS[2:]
    made.ask(OTHERS[:2], required=2)
    assert made.is_ready


def test_what_a_member_proved_counts_after_it_has_left() -> None:
    made = answered(guard(), 12)
    made.ask(OTHERS[1:], required=2)
    made.heard(OTHERS[1], 10)
    made.heard(OTHERS[2], 10)
    assert (made.state, made.target) == (GuardState.BEHIND, 12)


def test_node_alone_in_its_network_is_ready_at_once() -> None:
    assert guard(others=(), required=0).is_ready


@pytest.mark.parametrize(("size", "state"), [(10, GuardState.READY), (11, GuardState.BEHIND)])
def test_one_member_that_holds_more_is_enough_to_be_behind(size: int, state: GuardState) -> None:
    made = answered(guard(), 10, size, 3)
    assert made.state is state
    assert made.target == size


@pytest.mark.parametrize(("high_water", "state"), [(10, GuardState.READY), (11, GuardState.BEHIND)])
def test_store_that_is_below_its_high_water_file_is_behind(high_water: int, state: GuardState) -> None:
    assert answered(guard(high_water=high_water), 0, 0, 0).state is state


def test_node_goes_on_once_it_has_its_entries_back() -> None:
    made = answered(guard(), 15, 0)
    made.recovered(14)
    assert made.state is GuardState.BEHIND
    made.recovered(15)
    assert made.is_ready


def test_recovery_does_not_stand_for_answers() -> None:
    made = answered(guard(), 15)
    made.recovered(15)
    assert made.state is GuardState.WAITING


def test_largest_answer_of_a_member_stands() -> None:
    made = guard(required=1)
    made.heard(OTHERS[0], 15)
    made.heard(OTHERS[0], 4)
    assert (made.state, made.target) == (GuardState.BEHIND, 15)


def test_what_was_once_opened_stays_open() -> None:
    made = answered(guard(), 10, 10)
    made.heard(OTHERS[2], 20)
    assert made.is_ready
    assert made.state is GuardState.READY


def test_operators_word_opens_it_without_answers() -> None:
    made = answered(guard(), 10)
    made.override()
    assert made.is_ready


@pytest.mark.parametrize(
    "made", [guard(high_water=12), answered(guard(), 12)], ids=["by its own file", "by another member"]
)
def test_operators_word_does_not_stand_against_proof_of_the_contrary(made: Guard) -> None:
    for size, state in ((10, GuardState.BEHIND), (12, GuardState.WAITING)):
        made.recovered(size)  # what is back does not make the word true: there may have been more
        with pytest.raises(RestoreProved) as caught:
            made.override()
        assert (caught.value.fields["signed"], caught.value.fields["held"]) == (12, 10)
        assert made.state is state
    made.heard(OTHERS[1], 0)
    made.heard(OTHERS[2], 12)
    assert made.is_ready


def test_operators_word_does_not_stand_where_the_file_is_of_another_history() -> None:
    made = answered(guard(doubt="two histories", is_other=True), 10, 10, 10)
    with pytest.raises(OtherHistory):
        made.override()
    assert made.state is GuardState.BEHIND


def test_doubt_is_not_lifted_by_answers() -> None:
    made = answered(guard(doubt="the file cannot be read"), 10, 10, 10)
    assert made.state is GuardState.BEHIND
    with pytest.raises(NodeNotReady, match="the file cannot be read"):
        made.wait(0)
    made.override()
    assert made.is_ready


def test_waiting_ends_with_the_answer() -> None:
    made = answered(guard(), 10)
    with pytest.raises(NodeNotReady) as caught:
        made.wait(0)
    assert caught.value.fields["state"] == "waiting"
    assert "processor" in str(caught.value)
    waiter = threading.Thread(target=made.wait, args=(30,))
    waiter.start()
    made.heard(OTHERS[1], 0)
    waiter.join(10)
    assert not waiter.is_alive()


def test_node_that_is_behind_says_what_it_misses() -> None:
    made = answered(guard(), 15, 0, 0)
    with pytest.raises(NodeNotReady) as caught:
        made.wait(0)
    assert caught.value.fields["state"] == "behind"
    assert "10 to 15" in str(caught.value)


def test_what_it_waits_for_is_told_until_it_is_ready_and_not_after() -> None:
    missing = "entries 10 to 15 of its own log, from its peers"
    assert guard().wants == OTHERS
    assert guard(high_water=15).wants == (*OTHERS, missing), "nobody has answered, and it is behind by its file"
    made = answered(guard(), 15, 0, 0)
    assert (made.waiting_for, made.wants) == ((), (missing,))
    made.recovered(15)
    assert made.wants == ()
    assert answered(guard(doubt="two histories"), 10, 10, 10).wants == ("an operator (two histories)",)
