"""Documents of every kind, from file to finding: `contract inputs`, then `contract run` with the contract that fits."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.jsontext import parse
from node.cli.exits import ExitCode
from node.documents.ubl import read
from tests.make_chain import ORDER, write_chain
from tests.make_cli import tally
from tests.plain_fold import LIBRARY
from tests.samples import sample
from tests.test_gdst import LOT, caught, file, lot, told
from tests.test_gdst import TERMS as CUSTODY_TERMS
from tests.test_purchase_wwi import small_tables
from tests.test_scms import TERMS as CHAIN_TERMS
from tests.test_scms import table

pytestmark = pytest.mark.slow  # each starts the engine

_ROWS: Final = 300
_MOVES: Final = (told(2, "shipping", "boat", quantityList=lot()), told(3, "receiving", "plant", quantityList=lot()))


def run(folder: Path, contract: str, terms: dict[str, Any], *words: str | Path) -> tuple[Any, dict[str, Any]]:
    """What `contract run` says of the inputs that `words` become, and its cases as it saves them."""
    made = tally("contract", "inputs", *words)
    assert made.code == ExitCode.OK, made.err
    given, kept, saved = (folder / f"made.{name}" for name in ("ndjson", "json", "states"))
    given.write_text(made.out, encoding="utf-8")
    kept.write_text(json.dumps(terms))
    options = ("--inputs", given, "--terms", kept, "--save", saved, "--json")
    done = tally("contract", "run", LIBRARY / f"{contract}.py", *options)
    assert done.code == ExitCode.OK, done.err
    cases = [parse(line) for line in saved.read_bytes().splitlines()]
    return done.json, {case["case"]: case for case in cases}


def _check_chain(folder: Path, files: list[Path], order: str = ORDER, *words: str) -> None:
    said, cases = run(folder, "purchase", {}, *files, "--order", order, *words)
    assert (said["applied"], said["rejected"]) == (5, [])
    short = cases[order]["state"]["findings"][0]
    assert (short["what"], short["received"], short["invoiced"]) == ("short delivery", 90, 100)
    summary = cases[order]["summary"]
    assert (summary["held_back"], summary["paid"], summary["status"]) == (
        Decimal("10.75"),
        Decimal("107.50"),
        "disputed",
    )


def test_the_short_delivery_of_a_chain_in_ubl_is_found(tmp_path: Path) -> None:
    _check_chain(tmp_path, write_chain(tmp_path))


def test_the_receipt_and_remittance_advice_of_the_standard_come_to_the_same(tmp_path: Path) -> None:
    receipt, payment = (sample(f"ubl/oasis-ubl/UBL-{name}Advice-2.0-Example.xml") for name in ("Receipt", "Remittance"))
    received, paid = (parse(read(file.read_bytes()).body) for file in (receipt, payment))
    billed = paid["RemittanceAdviceLine"][0]["BillingReference"][0]["InvoiceDocumentReference"]["ID"]
    ordered = received["OrderReference"][0]["ID"]
    order, despatch, _, invoice, _ = write_chain(tmp_path, order=ordered, invoice=billed)
    # Those of the standard are of 2005, and so would come before the others.
    _check_chain(tmp_path, [order, despatch, receipt, invoice, payment], ordered, "--keep-order")


def test_documents_named_as_files_sort_them_come_to_the_same(tmp_path: Path) -> None:
    _check_chain(tmp_path, sorted(write_chain(tmp_path)))


def test_without_its_order_a_remittance_advice_is_rejected(tmp_path: Path) -> None:
    said, cases = run(tmp_path, "purchase", {}, *write_chain(tmp_path))
    (rejected,) = said["rejected"]
    assert (said["applied"], rejected["line"]) == (4, 5)
    assert "payment: OrderReference/ID is missing, so the order is not known" in str(rejected["reason"])
    assert cases[ORDER]["summary"]["paid"] == 0


def test_small_tables_of_purchases_are_settled(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    said, cases = run(tmp_path, "purchase", {"currency": "NOK"}, small_tables(folder), "--currency", "NOK")
    assert (said["applied"], said["rejected"]) == (4, [])
    assert (cases["1"]["summary"]["paid"], cases["1"]["summary"]["status"]) == (Decimal("113.85"), "settled")


def test_the_sample_database_comes_to_its_totals(tmp_path: Path) -> None:
    said, cases = run(tmp_path, "purchase", {"currency": "USD"}, sample("datasets/wwi"))
    assert (said["applied"], said["rejected"], said["cases"]) == (8288, [], 2074)
    totals = {
        name: sum(case["summary"][name] for case in cases.values()) for name in ("invoiced", "paid", "outstanding")
    }
    assert totals == {
        "invoiced": Decimal("1085993513.06"),
        "paid": Decimal("1083271834.85"),
        "outstanding": Decimal("2721678.21"),
    }


def test_a_delivery_is_not_monitored(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.csv"
    path.write_bytes(table({}))
    said, cases = run(tmp_path, "cold_chain", CHAIN_TERMS, path)
    summary = cases["7"]["summary"]
    assert (said["applied"], summary["verdict"], summary["punctuality"]) == (2, "not monitored", "late")
    assert (summary["quantity"], summary["value"]) == (19, 551)


def test_some_hundred_lines_of_deliveries_come_to_their_sums(tmp_path: Path) -> None:
    whole = gzip.decompress(sample("datasets/scms/SCMS_Delivery_History_Dataset.csv.gz").read_bytes()).decode(
        "utf-8-sig"
    )
    header, *rows = list(csv.reader(whole.splitlines(keepends=True)))[: _ROWS + 1]
    path = tmp_path / "deliveries.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])
    said, cases = run(tmp_path, "cold_chain", CHAIN_TERMS, path)
    assert (said["applied"], said["rejected"], said["cases"]) == (2 * _ROWS, [], _ROWS)
    for name, column in (("quantity", "Line Item Quantity"), ("value", "Line Item Value")):
        told_in_table = sum(Decimal(row[header.index(column)]) for row in rows)
        assert sum(case["summary"][name] for case in cases.values()) == told_in_table
    assert {case["summary"]["verdict"] for case in cases.values()} == {"not monitored"}


def test_a_catch_is_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(file(caught(), *_MOVES))
    said, cases = run(tmp_path, "custody", CUSTODY_TERMS, path)
    assert (said["applied"], said["rejected"]) == (3, [])
    state = cases[LOT]["state"]
    assert (state["owner"], state["holder"], state["quantity"]) == ("fisher.example", "processor.example", 10)


def test_planted_faults_of_the_tuna_chain_are_rejected(tmp_path: Path) -> None:
    path = sample("trace/opentraceability/traceback_tests.jsonld")
    said, cases = run(tmp_path, "custody", CUSTODY_TERMS, path)
    assert (said["inputs"], said["applied"], len(said["rejected"])) == (41, 36, 5)
    lots = [rejected["case"].rpartition(":")[2] for rejected in said["rejected"]]
    assert lots.count("fisherman01.tunau.v1-0122-2022") == 3
    (mixed,) = [case for name, case in cases.items() if name.endswith("processor.10u.commingle-01232022")]
    assert mixed["state"]["quantity"] == 12_124
