"""What the checker says of single breaches: where, with which code, in which words."""

from __future__ import annotations

import copy
import time
from typing import Any, Final

import pytest

from ledger import limits
from node.epcis.checks import CODES, Fault, check, check_event, check_frame, pointer
from tests.test_epcis_differential import schema

_TIMES: Final = {"eventTime": "2026-03-14T09:26:53.589Z", "eventTimeZoneOffset": "+01:00"}
_LOT: Final = {"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200, "uom": "KGM"}
_SENSOR: Final = {"sensorReport": [{"type": "Temperature", "value": 26.0, "uom": "CEL"}]}
_EVENTS: Final[dict[str, dict[str, Any]]] = {
    "ObjectEvent": {"action": "OBSERVE", "epcList": ["urn:epc:id:sgtin:0614141.107346.2018"]},
    "AggregationEvent": {"action": "ADD", "childEPCs": ["urn:epc:id:sgtin:0614141.107346.2018"]},
    "AssociationEvent": {"action": "ADD", "parentID": "urn:a:p", "childQuantityList": [_LOT]},
    "TransactionEvent": {"action": "ADD", "bizTransactionList": [{"bizTransaction": "urn:a:b"}], "epcList": []},
    "TransformationEvent": {"inputQuantityList": [_LOT], "outputEPCList": ["urn:a:out"]},
    "ext:Event": {"epcList": 7},
}
_GONE: Final = object()


def event(kind: str, **changes: Any) -> dict[str, Any]:
    """A sound event of one type with members changed; `_GONE` takes one away, `__` in a name stands for a colon."""
    made = {"@context": "https://example.org/context", "type": kind, **_TIMES, **copy.deepcopy(_EVENTS[kind])}
    made |= {name.replace("__", ":"): member for name, member in changes.items()}
    return {name: member for name, member in made.items() if member is not _GONE}


def told(faults: list[Fault]) -> list[str]:
    return [f"{fault.path} {fault.code}" for fault in faults]


@pytest.mark.parametrize("kind", _EVENTS)
def test_a_plain_event_of_every_type_is_sound(kind: str) -> None:
    assert check(event(kind)) == []


# What is sound and easily taken for a fault: (event type, changes).
_SOUND: Final[list[tuple[str, dict[str, Any]]]] = [
    ("ObjectEvent", {"epcList": []}),
    ("ObjectEvent", {"epcList": _GONE, "quantityList": [_LOT]}),
    ("ObjectEvent", {"epcList": _GONE, "sensorElementList": [_SENSOR], "readPoint": {"id": "urn:a:b"}}),
    ("ObjectEvent", {"action": "ADD", "ilmd": {"ext:lot": [None]}}),
    ("ObjectEvent", {"ext__price": None, "https://example.org/x": {"any": [1]}}),
    ("ObjectEvent", {"bizStep": "https://example.org/steps/gutting", "disposition": "urn:own:disposition"}),
    ("ObjectEvent", {"persistentDisposition": {"set": ["completeness_verified"], "unset": ["urn:own:d"]}}),
    ("ObjectEvent", {"certificationInfo": []}),
    ("ObjectEvent", {"certificationInfo": ["https://example.org/c/1", "https://example.org/c/1"]}),
    ("ObjectEvent", {"readPoint": {"id": "urn:a:b", "anything": 7}}),
    ("ObjectEvent", {"eventTime": "2024-02-29t23:59:59.123456789-23:59", "eventTimeZoneOffset": "-14:00"}),
    ("ObjectEvent", {"@context": [{"a": 1}, {"a": True}, {"a": "1"}, {"a": [1]}]}),
    ("ObjectEvent", {"bizTransactionList": [], "sourceList": [], "destinationList": [], "sensorElementList": []}),
    ("AggregationEvent", {"action": "DELETE", "childEPCs": _GONE}),
    ("AggregationEvent", {"childEPCs": ["urn:a:b", "urn:a:b"]}),
    ("AggregationEvent", {"childEPCs": [], "childQuantityList": [{"epcClass": "urn:a:b"}]}),
    ("AssociationEvent", {"action": "DELETE", "childQuantityList": _GONE}),
    ("TransactionEvent", {"action": "DELETE", "epcList": _GONE}),
    ("TransactionEvent", {"epcList": ["urn:a:b", "urn:a:b"]}),
    ("TransactionEvent", {"epcList": _GONE, "quantityList": [_LOT]}),
    ("TransformationEvent", {"transformationID": "urn:a:b", "inputQuantityList": _GONE}),
    ("TransformationEvent", {"transformationID": "urn:a:b", "outputEPCList": []}),
    ("TransformationEvent", {"inputQuantityList": [], "inputEPCList": ["urn:a:in"], "ilmd": {}}),
    ("ext:Event", {"anything": 7}),
]

_IN_SENSOR: Final = "/sensorElementList/0/sensorReport/0"


def sensed(**report: Any) -> dict[str, Any]:
    return {"sensorElementList": [{"sensorReport": [{"type": "Mass", **report}]}]}


# (event type, changes, what is told)
_BROKEN: Final[list[tuple[str, dict[str, Any], list[str]]]] = [
    ("ObjectEvent", {"eventTime": _GONE}, [" missing-member"]),
    ("ObjectEvent", {"eventTimeZoneOffset": _GONE}, [" missing-member"]),
    ("ObjectEvent", {"action": _GONE}, [" missing-member"]),
    ("ObjectEvent", {"@context": _GONE}, [" missing-member"]),
    ("ObjectEvent", {"@context": 7}, ["/@context wrong-type"]),
    ("ObjectEvent", {"@context": ["urn:a:b", "no uri"]}, ["/@context/1 not-a-uri"]),
    ("ObjectEvent", {"@context": [{"a": [1]}, {}, {"a": [1.0]}]}, ["/@context/2 repeated"]),
    ("ObjectEvent", {"eventTime": "2026-02-29T00:00:00Z"}, ["/eventTime not-a-time"]),
    ("ObjectEvent", {"recordTime": "2026-03-14T09:26:53"}, ["/recordTime not-a-time"]),
    ("ObjectEvent", {"recordTime": 7}, ["/recordTime wrong-type"]),
    ("ObjectEvent", {"eventTimeZoneOffset": "+14:01"}, ["/eventTimeZoneOffset wrong-form"]),
    ("ObjectEvent", {"eventTimeZoneOffset": "01:00"}, ["/eventTimeZoneOffset wrong-form"]),
    ("ObjectEvent", {"eventID": "4f1b"}, ["/eventID not-a-uri"]),
    ("ObjectEvent", {"certificationInfo": ["urn:a:b", 7]}, ["/certificationInfo/1 wrong-type"]),
    ("ObjectEvent", {"errorDeclaration": {}}, ["/errorDeclaration missing-member"]),
    (
        "ObjectEvent",
        {"errorDeclaration": {"declarationTime": "now", "reason": "typo", "why": 1, "correctiveEventIDs": ["x"]}},
        [
            "/errorDeclaration/declarationTime not-a-time",
            "/errorDeclaration/reason not-a-term",
            "/errorDeclaration/why unknown-member",
            "/errorDeclaration/correctiveEventIDs/0 not-a-uri",
        ],
    ),
    ("ObjectEvent", {"action": "CREATE"}, ["/action not-a-term"]),
    ("ObjectEvent", {"bizStep": "Shipping"}, ["/bizStep not-a-term"]),
    ("ObjectEvent", {"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}, ["/bizStep not-a-term"]),
    ("ObjectEvent", {"disposition": "https://ns.gs1.org/cbv/Disp-active"}, ["/disposition not-a-term"]),
    ("ObjectEvent", {"persistentDisposition": {}}, ["/persistentDisposition incomplete"]),
    ("ObjectEvent", {"persistentDisposition": {"set": []}}, ["/persistentDisposition/set too-few"]),
    (
        "ObjectEvent",
        {"persistentDisposition": {"unset": ["active", "active"]}},
        ["/persistentDisposition/unset/1 repeated"],
    ),
    (
        "ObjectEvent",
        {"persistentDisposition": {"set": ["active"], "x:y": 1}},
        ["/persistentDisposition/x:y unknown-member"],
    ),
    ("ObjectEvent", {"readPoint": {}}, ["/readPoint missing-member"]),
    ("ObjectEvent", {"bizLocation": "urn:a:b"}, ["/bizLocation wrong-type"]),
    ("ObjectEvent", {"epcList": ["urn:a:b", "urn:a:b"]}, ["/epcList/1 repeated"]),
    ("ObjectEvent", {"epcList": {"0": "urn:a:b"}}, ["/epcList wrong-type"]),
    ("ObjectEvent", {"epcList": _GONE}, [" incomplete"]),
    ("ObjectEvent", {"epcList": _GONE, "quantityList": []}, [" incomplete"]),
    ("ObjectEvent", {"epcList": _GONE, "sensorElementList": [_SENSOR]}, [" incomplete"]),
    ("ObjectEvent", {"epcList": _GONE, "sensorElementList": [], "readPoint": {"id": "urn:a:b"}}, [" incomplete"]),
    ("ObjectEvent", {"ilmd": {}}, ["/ilmd contradiction"]),
    ("ObjectEvent", {"action": "DELETE", "ilmd": {}}, ["/ilmd contradiction"]),
    ("ObjectEvent", {"action": "ADD", "ilmd": {"lot": 1}}, ["/ilmd/lot unknown-member"]),
    ("ObjectEvent", {"price": 1}, ["/price unknown-member"]),
    ("ObjectEvent", {"ex_t__price": 1}, ["/ex_t:price unknown-member"]),
    ("ObjectEvent", {"a/b~c": 1}, ["/a~1b~0c unknown-member"]),
    ("ObjectEvent", {"parentID": "urn:a:b"}, ["/parentID unknown-member"]),
    (
        "ObjectEvent",
        {"quantityList": [{"epcClass": "urn:a:b", "quantity": "7"}]},
        ["/quantityList/0/quantity wrong-type"],
    ),
    (
        "ObjectEvent",
        {"quantityList": [{"epcClass": "urn:a:b", "quantity": True}]},
        ["/quantityList/0/quantity wrong-type"],
    ),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:a:b", "uom": "kg"}]}, ["/quantityList/0/uom wrong-form"]),
    ("ObjectEvent", {"quantityList": [_LOT, {"quantity": 7}]}, ["/quantityList/1 missing-member"]),
    ("ObjectEvent", {"quantityList": [{**_LOT, "x:y": 1}]}, ["/quantityList/0/x:y unknown-member"]),
    ("ObjectEvent", {"bizTransactionList": [{"type": "po"}]}, ["/bizTransactionList/0 missing-member"]),
    (
        "ObjectEvent",
        {"bizTransactionList": [{"type": "order", "bizTransaction": "7"}]},
        ["/bizTransactionList/0/type not-a-term", "/bizTransactionList/0/bizTransaction not-a-uri"],
    ),
    ("ObjectEvent", {"sourceList": [{"source": "urn:a:b"}]}, ["/sourceList/0 missing-member"]),
    (
        "ObjectEvent",
        {"destinationList": [{"type": "owner", "source": "urn:a:b"}]},
        [
            "/destinationList/0/type not-a-term",
            "/destinationList/0/source unknown-member",
            "/destinationList/0 missing-member",
        ],
    ),
    ("ObjectEvent", {"sensorElementList": [{}]}, ["/sensorElementList/0 missing-member"]),
    ("ObjectEvent", {"sensorElementList": [{"sensorReport": []}]}, ["/sensorElementList/0/sensorReport too-few"]),
    ("ObjectEvent", {"sensorElementList": [{**_SENSOR, "type": 1}]}, ["/sensorElementList/0/type unknown-member"]),
    (
        "ObjectEvent",
        {"sensorElementList": [{**_SENSOR, "sensorMetadata": {"startTime": "9:00", "deviceID": "d", "uom": ""}}]},
        [
            "/sensorElementList/0/sensorMetadata/startTime not-a-time",
            "/sensorElementList/0/sensorMetadata/deviceID not-a-uri",
            "/sensorElementList/0/sensorMetadata/uom unknown-member",
        ],
    ),
    ("ObjectEvent", sensed(type=_GONE) | sensed(type="Warmth"), [f"{_IN_SENSOR}/type not-a-term"]),
    ("ObjectEvent", sensed(type="https://www.gs1.org/voc/Temperature"), [f"{_IN_SENSOR}/type not-a-term"]),
    ("ObjectEvent", sensed(exception="http://gs1.org/voc/ALARM_CONDITION"), [f"{_IN_SENSOR}/exception not-a-term"]),
    ("ObjectEvent", sensed(component="https://ns.gs1.org/cbv/Comp-x"), [f"{_IN_SENSOR}/component not-a-term"]),
    ("ObjectEvent", sensed(value="26"), [f"{_IN_SENSOR}/value wrong-type"]),
    ("ObjectEvent", sensed(hexBinaryValue="f0g"), [f"{_IN_SENSOR}/hexBinaryValue wrong-form"]),
    ("ObjectEvent", sensed(booleanValue=1), [f"{_IN_SENSOR}/booleanValue wrong-type"]),
    ("ObjectEvent", sensed(stringValue=1), [f"{_IN_SENSOR}/stringValue wrong-type"]),
    ("ObjectEvent", sensed(uriValue="x"), [f"{_IN_SENSOR}/uriValue not-a-uri"]),
    ("ObjectEvent", sensed(warmth=1), [f"{_IN_SENSOR}/warmth unknown-member"]),
    ("AggregationEvent", {"childEPCs": []}, [" incomplete"]),
    ("AggregationEvent", {"action": "OBSERVE", "childEPCs": _GONE}, [" incomplete"]),
    ("AggregationEvent", {"persistentDisposition": {"set": ["active"]}}, ["/persistentDisposition unknown-member"]),
    ("AggregationEvent", {"parentID": "p"}, ["/parentID not-a-uri"]),
    ("AggregationEvent", {"ilmd": {}}, ["/ilmd unknown-member"]),
    ("AssociationEvent", {"parentID": _GONE}, [" missing-member"]),
    ("AssociationEvent", {"action": "DELETE", "parentID": _GONE}, [" missing-member"]),
    ("TransactionEvent", {"bizTransactionList": _GONE}, [" missing-member"]),
    ("TransactionEvent", {"bizTransactionList": []}, ["/bizTransactionList too-few"]),
    ("TransactionEvent", {"epcList": _GONE}, [" incomplete"]),
    ("TransactionEvent", {"epcList": _GONE, "quantityList": []}, [" incomplete"]),
    ("TransformationEvent", {"action": "ADD"}, ["/action unknown-member"]),
    ("TransformationEvent", {"inputQuantityList": _GONE}, [" incomplete"]),
    ("TransformationEvent", {"outputEPCList": []}, [" incomplete"]),
    ("TransformationEvent", {"outputEPCList": ["urn:a:b"] * 2}, ["/outputEPCList/1 repeated"]),
    ("TransformationEvent", {"inputEPCList": ["urn:a:b"] * 2}, ["/inputEPCList/1 repeated"]),
    (
        "TransformationEvent",
        {"transformationID": "urn:a:b", "inputQuantityList": _GONE, "outputEPCList": _GONE},
        [" incomplete"],
    ),
    ("TransformationEvent", {"transformationID": ""}, ["/transformationID not-a-uri"]),
    ("ext:Event", {"type": "Event"}, ["/type not-a-uri"]),
    ("ext:Event", {"type": "ObjectEvent\n", "epcList": _GONE}, ["/type not-a-uri"]),
    ("ext:Event", {"type": None}, ["/type wrong-type"]),
    ("ext:Event", {"type": _GONE}, [" missing-member"]),
    ("ext:Event", {"eventTime": _GONE, "errorDeclaration": 7}, ["/errorDeclaration wrong-type", " missing-member"]),
]


@pytest.mark.parametrize(("kind", "changes"), _SOUND)
def test_what_the_standard_allows_is_no_fault(kind: str, changes: dict[str, Any]) -> None:
    assert told(check(event(kind, **changes))) == []


@pytest.mark.parametrize(("kind", "changes", "expected"), _BROKEN)
def test_a_breach_is_told_with_its_place_and_code(kind: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert told(check(event(kind, **changes))) == expected


@pytest.mark.conformance
def test_the_schema_judges_these_cases_alike() -> None:
    sound = [event(kind, **changes) for kind, changes in _SOUND]
    broken = [event(kind, **changes) for kind, changes, _ in _BROKEN]
    assert [value for value in sound if not schema().is_valid(value)] == []
    assert [value for value in broken if schema().is_valid(value)] == []


# --- documents --------------------------------------------------------------------------------


def document(**changes: Any) -> dict[str, Any]:
    made = {
        "@context": "https://example.org/context",
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-14T09:26:53Z",
        "epcisBody": {"eventList": [event("ObjectEvent", **{"@context": _GONE})]},
    } | {name.replace("__", ":"): member for name, member in changes.items()}
    return {name: member for name, member in made.items() if member is not _GONE}


def query_document(**changes: Any) -> dict[str, Any]:
    results = {"queryName": "q", "resultsBody": {"eventList": [event("ObjectEvent")]}} | changes
    return {
        "@context": [],
        "type": "EPCISQueryDocument",
        "epcisBody": {"queryResults": {name: member for name, member in results.items() if member is not _GONE}},
    }


def master(**element: Any) -> dict[str, Any]:
    vocabulary = {"type": "urn:epcglobal:epcis:vtype:Location", "vocabularyElementList": [element]}
    return document(epcisHeader={"epcisMasterData": {"vocabularyList": [vocabulary]}})


_ELEMENT: Final = "/epcisHeader/epcisMasterData/vocabularyList/0/vocabularyElementList/0"
_RESULTS: Final = "/epcisBody/queryResults"
_DOCUMENTS: Final[list[tuple[dict[str, Any], list[str]]]] = [
    (document(), []),
    (document(epcisBody={"eventList": [], "anything": 7}, ext__note="x", sender="a firm"), []),
    (document(epcisHeader={"epcisMasterData": {"more": 7}, "ext:h": 7}), []),
    (master(id="urn:a:b", children=[], attributes=[{"id": "urn:a:c", "attribute": {}}, {"id": "urn:a:c"}]), []),
    (query_document(), []),
    (query_document(subscriptionID="s", ext_="x") | {"schemaVersion": "2"}, [f"{_RESULTS}/ext_ unknown-member"]),
    (document(**{"@context": _GONE}), [" missing-member"]),
    (document(schemaVersion=_GONE), [" missing-member"]),
    (document(schemaVersion=2.0), ["/schemaVersion wrong-type"]),
    (document(schemaVersion="2.0.x"), ["/schemaVersion wrong-form"]),
    (document(creationDate="2026-03-14"), ["/creationDate not-a-time"]),
    (document(id="_:b0"), ["/id not-a-uri"]),
    (document(sender=7), ["/sender wrong-type"]),
    (document(note=7), ["/note unknown-member"]),
    (document(epcisBody={}), ["/epcisBody missing-member"]),
    (document(epcisBody={"eventList": {}}), ["/epcisBody/eventList wrong-type"]),
    (document(epcisBody={"eventList": ["x"]}), ["/epcisBody/eventList/0 wrong-type"]),
    (document(epcisBody={"eventList": [event("ObjectEvent", bizStep=7)]}),
     ["/epcisBody/eventList/0/bizStep wrong-type"]),
    (document(epcisHeader={"note": 7}), ["/epcisHeader/note unknown-member"]),
    (document(epcisHeader={"epcisMasterData": {"vocabularyList": [{}]}}),
     ["/epcisHeader/epcisMasterData/vocabularyList/0 missing-member"]),
    (master(), [f"{_ELEMENT} missing-member"]),
    (master(id="urn:a:b", children=["x"]), [f"{_ELEMENT}/children/0 not-a-uri"]),
    (master(id="urn:a:b", attributes=[{"id": "urn:a:c", "attribute": True}]),
     [f"{_ELEMENT}/attributes/0/attribute wrong-type"]),
    (master(id="urn:a:b", attributes=[{"attribute": 7}]), [f"{_ELEMENT}/attributes/0 missing-member"]),
    (query_document(queryName=_GONE), [f"{_RESULTS} missing-member"]),
    (query_document(subscriptionID=7), [f"{_RESULTS}/subscriptionID wrong-type"]),
    (query_document(resultsBody={"vocabularyList": []}), [f"{_RESULTS}/resultsBody missing-member"]),
    (query_document(resultsBody={"eventList": [], "x": 1}), [f"{_RESULTS}/resultsBody/x unknown-member"]),
    (query_document() | {"epcisBody": {}}, ["/epcisBody missing-member"]),
    (query_document() | {"epcisHeader": {}}, ["/epcisHeader unknown-member"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), _DOCUMENTS)
def test_documents_are_checked_around_their_events(value: dict[str, Any], expected: list[str]) -> None:
    assert told(check(value)) == expected


@pytest.mark.conformance
def test_the_schema_judges_these_documents_alike() -> None:
    assert [value for value, expected in _DOCUMENTS if schema().is_valid(value) != (expected == [])] == []


@pytest.mark.parametrize("value", [None, True, 7, 2.5, "ObjectEvent", [], [{"type": "ObjectEvent"}]])
def test_what_is_no_object_is_one_fault_at_the_top(value: object) -> None:
    assert told(check(value)) == [" wrong-type"]
    assert told(check_event(value)) == [" wrong-type"]


def test_the_frame_of_a_document_is_checked_without_its_events() -> None:
    value = document(epcisBody={"eventList": [7]}, sender=7)
    assert told(check_frame(value)) == ["/sender wrong-type"]
    assert told(check_frame(document(epcisBody={"eventList": 7}))) == ["/epcisBody/eventList wrong-type"]


# --- words and bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bizStep": "Shipping"}, "did you mean 'shipping'?"),
        ({"epclist": []}, "did you mean 'epcList'?"),
        ({"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}, "stand bare"),
        ({"note": 1}, "a prefix of the context and a colon"),
        ({"eventTime": "yesterday"}, "/eventTime: 'yesterday' is not a date and time with an offset"),
        ({"@context": _GONE}, "at the top: the member '@context' is missing"),
    ],
)
def test_messages_say_what_would_be_right(changes: dict[str, Any], words: str) -> None:
    assert words in str(check(event("ObjectEvent", **changes))[0])


def test_a_message_repeats_little_of_a_long_value() -> None:
    found = check(event("ObjectEvent", bizStep="x" * 100_000, eventID="y" * 100_000))
    assert [len(fault.message) < 200 for fault in found] == [True, True]


def test_faults_of_one_list_end_at_the_limit() -> None:
    most = limits.EPCIS_FAULTS_MAX
    assert len(check(event("ObjectEvent", epcList=list(range(most - 1))))) == most - 1
    assert len(check(event("ObjectEvent", epcList=list(range(most + 1))))) == most
    assert len(check(event("ObjectEvent", **{f"x{i}": 1 for i in range(most + 1)}))) == most


def test_long_lists_take_linear_time() -> None:
    began = time.process_time()
    contexts = [{"a": [i]} for i in range(20_000)]
    assert check(event("ObjectEvent", **{"@context": contexts}, epcList=[f"urn:a:{i}" for i in range(20_000)])) == []
    assert time.process_time() - began < 30  # quadratic, it would take minutes


@pytest.mark.parametrize("text", ["urn:" + "a" * 200_000 + " ", "http://" + "a:" * 100_000 + "[", "a:" + "%" * 100_000])
def test_long_strings_take_linear_time(text: str) -> None:
    began = time.process_time()
    assert told(check(event("ObjectEvent", eventID=text))) == ["/eventID not-a-uri"]
    assert time.process_time() - began < 30


def test_a_pointer_escapes_tilde_and_slash() -> None:
    assert pointer("a/b", 0, "c~d", "") == "/a~1b/0/c~0d/"


def test_every_code_has_a_sentence() -> None:
    assert all(code and sentence for code, sentence in CODES.items())
