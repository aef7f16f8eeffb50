"""One party of a ready contract can neither fill a case, so that the others file nothing more, nor act for another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from tests.plain_fold import cases, fold, library

COLD: Final = cases("cold_chain")["terms"]


def _order(name: str = "PO-1") -> dict[str, Any]:
    line = {"LineItem": {"ID": "1", "Quantity": {"value": 1000, "unitCode": "EA"}, "LineExtensionAmount": _eur(1000)}}
    return {"role": "buyer", "type": "order", "body": {"ID": name, "DocumentCurrencyCode": "EUR", "OrderLine": [line]}}


def _eur(value: int | Decimal) -> dict[str, Any]:
    return {"value": value, "currencyID": "EUR"}


def test_a_case_takes_a_hundred_documents_of_a_kind_and_others_still_file_theirs() -> None:
    receipts = [
        {
            "role": "buyer",
            "type": "receipt",
            "body": {
                "ID": f"R-{number}",
                "IssueDate": "2026-01-10",
                "OrderReference": {"ID": "PO-1"},
                "ReceiptLine": [{"ID": "1", "ReceivedQuantity": {"value": 1, "unitCode": "EA"}}],
            },
        }
        for number in range(101)
    ]
    despatch = {
        "role": "seller",
        "type": "despatch",
        "body": {
            "ID": "D-1",
            "OrderReference": {"ID": "PO-1"},
            "DespatchLine": [{"ID": "1", "DeliveredQuantity": {"value": 1, "unitCode": "EA"}}],
        },
    }
    folded = fold([_order(), *receipts, despatch], library("purchase"), {})
    assert [number for number, reason in enumerate(folded.reasons) if reason is not None] == [101]


def test_refunds_of_the_seller_leave_the_buyer_room_for_its_payments() -> None:
    refunds = [_payment("seller", f"RF-{number}", Decimal("0.01")) for number in range(101)]
    cancelled = {"ID": "OC-1", "OrderReference": {"ID": "PO-1"}}  # so that the seller owes what was paid in advance
    paid = [_payment("buyer", "P-1", 2), {"role": "buyer", "type": "order-cancellation", "body": cancelled}]
    folded = fold([_order(), *paid, *refunds, _payment("buyer", "P-2", 1)], library("purchase"), {})
    assert [number for number, reason in enumerate(folded.reasons) if reason is not None] == [103]


def _payment(role: str, name: str, value: int | Decimal) -> dict[str, Any]:
    body = {"ID": name, "PaidDate": "2026-01-10", "OrderReference": {"ID": "PO-1"}, "PaidAmount": _eur(value)}
    return {"role": role, "type": "payment", "body": body}


def _consignment(kind: str, role: str, author: str, **body: Any) -> dict[str, Any]:
    return {"role": role, "type": kind, "author": author, "body": {"consignment": "C-1", **body}}


def _consigned(**more: Any) -> dict[str, Any]:
    return {"role": "shipper", "type": "consignment", "author": "grower.example", "body": {"ID": "C-1", **more}}


def test_goods_are_delivered_to_whom_the_consignment_names() -> None:
    inputs = [
        _consigned(receiver="shop.example"),
        _consignment("delivery", "receiver", "stranger.example", ActualDeliveryDate="2026-03-05"),
        _consignment("delivery", "receiver", "shop.example", ActualDeliveryDate="2026-03-05"),
    ]
    folded = fold(inputs, library("cold_chain"), COLD)
    assert [reason is None for reason in folded.reasons] == [True, False, True]
    assert "goes to shop.example, not to stranger.example" in folded.rejected[1]


@pytest.mark.parametrize("length", [50, 51])
def test_an_id_of_a_receivable_has_a_bound(length: int) -> None:
    order = {
        "role": "debtor",
        "type": "order",
        "body": {
            "ID": "x" * length,
            "DocumentCurrencyCode": "EUR",
            "OrderLine": [
                {
                    "LineItem": {
                        "ID": "1",
                        "Quantity": {"value": 1, "unitCode": "EA"},
                        "LineExtensionAmount": _eur(1),
                    }
                }
            ],
        },
    }
    folded = fold([order], library("receivable"), cases("receivable")["terms"])
    assert (folded.reasons[0] is None) == (length == 50), folded.reasons
