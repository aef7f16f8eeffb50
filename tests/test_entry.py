"""Log entries: one spelling each, links, slots, and room for later versions. Spec: docs/spec/entry.md."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.entry import SLOT_BYTES, VERSION, Entry, SlotKind, check_link, decode_entry, encode_entry, make_slot
from ledger.errors import BadInput, EncodingError, ForeignOrigin, LinkBroken, LogGap, TooLarge
from ledger.jsontext import encode_canonical
from ledger.merkle import leaf_hash
from ledger.names import Digest, MemberName, NetworkName, Origin, decode_b64, decode_id, decode_origin, encode_id
from tests import formats
from tests.make import record_id
from tests.vectors.make_entry import render

FILE: Final = Path(__file__).parent / "vectors" / "entry.json"
VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())

digests = st.binary(min_size=32, max_size=32).map(Digest)
names = st.text(alphabet="az09.-", min_size=1, max_size=limits.MEMBER_NAME_MAX)
origins = st.builds(Origin, names.map(NetworkName), names.map(MemberName), st.integers(1, limits.INTEGER_MAX))
entries = st.builds(
    Entry,
    log=origins,
    index=st.integers(0, limits.INTEGER_MAX),
    prev=digests,
    id=st.builds(record_id, st.text(max_size=5), st.integers(0, 2**40)),
    body=digests,
    slot=st.none() | st.binary(min_size=16, max_size=16),
    card=st.none() | digests,
    charter=st.none() | digests,
)
PLAIN: Final = decode_entry(VECTORS["entries"][1]["entry"].encode())


def entry_of(members: dict[str, Any]) -> Entry:
    """An entry from the members that a vector tells, read without the code under test."""
    digest: dict[str, Any] = {
        name: Digest(decode_b64(members[name])) for name in ("prev", "body", "card", "charter") if name in members
    }
    return Entry(
        log=decode_origin(members["log"]),
        index=members["index"],
        id=decode_id(members["id"]),
        slot=decode_b64(members["slot"]) if "slot" in members else None,
        **digest,
    )


# --- vectors ------------------------------------------------------------------------


def test_vectors_are_what_the_pages_say() -> None:
    # A change here is a new version of the format, not a new file.
    assert render() == FILE.read_text()


@pytest.mark.parametrize("item", VECTORS["entries"], ids=lambda item: item["why"])
def test_entry_of_a_vector(item: dict[str, Any]) -> None:
    text = item["entry"].encode()
    assert leaf_hash(text).hex() == item["leaf"]
    if item["members"]["v"] == VERSION:
        assert decode_entry(text) == entry_of(item["members"])
        assert encode_entry(entry_of(item["members"])) == text


@pytest.mark.parametrize("item", VECTORS["refused"], ids=lambda item: item["why"])
def test_what_is_no_entry_is_refused(item: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        decode_entry(item["entry"].encode())


@pytest.mark.parametrize("item", VECTORS["slots"], ids=lambda item: f"{item['kind']}-{item['term']}-{item['batch']}")
def test_slot_of_a_vector(item: dict[str, Any]) -> None:
    given_secret, contract = bytes.fromhex(item["secret"]), bytes.fromhex(item["contract"])
    found = make_slot(
        SlotKind(item["kind"]),
        secret=given_secret,
        contract=contract,
        signer=item["signer"],
        term=item["term"],
        batch=item["batch"],
    )
    assert found.hex() == item["slot"]
    assert len(found) == SLOT_BYTES


# --- one spelling -------------------------------------------------------------------


@given(entries)
def test_round_trip_and_agreement_with_the_page(entry: Entry) -> None:
    text = encode_entry(entry)
    assert decode_entry(text) == entry
    assert text == formats.header(
        log=str(entry.log),
        index=entry.index,
        prev=entry.prev,
        record_id=entry.id,
        body=entry.body,
        slot=entry.slot,
        card=entry.card,
        charter=entry.charter,
    )
    assert text == encode_canonical(json.loads(text))
    assert len(text) <= limits.ENTRY_BYTES_MAX


@given(entries, st.data())
def test_changed_bytes_are_another_entry_or_none(entry: Entry, data: st.DataObject) -> None:
    text = encode_entry(entry)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 3, len(text))))
    changed = (
        text[:start] + data.draw(st.binary(max_size=3) | st.sampled_from([b"0", b"=", b" ", b",", b'"'])) + text[end:]
    )
    try:
        found = decode_entry(changed)
    except BadInput:
        return
    assert found.version > VERSION or encode_entry(found) == changed


def test_every_optional_member_at_once_fits_the_bound() -> None:
    name = "n" * limits.MEMBER_NAME_MAX
    full = replace(
        PLAIN,
        log=Origin(NetworkName(name), MemberName(name), limits.INTEGER_MAX),
        index=limits.INTEGER_MAX,
        slot=bytes(16),
        card=Digest(bytes(32)),
        charter=Digest(bytes(32)),
    )
    assert decode_entry(encode_entry(full)) == full
    assert len(encode_entry(full)) < 700


# --- later versions -----------------------------------------------------------------


def later(**change: object) -> bytes:
    value = json.loads(encode_entry(PLAIN)) | {"v": 2} | change
    return encode_canonical({name: item for name, item in value.items() if item is not ...})


def test_header_of_a_later_version_keeps_its_place_link_id_and_slot() -> None:
    slot = bytes(range(16))
    found = decode_entry(later(body={"new": [1]}, slot=formats.b64(slot), more="x"))
    assert (found.version, found.log, found.index, found.prev, found.id) == (2, PLAIN.log, 1, PLAIN.prev, PLAIN.id)
    assert found.slot == slot
    assert decode_entry(later(body=...)).slot is None
    check_link(found, log=PLAIN.log, index=1, prev=PLAIN.prev)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 0},
        {"v": 1, "more": 1},
        {"v": True},
        {"v": "2"},
        {"prev": ...},
        {"prev": 1},
        {"prev": formats.b64(bytes(31))},
        {"id": ...},
        {"id": "x"},
        {"log": ...},
        {"log": "x"},
        {"index": ...},
        {"index": "1"},
        {"index": True},
        {"slot": 1},
        {"slot": formats.b64(bytes(15))},
    ],
    ids=str,
)
def test_later_version_without_what_mirrors_need_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EncodingError):
        decode_entry(later(**change))


def test_later_version_is_kept_and_never_written_here() -> None:
    with pytest.raises(AssertionError, match="kept as the bytes that came"):
        encode_entry(decode_entry(later()))


def test_length_ends_at_the_limit() -> None:
    room = limits.ENTRY_BYTES_MAX - len(later(more=""))
    assert len(later(more="m" * room)) == limits.ENTRY_BYTES_MAX
    assert decode_entry(later(more="m" * room)).version == 2
    with pytest.raises(TooLarge):
        decode_entry(later(more="m" * (room + 1)))


# --- links --------------------------------------------------------------------------


def test_entry_follows_only_what_it_names() -> None:
    check_link(PLAIN, log=PLAIN.log, index=PLAIN.index, prev=PLAIN.prev)
    other = decode_origin("cold-chain.example/carrier")
    with pytest.raises(ForeignOrigin):
        check_link(PLAIN, log=other, index=PLAIN.index, prev=PLAIN.prev)
    with pytest.raises(ForeignOrigin):
        check_link(PLAIN, log=replace(PLAIN.log, epoch=2), index=PLAIN.index, prev=PLAIN.prev)
    with pytest.raises(LogGap):
        check_link(PLAIN, log=PLAIN.log, index=PLAIN.index + 1, prev=PLAIN.prev)
    with pytest.raises(LinkBroken):
        check_link(PLAIN, log=PLAIN.log, index=PLAIN.index, prev=Digest(bytes(32)))


def test_vectors_are_a_chain() -> None:
    prev = Digest(bytes(32))
    for index, item in enumerate(VECTORS["entries"][:3]):
        text = item["entry"].encode()
        check_link(decode_entry(text), log=PLAIN.log, index=index, prev=prev)
        prev = leaf_hash(text)


# --- slots --------------------------------------------------------------------------


def test_slots_differ_in_everything_that_a_statement_is_about() -> None:
    given_all: dict[str, Any] = {"secret": bytes(32), "contract": bytes(32), "signer": "n/a", "term": 1, "batch": 1}
    found = {make_slot(kind, **given_all) for kind in SlotKind}
    for name, other in (
        ("secret", bytes(31) + b"\1"), ("contract", bytes(31) + b"\1"), ("signer", "n/b"), ("term", 2), ("batch", 2)
    ):  # fmt: skip
        found.add(make_slot(SlotKind.ACK, **(given_all | {name: other})))
    assert len(found) == len(SlotKind) + 5


def test_slot_needs_a_secret_and_a_contract_of_32_bytes() -> None:
    for lengths in ((31, 32), (32, 33)):
        with pytest.raises(AssertionError, match="32 bytes"):
            make_slot(SlotKind.ACK, secret=bytes(lengths[0]), contract=bytes(lengths[1]), signer="n/a")


def test_kinds_of_slots_are_numbered_as_the_page_has_them() -> None:
    assert [(kind.name.lower(), int(kind)) for kind in SlotKind] == [
        ("sequence", 1),
        ("ack", 2),
        ("handover", 3),
        ("close", 4),
    ]


def test_id_text_is_that_of_the_page() -> None:
    assert encode_id(PLAIN.id) == formats.id_text(PLAIN.id)
