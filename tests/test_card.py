"""Cards, by what must be taken and by attack. Spec: docs/spec/card.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.card import (
    Card,
    Epoch,
    check_keys_distinct,
    contradict,
    decode_card,
    encode_card,
    log_key_at,
    make_card,
    sign_card,
    verify_card,
    verify_card_chain,
    verify_card_of,
)
from ledger.errors import (
    BadSignature,
    CardInvalid,
    EncodingError,
    ForeignNetwork,
    MissingSignature,
    PreviousMismatch,
    TallyError,
    TooLarge,
    UnknownKey,
    UnknownMember,
    VersionGap,
    WeakKey,
)
from ledger.keys import Algorithm, VerifyKey
from ledger.names import Digest, NetworkName, encode_b64, sha256
from ledger.note import decode_note, encode_note
from tests import make_membership as make

CARRIER, FISHERY, PROCESSOR, RETAILER = ALL = make.firms()
CHARTER = make.charter(ALL)
FIRST = FISHERY.card(endpoints=["https://fishery.example", "http://127.0.0.1:8401"])
FIRST_NOTE = FISHERY.signed(FIRST)
TEXT = encode_card(FIRST)
ROOT = Digest(sha256(b"the root of the old log"))


def chain(*cards: Card) -> list[bytes]:
    return [FISHERY.signed(card) for card in cards]


def with_key(use: str, key: VerifyKey) -> str:
    """The text of the first card with the key for `use` replaced."""
    return make.changed(TEXT, lambda c: key_of(c, use).update(id=key.id, key=str(key)))


def key_of(value: dict[str, Any], use: str) -> dict[str, Any]:
    return next(key for key in value["keys"] if key["use"] == use)


# --- the text -------------------------------------------------------------------


def test_card_is_canonical_json_and_a_newline() -> None:
    assert TEXT.startswith('{"endpoints":["https://fishery.example","http://127.0.0.1:8401"],')
    assert '"epoch":{"number":1,"old_root":"","old_size":0}' in TEXT
    assert TEXT.endswith('"member":"fishery","prev":"","v":1,"version":1}\n')
    assert decode_card(TEXT) == FIRST


def test_hash_of_a_card_is_that_of_its_text() -> None:
    assert FIRST.hash == sha256(TEXT.encode())


def test_every_key_has_its_algorithm_name_and_id() -> None:
    name = f"{make.NETWORK}/fishery"
    assert (FIRST.log_key.name, FIRST.log_key.algorithm) == (name, Algorithm.ED25519)
    assert [(key.name, key.algorithm) for key in FIRST.witness_keys] == [(name, Algorithm.COSIGNATURE)]
    assert [(key.name, key.algorithm) for key in FIRST.transport_keys] == [(name + "/transport", Algorithm.ED25519)]
    assert str(FIRST.origin) == name
    assert f'"id":"{FIRST.sealing_key.id}"' in TEXT


@given(st.data())
def test_every_card_is_read_back_as_it_was_written(data: st.DataObject) -> None:
    numbers = st.integers(0, limits.INTEGER_MAX)
    later = data.draw(st.booleans())
    epoch = Epoch()
    if later and data.draw(st.booleans()):
        epoch = Epoch(number=data.draw(st.integers(2, 99)), old_size=data.draw(numbers), old_root=ROOT)
    drawn = make_card(
        log_key=FISHERY.log_key(epoch=epoch.number).public,
        log_from=data.draw(numbers) if later else 0,
        witness_keys=[FISHERY.witness_key(n).public for n in range(data.draw(st.integers(1, 3)))],
        transport_keys=[FISHERY.transport_key(n).public for n in range(data.draw(st.integers(1, 3)))],
        sealing_key=FISHERY.sealing_key(data.draw(st.integers(1, 9))).public,
        endpoints=data.draw(st.lists(st.sampled_from(["https://a.example", "http://[::1]:1"]), unique=True)),
        epoch=epoch,
        previous=FIRST if later else None,
    )
    assert decode_card(encode_card(drawn)) == drawn


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_text_with_one_letter_changed_is_refused_or_is_another_card(position: int, letter: str) -> None:
    text = TEXT[:position] + letter + TEXT[position + 1 :]
    try:
        found = decode_card(text)
    except TallyError:
        return
    assert encode_card(found) == text


REFUSED: list[tuple[str, str, Any]] = [
    ("an unknown member", "card", lambda c: c.update(network=make.NETWORK)),
    ("a missing member", "card", lambda c: c.pop("endpoints")),
    ("another format version", "card v", lambda c: c.update(v=2)),
    ("version 0", "version", lambda c: c.update(version=0)),
    ("version 1 with a predecessor", "prev", lambda c: c.update(prev=encode_b64(bytes(32)))),
    ("version 2 without one", "prev", lambda c: c.update(version=2)),
    ("another member's name", "card keys", lambda c: c.update(member="carrier")),
    ("two log keys", "card keys", lambda c: c["keys"].append(key_of(c, "log"))),
    ("no log key", "card keys", lambda c: c["keys"].remove(key_of(c, "log"))),
    ("no sealing key", "card keys", lambda c: c["keys"].remove(key_of(c, "sealing"))),
    ("no witness key", "card keys", lambda c: c["keys"].remove(key_of(c, "witness"))),
    ("no transport key", "card keys", lambda c: c["keys"].remove(key_of(c, "transport"))),
    ("unsorted keys", "card keys", lambda c: c["keys"].reverse()),
    ("an unknown use", "use", lambda c: key_of(c, "witness").update(use="root")),
    ("the algorithm of another use", "alg", lambda c: key_of(c, "witness").update(alg="ed25519")),
    ("an unknown algorithm", "alg", lambda c: key_of(c, "log").update(alg="ed448")),
    ("a wrong key id", "card keys", lambda c: key_of(c, "log").update(id="00000000")),
    ("a wrong sealing key id", "card keys", lambda c: key_of(c, "sealing").update(id="0" * 16)),
    ("a log key from a size in card 1", "epoch", lambda c: key_of(c, "log").update({"from": 1})),
    ("another key from a size", "card keys", lambda c: key_of(c, "witness").update({"from": 1})),
    ("a truth value as size", "from", lambda c: key_of(c, "log").update({"from": False})),
    ("an unknown member of a key", "card key", lambda c: key_of(c, "log").update(until=5)),
    ("epoch 0", "epoch number", lambda c: c["epoch"].update(number=0)),
    ("a first epoch with an old log", "epoch", lambda c: c["epoch"].update(old_size=1)),
    ("a first epoch with an old root", "epoch", lambda c: c["epoch"].update(old_root=encode_b64(ROOT))),
    ("a short old root", "old_root", lambda c: c["epoch"].update(old_root=encode_b64(ROOT[1:]))),
    ("an unknown member of the epoch", "epoch", lambda c: c["epoch"].update(why="")),
    ("an endpoint twice", "endpoints", lambda c: c["endpoints"].append("https://fishery.example")),
    ("an endpoint without TLS", "endpoint", lambda c: c["endpoints"].append("http://fishery.example")),
    ("an endpoint that is no string", "endpoint", lambda c: c["endpoints"].append(1)),
]


@pytest.mark.parametrize(("field", "change"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_card_is_refused_with(field: str, change: Any) -> None:
    with pytest.raises(EncodingError) as caught:
        decode_card(make.changed(TEXT, change))
    assert caught.value.fields["field"] == field


def test_card_1_opens_no_later_epoch() -> None:
    with pytest.raises(EncodingError, match="card 1"):
        FISHERY.card(epoch=Epoch(number=2, old_size=1, old_root=ROOT))


def test_lists_are_bounded_at_their_limits() -> None:
    places = [f"https://{number}.example" for number in range(limits.ENDPOINTS_MAX + 1)]
    FISHERY.card(endpoints=places[1:])
    with pytest.raises(TooLarge):
        FISHERY.card(endpoints=places)
    with pytest.raises(TooLarge):
        decode_card(make.changed(TEXT, lambda c: c.update(endpoints=places)))
    keys = [FISHERY.transport_key(number).public for number in range(limits.KEYS_MAX - 2)]
    full = make_card(
        log_key=FIRST.log_key,
        witness_keys=FIRST.witness_keys,
        transport_keys=keys[1:],
        sealing_key=FIRST.sealing_key,
    )
    assert decode_card(encode_card(full)) == full
    with pytest.raises(TooLarge):
        encode_card(replace(full, transport_keys=tuple(sorted(keys, key=str))))
    with pytest.raises(TooLarge):
        decode_card(make.changed(TEXT, lambda c: c.update(keys=[0] * (limits.KEYS_MAX + 1))))


def test_encoder_refuses_what_the_decoder_refuses() -> None:
    for broken in (
        replace(FIRST, log_from=1),
        replace(FIRST, member=CARRIER.name),
        replace(FIRST, witness_keys=()),
        replace(FIRST, endpoints=("https://fishery.example/",)),
    ):
        with pytest.raises(EncodingError):
            encode_card(broken)


# --- keys -----------------------------------------------------------------------


@pytest.mark.parametrize("point", [*make.SMALL_ORDER, make.NON_CANONICAL])
@pytest.mark.parametrize("use", ["log", "transport", "witness"])
def test_weak_signing_key_voids_the_card_where_it_is_read(use: str, point: str) -> None:
    good = {"log": FIRST.log_key, "transport": FIRST.transport_keys[0], "witness": FIRST.witness_keys[0]}[use]
    weak = VerifyKey(good.name, good.algorithm, bytes.fromhex(point))
    with pytest.raises(WeakKey):
        decode_card(with_key(use, weak))


@pytest.mark.parametrize(
    "point",
    [
        bytes(32).hex(),
        (1).to_bytes(32, "little").hex(),
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        (2**255 - 19 + 9).to_bytes(32, "little").hex(),
        (9 + 2**255).to_bytes(32, "little").hex(),
    ],
)
def test_weak_sealing_key_voids_the_card_where_it_is_read(point: str) -> None:
    text = encode_b64(bytes.fromhex(point))
    with pytest.raises(WeakKey):
        decode_card(make.changed(TEXT, lambda c: key_of(c, "sealing").update(key=text)))


def test_vkey_of_an_unknown_type_voids_the_card() -> None:
    raw = encode_b64(bytes([0x02]) + FIRST.log_key.raw)
    with pytest.raises(EncodingError, match="0x02"):
        decode_card(make.changed(TEXT, lambda c: key_of(c, "log").update(key=f"{FIRST.log_key.name}+00000000+{raw}")))


@pytest.mark.parametrize("use", ["log", "transport", "witness"])
def test_key_bears_the_name_of_its_member_and_use(use: str) -> None:
    right = {"log": FIRST.log_key, "transport": FIRST.transport_keys[0], "witness": FIRST.witness_keys[0]}[use]
    base = f"{make.NETWORK}/fishery"
    others = ("", "/transport", "/root", "/2")
    for name in (*(base + end for end in others), f"{make.NETWORK}/carrier", "dry-chain.example/fishery"):
        if name != right.name:
            with pytest.raises(EncodingError):
                decode_card(with_key(use, replace(right, name=name)))


def test_witness_key_is_a_cosignature_key_and_no_other() -> None:
    plain = replace(FIRST.witness_keys[0], algorithm=Algorithm.ED25519)
    with pytest.raises(EncodingError, match="0x04"):
        decode_card(with_key("witness", plain))


def test_one_key_does_not_serve_two_uses() -> None:
    shared = replace(FIRST.transport_keys[0], raw=FIRST.log_key.raw)
    with pytest.raises(EncodingError, match="listed twice"):
        encode_card(replace(FIRST, transport_keys=(shared,)))


def test_keys_of_one_use_are_in_order_of_their_text() -> None:
    keys = tuple(sorted((FISHERY.witness_key(number).public for number in (1, 2)), key=str))
    text = encode_card(replace(FIRST, witness_keys=keys))
    assert decode_card(text).witness_keys == keys

    def swap(value: dict[str, Any]) -> None:
        value["keys"][-2:] = value["keys"][:-3:-1]

    with pytest.raises(EncodingError, match="ascending"):
        decode_card(make.changed(text, swap))
    with pytest.raises(EncodingError, match="ascending"):
        encode_card(replace(FIRST, witness_keys=keys[::-1]))


@pytest.mark.parametrize("use", ["log", "sealing"])
def test_card_has_one_log_key_and_one_sealing_key(use: str) -> None:
    with pytest.raises(EncodingError, match=f"one {use} key, not 2"):
        decode_card(make.changed(TEXT, lambda c: c["keys"].insert(0, key_of(c, use))))


def test_two_keys_of_one_name_have_different_ids() -> None:
    name = FIRST.transport_keys[0].name
    pair = tuple(sorted((make.signing_key(name, number).public for number in (32141, 67570)), key=str))
    assert pair[0].id == pair[1].id
    with pytest.raises(EncodingError, match="listed twice"):
        encode_card(replace(FIRST, transport_keys=pair))


def test_two_members_that_share_a_key_are_found() -> None:
    witness = replace(CARRIER.card().witness_keys[0], raw=FIRST.witness_keys[0].raw)
    copied = replace(CARRIER.card(), witness_keys=(witness,))
    check_keys_distinct([FIRST, CARRIER.card(), FISHERY.card(previous=FIRST)])
    with pytest.raises(EncodingError, match="carrier and fishery"):
        check_keys_distinct([FIRST, copied])
    with pytest.raises(EncodingError):
        check_keys_distinct([FIRST, replace(CARRIER.card(), sealing_key=FIRST.sealing_key)])


# --- signatures -----------------------------------------------------------------


def test_card_signed_by_the_members_root_key_is_taken() -> None:
    assert verify_card(FIRST_NOTE, charter=CHARTER, previous=None) == FIRST


def test_card_without_its_root_signature_is_refused() -> None:
    for keys in ([FISHERY.log_key()], CARRIER.root_keys, make.firm("fishery", generation=2).root_keys):
        with pytest.raises(MissingSignature):
            verify_card(sign_card(FIRST, keys), charter=CHARTER, previous=None)


def test_card_needs_as_many_root_keys_as_the_threshold() -> None:
    careful = make.firm("fishery", roots=3, threshold=2)
    charter = make.charter([CARRIER, careful])
    card = careful.card()
    assert verify_card(sign_card(card, careful.root_keys[1:]), charter=charter, previous=None) == card
    with pytest.raises(MissingSignature) as caught:
        verify_card(sign_card(card, careful.root_keys[1:2]), charter=charter, previous=None)
    assert (caught.value.fields["needed"], caught.value.fields["got"]) == (2, 1)


def test_council_cannot_speak_for_a_member() -> None:
    keys = [member.root_keys[0] for member in (CARRIER, PROCESSOR, RETAILER)]
    with pytest.raises(MissingSignature):
        verify_card(sign_card(FIRST, keys), charter=CHARTER, previous=None)


def test_wrong_signature_of_a_root_key_is_an_error() -> None:
    other = decode_note(FISHERY.signed(FISHERY.card()))
    mixed = replace(decode_note(FIRST_NOTE), signatures=other.signatures)
    with pytest.raises(BadSignature):
        verify_card(encode_note(mixed), charter=CHARTER, previous=None)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_note_with_any_one_byte_changed_is_refused(mask: int) -> None:
    for position in range(len(FIRST_NOTE)):
        note = bytearray(FIRST_NOTE)
        note[position] ^= mask
        with pytest.raises(TallyError):
            verify_card(bytes(note), charter=CHARTER, previous=None)


def test_card_of_another_network_is_refused() -> None:
    other = make.firm("fishery", network="dry-chain.example")
    with pytest.raises(ForeignNetwork):
        verify_card(other.signed(other.card()), charter=CHARTER, previous=None)


def test_card_of_another_network_of_the_same_name_is_refused() -> None:
    other = make.firm("fishery", generation=5)
    with pytest.raises(MissingSignature):
        verify_card(other.signed(other.card()), charter=CHARTER, previous=None)


def test_card_of_a_stranger_is_refused() -> None:
    stranger = make.firm("stranger")
    with pytest.raises(UnknownMember):
        verify_card(stranger.signed(stranger.card()), charter=CHARTER, previous=None)


def test_charter_is_no_card() -> None:
    with pytest.raises(EncodingError):
        verify_card(make.signed(CHARTER, ALL), charter=CHARTER, previous=None)


def test_card_of_a_firm_that_no_charter_lists_is_checked_by_its_own_keys() -> None:
    network = NetworkName(make.NETWORK)
    assert verify_card_of(FISHERY.member, FIRST_NOTE, network=network) == FIRST
    with pytest.raises(MissingSignature):
        verify_card_of(make.firm("fishery", generation=2).member, FIRST_NOTE, network=network)
    with pytest.raises(UnknownMember):
        verify_card_of(CARRIER.member, FIRST_NOTE, network=network)
    with pytest.raises(ForeignNetwork):
        verify_card_of(FISHERY.member, FIRST_NOTE, network=NetworkName("dry-chain.example"))
    with pytest.raises(VersionGap):
        verify_card_of(FISHERY.member, FISHERY.signed(FISHERY.card(previous=FIRST)), network=network)


# --- card n+1 -------------------------------------------------------------------


def take(card: Card, previous: Card = FIRST) -> Card:
    return verify_card(FISHERY.signed(card), charter=CHARTER, previous=previous)


def test_next_card_names_the_hash_of_the_one_before() -> None:
    second = FISHERY.card(previous=FIRST, endpoints=[])
    assert take(second) == second
    with pytest.raises(PreviousMismatch):
        take(second, previous=FISHERY.card())


def test_version_is_neither_skipped_nor_repeated() -> None:
    second = FISHERY.card(previous=FIRST)
    with pytest.raises(VersionGap):
        take(FISHERY.card(previous=second))
    with pytest.raises(VersionGap):
        take(FIRST)
    with pytest.raises(VersionGap):
        verify_card(FISHERY.signed(second), charter=CHARTER, previous=None)


def test_card_does_not_follow_that_of_another_member_or_network() -> None:
    carrier = CARRIER.card()
    with pytest.raises(UnknownMember):
        take(FISHERY.card(previous=carrier), previous=carrier)
    dry = make.firm("fishery", network="dry-chain.example").card()
    with pytest.raises(ForeignNetwork):
        take(FISHERY.card(previous=dry), previous=dry)


def test_new_log_key_counts_from_a_larger_size() -> None:
    second = FISHERY.card(log=2, log_from=100, previous=FIRST)
    third = FISHERY.card(log=3, log_from=101, previous=second)
    assert take(second) == second
    assert take(third, previous=second) == third
    for start in (0, 99, 100):
        with pytest.raises(CardInvalid, match="no larger size"):
            take(FISHERY.card(log=3, log_from=start, previous=second), previous=second)
    with pytest.raises(CardInvalid, match="no larger size"):
        take(FISHERY.card(log=2, log_from=0, previous=FIRST))


def test_log_key_that_stays_counts_from_where_it_did() -> None:
    second = FISHERY.card(log=2, log_from=100, previous=FIRST)
    for start in (99, 101):
        with pytest.raises(CardInvalid, match="another size"):
            take(FISHERY.card(log=2, log_from=start, previous=second), previous=second)


def test_next_epoch_begins_a_log_at_size_0() -> None:
    epoch = Epoch(number=2, old_size=90, old_root=ROOT)
    second = FISHERY.card(epoch=epoch, previous=FIRST)
    assert str(take(second).origin) == f"{make.NETWORK}/fishery/2"
    with pytest.raises(CardInvalid, match="size 0"):
        take(FISHERY.card(epoch=epoch, log_from=1, previous=FIRST))


def test_epoch_is_neither_skipped_nor_rewritten_nor_reopened() -> None:
    second = FISHERY.card(epoch=Epoch(number=2, old_size=90, old_root=ROOT), previous=FIRST)
    for epoch in (Epoch(), Epoch(number=2, old_size=91, old_root=ROOT), Epoch(number=4, old_size=5, old_root=ROOT)):
        with pytest.raises(CardInvalid, match="epoch"):
            take(FISHERY.card(epoch=epoch, previous=second), previous=second)
    with pytest.raises(CardInvalid, match="epoch"):
        take(FISHERY.card(epoch=Epoch(number=3, old_size=90, old_root=ROOT), previous=FIRST))


def test_chain_is_verified_from_card_1() -> None:
    cards = [FIRST, second := FISHERY.card(previous=FIRST), FISHERY.card(log=2, log_from=5, previous=second)]
    assert verify_card_chain(chain(*cards), charters=[CHARTER]) == tuple(cards)
    with pytest.raises(VersionGap):
        verify_card_chain(chain(*cards[1:]), charters=[CHARTER])
    with pytest.raises(VersionGap):
        verify_card_chain(chain(*cards[::2]), charters=[CHARTER])
    with pytest.raises(EncodingError):
        verify_card_chain([], charters=[CHARTER])


def test_each_card_of_a_chain_is_signed() -> None:
    second = FISHERY.card(previous=FIRST)
    with pytest.raises(MissingSignature):
        verify_card_chain([sign_card(FIRST, CARRIER.root_keys), FISHERY.signed(second)], charters=[CHARTER])


def test_after_a_change_of_root_keys_the_newest_card_bears_the_new_ones() -> None:
    renewed = make.firm("fishery", generation=2)
    charters = [CHARTER, make.charter([CARRIER, renewed, PROCESSOR, RETAILER], previous=CHARTER)]
    again = sign_card(FIRST, [*FISHERY.root_keys, *renewed.root_keys])
    second = FISHERY.card(previous=FIRST)
    assert verify_card_chain([again], charters=charters) == (FIRST,)
    assert verify_card_chain([FIRST_NOTE, renewed.signed(second)], charters=charters) == (FIRST, second)
    for notes in ([FIRST_NOTE], chain(FIRST, second), [again, FISHERY.signed(second)]):
        with pytest.raises(MissingSignature):
            verify_card_chain(notes, charters=charters)


def test_cards_of_a_member_that_has_gone_stay_valid() -> None:
    later = make.charter([CARRIER, PROCESSOR, RETAILER], previous=CHARTER)
    assert verify_card_chain([FIRST_NOTE], charters=[CHARTER, later]) == (FIRST,)
    with pytest.raises(UnknownMember):
        verify_card_chain([FIRST_NOTE], charters=[later])


# --- which key counts ---------------------------------------------------------------


def test_log_key_in_force_is_the_newest_whose_size_is_reached() -> None:
    second = FISHERY.card(log=2, log_from=100, previous=FIRST)
    cards = [FIRST, second, FISHERY.card(log=2, log_from=100, previous=second)]
    keys = [FISHERY.log_key(1).public, FISHERY.log_key(2).public]
    assert [log_key_at(cards, size) for size in (0, 99, 100, 10**9)] == [keys[0], keys[0], keys[1], keys[1]]


def test_each_epoch_has_its_own_log_keys() -> None:
    cards = [FIRST, FISHERY.card(epoch=Epoch(number=2, old_size=90, old_root=ROOT), previous=FIRST)]
    assert log_key_at(cards, 500) == FISHERY.log_key().public
    assert log_key_at(cards, 0, epoch=2) == FISHERY.log_key(epoch=2).public
    with pytest.raises(UnknownKey):
        log_key_at(cards, 0, epoch=3)


# --- evidence -------------------------------------------------------------------


def test_two_cards_of_one_version_contradict_each_other() -> None:
    other = FISHERY.card(endpoints=[])
    assert contradict(FIRST, other)
    assert contradict(FISHERY.card(previous=FIRST), FISHERY.card(previous=other))
    assert not contradict(FIRST, FIRST)
    assert not contradict(FIRST, FISHERY.card(previous=FIRST))
    assert not contradict(FIRST, CARRIER.card())
    assert not contradict(FIRST, make.firm("fishery", network="dry-chain.example").card())
