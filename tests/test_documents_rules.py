"""Invoices checked by the published rules of EN 16931: every result that their publisher expects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree

from node.documents.en16931 import Rules
from node.documents.faults import DocumentUnknown, RulesEngineMissing, RulesUnusable, XmlRefused
from tests.make_documents import ubl
from tests.samples import sample, samples

TESTS: Final = "{http://difi.no/xsd/vefa/validator/1.0}"
SHEET: Final = """<xsl:stylesheet version="2.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
  xmlns:svrl="http://purl.oclc.org/dsdl/svrl"
  xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
  <xsl:template match="/"><svrl:schematron-output>
    <xsl:if test="not(*/cbc:ID)"><svrl:failed-assert id="MADE-01" flag="fatal"
      location="/*:Invoice[namespace-uri()='u'][1]">
      <svrl:text>[MADE-01]-An invoice
        has a number.</svrl:text></svrl:failed-assert></xsl:if>
    <xsl:if test="not(*/cbc:Note)"><svrl:failed-assert id="MADE-02" flag="warning" location="/"/></xsl:if>
  </svrl:schematron-output></xsl:template></xsl:stylesheet>"""


@pytest.fixture(scope="module")
def rules() -> Iterator[Rules]:
    """The published rules, compiled once."""
    pytest.importorskip("saxonche")
    with Rules(sample("ubl/en16931")) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two made-up rules."""
    pytest.importorskip("saxonche")
    (tmp_path / "xslt").mkdir()
    (tmp_path / "xslt" / "EN16931-UBL-validation.xslt").write_text(SHEET)
    return tmp_path


# --- the published rules ------------------------------------------------------------------


def expected_results(path: Path) -> Iterator[tuple[bytes, str, bool]]:
    """Document, rule, and whether it is to fail, of each test in a file of tests."""
    for test in etree.parse(path).getroot().iter(f"{TESTS}test"):
        (document,) = (part for part in test.iterchildren(etree.Element) if etree.QName(part).localname != "assert")
        for outcome in ("success", "error"):
            for rule in test.iter(f"{TESTS}{outcome}"):
                yield etree.tostring(document, with_tail=False), str(rule.text).strip(), outcome == "error"


@pytest.mark.slow
def test_every_expected_result_of_the_publisher_is_met(rules: Rules) -> None:
    results = [result for path in samples("ubl/en16931/*-unit-UBL/*.xml") for result in expected_results(path)]
    assert len(results) == 540
    assert sum(is_error for _, _, is_error in results) == 277
    unmet = [
        rule
        for document, rule, is_error in results
        if (rule in {failure.rule for failure in rules.check(document)}) is not is_error
    ]
    assert unmet == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "count"), [("en16931/testfiles/*", 14), ("en16931/ubl-examples/*", 9), ("peppol-billing3/*", 9)]
)
def test_no_rule_fails_in_the_whole_examples(rules: Rules, pattern: str, count: int) -> None:
    found = {path.name: rules.check(path.read_bytes()) for path in samples(f"ubl/{pattern}.[xX][mM][lL]")}
    assert len(found) == count
    assert {name: failures for name, failures in found.items() if failures} == {}


@pytest.mark.slow
def test_a_wrong_total_is_told_with_rule_and_place(rules: Rules) -> None:
    file = sample("ubl/peppol-billing3/base-example.xml").read_bytes()
    assert file.count(b">1656.25</cbc:TaxInclusiveAmount>") == 1
    failures = rules.check(file.replace(b">1656.25</cbc:TaxInclusiveAmount>", b">1656.26</cbc:TaxInclusiveAmount>"))
    assert [(failure.rule, failure.is_fatal) for failure in failures if failure.rule == "BR-CO-15"] == [
        ("BR-CO-15", True)
    ]
    assert all("namespace" not in failure.location for failure in failures)


# --- rules of our own -----------------------------------------------------------------------


def test_failed_rules_are_told_with_flag_place_and_text(folder: Path) -> None:
    with Rules(folder) as rules:
        failures = rules.check(ubl("Invoice", ""))
        assert rules.check(ubl("Invoice", "<cbc:ID>1</cbc:ID><cbc:Note>x</cbc:Note>")) == []
    assert [(failure.rule, failure.flag, failure.is_fatal) for failure in failures] == [
        ("MADE-01", "fatal", True),
        ("MADE-02", "warning", False),
    ]
    assert (failures[0].location, failures[0].text) == ("/Invoice[1]", "An invoice has a number.")


def test_rules_are_for_invoices_and_credit_notes_alone(folder: Path) -> None:
    with Rules(folder) as rules:
        assert len(rules.check(ubl("CreditNote", ""))) == 2
        for file in (ubl("Order", ""), b"<Invoice/>"):
            with pytest.raises(DocumentUnknown):
                rules.check(file)


def test_hostile_xml_does_not_reach_the_rules(folder: Path) -> None:
    with Rules(folder) as rules, pytest.raises(XmlRefused):
        rules.check(ubl("Invoice", "", before='<!DOCTYPE Invoice [<!ENTITY x SYSTEM "file:///etc/passwd">]>'))


def test_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesUnusable, match=r"no EN16931-UBL-validation.xslt there") as refused:
        Rules(tmp_path)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("sheet", "reason"),
    [
        ("not a style sheet", "cannot be compiled"),
        (SHEET.replace("not(*/cbc:ID)", "not("), "cannot be compiled"),
        (SHEET.replace("not(*/cbc:ID)", "error()"), "they end in an error"),
        (
            SHEET.replace('version="2.0"', 'version="2.0"', 1)
            .replace("<svrl:schematron-output>", "")
            .replace("</svrl:schematron-output>", ""),
            "their result is no report",
        ),
    ],
)
def test_rules_that_do_not_work_are_told_of(folder: Path, sheet: str, reason: str) -> None:
    (folder / "xslt" / "EN16931-UBL-validation.xslt").write_text(sheet)
    with pytest.raises(RulesUnusable, match=reason), Rules(folder) as rules:
        rules.check(ubl("Invoice", ""))


def test_missing_engine_is_told_with_what_to_install(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "saxonche", None)
    with pytest.raises(RulesEngineMissing, match="saxonche, which is not installed") as refused:
        Rules(folder)
    for command in ("pip install 'tallystick[invoices]'", ".venv/bin/python -m pip install -e '.[invoices]'"):
        assert command in refused.value.hint
