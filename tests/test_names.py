"""Names, digests and ids: each has one spelling, and no other is taken. Spec: docs/spec/notation.md."""

from __future__ import annotations

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import EncodingError
from ledger.names import (
    Origin,
    decode_b64,
    decode_hex,
    decode_id,
    decode_name,
    decode_origin,
    decode_size,
    encode_b64,
    encode_id,
    id_time_ms,
    lp,
    make_id,
)
from tests import formats

# Digits, letters and signs that some reader of Python takes for others.
odd_texts = st.text(alphabet="0123456789+-_ ./abcfxzABF=\n\u0663\uff11\u00e9", max_size=20)
names = st.text(alphabet="abcxyz0189.-", min_size=1, max_size=limits.MEMBER_NAME_MAX)
origins = st.builds(Origin, names, names, st.sampled_from([1, 2, 10, limits.INTEGER_MAX]))


# --- names ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "cold-chain.example", "a" * 63, "-", ".."])
def test_name_is_1_to_63_of_the_letters(text: str) -> None:
    assert decode_name(text) == text


@pytest.mark.parametrize("text", ["", "a" * 64, "A", "a_b", "a/b", "a b", "a\n", "\u00e9", "\uff41", "a\0"])
def test_other_name_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_name(text)


# --- base64, hexadecimal, numbers ---------------------------------------------------


@given(st.binary(max_size=100))
def test_base64_round_trip(raw: bytes) -> None:
    assert decode_b64(encode_b64(raw)) == raw
    assert decode_b64(encode_b64(raw), length=len(raw)) == raw
    with pytest.raises(EncodingError):
        decode_b64(encode_b64(raw), length=len(raw) + 1)


@given(st.one_of(odd_texts, st.text(alphabet="AQgwz09+/=_- \n", max_size=12)))
def test_base64_is_taken_in_one_spelling(text: str) -> None:
    try:
        raw = decode_b64(text)
    except EncodingError:
        return
    assert base64.b64encode(raw).decode() == text


@pytest.mark.parametrize("text", ["AB==", "AA=", "AA", "AAA", "AA==\n", " AA==", "A-==", "AA==AA==", "A\u00e9=="])
def test_base64_that_python_forgives_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_b64(text)


@pytest.mark.parametrize("text", ["0", "000", "AA", "0x", " 0", "0\n", "\uff10\uff10", "0g"])
def test_hexadecimal_is_lower_case_and_of_one_length(text: str) -> None:
    assert decode_hex("0a", length=1) == b"\x0a"
    with pytest.raises(EncodingError):
        decode_hex(text, length=1)


@given(st.integers(0, limits.INTEGER_MAX))
def test_size_round_trip(size: int) -> None:
    assert decode_size(str(size)) == size


@given(odd_texts)
def test_size_is_taken_in_one_spelling(text: str) -> None:
    try:
        size = decode_size(text)
    except EncodingError:
        return
    assert str(size) == text


@pytest.mark.parametrize(
    "text", ["", "+7", "-0", " 7", "7 ", "7\n", "1_0", "07", "7.0", "7e0", "\u0667", "0x7", str(2**53), "9" * 5000]
)
def test_size_that_python_forgives_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_size(text)


def test_size_ends_at_the_largest_exact_integer() -> None:
    assert decode_size(str(2**53 - 1)) == limits.INTEGER_MAX == 2**53 - 1


# --- ids --------------------------------------------------------------------------


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_id_is_a_uuid_of_version_7_that_tells_the_time(time_ms: int, random: bytes) -> None:
    record_id = make_id(time_ms, random)
    known = uuid.UUID(bytes=bytes(record_id))
    assert (known.version, known.variant) == (7, uuid.RFC_4122)
    assert str(known) == encode_id(record_id)
    assert decode_id(encode_id(record_id)) == record_id
    assert id_time_ms(record_id) == time_ms
    # Another program may set other random bits; those that say time, version and variant are fixed.
    assert bytes(record_id)[:6] == formats.make_id(time_ms, random)[:6]


def test_id_needs_ten_random_bytes() -> None:
    with pytest.raises(AssertionError, match="ten random bytes"):
        make_id(0, bytes(9))


@pytest.mark.parametrize(
    "text",
    [
        "0196f2a0-0000-7000-8000-00000000000",
        "0196f2a0-0000-7000-8000-0000000000000",
        "0196F2A0-0000-7000-8000-000000000000",
        "0196f2a0-0000-4000-8000-000000000000",
        "0196f2a0-0000-7000-c000-000000000000",
        "0196f2a00000-7000-8000-000000000000-",
        "0196f2a0000070008000000000000000",
        "{0196f2a0-0000-7000-8000-000000000000}",
        "0196f2a0-0000-7000-8000-000000000000\n",
        "",
    ],
)
def test_other_id_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_id(text)


# --- length-prefixed texts and origins ------------------------------------------------


@given(st.text(max_size=300))
def test_length_prefix_counts_bytes_of_utf8(text: str) -> None:
    assert lp(text) == formats.lp(text)


def test_length_prefix_ends_where_two_bytes_do() -> None:
    assert lp("a" * 0xFFFF)[:2] == b"\xff\xff"
    with pytest.raises(OverflowError):
        lp("a" * 0x10000)


@given(origins)
def test_origin_round_trip(origin: Origin) -> None:
    assert decode_origin(str(origin)) == origin
    assert origin.hash == formats.sha(str(origin).encode())


@given(st.text(alphabet="ab1230/", max_size=12))
def test_origin_is_taken_in_one_spelling(text: str) -> None:
    try:
        origin = decode_origin(text)
    except EncodingError:
        return
    assert str(origin) == text


@pytest.mark.parametrize(
    "text", ["", "a", "a/", "/b", "a/b/", "a/b/0", "a/b/1", "a/b/02", "a/b/x", "a/b/2/3", "a/B", "a//2", "a/b\n"]
)
def test_other_origin_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_origin(text)


def test_epochs_sort_as_numbers() -> None:
    assert decode_origin("n/a/9") < decode_origin("n/a/10")
