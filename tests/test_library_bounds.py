"""Each bound of a purchase or a receivable at n and n + 1: what the fills of test_library_full.py are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from tests.plain_fold import Folded, cases, fold, library

Step = dict[str, Any]
_TERMS: Final = {"purchase": {}, "receivable": cases("receivable")["terms"]}
_SIZES: Final = {"line": 50, "unit": 12, "currency": 12, "seller": 63, "letters": 24}


def _folded(name: str, *steps: Step) -> Folded:
    return fold(steps, library(name), _TERMS[name])


def _eur(value: Any, currency: str = "EEE") -> Step:
    return {"value": value, "currencyID": currency}


def _order(role: str, lines: int = 1, **sizes: int) -> Step:
    of = {"line": 3, "unit": 2, "currency": 3, "seller": 14, "letters": 5} | sizes
    quantity = {"value": Decimal("9." + "5" * (of["letters"] - 2)), "unitCode": "u" * of["unit"]}
    worth = _eur(1000, "E" * of["currency"])
    items = [
        {"ID": f"{number:03}".ljust(of["line"], "x"), "Quantity": quantity, "LineExtensionAmount": worth}
        for number in range(lines)
    ]
    body = {
        "ID": "PO-1",
        "Seller": "seller.example".ljust(of["seller"], "s"),
        "DocumentCurrencyCode": "E" * of["currency"],
    }
    return {"role": role, "type": "order", "body": {**body, "OrderLine": [{"LineItem": item} for item in items]}}


def _step(role: str, kind: str, name: str, **body: Any) -> Step:
    return {"role": role, "type": kind, "body": {"ID": name, "OrderReference": {"ID": "PO-1"}, **body}}


def _bill(name: str, lines: int, day: str = "2026-01-02") -> Step:
    made = [
        {"ID": f"{n:03}", "InvoicedQuantity": {"value": 1, "unitCode": "uu"}, "LineExtensionAmount": _eur(1)}
        for n in range(lines)
    ]
    total = {"PayableAmount": _eur(lines)}
    body = {"IssueDate": day, "DueDate": "2026-01-30", "InvoiceLine": made, "LegalMonetaryTotal": total}
    return _step("seller", "invoice", name, **body)


def _billed(*invoices: str) -> list[Step]:
    return [{"BillingReference": [{"InvoiceDocumentReference": {"ID": name}}]} for name in invoices]


@pytest.mark.parametrize("what", _SIZES)
@pytest.mark.parametrize(("name", "role"), [("purchase", "buyer"), ("receivable", "debtor")])
def test_what_a_state_keeps_of_an_order_has_a_longest_form(name: str, role: str, what: str) -> None:
    assert _folded(name, _order(role, **{what: _SIZES[what]})).rejected == {}
    assert list(_folded(name, _order(role, **{what: _SIZES[what] + 1})).rejected) == [0]


@pytest.mark.parametrize(
    ("name", "role", "most", "said"),
    [("purchase", "buyer", 771, "bytes, at most 115000"), ("receivable", "debtor", 300, "lines, at most")],
)
def test_an_order_has_so_many_lines_and_no_more(name: str, role: str, most: int, said: str) -> None:
    assert _folded(name, _order(role, most)).rejected == {}
    assert said in _folded(name, _order(role, most + 1)).rejected[0]


@pytest.mark.parametrize(
    ("name", "role", "most", "said"),
    [("purchase", "buyer", 235, "bytes, at most 76000"), ("receivable", "debtor", 1000 // 5 - 8, "too many")],
)
def test_the_invoices_of_an_order_and_their_lines_have_a_greatest_number(
    name: str, role: str, most: int, said: str
) -> None:
    bills = [_bill(f"INV-{number}", most, f"2026-01-0{number}") for number in range(1, 6)]
    assert _folded(name, _order(role, most), *bills).rejected == {}
    assert said in _folded(name, _order(role, most), *bills, _bill("INV-9", 1)).rejected[6]


def test_the_invoices_of_an_order_are_paid_late_on_so_many_days_by_each_who_pays() -> None:
    steps = [_order("buyer"), *(_bill(f"INV-{n}", 1, f"2026-01-0{n}") for n in range(1, 4))]
    for number in range(67):
        lines = [{**one, "DebitLineAmount": _eur(1)} for one in _billed("INV-1", "INV-2", "INV-3")]
        day = f"2026-{2 + number // 28:02}-{number % 28 + 1:02}"
        steps.append(_step("bank", "payment", f"P-{number}", PaidDate=day, RemittanceAdviceLine=lines))
    last = _step("buyer", "payment", "P-67", PaidDate="2026-05-01", RemittanceAdviceLine=lines)
    rejected = _folded("purchase", *steps, last).rejected
    assert list(rejected) == [70] and "paid late on 200 days" in rejected[70]


def test_a_bank_leaves_the_buyer_its_payments() -> None:
    crumbs = [_step("bank", "payment", f"B-{number}", PaidAmount=_eur(1)) for number in range(101)]
    paid = [_step("buyer", "payment", f"P-{number}", PaidAmount=_eur(1)) for number in range(101)]
    again = _step("buyer", "payment", "B-1", PaidAmount=_eur(1))
    rejected = _folded("purchase", _order("buyer"), *crumbs, again, *paid).rejected
    assert list(rejected) == [101, 102, 203] and "a duplicate" in rejected[102]


def test_each_side_of_a_purchase_files_three_hundred_documents() -> None:
    accepted = [_step("seller", "order-response", f"A-{number}", OrderResponseCode="AP") for number in range(100)]
    sent = [{"ID": "000", "DeliveredQuantity": {"value": 1, "unitCode": "uu"}}]
    despatched = [_step("seller", "despatch", f"D-{number}", DespatchLine=sent) for number in range(100)]
    bills = [_bill(f"INV-{number}", 1) for number in range(100)]
    for number, bill in enumerate(bills):
        bill["body"]["InvoiceLine"][0]["LineExtensionAmount"] = _eur(number)
        bill["body"]["LegalMonetaryTotal"]["PayableAmount"] = _eur(number)
    last = _step("seller", "credit-note", "CN-1", **_billed("INV-1")[0])
    rejected = _folded("purchase", _order("buyer"), *accepted, *despatched, *bills, last).rejected
    assert list(rejected) == [301] and "or 300 of this side" in rejected[301]


def test_each_side_of_a_receivable_files_so_many_documents() -> None:
    receipt = [{"ID": "000", "ReceivedQuantity": {"value": 1, "unitCode": "uu"}}]
    came = [_step("debtor", "receipt", f"R-{number}", ReceiptLine=receipt) for number in range(100)]
    cent = [{**_billed("INV-1")[0], "DebitLineAmount": _eur(Decimal("0.001"))}]
    paid = [_step("debtor", "payment", f"P-{n}", RemittanceAdviceLine=cent) for n in range(100)]
    about = {"InvoiceDocumentReference": {"ID": "INV-1", "IssueDate": "2026-01-02"}, "DueDate": "2026-01-30"}
    sold = _step("seller", "assignment", "A-1", **about, Assignee="financier_1", AssignedAmount=_eur(1))
    about = {"AssignmentReference": {"ID": "A-1"}, "Assignee": "financier_1", "ResponseCode": "CA", "Description": "x"}
    said = [
        _step("debtor", "assignment-confirmation", f"C-{n}", **about, ConfirmedAmount=_eur(Decimal(n + 1) / 1000))
        for n in range(50)
    ]
    credit = {**_billed("INV-1")[0], "LegalMonetaryTotal": {"PayableAmount": _eur(Decimal("0.001"))}}
    less = [_step("financier_1", "dilution", f"D-{number}", **credit) for number in range(100)]
    freed = _step("financier_1", "assignment-release", "REL-1", AssignmentReference={"ID": "A-1"})
    rejected = _folded(
        "receivable", _order("debtor"), *came, _bill("INV-1", 1), sold, *said, *paid, *less, freed
    ).rejected
    assert list(rejected) == [252, 353]
    assert "or 250 of the debtor" in rejected[252] and "or 100 of the financier_1" in rejected[353]


def test_a_seller_of_a_receivable_files_two_hundred_and_fifty_documents() -> None:
    credit = {**_billed("INV-1")[0], "LegalMonetaryTotal": {"PayableAmount": _eur(Decimal("0.001"))}}
    steps = [_order("debtor"), _bill("INV-1", 1)]
    steps += [_step("seller", "credit-note", f"CN-{number}", **credit) for number in range(100)]
    about = {"InvoiceDocumentReference": {"ID": "INV-1", "IssueDate": "2026-01-02"}, "DueDate": "2026-01-30"}
    about |= {"Assignee": "financier_1", "AssignedAmount": _eur(Decimal("0.900"))}
    for number in range(75):
        steps.append(_step("seller", "assignment", f"A-{number}", **about))
        steps.append(_step("seller", "assignment-release", f"R-{number}", AssignmentReference={"ID": f"A-{number}"}))
    rejected = _folded("receivable", *steps).rejected
    assert list(rejected) == [251] and "or 250 of the seller" in rejected[251]


def test_invoices_that_the_buyer_refuses_leave_the_seller_its_room() -> None:
    steps = [_order("buyer", 110)]
    for number in range(12):
        named = {"Response": {"ResponseCode": "RE"}, "DocumentReference": {"ID": f"INV-{number}"}}
        steps.append(_bill(f"INV-{number}", 110, f"2026-01-{number + 1:02d}"))
        steps.append(_step("buyer", "invoice-response", f"IR-{number}", DocumentResponse=[named]))
    assert _folded("purchase", *steps).rejected == {}
