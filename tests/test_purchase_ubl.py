"""Documents of others through the contract `purchase`: the OASIS chain with its short delivery, Peppol's scenarios."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from ledger.jsontext import parse
from node.documents.ubl import read
from tests.plain_fold import fold, library
from tests.samples import sample, samples

_SOURCE: Final = library("purchase")
_STEPS: Final = ("order-response", "order-change", "", "order-cancellation")


def _document(path: str, **added: Any) -> dict[str, Any]:
    """A sample as an input; `added` stands for what UBL has no place for."""
    found = read(sample(path).read_bytes())
    return {"type": found.type, "role": found.role, "body": parse(found.body) | added}


def _pounds(value: str) -> dict[str, Any]:
    return {"value": Decimal(value), "currencyID": "GBP"}


def _kilograms(value: int) -> dict[str, Any]:
    return {"value": value, "unitCode": "KGM"}


def _chain() -> tuple[str, list[dict[str, Any]]]:
    """The order's ID and documents: receipt and remittance advice as they are, order and invoice by their figures."""
    receipt = _document("ubl/oasis-ubl/UBL-ReceiptAdvice-2.0-Example.xml")
    order_id = receipt["body"]["OrderReference"][0]["ID"]
    payment = _document("ubl/oasis-ubl/UBL-RemittanceAdvice-2.0-Example.xml", OrderReference={"ID": order_id})
    billing = payment["body"]["RemittanceAdviceLine"][0]["BillingReference"][0]
    item = {"ID": "1", "Quantity": _kilograms(100), "Price": {"PriceAmount": _pounds("1.00")}}
    order = {"ID": order_id, "DocumentCurrencyCode": "GBP", "OrderLine": [{"LineItem": item}]}
    line = {"ID": "A", "InvoicedQuantity": _kilograms(100), "LineExtensionAmount": _pounds("100.00")}
    invoice = {
        "ID": billing["InvoiceDocumentReference"]["ID"],
        "IssueDate": receipt["body"]["IssueDate"],
        "OrderReference": {"ID": order_id},
        "AllowanceCharge": [{"ChargeIndicator": False, "Amount": _pounds("10.00")}],
        "TaxTotal": [{"TaxAmount": _pounds("17.50")}],
        "LegalMonetaryTotal": {"PayableAmount": _pounds("107.50")},
        "InvoiceLine": [line | {"OrderLineReference": [{"LineID": "1"}]}],
    }
    documents = [
        {"type": "order", "role": "buyer", "body": order},
        receipt,
        {"type": "invoice", "role": "seller", "body": invoice},
        payment,
    ]
    return order_id, documents


def test_the_short_delivery_of_the_oasis_chain_is_found() -> None:
    order, documents = _chain()
    folded = fold(documents[:3], _SOURCE, {})
    (finding,) = folded.states[order]["findings"]
    assert folded.rejected == {}
    assert (finding["what"], finding["difference"], finding["unit"]) == ("short delivery", 10, "KGM")
    assert (finding["ordered"], finding["received"], finding["invoiced"]) == (100, 90, 100)
    summary = folded.summaries[order]
    assert (summary["held_back"], summary["payable_now"]) == (Decimal("10.75"), Decimal("96.75"))


def test_the_payment_of_the_oasis_chain_is_above_what_matches() -> None:
    order, documents = _chain()
    summary = fold(documents, _SOURCE, {}).summaries[order]
    assert (summary["paid"], summary["payable_now"], summary["status"]) == (Decimal("107.50"), 0, "disputed")
    assert summary["why"].endswith(": overpaid, difference 10.75 GBP")


@pytest.mark.parametrize(
    ("number", "status"), [(1, "cancelled"), (2, "accepted"), (3, "cancelled"), (4, "cancelled"), (5, "cancelled")]
)
def test_advanced_ordering_of_peppol_ends_as_its_scenarios_say(number: int, status: str) -> None:
    folder = "ubl/peppol-poacc3/advanced-ordering/advanced_ordering_sc"
    files = [f"{folder}{number}/{file.name}" for file in samples(f"{folder}{number}/*.xml")]
    steps = [document for document in map(_document, files) if document["type"] != "order"]
    # Only the first scenario has its order; the others are about the same one.
    order = _document(f"{folder}1/Order_sc1.xml")
    folded = fold([order, *sorted(steps, key=_turn)], _SOURCE, {})
    assert folded.rejected == {}
    assert folded.summaries[order["body"]["ID"]]["status"] == status


@pytest.mark.parametrize(("says", "status"), [("true", "accepted"), ("false", "refused")])
def test_a_simple_response_is_the_sellers_answer(says: str, status: str) -> None:
    of = "urn:oasis:names:specification:ubl:schema:xsd:"
    text = (
        f'<OrderResponseSimple xmlns="{of}OrderResponseSimple-2" xmlns:a="{of}CommonAggregateComponents-2"'
        f' xmlns:b="{of}CommonBasicComponents-2"><b:ID>OR-1</b:ID><b:IssueDate>2026-01-06</b:IssueDate>'
        f"<b:AcceptedIndicator>{says}</b:AcceptedIndicator><b:RejectionNote>none of it is left</b:RejectionNote>"
        "<a:OrderReference><b:ID>PO-1</b:ID></a:OrderReference></OrderResponseSimple>"
    )
    found = read(text.encode())
    line = {"ID": "1", "Quantity": _kilograms(100), "Price": {"PriceAmount": _pounds("1.00")}}
    order = {"ID": "PO-1", "DocumentCurrencyCode": "GBP", "OrderLine": [{"LineItem": line}]}
    answer = {"type": found.type, "role": found.role, "body": parse(found.body)}
    folded = fold([{"type": "order", "role": "buyer", "body": order}, answer], _SOURCE, {})
    assert (folded.rejected, folded.summaries["PO-1"]["status"]) == ({}, status)


def _turn(step: dict[str, Any]) -> int:
    """An answer that names a change comes after it."""
    return 2 if "OrderChangeDocumentReference" in step["body"] else _STEPS.index(step["type"])


def test_orders_of_peppol_come_to_their_own_totals() -> None:
    for file in samples("ubl/peppol-poacc3/order/*.xml"):
        order = _document(f"ubl/peppol-poacc3/order/{file.name}")
        (summary,) = fold([order], _SOURCE, {}).summaries.values()
        assert summary["ordered"] == order["body"]["AnticipatedMonetaryTotal"]["LineExtensionAmount"]["value"], (
            file.name
        )


@pytest.mark.parametrize("folder", ["peppol-billing3", "en16931/testfiles", "en16931/ubl-examples"])
def test_invoices_of_others_match_the_order_that_asked_for_them(folder: str) -> None:
    matched = 0
    for file in samples(f"ubl/{folder}/*.xml"):
        invoice = _document(f"ubl/{folder}/{file.name}")
        if invoice["type"] == "invoice" and (order := _order_for(invoice)):
            folded = fold([*order, invoice], _SOURCE, {})
            (summary,) = folded.summaries.values()
            total = invoice["body"]["LegalMonetaryTotal"]["PayableAmount"]["value"]
            assert (folded.rejected, summary["payable_now"], summary["held_back"]) == ({}, total, 0), file.name
            matched += 1
    assert matched >= 4


def _order_for(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    """An order of just what `invoice` bills, and its receipt; none where a line takes back what no order asks for."""
    body = invoice["body"]
    body.setdefault("OrderReference", {"ID": "PO-1"})
    lines: dict[str, Any] = {}
    for line in body["InvoiceLine"]:
        name = line["OrderLineReference"][0]["LineID"] if "OrderLineReference" in line else line["ID"]
        item = lines.setdefault(name, {"ID": name, "Quantity": {"value": 0}, "LineExtensionAmount": {"value": 0}})
        for part, more in (
            ("Quantity", line["InvoicedQuantity"]),
            ("LineExtensionAmount", line["LineExtensionAmount"]),
        ):
            item[part] = more | {"value": item[part]["value"] + more["value"]}
    if any(line["Quantity"]["value"] < 0 or line["LineExtensionAmount"]["value"] < 0 for line in lines.values()):
        return []
    names = ("DocumentCurrencyCode", "AllowanceCharge")
    order = {"ID": body["OrderReference"]["ID"], **{name: body[name] for name in names if name in body}}
    received = [{"ID": name, "ReceivedQuantity": line["Quantity"]} for name, line in lines.items()]
    return [
        {
            "type": "order",
            "role": "buyer",
            "body": order | {"OrderLine": [{"LineItem": one} for one in lines.values()]},
        },
        {
            "type": "receipt",
            "role": "buyer",
            "body": {"ID": "R", "OrderReference": [body["OrderReference"]], "ReceiptLine": received},
        },
    ]
