"""Every number of a document again, from the body that was made of it: with its unit, and where it stood.

The proof that the mapping keeps them: what this finds in a body is what stands in the XML, text for text
(but for the spellings that XML has and JSON has not).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount, quantity, measure, percentage, rate or count.

    path: of the element in the document, counting from 1 among elements of one name: `InvoiceLine[2]/Price[1]`.
    value: its decimal text. unit: currencyID or unitCode, "" where it has none.
    """

    path: str
    value: str
    unit: str = ""


def rebuild_amounts(body: bytes) -> list[Amount]:
    """All numbers in a body that `read` made, in its order."""
    return list(_walk(json.loads(body, parse_int=_Number, parse_float=_Number), ""))


class _Number(str):
    """The text of a JSON number, to be told from a JSON string."""

    __slots__ = ()


def _walk(value: object, path: str) -> Iterator[Amount]:
    if isinstance(value, _Number):
        yield Amount(path, str(value))
    elif isinstance(value, dict):
        if isinstance(value.get("value"), _Number):
            yield Amount(path, str(value["value"]), str(value.get("currencyID", value.get("unitCode", ""))))
            return
        for name, member in value.items():
            elements = member if isinstance(member, list) else [member]
            for place, element in enumerate(elements, 1):
                yield from _walk(element, f"{path}/{name}[{place}]" if path else f"{name}[{place}]")
