"""The checker and GS1's JSON schema, held against each other: on every sample, and on seeded mutations of them.

TALLY_MUTATIONS sets how many mutations the long run makes; TALLY_SEED replays a run.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import pytest
from rfc3339_validator import validate_rfc3339
from rfc3986_validator import validate_rfc3986

from ledger.jsontext import parse
from node.epcis.checks import CODES, EVENT_LIST, check, terms, texts
from tests import json_schemas
from tests.samples import list_samples, sample

pytestmark = pytest.mark.slow

_LONG_RUN: Final = int(os.environ.get("TALLY_MUTATIONS", "10000"))
_SHORT_RUN: Final = 200
_EVENTS_KEPT: Final = 3  # of each document that is mutated: the schema takes milliseconds per event
_SAMPLES: Final = [
    path for pattern in ("epcis/**/*.json*", "trace/**/*.json*") for path in list_samples(pattern)
]  # `*.json*`: .jsonld too

Path = tuple[str | int, ...]


@cache
def schema() -> Any:
    return json_schemas.draft7(json.loads(sample("epcis/gs1/schema/EPCIS-JSON-Schema.json").read_text()))


def read(path: Any) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except ValueError:
        return None  # two samples are no JSON at all, by design


# --- samples, as they are ------------------------------------------------------------------


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.name)
def test_checker_and_schema_agree_on_the_sample(path: Any) -> None:
    value = read(path)
    if value is not None:
        faults = check(value)
        assert (faults == []) == schema().is_valid(value), [str(fault) for fault in faults]
        assert faults == check(parse(json.dumps(value).encode(), bytes_max=1 << 26, depth_max=64))


@pytest.mark.parametrize(
    ("folder", "valid", "total"),
    [
        ("epcis/gs1/JSON", 25, 25),
        ("epcis/gs1/JSON-simple-context", 1, 24),
        ("epcis/openepcis/JSON/Capture/Documents", 17, 19),
        ("epcis/openepcis/JSON/Capture/Events", 3, 3),
        ("epcis/openepcis/JSON/Capture/Invalid", 0, 8),
        ("epcis/openepcis/JSON/Query/Invalid", 0, 2),
        ("epcis/event-hash/examples", 13, 13),
    ],
)
def test_as_many_samples_are_valid_as_their_publishers_say(folder: str, valid: int, total: int) -> None:
    found = list(sample(folder).rglob("*.json*"))
    assert len(found) == total
    assert sum(check(read(path)) == [] for path in found) == valid


@pytest.mark.parametrize(
    ("table", "definition", "count"),
    [
        (terms.ACTIONS, "action", 3),
        (terms.BUSINESS_STEPS, "bizStep", 41),
        (terms.DISPOSITIONS, "disposition", 33),
        (terms.BUSINESS_TRANSACTIONS, "bizTransaction-type", 13),
        (terms.PARTIES, "source-dest-type", 3),
        (terms.ERROR_REASONS, "error-reason", 2),
        (terms.MEASUREMENTS, "measurementType", 72),
        (terms.ALERTS, "sensorAlertType", 2),
        (terms.COMPONENTS, "component", 14),
    ],
)
def test_the_vocabularies_are_complete(table: frozenset[str], definition: str, count: int) -> None:
    found = schema().schema["definitions"][definition]
    words = found["enum"] if "enum" in found else found["anyOf"][1]["enum"]
    assert table == set(words)
    assert len(table) == count


# --- mutations -------------------------------------------------------------------------------


def test_checker_and_schema_agree_on_some_mutations(seed: int) -> None:
    compare(seed, _SHORT_RUN)


@pytest.mark.timeout(0)
def test_checker_and_schema_agree_on_thousands_of_mutations(seed: int) -> None:
    compare(seed + 1, _LONG_RUN)


def compare(seed: int, count: int) -> None:
    print(f"TALLY_SEED={seed}")
    rng, bases, valid = random.Random(seed), usable_samples(), 0
    for number in range(count):
        value, done = mutated(rng, bases)
        faults = check(value)
        expected = schema().is_valid(value)
        valid += expected
        story = f"mutation {number} of seed {seed}: {done}\n{json.dumps(value)[:4000]}\n{[str(f) for f in faults]}"
        assert (faults == []) == expected, story
        for fault in faults:
            assert fault.code in CODES, story
            resolve(value, fault.path)
    # A run in which nearly all or nearly none are valid compares little.
    assert count * 0.1 < valid < count * 0.9


def test_a_fault_is_told_where_it_was_made(seed: int) -> None:
    rng, bases, told = random.Random(seed), [base for base in usable_samples() if check(base) == []], 0
    while told < 100:
        value = few_events(rng, copy.deepcopy(rng.choice(bases)))
        if check(value):
            continue  # an event taken out of its document without the context
        place = rng.choice([path for path, _ in walk(value) if path])
        put(value, place, rng.choice((None, True, 7, "?", [], {"?": 0})))
        if faults := check(value):
            told += 1
            around = "".join(f"/{pointer_step(step)}" for step in place[:-1])
            assert any(fault.path.startswith(around) for fault in faults), (seed, place, faults)


@cache
def usable_samples() -> list[Any]:
    """Objects with a type; what is no EPCIS at all teaches a mutation nothing."""
    found = [value for value in map(read, _SAMPLES) if isinstance(value, dict) and "type" in value]
    if not found:
        pytest.skip("no samples: set TALLY_SAMPLES to the folder that has them")
    return found


def mutated(rng: random.Random, bases: list[Any]) -> tuple[Any, list[str]]:
    value = few_events(rng, copy.deepcopy(rng.choice(bases)))
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not isinstance(value, dict):
            break
        change = rng.choice(_CHANGES)
        done.append(change.__name__)
        value = change(rng, value)
    return value, done


def few_events(rng: random.Random, document: Any) -> Any:
    """The document with a few of its events; or, now and then, one of its events alone."""
    events = event_list(document)
    if events is None:
        return document
    events[:] = rng.sample(events, min(len(events), rng.randint(0 if rng.random() < 0.05 else 1, _EVENTS_KEPT)))
    if events and rng.random() < 0.2 and isinstance(events[0], dict):
        context = {"@context": document["@context"]} if "@context" in document and rng.random() < 0.9 else {}
        return {**context, **events[0]}
    return document


def event_list(document: Any) -> list[Any] | None:
    for step in EVENT_LIST.get(str(document.get("type")), ("?",)):
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, list) else None


# --- places in a document ----------------------------------------------------------------------


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in items:
        yield from walk(member, (*path, step))


def get(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def put(value: Any, path: Path, new: Any) -> None:
    get(value, path[:-1])[path[-1]] = new


def pointer_step(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def resolve(value: Any, pointer: str) -> Any:
    """What the JSON Pointer names; a pointer to nothing raises."""
    assert pointer == "" or pointer.startswith("/")
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def pick(rng: random.Random, value: Any, kind: type | tuple[type, ...] = object) -> Path | None:
    """A place below the top that holds a `kind`: by depth or name first, so that frequent ones do not take all."""
    places = [path for path, found in walk(value) if path and isinstance(found, kind)]
    if not places:
        return None
    sort: Callable[[Path], Any] = rng.choice((len, lambda path: str(path[-1])))
    wanted = rng.choice(sorted({sort(path) for path in places}))
    return rng.choice([path for path in places if sort(path) == wanted])


# --- what a mutation does ------------------------------------------------------------------------

_STRINGS: Final = (
    *("", " ", "x", "0", "a:", "a:b", "a b", "urn:x:ü", "http://", "HTTP://EXAMPLE.ORG", "//example.org/x", "é:b"),
    *("ext:price", "ex_t:price", "1ext:price", ":x", "_:b0", "urn:epc:id:sgtin:0614141.107346.2018", "urn:a#b#c"),
    *("urn:epcglobal:cbv:bizstep:shipping", "https://ns.gs1.org/cbv/BizStep-shipping", "http://ns.gs1.org/cbv/x"),
    *("HTTPS://ns.gs1.org/cbv/x", "http://gs1.org/voc/Mass", "https://www.gs1.org/voc/Temperature", "gs1:Temperature"),
    *("https://gs1.org/voc", "urn:epcglobal:cb", "cbv:BizStep-shipping", "shipping\n", "ADD\n", "ObjectEvent\n"),
    *("ni:///sha-256;df7bb3c352fef055578554f09f5e2aa41782150ced7bd0b8af24dd3ccb30ba69?ver=CBV2.0", "urn:x\n", "a:\n\n"),
    *(
        "http://[::1]/",
        "http://[1:2:3:4:5:6:7:8]:80",
        "http://[::ffff:01.2.3.4]",
        "http://[v1.x]",
        "http://[::1",
        "a:%2",
    ),
    *("http://a@b@c", "http://h:8a/", "a:b%zz", "a:b%2Fc", "a:[b]", "a:?q=[", "a:b?c?d#e/?", "a:/b//c", "a:////"),
    *("2019-02-29T00:00:00Z", "2020-02-29T00:00:00Z", "2020-01-01T00:00:00", "2020-01-01t00:00:00z", "2020-01-01"),
    *(
        "2020-01-01T24:00:00Z",
        "2020-01-01T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2020-01-01T00:00:00.Z",
        "2020-1-1T0:0:0Z",
    ),
    *(
        "2020-01-01T00:00:00.123456789+13:00",
        "2020-01-01T00:00:00+24:00",
        "2020-01-01 00:00:00Z",
        "2020-04-31T00:00:00Z",
    ),
    *(
        "9999-12-31T23:59:59-23:59\n",
        "２０２０-01-01T00:00:00Z",
        "2020-01-01T00:00:00+0100",
        "+14:00",
        "+14:01",
        "-13:59",
    ),
    *(
        "+02:00\n",
        "02:00",
        "-15:00",
        "Z",
        "2.0",
        "2",
        "2.",
        ".2",
        "2.0.1",
        "٢.0",
        "1.2\n",
        "v2",
        "KGM",
        "kgm",
        "K",
        "KGMM",
    ),
    *("C62\n", "f0F", "f0g", "0x1", "CEL", "https://example.org/a/b?c=d#e"),
    *terms.EVENT_TYPES,
    *("EPCISDocument", "EPCISQueryDocument", "EPCISMasterDataDocument", "QuantityEvent", "ext:Event"),
)
_WORDS: Final = sorted(
    terms.ACTIONS | terms.BUSINESS_STEPS | terms.DISPOSITIONS | terms.PARTIES | terms.ERROR_REASONS
    | terms.MEASUREMENTS | terms.ALERTS | terms.COMPONENTS | terms.BUSINESS_TRANSACTIONS
)  # fmt: skip
_CONTEXTS: Final[tuple[Any, ...]] = (
    *("https://ref.gs1.org/standards/epcis/epcis-context.jsonld", "context", "", {}, [], {"ext": 7}, None, 7, [[]]),
    *([{}, {}], [{"a": 1}, {"a": True}], [{"a": 1}, {"a": 1.0}], ["urn:a:b", "urn:a:b"], ["urn:a:b", {"a": ["b"]}]),
    *([{"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}], [{"a": "1"}, {"a": 1}], ["urn:a:b", None], [["urn:a:b"]]),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 7, 1.5, 1e300, [], {}, [[]], [{}], [None], [7], ["x"], ["urn:a:b"], {"id": "urn:a:b"}),
    *(["urn:a:b", "urn:a:b"], {"id": 7}, {"type": "urn:a:b"}, {"set": ["active"]}, {"unset": []}, {"x": 1}),
    *({"epcClass": "urn:a:b"}, {"set": ["active", "active"]}, {"sensorReport": [{"type": "Temperature"}]}, {"a:b": 1}),
    *([{"epcClass": "urn:a:b", "quantity": 1, "uom": "KGM"}], [{"sensorReport": []}], {"declarationTime": "2020"}),
)


def scalar(rng: random.Random) -> Any:
    return rng.choice(rng.choice((_STRINGS, _WORDS, _VALUES)))


def drop_member(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value):
        holder = get(value, place[:-1])
        if isinstance(holder, dict):
            del holder[place[-1]]
        else:
            holder.pop(place[-1])
    return value


def repeat_item(rng: random.Random, value: Any) -> Any:
    if (place := pick(rng, value, list)) and (items := get(value, place)):
        items.insert(rng.randint(0, len(items)), copy.deepcopy(rng.choice(items)))
    return value


def replace_any(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value):
        put(value, place, copy.deepcopy(scalar(rng)))
    return value


def replace_string(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value, str):
        put(value, place, rng.choice(rng.choice((_STRINGS, _WORDS))))
    return value


def edit_string(rng: random.Random, value: Any) -> Any:
    place = pick(rng, value, str)
    if place is None:
        return value
    text = get(value, place)
    at = rng.randint(0, len(text))
    extra = rng.choice([*" :/?#[]@%\\\n\tü{}<>^`|\"'+-._~0AaZzT", "%20", "\n\n", ""])
    edits = (text[:at] + extra + text[at:], text[:at] + text[at + 1 :], text.upper(), text + "\n", text[:at])
    put(value, place, rng.choice(edits))
    return value


def add_member(rng: random.Random, value: Any) -> Any:
    place = pick(rng, value, dict) if rng.random() < 0.8 else ()
    donor = rng.choice(usable_samples())
    donated = [(path[-1], found) for path, found in walk(donor) if path and isinstance(path[-1], str)]
    name, member = rng.choice(donated)
    if rng.random() < 0.3:
        name = rng.choice(("ext:x", "x", "x y", "ex_t:x", "https://a.b/c", "EPCList", "@id", "", "ilmd", "ext:\n"))
    get(value, place or ())[name] = copy.deepcopy(member if rng.random() < 0.7 else scalar(rng))
    return value


def rename_member(rng: random.Random, value: Any) -> Any:
    if (place := pick(rng, value)) and isinstance(holder := get(value, place[:-1]), dict):
        names = [path[-1] for path, _ in walk(value) if path and isinstance(path[-1], str)]
        holder[rng.choice((rng.choice(names), "ext:x", str(place[-1]) + "s"))] = holder.pop(place[-1])
    return value


def swap_in_namesake(rng: random.Random, value: Any) -> Any:
    """A member takes the value that a member of the same name has in another sample."""
    place = pick(rng, value)
    if place:
        other = [found for path, found in walk(rng.choice(usable_samples())) if path and path[-1] == place[-1]]
        if other:
            put(value, place, copy.deepcopy(rng.choice(other)))
    return value


def empty(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value, (list, dict)):
        get(value, place).clear()
    return value


def change_type(rng: random.Random, value: Any) -> Any:
    places = [path for path, _ in walk(value) if path and path[-1] in ("type", "action")]
    if places:
        put(value, rng.choice(places), rng.choice((*terms.EVENT_TYPES, *terms.ACTIONS, "ext:Event", "Event", None)))
    return value


def change_context(rng: random.Random, value: Any) -> Any:
    events = event_list(value) or []
    holder = rng.choice([value, *[event for event in events if isinstance(event, dict)]])
    holder["@context"] = copy.deepcopy(rng.choice(_CONTEXTS))
    return value


def wrap_or_unwrap(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value):
        found = get(value, place)
        inner = found[0] if isinstance(found, list) and found else [found]
        put(value, place, rng.choice((inner, {"id": found}, {str(place[-1]): found})))
    return value


def number_or_string(rng: random.Random, value: Any) -> Any:
    if place := pick(rng, value, (int, float)):
        put(value, place, rng.choice((str(get(value, place)), -1, 1e5, True)))
    elif place := pick(rng, value, str):
        put(value, place, rng.choice((1, 2.5)))
    return value


_CHANGES: Final[tuple[Callable[[random.Random, Any], Any], ...]] = (
    *(drop_member, repeat_item, replace_any, replace_string, edit_string, add_member, rename_member),
    *(swap_in_namesake, empty, change_type, change_context, wrap_or_unwrap, number_or_string),
)


# --- forms of strings ---------------------------------------------------------------------------------


def test_uris_and_times_agree_with_the_schema_s_formats(seed: int) -> None:
    rng = random.Random(seed)
    pieces = ["a", ":", "/", "//", "?", "#", "[", "]", "@", "%41", "%4", "::", "1", "ffff", "1.2.3.4", "v1.", "é", " "]
    pieces += ["\n", "-", ".", "http:", "urn:", "255", "256", "00", "_", "|", "[::1]", "[1:2:3:4:5:6:7::]", "&=", "\\"]
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        text = "".join(rng.choices(pieces, k=rng.randint(0, 9)))
        literal = ":".join(
            rng.choices(["", "1", "ffff", "12345", "1.2.3.4", "1.2.3.04", "256.1.1.1", "g"], k=rng.randint(1, 9))
        )
        for uri in (text, "urn:" + text, f"http://[{literal}]"):
            assert texts.is_uri(uri) == bool(validate_rfc3986(uri)), uri
        stamp = list("2020-02-29T23:59:59.5+13:59")
        for _ in range(rng.randint(0, 2)):
            stamp[rng.randrange(len(stamp))] = rng.choice("0123456789tTzZ:+-. \n")
        moment = "".join(stamp)
        assert texts.is_time(moment) == bool(validate_rfc3339(moment.upper())), moment
