"""UBL documents become inputs of contracts: one shape for each element, every number with its own text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import limits
from ledger.errors import TooDeep, TooLarge
from ledger.jsontext import check_strict
from node.documents.faults import DocumentMalformed, DocumentUnknown
from node.documents.ubl import KINDS, read
from node.documents.ubl.names import AGGREGATES, LEAVES
from node.documents.ubl.repeats import ALWAYS, SOMETIMES, may_repeat
from tests.make_documents import body, ubl

INVOICE = """
  <ext:UBLExtensions><ext:UBLExtension><x xmlns="urn:made-up">1</x></ext:UBLExtension></ext:UBLExtensions>
  <cbc:ID>INV-7</cbc:ID>
  <cbc:IssueDate>2026-03-01</cbc:IssueDate>
  <cbc:Note>Thank <!-- you --> kindly</cbc:Note>
  <cac:AccountingSupplierParty><cac:Party>
    <cbc:EndpointID schemeID="0088">4012345000009</cbc:EndpointID>
    <cac:PartyIdentification><cbc:ID schemeID="0060">123456789</cbc:ID></cac:PartyIdentification>
    <cac:PostalAddress/>
  </cac:Party></cac:AccountingSupplierParty>
  <cac:LegalMonetaryTotal><cbc:PayableAmount currencyID="GBP"> 107.50 </cbc:PayableAmount></cac:LegalMonetaryTotal>
  <cac:InvoiceLine>
    <cbc:ID schemeID="x">1</cbc:ID>
    <cbc:InvoicedQuantity unitCode="KGM">100</cbc:InvoicedQuantity>
    <cbc:FreeOfChargeIndicator>0</cbc:FreeOfChargeIndicator>
    <cac:Item><cac:ClassifiedTaxCategory><cbc:Percent>20.0</cbc:Percent></cac:ClassifiedTaxCategory></cac:Item>
  </cac:InvoiceLine>
"""


def test_invoice_becomes_its_input() -> None:
    found = read(ubl("Invoice", INVOICE))
    assert (found.kind, found.type, found.role, found.time) == (
        "Invoice",
        "invoice",
        "seller",
        "2026-03-01T00:00:00.000Z",
    )
    assert found.left_out == {"Invoice/UBLExtensions": 1}
    assert found.body.decode() == (
        '{"ID":"INV-7","IssueDate":"2026-03-01","Note":["Thank  kindly"],'
        '"AccountingSupplierParty":{"Party":{"EndpointID":{"value":"4012345000009","schemeID":"0088"},'
        '"PartyIdentification":[{"ID":{"value":"123456789","schemeID":"0060"}}],"PostalAddress":{}}},'
        '"LegalMonetaryTotal":{"PayableAmount":{"value":107.50,"currencyID":"GBP"}},'
        '"InvoiceLine":[{"ID":"1","InvoicedQuantity":{"value":100,"unitCode":"KGM"},"FreeOfChargeIndicator":false,'
        '"Item":{"ClassifiedTaxCategory":[{"Percent":20.0}]}}]}'
    )
    check_strict(found.body)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(kind: str) -> None:
    found = read(ubl(kind, "<cbc:ID>A-1</cbc:ID>"))
    assert (found.kind, found.type, found.role) == (kind, KINDS[kind].type, KINDS[kind].role)
    assert (json.loads(found.body), found.time, found.left_out) == ({"ID": "A-1"}, None, {})


def test_kinds_have_the_record_types_of_purchase() -> None:
    assert {kind.type for kind in KINDS.values()} == {
        *("order", "order-response", "order-change", "order-cancellation", "despatch"),
        *("receipt", "invoice", "credit-note", "payment", "invoice-response"),
    }


# --- repeats ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "inside", "expected"),
    [
        ("Invoice", "<cac:OrderReference/>", {"OrderReference": {}}),
        ("DespatchAdvice", "<cac:OrderReference/>", {"OrderReference": [{}]}),
        ("Invoice", "<cac:Delivery/>", {"Delivery": [{}]}),
        ("DespatchAdvice", "<cac:Shipment><cac:Delivery/></cac:Shipment>", {"Shipment": {"Delivery": {}}}),
        ("Invoice", "<cac:DeliveryTerms/>", {"DeliveryTerms": {}}),
        ("CreditNote", "<cac:DeliveryTerms/>", {"DeliveryTerms": [{}]}),
        ("RemittanceAdvice", "<cac:PaymentMeans/>", {"PaymentMeans": {}}),
        ("Invoice", "<cac:PaymentMeans/><cac:PaymentMeans/>", {"PaymentMeans": [{}, {}]}),
        (
            "Invoice",
            "<cac:AllowanceCharge><cac:TaxTotal/></cac:AllowanceCharge>",
            {"AllowanceCharge": [{"TaxTotal": {}}]},
        ),
        ("ReceiptAdvice", "<cac:ReceiptLine><cac:Item/></cac:ReceiptLine>", {"ReceiptLine": [{"Item": [{}]}]}),
        ("DespatchAdvice", "<cac:DespatchLine><cac:Item/></cac:DespatchLine>", {"DespatchLine": [{"Item": {}}]}),
        (
            "ApplicationResponse",
            "<cac:DocumentResponse><cac:Response/></cac:DocumentResponse>",
            {"DocumentResponse": [{"Response": {}}]},
        ),
    ],
)
def test_what_may_repeat_is_an_array_and_nothing_else_is(kind: str, inside: str, expected: Any) -> None:
    assert body(kind, inside) == expected


def test_what_may_not_repeat_is_refused_when_it_does() -> None:
    inside = (
        "<cac:InvoiceLine><cbc:ID>1</cbc:ID></cac:InvoiceLine><cac:InvoiceLine><cbc:ID>2</cbc:ID>{}</cac:InvoiceLine>"
    )
    assert len(body("Invoice", inside.format(""))["InvoiceLine"]) == 2
    with pytest.raises(DocumentMalformed) as refused:
        read(ubl("Invoice", inside.format("<cbc:ID>3</cbc:ID>")))
    assert str(refused.value) == "Invoice/InvoiceLine[2]/ID[2]: ID may not occur twice in InvoiceLine"


def test_repeated_elements_need_not_stand_together() -> None:
    assert body("Invoice", "<cbc:Note>a</cbc:Note><cbc:ID>1</cbc:ID><cbc:Note>b</cbc:Note>")["Note"] == ["a", "b"]


def test_tables_of_names_fit_together() -> None:
    assert {"Condition", "Location"} == AGGREGATES & LEAVES  # each in other elements, never both in one
    assert (ALWAYS | set(SOMETIMES)) <= AGGREGATES | LEAVES
    assert not ALWAYS & set(SOMETIMES)
    assert may_repeat("TaxTotal", within="InvoiceLine")
    assert not may_repeat("TaxTotal", within="AllowanceCharge")


# --- what is left out, and bounds ---------------------------------------------------------


def test_elements_that_ubl_does_not_have_are_left_out_with_a_note() -> None:
    line = "<cac:InvoiceLine><cbc:MadeUp>1</cbc:MadeUp><cac:MadeUp><cbc:ID>1</cbc:ID></cac:MadeUp></cac:InvoiceLine>"
    found = read(ubl("Invoice", "<cac:ID/>" + 3 * line))
    assert found.left_out == {"Invoice/ID": 1, "Invoice/InvoiceLine/MadeUp": 6}
    assert json.loads(found.body) == {"InvoiceLine": [{}, {}, {}]}


def test_notes_of_what_is_left_out_are_bounded() -> None:
    found = read(ubl("Invoice", "".join(f"<cbc:Made{n:03}/>" for n in range(150))))
    assert len(found.left_out) == 101
    assert found.left_out["others"] == 50


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (b"<Invoice/>", "Invoice"),
        (b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>', "Invoice"),
        (b'<Order xmlns="urn:oasis:names:tc:ubl:Order:1:0"/>', "Order"),
        (ubl("Catalogue", ""), "Catalogue"),
        (b'<CrossIndustryInvoice xmlns="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"/>', "Cross"),
    ],
)
def test_other_documents_are_refused_by_name(file: bytes, name: str) -> None:
    with pytest.raises(DocumentUnknown, match=f"^'{name}") as refused:
        read(file)
    assert "OrderResponseSimple" in str(refused.value)
    assert "UBL 2.0 and 2.1" in refused.value.hint


@pytest.mark.parametrize(("levels", "is_taken"), [(15, True), (16, False)])
def test_elements_nest_no_deeper_than_a_body_may(levels: int, is_taken: bool) -> None:
    # Each level is an object in an array: two of the 32.
    inside = "<cac:SubInvoiceLine>" * levels + "</cac:SubInvoiceLine>" * levels
    if is_taken:
        check_strict(read(ubl("Invoice", inside)).body)
        return
    with pytest.raises(TooDeep):
        read(ubl("Invoice", inside))


def test_document_that_no_record_can_hold_is_refused() -> None:
    with pytest.raises(TooLarge, match="the document as a body is"):
        read(ubl("Invoice", "<cbc:Note>" + "a" * limits.BODY_BYTES_MAX + "</cbc:Note>"))
