"""Sections, channels and wraps: bound to their place, and to what their author committed to.

Spec: docs/spec/sealing.md, docs/spec/channels.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadSignature, EncodingError, SealBroken, TallyError
from ledger.keys import make_opening_key, make_signing_key
from ledger.merkle import EMPTY_ROOT, leaf_hash, root_of
from ledger.names import Digest, KeyId, MemberName, NetworkId, NetworkName, Origin, decode_origin, sha256
from ledger.sealing import (
    FIELDS_MAX,
    Channel,
    ChannelMessage,
    Contexts,
    Wrapper,
    check_section_list,
    decode_channel_message,
    encode_channel_message,
    field_leaf,
    field_salt,
    open_channel,
    open_section,
    padded_length,
    receive_channel,
    seal_section,
    verify_channel_message,
)
from tests import formats
from tests.make import record_id
from tests.vectors.make_sealing import render

FILE: Final = Path(__file__).parent / "vectors" / "sealing.json"
VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())
NETWORK: Final = NetworkId(Digest(bytes.fromhex(VECTORS["network"])))
ORIGIN: Final = Origin(NetworkName("cold-chain.example"), MemberName("fishery"))
SEED: Final = sha256(b"a seed")
ID: Final = record_id("sealing")
CTX: Final = Contexts(NETWORK, ORIGIN).of(ID, 1)
FIELDS: Final = [("/a", b"1"), ("/b", b'"two"'), ("/c", b"[ ]")]
OPENING: Final = make_opening_key(seed=sha256(b"opening"))
TRANSPORT: Final = make_signing_key("cold-chain.example/fishery/transport", seed=sha256(b"transport"))

ids = st.binary(min_size=16, max_size=16)
digests = st.binary(min_size=32, max_size=32).map(Digest)
names = st.text(alphabet="az09.-", min_size=1, max_size=limits.MEMBER_NAME_MAX).map(MemberName)
origins = st.builds(Origin, names.map(NetworkName), names, st.integers(1, 2**40))
fields = st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=40)), max_size=9)
section_lists = st.sets(st.integers(0, limits.SECTIONS_MAX - 1), min_size=1, max_size=6).map(lambda s: bytes(sorted(s)))


def raw(item: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(item[name]) for name in names]


def test_vectors_are_what_the_pages_say() -> None:
    # A change here is a new version of the format, not a new file.
    assert render() == FILE.read_text()


# --- contexts, salts, leaves, padding -------------------------------------------------


@given(digests, origins, ids, st.integers(0, 255))
def test_context_is_that_of_the_page(network: Digest, origin: Origin, record: bytes, section: int) -> None:
    found = Contexts(NetworkId(network), origin).of(record, section)
    assert found == formats.context(network, str(origin), record, section)


def test_context_differs_in_network_log_record_and_section() -> None:
    other = decode_origin("cold-chain.example/fishery/2")
    found = {
        CTX,
        Contexts(NetworkId(sha256(b"other")), ORIGIN).of(ID, 1),
        Contexts(NETWORK, other).of(ID, 1),
        Contexts(NETWORK, ORIGIN).of(record_id("other"), 1),
        Contexts(NETWORK, ORIGIN).of(ID, 2),
    }
    assert len(found) == 5


@given(digests, digests, st.integers(0, 40))
def test_salt_of_a_field_is_the_one_that_sealing_used(seed: bytes, ctx: bytes, index: int) -> None:
    assert field_salt(seed, ctx, index) == formats.derive(seed, ctx, index + 1)[1][index]


@given(digests, st.integers(0, 0xFFFF), ids, st.text(max_size=20), st.binary(max_size=20))
def test_leaf_of_a_field_is_that_of_the_page(ctx: bytes, index: int, salt: bytes, name: str, text: bytes) -> None:
    found = field_leaf(ctx, index=index, salt=salt, name=name, text=text)
    assert found == formats.field_leaf(ctx, index, salt, (name, text))


def test_no_two_fields_have_one_leaf() -> None:
    plain: dict[str, Any] = {"index": 0, "salt": bytes(16), "name": "/ab", "text": b"c"}
    changes: list[dict[str, Any]] = [
        {"index": 1}, {"salt": bytes(15) + b"\1"}, {"name": "/a", "text": b"bc"}, {"name": "/abc", "text": b""}
    ]  # fmt: skip
    found = {field_leaf(CTX, **plain), field_leaf(bytes(32), **plain)}
    found |= {field_leaf(CTX, **(plain | change)) for change in changes}
    assert len(found) == 6
    # A field is no entry of a log, although both are leaves.
    assert leaf_hash(b"tally/field/v1\n") not in found


@pytest.mark.parametrize(("length", "padded"), VECTORS["padme"])
def test_padding_of_a_vector(length: int, padded: int) -> None:
    assert padded_length(length) == padded


@given(st.integers(2, 2**40))
def test_padding_tells_little_and_costs_little(length: int) -> None:
    padded = padded_length(length)
    assert length <= padded <= length * 1.12
    assert padded_length(padded) == padded == formats.padme(length)


# --- sections -------------------------------------------------------------------------


@pytest.mark.parametrize("item", VECTORS["sections"], ids=lambda item: item["why"])
def test_section_of_a_vector(item: dict[str, Any]) -> None:
    own_id, ctx, seed, root, ciphertext = raw(item, "id", "ctx", "seed", "root", "ciphertext")
    found = [(name, text.encode()) for name, text in item["fields"]]
    assert Contexts(NETWORK, decode_origin(item["origin"])).of(own_id, item["section"]) == ctx
    assert seal_section(found, seed=seed, context=ctx) == (ciphertext, root)
    assert open_section(ciphertext, Digest(root), seed=seed, context=ctx, section=item["section"]) == found
    salts = [field_salt(seed, ctx, i) for i in range(len(found))]
    leaves = [field_leaf(ctx, index=i, salt=salts[i], name=n, text=t) for i, (n, t) in enumerate(found)]
    assert [salt.hex() for salt in salts] == item["salts"]
    assert [leaf.hex() for leaf in leaves] == item["leaves"]
    assert root_of(leaves) == root


@given(fields, digests, digests)
def test_section_round_trip_and_agreement_with_the_page(
    chosen: list[tuple[str, bytes]], seed: bytes, ctx: bytes
) -> None:
    ciphertext, root = seal_section(chosen, seed=seed, context=ctx)
    assert (ciphertext, root) == formats.seal(chosen, seed, ctx)
    assert open_section(ciphertext, root, seed=seed, context=ctx, section=0) == chosen
    assert formats.unseal(ciphertext, seed, ctx) == chosen


@pytest.mark.parametrize("item", VECTORS["refused_sections"], ids=lambda item: item["why"])
def test_plaintext_that_no_writer_makes_is_refused(item: dict[str, Any]) -> None:
    ctx, seed, root, ciphertext = raw(item, "ctx", "seed", "root", "ciphertext")
    with pytest.raises(SealBroken):
        open_section(ciphertext, Digest(root), seed=seed, context=ctx, section=1)


@pytest.mark.slow
@given(st.binary(max_size=60), st.booleans())
def test_any_plaintext_is_the_one_form_of_its_fields_or_refused(text: bytes, padded: bool) -> None:
    if padded and len(text) > 1:
        text += bytes(padded_length(len(text)) - len(text))
    try:
        found = formats.unseal(formats.seal_text(text, SEED, CTX), SEED, CTX)
        root = formats.tree_hash(formats.field_leaves(found, SEED, CTX))
    except (UnicodeDecodeError, IndexError):
        found, root = [], EMPTY_ROOT
    try:
        opened = open_section(formats.seal_text(text, SEED, CTX), Digest(root), seed=SEED, context=CTX, section=0)
    except SealBroken:
        return
    assert opened == found
    assert formats.plaintext(opened) == text


def test_root_is_the_commitment_and_not_the_tag() -> None:
    ciphertext, root = seal_section(FIELDS, seed=SEED, context=CTX)
    _, other = seal_section([*FIELDS[:2], ("/c", b"[]")], seed=SEED, context=CTX)
    with pytest.raises(SealBroken, match="signed root"):
        open_section(ciphertext, other, seed=SEED, context=CTX, section=1)
    assert open_section(ciphertext, root, seed=SEED, context=CTX, section=1) == FIELDS


@pytest.mark.parametrize("at", [0, 20, -17, -16, -1])
def test_ciphertext_with_one_bit_changed_is_refused(at: int) -> None:
    ciphertext, root = seal_section(FIELDS, seed=SEED, context=CTX)
    changed = bytearray(ciphertext)
    changed[at] ^= 1
    with pytest.raises(SealBroken):
        open_section(bytes(changed), root, seed=SEED, context=CTX, section=1)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 30])
def test_ciphertext_cut_short_is_refused(length: int) -> None:
    ciphertext, root = seal_section(FIELDS, seed=SEED, context=CTX)
    with pytest.raises(SealBroken):
        open_section(ciphertext[:length], root, seed=SEED, context=CTX, section=1)


def test_section_opens_in_its_place_alone() -> None:
    ciphertext, root = seal_section(FIELDS, seed=SEED, context=CTX)
    places = [
        Contexts(NETWORK, ORIGIN).of(ID, 2),
        Contexts(NETWORK, ORIGIN).of(record_id("other"), 1),
        Contexts(NETWORK, decode_origin("cold-chain.example/carrier")).of(ID, 1),
        Contexts(NETWORK, decode_origin("cold-chain.example/fishery/2")).of(ID, 1),
        Contexts(NetworkId(sha256(b"other")), ORIGIN).of(ID, 1),
    ]
    for place in places:
        with pytest.raises(SealBroken):
            open_section(ciphertext, root, seed=SEED, context=place, section=1)
    with pytest.raises(SealBroken):
        open_section(ciphertext, root, seed=sha256(b"another seed"), context=CTX, section=1)


def test_seed_that_is_used_for_two_sections_gives_two_keys_and_other_salts() -> None:
    other = Contexts(NETWORK, ORIGIN).of(ID, 2)
    first, first_root = seal_section(FIELDS, seed=SEED, context=CTX)
    second, second_root = seal_section(FIELDS, seed=SEED, context=other)
    assert first != second
    assert first_root != second_root
    assert formats.derive(SEED, CTX, 3)[0] != formats.derive(SEED, other, 3)[0]
    assert not set(formats.derive(SEED, CTX, 3)[1]) & set(formats.derive(SEED, other, 3)[1])
    with pytest.raises(SealBroken):
        open_section(second, second_root, seed=SEED, context=CTX, section=1)


def test_count_of_fields_ends_at_the_limit() -> None:
    most = [(f"/{i}", b"1") for i in range(FIELDS_MAX)]
    ciphertext, root = seal_section(most, seed=SEED, context=CTX)
    assert open_section(ciphertext, root, seed=SEED, context=CTX, section=1) == most
    ciphertext, root = seal_section([*most, ("/more", b"1")], seed=SEED, context=CTX)
    with pytest.raises(SealBroken, match="more fields"):
        open_section(ciphertext, root, seed=SEED, context=CTX, section=1)


@pytest.mark.parametrize("length", [2**31, 2**32 - 1])
def test_huge_length_is_refused_without_room_for_it(length: int) -> None:
    text = formats.u16be(1) + formats.lp("/a") + formats.u32be(length) + b"1"
    text += bytes(padded_length(len(text)) - len(text))
    with pytest.raises(SealBroken, match="past the end"):
        open_section(formats.seal_text(text, SEED, CTX), EMPTY_ROOT, seed=SEED, context=CTX, section=1)


# --- channels ---------------------------------------------------------------------------


def message_of(item: dict[str, Any]) -> ChannelMessage:
    return decode_channel_message(bytes.fromhex(item["message"]))


def make(**change: Any) -> tuple[Channel, ChannelMessage]:
    plain: dict[str, Any] = {
        "wrapper": MemberName("fishery"),
        "reader": MemberName("carrier"),
        "sealing_key": OPENING.public,
        "signer": TRANSPORT,
    }
    channel, data = open_channel(NETWORK, **(plain | change))
    return channel, decode_channel_message(data)


@pytest.mark.parametrize("item", VECTORS["channels"], ids=lambda item: item["reader"])
def test_channel_of_a_vector(item: dict[str, Any]) -> None:
    message = message_of(item)
    opening = make_opening_key(seed=bytes.fromhex(item["sealing_seed"]))
    transport = make_signing_key(item["transport_name"], seed=bytes.fromhex(item["transport_seed"]))
    assert (message.wrapper, message.reader) == (item["wrapper"], item["reader"])
    assert (message.id.hex(), message.sealing_key) == (item["id"], item["sealing_key_id"])
    assert (message.sealing_key, message.signer) == (opening.public.id, transport.public.hash)
    assert encode_channel_message(message).hex() == item["message"]
    verify_channel_message(message, NETWORK, transport.public)
    channel = receive_channel(message, NETWORK, opening)
    assert (channel.key.hex(), channel.id.hex()) == (item["key"], item["id"])


def test_channel_that_we_open_is_read_by_the_page() -> None:
    channel, message = make()
    info = formats.channel_info(
        network=NETWORK, wrapper="fishery", reader="carrier", sealing_key=OPENING.public.raw, channel_id=channel.id
    )
    assert formats.hpke_open(message.sealed, OPENING.seed, info=info) == channel.key
    assert formats.Signer(TRANSPORT.public.name, TRANSPORT.seed).sign(info + message.sealed) == message.signature
    assert formats.sha(channel.key)[:8] == channel.id
    assert receive_channel(message, NETWORK, OPENING) == channel


def test_every_channel_has_a_key_of_its_own_that_is_not_printed() -> None:
    first, second = make()[0], make()[0]
    assert first.key != second.key
    assert first.key.hex() not in repr(first)
    assert repr(first.key) not in repr(first)


SPOILED: Final[dict[str, Callable[[ChannelMessage], ChannelMessage]]] = {
    "wrapper": lambda m: replace(m, wrapper=MemberName("processor")),
    "reader": lambda m: replace(m, reader=MemberName("processor")),
    "sealing key": lambda m: replace(m, sealing_key=KeyId("00" * 8)),
    "id": lambda m: replace(m, id=bytes(8)),
    "encapsulated key": lambda m: replace(m, sealed=bytes(32) + m.sealed[32:]),
    "ciphertext": lambda m: replace(m, sealed=m.sealed[:32] + bytes(48)),
    "sealed to the same key by another": lambda m: replace(m, sealed=make()[1].sealed),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_message_that_was_changed_is_refused_twice(spoil: Callable[[ChannelMessage], ChannelMessage]) -> None:
    message = spoil(make()[1])
    with pytest.raises(BadSignature):
        verify_channel_message(message, NETWORK, TRANSPORT.public)
    with pytest.raises(SealBroken):
        receive_channel(message, NETWORK, OPENING)


def test_message_of_another_network_signer_or_reader_is_refused() -> None:
    _, message = make()
    other = NetworkId(sha256(b"other"))
    with pytest.raises(BadSignature):
        verify_channel_message(message, other, TRANSPORT.public)
    with pytest.raises(SealBroken):
        receive_channel(message, other, OPENING)
    with pytest.raises(BadSignature):
        verify_channel_message(message, NETWORK, make_signing_key(TRANSPORT.public.name).public)
    with pytest.raises(SealBroken):
        receive_channel(message, NETWORK, make_opening_key())


def test_channel_key_that_has_another_id_is_refused() -> None:
    # The author signs an id and seals another key: two readers would mean two channels by one name.
    item = VECTORS["channels"][0]
    given: dict[str, Any] = {
        "network": NETWORK, "wrapper": "fishery", "reader": "carrier", "sealing_key": OPENING.public.raw
    }  # fmt: skip
    info = formats.channel_info(**given, channel_id=bytes(8))
    for secret in (bytes(32), bytes(31), bytes(33)):
        sealed = formats.hpke_seal(secret, OPENING.public.raw, info=info, ephemeral=sha256(b"ephemeral"))
        message = replace(message_of(item), reader=MemberName("carrier"), sealing_key=OPENING.public.id, id=bytes(8))
        with pytest.raises(SealBroken, match="id"):
            receive_channel(replace(message, sealed=sealed), NETWORK, OPENING)


@given(names, names, st.binary(min_size=8, max_size=8), st.binary(min_size=164, max_size=164))
def test_message_round_trip(wrapper: MemberName, reader: MemberName, key_id: bytes, rest: bytes) -> None:
    message = ChannelMessage(
        wrapper=wrapper,
        reader=reader,
        sealing_key=KeyId(key_id.hex()),
        id=rest[:8],
        signer=rest[8:12],
        sealed=rest[12:92],
        signature=rest[92:156],
    )
    assert decode_channel_message(encode_channel_message(message)) == message


@given(st.data())
def test_changed_bytes_are_another_message_or_none(data: st.DataObject) -> None:
    good = bytes.fromhex(VECTORS["channels"][0]["message"])
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    changed = good[:start] + data.draw(st.binary(max_size=4)) + good[end:]
    try:
        message = decode_channel_message(changed)
    except EncodingError:
        return
    assert encode_channel_message(message) == changed


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 50, 150])
def test_message_cut_short_is_refused(length: int) -> None:
    with pytest.raises(EncodingError):
        decode_channel_message(bytes.fromhex(VECTORS["channels"][0]["message"])[:length])


@pytest.mark.parametrize("more", [1, 64])
def test_message_with_bytes_after_the_end_is_refused(more: int) -> None:
    with pytest.raises(EncodingError):
        decode_channel_message(bytes.fromhex(VECTORS["channels"][0]["message"]) + bytes(more))


# --- wraps ----------------------------------------------------------------------------


def channel_of(item: dict[str, Any]) -> Channel:
    wrapper, reader = MemberName(item["wrapper"]), MemberName(item["reader"])
    return Channel(network=NETWORK, wrapper=wrapper, reader=reader, key=bytes.fromhex(item["channel_key"]))


@pytest.mark.parametrize("item", VECTORS["wraps"], ids=lambda item: item["reader"])
def test_wrap_of_a_vector(item: dict[str, Any]) -> None:
    own_id, manifest_hash, numbers, seeds, key, sealed = raw(
        item, "id", "manifest_hash", "sections", "seeds", "key", "sealed"
    )
    wrapper = Wrapper(channel_of(item), decode_origin(item["origin"]))
    assert AESGCM(key).decrypt(bytes(12), sealed, numbers) == seeds
    assert wrapper.wrap(seeds, own_id, manifest_hash, numbers) == (wrapper.channel_id, numbers, sealed)
    assert wrapper.unwrap(sealed, record_id=own_id, manifest_hash=manifest_hash, sections=numbers) == seeds


@given(digests, names, names, origins, ids, digests, section_lists)
def test_wrap_key_is_that_of_the_page(
    secret: Digest, author: MemberName, reader: MemberName, origin: Origin, own_id: bytes, body: bytes, numbers: bytes
) -> None:
    channel = Channel(network=NETWORK, wrapper=author, reader=reader, key=secret)
    key = formats.wrap_key(
        secret, network=NETWORK, wrapper=author, reader=reader, origin=str(origin),
        record_id=own_id, manifest_hash=body, sections=numbers,
    )  # fmt: skip
    seeds = bytes(32 * len(numbers))
    assert Wrapper(channel, origin).wrap(seeds, own_id, body, numbers).sealed == formats.wrap(key, seeds, numbers)


def test_wrap_opens_for_its_record_reader_and_channel_alone() -> None:
    channel = channel_of(VECTORS["wraps"][0])
    wrapper = Wrapper(channel, ORIGIN)
    given: dict[str, Any] = {"record_id": ID, "manifest_hash": sha256(b"m"), "sections": b"\0\2"}
    wrap = wrapper.wrap(bytes(64), *given.values())
    assert wrapper.unwrap(wrap.sealed, **given) == bytes(64)
    changes: list[dict[str, Any]] = [
        {"record_id": record_id("other")},
        {"manifest_hash": sha256(b"other")},
        {"sections": b"\0\3"},
        {"sections": b"\0"},
    ]
    for change in changes:
        with pytest.raises(SealBroken):
            wrapper.unwrap(wrap.sealed, **(given | change))
    for other in (
        Wrapper(replace(channel, reader=MemberName("carrier")), ORIGIN),
        Wrapper(replace(channel, wrapper=MemberName("carrier")), ORIGIN),
        Wrapper(replace(channel, network=NetworkId(sha256(b"other"))), ORIGIN),
        Wrapper(replace(channel, key=sha256(b"other")), ORIGIN),
        Wrapper(channel, decode_origin("cold-chain.example/fishery/2")),
    ):
        with pytest.raises(SealBroken):
            other.unwrap(wrap.sealed, **given)


@pytest.mark.parametrize("length", [0, 31, 32, 63, 65, 96])
def test_wrap_with_more_or_fewer_seeds_than_sections_is_refused(length: int) -> None:
    wrapper = Wrapper(channel_of(VECTORS["wraps"][0]), ORIGIN)
    wrap = wrapper.wrap(bytes(length), ID, sha256(b"m"), b"\0\2")
    with pytest.raises(SealBroken, match="one seed per section"):
        wrapper.unwrap(wrap.sealed, record_id=ID, manifest_hash=sha256(b"m"), sections=b"\0\2")


@pytest.mark.parametrize("sealed", [b"", bytes(15), bytes(16), bytes(80)])
def test_wrap_of_garbage_is_refused(sealed: bytes) -> None:
    wrapper = Wrapper(channel_of(VECTORS["wraps"][0]), ORIGIN)
    with pytest.raises(SealBroken):
        wrapper.unwrap(sealed, record_id=ID, manifest_hash=sha256(b"m"), sections=b"\0\2")


@given(section_lists)
def test_section_list_ascends(numbers: bytes) -> None:
    assert check_section_list(numbers) == numbers


@pytest.mark.parametrize("numbers", [b"", b"\0\0", b"\1\0", b"\0\2\1", bytes([limits.SECTIONS_MAX]), b"\xff"])
def test_other_section_list_is_refused(numbers: bytes) -> None:
    with pytest.raises(EncodingError):
        check_section_list(numbers)


def test_section_list_ends_at_the_limit() -> None:
    assert check_section_list(bytes(range(limits.SECTIONS_MAX)))
    with pytest.raises(TallyError):
        check_section_list(bytes(range(limits.SECTIONS_MAX + 1)))
