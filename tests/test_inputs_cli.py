"""`contract inputs` for every kind of document: what is found out, refused and told, and options of one kind alone."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from node.cli.exits import ExitCode
from node.documents.kinds import Kind
from node.documents.recognition import KNOWN
from tests.make_cli import Result, tally
from tests.make_documents import ubl
from tests.source import ROOT
from tests.test_gdst import LOT, caught, file, lot, told
from tests.test_purchase_wwi import small_tables
from tests.test_scms import table

PAGE = ROOT / "docs" / "reference" / "documents.md"


def inputs(*words: str | Path) -> Result:
    return tally("contract", "inputs", *words)


@pytest.fixture
def sources(tmp_path: Path) -> dict[Kind, Path]:
    """A source of each kind, with a name that says nothing."""
    found = {kind: tmp_path / f"{i}.bin" for i, kind in enumerate(Kind)}
    found[Kind.UBL].write_bytes(ubl("Order", "<cbc:ID>1</cbc:ID>"))
    found[Kind.PURCHASES].mkdir()
    small_tables(found[Kind.PURCHASES])
    found[Kind.SHIPMENTS].write_bytes(table({}))
    found[Kind.EVENTS].write_bytes(file(caught()))
    return found


# --- kinds ----------------------------------------------------------------------------------


def test_each_kind_is_found_out_and_all_of_it_is_written_in_the_order_given(sources: dict[Kind, Path]) -> None:
    done = inputs(*sources.values())
    types = ["order", "order", "receipt", "invoice", "payment", "consignment", "delivery", "commission"]
    assert (done.code, [line["type"] for line in done.lines]) == (ExitCode.OK, types)
    assert done.err.splitlines()[-1] == "documents: 4, inputs: 8, wrong: 0"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kind_that_is_named_is_the_same(sources: dict[Kind, Path], kind: Kind) -> None:
    assert inputs(sources[kind], "--kind", kind) == inputs(sources[kind])
    assert inputs(sources[kind], "--kind", "none").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(table({})), 0),
        (b"\xef\xbb\xbf" + table({}), 0),
        (gzip.compress(b"\xef\xbb\xbf" + table({})), 0),
        (b"\xef\xbb\xbf\n" + file(caught()), 0),
        (json.dumps(caught()).encode(), 0),
        (file(caught(), kind="EPCISQueryDocument"), 0),
        (ubl("Order", "", before="").decode().encode("utf-16"), 0),
        (table({}).replace(b"Brand,", b"Make,"), 1),
    ],
)
def test_a_file_is_known_by_its_beginning(tmp_path: Path, content: bytes, code: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    done = inputs(path)
    assert (done.code, "source-unknown" in done.err) == (code, False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ID,Country\n1,X\n",
        b'{"type": "Order"}',
        b"[]",
        b"%PDF-1.7",
        gzip.compress(b"a", mtime=0),
        b"\x1f\x8b\x08",
        b'"',
    ],
)
def test_what_is_of_no_kind_is_told_of_with_what_is_known_and_the_rest_is_written(
    sources: dict[Kind, Path], content: bytes
) -> None:
    unknown = sources[Kind.UBL].with_name("unknown")
    unknown.write_bytes(content)
    done = inputs(unknown, sources[Kind.UBL])
    assert (done.code, len(done.lines)) == (ExitCode.REFUSED, 1)
    assert f"{unknown}: none of what is read here: UBL documents in XML (ubl); " in done.err
    assert "code: source-unknown" in done.err
    assert [text for text in KNOWN.values() if text not in done.err] == []
    assert done.err.splitlines()[-1] == "documents: 2, inputs: 1, wrong: 1"


def test_a_folder_without_the_tables_is_of_no_kind(tmp_path: Path) -> None:
    assert "code: source-unknown" in inputs(tmp_path).err


def test_a_folder_is_of_the_kind_purchases_and_a_file_never(sources: dict[Kind, Path]) -> None:
    for path, kind in ((Kind.PURCHASES, Kind.UBL), (Kind.UBL, Kind.PURCHASES)):
        done = inputs(sources[path], "--kind", kind)
        assert (done.code, done.out) == (ExitCode.USAGE, "")
        assert f"is not of the kind {kind}" in done.err


def test_what_can_be_read_once_only_is_read_once(sources: dict[Kind, Path]) -> None:
    outlet, inlet = os.pipe()
    os.write(inlet, sources[Kind.SHIPMENTS].read_bytes())
    os.close(inlet)
    assert [line["type"] for line in inputs(f"/dev/fd/{outlet}").lines] == ["consignment", "delivery"]
    os.close(outlet)


@pytest.mark.parametrize("kind", [Kind.UBL, Kind.SHIPMENTS, Kind.EVENTS])
def test_every_line_names_the_file_that_says_it(sources: dict[Kind, Path], kind: Kind) -> None:
    line = inputs(sources[kind]).lines[0]
    assert line["source"]["file"] == sources[kind].name
    assert [*line][-2:] == ["source", "body"]


def test_a_file_that_is_too_long_is_told_of(sources: dict[Kind, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.cli.turning._BYTES_MAX", dict.fromkeys(Kind, 10))
    done = inputs(sources[Kind.EVENTS])
    assert (done.code, "code: too-large" in done.err) == (ExitCode.REFUSED, True)


# --- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rules", Kind.UBL), ("role", Kind.UBL), ("order", Kind.UBL), ("currency", Kind.PURCHASES),
        ("encoding", Kind.SHIPMENTS), ("shipper", Kind.SHIPMENTS), ("receiver", Kind.SHIPMENTS),
        ("places", Kind.EVENTS), ("members", Kind.EVENTS),
    ],
)  # fmt: skip
def test_an_option_of_one_kind_is_refused_for_every_other(sources: dict[Kind, Path], name: str, kind: Kind) -> None:
    values: dict[str, str | Path] = {"rules": sources[kind].parent, "encoding": "cp1252", "currency": "SEK"}
    pairs = sources[kind].with_name("pairs.json")
    pairs.write_text("{}")
    value = pairs if kind is Kind.EVENTS else values.get(name, "a.example")
    for other in set(Kind) - {kind}:
        done = inputs(sources[kind], sources[other], f"--{name}", value)
        assert (done.code, done.out) == (ExitCode.USAGE, "")
        assert f"--{name} is an option of the kind {kind} alone, and {sources[other]} is {other}" in done.err
    if name != "rules":
        assert inputs(sources[kind], f"--{name}", value).code == ExitCode.OK


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (Kind.PURCHASES, ("--currency", "usd"), "three capital letters"),
        (Kind.UBL, ("--order", ""), "--order takes 1 to 200 letters"),
        (Kind.UBL, ("--order", "x" * 201), "--order takes 1 to 200 letters"),
        (Kind.SHIPMENTS, ("--shipper", "A b"), "--shipper: 'A b' is not"),
        (Kind.SHIPMENTS, ("--encoding", "utf-7"), "encoding"),
    ],
)
def test_values_of_options_are_checked_first(
    sources: dict[Kind, Path], kind: Kind, words: tuple[str, str], said: str
) -> None:
    done = inputs(sources[kind], *words)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert said in done.err


def test_currency_is_that_of_all_amounts(sources: dict[Kind, Path]) -> None:
    default, named = inputs(sources[Kind.PURCHASES]), inputs(sources[Kind.PURCHASES], "--currency", "SEK")
    assert named.out == default.out.replace('"USD"', '"SEK"') != default.out


def test_members_of_deliveries_and_letters_are_as_they_are_named(sources: dict[Kind, Path]) -> None:
    sources[Kind.SHIPMENTS].write_bytes(table({"Country": "Côte d'Ivoire"}).decode().encode("cp1252"))
    assert "not utf-8-sig" in inputs(sources[Kind.SHIPMENTS]).err
    words = ("--encoding", "cp1252", "--shipper", "a.example", "--receiver", "b.example")
    consignment, delivery = inputs(sources[Kind.SHIPMENTS], *words).lines
    assert consignment["body"]["FinalDestinationCountry"] == {"Name": "Côte d'Ivoire"}
    assert (consignment["author"], delivery["author"]) == ("a.example", "b.example")


def test_places_and_members_of_events_are_as_the_files_say(sources: dict[Kind, Path]) -> None:
    places, members = (sources[Kind.EVENTS].with_name(name) for name in ("places.json", "members.json"))
    event = caught(bizLocation={"id": "quay"}, **{"gdst:productOwner": "urn:owner"})
    sources[Kind.EVENTS].write_bytes(json.dumps(event).encode())
    places.write_text('{"quay": "urn:harbour"}')
    members.write_text('{"urn:harbour": "port.example", "urn:owner": "fleet.example"}')
    (given,) = inputs(sources[Kind.EVENTS], "--places", places, "--members", members).lines
    assert (given["author"], given["body"]["owner"]) == ("port.example", "fleet.example")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not a JSON object of names and texts"),
        ('{"a": 1}', "not a JSON object of names and texts"),
        ('{"a": "A b"}', "'A b' is not 1 to"),
        ('{"a": "b", "a": "c"}', "code: json-duplicate-key"),
    ],
)
def test_a_list_of_members_that_is_none_is_refused(sources: dict[Kind, Path], text: str, said: str) -> None:
    members = sources[Kind.EVENTS].with_name("members.json")
    members.write_text(text)
    done = inputs(sources[Kind.EVENTS], "--members", members)
    assert (done.code in (ExitCode.USAGE, ExitCode.REFUSED), done.out) == (True, "")
    assert said in done.err


# --- what is told -----------------------------------------------------------------------------


def test_doubts_and_words_of_deliveries_are_told_and_the_lines_written(sources: dict[Kind, Path]) -> None:
    path = sources[Kind.SHIPMENTS]
    path.write_bytes(table({}, {"ID": "8", "Weight (Kilograms)": "Weight Captured Separately"}, {"ID": "9"}))
    done = inputs(path)
    assert (done.code, len(done.lines)) == (ExitCode.OK, 6)
    assert done.err.splitlines() == [
        f"{path}: duplicate-line at 9: equal to line 7 in all but its ID",
        f"{path}: PO Sent to Vendor Date says 'Date Not Captured' (3 times)",
        f"{path}: Weight (Kilograms) says 'Weight Captured Separately'",
        "documents: 1, inputs: 6, wrong: 0",
    ]


def test_doubts_and_steps_that_are_left_out_of_events_are_told(sources: dict[Kind, Path]) -> None:
    path = sources[Kind.EVENTS]
    landed = told(2, "urn:gdst:bizStep:landing", "boat", quantityList=lot())
    path.write_bytes(file(caught(), caught(), landed, landed | {"eventID": "e3"}))
    done = inputs(path)
    assert [line["body"]["epc"] for line in done.lines] == [LOT]
    assert done.err.splitlines() == [
        f"{path}: event-id-repeated at e1#1: 2 events have the ID e1",
        f"{path}: duplicate-event at e1#2: equal to an earlier one in every member, and left out",
        f"{path}: left out: step landing (2 times)",
        "documents: 1, inputs: 1, wrong: 0",
    ]


def test_tables_that_contradict_themselves_are_told_of(sources: dict[Kind, Path]) -> None:
    small_tables(sources[Kind.PURCHASES], SupplierTransactions=("-113.85", "-113.84"))
    done = inputs(sources[Kind.PURCHASES])
    assert (done.code, done.out) == (ExitCode.REFUSED, "")
    assert "TransactionAmount of row 1: the invoices settled on its day come to 113.85" in done.err
    assert "code: purchases-malformed" in done.err


def test_page_has_every_kind_and_option() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in Kind if f"`{kind}`" not in text] == []
    options = (
        "rules",
        "role",
        "order",
        "keep-order",
        "currency",
        "encoding",
        "shipper",
        "receiver",
        "places",
        "members",
    )
    assert [name for name in options if f"--{name}" not in text] == []


# --- files that are too large ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "do"),
    [
        (ubl("Invoice", ""), "several documents of fewer lines"),
        (table({}), "files of fewer lines, each with the line of headings"),
        (file(caught()), "documents of fewer events each"),
    ],
    ids=["ubl", "shipments", "events"],
)
def test_file_over_the_limit_says_what_to_do_with_it(tmp_path: Path, begin: bytes, do: str) -> None:
    path = tmp_path / "large"
    path.write_bytes(begin)
    os.truncate(path, 1 << 30)
    said = inputs(path)
    assert (said.code, "code: too-large" in said.err) == (ExitCode.REFUSED, True)
    assert do in said.err and "charter" not in said.err


def test_contract_over_the_limit_says_what_to_do_with_it(tmp_path: Path) -> None:
    (tmp_path / "large.py").touch()
    os.truncate(tmp_path / "large.py", 1 << 30)
    said = tally("contract", "lint", tmp_path / "large.py")
    assert "hint: No file of its kind may be longer" in said.err and "charter" not in said.err


# --- files of no kind -----------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\n"])
def test_an_empty_file_is_called_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "invoice.xml").write_bytes(content)
    assert "hint: There is nothing in the file" in inputs(tmp_path / "invoice.xml").err


def test_a_folder_of_documents_is_told_how_to_name_them(tmp_path: Path) -> None:
    (tmp_path / "invoice.xml").write_bytes(ubl("Invoice", ""))
    assert f"Documents are named one by one: {tmp_path}/*.xml." in inputs(tmp_path).err
