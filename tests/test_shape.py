"""The shape of our own documents. Spec: docs/spec/json.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import shape
from ledger.errors import EncodingError, TallyError, TooLarge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53 - 1) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def decode(text: str, bytes_max: int = 1000) -> object:
    return shape.decode_text(text, ("a", "b"), what="test", bytes_max=bytes_max)


@given(VALUES, VALUES)
def test_document_is_read_back_as_it_was_written(a: object, b: object) -> None:
    try:
        text = shape.encode_text({"b": b, "a": a})
    except EncodingError:
        return  # a lone surrogate
    assert shape.decode_text(text, ("a", "b"), what="test", bytes_max=10**6) == {"a": a, "b": b, "v": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":2,"v":1}',
        '{"a":1,"b":2,"v":1}\n\n',
        '{"a":1,"b":2,"v":1}\r\n',
        '{"b":2,"a":1,"v":1}\n',
        '{"a":1,"b":2}\n',
        '{"a":1,"v":1}\n',
        '{"a":1,"b":2,"c":3,"v":1}\n',
        '{"a":1,"b":2,"v":2}\n',
        '{"a":1,"b":2,"v":"1"}\n',
        '{"a":1,"b":2,"v":true}\n',
        "[1]\n",
        "\n",
        "",
        '{"a":"\ud800","b":2,"v":1}\n',
        '\ufeff{"a":1,"b":2,"v":1}\n',
    ],
)
def test_document_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(TallyError):
        decode(text)


def test_document_is_bounded() -> None:
    text = '{"a":1,"b":2,"v":1}\n'
    decode(text, bytes_max=len(text) - 1)
    with pytest.raises(TooLarge):
        decode(text, bytes_max=len(text) - 2)


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (lambda value: shape.take_object(value, ("a",), what="x"), [[], {}, {"a": 1, "b": 2}, None]),
        (lambda value: shape.take_list(value, what="x", most=2), [{}, "ab", None]),
        (lambda value: shape.take_string(value, what="x"), [1, None, []]),
        (lambda value: shape.take_integer(value, what="x"), [True, False, "1", None]),
        (lambda value: shape.check_range(value, what="x", least=1, most=2), [0, 3]),
        (lambda value: shape.check_ascending(value, what="x"), [["b", "a"], ["a", "a"]]),
    ],
)
def test_value_of_another_shape_is_refused_by_name(read: Callable[[object], object], wrong: list[object]) -> None:
    for value in wrong:
        with pytest.raises(EncodingError) as caught:
            read(value)
        assert caught.value.fields["field"] == "x"


def test_list_is_bounded() -> None:
    assert shape.take_list([1, 2], what="x", most=2) == [1, 2]
    with pytest.raises(TooLarge):
        shape.take_list([1, 2, 3], what="x", most=2)
