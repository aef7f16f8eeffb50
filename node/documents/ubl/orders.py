"""Which order a document is about; and the order put into one that names none, as UBL has no place for it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ledger import limits
from ledger.jsontext import encode_string, parse
from node.documents.faults import SPLIT_DOCUMENT, above_limit
from node.documents.ubl.reading import Document
from node.documents.ubl.repeats import may_repeat

_NAME = "OrderReference"


def named_orders(found: Document) -> set[str]:
    """IDs of the orders that a document names, of its own or in its lines; an order names itself."""
    body = parse(found.body)
    if found.type == "order":
        return {str(body.get("ID"))}
    lines = (line for name, value in body.items() if name.endswith("Line") for line in _parts(value))
    places = [body, *(part for line in lines for part in (line, *_parts(line.get("OrderLineReference"))))]
    return {str(reference.get("ID")) for place in places for reference in _parts(place.get(_NAME))}


def add_order(found: Document, order: str) -> Document:
    """The same document with the order's ID in OrderReference, an array where UBL has one. Raises: TooLarge."""
    reference = b'{"ID":%b}' % encode_string(order)
    if may_repeat(_NAME, within=found.kind):
        reference = b"[%b]" % reference
    # Put in as text, so that every number of the body stays as it is.
    body = found.body[:-1] + (b"," if len(found.body) > 2 else b"") + b'"%b":%b}' % (_NAME.encode(), reference)
    if len(body) > limits.BODY_BYTES_MAX:
        raise above_limit(
            SPLIT_DOCUMENT, what="the document as a body", got=len(body), limit=limits.BODY_BYTES_MAX, unit="bytes"
        )
    return replace(found, body=body)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a member that is one, an array of them, or absent."""
    yield from (part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict))
