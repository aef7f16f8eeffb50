"""Values of UBL documents in JSON: every number with its own text, identifiers with their scheme, times in UTC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.jsontext import check_strict
from node.documents.faults import DocumentMalformed
from node.documents.ubl import Amount, read, rebuild_amounts
from node.documents.ubl.leaves import decimal_text
from node.documents.ubl.times import instant
from tests.make_documents import amounts, body, json_number, ubl

PRICE = '<cac:Price><cbc:PriceAmount currencyID="{}">{}</cbc:PriceAmount></cac:Price>'


# --- values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.50", "12.50"),
        ("+1", "1"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("1.", "1"),
        ("007.50", "7.50"),
        ("000", "0"),
        ("-0.00", "-0.00"),
        ("0.10", "0.10"),
        ("100000000000000000000.01", "100000000000000000000.01"),
        *(
            (wrong, None)
            for wrong in ("", ".", "+", "-", "1e3", "1,50", "1 000", "NaN", "INF", "0x1", "٣", "1_0", "--1")
        ),
    ],
)
def test_decimal_texts_stay_as_they_are(text: str, expected: str | None) -> None:
    assert decimal_text(text) == expected


@given(st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,8})?|\.[0-9]{1,8})", fullmatch=True))
def test_decimal_texts_are_json_and_mean_the_same(text: str) -> None:
    found = decimal_text(text)
    assert found == json_number(text)
    check_strict(found.encode())


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [
        ('<cbc:PayableAmount currencyID="EUR">1,50</cbc:PayableAmount>', "not a decimal number, like 12.50"),
        ('<cbc:PayableAmount currencyID="EUR"/>', "not a decimal number, like 12.50"),
        ("<cbc:PayableAmount>1</cbc:PayableAmount>", "an amount without currencyID"),
        ('<cbc:PayableAmount currencyID=" ">1</cbc:PayableAmount>', "an amount without currencyID"),
        ("<cbc:CopyIndicator>yes</cbc:CopyIndicator>", "neither true nor false"),
        ("<cbc:ID>1<cbc:ID>2</cbc:ID></cbc:ID>", "an element where only a value may stand"),
        ("<cac:OrderReference>AB</cac:OrderReference>", "text beside the elements in it"),
        ("<cac:OrderReference><cbc:ID>1</cbc:ID>x</cac:OrderReference>", "text beside the elements in it"),
        ("<ID>1</ID>", "the namespace is 'urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'"),
        ('<cbc:ID xmlns:cbc="urn:else">1</cbc:ID>', "the namespace is 'urn:else'"),
        ('<ID xmlns="">1</ID>', "the namespace is ''"),
        ("<cbc:IssueDate>2026-02-30</cbc:IssueDate>", "no date of the calendar"),
        ("<cbc:IssueDate>2026-02-03</cbc:IssueDate><cbc:IssueTime>25:00:00</cbc:IssueTime>", "no date of the calendar"),
    ],
)
def test_value_that_ubl_does_not_allow_is_refused_with_its_place(leaf: str, reason: str) -> None:
    with pytest.raises(DocumentMalformed) as refused:
        read(ubl("Invoice", leaf))
    assert str(refused.value).startswith("Invoice/")
    assert reason in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize(("digits", "is_taken"), [(limits.DOCUMENT_DIGITS_MAX, True), (35, False)])
def test_number_has_as_many_digits_as_contracts_compute_with(digits: int, is_taken: bool) -> None:
    inside = f"<cac:TaxTotal><cbc:TaxAmount currencyID='EUR'>00{'1' * (digits - 2)}.23</cbc:TaxAmount></cac:TaxTotal>"
    if is_taken:
        assert rebuild_amounts(read(ubl("Invoice", inside)).body)[0].value == "1" * (digits - 2) + ".23"
        return
    with pytest.raises(DocumentMalformed, match="a number of 35 digits, the limit is 34"):
        read(ubl("Invoice", inside))


def test_identifiers_keep_their_scheme_where_it_matters_and_else_are_text() -> None:
    inside = """<cac:InvoiceLine><cac:Item>
      <cac:SellersItemIdentification><cbc:ID schemeID="S">a</cbc:ID></cac:SellersItemIdentification>
      <cac:StandardItemIdentification><cbc:ID schemeID="0160">b</cbc:ID></cac:StandardItemIdentification>
      <cac:CommodityClassification>
        <cbc:ItemClassificationCode listID="STI" listVersionID="26">c</cbc:ItemClassificationCode>
      </cac:CommodityClassification></cac:Item></cac:InvoiceLine>
      <cac:PayeeParty><cac:PartyTaxScheme><cbc:CompanyID schemeID="VA">d</cbc:CompanyID></cac:PartyTaxScheme>
      <cac:PartyLegalEntity><cbc:CompanyID>e</cbc:CompanyID></cac:PartyLegalEntity></cac:PayeeParty>"""
    assert body("Invoice", inside) == {
        "InvoiceLine": [
            {
                "Item": {
                    "SellersItemIdentification": {"ID": "a"},
                    "StandardItemIdentification": {"ID": {"value": "b", "schemeID": "0160"}},
                    "CommodityClassification": [
                        {"ItemClassificationCode": {"value": "c", "listID": "STI", "listVersionID": "26"}}
                    ],
                }
            }
        ],
        "PayeeParty": {
            "PartyTaxScheme": [{"CompanyID": "d"}],
            "PartyLegalEntity": [{"CompanyID": {"value": "e"}}],
        },
    }


ATTACHED = """<cac:AdditionalDocumentReference><cbc:ID>1</cbc:ID><cac:Attachment>
  <cbc:EmbeddedDocumentBinaryObject mimeCode="text/csv" filename="a.csv">{}</cbc:EmbeddedDocumentBinaryObject>
  </cac:Attachment></cac:AdditionalDocumentReference>"""


def test_attached_file_is_kept_without_its_line_ends() -> None:
    found = body("Invoice", ATTACHED.format("\n  QUJD\n  REVG\n"))["AdditionalDocumentReference"][0]["Attachment"]
    assert found == {"EmbeddedDocumentBinaryObject": {"value": "QUJDREVG", "mimeCode": "text/csv", "filename": "a.csv"}}


@pytest.mark.parametrize(("more", "is_kept"), [(0, True), (1, False)])
def test_attached_file_that_is_too_long_is_left_out_with_a_note(more: int, is_kept: bool) -> None:
    found = read(ubl("Invoice", ATTACHED.format("A" * (limits.DOCUMENT_ATTACHMENT_BYTES_MAX + more))))
    path = "Invoice/AdditionalDocumentReference/Attachment/EmbeddedDocumentBinaryObject"
    assert found.left_out == ({} if is_kept else {path: 1})
    assert (b"EmbeddedDocumentBinaryObject" in found.body) is is_kept


# --- time -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("2026-11-30", None, "2026-11-30T00:00:00.000Z"),
        ("2026-11-30", "15:20:27.1239Z", "2026-11-30T15:20:27.123Z"),
        ("2026-11-30", "00:20:27+01:00", "2026-11-29T23:20:27.000Z"),
        ("2026-11-30", "24:00:00", "2026-12-01T00:00:00.000Z"),
        ("2026-11-30-05:30", "20:00:00", "2026-12-01T01:30:00.000Z"),
        ("2026-11-30+02:00", "20:00:00Z", "2026-11-30T20:00:00.000Z"),
        ("0001-01-01", "00:00:00+01:00", None),
        ("9999-12-31", "24:00:00", None),
        ("2026-11-30", "24:00:01", None),
        ("2026-11-30", "12:00", None),
        ("2026-11-30", "12:00:60", None),
        ("2026-11-30", "12:00:00+15:00", None),
        ("2026-11-30", "12:00:00+01:60", None),
        ("26-11-30", None, None),
        ("2026-11-30T00:00:00", None, None),
        ("", None, None),
    ],
)
def test_time_is_that_of_issue_in_utc(date: str, time: str | None, expected: str | None) -> None:
    assert instant(date, time) == expected


# --- every number survives ------------------------------------------------------------------

NUMBERS = st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True)
SPACE = st.sampled_from(["", " ", "\n    "])
LINES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["EUR", "GBP"]), SPACE), max_size=4)


@pytest.mark.slow
@given(lines=LINES, total=NUMBERS)
def test_every_number_is_found_again_with_unit_and_place(lines: list[tuple[str, ...]], total: str) -> None:
    payable = f'<cbc:PayableAmount currencyID="EUR">{total}</cbc:PayableAmount>'
    inside = f"<cac:LegalMonetaryTotal>{payable}</cac:LegalMonetaryTotal>"
    for quantity, price, percent, currency, space in lines:
        inside += f"""<cac:InvoiceLine>
          <cbc:InvoicedQuantity unitCode="C62">{space}{quantity}{space}</cbc:InvoicedQuantity>
          <cac:TaxTotal><cac:TaxSubtotal><cbc:Percent>{percent}</cbc:Percent></cac:TaxSubtotal></cac:TaxTotal>
          {PRICE.format(currency, price)}
          <cac:ItemPriceExtension><cbc:Amount currencyID="EUR">{percent}</cbc:Amount></cac:ItemPriceExtension>
          <cac:Delivery><cbc:Quantity>{quantity}</cbc:Quantity></cac:Delivery></cac:InvoiceLine>"""
    file = ubl("Invoice", inside)
    found = rebuild_amounts(read(file).body)
    assert sorted(found, key=repr) == amounts(file)
    assert len(found) == 1 + 5 * len(lines)


def test_number_is_named_by_its_place_in_the_document() -> None:
    lines = "".join(f"<cac:InvoiceLine>{PRICE.format('EUR', price)}</cac:InvoiceLine>" for price in ("1.10", "2.20"))
    found = rebuild_amounts(read(ubl("Invoice", lines)).body)
    assert found[1] == Amount("InvoiceLine[2]/Price[1]/PriceAmount[1]", "2.20", "EUR")
