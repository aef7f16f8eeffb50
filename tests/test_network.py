"""The network file, the member file and the network they make. Spec: docs/spec/charter.md, docs/spec/card.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.card import sign_card
from ledger.charter import Expulsion, encode_charter, fingerprint
from ledger.errors import (
    EncodingError,
    Missing,
    MissingSignature,
    ProofInvalid,
    TallyError,
    TooLarge,
    UnknownKey,
    UnknownMember,
)
from ledger.names import MemberName, NetworkName, Origin
from ledger.network import (
    decode_member_file,
    decode_network_file,
    encode_member_file,
    encode_network_file,
    unite,
    verify_member_file,
    verify_network_file,
)
from tests import make_membership as make

CARRIER, FISHERY, PROCESSOR, RETAILER = ALL = make.firms()
CHARTER = make.charter(ALL)
FILE = make.network_file(ALL)
TEXT = encode_network_file(FILE)
MEMBER = make.member_file(FISHERY)
MEMBER_TEXT = encode_member_file(MEMBER)


def changed(text: bytes, change: Any) -> bytes:
    return make.changed(text.decode(), change).encode()


# --- the network file -----------------------------------------------------------------


def test_network_file_is_read_back_and_verified() -> None:
    assert decode_network_file(TEXT) == FILE
    network = verify_network_file(FILE)
    assert network.charters == (CHARTER,)
    assert network.charter.names == tuple(network.cards) == make.FOUR
    assert network.id == fingerprint([CHARTER])
    assert network.card("fishery") == FISHERY.card()
    with pytest.raises(Missing):
        network.card("stranger")


def test_network_names_the_log_key_at_a_size() -> None:
    second = FISHERY.card(log=2, log_from=7, previous=FISHERY.card())
    cards = (*FILE.cards[:2], FISHERY.signed(second), *FILE.cards[2:])
    network = verify_network_file(decode_network_file(encode_network_file(replace(FILE, cards=cards))))
    origin = FISHERY.card().origin
    assert network.log_key(origin, 6) == FISHERY.log_key(1).public
    assert network.log_key(origin, 7) == FISHERY.log_key(2).public
    with pytest.raises(UnknownKey):
        network.log_key(replace(origin, epoch=2), 7)
    with pytest.raises(Missing):
        network.log_key(replace(origin, network=NetworkName("dry-chain.example")), 7)


def test_network_file_is_passed_on_before_all_have_signed() -> None:
    partial = replace(FILE, charters=(make.signed(CHARTER, [FISHERY]),))
    assert decode_network_file(encode_network_file(partial)) == partial
    with pytest.raises(MissingSignature):
        verify_network_file(partial)


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 255))
def test_network_file_with_one_byte_changed_is_refused(position: int, mask: int) -> None:
    text = bytearray(TEXT)
    text[position] ^= mask
    with pytest.raises(TallyError):
        verify_network_file(decode_network_file(bytes(text)))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("charters", lambda c: c.update(charters=[])),
        ("charters", lambda c: c["charters"].append(c["charters"][0])),
        ("cards", lambda c: c["cards"].reverse()),
        ("cards", lambda c: c["cards"].append(c["cards"][-1])),
        ("network file", lambda c: c.update(more=1)),
        ("network file v", lambda c: c.update(v=2)),
        ("note", lambda c: c["cards"].append(1)),
        ("card", lambda c: c["cards"].append(c["charters"][0])),
    ],
)
def test_network_file_is_refused_out_of_order_or_shape(field: str, change: Any) -> None:
    with pytest.raises(EncodingError) as caught:
        decode_network_file(changed(TEXT, change))
    assert caught.value.fields["field"] == field


def test_cards_of_a_file_begin_with_version_1() -> None:
    second = FISHERY.signed(FISHERY.card(previous=FISHERY.card()))
    for cards in ((FILE.cards[0], second), (FILE.cards[0], FILE.cards[1], second, second), (second,)):
        with pytest.raises(EncodingError, match="every version of each member"):
            encode_network_file(replace(FILE, cards=cards))


def test_file_that_is_no_text_or_endless_is_refused() -> None:
    with pytest.raises(EncodingError, match="UTF-8"):
        decode_network_file(b"\xff\n")
    with pytest.raises(TooLarge):
        decode_network_file(b" " * (limits.NETWORK_FILE_BYTES_MAX + 2))


def test_every_member_has_a_card() -> None:
    with pytest.raises(Missing, match="retailer"):
        verify_network_file(replace(FILE, cards=FILE.cards[:3]))


def test_card_of_a_stranger_is_refused() -> None:
    stranger = make.firm("stranger")
    with pytest.raises(UnknownMember):
        verify_network_file(replace(FILE, cards=(*FILE.cards, stranger.signed(stranger.card()))))


def test_card_that_its_member_did_not_sign_is_refused() -> None:
    forged = sign_card(RETAILER.card(), CARRIER.root_keys)
    with pytest.raises(MissingSignature):
        verify_network_file(replace(FILE, cards=(*FILE.cards[:3], forged)))


def test_member_that_lists_anothers_witness_key_voids_no_file() -> None:
    # Else it could copy the key of a card that has not come yet, and keep that card from being taken.
    copied = replace(RETAILER.card().witness_keys[0], raw=FISHERY.card().witness_keys[0].raw)
    card = replace(RETAILER.card(), witness_keys=(copied,))
    verified = verify_network_file(replace(FILE, cards=(*FILE.cards[:3], RETAILER.signed(card))))
    assert verified.card("fishery") == FISHERY.card()


def test_cards_of_one_who_went_stay_in_the_file() -> None:
    gone = Expulsion(log=Origin(NetworkName(make.NETWORK), MemberName("retailer")), size=5)
    second = make.charter(ALL[:3], previous=CHARTER, expelled=[gone])
    network = verify_network_file(replace(FILE, charters=(*FILE.charters, make.signed(second, ALL[:3]))))
    assert "retailer" in network.cards
    assert "retailer" not in network.charter.names


def test_two_files_of_one_network_tell_together_what_either_tells() -> None:
    card = FISHERY.signed(FISHERY.card(endpoints=["https://else.example"], previous=FISHERY.card()))
    more = replace(FILE, cards=(*FILE.cards[:2], card, *FILE.cards[2:]))
    less = replace(FILE, cards=FILE.cards[1:])
    assert unite(FILE, FILE) == unite(FILE, less) == unite(less, FILE) == FILE
    assert unite(more, less) == unite(less, more) == more
    verify_network_file(unite(more, less))


def test_what_was_signed_again_under_new_root_keys_is_taken() -> None:
    turned = replace(FISHERY, generation=2)
    after = make.charter([turned if firm is FISHERY else firm for firm in ALL], previous=CHARTER)
    newer = replace(FILE, charters=(*FILE.charters, make.signed(after, ALL)))
    newer = replace(newer, cards=(FILE.cards[0], turned.signed(FISHERY.card()), *FILE.cards[2:]))
    assert unite(FILE, newer) == unite(newer, FILE) == newer


@pytest.mark.parametrize("version", [1, 2])
def test_files_that_contradict_each_other_are_not_united(version: int) -> None:
    shown = [FISHERY.signed(FISHERY.card(log_from=size, previous=FISHERY.card())) for size in (7, 8)]
    one, other = (replace(FILE, cards=(*FILE.cards[:2], card, *FILE.cards[2:])) for card in shown)
    if version == 1:
        one, other = FILE, replace(FILE, charters=(make.signed(make.charter(ALL[:3]), ALL[:3]),))
    with pytest.raises(ProofInvalid, match=f"two of version {version}"):
        unite(one, other)


# --- the member file --------------------------------------------------------------------


def test_member_file_is_read_back_and_verified() -> None:
    assert decode_member_file(MEMBER_TEXT) == MEMBER
    assert verify_member_file(MEMBER) == FISHERY.card()
    assert MEMBER.member == FISHERY.member


@given(st.integers(0, len(MEMBER_TEXT) - 1), st.integers(1, 255))
def test_member_file_with_one_byte_changed_is_refused(position: int, mask: int) -> None:
    text = bytearray(MEMBER_TEXT)
    text[position] ^= mask
    with pytest.raises(TallyError):
        verify_member_file(decode_member_file(bytes(text)))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("card", lambda c: c.update(card=CARRIER.signed(CARRIER.card()).decode())),
        ("card", lambda c: c.update(card=FISHERY.signed(FISHERY.card(previous=FISHERY.card())).decode())),
        ("root keys of carrier", lambda c: c.update(name="carrier")),
        ("root keys of fishery", lambda c: c.update(network="dry-chain.example")),
        ("threshold of fishery", lambda c: c.update(threshold=2)),
        ("threshold of fishery", lambda c: c.update(keys=[])),
        ("member name", lambda c: c.update(name="..")),
        ("network", lambda c: c.update(network="-")),
        ("member file", lambda c: c.update(more=1)),
        ("card", lambda c: c.update(card=encode_charter(CHARTER))),
    ],
)
def test_member_file_is_refused(field: str, change: Any) -> None:
    with pytest.raises(EncodingError) as caught:
        decode_member_file(changed(MEMBER_TEXT, change))
    assert caught.value.fields["field"] in (field, "note")


def test_member_file_proves_that_its_root_keys_are_held() -> None:
    forged = replace(MEMBER, card=sign_card(FISHERY.card(), [FISHERY.log_key()]))
    assert decode_member_file(encode_member_file(forged)) == forged
    with pytest.raises(MissingSignature):
        verify_member_file(forged)
