"""Builders for UBL documents, all of made-up firms; and a second reading of their numbers, by another parser."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final
from xml.etree import ElementTree

from node.documents.ubl import Amount, read

_SCHEMAS: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
CBC: Final = f"{_SCHEMAS}CommonBasicComponents-2"
_NUMERIC: Final = re.compile(r"(?:Amount|Quantity|Measure|Percent|Rate|Numeric)\Z")


def ubl(kind: str, inside: str, *, before: str = '<?xml version="1.0" encoding="UTF-8"?>\n') -> bytes:
    """A document of that kind with `inside` in its outermost element; the prefixes are cbc, cac and ext."""
    prefixes = {"cac": "CommonAggregateComponents", "cbc": "CommonBasicComponents", "ext": "CommonExtensionComponents"}
    spaces = "".join(f' xmlns:{prefix}="{_SCHEMAS}{name}-2"' for prefix, name in prefixes.items())
    return f'{before}<{kind} xmlns="{_SCHEMAS}{kind}-2"{spaces}>{inside}</{kind}>'.encode()


def body(kind: str, inside: str) -> Any:
    """What such a document becomes."""
    return json.loads(read(ubl(kind, inside)).body)


def amounts(file: bytes) -> list[Amount]:
    """Every number of a document, as another XML parser sees it; with the text that JSON would have."""
    return sorted(_amounts(ElementTree.fromstring(file), ()), key=repr)


def _amounts(element: ElementTree.Element, steps: tuple[str, ...]) -> list[Amount]:
    space, _, name = element.tag[1:].partition("}")
    if space == CBC and _NUMERIC.search(name):
        unit = element.get("currencyID") or element.get("unitCode") or ""
        return [Amount("/".join(steps), json_number(element.text or ""), unit)]
    seen: Counter[str] = Counter()
    found = []
    for child in element:
        local = child.tag.partition("}")[2]
        seen[local] += 1
        found += _amounts(child, (*steps, f"{local}[{seen[local]}]"))
    return found


def json_number(text: str) -> str:
    """A decimal text of XML in JSON's spelling, without an expression: sign, whole part, point, rest."""
    text = text.strip()
    sign = "-" if text.startswith("-") else ""
    whole, _, rest = text.lstrip("+-").partition(".")
    while whole.startswith("0") and whole != "0":
        whole = whole[1:]
    return sign + (whole or "0") + ("." + rest if rest else "")
