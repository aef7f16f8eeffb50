"""The contract `purchase`: what holds for all of its cases."""

from __future__ import annotations

import ast
import json
from typing import Any, Final

import pytest

from ledger.fields import compile_rules, cut
from tests.json_schemas import draft2020
from tests.plain_fold import LIBRARY, Folded, cases, fold, library

SOURCE: Final = library("purchase")
_CASES: Final = cases("purchase")
_NAMES: Final = ("AUTHORS", "SHARES", "SIGNERS")
_LITERALS: Final[dict[str, Any]] = {
    node.targets[0].id: ast.literal_eval(node.value)
    for node in ast.parse(SOURCE).body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in _NAMES
}


def _folded(case: dict[str, Any]) -> Folded:
    return fold(case["steps"], SOURCE, case.get("terms", _CASES["terms"]))


def test_each_role_reads_the_fields_that_the_cases_say() -> None:
    looked_at = 0
    for step in (step for case in _CASES["cases"] for step in case["steps"] if "reads" in step):
        body = json.dumps(step["body"], default=str).encode()
        fields = cut(body, compile_rules(_LITERALS["SHARES"][step["type"]]))
        for role, names in step["reads"].items():
            assert sorted(field.name for field in fields if role in field.audience) == sorted(names), step["type"]
            looked_at += 1
    assert looked_at >= 10


def test_no_price_reaches_the_carrier_and_no_line_the_bank() -> None:
    for step in (step for case in _CASES["cases"] for step in case["steps"]):
        body = json.dumps(step["body"], default=str).encode()
        for field in cut(body, compile_rules(_LITERALS["SHARES"][step["type"]])):
            assert "carrier" not in field.audience or b"currencyID" not in field.text
            assert "bank" not in field.audience or b"Quantity" not in field.text


def test_buyer_and_seller_read_every_field_so_the_contract_does_too() -> None:
    audiences = [roles for patterns in _LITERALS["SHARES"].values() for roles in patterns.values()]
    assert all(roles >= _LITERALS["SIGNERS"] for roles in audiences)
    assert set(_LITERALS["SHARES"]) == set(_LITERALS["AUTHORS"])


@pytest.mark.slow
def test_terms_of_every_case_follow_the_schema() -> None:
    schema = draft2020(json.loads((LIBRARY / "purchase.schema.json").read_text()))
    for case in _CASES["cases"]:
        schema.validate(json.loads(json.dumps(case.get("terms", _CASES["terms"]), default=float)))
    assert not schema.is_valid({"quantity_percent": -1}) and not schema.is_valid({"tolerance": 1})
    assert all("description" in member for member in schema.schema["properties"].values())


def test_every_term_of_the_schema_is_used_by_the_contract() -> None:
    schema = json.loads((LIBRARY / "purchase.schema.json").read_text())
    for name in schema["properties"]:
        family, _, kind = name.rpartition("_")
        assert f'"{name}"' in SOURCE or (kind in ("percent", "absolute") and f'"{family}"' in SOURCE), name


@pytest.mark.slow
def test_the_accounts_of_every_case_balance_after_every_step() -> None:
    for case in _CASES["cases"]:
        for end in range(1, len(case["steps"]) + 1):
            folded = fold(case["steps"][:end], SOURCE, case.get("terms", {}))
            for name, state in folded.states.items():
                _check_balance(state, folded.summaries[name])


def _check_balance(state: dict[str, Any], totals: dict[str, Any]) -> None:
    rows = state["invoices"]
    claims = sum(row["claim"] for row in rows)
    assert all(0 <= row["held"] <= row["claim"] for row in rows)
    assert totals["invoiced"] == claims
    owed = claims - totals["discount"] - totals["penalty"] + totals["interest"]
    assert totals["outstanding"] == owed - totals["paid"]
    assert totals["payable_now"] == max(owed - totals["paid"] - totals["held_back"], 0)
    assert bool(totals["held_back"]) == any(row["status"] in ("disputed", "waits for receipt") for row in rows)
    assert not totals["held_back"] or any(finding["held_net"] for finding in state["findings"])


@pytest.mark.slow
def test_a_refused_document_changes_nothing() -> None:
    for case in _CASES["cases"]:
        taken = [step for step in case["steps"] if "rejected" not in step]
        assert fold(taken, SOURCE, case.get("terms", {})).states == _folded(case).states, case["name"]


def test_every_change_that_is_taken_in_can_be_answered_however_often_the_seller_acknowledged() -> None:
    order = {"ID": "PO-1", "DocumentCurrencyCode": "GBP", "OrderLine": [_line(0)]}
    steps = [{"role": "buyer", "type": "order", "body": order}, _answer("R", "AP")]
    for number in range(99):
        change = {"ID": f"C{number}", "OrderReference": {"ID": "PO-1"}, "OrderLine": [_line(number)]}
        named = {"OrderChangeDocumentReference": {"ID": f"C{number}"}}
        steps.append({"role": "buyer", "type": "order-change", "body": change})
        steps += [_answer(f"A{number}", "AB", **named), _answer(f"R{number}", "AP", **named)]
    last = {"ID": "C99", "OrderReference": {"ID": "PO-1"}, "OrderLine": [_line(99)]}
    refused = {"role": "buyer", "type": "order-change", "body": last, "rejected": "the seller has no answer left"}
    state = fold([*steps, refused], SOURCE, {}).states["PO-1"]
    assert state["pending"] is None and state["lines"]["1"]["ordered"] == 198


def _line(more: int) -> dict[str, Any]:
    amount = {"value": 100, "currencyID": "GBP"}
    return {"LineItem": {"ID": "1", "Quantity": {"value": 100 + more, "unitCode": "EA"}, "LineExtensionAmount": amount}}


def _answer(name: str, code: str, **named: Any) -> dict[str, Any]:
    body = {"ID": name, "OrderResponseCode": code, "OrderReference": {"ID": "PO-1"}, **named}
    return {"role": "seller", "type": "order-response", "body": body}
