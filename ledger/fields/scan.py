"""Where the parts of a JSON text lie, to the byte.

Every function takes text that has passed `ledger.jsontext.check_strict` and trusts
it: there is no syntax error left to find. Each byte is looked at once.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

QUOTE, COMMA, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT = b'",[]{}'

# Possessive: a plain group would remember every repetition, megabytes for one long string.
_STRING_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRING: Final = re.compile(_STRING_TEXT, re.DOTALL)
_SCALAR: Final = re.compile(rb"[^,\]} \t\n\r]*")
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_STRUCTURE: Final = re.compile(_STRING_TEXT + rb"|[{}\[\]]", re.DOTALL)
SPACES: Final = b" \t\n\r"


def skip_space(text: bytes, at: int) -> int:
    """The first byte from `at` on that is no white space, or the length of `text`."""
    found = _SPACE.match(text, at)
    assert found is not None, "an empty match is a match"
    return found.end()


def value_end(text: bytes, at: int) -> int:
    """The byte after the value that begins at `at`."""
    first = text[at]
    if first == OPEN_OBJECT or first == OPEN_ARRAY:
        return _container_end(text, at)
    found = (_STRING if first == QUOTE else _SCALAR).match(text, at)
    assert found is not None, "checked JSON has a value here"
    return found.end()


def read_key(text: bytes, at: int) -> tuple[str, int]:
    """The decoded member name whose quote is at `at`, and the byte at which its value begins."""
    end = value_end(text, at)
    raw = text[at + 1 : end - 1]
    key: str = orjson.loads(text[at:end]) if b"\\" in raw else raw.decode()
    colon = skip_space(text, end)
    return key, skip_space(text, colon + 1)


def _container_end(text: bytes, at: int) -> int:
    depth = 0
    for token in _STRUCTURE.finditer(text, at):
        first = text[token.start()]
        if first == OPEN_OBJECT or first == OPEN_ARRAY:
            depth += 1
        elif first != QUOTE:
            depth -= 1
            if depth == 0:
                return token.end()
    raise AssertionError("checked JSON closes what it opens")
