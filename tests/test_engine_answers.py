"""What a guest answers is text by an adversary: it comes out canonical, or is refused, and soon."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import limits
from contracts.engine import answers
from contracts.engine.answers import (
    MARK,
    AnswerWrong,
    Reason,
    canonical,
    has_doubtful_keys,
    read_case,
    read_reason,
)
from contracts.engine.quick import canonicalise
from ledger import jsontext
from ledger.letters import is_hidden

SECONDS_MAX: Final = 20.0
"""A hang guard: the slowest takes a second, and each of the old quadratic ones took hours."""
LETTERS: Final = limits.ANSWER_BYTES_MAX - 100
NUMBER_END: Final = 10**limits.NUMBER_LETTERS_MAX

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(max_size=5), plain, max_size=5)
_SIGNS: Final = ('"', "\\", "[", "]", "{", "}", ":", ",", "1", "-", "0", ".", "e5", " ", MARK, "\\ud800", "\\u0022")
_WORDS: Final = ('"a":', '"\\ud8001"', '{"a":', "true", "null", "\udc00", "\U0001f4a9", "\\udc00", "NaN", "9" * 81)
fragments = st.sampled_from(_SIGNS + _WORDS)
hostile_texts = st.lists(fragments | st.text(max_size=3), max_size=25).map("".join)


def write(value: Any) -> str:
    """As the guest writes it: Decimals are marked texts."""

    def mark(one: Any) -> str:
        assert isinstance(one, Decimal)
        return MARK + str(one)

    return json.dumps(value, default=mark)


def check_canonical(answer: str) -> bytes | None:
    try:
        content = canonical(answer)
    except AnswerWrong:
        return None
    assert isinstance(jsontext.parse(content), dict)
    assert canonical(write(jsontext.parse(content))) == content
    return content


# --- properties ----------------------------------------------------------------------


@given(objects)
def test_object_of_plain_values_comes_out_canonical(value: dict[str, Any]) -> None:
    content = canonical(write(value))
    assert jsontext.parse(content) == value
    assert check_canonical(write(value)) == content
    assert canonical(write(dict(reversed(value.items())))) == content


@given(hostile_texts)
def test_any_text_is_refused_or_comes_out_canonical(text: str) -> None:
    check_canonical(text)
    check_canonical('{"a":' + text + "}")
    check_canonical('{"a":"' + text + '"}')


@given(objects, st.data())
def test_answer_with_anything_cut_in_is_refused_or_comes_out_canonical(
    value: dict[str, Any], data: st.DataObject
) -> None:
    answer = write(value)
    start = data.draw(st.integers(0, len(answer)))
    end = data.draw(st.integers(start, min(len(answer), start + 3)))
    check_canonical(answer[:start] + data.draw(fragments) + answer[end:])


@given(hostile_texts | st.text().map(json.dumps))
def test_case_is_text_that_is_seen_or_refused(text: str) -> None:
    try:
        case = read_case(text)
    except AnswerWrong:
        return
    assert 1 <= len(case) <= limits.CASE_LETTERS_MAX
    # What is not assigned yet shows as a box, and is told alike by every version of Python.
    assert not [letter for letter in case if is_hidden(letter) and unicodedata.category(letter) != "Cn"]
    assert case.encode().decode() == case


@given(
    hostile_texts
    | st.tuples(st.text() | plain, st.text() | plain, st.lists(st.tuples(st.text(), plain)) | plain).map(write)
)
def test_reason_is_told_within_its_bounds_whatever_comes(text: str) -> None:
    reason = read_reason(text)
    assert len(reason.kind) <= 80 and reason.kind.isascii() and reason.kind.isidentifier()
    assert len(reason.message) <= limits.REASON_LETTERS_MAX and len(reason.calls) <= limits.REASON_CALLS_MAX
    assert all(len(name) <= 80 and 0 <= line < 1 << 31 for name, line in reason.calls)
    repr(reason).encode()  # no half of a surrogate pair


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.integers(0, 10_000)), max_size=3))
def test_reason_that_is_well_formed_is_told_as_it_is(name: str, message: str, calls: list[tuple[str, int]]) -> None:
    reason = read_reason(json.dumps(["Reject", message, calls]))
    told = tuple((called[:80], line) for called, line in calls)
    assert reason == Reason(kind="Reject", message=message[: limits.REASON_LETTERS_MAX], calls=told)
    assert read_reason(json.dumps([name, message, calls])).kind in (name[:80], "answer")


# --- numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [NUMBER_END - 1, 1 - NUMBER_END // 10, NUMBER_END // 10, 0])
def test_number_of_as_many_letters_as_may_be_is_kept_by_whatever_writes_it(number: int) -> None:
    content = b'{"n":%d}' % number
    assert canonical(write({"n": number})) == canonical(write({"n": Decimal(number)})) == content


@pytest.mark.parametrize("number", [NUMBER_END, -NUMBER_END // 10, 10**4299, -(10**4000)])
def test_number_of_more_letters_is_refused_by_whatever_writes_it(number: int) -> None:
    for value in (number, Decimal(number)):
        with pytest.raises(AnswerWrong, match="digits"):
            canonical(write({"n": value}))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimal_comes_out_as_plain_digits_of_the_same_value(number: Decimal) -> None:
    content = check_canonical(write({"n": number}))
    if content is None:
        assert len(format(number, "f")) > limits.NUMBER_LETTERS_MAX or abs(number.adjusted()) > 70
    else:
        assert Decimal(content[5:-1].decode()) == number and not {*b"eE+"} & set(content)


@pytest.mark.parametrize("text", ["1.5", "1e3", "-0.0", "NaN", "Infinity", "-Infinity", "1E400"])
def test_float_is_refused_and_named(text: str) -> None:
    with pytest.raises(AnswerWrong, match=r"a float at /n; use Decimal"):
        canonical(f'{{"n":{text}}}')


def test_message_does_not_depend_on_the_version_of_the_reader() -> None:
    for wrong in ('{"a":1,}', "{", '{"a":"\\x"}', "9" * 5000, '{"a":' + "1" * 5000 + "}", "[" * 20 + "]"):
        said = "^what came back is no JSON, or holds a number of thousands of digits( at /a)?$"
        with pytest.raises(AnswerWrong, match=said):
            canonical(wrong)


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([{"price": 1}, {"price": 0.5}], "/lines/1/price"),
        ([{"price": 1}, {"tags": [1, float("nan")]}], "/lines/1/tags/1"),
        ([{"a": {}, 'p,r:i{c"e': 10**80}], r"/lines/0/p,r:i{c\"e"),
        ([[], {"a/b~": Decimal("1e80")}], "/lines/1/a~1b~0"),
        ([{"s": "\\ud800"}, Decimal("NaN")], "/lines/1"),
        ({"é": 2.5}, r"/lines/\u00e9"),
        (json.loads('{"in":' * 40 + "1" + "}" * 40), "/lines" + "/in" * 31),
    ],
)
def test_value_that_is_refused_is_told_with_its_place(lines: Any, place: str) -> None:
    with pytest.raises(AnswerWrong) as refused:
        canonical(write({"fine": [1, "x", None, True, Decimal("1.50")], "lines": lines}))
    assert str(refused.value).partition(";")[0].endswith(f" at {place}")


# --- who speaks ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["trap", "answer", "", "a b", "a\n", "é", "1a", "x\u202e"])
def test_contract_cannot_speak_for_the_engine(kind: str) -> None:
    told = read_reason(json.dumps([kind, "the machine is at fault", []]))
    assert told == Reason(kind="answer", message="the contract changed how errors are told")


@pytest.mark.parametrize("calls", ["{}", '{"a":1}', '"ab"', "7", "null", '["ab"]', "[[]]", '[["f"]]', "[[1,1]]"])
def test_calls_that_are_none_are_not_told(calls: str) -> None:
    assert read_reason(f'["Odd","x",{calls}]').kind in ("answer", "Odd")


@pytest.mark.parametrize("line", ["-1", "null", "true", "2147483648", '"1"', "[]"])
def test_line_that_is_none_is_told_as_none(line: str) -> None:
    assert read_reason(f'["Odd","x",[["f",{line}]]]') == Reason(kind="Odd", message="x", calls=(("f", 0),))


# --- time ----------------------------------------------------------------------------

LONG: Final[dict[str, Callable[[], str]]] = {
    "open string of escaped quotes": lambda: "[" * 40 + '"' + '\\"' * (LETTERS // 2 - 40),
    "open string of backslashes": lambda: "[" * 40 + '"' + "\\" * (LETTERS - 41),
    "quotes": lambda: "[" * 40 + '"' * (LETTERS - 40),
    "marks": lambda: '{"a":[' + '"\\ud8001",' * (LETTERS // 10 - 10) + "1]}",
    "marks that never end": lambda: '{"a":"' + '\\"\\ud800' * (LETTERS // 8 - 8) + '"}',
    "marked digits": lambda: '{"a":"\\ud800' + "1" * (LETTERS - 20) + '"}',
    "marked zeros": lambda: '{"a":"\\ud800' + "0" * (LETTERS - 20) + '"}',
    "marked exponents": lambda: '{"a":[' + '"\\ud8001e99999",' * (LETTERS // 16 - 10) + "1]}",
    "digits": lambda: '{"a":' + "1" * (LETTERS - 10) + "}",
    "numbers of many digits": lambda: '{"a":[' + ("1" * 4299 + ",") * (LETTERS // 4300 - 2) + "1]}",
    "brackets": lambda: "[" * (LETTERS // 2) + "]" * (LETTERS // 2),
    "brackets that close first": lambda: "]" * (LETTERS // 2) + "[" * (LETTERS // 2),
    "empty lists": lambda: '{"a":[' + "[]," * (LETTERS // 3 - 10) + "1]}",
    "lists in each other": lambda: '{"a":[' + ("[" * 29 + "]" * 29 + ",") * (LETTERS // 59 - 2) + "1]}",
    "doubtful keys": lambda: '{"a":1' + ',"1' * (LETTERS // 3 - 10) + '":1}',
    "keys": lambda: "{" + ",".join(f'"{n}":{n}' for n in range(100_000)) + "}",
    "one key": lambda: "{" + '"a":{},' * (LETTERS // 7 - 10) + '"a":1}',
    "white space": lambda: '{"a":' + " \n\t" * (LETTERS // 3 - 10) + "1}",
    "astral letters": lambda: '{"a":"' + "\U0001f4a9" * (LETTERS - 10) + '"}',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_no_answer_takes_long(name: str) -> None:
    answer = LONG[name]()
    assert len(answer) <= limits.ANSWER_BYTES_MAX
    began = time.process_time()
    check_canonical(answer)
    has_doubtful_keys(answer)
    read_reason(answer)
    for case in (answer, answer[6:-1]):
        with pytest.raises(AnswerWrong):
            read_case(case)
    assert time.process_time() - began < SECONDS_MAX


def test_answer_that_is_too_long_is_not_read() -> None:
    for length, wrong in ((limits.ANSWER_BYTES_MAX, "no JSON"), (limits.ANSWER_BYTES_MAX + 1, "letters, the limit is")):
        with pytest.raises(AnswerWrong, match=wrong):
            canonical("x" * length)


def test_state_has_as_many_bytes_as_may_be_and_no_more() -> None:
    assert len(canonical(json.dumps({"a": "x" * (limits.STATE_BYTES_MAX - 8)}))) == limits.STATE_BYTES_MAX
    with pytest.raises(AnswerWrong, match="bytes, the limit is"):
        canonical(json.dumps({"a": "x" * (limits.STATE_BYTES_MAX - 7)}))


def test_the_longest_way_to_write_the_largest_state_is_an_answer() -> None:
    answer = write({"a": [Decimal("-0E+79")] * (limits.STATE_BYTES_MAX // 2 - 4)})
    assert len(answer) < limits.ANSWER_BYTES_MAX
    assert limits.STATE_BYTES_MAX - 4 <= len(canonical(answer.replace(", ", ","))) <= limits.STATE_BYTES_MAX


def test_case_of_as_many_letters_as_may_be_is_read() -> None:
    for letter in ("a", "é", "\U0001f4a9"):
        assert read_case(json.dumps(letter * limits.CASE_LETTERS_MAX)) == letter * limits.CASE_LETTERS_MAX
        with pytest.raises(AnswerWrong, match="letters"):
            read_case(json.dumps(letter * (limits.CASE_LETTERS_MAX + 1)))


@given(hostile_texts | objects.map(write))
def test_the_quick_way_comes_to_the_same_or_to_nothing(text: str) -> None:
    check_quick(text)


def check_quick(text: str) -> None:
    try:
        answers._check_depth(text)
        exact: bytes | None = answers.canonicalise_exactly(text)
    except AnswerWrong:
        exact = None
    assert canonicalise(text) in (None, exact)


@given(objects, st.data())
def test_the_quick_way_is_not_led_astray_by_what_is_cut_in(value: dict[str, Any], data: st.DataObject) -> None:
    answer = write(value)
    at = data.draw(st.integers(0, len(answer)))
    inner = data.draw(fragments | st.sampled_from(["\x7f", '"\x7f1"', "\\u007f", '\\"\\ud8001"', "0.5", "-0", "1:"]))
    check_quick(answer[:at] + inner + answer[at:])


PLACES: Final = [
    "\x7f5", r"\u007f5", r"\u007F5", r"\u0024~:5", r"x\"\ud8005", r'x\\","y":"\ud8005', r"x\\\"\ud8005",
]  # fmt: skip


@pytest.mark.parametrize("text", PLACES)
def test_text_that_looks_like_what_the_quick_way_writes_is_no_number(text: str) -> None:
    check_quick(f'{{"n":"{text}"}}')


def test_most_answers_go_the_quick_way() -> None:
    assert canonicalise('{"b":"\\ud80012.50","a":[1,"x\\u00e9",null]}') == '{"a":[1,"xé",null],"b":12.50}'.encode()


@pytest.mark.parametrize("text", ["\U00011f51", "\u0661", "1_0", " 1", "1 ", "nan", "+1", "1e5", "\uff11"])
def test_number_is_what_decimals_print_and_no_digits_of_other_alphabets(text: str) -> None:
    with pytest.raises(AnswerWrong, match="half of a surrogate pair"):
        answers.canonical(json.dumps({"n": "\ud800" + text}))


@pytest.mark.parametrize("text", ["-1 0", "1 2 3", " 1", "1 ", "-0", "-0.00", "01", "1.", ".5", "1e3", "", "1:"])
def test_the_quick_way_leaves_texts_that_are_no_plain_number_alone(text: str) -> None:
    assert canonicalise(json.dumps({"n": "\ud800" + text, "m": "\ud8001.50"})) is None
