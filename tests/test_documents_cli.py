"""`contract inputs`: one line for each document, in order of their dates, and a word about whatever is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.jsontext import check_strict
from node.cli.exits import ExitCode
from node.documents.ubl import KINDS, read
from tests.make_cli import tally
from tests.make_documents import ubl
from tests.source import ROOT
from tests.test_documents_rules import SHEET

PAGE = ROOT / "docs" / "reference" / "documents.md"
TOTAL = '<cac:LegalMonetaryTotal><cbc:PayableAmount currencyID="EUR">{}</cbc:PayableAmount></cac:LegalMonetaryTotal>'


@pytest.fixture
def invoice(tmp_path: Path) -> Path:
    file = tmp_path / "Rechnung ä.xml"
    file.write_bytes(
        ubl("Invoice", "<cbc:ID>7</cbc:ID><cbc:IssueDate>2026-03-01</cbc:IssueDate>" + TOTAL.format("1.50"))
    )
    return file


@pytest.fixture
def order(tmp_path: Path) -> Path:
    file = tmp_path / "order.xml"
    file.write_bytes(ubl("Order", "<cbc:ID>1</cbc:ID><ext:UBLExtensions/>"))
    return file


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    pytest.importorskip("saxonche")
    (tmp_path / "EN16931-UBL-validation.xslt").write_text(SHEET)
    return tmp_path


def test_documents_become_lines(invoice: Path, order: Path) -> None:
    done = tally("contract", "inputs", invoice, order)
    first, second = done.out.splitlines()
    digest = hashlib.sha256(invoice.read_bytes()).hexdigest()
    assert first == (
        '{"type":"invoice","role":"seller","time":"2026-03-01T00:00:00.000Z",'
        f'"source":{{"file":"Rechnung ä.xml","sha256":"{digest}"}},"body":{{"ID":"7","IssueDate":"2026-03-01",'
        '"LegalMonetaryTotal":{"PayableAmount":{"value":1.50,"currencyID":"EUR"}}}}'
    )
    check_strict(second.encode())
    assert list(json.loads(second)) == ["type", "role", "source", "body"]
    assert done.code == ExitCode.OK
    assert done.err.splitlines() == [f"{order}: left out: Order/UBLExtensions", "documents: 2, inputs: 2, wrong: 0"]


def test_role_can_be_given(order: Path) -> None:
    assert [line["role"] for line in tally("contract", "inputs", order, order, "--role", "agent").lines] == 2 * [
        "agent"
    ]


def test_document_that_cannot_be_read_is_told_of_and_the_others_are_written(invoice: Path, order: Path) -> None:
    broken = invoice.with_name("broken.xml")
    broken.write_bytes(invoice.read_bytes()[:-5])
    done = tally("contract", "inputs", invoice, broken, order)
    assert (done.code, [line["type"] for line in done.lines]) == (ExitCode.REFUSED, ["invoice", "order"])
    assert f"{broken}: not well-formed XML, line 2 column" in done.err
    assert "code: xml-malformed" in done.err
    assert "hint: " in done.err


def test_document_that_cannot_be_read_is_an_object_among_the_lines_of_json(invoice: Path, order: Path) -> None:
    broken = invoice.with_name("broken.xml")
    broken.write_bytes(invoice.read_bytes()[:-5])
    done = tally("contract", "inputs", invoice, broken, order, "--json")
    first, error, last = done.lines
    assert (done.code, first["type"], last["type"]) == (ExitCode.REFUSED, "invoice", "order")
    assert error["error"].keys() == {"code", "message", "hint"}
    assert error["error"]["code"] == "xml-malformed"
    assert error["error"]["message"].startswith(f"{broken}: not well-formed XML")


def test_file_that_is_not_there_is_a_wrong_command_line(tmp_path: Path) -> None:
    assert tally("contract", "inputs", tmp_path / "none.xml").code == ExitCode.USAGE
    assert tally("contract", "inputs").code == ExitCode.USAGE


def test_rules_are_told_of_per_file_and_fatal_ones_count(rules: Path, invoice: Path, order: Path) -> None:
    unnumbered = invoice.with_name("unnumbered.xml")
    unnumbered.write_bytes(ubl("Invoice", ""))
    done = tally("contract", "inputs", invoice, unnumbered, order, "--rules", rules)
    assert [line["type"] for line in done.lines] == ["invoice", "invoice", "order"]
    assert done.code == ExitCode.REFUSED
    assert done.err.splitlines() == [
        f"{invoice}: MADE-02 (warning) at /: ",
        f"{unnumbered}: MADE-01 (fatal) at /Invoice[1]: An invoice has a number.",
        f"{unnumbered}: MADE-02 (warning) at /: ",
        f"{order}: left out: Order/UBLExtensions",
        "documents: 3, inputs: 3, wrong: 1, checked by the rules: 2",
    ]
    assert tally("contract", "inputs", invoice, "--rules", rules).code == ExitCode.OK


def test_folder_without_rules_is_a_wrong_command_line(invoice: Path, tmp_path: Path) -> None:
    done = tally("contract", "inputs", invoice, "--rules", tmp_path)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "no EN16931-UBL-validation.xslt there" in done.err
    assert "code: rules-unusable" in done.err and "hint: Name the folder of a release" in done.err


def test_engine_of_the_rules_that_is_missing_has_the_code_of_the_page(
    invoice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "saxonche", None)
    (tmp_path / "EN16931-UBL-validation.xslt").write_text(SHEET)
    done = tally("contract", "inputs", invoice, "--rules", tmp_path)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "code: rules-engine-missing" in done.err
    assert "pip install 'tallystick[invoices]'" in done.err and ".venv/bin/python -m pip install" in done.err


def test_page_shows_what_the_program_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    xml, shown = (re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0] for kind in ("xml", "json"))
    found = read(xml.encode())
    assert re.sub(r"\s", "", found.body.decode()) == re.sub(r"\s", "", shown)
    assert f"the record type `{found.type}`, the time `{found.time}`" in text
    for name, kind in KINDS.items():
        assert re.search(rf"^\| (\w+, )?{name}(, \w+)? \| `{kind.type}` \| {kind.role} \|$", text, re.MULTILINE), name


# --- order ------------------------------------------------------------------------------------


@pytest.fixture
def dated(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, kind: str, day: str = "", hour: str = "") -> Path:
        inside = f"<cbc:IssueDate>{day}</cbc:IssueDate>" if day else ""
        inside += f"<cbc:IssueTime>{hour}</cbc:IssueTime>" if hour else ""
        file = tmp_path / name
        file.write_bytes(ubl(kind, f"<cbc:ID>{name}</cbc:ID>{inside}"))
        return file

    return write


def names(*words: str | Path) -> list[str]:
    return [line["source"]["file"] for line in tally("contract", "inputs", *words).lines]


def test_documents_come_in_the_order_of_their_dates(dated: Callable[..., Path]) -> None:
    receipt, order = dated("a", "ReceiptAdvice", "2026-03-02"), dated("b", "Order", "2026-03-01")
    assert names(receipt, order) == names(order, receipt) == ["b", "a"]
    said = tally("contract", "inputs", receipt, order).err
    assert "put in the order of their dates: 2 documents (those of one day as given); --keep-order leaves all" in said
    assert "put in the order" not in tally("contract", "inputs", order, receipt).err
    assert names(receipt, order, "--keep-order") == ["a", "b"]


def test_order_comes_before_what_names_it_whatever_the_dates(dated: Callable[..., Path]) -> None:
    despatch, other = dated("a", "DespatchAdvice", "2026-03-01"), dated("b", "Invoice", "2026-02-28")
    order = dated("c", "Order", "2026-03-05")
    assert names(other, despatch, order, "--order", "c") == ["c", "b", "a"]
    assert names(other, despatch, order) == ["b", "a", "c"]


def test_hours_of_a_day_count_where_each_tells_one(dated: Callable[..., Path]) -> None:
    late, early = dated("a", "Invoice", "2026-03-01", "10:00:00"), dated("b", "ReceiptAdvice", "2026-03-01", "09:00:00")
    assert names(late, early) == ["b", "a"]


def test_document_without_a_date_stays_behind_the_one_before_it(dated: Callable[..., Path]) -> None:
    undated, second, first = dated("a", "Invoice"), dated("b", "Order", "2026-03-02"), dated("c", "Order", "2026-03-01")
    assert names(undated, second, first) == ["a", "c", "b"]
    assert names(second, undated, first) == ["c", "b", "a"]


def test_document_that_cannot_be_read_keeps_its_place_among_the_lines(dated: Callable[..., Path]) -> None:
    second, broken, first = dated("b", "Order", "2026-03-02"), dated("x", "Order"), dated("a", "Order", "2026-03-01")
    broken.write_text("<")
    lines = tally("contract", "inputs", second, broken, first, "--json").lines
    assert [line.get("source", {}).get("file") for line in lines] == ["a", "b", None]
