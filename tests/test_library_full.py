"""A case of a ready contract has room for each side, whatever the other files: its state stays in bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pytest

from contracts import limits
from contracts.engine import Engine
from contracts.folding import Fold
from tests.plain_fold import cases, decode_inputs, encode, library

Step = dict[str, Any]


class _Case:
    """One case of a contract, filed to until nothing more is taken."""

    def __init__(self, engine: Engine, name: str, terms: Any) -> None:
        self.fold = Fold(engine, library(name), encode(terms))

    def file(self, steps: Sequence[Step]) -> list[str | None]:
        """Why each of them was refused; None where it was applied."""
        filed = self.fold.file(decode_inputs(steps, self.fold.source))
        reasons = [one.outcome.reason for one in filed]
        return [None if reason is None else reason.message for reason in reasons]

    @property
    def size(self) -> int:
        return max(len(state) for state in self.fold.states.values())


def _name(number: int, letter: str = "x", size: int = 50) -> str:
    return f"{number:03}" + letter * ((size - 3) // len(letter.encode()))


def _eur(value: Any) -> Step:
    return {"value": value, "currencyID": "EUR"}


def _each(value: Any, unit: str = "123456789012") -> Step:
    return {"value": value, "unitCode": unit}


def _purchase(role: str, kind: str, name: str, **body: Any) -> Step:
    return {"role": role, "type": kind, "body": {"ID": name, "OrderReference": {"ID": "PO-1"}, **body}}


def _order(lines: int) -> Step:
    quantity = _each(int("9" * 15))
    item = {"SellersItemIdentification": {"ID": _name(0)}}
    line = {"Quantity": quantity, "LineExtensionAmount": _eur(1000), "Item": item, "Delivery": _until("2026-01-02")}
    made = [{"LineItem": {**line, "ID": _name(number)}} for number in range(lines)]
    return _purchase("buyer", "order", "PO-1", DocumentCurrencyCode="EUR", OrderLine=made)


def _until(day: str) -> Step:
    return {"RequestedDeliveryPeriod": {"EndDate": day}}


def _bill(name: str, lines: int, day: str) -> Step:
    made = [
        {"ID": _name(number), "InvoicedQuantity": _each(1), "LineExtensionAmount": _eur(5)} for number in range(lines)
    ]
    total = {"PayableAmount": _eur(5 * lines)}
    return _purchase("seller", "invoice", name, IssueDate=day, InvoiceLine=made, LegalMonetaryTotal=total)


def _receipt(name: str, **more: Any) -> Step:
    line = {"ID": _name(0), "ReceivedQuantity": _each(Decimal("0.12345678")), **more}
    return _purchase("buyer", "receipt", name, IssueDate="2026-02-01", ReceiptLine=[line])


def _payment(name: str, day: str = "2026-03-01") -> Step:
    return _purchase("buyer", "payment", name, PaidDate=day, PaidAmount=_eur(1))


def _change(name: str, lines: int) -> Step:
    return {
        **_order(lines),
        "type": "order-change",
        "body": {**_order(lines)["body"], **_purchase("", "", name)["body"]},
    }


def _documents_of_the_buyer(letter: str) -> Iterator[Step]:
    yield from (_receipt(_name(number, letter)) for number in range(101))
    yield from (_payment(_name(number, letter)) for number in range(101))
    yield from (_change(_name(number, letter), 1) for number in range(101))


@pytest.mark.parametrize("letter", ["x", "\N{RED APPLE}", "\x01", '"'])
def test_a_buyer_who_fills_an_order_leaves_room_for_the_sellers_invoice(engine: Engine, letter: str) -> None:
    case = _Case(engine, "purchase", {"interest_percent": 8})
    accepted = _purchase("seller", "order-response", "OR-1", OrderResponseCode="AP")
    assert case.file([_order(120), accepted]) == [None, None]
    taken = case.file(list(_documents_of_the_buyer(letter))).count(None)
    assert taken == (299 if letter.isprintable() and letter != '"' else 0)
    assert case.file([_bill("INV-1", 120, "2026-03-02")]) == [None]
    assert case.size < limits.STATE_BYTES_MAX


def test_an_order_that_both_sides_fill_stays_within_its_bound(engine: Engine) -> None:
    """All that a state has room for, each at its longest: hundreds of days of late payments, credit notes, findings."""
    case = _Case(engine, "purchase", {"interest_percent": 8, "penalty_percent_per_day": 1, "discount_percent": 1})
    accepted = _purchase("seller", "order-response", "OR-1", OrderResponseCode="AP")
    assert case.file([_order(330), accepted]) == [None, None]
    bills = [_long_bill(number) for number in range(100)]
    assert case.file(bills).count(None) == 100
    credited = [_credit(_name(number), _name(number)) for number in range(100)]
    assert case.file(credited).count(None) == 100
    answered = [_purchase("seller", "despatch", _name(number), DespatchLine=[_sent(number)]) for number in range(100)]
    assert case.file(answered).count(None) == 99, "the seller's three hundredth is the last"
    days = [f"2026-{2 + number // 28:02}-{number % 28 + 1:02}" for number in range(100)]
    paid = [_remittance(_name(number), day, 98 + number % 2) for number, day in enumerate(days)]
    paid += [{**_remittance(f"B{step['body']['ID']}"[:50], "2027-01-01", 98, 99), "role": "bank"} for step in paid]
    receipts = [_receipt(_name(number), RejectedQuantity=_each(_SMALL)) for number in range(100)]
    assert case.file(paid + receipts).count(None) == 300
    (state,) = case.fold.states.values()
    assert limits.STATE_BYTES_MAX // 2 < len(state) < limits.STATE_BYTES_MAX
    assert state.count(b'"what"') == 20, "so many findings are kept"


_SMALL: Final = Decimal("0." + "1" * 22)
_LONG: Final = Decimal("1." + "0" * 20)


def _long_bill(number: int) -> Step:
    """An invoice of one line, with numbers of 24 letters, and another total than all others."""
    net, bill = number + 2 + _LONG, _bill(_name(number), 0, "2026-01-02")
    line = {"ID": _name(number), "InvoicedQuantity": _each(_SMALL), "LineExtensionAmount": _eur(net)}
    charge = {"ChargeIndicator": True, "Amount": _eur(_LONG)}
    total = {"PayableAmount": _eur(net), "PrepaidAmount": _eur(_LONG)}
    bill["body"] |= {"InvoiceLine": [line], "AllowanceCharge": [charge], "LegalMonetaryTotal": total}
    return {**bill, "body": {**bill["body"], "DueDate": "2026-01-30"}}


def _credit(name: str, invoice: str) -> Step:
    line = {"ID": _name(int(invoice[:3]) % 100), "CreditedQuantity": _each(0), "LineExtensionAmount": _eur(1)}
    body = {"CreditNoteLine": [line], "BillingReference": [{"InvoiceDocumentReference": {"ID": invoice}}]}
    return _purchase("seller", "credit-note", name, LegalMonetaryTotal={"PayableAmount": _eur(1)}, **body)


def _sent(number: int) -> Step:
    return {"ID": _name(number), "DeliveredQuantity": _each(_SMALL)}


def _remittance(name: str, day: str, *invoices: int) -> Step:
    billed = [{"BillingReference": [{"InvoiceDocumentReference": {"ID": _name(number)}}]} for number in invoices]
    lines = [{**one, "DebitLineAmount": _eur(_LONG)} for one in billed] + [{"DebitLineAmount": _eur(_LONG)}]
    return _purchase("buyer", "payment", name, PaidDate=day, RemittanceAdviceLine=lines)


def test_a_seller_who_fills_an_order_leaves_room_for_the_buyers_receipt(engine: Engine) -> None:
    case = _Case(engine, "purchase", {})
    assert case.file([_order(330)]) == [None]
    bills = [_bill(_name(number), number % 3 + 3, f"2026-01-{number % 28 + 1:02}") for number in range(1, 101)]
    assert case.file(bills).count(None) > 50
    assert case.file([_receipt("RA-1"), _payment("P-1")]) == [None, None]
    assert case.size < limits.STATE_BYTES_MAX


def test_an_order_has_a_greatest_number_of_lines(engine: Engine) -> None:
    case = _Case(engine, "purchase", {})
    assert [reason is None for reason in case.file([_order(400), _order(330), _change("OC-1", 400)])] == [0, 1, 0]
    assert 2 * case.size < limits.STATE_BYTES_MAX


def test_an_order_of_five_hundred_lines_has_room_for_all_its_documents(engine: Engine) -> None:
    """Each about all lines: response, a change that waits, despatch, receipt, two invoices, a return, its credit."""
    case = _Case(engine, "purchase", {"interest_percent": 8})
    line = {
        "Quantity": _each(99, "KGM"),
        "LineExtensionAmount": _eur(Decimal("1234.75")),
        "Delivery": _until("2026-01-20"),
    }
    item = {"Item": {"SellersItemIdentification": {"ID": "4012345678901"}}}
    lines = [str(number) for number in range(10, 5010, 10)]
    made = [{"LineItem": {"ID": name, **line, **item}} for name in lines]
    more = [{"LineItem": {"ID": name, **line, **item, "Quantity": _each(98, "KGM")}} for name in lines[:400]]
    of = {"OrderChangeDocumentReference": {"ID": "OC-1"}}
    steps = [
        _purchase("buyer", "order", "PO-1", DocumentCurrencyCode="EUR", OrderLine=made),
        _purchase("seller", "order-response", "OR-1", OrderResponseCode="AP"),
        _purchase("buyer", "order-change", "OC-1", OrderLine=more),
        _purchase("seller", "order-response", "OR-2", OrderResponseCode="RE", **of),
        _purchase("seller", "despatch", "DA-1", DespatchLine=_all(lines, "DeliveredQuantity", 99)),
        _purchase("buyer", "receipt", "RA-1", ReceiptLine=_all(lines, "ReceivedQuantity", 99)),
        _whole_bill("INV-1", lines, 50, Decimal("623.61")),
        _whole_bill("INV-2", lines, 49, Decimal("611.14")),
        _purchase("buyer", "receipt", "RA-2", ReceiptLine=_all(lines, "RejectedQuantity", 9)),
    ]
    credited = [{**one, "LineExtensionAmount": _eur(Decimal("112.25"))} for one in _all(lines, "CreditedQuantity", 9)]
    named = {"BillingReference": [{"InvoiceDocumentReference": {"ID": "INV-1"}}], "CreditNoteLine": credited}
    total = {"PayableAmount": _eur(Decimal("112.25") * 500)}
    steps.append(_purchase("seller", "credit-note", "CN-1", LegalMonetaryTotal=total, **named))
    assert case.file([*steps, _payment("P-1")]) == [None] * 11


def _all(lines: Sequence[str], field: str, count: int) -> list[Step]:
    return [{"ID": name, field: _each(count, "KGM")} for name in lines]


def _whole_bill(name: str, lines: Sequence[str], count: int, net: Decimal) -> Step:
    made = [{**one, "LineExtensionAmount": _eur(net)} for one in _all(lines, "InvoicedQuantity", count)]
    total = {"PayableAmount": _eur(net * len(lines))}
    return _purchase("seller", "invoice", name, IssueDate="2026-01-22", InvoiceLine=made, LegalMonetaryTotal=total)


def test_invoices_at_odds_with_every_line_leave_instructions_for_the_buyer(engine: Engine) -> None:
    """Bills of as many lines as there is room for, none at the agreed price, cost less than an input has."""
    case = _Case(engine, "purchase", {"quantity_percent": 1, "price_percent": 1})
    lines = [str(number) for number in range(740)]
    made = [{"LineItem": {"ID": name, "Quantity": _each(7, "KGM"), "LineExtensionAmount": _eur(1)}} for name in lines]
    order = _purchase("buyer", "order", "PO-1", DocumentCurrencyCode="EUR", OrderLine=made)
    came = [{**one, "ShortQuantity": _each(4, "KGM")} for one in _all(lines, "ReceivedQuantity", 3)]
    bills = [_whole_bill(f"INV-{n}", lines[:m], n + 1, Decimal(9)) for n, m in enumerate((740, 440, 1))]
    assert case.file([order, _purchase("buyer", "receipt", "RA-1", ReceiptLine=came), *bills])[:4] == [None] * 4
    assert case.file([_payment("P-1"), _receipt_of("0"), _payment("P-2")]) == [None] * 3


def _receipt_of(line: str) -> Step:
    return _purchase("buyer", "receipt", "RA-2", ReceiptLine=_all([line], "ReceivedQuantity", 1))


def test_a_receivable_that_all_sides_fill_has_room_for_a_payment(engine: Engine) -> None:
    """Lines and invoices up to their bounds, each offered, objected to at length, and paid to a wrong party."""
    case = _Case(engine, "receivable", cases("receivable")["terms"])
    line = {"Quantity": _each(10**14), "LineExtensionAmount": _eur(10**15)}
    order = _purchase("debtor", "order", "PO-1", DocumentCurrencyCode="EUR", Seller="seller.example")
    order["body"]["OrderLine"] = [{"LineItem": {"ID": _name(number), **line}} for number in range(300)]
    assert case.file([order]) == [None]
    receipts = [{**_receipt(_name(number)), "role": "debtor"} for number in range(101)]
    assert case.file(receipts).count(None) == 100
    bills = [_bill(_name(number), 2, "2026-01-01") for number in range(101)]
    for bill in bills:
        bill["body"]["DueDate"] = "2026-02-01"
    assert case.file(bills).count(None) == 100
    assert case.file([step for number in range(100) for step in _refused_offer(_name(number))]).count(None) == 200
    billed = [{"BillingReference": [{"InvoiceDocumentReference": {"ID": _name(n)}}]} for n in range(100)]
    paid = [{**one, "DebitLineAmount": _eur(Decimal("0.1" + "0" * 21))} for one in billed]
    for financier in ("financier_2", "financier_3"):
        misdirected = _purchase("debtor", "payment", financier, Assignee=financier, RemittanceAdviceLine=paid)
        assert case.file([misdirected]) == [None]
    assert case.file([_purchase("debtor", "payment", "P-1", RemittanceAdviceLine=paid[:1])]) == [None]
    assert limits.STATE_BYTES_MAX // 3 < case.size < limits.STATE_BYTES_MAX


def _refused_offer(name: str) -> Iterator[Step]:
    """The offer of an invoice of 10 EUR, and the debtor's objection."""
    billed = {"InvoiceDocumentReference": {"ID": name, "IssueDate": "2026-01-01"}, "DueDate": "2026-02-01"}
    offer = _purchase("seller", "assignment", name, **billed, AssignedAmount=_eur(10))
    answer = _purchase("debtor", "assignment-confirmation", name, ResponseCode="RE", Description=["not ours " * 200])
    answer["body"] |= {"AssignmentReference": {"ID": name}}
    for step in (offer, answer):
        step["body"]["Assignee"] = "financier_1"
        yield step


@pytest.mark.parametrize("seller", ["", {"ID": "seller.example"}, "s" * 64])
def test_the_seller_of_a_receivable_is_named_by_text(engine: Engine, seller: object) -> None:
    case = _Case(engine, "receivable", cases("receivable")["terms"])
    line = {"ID": "1", "Quantity": _each(1), "LineExtensionAmount": _eur(1)}
    body = {"DocumentCurrencyCode": "EUR", "OrderLine": [{"LineItem": line}], "Seller": seller}
    (reason,) = case.file([_purchase("debtor", "order", "PO-1", **body)])
    assert reason is not None and "Seller" in reason


@pytest.mark.parametrize(("letter", "taken"), [("x", 100), ("\N{RED APPLE}", 100), ("\x01", 0)])
def test_a_holder_who_hands_over_without_end_leaves_room_for_the_owner(engine: Engine, letter: str, taken: int) -> None:
    case = _Case(engine, "custody", cases("custody")["terms"])
    when = {"epc": "urn:epc:id:sgtin:9521102.301001.1", "eventTime": "2026-01-01T00:00:00Z"}
    made = {
        "role": "maker",
        "author": "maker.example",
        "type": "commission",
        "body": {**when, "owner": "buyer.example"},
    }
    assert case.file([made]) == [None]
    handed = [
        {**made, "type": "handover", "body": {**when, "ID": _name(number, letter, 100), "to": "m" * 63}}
        for number in range(101)
    ]
    assert case.file(handed).count(None) == taken
    offer = {"role": "buyer", "author": "buyer.example", "type": "title-offer"}
    assert case.file([{**offer, "body": {**when, "ID": "O-1", "to": "other.example"}}]) == [None]
    assert case.size < limits.STATE_BYTES_MAX // 10
