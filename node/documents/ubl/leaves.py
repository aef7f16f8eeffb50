"""The value of one UBL element as JSON text: decimal texts as they are, and never a binary fraction on the way.

What an element holds is told by the last word of its name, as in all of UBL: `PayableAmount` an amount,
`LineCountNumeric` a number, `CopyIndicator` true or false.

Mapping: docs/reference/documents.md, "Values".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lxml.etree import _Element as Element

from ledger import limits
from ledger.jsontext import encode_string
from node.documents.faults import DocumentMalformed
from node.documents.safexml import local_name, path_of

BINARY: Final = "BinaryObject"
_INDICATOR: Final = "Indicator"
_UNITS: Final[Mapping[str, str]] = {"Amount": "currencyID", "Quantity": "unitCode", "Measure": "unitCode"}
_NUMBERS: Final = ("Percent", "Rate", "Numeric")
_LAST_WORD: Final = re.compile("[A-Z][a-z]*\\Z")
_TRUTH: Final[Mapping[str, str]] = {"true": "true", "1": "true", "false": "false", "0": "false"}
_DECIMAL: Final = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))")
_SPACE: Final = " \t\r\n"
_IDENTIFYING: Final = (
    "schemeID",
    "schemeName",
    "schemeAgencyID",
    "schemeAgencyName",
    "schemeVersionID",
    "listID",
    "listName",
    "listAgencyID",
    "listAgencyName",
    "listVersionID",
    "name",
)
_ATTACHED: Final = ("mimeCode", "filename", "encodingCode", "characterSetCode", "format", "uri")
_IDENTIFIERS: Final = {
    ("PartyIdentification", "ID"),
    ("PartyLegalEntity", "CompanyID"),
    ("StandardItemIdentification", "ID"),
    ("CommodityClassification", "ItemClassificationCode"),
}
"""(parent, element) whose value means nothing without the list that it is of."""


def leaf_json(element: Element, *, within: str) -> str:
    """The JSON of an element without elements in it, standing in an element named `within`.

    Raises: DocumentMalformed.
    """
    name, text = local_name(element), text_of(element)
    found = _LAST_WORD.search(name)
    word = found[0] if found else ""
    if word in _UNITS:
        return _with_unit(element, _decimal(element, text), _UNITS[word])
    if word in _NUMBERS:
        return _decimal(element, text)
    if word == _INDICATOR:
        if text not in _TRUTH:
            raise DocumentMalformed(place=path_of(element), reason="neither true nor false")
        return _TRUTH[text]
    if name.endswith(BINARY):
        return _object({"value": "".join(text.split()), **_attributes(element, _ATTACHED)})
    if name == "EndpointID" or (within, name) in _IDENTIFIERS:
        return _object({"value": text, **_attributes(element, _IDENTIFYING)})
    return string(text)


def text_of(element: Element) -> str:
    """The text of an element, without the white space around it."""
    return (element.text or "").strip(_SPACE)


def string(text: str) -> str:
    return encode_string(text).decode()


def decimal_text(text: str) -> str | None:
    """A decimal of XML Schema as JSON has it: without plus sign and needless zeros in front; None if it is none.

    `+1` -> `1`, `.5` -> `0.5`, `1.` -> `1`, `007.50` -> `7.50`.
    Digits behind the point stay: they say how exact it is.
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    sign, whole, part, bare = found.groups()
    whole = (whole or "").lstrip("0") or "0"
    part = part or bare or ""
    return f"{'-' if sign == '-' else ''}{whole}{'.' if part else ''}{part}"


def _decimal(element: Element, text: str) -> str:
    number = decimal_text(text)
    if number is None:
        raise DocumentMalformed(place=path_of(element), reason="not a decimal number, like 12.50")
    digits = len(number.lstrip("-0.").replace(".", ""))
    if digits > limits.DOCUMENT_DIGITS_MAX:
        reason = f"a number of {digits} digits, the limit is {limits.DOCUMENT_DIGITS_MAX}"
        error = DocumentMalformed(place=path_of(element), reason=reason)
        error.hint = "No amount or quantity of business has so many digits. Ask its author whether it is meant."
        raise error
    return number


def _with_unit(element: Element, number: str, unit: str) -> str:
    given = (element.get(unit) or "").strip(_SPACE)
    if not given and unit == "currencyID":
        raise DocumentMalformed(place=path_of(element), reason="an amount without currencyID")
    return f'{{"value":{number},"{unit}":{string(given)}}}' if given else f'{{"value":{number}}}'


def _attributes(element: Element, names: tuple[str, ...]) -> dict[str, str]:
    return {name: element.get(name).strip(_SPACE) for name in names if element.get(name) is not None}


def _object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{string(value)}' for name, value in members.items()) + "}"
