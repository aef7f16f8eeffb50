"""Rows of the store: what is left out comes back, and what was damaged is noticed."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.entry import Entry, encode_entry
from ledger.manifest import Blob, Manifest, Section, encode_manifest
from ledger.merkle import leaf_hash
from ledger.names import Digest, MemberName, NetworkName, Origin, RecordId, encode_id, sha256
from ledger.sealing import Wrap
from ledger.sidecar import Sidecar
from node.storage.packing import (
    PackedSidecar,
    RowDamaged,
    encode_header,
    pack_entry,
    pack_raw_entry,
    pack_received,
    pack_sidecar,
    unpack_entry,
    unpack_sidecar,
)
from tests.make_sealed import record

ORIGIN: Final = Origin(NetworkName("cold-chain.example"), MemberName("fishery"))
NUMBERS: Final = {bytes([i]) * 8: i for i in range(1, 9)} | {b"last one": (1 << 24) - 1}

digests = st.binary(min_size=32, max_size=32).map(Digest)
entries = st.builds(
    Entry,
    log=st.just(ORIGIN),
    index=st.integers(0, limits.INTEGER_MAX),
    prev=digests,
    id=st.binary(min_size=16, max_size=16).map(RecordId),
    body=digests,
    slot=st.none() | st.binary(min_size=16, max_size=16),
    card=st.none() | digests,
    charter=st.none() | digests,
)


def packed(entry: Entry) -> bytes:
    leaf = leaf_hash(encode_entry(entry))
    return pack_entry(leaf, entry.id, entry.body, slot=entry.slot, card=entry.card, charter=entry.charter)


def place(entry: Entry) -> dict[str, Any]:
    return {"origin": entry.log, "index": entry.index, "prev": entry.prev}


# --- entries --------------------------------------------------------------------------


@given(entries)
def test_header_comes_back_from_its_row_and_its_place(entry: Entry) -> None:
    row = unpack_entry(packed(entry))
    raw = row.encode(**place(entry))
    assert raw == encode_entry(entry)
    assert (row.leaf, row.id, row.body) == (leaf_hash(raw), entry.id, entry.body)
    assert (row.slot, row.card, row.charter, row.raw) == (entry.slot, entry.card, entry.charter, None)


@given(digests, st.binary(max_size=100), st.booleans())
def test_entry_that_is_invalid_or_newer_is_kept_as_it_came(leaf: Digest, raw: bytes, is_invalid: bool) -> None:
    row = unpack_entry(pack_raw_entry(leaf, raw, is_invalid=is_invalid))
    assert row.encode(origin=ORIGIN, index=0, prev=Digest(bytes(32))) == raw
    assert (row.leaf, row.id, row.body, row.is_invalid) == (leaf, None, None, is_invalid)


@given(entries, st.integers(0, 200), st.integers(0, 7))
def test_one_changed_bit_of_a_row_does_not_pass(entry: Entry, at: int, bit: int) -> None:
    good = packed(entry)
    at %= len(good)
    changed = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    try:
        row = unpack_entry(changed)
    except RowDamaged:
        return
    # Whoever re-proves the store compares the two: docs of `fsck`.
    assert leaf_hash(row.encode(**place(entry))) != row.leaf


@given(entries, st.integers(-90, 40))
def test_row_of_another_length_does_not_pass(entry: Entry, change: int) -> None:
    good = packed(entry)
    changed = good[:change] if change < 0 else good + bytes(change)
    if changed == good:
        return
    with pytest.raises(RowDamaged):
        unpack_entry(changed)


@pytest.mark.parametrize("length", [0, 1, 32])
def test_row_without_a_leaf_is_refused(length: int) -> None:
    for flags in (b"\x00", b"\x40", b"\x80", b"\x08"):
        with pytest.raises(RowDamaged):
            unpack_entry((flags + bytes(80))[:length])


@given(entries)
def test_header_of_bulk_append_is_that_of_a_plain_entry(entry: Entry) -> None:
    plain = Entry(log=entry.log, index=entry.index, prev=entry.prev, id=entry.id, body=entry.body)
    found = encode_header(
        str(entry.log).encode(),
        entry.index,
        prev=entry.prev,
        record_id_text=encode_id(entry.id).encode(),
        body=entry.body,
    )
    assert found == encode_entry(plain)


# --- sidecars -------------------------------------------------------------------------

section_lists = st.sets(st.integers(0, 5), min_size=1, max_size=3).map(lambda found: bytes(sorted(found)))


@st.composite
def sidecars(draw: st.DrawFn) -> Sidecar:
    """A sidecar of which some sections are withheld."""
    texts = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
    sections = tuple(Section(len(text), draw(digests), sha256(text)) for text in texts)
    blobs = tuple(draw(st.lists(st.builds(Blob, st.integers(0, limits.INTEGER_MAX), digests), max_size=2)))
    channels = draw(st.lists(st.sampled_from(sorted(NUMBERS)), max_size=3, unique=True))
    lists = [draw(section_lists) for _ in channels]
    wraps = [Wrap(c, n, draw(st.just(sha256(n) * 7))[: 32 * len(n) + 16]) for c, n in zip(channels, lists, strict=True)]
    held = draw(st.sets(st.integers(0, len(texts) - 1)))
    return Sidecar(encode_manifest(Manifest(sections, blobs)), tuple(wraps), {n: texts[n] for n in sorted(held)})


def same(row: PackedSidecar, sidecar: Sidecar) -> bool:
    wraps = [(wrap.channel_number, wrap.sections, wrap.sealed) for wrap in row.wraps]
    given_wraps = [(NUMBERS[wrap.channel], wrap.sections, wrap.sealed) for wrap in sidecar.wraps]
    return (row.manifest_bytes, wraps, row.sections) == (sidecar.manifest, given_wraps, sidecar.sections)


@given(sidecars())
def test_sidecar_of_a_peer_comes_back_whole(sidecar: Sidecar) -> None:
    assert same(unpack_sidecar(pack_received(sidecar, NUMBERS)), sidecar)


def test_record_of_our_own_is_packed_as_if_it_had_been_received() -> None:
    found = record()
    numbers = {wrap.channel: i for i, wrap in enumerate(found.sealed.wraps, 7)}
    own = pack_sidecar(found.sealed.roots, found.sealed.sections, found.sealed.wraps, numbers)
    sidecar = Sidecar(found.sealed.manifest, tuple(found.sealed.wraps), dict(enumerate(found.sealed.sections)))
    assert own == pack_received(sidecar, numbers)
    assert unpack_sidecar(own).manifest_bytes == found.sealed.manifest


@given(sidecars(), st.integers(0, 2000), st.integers(0, 7))
def test_one_changed_bit_of_a_sidecar_does_not_pass(sidecar: Sidecar, at: int, bit: int) -> None:
    good = pack_received(sidecar, NUMBERS)
    at %= len(good)
    changed = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    try:
        row = unpack_sidecar(changed)
    except RowDamaged:
        return
    # The entry names the hash of the manifest; and the wraps, which it does not cover, have a sum of their own.
    assert sha256(row.manifest_bytes) != sha256(sidecar.manifest)


@given(sidecars(), st.data())
def test_sidecar_cut_short_or_grown_is_refused_or_another(sidecar: Sidecar, data: st.DataObject) -> None:
    good = pack_received(sidecar, NUMBERS)
    length = data.draw(st.integers(0, len(good) + 3))
    changed = (good + b"\0\0\0")[:length]
    if changed == good:
        return
    with pytest.raises(RowDamaged):
        unpack_sidecar(changed)


@given(st.binary(max_size=80))
def test_garbage_is_told_and_nothing_else_happens(text: bytes) -> None:
    for unpack in (unpack_entry, unpack_sidecar):
        try:
            unpack(text)
        except RowDamaged:
            continue


def test_largest_section_and_channel_number_fit_their_places() -> None:
    text = bytes(limits.SECTION_BYTES_MAX)
    manifest = Manifest((Section(len(text), Digest(bytes(32)), sha256(text)),))
    wrap = Wrap(b"last one", b"\0", bytes(48))
    for held in ({0: text}, {}):
        sidecar = Sidecar(encode_manifest(manifest), (wrap,), held)
        assert same(unpack_sidecar(pack_received(sidecar, NUMBERS)), sidecar)


def test_most_sections_blobs_and_wraps_fit_their_counts() -> None:
    empty = Section(0, Digest(bytes(32)), sha256(b""))
    manifest = Manifest((empty,) * limits.SECTIONS_MAX, (Blob(0, Digest(bytes(32))),) * limits.BLOBS_MAX)
    channels = {i.to_bytes(8, "big"): i for i in range(limits.READERS_MAX)}
    wraps = tuple(Wrap(channel, b"\0", bytes(48)) for channel in channels)
    sidecar = Sidecar(encode_manifest(manifest), wraps, dict.fromkeys(range(limits.SECTIONS_MAX), b""))
    row = unpack_sidecar(pack_received(sidecar, channels))
    assert (row.manifest, len(row.wraps)) == (manifest, limits.READERS_MAX)
