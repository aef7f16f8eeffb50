"""Sidecars on the wire: one spelling, and counts and lengths that cannot be abused. Spec: docs/spec/bodies.md."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadInput, EncodingError, TooLarge
from ledger.sealing import Wrap
from ledger.sidecar import Bodies, Sidecar, decode_bodies, decode_sidecar, encode_bodies, encode_sidecar
from tests import formats

VECTORS: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "record.json").read_text())

section_lists = st.sets(st.integers(0, limits.SECTIONS_MAX - 1), min_size=1, max_size=3).map(lambda s: bytes(sorted(s)))


@st.composite
def wraps(draw: st.DrawFn) -> Wrap:
    numbers = draw(section_lists)
    length = 32 * len(numbers) + 16
    return Wrap(draw(st.binary(min_size=8, max_size=8)), numbers, draw(st.binary(min_size=length, max_size=length)))


sidecars = st.just(Sidecar(b"", (), {})) | st.builds(
    Sidecar,
    st.binary(min_size=1, max_size=30),
    st.lists(wraps(), max_size=3, unique_by=lambda wrap: wrap.channel).map(tuple),
    st.dictionaries(st.integers(0, limits.SECTIONS_MAX - 1), st.binary(max_size=12), max_size=3),
)
bodies = st.builds(
    Bodies,
    messages=st.lists(st.binary(max_size=6), max_size=3),
    sidecars=st.dictionaries(st.integers(10, 20), sidecars, max_size=3),
)
ONE: Final = Sidecar(b"manifest", (Wrap(bytes(8), b"\0", bytes(48)),), {0: b"ciphertext"})


# --- one sidecar --------------------------------------------------------------------


def test_sidecar_of_the_vector() -> None:
    found = decode_sidecar(bytes.fromhex(VECTORS["sidecar"]))
    own, processor = (next(w for w in VECTORS["wraps"] if w["reader"] == r) for r in ("fishery", "processor"))
    assert found.manifest.decode() == VECTORS["manifest"]
    assert [(w.channel.hex(), w.sections.hex(), w.sealed.hex()) for w in found.wraps] == [
        (item["channel"], item["sections"], item["sealed"]) for item in (processor, own)
    ]
    assert {n: text.hex() for n, text in found.sections.items()} == {
        0: VECTORS["ciphertexts"][0],
        1: VECTORS["ciphertexts"][1],
    }
    assert encode_sidecar(found).hex() == VECTORS["sidecar"]


@given(sidecars)
def test_sidecar_round_trip_and_agreement_with_the_page(sidecar: Sidecar) -> None:
    data = encode_sidecar(sidecar)
    assert decode_sidecar(data) == sidecar
    assert data == formats.sidecar(sidecar.manifest, sidecar.wraps, sidecar.sections)


@given(sidecars, st.data())
def test_changed_bytes_are_another_sidecar_or_none(sidecar: Sidecar, data: st.DataObject) -> None:
    good = encode_sidecar(sidecar)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 6, len(good))))
    changed = good[:start] + data.draw(st.binary(max_size=6)) + good[end:]
    try:
        found = decode_sidecar(changed)
    except BadInput:
        return
    assert encode_sidecar(found) == changed


def test_sidecar_cut_short_or_with_bytes_after_the_end_is_refused() -> None:
    good = encode_sidecar(ONE)
    for length in range(len(good)):
        with pytest.raises(EncodingError):
            decode_sidecar(good[:length])
    with pytest.raises(EncodingError):
        decode_sidecar(good + b"\0")


def spoiled(**change: Any) -> bytes:
    """A sidecar of parts that no writer puts together."""
    plain: dict[str, Any] = {"manifest_text": b"m", "wraps": [], "sections": {}}
    return formats.sidecar(**(plain | change))


@pytest.mark.parametrize(
    "data",
    [
        spoiled(wraps=[(bytes(8), b"\0", bytes(48))] * 2),
        spoiled(wraps=[(bytes(8), b"", bytes(16))]),
        spoiled(wraps=[(bytes(8), b"\1\0", bytes(80))]),
        spoiled(wraps=[(bytes(8), b"\0\0", bytes(80))]),
        spoiled(wraps=[(bytes(8), bytes([limits.SECTIONS_MAX]), bytes(48))]),
        spoiled(sections={limits.SECTIONS_MAX: b"x"}),
        spoiled()[:-1] + b"\2" + (b"\1" + formats.u32be(1) + b"x") * 2,
        spoiled()[:-1] + b"\2" + b"\1" + formats.u32be(1) + b"x" + b"\0" + formats.u32be(1) + b"x",
        formats.u32be(2**32 - 1) + b"m",
        spoiled()[:-2] + b"\xff\0",
        spoiled()[:-1] + b"\xff",
        spoiled()[:-1] + b"\1\0" + formats.u32be(2**32 - 1) + b"x",
    ],
    ids=[
        "channel twice", "no sections", "descending", "repeated", "beyond the limit", "section beyond the limit",
        "section twice", "sections out of order", "huge manifest", "255 wraps", "255 sections", "huge section",
    ],
)  # fmt: skip
def test_sidecar_that_no_writer_makes_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_sidecar(data)


def test_sections_are_written_in_ascending_order_however_they_are_given() -> None:
    one, other = Sidecar(b"m", (), {2: b"b", 0: b"a"}), Sidecar(b"m", (), {0: b"a", 2: b"b"})
    assert encode_sidecar(one) == encode_sidecar(other)


def test_length_ends_at_the_limit() -> None:
    room = limits.SIDECAR_BYTES_MAX - len(encode_sidecar(Sidecar(b"m", (), {0: b""})))
    assert decode_sidecar(encode_sidecar(Sidecar(b"m", (), {0: bytes(room)}))).sections[0] == bytes(room)
    with pytest.raises(TooLarge):
        decode_sidecar(encode_sidecar(Sidecar(b"m", (), {0: bytes(room + 1)})))


@pytest.mark.parametrize("item", VECTORS["refused_sidecars"], ids=lambda item: item["why"])
def test_sidecar_of_the_vector_is_refused(item: dict[str, str]) -> None:
    with pytest.raises(EncodingError):
        decode_sidecar(bytes.fromhex(item["sidecar"]))


@pytest.mark.parametrize("change", [{"wraps": ONE.wraps}, {"sections": ONE.sections}], ids=["wraps", "sections"])
def test_body_that_was_lost_has_neither_wraps_nor_sections(change: dict[str, Any]) -> None:
    lost = Sidecar(b"", (), {})
    assert decode_sidecar(encode_sidecar(lost)) == lost
    with pytest.raises(EncodingError, match="without a manifest"):
        decode_sidecar(spoiled(manifest_text=b"", **change))
    with pytest.raises(EncodingError, match="without a manifest"):
        encode_sidecar(replace(lost, **change))


def test_largest_record_that_is_sealed_fits_one_sidecar() -> None:
    """In the worst case: as many sections and readers as there may be, and every byte in one section."""
    padded = sum(formats.padme(limits.RECORD_BYTES_MAX // 64 + 64) + 16 for _ in range(limits.SECTIONS_MAX))
    padded = max(padded, formats.padme(limits.RECORD_BYTES_MAX + 2) + 16 + 63 * 64)
    wraps_bytes = limits.READERS_MAX * (8 + 1 + limits.SECTIONS_MAX + 32 * limits.SECTIONS_MAX + 16)
    links_bytes = limits.LINKS_MAX * 512
    whole = 4 + limits.MANIFEST_BYTES_MAX + 1 + wraps_bytes + 1 + 5 * limits.SECTIONS_MAX + padded + 2 * links_bytes
    assert whole <= limits.SIDECAR_BYTES_MAX


# --- an answer ------------------------------------------------------------------------


def test_answer_of_the_vector() -> None:
    item = VECTORS["answer"]
    data = bytes.fromhex(item["bodies"])
    assert int.from_bytes(data[:8], "big") == item["end"]
    found = decode_bodies(data[8:], start=item["start"], end=item["end"])
    assert sorted(found.sidecars) == item["indexes"]
    assert encode_sidecar(found.sidecars[256]).hex() == VECTORS["sidecar"]
    assert encode_bodies(found) == data[8:]


@given(bodies)
def test_answer_round_trip_and_agreement_with_the_page(answer: Bodies) -> None:
    data = encode_bodies(answer)
    found = decode_bodies(data, start=10, end=21)
    assert (list(found.messages), found.sidecars) == (answer.messages, answer.sidecars)
    assert data == formats.bodies(answer.messages, {i: encode_sidecar(s) for i, s in answer.sidecars.items()})


@given(bodies, st.data())
def test_changed_bytes_are_another_answer_or_none(answer: Bodies, data: st.DataObject) -> None:
    good = encode_bodies(answer)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 9, len(good))))
    changed = good[:start] + data.draw(st.binary(max_size=6)) + good[end:]
    try:
        found = decode_bodies(changed, start=10, end=21)
    except BadInput:
        return
    assert encode_bodies(found) == changed


@pytest.mark.parametrize(("start", "end"), [(6, 10), (5, 8), (0, 5), (8, 8)])
def test_answer_about_entries_that_were_not_asked_for_is_refused(start: int, end: int) -> None:
    data = encode_bodies(Bodies(sidecars={5: ONE, 9: ONE}))
    assert sorted(decode_bodies(data, start=5, end=10).sidecars) == [5, 9]
    with pytest.raises(EncodingError, match="not asked for"):
        decode_bodies(data, start=start, end=end)


def test_answer_out_of_order_or_with_an_entry_twice_is_refused() -> None:
    one = formats.u64be(5) + formats.u32be(len(encode_sidecar(ONE))) + encode_sidecar(ONE)
    two = formats.u64be(6) + one[8:]
    assert sorted(decode_bodies(formats.u16be(0) + one + two, start=0, end=10).sidecars) == [5, 6]
    for data in (two + one, one + one):
        with pytest.raises(EncodingError, match="out of order"):
            decode_bodies(formats.u16be(0) + data, start=0, end=10)


def test_answer_cut_short_is_refused() -> None:
    good = encode_bodies(Bodies(messages=[b"message"], sidecars={5: ONE}))
    whole_without_sidecars = len(encode_bodies(Bodies(messages=[b"message"])))
    for length in set(range(len(good))) - {whole_without_sidecars}:
        with pytest.raises(EncodingError):
            decode_bodies(good[:length], start=0, end=10)
    with pytest.raises(EncodingError):
        decode_bodies(good + b"\0", start=0, end=10)


def test_number_of_messages_ends_at_the_limit() -> None:
    most = limits.BODIES_MESSAGES_MAX
    assert len(decode_bodies(formats.bodies([b""] * most, {}), start=0, end=1).messages) == most
    with pytest.raises(TooLarge):
        decode_bodies(formats.bodies([b""] * (most + 1), {}), start=0, end=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        formats.u16be(1) + formats.u16be(0xFFFF),
        formats.u16be(limits.BODIES_MESSAGES_MAX),
        formats.u16be(0) + formats.u64be(5) + formats.u32be(2**32 - 1),
        formats.u16be(0) + formats.u64be(2**64 - 1) + formats.u32be(0),
    ],
    ids=["long message", "many messages", "huge sidecar", "huge index"],
)
def test_claimed_length_takes_no_memory(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(EncodingError):
        decode_bodies(data, start=0, end=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
