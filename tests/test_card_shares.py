"""Cards of one member never hinder another's: shares, keys that two list, and every order of arrival.

Spec: docs/spec/card.md, "Shared keys" and "Limits".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.card import Card, decode_card, encode_card, extend_card_chain, make_card
from ledger.errors import BadSignature, EncodingError, PreviousMismatch, TooLarge
from ledger.keys import Algorithm
from ledger.names import MemberName
from ledger.network import NetworkFile
from ledger.note import Note, decode_note, encode_note
from node.founding import draw_up
from node.membership import Membership, make_membership, take_file
from node.node import Node
from tests.make_folders import found
from tests.make_membership import NETWORK, Firm, firm, firms, member_file, network_file, signing_key

CARRIER, FISHERY, RETAILER = ALL = firms("carrier", "fishery", "retailer")
FILE: Final = network_file(ALL)
HELD: Final = make_membership(FILE)
_WITNESSES: Final = [
    signing_key(f"{NETWORK}/carrier", number, Algorithm.COSIGNATURE).public for number in range(1000, 1061)
]


def card(member: Firm, previous: Card | None, **given: Any) -> Card:
    """A card of the keys numbered 1, where nothing else is given."""
    known: dict[str, Any] = {
        "log_key": member.log_key().public,
        "witness_keys": [member.witness_key().public],
        "transport_keys": [member.transport_key().public],
        "sealing_key": member.sealing_key().public,
        "endpoints": ["https://node.example:8443"],
    }
    return make_card(**{**known, **given}, previous=previous)


def chain(member: Firm, first: Card, count: int, **given: Any) -> list[bytes]:
    """The cards after `first`, in turn of one endpoint and of two."""
    notes, previous = [], first
    for number in range(count):
        ends = [f"https://{name}.example" for name in ("a", "b")[: 1 + number % 2]]
        previous = card(member, previous, endpoints=ends, **given)
        notes.append(member.signed(previous))
    return notes


def rotated(member: Firm, previous: Card) -> Card:
    """All keys but the log key new."""
    return card(
        member,
        previous,
        witness_keys=[member.witness_key(2).public],
        transport_keys=[member.transport_key(2).public],
        sealing_key=member.sealing_key(2).public,
    )


def squatting(member: Firm, previous: Card, of: Card) -> Card:
    """A card that lists what `of` lists, as far as a card can."""
    name = f"{NETWORK}/{member.name}"
    return card(
        member,
        previous,
        log_key=replace(of.log_key, name=name),
        log_from=previous.log_from + 100,
        witness_keys=[replace(key, name=name) for key in of.witness_keys],
        transport_keys=[replace(key, name=f"{name}/transport") for key in of.transport_keys],
        sealing_key=of.sealing_key,
    )


# --- shares -------------------------------------------------------------------------------


@pytest.mark.slow
def test_member_that_fills_its_share_keeps_nobody_from_changing_keys() -> None:
    big = chain(CARRIER, HELD.card("carrier"), 40, witness_keys=_WITNESSES)
    length, fitting = len(encode_card(HELD.card("carrier"))), 0
    while (length := length + len(decode_note(big[fitting]).text)) <= limits.CARDS_BYTES_MAX:
        fitting += 1
    held = HELD.with_cards(big[:fitting])
    with pytest.raises(TooLarge):
        held.with_cards(big[fitting : fitting + 1])
    assert held.card("carrier").version > 2
    new = rotated(FISHERY, held.card("fishery"))
    assert held.with_cards([FISHERY.signed(new)]).card("fishery") == new


@pytest.mark.slow
def test_share_of_one_member_in_cards() -> None:
    notes = chain(CARRIER, HELD.card("carrier"), limits.CARD_VERSIONS_MAX)
    full = HELD.with_cards(notes[:-1])
    assert full.card("carrier").version == limits.CARD_VERSIONS_MAX
    for members in (full, HELD):
        with pytest.raises(TooLarge):
            members.with_cards(notes)


def test_share_of_one_member_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = chain(CARRIER, HELD.card("carrier"), 3)
    length = len(encode_card(HELD.card("carrier"))) + sum(len(decode_note(note).text) for note in notes)
    for limit, is_taken in ((length, True), (length - 1, False)):
        monkeypatch.setattr(limits, "CARDS_BYTES_MAX", limit)
        for held in (HELD, HELD.with_cards(notes[:2])):
            if is_taken:
                assert held.with_cards(notes).card("carrier").version == 4
            else:
                with pytest.raises(TooLarge):
                    held.with_cards(notes)


@pytest.mark.slow
def test_share_is_the_same_in_a_file() -> None:
    notes = chain(CARRIER, HELD.card("carrier"), limits.CARD_VERSIONS_MAX)
    with pytest.raises(TooLarge):
        take_file(NetworkFile(charters=FILE.charters, cards=(FILE.cards[0], *notes, *FILE.cards[1:])))


def test_only_what_is_new_is_verified() -> None:
    # A note that was spoilt after it was verified shows that nobody looks at it again.
    spoilt = encode_note(Note(decode_note(FILE.cards[0]).text, decode_note(FILE.cards[1]).signatures))
    file = replace(FILE, cards=(spoilt, *FILE.cards[1:]))
    held = Membership(HELD.network, file, HELD.documents)
    new = card(CARRIER, held.card("carrier"), endpoints=[])
    assert held.with_cards([CARRIER.signed(new)]).card("carrier") == new


def test_what_is_new_is_verified() -> None:
    second = card(CARRIER, HELD.card("carrier"), endpoints=[])
    note = decode_note(CARRIER.signed(second))
    wrong = Note(note.text, (replace(note.signatures[0], blob=bytes(64)),))
    with pytest.raises(BadSignature):
        HELD.with_cards([encode_note(wrong)])
    with pytest.raises(PreviousMismatch):
        extend_card_chain(
            (card(CARRIER, None, endpoints=[]),), [CARRIER.signed(second)], charters=HELD.network.charters
        )
    with pytest.raises(EncodingError):
        extend_card_chain((HELD.card("carrier"),), [], charters=HELD.network.charters)


def test_no_more_signatures_are_kept_than_the_charter_asks_for() -> None:
    many = firm("carrier", roots=9, threshold=2)
    taken = take_file(network_file([many, FISHERY]))
    assert len(decode_note(taken.file.cards[0]).signatures) == 2
    new = card(many, taken.card("carrier"), endpoints=[])
    taken = taken.with_cards([many.signed(new)])
    assert [len(decode_note(note).signatures) for note in taken.file.cards] == [2, 2, 1]
    assert make_membership(taken.file).card("carrier") == new


# --- keys that two members list -----------------------------------------------------------


def test_copy_of_a_key_keeps_no_card_from_being_taken() -> None:
    honest = rotated(FISHERY, HELD.card("fishery"))
    copy = squatting(CARRIER, HELD.card("carrier"), honest)
    early = HELD.with_cards([CARRIER.signed(copy)]).with_cards([FISHERY.signed(honest)])
    late = HELD.with_cards([FISHERY.signed(honest)]).with_cards([CARRIER.signed(copy)])
    assert early == late
    assert early.card("fishery") == honest
    assert take_file(early.file) == early
    assert late.renewed(early) == early


def test_firms_that_share_a_key_found_no_network_together() -> None:
    copy = card(CARRIER, None, sealing_key=FISHERY.sealing_key().public)
    files = [replace(member_file(CARRIER), card=CARRIER.signed(copy)), member_file(FISHERY)]
    with pytest.raises(EncodingError, match="list the same key"):
        draw_up(files, FISHERY.root_keys[0])


@pytest.mark.slow
def test_nodes_that_learn_of_two_owners_of_a_key_come_to_one_result(tmp_path: Path) -> None:
    founded = found(tmp_path, "carrier", "fishery", "retailer")
    first = make_membership(founded.file)
    honest = rotated(FISHERY, first.card("fishery"))
    copy = squatting(CARRIER, first.card("carrier"), honest)
    notes = [CARRIER.signed(copy), FISHERY.signed(honest)]
    held = []
    for name, order in (("retailer", notes), ("fishery", notes[::-1])):
        node = Node.open(founded.folders[name])
        for note in order:
            node.learn_cards([note])
        node.close()
        node = Node.open(founded.folders[name])
        held.append(node.membership)
        node.close()
    assert held[0] == held[1]


@pytest.mark.slow
@given(st.data())
def test_every_order_of_arrival_comes_to_one_result(data: st.DataObject) -> None:
    chains = {member.name: _drawn(data, member) for member in ALL}
    results = [_arrived(data, chains) for _ in range(2)]
    assert results[0] == results[1]
    for name, notes in chains.items():
        assert results[0].card(name) == decode_card(decode_note(notes[-1]).text if notes else _text_of(name))


def _drawn(data: st.DataObject, member: Firm) -> list[bytes]:
    """Up to three cards after the first, of keys that others may list as well."""
    previous, notes = HELD.card(member.name), []
    owners = st.sampled_from(ALL)
    for number in range(data.draw(st.integers(0, 3))):
        name = f"{NETWORK}/{member.name}"
        owner, key = data.draw(owners), data.draw(st.integers(2, 3))
        previous = card(
            member,
            previous,
            witness_keys=[replace(owner.witness_key(key).public, name=name)],
            transport_keys=[replace(data.draw(owners).transport_key(key).public, name=f"{name}/transport")],
            sealing_key=data.draw(owners).sealing_key(key).public,
            endpoints=[f"https://{number}x.example"],
        )
        notes.append(member.signed(previous))
    return notes


def _arrived(data: st.DataObject, chains: dict[MemberName, list[bytes]]) -> Membership:
    """The cards of each member in order, in parts, and between those of others; some a second time."""
    turns = data.draw(st.permutations([name for name, notes in chains.items() for _ in notes]))
    done = dict.fromkeys(chains, 0)
    held = HELD
    for name in turns:
        again = data.draw(st.integers(0, done[name]))
        held = held.with_cards(chains[name][again : done[name] + 1])
        done[name] += 1
    return held


def _text_of(name: str) -> str:
    return encode_card(HELD.card(name))
