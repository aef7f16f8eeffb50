"""Receivables are sold once: the worked example and the attempts of the library's cases file."""

from __future__ import annotations

import ast
import copy
from decimal import Decimal
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from tests.plain_receivable import cases, fold, library, read, readable, schema, write

_CASES: Final = cases("receivable")
_SOURCE: Final = library("receivable")


def _folded(case: dict[str, Any]) -> Any:
    return fold(case["steps"], _SOURCE, case.get("terms", _CASES["terms"]))


def _named(name: str) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(next(case for case in _CASES["cases"] if case["name"] == name))
    return found


def _differences(wanted: Any, got: Any, place: str = "") -> list[str]:
    """Where `got` lacks or contradicts a member that is wanted; others may be there, numbers compare as numbers."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        pairs = [(value, got.get(name, "absent"), f"{place}/{name}") for name, value in wanted.items()]
        return [text for value, other, inside in pairs for text in _differences(value, other, inside)]
    return [] if wanted == got else [f"{place}: wanted {wanted}, got {got}"]


@pytest.mark.parametrize("case", _CASES["cases"], ids=lambda case: case["name"])
def test_case_comes_out_as_it_says(case: dict[str, Any]) -> None:
    folded = _folded(case)
    for step, reason, fields in zip(case["steps"], folded.reasons, folded.fields, strict=True):
        wanted = step.get("rejected")
        assert (reason is None) == (wanted is None) and (wanted or "") in (reason or ""), reason
        for role, names in step.get("reads", {}).items():
            assert readable(fields, role, step["role"]) == names, role
    assert _differences(case.get("states", {}), folded.states) == []
    assert _differences(case.get("summaries", {}), folded.summaries) == []


@pytest.mark.parametrize("case", _CASES["cases"], ids=lambda case: case["name"])
def test_money_of_every_case_adds_up(case: dict[str, Any]) -> None:
    for state in _folded(case).states.values():
        for invoice in state["invoices"].values():
            assert invoice["payable"] == invoice["credited"] + invoice["paid"] + invoice["open"]
            assert invoice["open"] == invoice["owed"] + invoice["disputed"]
            assert min(invoice[name] for name in ("credited", "paid", "open", "owed", "disputed")) >= 0


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
    untimed = [read(write(_folded(each).states)) for each in (case, kept)]
    for states in untimed:
        for state in states.values():
            for invoice in state["invoices"].values():
                (invoice["assignment"] or {}).pop("since", None)
    assert untimed[0] == untimed[1]


def test_terms_of_the_cases_follow_their_schema() -> None:
    Draft202012Validator.check_schema(schema("receivable"))
    for terms in (_CASES["terms"], *(case["terms"] for case in _CASES["cases"] if "terms" in case)):
        Draft202012Validator(schema("receivable")).validate(terms)
    assert not Draft202012Validator(schema("receivable")).is_valid({"coverage": "any", "surcharge_percent": 25})


def test_a_dearer_invoice_over_the_same_goods_is_refused_at_every_amount() -> None:
    case = _named("renumbered, with another date and a cent less")
    for cents in (1, 11999, 12000, 12001, 999999):
        amount = Decimal(cents).scaleb(-2)
        case["steps"][-2]["body"]["LegalMonetaryTotal"]["PayableAmount"]["value"] = amount
        case["steps"][-1]["body"]["AssignedAmount"]["value"] = amount
        assert "are taken" in (_folded(case).reasons[-1] or "")


def test_numbers_keep_their_cents() -> None:
    state = _folded(_named("partial deliveries, each sold to another financier")).states["PO-1"]
    assert str(state["invoices"]["F-17"]["owed"]) == "72.00"
    assert b"100.00" in write(state["lines"]) and b"100," in write(state["lines"])


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
