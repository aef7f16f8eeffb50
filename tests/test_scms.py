"""Delivery histories: read cell by cell, and what a whole real one comes to in the cold chain contract."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from decimal import Decimal
from typing import Any, Final

import pytest

from ledger import limits
from ledger.errors import TooLarge
from node.documents.kinds import Encoding
from node.documents.lines import encode_lines
from node.documents.scms import ShipmentsMalformed, read_shipments
from tests.plain_fold import fold, library
from tests.samples import sample

TERMS: Final = {
    "temperature_min": 2, "temperature_max": 8, "excursion_minutes": 30, "total_minutes": 60,
    "reading_interval_minutes": 15, "handover_minutes": 60, "tell_insurer_above": 8, "claim_days": 14,
    "currency": "USD",
}  # fmt: skip
ROW: Final = {
    "ID": "7", "Project Code": "100-XX-T01", "PQ #": "FPQ-1", "PO / SO #": "SCMS-4", "ASN/DN #": "ASN-8",
    "Country": "Atlantis", "Managed By": "PMO", "Fulfill Via": "Direct Drop", "Vendor INCO Term": "EXW",
    "Shipment Mode": "Air", "PQ First Sent to Client Date": "3/18/13", "PO Sent to Vendor Date": "Date Not Captured",
    "Scheduled Delivery Date": "2-Jun-06", "Delivered to Client Date": "3-Jun-06",
    "Delivery Recorded Date": "4-Jun-06", "Vendor": "Vendor", "Item Description": "Test, 30 Tests", "Brand": "Generic",
    "Dosage": "N/A", "Unit of Measure (Per Pack)": "30", "Line Item Quantity": "19", "Line Item Value": "551.00",
    "Pack Price": "29", "Unit Price": "0.97", "Manufacturing Site": "Site", "Weight (Kilograms)": "13",
    "Freight Cost (USD)": "780.34", "Line Item Insurance (USD)": "",
}  # fmt: skip


def table(*rows: dict[str, str]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(ROW))
    writer.writeheader()
    writer.writerows([ROW | row for row in rows])
    return out.getvalue().encode()


def doubts(*rows: dict[str, str]) -> list[str]:
    return [doubt.code for doubt in read_shipments(table(*rows)).doubts]


def test_a_line_is_a_consignment_and_its_delivery() -> None:
    consignment, delivery = read_shipments(table({})).inputs
    assert (consignment["role"], consignment["type"]) == ("shipper", "consignment")
    assert consignment["body"]["LatestDeliveryDate"] == "2006-06-02"
    assert consignment["body"]["QuotationDocumentReference"] == {"ID": "FPQ-1", "IssueDate": "2013-03-18"}
    assert consignment["body"]["OrderReference"] == {"ID": "SCMS-4"}
    assert consignment["body"]["receiver"] == delivery["author"]
    assert "Dosage" not in consignment["body"]["Item"]
    body = {"consignment": "7", "ActualDeliveryDate": "2006-06-03", "RecordedDate": "2006-06-04"}
    assert delivery == {"role": "receiver", "author": "receiver.example", "type": "delivery", "body": body}


def test_numbers_keep_their_text() -> None:
    first = next(encode_lines(read_shipments(table({})).inputs))
    assert b'"DeclaredForCarriageValueAmount":{"value":551.00,"currencyID":"USD"}' in first
    assert json.loads(first)["body"]["ConsignmentQuantity"] == {"value": 19, "unitCode": "PK"}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("780.34", {"value": Decimal("780.34"), "currencyID": "USD"}),
        ("See ASN-93 (ID#:1281)", {"toldBy": {"consignment": "1281", "DespatchDocumentReference": {"ID": "ASN-93"}}}),
        ("Freight Included in Commodity Cost", {"toldAs": "Freight Included in Commodity Cost"}),
    ],
)
def test_freight_is_a_number_a_reference_or_a_word(cell: str, told: dict[str, Any]) -> None:
    assert read_shipments(table({"Freight Cost (USD)": cell})).inputs[0]["body"]["Freight"] == told


def test_byte_order_mark_and_gzip_change_nothing() -> None:
    plain = table({})
    assert read_shipments(b"\xef\xbb\xbf" + plain) == read_shipments(gzip.compress(plain)) == read_shipments(plain)


def test_letters_are_those_of_the_encoding_that_is_named() -> None:
    text = table({"Country": "Côte d'Ivoire"}).decode().encode("cp1252")
    body = read_shipments(text, encoding=Encoding.WINDOWS).inputs[0]["body"]
    assert body["FinalDestinationCountry"] == {"Name": "Côte d'Ivoire"}
    with pytest.raises(ShipmentsMalformed, match="line 2, letters: not utf-8-sig") as refused:
        read_shipments(text)
    assert "--encoding cp1252" in refused.value.hint


def test_years_of_four_digits_and_empty_lines_are_read_too() -> None:
    row = {"Scheduled Delivery Date": "2-Jun-2006", "PQ First Sent to Client Date": "3/18/2013"}
    assert read_shipments(table(row) + b"\r\n\r\n") == read_shipments(table({}))


def test_no_handover_reading_or_time_is_invented() -> None:
    inputs = read_shipments(table({})).inputs
    assert [given["type"] for given in inputs] == ["consignment", "delivery"]
    assert not any("eventTime" in given["body"] or "time" in given for given in inputs)
    state = fold(inputs, library("cold_chain"), TERMS).states["7"]
    assert (state["verdict"], state["liability"], state["delivery"]["countersigned"]) == ("not monitored", {}, False)


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ([{}], []),
        ([{}, {"ID": "8"}], ["duplicate-line"]),
        ([{"Line Item Value": "560"}], ["value-differs"]),
        ([{"Delivery Recorded Date": "2-Jun-06"}], ["recorded-early"]),
        ([{"Manufacturing Site": "GrÃ¸nland"}], ["mojibake"]),
        ([{"Country": "Côte d'Ivoire"}], []),
        ([{"Freight Cost (USD)": "See ASN-8 (ID#:7)"}], []),
        ([{"Freight Cost (USD)": "See ASN-9 (ID#:7)"}], ["reference-unknown"]),
        ([{"Weight (Kilograms)": "See ASN-8 (ID#:8)"}], ["reference-unknown"]),
    ],
)
def test_what_is_odd_is_told_of_and_kept(rows: list[dict[str, str]], codes: list[str]) -> None:
    assert doubts(*rows) == codes


def test_mojibake_is_mended() -> None:
    body = read_shipments(table({"Manufacturing Site": "GrÃ¸nland"})).inputs[0]["body"]
    assert body["Item"]["ManufacturerParty"] == [{"PartyName": [{"Name": "Grønland"}]}]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Scheduled Delivery Date", "31-Jun-06"),
        ("Scheduled Delivery Date", "6/2/06"),
        ("Scheduled Delivery Date", "N/A"),
        ("Delivered to Client Date", "2-jun-06"),
        ("PO Sent to Vendor Date", "13/13/06"),
        ("PO Sent to Vendor Date", "2-Jun-06"),
        ("PO Sent to Vendor Date", ""),
        ("Line Item Quantity", "1,000"),
        ("Line Item Value", "1e3"),
        ("Line Item Value", "-1"),
        ("Pack Price", "NaN"),
        ("Freight Cost (USD)", ""),
        ("Freight Cost (USD)", "See ASN-8"),
        ("Line Item Insurance (USD)", "none"),
    ],
)
def test_a_cell_that_cannot_be_read_is_refused_with_its_line(column: str, cell: str) -> None:
    with pytest.raises(ShipmentsMalformed) as refused:
        read_shipments(table({}, {"ID": "8", column: cell}))
    assert refused.value.fields["line"] == 3
    assert refused.value.fields["column"] == column


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"ID,Country\n1,X\n",
        table({}) + b"1,2\n",
        table({}).replace(b"Atlantis", b"\xff"),
        table({}).replace(b"Atlantis", b'"Atlantis'),
        gzip.compress(table({}), mtime=0)[:-9],
        gzip.compress(table({}), mtime=0)[:40] + b"\x00" * 40,
    ],
)
def test_no_table_is_refused(file: bytes) -> None:
    with pytest.raises(ShipmentsMalformed):
        read_shipments(file)


def test_a_packed_file_is_not_unpacked_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(table({}))
    monkeypatch.setattr(limits, "SHIPMENTS_FILE_BYTES_MAX", size)
    assert read_shipments(gzip.compress(table({}))).inputs
    monkeypatch.setattr(limits, "SHIPMENTS_FILE_BYTES_MAX", size - 1)
    with pytest.raises(TooLarge):
        read_shipments(gzip.compress(table({})))


@pytest.mark.slow
def test_the_whole_history_comes_out_to_the_cent() -> None:
    file = sample("datasets/scms/SCMS_Delivery_History_Dataset.csv.gz").read_bytes()
    shipments = read_shipments(file)
    folded = fold(shipments.inputs, library("cold_chain"), TERMS)
    states = folded.states.values()
    assert (len(states), folded.rejected) == (10_324, {})
    assert Counter(state["delivery"]["punctuality"] for state in states) == {
        "late": 1_186,
        "early": 2_814,
        "same day": 6_324,
    }
    assert sum(state["value"]["value"] for state in states) == Decimal("1627584457.29")
    assert sum(state["quantity"]["value"] for state in states) == 189_265_090
    assert {state["verdict"] for state in states} == {"not monitored"}
    assert sum(state["value"]["value"] == 0 for state in states) == 17


@pytest.mark.slow
def test_what_the_whole_history_says_is_told_as_it_is() -> None:
    shipments = read_shipments(sample("datasets/scms/SCMS_Delivery_History_Dataset.csv.gz").read_bytes())
    assert Counter(doubt.code for doubt in shipments.doubts) == {
        "duplicate-line": 4,
        "value-differs": 1,
        "recorded-early": 3,
        "mojibake": 1,
    }
    assert [doubt.place for doubt in shipments.doubts if doubt.code in ("value-differs", "mojibake")] == [
        "9804",
        "47301",
    ]
    assert shipments.words == {
        ("PQ First Sent to Client Date", "Pre-PQ Process"): 2_476,
        ("PQ First Sent to Client Date", "Date Not Captured"): 205,
        ("PO Sent to Vendor Date", "N/A - From RDC"): 5_404,
        ("PO Sent to Vendor Date", "Date Not Captured"): 328,
        ("Weight (Kilograms)", "Weight Captured Separately"): 1_507,
        ("Freight Cost (USD)", "Freight Included in Commodity Cost"): 1_442,
        ("Freight Cost (USD)", "Invoiced Separately"): 239,
    }
    bodies = [given["body"] for given in shipments.inputs if given["type"] == "consignment"]
    freight = [body["Freight"]["value"] for body in bodies if "value" in body["Freight"]]
    assert (len(freight), sum(freight)) == (6_198, Decimal("68817849.41"))
    assert sum("toldBy" in body["Freight"] for body in bodies) == 2_445
    assert sum("value" in body["GrossWeight"] for body in bodies) == 6_372
    assert sum("InsurancePremiumAmount" not in body for body in bodies) == 287
