"""EPCIS files over HTTP: each event once, refused by its path, flagged where it must be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ledger import limits
from node.node import Node
from node.services import capturing
from tests import nodes
from tests.nodes import Door, ask
from tests.samples import list_samples

PATH = "/api/v1/captures"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = nodes.found().join(tmp_path_factory.mktemp("captures"))
    yield found
    found.close()


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "bizStep": "shipping",
        "eventTime": "2026-03-14T09:26:53.589Z",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [f"urn:epc:id:sgtin:4012345.012345.{number}"],
        **more,
    }


def bare(number: int, **more: Any) -> dict[str, Any]:
    return {"@context": CONTEXT, **event(number, **more)}


def document(*events: dict[str, Any]) -> dict[str, Any]:
    """A document of these events, made at a time of its own."""
    number = int(events[0].get("eventID", "0")[-12:]) if events else 0
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": f"{2026 + number}-03-14T10:00:00.000Z",
        "epcisBody": {"eventList": list(events)},
    }


async def capture(door: Door, file: object, **params: Any) -> dict[str, Any]:
    answer = await door.post(PATH, file, params=params)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    assert (answer.status_code == 201) == bool(found["recorded"] and not found["dry_run"])
    return found


def paths(rows: list[dict[str, Any]]) -> list[str]:
    return [row["path"] for row in rows]


def size_of(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, "fishery").size


def test_every_event_is_a_record_and_the_document_is_one_more(node: Node) -> None:
    async def story(door: Door) -> None:
        report = await capture(door, document(event(1), event(2)))
        assert paths(report["recorded"]) == ["", "/epcisBody/eventList/0", "/epcisBody/eventList/1"]
        assert [row["type"] for row in report["recorded"]] == ["epcis/document", *["epcis/ObjectEvent"] * 2]
        shown = await door.get(f"/api/v1/records/{report['recorded'][1]['id']}")
        assert shown["body"] == {"@context": CONTEXT, **event(1)}
        assert shown["index"] == report["recorded"][1]["index"]
        assert report["recorded"][1]["event_id"] == event(1)["eventID"]

    ask(node, story)


def test_events_refer_to_the_record_of_their_document(node: Node) -> None:
    async def story(door: Door) -> None:
        head, *events = (await capture(door, document(event(5), event(6))))["recorded"]
        (again,) = (await capture(door, document(event(5), event(6), event(7))))["recorded"]
        for row in (*events, again):
            (link,) = (await door.get(f"/api/v1/records/{row['id']}"))["links"]
            assert (link["relation"], link["index"]) == ("document", head["index"])
        (alone,) = (await capture(door, bare(8)))["recorded"]
        assert (await door.get(f"/api/v1/records/{alone['id']}"))["links"] == []

    ask(node, story)


def test_the_same_bytes_again_are_a_duplicate_and_say_of_what(node: Node) -> None:
    async def story(door: Door) -> None:
        first = await capture(door, document(event(10), event(11)))
        size = size_of(node)
        again = await capture(door, document(event(10), event(11), event(10)))
        assert again["recorded"] == []
        assert [row["index"] for row in again["duplicates"][:3]] == [row["index"] for row in first["recorded"]]
        assert again["duplicates"][3]["index"] == first["recorded"][1]["index"]
        assert size_of(node) == size
        more = await capture(door, document(event(11), event(12)))
        assert paths(more["duplicates"]) == ["/epcisBody/eventList/0"]
        assert paths(more["recorded"]) == ["", "/epcisBody/eventList/1"]

    ask(node, story)


def test_the_same_bytes_under_a_contract_are_another_record(node: Node) -> None:
    contract = nodes.agree(node)

    async def story(door: Door) -> None:
        alone = await capture(door, bare(20))
        shared = await capture(door, bare(20), contract=contract)
        assert (len(alone["recorded"]), len(shared["recorded"])) == (1, 1)
        assert shared["recorded"][0]["flags"] == []
        assert len((await capture(door, bare(20), contract=contract))["duplicates"]) == 1

    ask(node, story)


def test_a_known_event_id_with_other_bytes_is_recorded_and_flagged(node: Node) -> None:
    async def story(door: Door) -> None:
        await capture(door, bare(30))
        report = await capture(door, bare(30, bizStep="receiving"))
        assert report["recorded"][0]["flags"] == ["event-id-reused"]
        shown = await door.get(f"/api/v1/records/{report['recorded'][0]['id']}")
        assert shown["flags"] == ["event-id-reused"]
        both = await capture(door, document(event(31), event(31, disposition="in_transit")))
        assert [row["flags"] for row in both["recorded"] if row["event_id"]] == [[], ["event-id-reused"]]
        first_again = await capture(door, bare(30))
        assert len(first_again["duplicates"]) == 1

    ask(node, story)


def test_an_error_declaration_is_flagged(node: Node) -> None:
    declared = {"declarationTime": "2026-03-15T00:00:00.000Z", "reason": "incorrect_data"}

    async def story(door: Door) -> None:
        await capture(door, bare(40))
        report = await capture(door, bare(40, errorDeclaration=declared))
        assert report["recorded"][0]["flags"] == ["error-declaration", "event-id-reused"]

    ask(node, story)


def test_a_broken_event_is_refused_with_its_path_and_the_others_are_recorded(node: Node) -> None:
    async def story(door: Door) -> None:
        broken = event(50)
        del broken["action"]
        report = await capture(door, document(event(51), broken, event(52, eventTime="yesterday")))
        assert paths(report["recorded"]) == ["", "/epcisBody/eventList/0"]
        assert {row["path"] for row in report["refused"]} == {
            "/epcisBody/eventList/1", "/epcisBody/eventList/2/eventTime",
        }  # fmt: skip
        assert all(row["code"] and row["message"] for row in report["refused"])

    ask(node, story)


def test_a_document_of_which_no_event_is_taken_is_not_recorded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = nodes.agree(node)
    refused = document(event(55, action="SEE"), event(56, eventTime="soon"))
    of_no_type = document(event(57, type="AssociationEvent", parentID="urn:x:1", childEPCs=["urn:x:2"], epcList=None))

    async def story(door: Door) -> None:
        size = size_of(node)
        for file, params in ((refused, {}), (of_no_type, {"contract": contract, "accept_invalid": "true"})):
            for dry_run in ("true", "false"):
                report = await capture(door, file, dry_run=dry_run, **params)
                assert (report["recorded"], report["duplicates"]) == ([], [])
                assert report["events"] == report["events_refused"]
        assert size_of(node) == size
        bounds = replace(node.membership.limits, record_fields=6)  # enough for the document alone
        monkeypatch.setattr(type(node.membership), "limits", property(lambda _: bounds))
        over = await capture(door, document(event(58)))
        assert [row["code"] for row in over["refused"] if row["path"]] == ["over-charter-limit"]
        assert (over["recorded"], size_of(node)) == ([], size)

    ask(node, story)


def test_a_document_is_recorded_with_events_that_were_there_and_without_any(node: Node) -> None:
    async def story(door: Door) -> None:
        await capture(door, document(event(59)))
        other = document(event(59), event(59, action="SEE")) | {"creationDate": "1999-03-14T10:00:00.000Z"}
        assert paths((await capture(door, other))["recorded"]) == [""]
        empty = document() | {"creationDate": "1998-03-14T10:00:00.000Z"}
        assert paths((await capture(door, empty))["recorded"]) == [""]

    ask(node, story)


def test_a_broken_event_that_is_wanted_is_flagged_with_the_complaint(node: Node) -> None:
    async def story(door: Door) -> None:
        report = await capture(door, document(event(60, eventTime="yesterday")), accept_invalid="true")
        flags = report["recorded"][-1]["flags"]
        assert flags[0] == "invalid"
        assert flags[1].startswith("invalid: /eventTime ")
        shown = await door.get(f"/api/v1/records/{report['recorded'][-1]['id']}")
        assert shown["flags"] == flags
        odd = await capture(door, bare(61, type="No such type / at all"), accept_invalid="true")
        assert odd["recorded"][0]["flags"][0] == "invalid"

    ask(node, story)


def test_nothing_is_taken_of_a_broken_document(node: Node) -> None:
    async def story(door: Door) -> None:
        broken = document(event(70))
        del broken["schemaVersion"]
        report = await capture(door, broken)
        assert (report["recorded"], paths(report["refused"])) == ([], [""])
        assert len((await capture(door, broken, accept_invalid="true"))["recorded"]) == 2

    ask(node, story)


def test_a_dry_run_foretells_the_report(node: Node) -> None:
    async def story(door: Door) -> None:
        await capture(door, bare(80))
        size = size_of(node)
        file = document(event(82), event(81), event(81), {"type": "ObjectEvent"})
        foretold = await capture(door, file, dry_run="true")
        assert foretold["dry_run"] is True
        assert size_of(node) == size
        report = await capture(door, file)
        for rows in ("recorded", "duplicates", "refused"):
            assert paths(foretold[rows]) == paths(report[rows]), rows

    ask(node, story)


def test_under_a_contract_the_events_are_shared_and_the_document_is_not(node: Node) -> None:
    contract = nodes.agree(node)

    async def story(door: Door) -> None:
        report = await capture(door, document(event(90)), contract=contract)
        head, shared = [await door.get(f"/api/v1/records/{row['id']}") for row in report["recorded"]]
        assert (head["contract"], shared["contract"]) == (None, contract)
        assert shared["links"] == []  # its readers are not told what else was in the file
        assert shared["audience"][1] == ["buyer", "catcher"]
        other = event(91, type="AssociationEvent", parentID="urn:x:1", childEPCs=["urn:x:2"])
        del other["epcList"]
        refused = await capture(door, document(other), contract=contract)
        assert [row["code"] for row in refused["refused"]] == ["type-unknown"]

    ask(node, story)


def test_a_contract_that_is_not_active_takes_nothing(node: Node) -> None:
    async def story(door: Door) -> None:
        proposal = {"source": nodes.SHARING, "terms": {},
                    "parties": {"catcher": ["fishery"], "buyer": ["retailer"], "carrier": ["carrier"]}}  # fmt: skip
        contract = (await door.post("/api/v1/contracts", proposal)).json()["id"]
        size = size_of(node)
        answer = await door.post(PATH, document(event(95)), params={"contract": contract})
        assert (answer.status_code, answer.json()["code"]) == (403, "contract-not-active")
        answer = await door.post(PATH, document(event(95)), params={"contract": "0" * 64})
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        assert size_of(node) == size

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "code"),
    [
        (b"", "json-malformed"),
        (b'{"type":"EPCISDocument","type":"EPCISDocument"}', "json-duplicate-key"),
        (b"[" * 100 + b"]" * 100, "json-too-deep"),
    ],
)
def test_what_is_no_strict_json_is_refused_by_name(node: Node, file: bytes, code: str) -> None:
    async def story(door: Door) -> None:
        answer = await door.post(PATH, file)
        assert (answer.status_code, answer.json()["code"]) == (400, code)

    ask(node, story)


def test_a_byte_order_mark_and_json_ld_are_taken(node: Node) -> None:
    async def story(door: Door) -> None:
        file = b"\xef\xbb\xbf" + json.dumps(document(event(100))).encode()
        answer = await door.post(PATH, file, headers={"content-type": "application/ld+json; charset=utf-8"})
        assert answer.status_code == 201

    ask(node, story)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(node: Node) -> None:
    async def story(door: Door) -> None:
        headers = {"content-length": str(limits.EPCIS_FILE_BYTES_MAX + 1)}
        answer = await door.post(PATH, b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")

    ask(node, story)


def test_refusals_are_listed_up_to_a_limit_and_then_counted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(door: Door) -> None:
        broken = [event(number, action="SEE") for number in range(700, 705)]
        whole = await capture(door, document(*broken), dry_run=True)
        assert (len(whole["refused"]), whole["refused_more"]) == (5, 0)
        monkeypatch.setattr(limits, "CAPTURE_REFUSED_MAX", 3)
        found = await capture(door, document(*broken, event(710)), dry_run=True)
        assert (found["refused"], found["refused_more"]) == (whole["refused"][:3], 2)
        assert paths(found["recorded"]) == ["", "/epcisBody/eventList/5"]

    ask(node, story, "write")


def test_a_file_of_too_many_values_is_refused(node: Node) -> None:
    async def story(door: Door) -> None:
        file = b'{"type":"EPCISDocument","epcisBody":{"eventList":[' + b"{}," * limits.EPCIS_VALUES_MAX + b"{}]}}"
        answer = await door.post(PATH, file)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")

    ask(node, story, "write")


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_out_the_rest_by_name(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "_GROUP", 20)
    events = [event(1000 + n, **{"ex:x": "x" * 20_000}) for n in range(500)]
    file = document(*events) | {"@context": [CONTEXT, {"ex": "https://example.org/"}]}

    async def story(door: Door) -> None:
        size = size_of(node)
        with nodes.full_disk(node, spare_pages=100):
            report = await capture(door, file)
        assert size_of(node) == size + len(report["recorded"])
        assert {row["code"] for row in report["refused"]} == {"disk-full"}
        assert len(report["recorded"]) + len(report["refused"]) == 501
        again = await capture(door, file)
        assert len(again["duplicates"]) == len(report["recorded"])
        assert len(again["recorded"]) == len(report["refused"])

    ask(node, story)


@pytest.mark.slow
@pytest.mark.parametrize("path", list_samples("epcis/gs1/JSON/**/*.jsonld"), ids=lambda path: path.name)
def test_every_sample_is_captured_whole(node: Node, path: Any) -> None:
    async def story(door: Door) -> None:
        report = await capture(door, path.read_bytes())
        assert report["refused"] == []
        assert report["recorded"] or report["duplicates"]

    ask(node, story)
