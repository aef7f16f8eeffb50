"""The exact shape of our own documents: these members and no others, lists no longer than this.

`decode_canonical` proves that a text is in its one canonical form; these readers
turn its values into typed ones. Each takes the name of the place it reads, and
raises EncodingError (TooLarge for a list) naming it.

Spec: docs/spec/json.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.jsontext import decode_canonical, encode_canonical

VERSION: Final = 1
"""The `v` of every document that is read here; it fixes all algorithms."""


def encode_text(members: dict[str, object]) -> str:
    """The text of a document: the canonical JSON of `members` and `"v":1`, and a newline."""
    return encode_canonical({**members, "v": VERSION}).decode() + "\n"


def decode_text(text: str, names: tuple[str, ...], *, what: str, bytes_max: int) -> dict[str, Any]:
    """Parse the text of a document with exactly the members `names` and `"v":1`.

    Raises: EncodingError, TooLarge, and what `decode_canonical` raises.
    """
    if len(text) > bytes_max + 1:
        raise TooLarge(what=what, got=len(text), limit=bytes_max, unit="bytes")
    try:
        line = text.encode()
    except UnicodeEncodeError:
        raise EncodingError(field=what, reason="lone surrogate") from None
    if not line.endswith(b"\n"):
        raise EncodingError(field=what, reason="does not end in a newline")
    found = decode_canonical(line[:-1], bytes_max=bytes_max)
    take_object(found, (*names, "v"), what=what)
    if take_integer(found["v"], what=f"{what} v") != VERSION:
        raise EncodingError(field=f"{what} v", reason="a format that this program does not know")
    return found  # type: ignore[no-any-return]  # take_object has looked


def take_object(value: object, names: tuple[str, ...], *, what: str) -> dict[str, Any]:
    """An object with exactly the members `names`.

    One that is missing has no default, one that is new is not passed over: what a reader does not know may be
    what the signer meant. New members come with a new `v`.
    """
    if not isinstance(value, dict):
        raise EncodingError(field=what, reason="not an object")
    if value.keys() != set(names):
        raise EncodingError(field=what, reason=f"its members are exactly {', '.join(sorted(names))}")
    return value


def take_list(value: object, *, what: str, most: int) -> list[Any]:
    """A list of at most `most` items, counted before any of them is looked at."""
    if not isinstance(value, list):
        raise EncodingError(field=what, reason="not a list")
    if len(value) > most:
        raise TooLarge(what=what, got=len(value), limit=most, unit="items")
    return value


def take_string(value: object, *, what: str) -> str:
    """A string, of any length that the document leaves room for; its grammar is the caller's to check."""
    if not isinstance(value, str):
        raise EncodingError(field=what, reason="not a string")
    return value


def take_integer(value: object, *, what: str) -> int:
    """An integer; `true` is none, although Python thinks so."""
    if type(value) is not int:
        raise EncodingError(field=what, reason="not an integer")
    return value


def check_range(value: int, *, what: str, least: int, most: int = limits.INTEGER_MAX) -> None:
    """Within `least` and `most`, both included."""
    if not least <= value <= most:
        raise EncodingError(field=what, reason=f"{value} is not within {least} to {most}")


def check_ascending(items: Sequence[str], *, what: str) -> None:
    """Sorted and without repeats: a set has one way to be written."""
    if any(first >= second for first, second in pairwise(items)):
        raise EncodingError(field=what, reason="not in ascending order without repeats")
