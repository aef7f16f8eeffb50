"""EPCIS documents and query documents: what stands around the events.

Follows the EPCIS 2.0 standard, sections 7.2 and 10, and GS1's JSON schema where that
is laxer: the body of a document and its master data may have any further members, a
query document's times and version may be absent, and it has no `epcisHeader`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from node.epcis.checks.events import check_event, context
from node.epcis.checks.faults import NONE, Check, Fault, fault, under
from node.epcis.checks.shapes import anything, form, listing, members, text, time, uri
from node.epcis.checks.texts import VERSION

DOCUMENT: Final = "EPCISDocument"
QUERY_DOCUMENT: Final = "EPCISQueryDocument"

EVENT_LIST: Final[Mapping[str, tuple[str, ...]]] = {
    DOCUMENT: ("epcisBody", "eventList"),
    QUERY_DOCUMENT: ("epcisBody", "queryResults", "resultsBody", "eventList"),
}
"""Type of a document -> the members that lead to its list of events."""


def _attribute_value(value: object) -> Sequence[Fault]:
    if isinstance(value, bool | list) or value is None:
        return fault("wrong-type", "a number, a string or an object is due here")
    return NONE


_vocabulary_element: Final = members(
    {
        "id": uri,
        "attributes": listing(members({"id": uri, "attribute": _attribute_value}, required=("id",))),
        "children": listing(uri),
    },
    required=("id",),
)
_vocabularies: Final = listing(
    members({"type": uri, "vocabularyElementList": listing(_vocabulary_element)}, required=("type",))
)
_header: Final = members(
    {"epcisMasterData": members({"vocabularyList": _vocabularies})},
    others="extensions",
)
_FRAME: Final[dict[str, Check]] = {
    "@context": context,
    "id": uri,
    "type": text,
    "schemaVersion": form(VERSION, "a version like 2.0"),
    "creationDate": time,
}


def _document(events: Check) -> Check:
    return members(
        {
            **_FRAME,
            **dict.fromkeys(("instanceIdentifier", "sender", "receiver"), text),
            "epcisHeader": _header,
            "epcisBody": members({"eventList": events}, required=("eventList",)),
        },
        required=("@context", "type", "schemaVersion", "creationDate", "epcisBody"),
        others="extensions",
    )


def _query_document(events: Check) -> Check:
    results = members(
        {"eventList": events, "vocabularyList": _vocabularies}, required=("eventList",), others="extensions"
    )
    answer = members(
        {"queryName": text, "subscriptionID": text, "resultsBody": results},
        required=("queryName", "resultsBody"),
        others="extensions",
    )
    body = members({"queryResults": answer}, required=("queryResults",), others="extensions")
    return members({**_FRAME, "epcisBody": body}, required=("@context", "type", "epcisBody"), others="extensions")


_whole: Final = {DOCUMENT: _document(listing(check_event)), QUERY_DOCUMENT: _query_document(listing(check_event))}
_frame: Final = {DOCUMENT: _document(listing(anything)), QUERY_DOCUMENT: _query_document(listing(anything))}


def check(value: object) -> list[Fault]:
    """The faults of a whole file: a document, a query document, or a bare event with its own context."""
    return _check(value, _whole)


def check_frame(value: object) -> list[Fault]:
    """The faults of a document outside its events; of a bare event, all of them."""
    return _check(value, _frame)


def _check(value: object, documents: Mapping[str, Check]) -> list[Fault]:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return _no_type(value)
    if kind in documents:
        return list(documents[kind](value))
    faults = check_event(value)
    if isinstance(value, dict) and "@context" not in value:
        faults += fault("missing-member", "the member '@context' is missing: a bare event brings its own")
    return faults


def _no_type(value: object) -> list[Fault]:
    """Of a file without a type one cannot say what it lacks, only that it is none of ours."""
    if isinstance(value, dict) and "type" in value:
        return under("type", text(value["type"]))
    due = "an EPCIS document, query document or event, an object with a member 'type', is due here"
    return list(fault("missing-member" if isinstance(value, dict) else "wrong-type", due))
