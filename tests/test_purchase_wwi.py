"""The purchases of a sample database: converted, folded to the cent, and every planted fault found at its order."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from contracts.engine import Engine
from ledger import limits
from ledger.errors import TooLarge
from ledger.jsontext import parse
from node.documents.lines import encode_lines
from node.documents.wwi import read_purchases
from node.documents.wwitables import PurchasesMalformed
from tests.plain_fold import Folded, fold, fold_in_engine, library
from tests.samples import sample
from tests.wwi_faults import FAULT_KINDS, found, order_of, plant

_SOURCE: Final = library("purchase")
_TERMS: Final[dict[str, Any]] = {"currency": "USD", "interest_percent": 9}


@cache
def _purchases(folder: Path) -> list[dict[str, Any]]:
    return list(read_purchases(folder))


@cache
def _whole(folder: Path) -> Folded:
    return fold(_purchases(folder), _SOURCE, _TERMS)


def _table(name: str) -> Iterator[dict[str, str]]:
    """A table as it is, read without the converter."""
    file = sample(f"datasets/wwi/{name}.csv.gz")
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _money(text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("0.01"))


@pytest.mark.slow
def test_totals_are_those_of_the_tables_to_the_cent() -> None:
    folded = _whole(sample("datasets/wwi"))
    totals = {name: sum(row[name] for row in folded.summaries.values()) for name in ("invoiced", "paid", "outstanding")}
    assert folded.rejected == {}
    assert len(folded.states) == 2074
    assert sum(len(state["invoices"]) for state in folded.states.values()) == 2072
    assert totals["invoiced"] == Decimal("1085993513.06")
    assert totals["paid"] == Decimal("1083271834.85")
    assert totals["outstanding"] == Decimal("2721678.21")
    assert sum(row["ordered"] for row in folded.summaries.values()) == Decimal("946715166.50")
    assert sum(row["received_value"] for row in folded.summaries.values()) == Decimal("944343271.90")


@pytest.mark.slow
def test_every_supplier_balances_with_its_transactions() -> None:
    folded = _whole(sample("datasets/wwi"))
    supplier_of = {row["PurchaseOrderID"]: row["SupplierID"] for row in _table("Purchasing.PurchaseOrders")}
    tables: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in _table("Purchasing.SupplierTransactions"):
        kind = "invoiced" if row["TransactionTypeID"] == "5" else "paid"
        tables[row["SupplierID"]][kind] += abs(_money(row["TransactionAmount"]))  # type: ignore[assignment]  # money
        tables[row["SupplierID"]]["outstanding"] += _money(row["OutstandingBalance"])  # type: ignore[assignment]
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for order, totals in folded.summaries.items():
        for name in ("invoiced", "paid", "outstanding"):
            sums[supplier_of[order]][name] += totals[name]
    assert {supplier: dict(sums[supplier]) for supplier in tables} == {one: dict(all_) for one, all_ in tables.items()}
    open_ones = {supplier: row["outstanding"] for supplier, row in sums.items() if row["outstanding"]}
    assert open_ones == {"4": Decimal("1871894.10"), "7": Decimal("849784.11")}


@pytest.mark.slow
def test_every_order_matches_and_two_wait_for_goods_and_two_for_money() -> None:
    folded = _whole(sample("datasets/wwi"))
    statuses = Counter(state["status"] for state in folded.states.values())
    assert statuses == {"settled": 2070, "matched": 2, "ordered": 2}
    assert {order for order, state in folded.states.items() if state["status"] == "ordered"} == {"2073", "2074"}
    assert found(_purchases(sample("datasets/wwi")), folded) == {}
    assert folded.summaries["2071"]["due_date"] == "2016-06-30"


@pytest.mark.slow
def test_every_planted_fault_is_found_at_its_order_and_nothing_else(seed: int) -> None:
    planted = plant(_purchases(sample("datasets/wwi")), seed)
    folded = fold(planted.inputs, _SOURCE, _TERMS)
    assert found(planted.inputs, folded) == planted.expected
    assert len(planted.expected) == 4 * FAULT_KINDS


@pytest.mark.slow
def test_what_is_held_back_is_the_fault_to_the_cent(seed: int) -> None:
    planted = plant(_purchases(sample("datasets/wwi")), seed, each=12)
    spoilt = [document for document in planted.inputs if order_of(document) in planted.expected]
    for order, row in fold(spoilt, _SOURCE, _TERMS).summaries.items():
        assert row["held_back"] == planted.held[order], order


@pytest.mark.slow
@pytest.mark.parametrize("batch_inputs", [7, 256])
def test_the_engine_comes_to_the_same_however_the_documents_are_cut(
    engine: Engine, seed: int, batch_inputs: int
) -> None:
    planted = plant(_purchases(sample("datasets/wwi")), seed)
    some = [one for one in planted.inputs if order_of(one) in planted.expected or int(order_of(one)) <= 100]
    folded, plain = (
        fold_in_engine(engine, some, _SOURCE, _TERMS, batch_inputs=batch_inputs),
        fold(some, _SOURCE, _TERMS),
    )
    assert folded.states == plain.states and folded.summaries == plain.summaries
    assert folded.rejected == plain.rejected


@pytest.mark.slow
def test_documents_come_in_order_of_time_and_survive_as_lines() -> None:
    inputs = read_purchases(sample("datasets/wwi"), currency="SEK")
    times = [document["time"] for document in inputs]
    assert times == sorted(times)
    assert Counter(document["type"] for document in inputs) == {
        "order": 2074,
        "receipt": 2072,
        "invoice": 2072,
        "payment": 2070,
    }
    for document, line in zip(inputs[::100], list(encode_lines(inputs))[::100], strict=True):
        assert parse(line) == document
        assert b"SEK" in line or document["type"] == "receipt"


# --- tables that are not sound -----------------------------------------------------

_TABLES: Final = {
    "Purchasing.PurchaseOrders": (
        ",PurchaseOrderID,SupplierID,OrderDate,ExpectedDeliveryDate\n0,1,4,2013-01-01,2013-01-15\n"
    ),
    "Purchasing.PurchaseOrderLines": (
        ",PurchaseOrderLineID,PurchaseOrderID,StockItemID,OrderedOuters,Description,ReceivedOuters,"
        "ExpectedUnitPricePerOuter,LastReceiptDate\n"
        '0,1,1,150,18,"Twelve figures, mixed",18,5.5,2013-01-02\n'
    ),
    "Purchasing.SupplierTransactions": (
        ",SupplierTransactionID,SupplierID,TransactionTypeID,PurchaseOrderID,SupplierInvoiceNumber,TransactionDate,"
        "AmountExcludingTax,TaxAmount,TransactionAmount,OutstandingBalance,FinalizationDate\n"
        "0,134,4,5,1.0,7290.0,2013-01-02,99.0,14.85,113.85,0.0,2013-01-07\n"
        "1,140,4,7,,,2013-01-07,0.0,0.0,-113.85,0.0,2013-01-07\n"
    ),
    "Purchasing.Suppliers": ",SupplierID,PaymentDays\n0,4,30\n",
    "Warehouse.StockItems": ",StockItemID,TaxRate\n0,150,15\n",
}


def small_tables(folder: Path, **changed: tuple[str, str]) -> Path:
    """The small tables, with one text put for another where a table's last name says so."""
    for name, text in _TABLES.items():
        old, new = changed.get(name.rpartition(".")[2], ("", ""))
        assert old in text
        (folder / f"{name}.csv").write_text(text.replace(old, new, 1) if old else text)
    return folder


def test_small_tables_become_four_documents(tmp_path: Path) -> None:
    order, receipt, invoice, payment = read_purchases(small_tables(tmp_path), currency="NOK")
    assert order["body"]["ID"] == "1" and receipt["body"]["ID"] == "1-2013-01-02"
    assert (invoice["author"], invoice["role"]) == ("supplier-4.example", "seller")
    assert invoice["body"]["DueDate"] == "2013-02-01"
    assert payment["body"]["PaidAmount"] == {"value": Decimal("113.85"), "currencyID": "NOK"}


@pytest.mark.parametrize(
    ("table", "old", "new", "said"),
    [
        ("SupplierTransactions", "-113.85", "-113.84", "the invoices settled on its day come to 113.85"),
        ("SupplierTransactions", "1,140,4,7,", "1,140,5,7,", "the invoices settled on its day come to 0"),
        ("SupplierTransactions", "1,140,4,7,", "1,140,4,8,", "supplier 4 was paid nothing on 2013-01-07"),
        ("SupplierTransactions", "99.0", "98.0", "the lines received of order 1 come to 99.0"),
        ("SupplierTransactions", "5,1.0", "5,2.0", "2 is in no other table"),
        ("SupplierTransactions", "7290.0", "7290.5", "no whole number"),
        ("SupplierTransactions", "14.85", "14.8512", "14.8512 has more than two decimals"),
        ("PurchaseOrders", "2013-01-01", "1.1.2013", "no date"),
        ("PurchaseOrderLines", "5.5", "NaN", "no number"),
        ("Suppliers", "0,4,30", "0,5,30", "4 is in no other table"),
        ("Suppliers", "0,4,30", "0,4,3000000", "its PaymentDays end after all calendars"),
        ("Suppliers", "0,4,30", '0,4,"30', "Purchasing.Suppliers: unexpected end of data"),
        ("StockItems", "TaxRate", "Rate", "no number"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(
    tmp_path: Path, table: str, old: str, new: str, said: str
) -> None:
    with pytest.raises(PurchasesMalformed, match=said):
        read_purchases(small_tables(tmp_path, **{table: (old, new)}))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    (small_tables(tmp_path) / "Purchasing.Suppliers.csv").unlink()
    with pytest.raises(PurchasesMalformed, match="Purchasing.Suppliers: no such table"):
        read_purchases(tmp_path)


@pytest.mark.parametrize("spoilt", [b"", b"\x1f\x8b", gzip.compress(b",SupplierID\n", mtime=0)[:-9], b"no gzip at all"])
def test_a_packed_table_that_cannot_be_unpacked_is_refused(tmp_path: Path, spoilt: bytes) -> None:
    (small_tables(tmp_path) / "Purchasing.Suppliers.csv.gz").write_bytes(spoilt)
    with pytest.raises(PurchasesMalformed):
        read_purchases(tmp_path)


def test_letters_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    file = small_tables(tmp_path) / "Purchasing.PurchaseOrderLines.csv"
    file.write_bytes(file.read_bytes().replace(b"Twelve", b"Tw\xe9lve"))
    with pytest.raises(PurchasesMalformed, match="PurchaseOrderLines: not UTF-8"):
        read_purchases(tmp_path)


def test_a_packed_table_is_not_unpacked_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_tables(tmp_path)
    size = max(file.stat().st_size for file in folder.iterdir())
    for file in list(folder.iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    monkeypatch.setattr(limits, "PURCHASES_TABLE_BYTES_MAX", size)
    assert len(read_purchases(folder)) == 4
    monkeypatch.setattr(limits, "PURCHASES_TABLE_BYTES_MAX", size - 1)
    with pytest.raises(TooLarge):
        read_purchases(folder)


@pytest.mark.parametrize("content", ["", "\ufeff", "\n"])
def test_a_table_without_headings_is_refused(tmp_path: Path, content: str) -> None:
    folder = small_tables(tmp_path)
    (folder / "Purchasing.PurchaseOrders.csv").write_text(content, encoding="utf-8")
    with pytest.raises(PurchasesMalformed, match="PurchaseOrders: the table is empty"):
        read_purchases(folder)


def test_a_folder_may_be_named_by_a_text(tmp_path: Path) -> None:
    assert read_purchases(str(small_tables(tmp_path))) == read_purchases(tmp_path)


def test_products_of_long_numbers_are_not_rounded(tmp_path: Path) -> None:
    folder = small_tables(tmp_path, PurchaseOrderLines=("18,5.5,", "18,123456789012345.25,"))
    (folder / "Purchasing.SupplierTransactions.csv").write_text(",SupplierTransactionID,TransactionTypeID\n")
    file = folder / "Purchasing.PurchaseOrderLines.csv"
    file.write_text(file.read_text().replace("150,18,", "150,123456789012345,"))
    item = read_purchases(folder)[0]["body"]["OrderLine"][0]["LineItem"]
    exact = Fraction("123456789012345") * Fraction("123456789012345.25")
    assert Fraction(item["LineExtensionAmount"]["value"]) == exact
