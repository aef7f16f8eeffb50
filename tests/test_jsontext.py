"""Strict JSON: what is taken and what is refused, and that no text keeps a core busy. Spec: docs/spec/json.md."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadInput, DuplicateKey, EncodingError, JsonMalformed, TallyError, TooDeep, TooLarge
from ledger.jsontext import check_strict, decode_canonical, encode_canonical, encode_string, members, parse

MALFORMED = [
    b"",
    b" ",
    b"\xef\xbb\xbf1",
    b"1 2",
    b"{}{}",
    b"[1,]",
    b'{"a":1,}',
    b'{"a" 1}',
    b"{'a':1}",
    b"{a:1}",
    b"/*x*/1",
    b"1//x",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"tru",
    b"True",
    b"01",
    b"-",
    b"+1",
    b"1.",
    b".5",
    b"1e",
    b"0x1",
    b"1_0",
    "\u0661".encode(),
    b'"\x1f"',
    b'"\n"',
    b'"\\x"',
    b'"\\u12"',
    b'"\\u\xef\xbc\x91234"',
    b'"a',
    b"'a'",
    b'"\xff"',
    b'"\xed\xa0\xbd"',
    b'"\\ud83d"',
    b'"\\ude00\\ud83d"',
    b'{"\\ud83d":1}',
    b"\x0b1",
    b"\xa01",
    b"[1\x0c]",
    b"\x00",
    b"[",
    b"]",
    b"[}",
]
DUPLICATES = [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"x":{"":1,"":2}}]', b'{"a":1, "b":2, "a":3}']
KEPT = [
    b"0",
    b"-0",
    b"26.0",
    b"1e3",
    b"1E+02",
    b"-1.50",
    b"0.1e-7",
    b"12345678901234567890123",
    b"1e99999999999999999999",
    b'"\\u0041\\/\\ud83d\\ude00"',
    b'"\x7f"',
    '"\u2028\u00e9\U0001f41f"'.encode(),
    b' { "a" : [ 1 , 2 ] ,\n\t"b":null}\r\n',
    b"true",
    b'{"":{"":{}}}',
    b"[]",
]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
own = st.recursive(
    st.none() | st.booleans() | st.integers(0, limits.INTEGER_MAX) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=[chr(c) for c in range(32, 127)], max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def nested(levels: int, kind: str = "[]") -> bytes:
    opening, closing = ('{"a":', "}") if kind == "{}" else ("[", "]")
    inner = b"{}" if kind == "{}" else b"[]"
    return opening.encode() * (levels - 1) + inner + closing.encode() * (levels - 1)


# --- what is taken ----------------------------------------------------------------


@pytest.mark.parametrize("text", KEPT, ids=repr)
def test_any_strict_json_is_taken(text: bytes) -> None:
    check_strict(text)


@given(plain, st.sampled_from([None, 0, 3]), st.booleans())
def test_whatever_python_prints_is_taken_and_read_alike(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    check_strict(text)
    assert parse(text) == json.loads(text, parse_float=Decimal)


def test_numbers_are_read_exactly() -> None:
    assert parse(b"[26.0, 1e3, -0, 9007199254740993]") == [Decimal("26.0"), Decimal("1e3"), 0, 9007199254740993]
    assert str(parse(b"26.0")) == "26.0"


# --- what is refused ----------------------------------------------------------------


@pytest.mark.parametrize("text", MALFORMED, ids=repr)
def test_malformed_json_is_refused(text: bytes) -> None:
    for read in (check_strict, parse, decode_canonical):
        with pytest.raises((JsonMalformed, EncodingError)):
            read(text)
    with pytest.raises(JsonMalformed):
        check_strict(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "at byte 0: the text is empty"),
        (b" \n ", "the text is empty, line 2 column 2"),
        (b'{"a": 1,\n "\xc3\xa9": nul}', "at byte 16: Expecting value, line 2 column 7"),
        (b'{"a": [1,\n', "and the text ends there, line 2 column 1"),
        (b'{"NaN": "NaN\\"NaN", "b": NaN}', "at byte 25: NaN is not JSON"),
        (b"[1,\n -Infinity]", "at byte 5: -Infinity is not JSON, line 2 column 2"),
        (b'["a\n\xff"]', "at byte 4: not UTF-8, line 2 column 1"),
    ],
)
def test_the_place_of_the_fault_is_told(text: bytes, told: str) -> None:
    with pytest.raises(JsonMalformed) as caught:
        check_strict(text)
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize("text", DUPLICATES, ids=repr)
def test_duplicate_key_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(DuplicateKey) as caught:
        check_strict(text)
    assert caught.value.fields["key"] in ("a", "")


@given(st.binary(max_size=40) | st.sampled_from(KEPT + MALFORMED), st.binary(max_size=3), st.integers(0, 40))
@example(b'{"a":1', b',"a":1}', 6)
def test_quick_reader_and_exact_reader_agree(text: bytes, change: bytes, at: int) -> None:
    text = text[:at] + change + text[at:]
    # Of a text with both faults the exact reader may tell of the number first, which is no fault of JSON's.
    assert accepts(check_strict, text) <= accepts(parse, text)
    if "beyond all computing" not in complaint(parse, text):
        assert accepts(check_strict, text) == accepts(parse, text)


@given(st.text(alphabet='{}[]",:\\u0a1 \n', max_size=30))
def test_soup_of_json_is_judged_alike_by_both_readers(text: str) -> None:
    assert accepts(check_strict, text.encode()) == accepts(parse, text.encode())


def complaint(read: Any, text: bytes) -> str:
    try:
        read(text)
    except BadInput as cause:
        return str(cause)
    return ""


def accepts(read: Any, text: bytes) -> bool:
    """Whether a reader takes `text`; another error than one of bad input fails the test."""
    try:
        read(text)
    except BadInput as cause:
        return "beyond all computing" in str(cause)  # strict JSON, and a number that only `parse` minds
    return True


def test_byte_of_the_fault_is_told() -> None:
    with pytest.raises(JsonMalformed) as caught:
        check_strict('{"é":1,}'.encode())
    assert caught.value.fields["offset"] == len('{"é":1,'.encode())


# --- bounds -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_nesting_ends_at_the_limit(kind: str) -> None:
    check_strict(nested(limits.JSON_DEPTH, kind))
    check_strict(nested(limits.JSON_DEPTH, kind).replace(b"[]", b"[1]").replace(b"{}", b'{"b":1}'))
    with pytest.raises(TooDeep):
        check_strict(nested(limits.JSON_DEPTH + 1, kind))
    with pytest.raises(TooDeep):
        check_strict(b"[" * 100_000)
    check_strict(nested(3, kind), depth_max=3)
    with pytest.raises(TooDeep):
        check_strict(nested(4, kind), depth_max=3)


def test_brackets_in_strings_and_side_by_side_do_not_nest() -> None:
    check_strict(b'["' + b"[{" * 100 + b'\\"[[' + b'"]')
    check_strict(b"[" + b",".join([b"[{}]"] * 100) + b"]")


def test_length_ends_at_the_limit() -> None:
    text = b'"' + b"a" * (limits.BODY_BYTES_MAX - 2) + b'"'
    check_strict(text)
    for read in (check_strict, parse, decode_canonical):
        with pytest.raises(TooLarge):
            read(text[:-1] + b'a"')
        with pytest.raises(TooLarge):
            read(b"123", bytes_max=2)


def test_numbers_of_any_length_are_kept_and_only_short_ones_computed() -> None:
    most = limits.NUMBER_DIGITS_MAX
    for text in (
        b"9" * (most + 1),
        b"0." + b"3" * (most - 1),
        b"1e99999999999999999999",
        b"-0.0e-99999999999999999999",
    ):
        check_strict(text)
        with pytest.raises(JsonMalformed):
            parse(text)
    assert parse(b"9" * most) == int("9" * most)
    assert parse(b"0." + b"3" * (most - 2)) == Decimal("0." + "3" * (most - 2))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":[' + b"[]," * 33 + b'"' + b'\\"' * 200_000,
        b'{"a":[' + b"[]," * 33 + b'"' + b"\\" * 400_001,
        b'"\\' * 200_000 + b"[" * 40,
        b"[" * 33 + b'"' * 400_000,
        b'{"":' * 100_000,
        b"[]" * 200_000,
        b"9" * 400_000,
        b"-" * 400_000,
        b'"' + b"\\u0000" * 60_000 + b'"',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_text_takes_longer_than_its_length_lets_expect(text: bytes) -> None:
    began_s = time.process_time()
    accepts(check_strict, text)
    assert time.process_time() - began_s < 2  # a quadratic reader takes minutes


# --- members --------------------------------------------------------------------------


def test_members_keep_the_text_of_their_values() -> None:
    assert members(b' { "a" : 26.0 , "\\u0062" : [ 1 , 2 ] ,"c":"\\u0041"}\n') == {
        "a": b"26.0",
        "b": b"[ 1 , 2 ]",
        "c": b'"\\u0041"',
    }


@pytest.mark.parametrize("text", [b"[]", b"1", b'"a"', b"null"])
def test_members_of_what_is_no_object(text: bytes) -> None:
    with pytest.raises(JsonMalformed):
        members(text)


@given(st.text(max_size=20))
def test_string_round_trip(text: str) -> None:
    check_strict(encode_string(text))
    assert parse(encode_string(text)) == text


# --- our own documents ------------------------------------------------------------------


@given(own)
def test_canonical_round_trip(value: Any) -> None:
    text = encode_canonical(value)
    assert decode_canonical(text) == value
    check_strict(text)


@given(st.text(alphabet='{}[]",:\\u0a1 \ntruefalsn-.', max_size=24))
def test_canonical_text_is_taken_in_one_spelling(text: str) -> None:
    try:
        value = decode_canonical(text.encode())
    except TallyError:
        return
    assert encode_canonical(value).decode() == text


def test_canonical_form_is_that_of_rfc_8785() -> None:
    value = {"b": [1, {"z": None, "a": True}], "A": '\u20ac$\u000f\nA\'B"\\\\"/\u007f', "~": {}, "a b": ""}
    assert encode_canonical(value).decode() == (
        '{"A":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u007f","a b":"","b":[1,{"a":true,"z":null}],"~":{}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        b' {"a":1}',
        b'{"a":1}\n',
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b"1.0",
        b"1e0",
        b"-1",
        b"-0",
        b"9007199254740992",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        '{"é":1}'.encode(),
        b'{"\\t":1}',
    ],
    ids=repr,
)
def test_other_form_of_a_document_is_refused(text: bytes) -> None:
    check_strict(text)
    with pytest.raises(EncodingError):
        decode_canonical(text)


@pytest.mark.parametrize("value", [-1, 2**53, 1.5, 1.0, {"\u00e9": 1}, {"\n": 1}, {1: 1}, "\ud800", b"a", (1,), {1}])
def test_document_holds_no_other_values(value: object) -> None:
    with pytest.raises(EncodingError):
        encode_canonical(value)
    with pytest.raises(EncodingError):
        encode_canonical({"a": [value]})


def test_document_holds_integers_up_to_the_largest_exact_one() -> None:
    assert decode_canonical(b"9007199254740991") == limits.INTEGER_MAX
    assert encode_canonical(0) == b"0"
