"""The samples go from file to file: captured at one node, synced, read and rebuilt at others, equal in every value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from ledger.jsontext import members
from node.epcis.capture import DOCUMENT_TYPE, UNTYPED, rebuild
from node.epcis.checks import EVENT_LIST, terms
from tests.make_folders import found, free_ports
from tests.make_peers import Peer, serving, wait_until
from tests.nodes import Door, ask
from tests.samples import sample
from tests.test_epcis_capture import SAMPLES, VALID

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AUTHOR: Final = "fishery"
READERS: Final = ("carrier", "retailer")
TYPES: Final = sorted([DOCUMENT_TYPE, UNTYPED, *(f"epcis/{kind}" for kind in terms.EVENT_TYPES)])
SOURCE: Final = f'''"""Share everything of every file with everybody."""
ROLES = {{"author", "reader"}}
SIGNERS = set()
AUTHORS = {{{", ".join(f'"{kind}": {{"author"}}' for kind in TYPES)}}}
SHARES = {{{", ".join(f'"{kind}": {{"/*": {{"author", "reader"}}}}' for kind in TYPES)}}}
'''
_INVALID: Final = "epcis/openepcis/JSON/"
_EVENTS: Final = "/epcisBody/eventList/"
_QUERIED: Final = "/epcisBody/queryResults/resultsBody/eventList/"
_STRAY: Final = {
    f"{_EVENTS}{event}/sensorElementList/0/sensorReport/{place}"
    for event, place in ((7, "1/type"), (7, "2/type"), (8, 0), (8, 1), (10, "0/type"))
}


@dataclass(frozen=True)
class Synced:
    """Nodes of one network, and the contract under which the first shares everything with the others."""

    author: Peer
    readers: Sequence[Peer]
    contract: str


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    names = (AUTHOR, *READERS)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("samples"), *names, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    with serving(*(founded.folders[name] for name in names)) as (author, *readers):
        parties = {"author": [AUTHOR], "reader": list(READERS)}
        yield Synced(author, readers, author.agree(readers, parties, source=SOURCE).hex())


def exact(text: bytes) -> Any:
    """The value of a JSON text, in which a number is its text and the members of an object keep their order."""
    as_text = lambda number: ("number", number)  # noqa: E731  # three uses in one line
    return json.loads(
        text, parse_float=as_text, parse_int=as_text, parse_constant=as_text, object_pairs_hook=_Members.make
    )


def whole(file: bytes) -> dict[str, Any]:
    """As `exact`, but for the members of the document and of its events: each of those is a field, and has no place."""
    value = dict(exact(file))
    return _unordered(value, EVENT_LIST.get(value["type"], ()))


def _unordered(value: Any, steps: Sequence[str]) -> dict[str, Any]:
    found = dict(value)
    if steps and steps[0] in found:
        inner = found[steps[0]]
        found[steps[0]] = _unordered(inner, steps[1:]) if steps[1:] else [dict(event) for event in inner]
    return found


class _Members(tuple[tuple[str, Any], ...]):
    """The members of an object: no list of lists equals them."""

    @classmethod
    def make(cls, pairs: list[tuple[str, Any]]) -> _Members:
        return cls(pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Members) and super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # holds lists


async def capture(door: Door, file: bytes, **params: str) -> Any:
    answer = await door.post("/api/v1/captures", file, params=params)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


# --- valid ones ----------------------------------------------------------------------------------


def test_every_valid_sample_comes_back_equal_at_every_entitled_peer(synced: Synced) -> None:
    sample("epcis")
    assert len(VALID) == 76, "all that SOURCES.md counts, and those of trace/"

    files = [path.read_bytes() for path in VALID]

    async def put(door: Door) -> list[list[dict[str, Any]]]:
        return [_all_rows(await capture(door, file, contract=synced.contract)) for file in files]

    rows = ask(synced.author.node, put)
    size = max(row["index"] for found in rows for row in found) + 1
    assert size > 1000
    for reader in synced.readers:
        wait_until(lambda r=reader: r.holds(AUTHOR, size), f"{reader.name} holds {size}")  # type: ignore[misc]
        assert reader.gaps(AUTHOR) == {}
        read = ask(reader.node, lambda door: _read(door, rows))
        for path, file, records in zip(VALID, files, read, strict=True):
            assert whole(rebuild(records)) == whole(file.removeprefix(b"\xef\xbb\xbf")), path


def _all_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a file in its order; what several files have in common is recorded once."""
    assert (report["refused"], report["refused_more"]) == ([], 0)
    rows = [*report["recorded"], *report["duplicates"]]
    return sorted(rows, key=lambda row: (len(row["path"]), row["path"]))


async def _read(door: Door, files: Sequence[Sequence[dict[str, Any]]]) -> list[list[tuple[str, bytes]]]:
    """Type and exact body of all records, file by file, as a partner reads them."""
    indexes = sorted({row["index"] for rows in files for row in rows})
    known = {index: await _read_record(door, index) for index in indexes}
    return [[known[row["index"]] for row in rows] for rows in files]


async def _read_record(door: Door, index: int) -> tuple[str, bytes]:
    answer = await door.call("GET", f"/api/v1/records/{AUTHOR}/{index}")
    assert answer.status_code == 200, answer.text
    shown = members(answer.content)
    assert (shown["state"], shown["problems"]) == (b'"open"', b"[]")
    return json.loads(shown["type"]), shown["body"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (b'{"a":26.0}', b'{"a":26.00}'),
        (b'{"a":1e3}', b'{"a":1000}'),
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
        (b'{"a":{}}', b'{"a":[]}'),
        (b'{"a":1}', b'{"a":"1"}'),
        ('{"a":"\u00e9"}'.encode(), '{"a":"e\u0301"}'.encode()),
    ],
)
def test_what_is_compared_tells_texts_apart(text: bytes, other: bytes) -> None:
    assert exact(text) == exact(text.replace(b":", b" : "))
    assert exact(text) != exact(other)


# --- invalid ones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("Capture/Invalid/EPCISDocument_without_context.json", {""}),
        ("Capture/Invalid/ObjectEvent_with_invalid_action.json", {_EVENTS + "0/action"}),
        ("Capture/Invalid/ObjectEvent_with_non_standard_bizStep.json", {_EVENTS + "0/bizStep"}),
        ("Capture/Invalid/ObjectEvent_with_non_standard_bizStep_in_second_event.json", {_EVENTS + "1/bizStep"}),
        ("Capture/Invalid/ObjectEvent_with_quantity_as_text.json", {_EVENTS + "0/quantityList/0/quantity"}),
        ("Capture/Invalid/ObjectEvent_without_action_and_eventTime.json", {_EVENTS + "0"}),
        (
            "Capture/Invalid/Combination_of_non_standard_bizStep_and_disposition.json",
            {_EVENTS + "0/bizStep", _EVENTS + "1/disposition"},
        ),
        (
            "Capture/Invalid/Combination_of_multiple_invalid_fields.json",
            {
                _EVENTS + place
                for place in (
                    "0/bizStep",
                    "1/disposition",
                    "2/sourceList/0/type",
                    "3/ilmd/materialType",
                    "4/action",
                    "4/eventTime",
                )
            },
        ),
        ("Capture/Documents/AggregationEvent_with_persistentDisposition.json", {_EVENTS + "1/persistentDisposition"}),
        ("Capture/Documents/SensorData_with_combined_events.json", _STRAY),
        ("Query/SensorData_with_combined_events.json", {path.replace(_EVENTS, _QUERIED) for path in _STRAY}),
        ("Query/Invalid/QueryDocument_with_invalid_action.json", {_QUERIED + "0/action"}),
        ("Query/Invalid/QueryDocument_with_invalid_eventType.json", {_QUERIED + "0/type"}),
        ("Query/Queries/Invalid/Query_with_unknown_parameter.json", {""}),
    ],
)
def test_an_invalid_sample_is_refused_through_the_api_with_the_path_of_its_fault(
    synced: Synced, name: str, paths: set[str]
) -> None:
    file = sample(_INVALID + name).read_bytes()
    report = ask(synced.author.node, lambda door: capture(door, file, contract=synced.contract))
    assert {row["path"] for row in report["refused"]} == paths
    taken = {row["path"] for row in (*report["recorded"], *report["duplicates"])}
    assert not any(place == refused or place.startswith(refused + "/") for refused in taken - {""} for place in paths)
    assert "" not in paths or not taken, "nothing is taken of a document that is broken itself"


def test_no_invalid_sample_passes_the_api_and_each_fault_names_a_place_in_its_file(synced: Synced) -> None:
    sample("epcis")
    files = {str(path): path.read_bytes() for path in sorted(set(SAMPLES) - set(VALID))}

    async def story(door: Door) -> None:
        for name, file in files.items():
            answer = await door.post("/api/v1/captures", file, params={"dry_run": "true"})
            if answer.status_code == 400:
                assert answer.json()["code"] == "json-malformed", name
                continue
            refused = answer.json()["refused"]
            assert refused, name
            value = json.loads(file.decode("utf-8-sig"))
            for row in refused:
                _find(value, row["path"])

    ask(synced.author.node, story)


def _find(value: Any, path: str) -> Any:
    """What stands at a JSON Pointer; fails where nothing does."""
    for step in path.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value
