"""Answers at their bounds: signs, depth, and how much of an error is told."""

from __future__ import annotations

import json

import pytest

from contracts import limits
from contracts.engine.answers import AnswerWrong, canonical, read_reason


@pytest.mark.parametrize(("text", "plain"), [("-0", b"0"), ("-0.00", b"0.00"), ("-0E+5", b"0"), ("-0.10", b"-0.10")])
def test_zero_has_no_sign(text: str, plain: bytes) -> None:
    assert canonical(f'{{"n":"\\ud800{text}"}}') == b'{"n":%b}' % plain


@pytest.mark.parametrize("depth", [32, 33])
def test_an_answer_is_nested_to_its_bound_and_no_deeper(depth: int) -> None:
    answer = '{"n":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"
    if depth == 32:
        assert canonical(answer) == answer.encode()
        return
    with pytest.raises(AnswerWrong, match="nested deeper than 32"):
        canonical(answer)


def test_of_many_calls_the_innermost_are_told() -> None:
    calls = [(f"f{n}", n) for n in range(limits.REASON_CALLS_MAX + 2)]
    assert read_reason(json.dumps(["ValueError", "x", calls])).calls == tuple(calls[2:])
