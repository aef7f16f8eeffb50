"""Inputs of contracts, made from documents of others, and their text: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

InputLine: TypeAlias = dict[str, Any]
"""role, author, type, body, and time if the document tells when it was said. Numbers are int and Decimal.

A body that is JSON text already is a `msgspec.Raw`. source: file and sha256, where one file says all of it.
"""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is odd in a document that was taken all the same.

    code: stable. place: which line, lot or event. message: a sentence with the figures.
    """

    code: str
    place: str
    message: str


def encode_lines(inputs: Iterable[InputLine]) -> Iterator[bytes]:
    """NDJSON; every number is written as the document had it."""
    for given in inputs:
        yield _encode(given) + b"\n"
