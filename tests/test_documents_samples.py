"""The sample documents become inputs: as many of each kind as their publishers say, with every number in them."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.jsontext import check_strict, parse
from node.documents.ubl import Document, read, rebuild_amounts
from tests.make_documents import amounts
from tests.samples import list_samples, sample, samples

FOLDERS: Final = ("peppol-poacc3", "peppol-billing3", "oasis-ubl", "en16931/testfiles", "en16931/ubl-examples")
DOCUMENTS: Final = [path for folder in FOLDERS for path in list_samples(f"ubl/{folder}/**/*.[xX][mM][lL]")]
ORDERING: Final = "ubl/peppol-poacc3/advanced-ordering/advanced_ordering_sc"


def kinds(folder: str) -> Counter[str]:
    return Counter(read(path.read_bytes()).kind for path in samples(f"ubl/{folder}/**/*.[xX][mM][lL]"))


def found(path: str) -> Document:
    return read(sample(path).read_bytes())


def ids(path: str) -> list[str]:
    """The texts of all ID elements of the file, in its order, read without the converter."""
    return re.findall(r"<cbc:ID(?: [^>]*)?>([^<]+)<", sample(path).read_text(encoding="utf-8"))


def values(path: str) -> Any:
    return parse(found(path).body)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_number_of_a_sample_is_in_its_input(path: Path) -> None:
    file = path.read_bytes()
    body = read(file).body
    assert sorted(rebuild_amounts(body), key=repr) == amounts(file)
    check_strict(body)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_of_a_sample_is_left_out(path: Path) -> None:
    assert read(path.read_bytes()).left_out == {}


def test_samples_are_as_many_of_each_kind_as_they_should() -> None:
    assert kinds("peppol-poacc3") == {
        "Order": 8,
        "OrderChange": 4,
        "OrderCancellation": 5,
        "OrderResponse": 13,
        "DespatchAdvice": 6,
        "ApplicationResponse": 15,
    }
    assert kinds("peppol-billing3") == {"Invoice": 8, "CreditNote": 1}
    assert kinds("oasis-ubl") == {"ReceiptAdvice": 1, "RemittanceAdvice": 1}
    assert kinds("en16931/testfiles").total() == 14
    assert kinds("en16931/ubl-examples").total() == 9


def test_ordering_scenario_has_its_figures() -> None:
    order, response, change, cancellation = (
        values(f"{ORDERING}1/{kind}_sc1.xml") for kind in ("Order", "OrderResponse", "OrderChange", "OrderCancellation")
    )
    assert order["AnticipatedMonetaryTotal"]["PayableAmount"] == {"value": 840, "currencyID": "EUR"}
    lines = [line["LineItem"] for line in order["OrderLine"]]
    assert [(line["Quantity"]["value"], line["Price"]["PriceAmount"]["value"]) for line in lines] == [(10, 40), (50, 6)]
    assert {line["Quantity"]["unitCode"] for line in lines} == {"NAR"}
    assert response["OrderResponseCode"] == "CA"
    assert response["OrderLine"][0]["LineItem"]["Quantity"]["value"] == 5
    assert change["AnticipatedMonetaryTotal"]["PayableAmount"]["value"] == 600
    assert change["OrderLine"][0]["LineItem"]["Quantity"] == {"value": 5, "unitCode": "NAR"}
    assert [document["ID"] for document in (order, response, change, cancellation)] == [
        *("Order-1", "Response-1", "Change-1", "Cancellation-1")
    ]


@pytest.mark.parametrize(("scenario", "code"), [(2, "AP"), (3, "CA"), (4, "AP"), (5, "RE")])
def test_order_responses_have_their_codes(scenario: int, code: str) -> None:
    assert values(f"{ORDERING}{scenario}/OrderResponse_sc{scenario}.xml")["OrderResponseCode"] == code


def test_invoice_responses_have_their_codes() -> None:
    codes: Counter[str] = Counter()
    for path in samples("ubl/peppol-poacc3/invoice-response/*.xml"):
        (response,) = json.loads(read(path.read_bytes()).body)["DocumentResponse"]
        codes[response["Response"]["ResponseCode"]] += 1
        assert [reference["ID"] for reference in response["DocumentReference"]] == ["inv021"]
    assert codes == {"IP": 3, "AP": 2, "RE": 3, "CA": 1, "UQ": 3, "PD": 1}


def test_receipt_of_the_chain_is_short() -> None:
    path = "ubl/oasis-ubl/UBL-ReceiptAdvice-2.0-Example.xml"
    receipt, (own, order, *_) = values(path), ids(path)
    (line,) = receipt["ReceiptLine"]
    assert receipt["ID"] == own
    assert [reference["ID"] for reference in receipt["OrderReference"]] == [order]
    assert receipt["DespatchDocumentReference"][0]["ID"] in ids(path)
    assert line["ReceivedQuantity"] == {"value": 90, "unitCode": "KGM"}
    assert line["ShortQuantity"] == {"value": 10, "unitCode": "KGM"}


def test_remittance_of_the_chain_pays_its_invoice() -> None:
    path = "ubl/oasis-ubl/UBL-RemittanceAdvice-2.0-Example.xml"
    document = found(path)
    payment = parse(document.body)
    (line,) = payment["RemittanceAdviceLine"]
    assert (document.type, document.role, document.time) == ("payment", "buyer", "2005-06-22T00:00:00.000Z")
    assert payment["ID"] == ids(path)[0]
    assert payment["TotalPaymentAmount"] == {"value": Decimal("107.50"), "currencyID": "GBP"}
    assert line["BillingReference"][0]["InvoiceDocumentReference"]["ID"] in ids(path)
    assert b'"value":107.50' in document.body
