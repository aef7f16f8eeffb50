"""Random documents of one order, in any order: nothing is payable that was not bought and received."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import pytest

from tests.plain_fold import Folded, fold, library

_SOURCE: Final = library("purchase")
_PRICES: Final = {"1": Decimal("4.00"), "2": Decimal("0.35")}
_ORDERED: Final = {"1": 10, "2": 40}
_RATE: Final = 20
_CENT: Final = Decimal("0.01")
_TERMS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"interest_percent": 9, "payment_days": 5},
    {"discount_percent": 2, "discount_days": 6, "penalty_percent_per_day": 1, "penalty_cap_percent": 5},
)


def _amount(value: Decimal) -> dict[str, Any]:
    return {"value": value, "currencyID": "EUR"}


def _quantity(value: int) -> dict[str, Any]:
    return {"value": value, "unitCode": "EA"}


def _order() -> dict[str, Any]:
    lines = [
        {"LineItem": {"ID": name, "Quantity": _quantity(ordered), "Price": {"PriceAmount": _amount(_PRICES[name])}}}
        for name, ordered in _ORDERED.items()
    ]
    delivery = [{"RequestedDeliveryPeriod": {"EndDate": "2026-01-10"}}]
    body = {"ID": "PO-1", "DocumentCurrencyCode": "EUR", "Delivery": delivery, "OrderLine": lines}
    return {"type": "order", "role": "buyer", "body": body}


def _document(draw: random.Random, number: int) -> dict[str, Any]:
    kind = draw.choice(
        ("receipt", "receipt", "invoice", "invoice", "credit-note", "payment", "payment", "order-change")
    )
    day = f"2026-01-{draw.randint(5, 28):02}"
    body: dict[str, Any] = {"ID": f"D{number}", "IssueDate": day, "OrderReference": {"ID": "PO-1"}}
    billed = [{"InvoiceDocumentReference": {"ID": f"D{draw.randint(1, 14)}"}}]
    if kind == "receipt":
        counts = {"ReceivedQuantity": draw.randint(0, 9), "RejectedQuantity": draw.choice((0, 0, 1, 3))}
        line = {name: _quantity(count) for name, count in counts.items()}
        body["ReceiptLine"] = [{"ID": draw.choice("12"), **line}]
    elif kind == "payment":
        body |= {"PaidAmount": _amount(draw.randint(1, 6000) * _CENT), "BillingReference": billed}
    elif kind == "order-change":
        body["OrderLine"] = [{"LineItem": {"ID": draw.choice("12"), "Quantity": _quantity(draw.randint(1, 40))}}]
    else:
        body |= _bill(draw, "Invoice" if kind == "invoice" else "CreditNote")
        body |= {} if kind == "invoice" else {"BillingReference": billed}
    role = "seller" if kind in ("invoice", "credit-note") else "buyer"
    return {"type": kind, "role": role, "body": body}


def _bill(draw: random.Random, kind: str) -> dict[str, Any]:
    """One to three lines, now and then with a quantity below 0 or a price that is not agreed; tax is 20 percent."""
    lines, net = [], Decimal(0)
    for _ in range(draw.randint(1, 3)):
        name, count = draw.choice("12"), draw.choice((1, 2, 3, 5, 10, 20, -1))
        asked = count * _PRICES[name] + draw.choice((0, 0, 0, _CENT * count))
        net += asked
        field = "InvoicedQuantity" if kind == "Invoice" else "CreditedQuantity"
        item = {"ClassifiedTaxCategory": [{"Percent": _RATE}]}
        lines.append({"ID": name, field: _quantity(count), "LineExtensionAmount": _amount(asked), "Item": item})
    tax = (net * _RATE / 100).quantize(_CENT, ROUND_HALF_UP)
    total = {"PayableAmount": _amount(net + tax)}
    return {f"{kind}Line": lines, "TaxTotal": [{"TaxAmount": _amount(tax)}], "LegalMonetaryTotal": total}


def _check(folded: Folded) -> None:
    # A refusal is a sentence of the contract's own, never an error that slipped out.
    assert {reason.kind for reason in folded.reasons if reason} <= {"Reject"}, folded.rejected
    state, totals = folded.states["PO-1"], folded.summaries["PO-1"]
    matching = sum(row["claim"] - row["held"] for row in state["invoices"])
    roundings = _CENT * sum(1 + len(row["lines"]) for row in state["invoices"])
    assert all(0 <= row["held"] <= row["claim"] for row in state["invoices"])
    if not any(count < 0 for row in state["invoices"] for count, _, _ in row["lines"].values()):
        assert matching <= totals["received_value"] * (100 + _RATE) / 100 + roundings
    assert totals["invoiced"] == matching + totals["held_back"]
    owed = totals["invoiced"] - totals["discount"] - totals["penalty"] + totals["interest"]
    assert totals["outstanding"] == owed - totals["paid"]
    assert totals["payable_now"] == max(owed - totals["paid"] - totals["held_back"], 0)
    for row in state["invoices"]:
        said = [finding for finding in state["findings"] if finding["invoice"] == row["id"] and finding["held_net"]]
        assert bool(row["held"]) == bool(said) or not row["claim"], row


@pytest.mark.slow
@pytest.mark.parametrize("terms", _TERMS, ids=("plain", "interest", "discount and penalty"))
def test_nothing_is_payable_that_was_not_received_at_the_agreed_price(seed: int, terms: dict[str, Any]) -> None:
    draw = random.Random(seed)
    applied = 0
    for _ in range(20):
        documents = [_order()] + [_document(draw, number) for number in range(1, 15)]
        folded = fold(documents, _SOURCE, terms)
        _check(folded)
        applied += len(documents) - len(folded.rejected)
        taken = [one for at, one in enumerate(documents) if at not in folded.rejected]
        assert fold(taken, _SOURCE, terms).states == folded.states
    assert applied > 100, "most documents are taken"


@pytest.mark.slow
def test_whatever_is_netted_money_is_neither_made_nor_lost(seed: int) -> None:
    """Three invoices, credit notes of them, and remittances over any two: what moved is what was paid in all."""
    draw, netted = random.Random(seed), 0
    for _ in range(20):
        documents = [_order(), *(_named(f"D{number}", "receipt", 9) for number in range(3))]
        documents += [_named(f"D{number}", "invoice", number + 1) for number in range(3)]
        documents += [_drawn(draw, f"E{number}") for number in range(12)]
        folded = fold(documents, _SOURCE, {})
        _check(folded)
        taken = [one for at, one in enumerate(documents) if at not in folded.rejected and one["type"] == "payment"]
        moved = sum((one["body"]["TotalPaymentAmount"]["value"] for one in taken), Decimal(0))
        assert folded.summaries["PO-1"]["paid"] == moved
        rows = folded.states["PO-1"]["invoices"]
        assert all(row["paid"] >= -row.get("credited", 0) for row in rows)
        netted += sum(row["paid"] < 0 for row in rows)
    assert netted > 0, "a credit note was netted before its invoice was paid"


def _named(name: str, kind: str, count: int, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"ID": name, "IssueDate": "2026-01-12", "OrderReference": {"ID": "PO-1"}, **more}
    if kind == "receipt":
        body["ReceiptLine"] = [{"ID": "2", "ReceivedQuantity": _quantity(count)}]
    else:
        field, asked = ("Invoice" if kind == "invoice" else "CreditNote"), _amount(count * _PRICES["2"])
        number = {"InvoicedQuantity" if kind == "invoice" else "CreditedQuantity": _quantity(count)}
        body |= {f"{field}Line": [{"ID": "2", **number, "LineExtensionAmount": asked}]}
        body["LegalMonetaryTotal"] = {"PayableAmount": asked}
    return {"type": kind, "role": "buyer" if kind == "receipt" else "seller", "body": body}


def _drawn(draw: random.Random, name: str) -> dict[str, Any]:
    """A credit note of one unit, or a remittance that pays one invoice and nets a credit note or an invoice."""
    invoices = [[{"InvoiceDocumentReference": {"ID": f"D{number}"}}] for number in range(3)]
    credits = [[{"CreditNoteDocumentReference": {"ID": f"E{number}"}}] for number in range(6)]
    if draw.random() < 0.4:
        return _named(name, "credit-note", 1, BillingReference=draw.choice(invoices))
    back, paid = draw.randint(1, 40) * _CENT, draw.randint(1, 100) * _CENT
    taken = {"CreditLineAmount": _amount(back), "BillingReference": draw.choice(credits + invoices)}
    lines = draw.sample([taken, {"DebitLineAmount": _amount(paid), "BillingReference": draw.choice(invoices)}], 2)
    total = paid - back
    body = {"ID": name, "PaidDate": "2026-01-20", "OrderReference": {"ID": "PO-1"}, "RemittanceAdviceLine": lines}
    if total < 0:  # no document says that less than nothing moved
        return _drawn(draw, name)
    return {"type": "payment", "role": "buyer", "body": {**body, "TotalPaymentAmount": _amount(total)}}
