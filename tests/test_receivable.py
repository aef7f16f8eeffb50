"""Receivables are sold once: what holds for every case of the library's file, and for documents at random."""

from __future__ import annotations

import ast
import copy
import json
import random
from decimal import Decimal
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from tests.plain_fold import LIBRARY, Folded, cases, fold, library, write

_CASES: Final = cases("receivable")
_SOURCE: Final = library("receivable")
_SCHEMA: Final = json.loads((LIBRARY / "receivable.schema.json").read_bytes())


def _folded(case: dict[str, Any]) -> Folded:
    return fold(case["steps"], _SOURCE, case.get("terms", _CASES["terms"]))


def _named(name: str) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(next(case for case in _CASES["cases"] if case["name"] == name))
    return found


@pytest.mark.parametrize("case", _CASES["cases"], ids=lambda case: case["name"])
def test_money_of_every_case_adds_up(case: dict[str, Any]) -> None:
    for state in _folded(case).states.values():
        _check_money(state)


def _check_money(state: dict[str, Any]) -> None:
    for invoice in state["invoices"].values():
        assert invoice["payable"] == invoice["credited"] + invoice["paid"] + invoice["open"]
        assert invoice["open"] == invoice["owed"] + invoice["disputed"]
        assert min(invoice[name] for name in ("credited", "paid", "open", "owed", "disputed")) >= 0
        assert min(invoice["misdirected"].values(), default=1) > 0


@pytest.mark.parametrize("case", _CASES["cases"], ids=lambda case: case["name"])
def test_no_goods_are_taken_twice(case: dict[str, Any]) -> None:
    for state in _folded(case).states.values():
        for number, line in state["lines"].items():
            assigned = [each for each in state["invoices"].values() if each["status"] == "confirmed"]
            taken = sum(each["lines"].get(number, [0])[0] for each in assigned)
            assert taken <= max(line["ordered"], line["received"])


@pytest.mark.parametrize("case", _CASES["cases"], ids=lambda case: case["name"])
def test_refused_input_leaves_no_trace(case: dict[str, Any]) -> None:
    kept = {**case, "steps": [step for step in case["steps"] if "rejected" not in step]}
    untimed = [_folded(each).states for each in (case, kept)]
    for states in untimed:
        for state in states.values():
            for invoice in state["invoices"].values():
                (invoice["assignment"] or {}).pop("since", None)
    assert untimed[0] == untimed[1]


def test_terms_of_the_cases_follow_their_schema() -> None:
    Draft202012Validator.check_schema(_SCHEMA)
    for terms in (_CASES["terms"], *(case["terms"] for case in _CASES["cases"] if "terms" in case)):
        Draft202012Validator(_SCHEMA).validate(terms)
    assert not Draft202012Validator(_SCHEMA).is_valid({"coverage": "any", "surcharge_percent": 25})


def test_a_dearer_invoice_over_the_same_goods_is_refused_at_every_amount() -> None:
    case = _named("renumbered, with another date and a cent less")
    for cents in (1, 11999, 12000, 12001, 999999):
        amount = Decimal(cents).scaleb(-2)
        case["steps"][-2]["body"]["LegalMonetaryTotal"]["PayableAmount"]["value"] = amount
        case["steps"][-1]["body"]["AssignedAmount"]["value"] = amount
        assert "are taken" in _folded(case).rejected[len(case["steps"]) - 1]


@pytest.mark.slow
def test_whatever_is_tried_no_goods_are_sold_twice_and_no_money_is_lost() -> None:
    """Random documents, most of them refused: what is sold stays within what came, at the order's price and 25 %."""
    chance, counted = random.Random(17), 0
    for _ in range(60):
        steps = [_named("sold once, and paid to who bought it")["steps"][0]]
        steps += [_tried(chance, str(number)) for number in range(40)]
        state = fold(steps, _SOURCE, _CASES["terms"]).states["PO-1"]
        _check_money(state)
        sold = [each for each in state["invoices"].values() if each["pay_to"] != "seller" and each["open"]]
        received = state["lines"]["1"]["received"]
        assert sum(each["lines"]["1"][0] for each in sold) <= received
        assert sum(each["payable"] for each in sold) * 100 <= received * 125
        counted += len(sold)
    assert counted > 30, "too few were sold for this to say anything"


def _tried(chance: random.Random, number: str) -> dict[str, Any]:
    """Some document about one of four invoices, two of which are one; an assignment bears its invoice's number."""
    name, units = chance.choice([("F-1", 30), ("F-2", 50), ("F-3", 100), ("F-4", 100)])
    assignee, payable = chance.choice("12"), units * Decimal("1.20")
    amount = {"value": payable if chance.random() < 0.8 else Decimal("12.00"), "currencyID": "GBP"}
    body: dict[str, Any] = {"ID": number, "OrderReference": {"ID": "PO-1"}}
    invoice, assigned = {"InvoiceDocumentReference": {"ID": name}}, {"AssignmentReference": {"ID": name}}
    to, quantity, net = (
        {"Assignee": f"financier_{assignee}"},
        {"value": units, "unitCode": "KGM"},
        {"currencyID": "GBP"},
    )
    line = {"ID": "1", "InvoicedQuantity": quantity, "LineExtensionAmount": {**net, "value": units}}
    total = {"PayableAmount": {**net, "value": payable}}
    dates = {"IssueDate": "2026-01-21", "DueDate": "2026-02-20"}
    invoice["InvoiceDocumentReference"]["IssueDate"] = "2026-01-21"
    credit = {"BillingReference": [invoice], "LegalMonetaryTotal": {"PayableAmount": amount}}
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "receipt": ("debtor", {"ReceiptLine": [{"ID": "1", "ReceivedQuantity": quantity}]}),
        "invoice": ("seller", {"ID": name, **dates, "InvoiceLine": [line], "LegalMonetaryTotal": total}),
        "assignment": ("seller", {"ID": name, **dates, **to, **invoice, "AssignedAmount": amount}),
        "assignment-confirmation": ("debtor", {**assigned, **to, "ResponseCode": "AP", "ConfirmedAmount": amount}),
        "assignment-release": (chance.choice(["seller", to["Assignee"]]), assigned),
        "credit-note": ("seller", credit),
        "dilution": (to["Assignee"], credit),
        "payment": ("debtor", {"RemittanceAdviceLine": [{"DebitLineAmount": amount, "BillingReference": [invoice]}]}),
    }
    kind = chance.choice([*bodies, *["assignment"] * 6, *["assignment-confirmation"] * 12])
    if int(number) < 12:
        kind = chance.choice(["receipt", "invoice", "invoice"])
    role, members = bodies[kind]
    if kind == "assignment-confirmation" and chance.random() < 0.3:
        members = {**members, "ResponseCode": "CA", "Description": ["damp"]}
    if kind == "payment" and chance.random() < 0.5:
        members = {**members, **to}
    return {"role": role, "type": kind, "body": {**body, **members}}


def test_numbers_keep_their_cents() -> None:
    state = _folded(_named("partial deliveries, each sold to another financier")).states["PO-1"]
    assert str(state["invoices"]["F-17"]["owed"]) == "72.00"
    assert "100.00" in write(state["lines"]) and "100," in write(state["lines"])


def test_state_of_an_invoice_stays_small() -> None:
    state = _folded(_named("sold once, and paid to who bought it")).states["PO-1"]
    assert len(write(state["invoices"]["F-17"])) < 500


def test_contract_asks_for_nothing_that_is_not_given() -> None:
    tree = ast.parse(_SOURCE)
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Div) or _is_float(node)] == []
    assert len(_SOURCE.splitlines()) <= 300


def _is_float(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)
