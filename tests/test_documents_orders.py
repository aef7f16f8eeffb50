"""The order of UBL documents: which they name, and the one that `contract inputs --order` adds where they name none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger import limits
from ledger.errors import TooLarge
from node.documents.ubl import add_order, named_orders, read
from tests.make_chain import ORDER, STEPS, write_chain
from tests.make_cli import tally
from tests.make_documents import ubl


def test_the_order_is_added_where_none_is_named_and_nowhere_else(tmp_path: Path) -> None:
    files = write_chain(tmp_path)
    plain, ordered = tally("contract", "inputs", *files), tally("contract", "inputs", *files, "--order", ORDER)
    changed = [step for step, a, b in zip(STEPS, plain.lines, ordered.lines, strict=True) if a != b]
    assert (changed, ordered.err) == (["payment"], plain.err)
    assert ordered.lines[-1]["body"] == plain.lines[-1]["body"] | {"OrderReference": {"ID": ORDER}}
    assert '"value":107.50' in ordered.out.splitlines()[-1]


def test_a_document_of_another_order_is_left_as_it_is_and_told_of(tmp_path: Path) -> None:
    files = write_chain(tmp_path)
    plain, ordered = tally("contract", "inputs", *files[:4]), tally("contract", "inputs", *files[:4], "--order", "PO-2")
    assert ordered.out == plain.out
    notes = [f"{path}: it is of order {ORDER}, and is left as it is" for path in files[:4]]
    assert ordered.err.splitlines()[:4] == notes


@pytest.mark.parametrize(
    ("kind", "inside", "reference"),
    [
        ("ApplicationResponse", "<cbc:ID>1</cbc:ID>", {"ID": "7"}),
        ("RemittanceAdvice", "", {"ID": "7"}),
        ("Invoice", "<cbc:ID>1</cbc:ID>", {"ID": "7"}),
        ("DespatchAdvice", "<cac:DespatchLine><cbc:ID>1</cbc:ID></cac:DespatchLine>", [{"ID": "7"}]),
        ("ReceiptAdvice", "", [{"ID": "7"}]),
    ],
)
def test_the_order_is_an_array_where_ubl_has_one(kind: str, inside: str, reference: Any) -> None:
    found = read(ubl(kind, inside))
    assert named_orders(found) == set()
    assert json.loads(add_order(found, "7").body) == json.loads(found.body) | {"OrderReference": reference}


def test_an_order_that_a_line_names_is_named() -> None:
    of_line = "<cac:OrderReference><cbc:ID>{}</cbc:ID></cac:OrderReference>"
    lines = "".join(
        f"<cac:InvoiceLine><cac:OrderLineReference>{of_line.format(i)}</cac:OrderLineReference></cac:InvoiceLine>"
        for i in (7, 8)
    )
    assert named_orders(read(ubl("Invoice", lines))) == {"7", "8"}
    assert named_orders(read(ubl("Order", "<cbc:ID>9</cbc:ID>"))) == {"9"}


def test_an_order_may_fill_a_body_and_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(ubl("RemittanceAdvice", "<cbc:ID>1</cbc:ID>"))
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", len(add_order(found, "7").body))
    add_order(found, "7")
    with pytest.raises(TooLarge):
        add_order(found, "77")
