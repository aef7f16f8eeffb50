"""Charters, by what must be taken and by attack. Spec: docs/spec/charter.md."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.charter import (
    Charter,
    CharterMember,
    Council,
    Expulsion,
    NetworkLimits,
    decode_charter,
    decode_fingerprint,
    encode_charter,
    fingerprint,
    make_charter,
    read_fingerprint,
    root_key_name,
    sign_charter,
    signed_members,
    verify_charter,
    verify_charter_chain,
)
from ledger.errors import (
    BadSignature,
    CharterInvalid,
    EncodingError,
    ForeignNetwork,
    Missing,
    MissingSignature,
    PreviousMismatch,
    TallyError,
    TooLarge,
    VersionGap,
    WeakKey,
)
from ledger.keys import Algorithm, VerifyKey
from ledger.names import MemberName, NetworkId, NetworkName, Origin, encode_b64, sha256
from ledger.note import decode_note, encode_note
from tests import make_membership as make

CARRIER, FISHERY, PROCESSOR, RETAILER = ALL = make.firms()
FIRST = make.charter(ALL, f=1)
FIRST_NOTE = make.signed(FIRST, ALL)
TEXT = encode_charter(FIRST)


def cut_off(member: str, size: int = 10, epoch: int = 1) -> Expulsion:
    return Expulsion(log=Origin(NetworkName(make.NETWORK), MemberName(member), epoch), size=size)


def after(members: Any, previous: Charter = FIRST, **given: Any) -> Charter:
    return make.charter(members, previous=previous, **given)


# --- the text -------------------------------------------------------------------


def test_charter_is_canonical_json_and_a_newline() -> None:
    assert TEXT.startswith('{"council":{"members":["carrier",')
    assert TEXT.endswith('"network":"cold-chain.example","prev":"","v":1,"version":1}\n')
    assert decode_charter(TEXT) == FIRST


def test_hash_of_a_charter_is_that_of_its_text_without_signatures() -> None:
    assert FIRST.hash == sha256(TEXT.encode())
    assert verify_charter(make.signed(FIRST, ALL[::-1]), previous=None).hash == FIRST.hash


@given(st.data())
def test_every_charter_is_read_back_as_it_was_written(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True))
    members = [make.firm(name, roots=2, threshold=data.draw(st.integers(1, 2))) for name in names]
    council = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    threshold = data.draw(st.integers(len(council) // 2 + 1, len(council)))
    f = data.draw(st.integers(0, (len(names) - 1) // 3))
    engines = data.draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3, unique=True))
    bounds = NetworkLimits(body_bytes=data.draw(st.integers(limits.BODY_BYTES_MIN, limits.BODY_BYTES_MAX)))
    later: dict[str, Any] = {}
    if data.draw(st.booleans()):
        epochs = data.draw(st.lists(st.integers(1, 20), max_size=4, unique=True))
        later = {"previous": FIRST, "expelled": [cut_off("gone", epoch, epoch) for epoch in epochs]}
    later |= {"engines": engines, "network_limits": bounds}
    drawn = make.charter(members, council=council, threshold=threshold, f=f, **later)
    assert decode_charter(encode_charter(drawn)) == drawn


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_text_with_one_letter_changed_is_refused_or_is_another_charter(position: int, letter: str) -> None:
    text = TEXT[:position] + letter + TEXT[position + 1 :]
    try:
        found = decode_charter(text)
    except TallyError:
        return
    assert encode_charter(found) == text


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        TEXT + "\n",
        "\n" + TEXT,
        " " + TEXT,
        TEXT[:-2] + " }\n",
        TEXT.replace('"f":1', '"f":1.0'),
        TEXT.replace('"f":1', '"f":01'),
        TEXT.replace('"f":1', '"f":-1'),
        TEXT.replace('"f":1', '"f":1,"f":1'),
        TEXT.replace("carrier", "carr\\u0069er", 1),
        TEXT.replace('"engines":[],', "", 1),
        "[]\n",
        "null\n",
        "\n",
        "",
        "\ud800\n",
    ],
)
def test_text_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(TallyError):
        decode_charter(text)


REFUSED: list[tuple[str, str, Any]] = [
    ("an unknown member", "charter", lambda c: c.update(extra=1)),
    ("a missing member", "charter", lambda c: c.pop("engines")),
    ("another format version", "charter v", lambda c: c.update(v=2)),
    ("a format version that is no number", "charter v", lambda c: c.update(v=True)),
    ("version 0", "version", lambda c: c.update(version=0)),
    ("a truth value as version", "version", lambda c: c.update(version=True)),
    ("version 1 with a predecessor", "prev", lambda c: c.update(prev=encode_b64(bytes(32)))),
    ("version 2 without one", "prev", lambda c: c.update(version=2)),
    ("a short predecessor", "prev", lambda c: c.update(prev=encode_b64(bytes(31)), version=2)),
    ("no members", "members", lambda c: c.update(members=[])),
    ("unsorted members", "members", lambda c: c["members"].reverse()),
    ("a member listed twice", "members", lambda c: c["members"].insert(0, c["members"][0])),
    ("a name in upper case", "member name", lambda c: c["members"][0].update(name="Carrier")),
    ("a name that is a path", "member name", lambda c: c["members"][0].update(name="..")),
    ("a name that is an option", "member name", lambda c: c["members"][0].update(name="-f")),
    ("a name of 64 letters", "member name", lambda c: c["members"][0].update(name="a" * 64)),
    ("a network that is a path", "network", lambda c: c.update(network=".")),
    ("keys of another network", "root keys of carrier", lambda c: c.update(network="dry-chain.example")),
    ("a member without keys", "threshold of carrier", lambda c: c["members"][0].update(keys=[])),
    ("a threshold of 0", "threshold of carrier", lambda c: c["members"][0].update(threshold=0)),
    ("a threshold above the keys", "threshold of carrier", lambda c: c["members"][0].update(threshold=2)),
    ("a key twice", "root keys of carrier", lambda c: c["members"][0]["keys"].append(c["members"][0]["keys"][0])),
    ("an unknown member of a member", "member", lambda c: c["members"][0].update(weight=2)),
    ("an empty council", "council threshold", lambda c: c.update(council={"members": [], "threshold": 0})),
    ("half of the council", "council threshold", lambda c: c["council"].update(threshold=2)),
    ("more than all of the council", "council threshold", lambda c: c["council"].update(threshold=5)),
    ("a council of strangers", "council members", lambda c: c["council"]["members"].append("stranger")),
    ("an unsorted council", "council members", lambda c: c["council"]["members"].reverse()),
    ("a council with repeats", "council members", lambda c: c["council"]["members"].insert(0, "carrier")),
    ("f of two among four", "f", lambda c: c.update(f=2)),
    ("someone gone in version 1", "expelled", lambda c: c.update(expelled=[expelled_item("gone")])),
    ("an engine of 31 bytes", "base64", lambda c: c.update(engines=[encode_b64(bytes(31))])),
    ("unsorted engines", "engines", lambda c: c.update(engines=[encode_b64(bytes([n] * 32)) for n in (2, 1)])),
    ("an unknown limit", "limits", lambda c: c["limits"].update(records=1)),
    ("a missing limit", "limits", lambda c: c["limits"].pop("blob_bytes")),
]


def with_fishery_key(key: VerifyKey) -> str:
    """The text of the first charter with the fishery's root key replaced."""
    return make.changed(TEXT, lambda c: c["members"][1].update(keys=[str(key)]))


def expelled_item(member: str, size: int = 10) -> dict[str, Any]:
    return {"log": f"{make.NETWORK}/{member}", "member": member, "size": size}


@pytest.mark.parametrize(("field", "change"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_charter_is_refused_with(field: str, change: Any) -> None:
    with pytest.raises(EncodingError) as caught:
        decode_charter(make.changed(TEXT, change))
    assert caught.value.fields["field"] == field


@pytest.mark.parametrize(
    ("expelled", "reason"),
    [
        ([expelled_item("gone"), expelled_item("gone", 11)], "without repeats"),
        ([expelled_item("gone"), expelled_item("ago")], "ascending order"),
        ([expelled_item("carrier")], "still listed"),
        ([{**expelled_item("gone"), "log": "other.example/gone"}], "another network"),
        ([{**expelled_item("gone"), "member": "ago"}], "not the member of the log"),
        ([{**expelled_item("gone"), "log": f"{make.NETWORK}/gone/1"}], "no number"),
        ([{**expelled_item("gone"), "size": True}], "not an integer"),
        ([expelled_item("..")], "letter or a digit"),
    ],
)
def test_list_of_cut_offs_is_refused_with(expelled: list[dict[str, Any]], reason: str) -> None:
    second = encode_charter(after(ALL))
    with pytest.raises(EncodingError, match=reason):
        decode_charter(make.changed(second, lambda c: c.update(expelled=expelled)))


def test_cut_offs_are_in_order_of_epochs_as_numbers() -> None:
    second = after(ALL, expelled=[cut_off("gone", epoch=10), cut_off("gone", epoch=9)])
    assert [entry.log.epoch for entry in decode_charter(encode_charter(second)).expelled] == [9, 10]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("blob_bytes", 0, limits.BLOB_BYTES_MAX),
        ("body_bytes", limits.BODY_BYTES_MIN, limits.BODY_BYTES_MAX),
        ("record_fields", limits.FIELDS_MIN, limits.FIELDS_MAX),
        ("record_readers", limits.READERS_MIN, limits.READERS_MAX),
        ("record_sections", limits.SECTIONS_MIN, limits.SECTIONS_MAX),
    ],
)
def test_limits_of_a_network_stay_within_those_of_the_ledger(name: str, least: int, most: int) -> None:
    def read(value: int) -> int:
        text = make.changed(TEXT, lambda c: c["limits"].update({name: value}))
        return int(getattr(decode_charter(text).limits, name))

    assert (read(least), read(most)) == (least, most)
    for value in (least - 1, most + 1):
        with pytest.raises(EncodingError):
            read(value)


def test_lists_are_bounded_at_their_limits() -> None:
    engines = [number.to_bytes(32, "big") for number in range(limits.ENGINES_MAX + 1)]
    make.charter(ALL, engines=engines[1:])
    with pytest.raises(TooLarge):
        make.charter(ALL, engines=engines)
    gone = [cut_off("gone", epoch=epoch) for epoch in range(1, limits.EXPELLED_MAX + 2)]
    encode_charter(after(ALL, expelled=gone[1:]))
    with pytest.raises(TooLarge):
        after(ALL, expelled=gone)
    with pytest.raises(TooLarge):
        decode_charter(make.changed(TEXT, lambda c: c.update(members=[0] * (limits.MEMBERS_MAX + 1))))
    with pytest.raises(TooLarge):
        decode_charter(make.changed(TEXT, lambda c: c["members"][0].update(keys=[""] * (limits.KEYS_MAX + 1))))
    make.charter([make.firm("fishery", roots=limits.KEYS_MAX)])
    with pytest.raises(TooLarge):
        make.charter([make.firm("fishery", roots=limits.KEYS_MAX + 1)])
    with pytest.raises(TooLarge):
        decode_charter(" " * limits.CHARTER_BYTES_MAX + " \n")


def test_largest_network_has_a_charter_that_fits_a_note() -> None:
    names = [f"{number:03}" + "x" * 60 for number in range(limits.MEMBERS_MAX)]
    assert len(encode_charter(make.founded(*names))) < limits.NOTE_BYTES_MAX
    with pytest.raises(TooLarge):
        make.founded(*names, "y")


@pytest.mark.slow
def test_largest_charter_can_be_signed_and_so_can_the_next() -> None:
    """All change their root keys at once: no note takes more signatures."""
    before, after_all = (
        [make.firm(f"m{n:03}", roots=2, threshold=2, generation=g) for n in range(limits.MEMBERS_MAX)] for g in (1, 2)
    )
    first = make.charter(before)
    assert sum(member.threshold for member in first.members) == limits.CHARTER_SIGNATURES_MAX
    second = after(after_all, first)
    verify_charter(
        make.signed(second, [*before, *after_all]), previous=verify_charter(make.signed(first, before), previous=None)
    )
    careful = make.firm("m000", roots=3, threshold=3)
    with pytest.raises(TooLarge, match="513"):
        make.charter([careful, *before[1:]])


def test_text_of_a_charter_leaves_room_for_all_signatures() -> None:
    """In the worst case: names of the greatest length, and as many lines as a note may have."""
    line = f"— {'n' * 63}/{'m' * 63}/root ".encode() + b64encode(bytes(4 + 64)) + b"\n"
    assert limits.CHARTER_BYTES_MAX + 2 + limits.NOTE_SIGNATURES_MAX * len(line) <= limits.NOTE_BYTES_MAX


@pytest.mark.slow
def test_text_of_a_charter_ends_at_the_limit() -> None:
    def make_long(keys: int, digits: int = 8) -> Charter:
        """With so many root keys, and so many digits in its eight cut-off sizes."""
        members = []
        for number in range(limits.MEMBERS_MAX):
            name = f"m{number:03}"
            count = keys // limits.MEMBERS_MAX + (number < keys % limits.MEMBERS_MAX)
            root = [
                VerifyKey(root_key_name(make.NETWORK, name), Algorithm.ED25519, sha256(b"%d %d" % (number, i)))
                for i in range(count)
            ]
            members.append(CharterMember(name=MemberName(name), keys=tuple(root), threshold=1))
        sizes = [10 ** (digits // 8 + (number < digits % 8) - 1) for number in range(8)]
        gone = [cut_off("gone", size, epoch) for epoch, size in enumerate(sizes, 1)]
        return make_charter(network=make.NETWORK, members=members, f=0, previous=FIRST, expelled=gone)

    length = len(encode_charter(make_long(9000))) - 1
    each = len(encode_charter(make_long(9001))) - 1 - length
    more, digits = divmod(limits.CHARTER_BYTES_MAX - length, each)
    text = encode_charter(make_long(9000 + more, 8 + digits))
    assert len(text) - 1 == limits.CHARTER_BYTES_MAX
    with pytest.raises(TooLarge):
        make_long(9000 + more, 9 + digits)


def test_encoder_refuses_what_the_decoder_refuses() -> None:
    for broken in (
        replace(FIRST, f=2),
        replace(FIRST, members=FIRST.members[::-1]),
        replace(FIRST, version=2),
        replace(FIRST, council=Council(members=FIRST.council.members, threshold=2)),
    ):
        with pytest.raises(EncodingError):
            encode_charter(broken)


@pytest.mark.parametrize(("members", "most"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (7, 2)])
def test_f_is_below_a_third_of_the_members(members: int, most: int) -> None:
    names = [f"m{number}" for number in range(members)]
    assert make.founded(*names, f=most).required_answers == members - 1 - most
    with pytest.raises(EncodingError):
        make.founded(*names, f=most + 1)


def test_council_is_all_members_by_bare_majority_unless_said_otherwise() -> None:
    made = make_charter(network=make.NETWORK, members=[m.member for m in ALL], f=0)
    assert made.council == Council(members=made.names, threshold=3)


def test_member_is_found_by_name() -> None:
    assert FIRST.member("fishery") == FISHERY.member
    with pytest.raises(Missing):
        FIRST.member("stranger")


# --- keys -----------------------------------------------------------------------


def test_weak_root_key_voids_the_charter_where_it_is_read() -> None:
    for point in (*make.SMALL_ORDER, make.NON_CANONICAL):
        key = VerifyKey(FISHERY.member.keys[0].name, FISHERY.member.keys[0].algorithm, bytes.fromhex(point))
        with pytest.raises(WeakKey):
            decode_charter(with_fishery_key(key))


def test_root_key_is_named_after_its_member_and_use() -> None:
    for key in (CARRIER.root_keys[0], FISHERY.log_key(), FISHERY.transport_key(), FISHERY.witness_key()):
        with pytest.raises(EncodingError, match="not an Ed25519 key named"):
            decode_charter(with_fishery_key(key.public))


def test_root_key_is_no_cosignature_key() -> None:
    with pytest.raises(EncodingError, match="not an Ed25519 key named"):
        decode_charter(with_fishery_key(replace(FISHERY.member.keys[0], algorithm=Algorithm.COSIGNATURE)))


def test_root_keys_are_in_order_and_have_different_ids() -> None:
    careful = make.firm("fishery", roots=2)
    text = encode_charter(make.charter([careful]))
    with pytest.raises(EncodingError, match="ascending"):
        decode_charter(make.changed(text, lambda c: c["members"][0]["keys"].reverse()))
    name = root_key_name(make.NETWORK, "fishery")
    pair = [make.signing_key(name, number).public for number in (4717, 136229)]
    assert pair[0].id == pair[1].id
    with pytest.raises(EncodingError, match="same id"):
        make_charter(network=make.NETWORK, members=[replace(careful.member, keys=tuple(pair))], f=0)


def test_two_members_do_not_share_a_root_key() -> None:
    # A note's signature does not cover its signer's name: the carrier's signature would pass for the fishery's.
    shared = replace(FISHERY.member.keys[0], raw=CARRIER.member.keys[0].raw)
    with pytest.raises(EncodingError, match="listed twice"):
        decode_charter(with_fishery_key(shared))


# --- charter 1 ------------------------------------------------------------------


def test_charter_signed_by_all_founds_a_network() -> None:
    assert verify_charter(FIRST_NOTE, previous=None) == FIRST
    assert fingerprint(verify_charter_chain([FIRST_NOTE])) == NetworkId(FIRST.hash)


def test_nobody_is_made_a_member_against_its_will() -> None:
    for absent in ALL:
        note = make.signed(FIRST, [member for member in ALL if member != absent])
        with pytest.raises(MissingSignature, match=f"root keys of {absent.name}"):
            verify_charter(note, previous=None)


def test_member_signs_when_its_threshold_of_root_keys_has() -> None:
    careful = make.firm("fishery", roots=3, threshold=2)
    first = make.charter([CARRIER, careful])
    carrier = CARRIER.root_keys[0]
    assert verify_charter(sign_charter(first, [carrier, *careful.root_keys[1:]]), previous=None) == first
    with pytest.raises(MissingSignature):
        verify_charter(sign_charter(first, [carrier, careful.root_keys[0]]), previous=None)


def test_one_root_key_that_signs_twice_counts_once() -> None:
    careful = make.firm("fishery", roots=2, threshold=2)
    note = decode_note(sign_charter(make.charter([careful]), careful.root_keys[:1]))
    with pytest.raises(TallyError):
        verify_charter(encode_note(replace(note, signatures=note.signatures * 2)), previous=None)


def test_lines_of_unknown_keys_are_ignored() -> None:
    stranger = make.firm("stranger")
    assert verify_charter(make.signed(FIRST, [stranger, *ALL]), previous=None) == FIRST


def test_wrong_signature_of_a_known_key_is_an_error() -> None:
    note, other = decode_note(FIRST_NOTE), decode_note(make.signed(make.charter(ALL), ALL))
    mixed = replace(note, signatures=(*note.signatures[:3], other.signatures[3]))
    with pytest.raises(BadSignature):
        verify_charter(encode_note(mixed), previous=None)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_note_with_any_one_byte_changed_is_refused(mask: int) -> None:
    for position in range(len(FIRST_NOTE)):
        note = bytearray(FIRST_NOTE)
        note[position] ^= mask
        with pytest.raises(TallyError):
            verify_charter(bytes(note), previous=None)


def test_later_charter_is_not_taken_as_the_first() -> None:
    with pytest.raises(VersionGap):
        verify_charter(make.signed(after(ALL), ALL), previous=None)


def test_signed_members_tell_who_is_still_missing() -> None:
    assert signed_members(make.signed(FIRST, [FISHERY, RETAILER])) == ("fishery", "retailer")
    changing = make.firm("fishery", generation=2)
    second = after([CARRIER, changing, PROCESSOR, RETAILER])
    assert signed_members(make.signed(second, [changing]), previous=FIRST) == ()
    assert signed_members(make.signed(second, [FISHERY, changing]), previous=FIRST) == ("fishery",)


# --- charter n+1 ----------------------------------------------------------------


def test_council_threshold_changes_the_charter() -> None:
    second = after(ALL, f=0, engines=[bytes(32)])
    note = make.signed(second, [CARRIER, FISHERY, RETAILER])
    assert verify_charter(note, previous=FIRST) == second
    assert verify_charter_chain([FIRST_NOTE, note]) == (FIRST, second)


def test_too_small_a_part_of_the_council_changes_nothing() -> None:
    with pytest.raises(MissingSignature) as caught:
        verify_charter(make.signed(after(ALL, f=0), [CARRIER, FISHERY]), previous=FIRST)
    assert caught.value.fields == {"what": "charter 2", "needed": 3, "who": "the council of 1", "got": 2}


def test_old_and_new_council_must_both_agree() -> None:
    handover = after(ALL, council=["retailer"])
    assert verify_charter(make.signed(handover, [CARRIER, FISHERY, RETAILER]), previous=FIRST) == handover
    with pytest.raises(MissingSignature, match="council of 2"):
        verify_charter(make.signed(handover, [CARRIER, FISHERY, PROCESSOR]), previous=FIRST)
    with pytest.raises(MissingSignature, match="council of 1"):
        verify_charter(make.signed(handover, [RETAILER]), previous=FIRST)


def test_foreign_council_changes_nothing() -> None:
    # Same names, same network name, other root keys: only the keys of charter 1 decide.
    impostors = make.firms(generation=9)
    with pytest.raises(MissingSignature, match="council of 1"):
        verify_charter(make.signed(after(impostors), impostors), previous=FIRST)


def test_members_outside_the_council_do_not_count_in_it() -> None:
    first = make.charter(ALL, council=["carrier", "fishery"])
    second = after(ALL, previous=first, council=["carrier", "fishery"], f=1)
    with pytest.raises(MissingSignature, match="council of 1"):
        verify_charter(make.signed(second, [CARRIER, PROCESSOR, RETAILER]), previous=first)


def test_new_member_joins_with_its_own_signature() -> None:
    bank = make.firm("bank")
    second = after([bank, *ALL])
    assert verify_charter(make.signed(second, [bank, *ALL]), previous=FIRST).member("bank") == bank.member
    with pytest.raises(MissingSignature, match="new root keys of bank"):
        verify_charter(make.signed(second, ALL), previous=FIRST)


def test_council_cannot_change_a_members_root_keys() -> None:
    stolen = make.firm("fishery", generation=2)
    second = after([CARRIER, stolen, PROCESSOR, RETAILER])
    with pytest.raises(MissingSignature, match="old root keys of fishery"):
        verify_charter(make.signed(second, [CARRIER, stolen, PROCESSOR, RETAILER]), previous=FIRST)
    assert verify_charter(make.signed(second, [*ALL, stolen]), previous=FIRST) == second


def test_new_root_keys_prove_that_they_are_held() -> None:
    second = after([CARRIER, make.firm("fishery", generation=2), PROCESSOR, RETAILER])
    with pytest.raises(MissingSignature, match="new root keys of fishery"):
        verify_charter(make.signed(second, ALL), previous=FIRST)


def test_council_cannot_lower_a_members_threshold() -> None:
    careful = make.firm("fishery", roots=2, threshold=2)
    first = make.charter([CARRIER, careful, PROCESSOR])
    second = after([CARRIER, make.firm("fishery", roots=2), PROCESSOR], previous=first)
    keys = [CARRIER.root_keys[0], PROCESSOR.root_keys[0], careful.root_keys[0]]
    with pytest.raises(MissingSignature, match="old root keys of fishery") as caught:
        verify_charter(sign_charter(second, keys), previous=first)
    assert (caught.value.fields["needed"], caught.value.fields["got"]) == (2, 1)


def test_old_root_keys_do_not_speak_after_a_change() -> None:
    renewed = (CARRIER, make.firm("fishery", generation=2), PROCESSOR, RETAILER)
    second = after(renewed)
    third = after(renewed, previous=second, f=1)
    with pytest.raises(MissingSignature):
        verify_charter(make.signed(third, [CARRIER, FISHERY, PROCESSOR]), previous=second)
    assert verify_charter(make.signed(third, renewed[:3]), previous=second) == third


def test_root_key_does_not_pass_to_another_member() -> None:
    # Else the fishery's last signature with it would pass for the consent of a bank that never signed.
    renewed = make.firm("fishery", generation=2)
    bank = replace(FISHERY.member.keys[0], name=f"{make.NETWORK}/bank/root")
    joined = replace(make.firm("bank").member, keys=(bank,))
    members = [joined, renewed.member, *(m.member for m in (CARRIER, PROCESSOR, RETAILER))]
    second = make_charter(network=make.NETWORK, members=members, f=0, previous=FIRST)
    with pytest.raises(CharterInvalid, match="bank takes another member's root key"):
        verify_charter(make.signed(second, [*ALL, renewed]), previous=FIRST)


def test_charter_of_another_network_is_refused() -> None:
    others = make.firms(network="dry-chain.example")
    with pytest.raises(ForeignNetwork):
        verify_charter(make.signed(after(others), others), previous=FIRST)


def test_charter_of_another_history_is_refused() -> None:
    elsewhere = make.charter(ALL, f=0)
    with pytest.raises(PreviousMismatch):
        verify_charter(make.signed(after(ALL, previous=elsewhere), ALL), previous=FIRST)


def test_version_is_neither_skipped_nor_repeated() -> None:
    second = after(ALL)
    third = after(ALL, previous=second)
    with pytest.raises(VersionGap):
        verify_charter(make.signed(third, ALL), previous=FIRST)
    with pytest.raises(VersionGap):
        verify_charter(FIRST_NOTE, previous=FIRST)
    with pytest.raises(VersionGap):
        verify_charter_chain([FIRST_NOTE, make.signed(third, ALL)])


def test_chain_begins_somewhere() -> None:
    with pytest.raises(EncodingError):
        verify_charter_chain([])


# --- who goes -------------------------------------------------------------------


def test_member_that_goes_leaves_a_cut_off_size() -> None:
    second = after(ALL[:3], expelled=[cut_off("retailer"), cut_off("retailer", epoch=2)])
    assert verify_charter(make.signed(second, ALL[:3]), previous=FIRST) == second
    with pytest.raises(CharterInvalid, match="cut-off"):
        verify_charter(make.signed(after(ALL[:3]), ALL[:3]), previous=FIRST)


def test_cut_off_is_for_those_who_go_alone() -> None:
    for entries in ([cut_off("stranger")], [cut_off("retailer"), cut_off("stranger")]):
        members = ALL[:3] if len(entries) == 2 else ALL
        with pytest.raises(CharterInvalid, match="cut-off"):
            verify_charter(make.signed(after(members, expelled=entries), ALL), previous=FIRST)


def test_cut_off_never_changes() -> None:
    second = after(ALL[:3], expelled=[cut_off("retailer", 10)])
    for entries in ([], [cut_off("retailer", 11)], [cut_off("retailer", 10), cut_off("retailer", epoch=2)]):
        third = after(ALL[:3], previous=second, expelled=entries)
        with pytest.raises(CharterInvalid, match="cut-off"):
            verify_charter(make.signed(third, ALL), previous=second)


def test_name_of_one_who_went_is_not_used_again() -> None:
    second = after(ALL[:3], expelled=[cut_off("retailer")])
    with pytest.raises(EncodingError, match="still listed"):
        after(ALL, previous=second)
    with pytest.raises(CharterInvalid, match="drops"):
        verify_charter(make.signed(after(ALL, previous=second, expelled=[]), ALL), previous=second)


def test_one_who_is_expelled_need_not_agree() -> None:
    first = make.charter(ALL[:2], council=["carrier"])
    second = after([CARRIER], previous=first, expelled=[cut_off("fishery")])
    assert verify_charter(make.signed(second, [CARRIER]), previous=first).names == ("carrier",)


# --- fingerprints -------------------------------------------------------


def test_fingerprint_is_64_digits() -> None:
    network = fingerprint([FIRST])
    text = network.hex()
    assert decode_fingerprint(text) == network
    assert len(text) == 64
    for other in (text.upper(), text[:-1], text + "0", " " + text, text[:32] + " " + text[32:]):
        with pytest.raises(EncodingError):
            decode_fingerprint(other)


def test_person_may_group_a_fingerprint() -> None:
    text = fingerprint([FIRST]).hex()
    groups = [text[i : i + 4] for i in range(0, 64, 4)]
    for typed in (" ".join(groups), ":".join(groups).upper(), "-".join(groups) + "\n", f"\t{text}\u00a0"):
        assert read_fingerprint(typed) == fingerprint([FIRST])
    for wrong in ("", text[:-1], text + "00", "0x" + text[2:] + "g", text[:-1] + "\uff11"):
        with pytest.raises(EncodingError):
            read_fingerprint(wrong)
