"""Capture: files become records and come back equal; what breaks the standard is refused with its path."""

from __future__ import annotations

import contextlib
import json
import random
import time
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadInput, DuplicateKey, JsonMalformed, TooDeep, TooLarge
from ledger.jsontext import check_strict, members
from node.epcis.capture import (
    DOCUMENT_TYPE,
    ERROR_DECLARATION,
    INVALID,
    UNTYPED,
    Capture,
    CapturedRecord,
    capture,
    rebuild,
)
from node.epcis.checks import check
from tests.samples import list_samples, sample
from tests.test_epcis_differential import mutated, usable_samples

_VALID_FOLDERS: Final = (
    "epcis/gs1/JSON",
    "epcis/openepcis/JSON",
    "epcis/event-hash/examples",
    "epcis/testdata-generator",
)
SAMPLES: Final = [
    path for pattern in ("epcis/**/*.json*", "trace/**/*.json*") for path in list_samples(pattern)
]  # `*.json*`: .jsonld too

_CONTEXT: Final = '"https://example.org/context"'
_EVENT: Final = '"type":"ObjectEvent","action":"OBSERVE","epcList":[],"eventTimeZoneOffset":"+00:00"'
_TIMED: Final = _EVENT + ',"eventTime":"2026-03-14T09:26:53Z"'


def document(*events: str, context: str = _CONTEXT, more: str = "") -> bytes:
    return (
        f'{{"@context":{context},"type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-03-14T09:26:53Z"'
        f'{more},"epcisBody":{{"eventList":[{",".join(events)}]}}}}'
    ).encode()


def event(more: str = "") -> str:
    return f"{{{_TIMED}{more}}}"


def exact(text: bytes) -> Any:
    """The value of a JSON text in which a number is its text: 26.0 is not 26.00, 1e3 is not 1000."""
    as_text = lambda number: ("number", number)  # noqa: E731  # three uses in one line
    return json.loads(text, parse_float=as_text, parse_int=as_text, parse_constant=as_text)


def rebuilt(found: Capture) -> bytes:
    return rebuild((record.type, record.body) for record in found.records)


def told(found: Capture) -> list[str]:
    return [fault.path for refusal in found.refused for fault in refusal.faults]


# --- samples --------------------------------------------------------------------------------------


def _is_valid(path: Path) -> bool:
    try:
        return check(json.loads(path.read_bytes().decode("utf-8-sig"))) == []
    except ValueError:
        return False  # no JSON at all, by design


VALID: Final = [path for path in SAMPLES if _is_valid(path)]
_IDS: Final = [f"{i}-{path.name}" for i, path in enumerate(VALID)]


@pytest.mark.slow
@pytest.mark.parametrize("path", VALID, ids=_IDS)
def test_a_valid_sample_is_taken_whole_and_comes_back_equal(path: Path) -> None:
    text = path.read_bytes()
    found = capture(text)
    assert (found.document_faults, found.refused) == ((), ())
    assert exact(rebuilt(found)) == exact(text.removeprefix(b"\xef\xbb\xbf"))
    assert len(found.records) == found.event_count + (found.records[0].type == DOCUMENT_TYPE)
    for record in found.records:
        check_strict(record.body)
        # The one breach that joining contexts can bring: an event repeats a context of its document.
        faults = [] if record.type == DOCUMENT_TYPE else check(json.loads(record.body))
        assert [fault for fault in faults if (fault.path[:10], fault.code) != ("/@context/", "repeated")] == []


def test_all_valid_samples_were_among_them() -> None:
    sample("epcis")
    assert len(VALID) == 76
    assert sum(capture(path.read_bytes()).event_count for path in VALID) > 1000


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("Capture/Invalid/ObjectEvent_with_non_standard_bizStep.json", ["/epcisBody/eventList/0/bizStep"]),
        (
            "Capture/Invalid/ObjectEvent_with_non_standard_bizStep_in_second_event.json",
            ["/epcisBody/eventList/1/bizStep"],
        ),
        (
            "Capture/Invalid/Combination_of_non_standard_bizStep_and_disposition.json",
            ["/epcisBody/eventList/0/bizStep", "/epcisBody/eventList/1/disposition"],
        ),
        ("Capture/Invalid/ObjectEvent_with_quantity_as_text.json", ["/epcisBody/eventList/0/quantityList/0/quantity"]),
        ("Capture/Invalid/ObjectEvent_with_invalid_action.json", ["/epcisBody/eventList/0/action"]),
        ("Capture/Invalid/ObjectEvent_without_action_and_eventTime.json", ["/epcisBody/eventList/0"] * 3),
        (
            "Query/Invalid/QueryDocument_with_invalid_action.json",
            ["/epcisBody/queryResults/resultsBody/eventList/0/action"],
        ),
        (
            "Query/Invalid/QueryDocument_with_invalid_eventType.json",
            ["/epcisBody/queryResults/resultsBody/eventList/0/type"],
        ),
    ],
)
def test_an_invalid_sample_is_refused_with_the_path_of_its_fault(name: str, paths: list[str]) -> None:
    found = capture(sample("epcis/openepcis/JSON/" + name).read_bytes())
    assert told(found) == paths
    assert found.document_faults == ()
    assert len(found.records) == 1 + found.event_count - len(found.refused)


def test_no_invalid_sample_passes_and_each_fault_has_a_place() -> None:
    for path in SAMPLES:
        if path in VALID:
            continue
        try:
            found = capture(path.read_bytes())
        except (JsonMalformed, TooDeep, DuplicateKey):
            continue
        faults = [*found.document_faults, *(fault for refusal in found.refused for fault in refusal.faults)]
        assert faults, path
        assert all(fault.path == "" or fault.path.startswith("/") for fault in faults)


# --- records ----------------------------------------------------------------------------------------


def test_the_document_comes_first_without_its_events() -> None:
    found = capture(document(event(), event(), more=',"epcisHeader":{"ext:note":1.50},"ext:x":[ 1 ]'))
    head, *events = found.records
    assert (head.type, head.source_path, head.event_id) == (DOCUMENT_TYPE, "", None)
    assert members(head.body)["epcisHeader"] == b'{"ext:note":1.50}'
    assert members(head.body)["ext:x"] == b"[ 1 ]"
    assert members(head.body)["epcisBody"] == b"{}"
    assert [record.source_path for record in events] == ["/epcisBody/eventList/0", "/epcisBody/eventList/1"]
    assert {record.type for record in events} == {"epcis/ObjectEvent"}


def test_the_head_of_a_query_document_keeps_everything_else() -> None:
    text = (
        b'{"@context":[],"type":"EPCISQueryDocument","epcisBody":{"ext:a":1,"queryResults":{"queryName":"q",'
        b'"resultsBody":{"vocabularyList":[],"eventList":[{'
        + _TIMED.encode()
        + b'}],"ext:b":2},"subscriptionID":"s"}}}'
    )
    found = capture(text)
    assert members(found.records[0].body)["epcisBody"] == (
        b'{"ext:a":1,"queryResults":{"queryName":"q","resultsBody":{"vocabularyList":[],"ext:b":2},"subscriptionID":"s"}}'
    )
    assert found.records[1].source_path == "/epcisBody/queryResults/resultsBody/eventList/0"
    assert exact(rebuilt(found)) == exact(text)


def test_a_bare_event_is_one_record() -> None:
    text = f'{{ "@context" : {_CONTEXT} , {_TIMED}, "ext:x" : 1e3 }}'.encode()
    (record,) = capture(text).records
    assert record == CapturedRecord(
        type="epcis/ObjectEvent",
        body=f'{{"@context":{_CONTEXT},{_TIMED},"ext:x":1e3}}'.encode(),
        source_path="",
    )
    assert exact(rebuild([(record.type, record.body)])) == exact(text)


@pytest.mark.parametrize(
    "value", ["26.0", "1E+2", "-0", "1e400", "9" * 400, '"\\u00e9\\/"', '"é 魚"', "[ 1 , {} ]", "null"]
)
def test_value_texts_are_kept_as_they_came(value: str) -> None:
    record = capture(document(event(f',"ext:x": {value} '))).records[1]
    assert members(record.body)["ext:x"] == value.encode()


def test_names_of_members_are_kept_in_meaning() -> None:
    record = capture(document(event(',"ext:\\u0070rice":1,"http://example.org/%C3%A9":2'))).records[1]
    assert list(members(record.body))[-2:] == ["ext:price", "http://example.org/%C3%A9"]


def test_the_event_id_is_told_and_an_error_declaration_flagged() -> None:
    declared = ',"eventID":"urn:uuid:1","errorDeclaration":{"declarationTime":"2026-03-15T00:00:00Z"}'
    plain, erring = capture(document(event(), event(declared))).records[1:]
    assert (plain.event_id, plain.flags) == (None, ())
    assert (erring.event_id, erring.flags) == ("urn:uuid:1", (ERROR_DECLARATION,))


def test_an_event_of_one_s_own_type_is_taken_as_an_event() -> None:
    own = event().replace("ObjectEvent", "https://example.org/Weighing")
    found = capture(document(own))
    assert found.records[1].type == UNTYPED
    assert members(found.records[1].body)["type"] == b'"https://example.org/Weighing"'


# --- contexts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "own", "both"),
    [
        ('"urn:a:b"', "", '"urn:a:b"'),
        ('[ "urn:a:b" , {"x": "urn:x:"} ]', "", '[ "urn:a:b" , {"x": "urn:x:"} ]'),
        ('"urn:a:b"', '["urn:a:c"]', '["urn:a:b","urn:a:c"]'),
        ('["urn:a:b",{"x": "urn:x:"}]', '[{"y" :1.0}, {}]', '["urn:a:b",{"x": "urn:x:"},{"y" :1.0},{}]'),
        ("[]", '["urn:a:c"]', '["urn:a:c"]'),
        ("{}", "[{}]", "[{},{}]"),
        ('["urn:a:b"]', '["urn:a:b"]', '["urn:a:b","urn:a:b"]'),
    ],
)
def test_an_event_takes_its_document_s_context_along(context: str, own: str, both: str) -> None:
    text = document(event(f',"@context": {own}' if own else ""), context=context)
    found = capture(text)
    assert found.records[1].body.startswith(f'{{"@context":{both},"type"'.encode())
    assert exact(rebuilt(found)) == exact(text)


def test_a_single_context_of_an_event_comes_back_as_the_list_of_it() -> None:
    found = capture(document(event(',"@context":"urn:a:c"')))
    assert exact(rebuilt(found)) == exact(document(event(',"@context":["urn:a:c"]')))


def test_records_of_two_files_are_not_put_together() -> None:
    first, second = capture(document(event())), capture(document(event(), context='"urn:other:context"'))
    mixed = [(record.type, record.body) for record in (first.records[0], second.records[1])]
    with pytest.raises(JsonMalformed, match="context"):
        rebuild(mixed)
    with pytest.raises(JsonMalformed, match="several files"):
        rebuild([mixed[1], mixed[1]])
    with pytest.raises(JsonMalformed, match="no type of document"):
        rebuild([(DOCUMENT_TYPE, b"{}"), mixed[1]])
    with pytest.raises(JsonMalformed, match="no place for events"):
        rebuild([(DOCUMENT_TYPE, b'{"type":"EPCISDocument"}'), mixed[1]])


# --- refusals ---------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_dropped() -> None:
    assert capture(b"\xef\xbb\xbf" + document(event())) == capture(document(event()))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (document(event(), more=',"sender":"a","sender":"b"'), "sender"),
        (document(event(',"ext:x":1,"ext:\\u0078":2')), "ext:x"),
        (document(event(',"ext:y":[{"z":1,"z":1}]')), "z"),
        (b'{"@context":[],"type":"ObjectEvent","@context":[]}', "@context"),
    ],
)
def test_a_repeated_key_is_refused_by_name(text: bytes, key: str) -> None:
    with pytest.raises(DuplicateKey, match=key) as caught:
        capture(text, accept_invalid=True)
    assert caught.value.fields["key"] == key


@pytest.mark.parametrize(
    "text",
    [b"", b"{", document(event()) + b"x", document(event(",")), document(event(',"ext:x":NaN')), b"\xff\xfe{}",
     b"\xef\xbb\xbf\xef\xbb\xbf{}", document(event(',"ext:x":"\\ud800"')), document(event(',"ext:x":01'))],
)  # fmt: skip
def test_what_is_no_strict_json_is_refused_whole(text: bytes) -> None:
    with pytest.raises(JsonMalformed):
        capture(text, accept_invalid=True)


@pytest.mark.parametrize("text", [b"", b"\n", b"\xef\xbb\xbf", b' <?xml version="1.0"?><a/>'])
def test_a_file_without_content_and_xml_are_named_as_such(text: bytes) -> None:
    with pytest.raises(JsonMalformed) as caught:
        capture(text)
    assert str(caught.value).endswith("convert it to EPCIS 2.0 JSON" if b"<" in text else "the file is empty")


def test_one_event_is_refused_and_the_others_are_taken() -> None:
    broken = event(',"eventID":"urn:uuid:2","price":7').replace("OBSERVE", "SEE")
    found = capture(document(event(), broken, event()))
    assert [record.source_path for record in found.records] == ["", "/epcisBody/eventList/0", "/epcisBody/eventList/2"]
    (refusal,) = found.refused
    assert (refusal.source_path, refusal.event_id) == ("/epcisBody/eventList/1", "urn:uuid:2")
    assert [fault.path for fault in refusal.faults] == ["/epcisBody/eventList/1/action", "/epcisBody/eventList/1/price"]
    assert found.event_count == 3


def test_nothing_of_a_broken_document_is_taken() -> None:
    found = capture(document(event(), "7", more=',"sender":7'))
    assert [fault.path for fault in found.document_faults] == ["/sender"]
    assert found.records == ()
    assert told(found) == ["/epcisBody/eventList/1"]


def test_invalid_ones_are_accepted_with_their_faults() -> None:
    found = capture(document(event(), event(',"price":7'), "7", more=',"sender":7'), accept_invalid=True)
    head, sound, broken = found.records
    assert (head.flags, [fault.path for fault in head.faults]) == ((INVALID,), ["/sender"])
    assert (sound.flags, sound.faults) == ((), ())
    assert (broken.flags, [fault.path for fault in broken.faults]) == ((INVALID,), ["/epcisBody/eventList/1/price"])
    assert members(broken.body)["price"] == b"7"
    assert told(found) == ["/epcisBody/eventList/2"], "what is no object can be no record"


@pytest.mark.parametrize(
    ("text", "kind", "is_document"),
    [
        (b'{"type":"EPCISDocument","epcisBody":{}}', DOCUMENT_TYPE, True),
        (b'{"type":"EPCISDocument","epcisBody":{"eventList":{"a":1}}}', DOCUMENT_TYPE, True),
        (b'{"type":"EPCISQueryDocument","epcisBody":[]}', DOCUMENT_TYPE, True),
        (b'{"type":"ObjectEvent"}', "epcis/ObjectEvent", False),
        (b'{"type":"Whatever","eventID":7}', UNTYPED, False),
        (b'{"type":{"a":[]}}', UNTYPED, True),
        (b'{"lines":[]}', UNTYPED, True),
    ],
)
def test_what_is_hardly_epcis_is_refused_or_one_flagged_record(text: bytes, kind: str, is_document: bool) -> None:
    refused, taken = capture(text), capture(text, accept_invalid=True)
    assert refused.records == ()
    assert bool(refused.document_faults) == is_document
    assert bool(refused.refused) != is_document
    (record,) = taken.records
    assert (record.type, record.body, record.flags) == (kind, text, (INVALID,))
    assert taken.refused == ()


@pytest.mark.parametrize("text", [b"[]", b"7", b'"x"', b"null", b'[{"type":"ObjectEvent"}]'])
def test_what_is_no_object_is_never_taken(text: bytes) -> None:
    found = capture(text, accept_invalid=True)
    assert (len(found.document_faults), found.records, found.refused) == (1, (), ())


def test_a_document_whose_list_of_events_is_none_comes_back_as_it_was() -> None:
    text = b'{"type":"EPCISDocument","epcisBody":{"eventList":{"a":1}}}'
    assert rebuilt(capture(text, accept_invalid=True)) == text


def test_an_event_without_a_type_is_recorded_as_such() -> None:
    found = capture(document('{"ext:x":1}'), accept_invalid=True)
    assert found.records[1].type == UNTYPED


# --- bounds ----------------------------------------------------------------------------------------------------


def nested(levels: int) -> str:
    """A member whose value brings the event to `levels` levels."""
    return ',"ext:x":' + "[" * (levels - 1) + "]" * (levels - 1)


def padded(length: int) -> str:
    """An event whose record has `length` bytes."""
    spare = length - len(f'{{"@context":{_CONTEXT},{_TIMED},"ext:x":""}}')
    return event(f',"ext:x":"{"a" * spare}"')


@pytest.mark.parametrize("accept", [False, True])
def test_an_event_deeper_than_a_record_is_refused_alone(accept: bool) -> None:
    found = capture(
        document(event(nested(limits.JSON_DEPTH)), event(nested(limits.JSON_DEPTH + 1))), accept_invalid=accept
    )
    assert [record.source_path for record in found.records[1:]] == ["/epcisBody/eventList/0"]
    assert [(fault.path, fault.code) for fault in found.refused[0].faults] == [("/epcisBody/eventList/1", "too-deep")]


@pytest.mark.parametrize("accept", [False, True])
def test_an_event_longer_than_a_record_is_refused_alone(accept: bool) -> None:
    text = document(padded(limits.BODY_BYTES_MAX), padded(limits.BODY_BYTES_MAX + 1))
    found = capture(text, accept_invalid=accept)
    assert [len(record.body) for record in found.records[1:]] == [limits.BODY_BYTES_MAX]
    assert [(fault.path, fault.code) for fault in found.refused[0].faults] == [("/epcisBody/eventList/1", "too-large")]


def test_a_head_longer_than_a_record_refuses_the_document() -> None:
    found = capture(document(event(), more=f',"sender":"{"a" * limits.BODY_BYTES_MAX}"'), accept_invalid=True)
    assert [fault.code for fault in found.document_faults] == ["too-large"]
    assert found.records == ()


@pytest.mark.slow
def test_a_file_too_long_or_too_deep_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        capture(b" " * limits.EPCIS_FILE_BYTES_MAX + b"7")
    assert capture(b" " * (limits.EPCIS_FILE_BYTES_MAX - 1) + b"7").document_faults
    with pytest.raises(TooDeep):
        capture(b"[" * (limits.EPCIS_FILE_DEPTH + 1))
    deepest = b"[" * limits.EPCIS_FILE_DEPTH + b"]" * limits.EPCIS_FILE_DEPTH
    assert capture(deepest).document_faults


def test_a_file_of_too_many_values_is_refused_before_they_are_made() -> None:
    most = limits.EPCIS_VALUES_MAX
    with pytest.raises(TooLarge) as refused:
        capture(b"[" + b"0," * most + b"never looked at")
    assert (refused.value.fields["unit"], refused.value.fields["got"]) == ("values", most + 1)
    assert capture(b'"' + b"," * most + b'"').document_faults


def test_a_file_of_too_many_events_is_refused_and_one_of_as_many_as_may_be_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "EPCIS_EVENTS_MAX", 5)
    assert capture(document(*[event()] * 5)).event_count == 5
    with pytest.raises(TooLarge) as refused:
        capture(document(*[event()] * 6), accept_invalid=True)
    assert (refused.value.fields["unit"], refused.value.fields["got"]) == ("events", 6)


def test_of_many_broken_events_the_first_are_told_and_the_faults_of_the_others_counted() -> None:
    found = capture(document(*["{}"] * 1000, event()))
    told = sum(len(refusal.faults) for refusal in found.refused)
    each = len(found.refused[0].faults)
    assert limits.CAPTURE_REFUSED_MAX <= told < limits.CAPTURE_REFUSED_MAX + each
    assert told + found.untold_faults == 1000 * each
    assert [record.source_path for record in found.records] == ["", "/epcisBody/eventList/1000"]


def test_a_thousand_events_are_captured_in_well_under_a_second() -> None:
    text = document(*[event(f',"eventID":"urn:uuid:{i}","ext:x":[{{"a":1.50}}]') for i in range(1000)])
    began = time.process_time()
    assert len(capture(text).records) == 1001
    assert time.process_time() - began < 30  # quadratic, it would take far longer


# --- any file, any document ----------------------------------------------------------------------


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,0eE-. \\utrype', max_size=40).map(str.encode))
def test_any_bytes_are_captured_or_refused_by_an_error_of_ours(file: bytes) -> None:
    with contextlib.suppress(BadInput):
        capture(file, accept_invalid=True)


@pytest.mark.slow
def test_capture_refuses_what_the_checker_finds_and_nothing_else(seed: int) -> None:
    rng, bases = random.Random(seed), usable_samples()
    for _ in range(300):
        value, done = mutated(rng, bases)
        found = capture(json.dumps(value).encode())
        is_refused = bool(found.document_faults or found.refused)
        assert is_refused == bool(check(value)), (seed, done)


_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_ANY: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_CONTEXTS: Final = st.lists(_TEXT | st.dictionaries(_TEXT, _TEXT, max_size=2), min_size=1, max_size=3)
_EVENTS: Final = st.lists(
    st.tuples(st.dictionaries(_TEXT, _ANY, max_size=5), st.none() | _CONTEXTS).map(
        lambda pair: pair[0] | ({"@context": pair[1]} if pair[1] is not None else {})
    ),
    max_size=4,
)
_HEADS: Final = st.tuples(st.dictionaries(_TEXT, _ANY, max_size=3), st.none() | _TEXT | _CONTEXTS)


@pytest.mark.slow
@given(head=_HEADS, events=_EVENTS, is_query=st.booleans(), indent=st.none() | st.integers(0, 3), plain=st.booleans())
def test_any_document_comes_back_equal(
    head: tuple[dict[str, Any], Any], events: list[Any], is_query: bool, indent: int | None, plain: bool
) -> None:
    body: Any = {"eventList": events}
    if is_query:
        body = {"queryResults": {"resultsBody": body}}
    kind = "EPCISQueryDocument" if is_query else "EPCISDocument"
    context = {} if head[1] is None else {"@context": head[1]}
    value = {**head[0], **context, "type": kind, "epcisBody": body}
    text = json.dumps(value, indent=indent, ensure_ascii=plain).encode()
    found = capture(text, accept_invalid=True)
    assert found.refused == ()
    assert exact(rebuilt(found)) == exact(text)
