"""Plants faults in honest purchases, each on orders of its own, and says what a contract should find at which."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tests.plain_fold import Folded

Document = dict[str, Any]
Purchase = dict[str, Document]
"""Type -> the one document of that type that an order has."""


@dataclass(slots=True, kw_only=True)
class Planted:
    """inputs: in order of time. expected: order -> what is to be found there; held: order -> what is held back."""

    inputs: list[Document]
    expected: dict[str, set[str]] = field(default_factory=dict)
    held: dict[str, Decimal] = field(default_factory=dict)


def plant(inputs: list[Document], seed: int, each: int = 4) -> Planted:
    """Plant every kind of fault in `each` orders that are received, billed and paid."""
    draw = random.Random(seed)
    purchases: dict[str, Purchase] = defaultdict(dict)
    for document in inputs:
        purchases[order_of(document)][document["type"]] = document
    whole = sorted(order for order, purchase in purchases.items() if len(purchase) == 4 and _is_fit(purchase))
    chosen = iter(draw.sample(whole, each * len(_FAULTS)))
    planted = Planted(inputs=[])
    spoilt: dict[str, list[Document]] = {}
    for spoil in [fault for fault in _FAULTS for _ in range(each)]:
        order = next(chosen)
        purchase = copy.deepcopy(purchases[order])
        planted.expected[order], planted.held[order], more = spoil(purchase, draw)
        spoilt[order] = [*purchase.values(), *more]
    honest = [document for document in inputs if order_of(document) not in spoilt]
    added = [document for documents in spoilt.values() for document in documents]
    planted.inputs = sorted(honest + added, key=lambda document: document["time"])
    return planted


def order_of(document: Document) -> str:
    """The order that a document is about."""
    if document["type"] == "order":
        return str(document["body"]["ID"])
    reference = document["body"]["OrderReference"]
    return str((reference[0] if isinstance(reference, list) else reference)["ID"])


def found(inputs: list[Document], folded: Folded) -> dict[str, set[str]]:
    """Order -> the findings of its state, the interest that it bears, and why documents of it were refused."""
    seen: dict[str, set[str]] = defaultdict(set)
    for order, state in folded.states.items():
        seen[order] |= {finding["what"] for finding in state["findings"]}
        seen[order] |= {"late payment"} if folded.summaries[order]["interest"] else set()
    for position, reason in folded.rejected.items():
        kind = next((name for part, name in _REFUSALS.items() if part in reason), reason)
        seen[order_of(inputs[position])].add(kind)
    return {order: kinds for order, kinds in seen.items() if kinds}


_REFUSALS: Final = {
    "is filed already: a duplicate": "duplicate invoice",
    ": renumbered": "renumbered invoice",
    "is in EUR, the order in USD": "wrong currency",
    "one invoice of order": "payment of no invoice",
}

# --- faults ------------------------------------------------------------------------

_Spoilt = tuple[set[str], Decimal, list[Document]]
_NOTHING: Final = Decimal("0.00")


def _is_fit(purchase: Purchase) -> bool:
    """Of the lines, the first has more than one outer to take away or add to."""
    return bool(purchase["receipt"]["body"]["ReceiptLine"][0]["ReceivedQuantity"]["value"] > 1)


def _bill_more(purchase: Purchase, draw: random.Random) -> _Spoilt:
    line = purchase["invoice"]["body"]["InvoiceLine"][0]
    billed = line["InvoicedQuantity"]["value"]
    more = draw.randint(1, 50)
    line["InvoicedQuantity"]["value"] = billed + more
    return {"billed above the order"}, _raise(purchase, line["LineExtensionAmount"]["value"] / billed * more), []


def _bill_dearer(purchase: Purchase, draw: random.Random) -> _Spoilt:
    return {"price"}, _raise(purchase, Decimal(draw.randint(1, 100_000)).scaleb(-2)), []


def _raise(purchase: Purchase, net: Decimal) -> Decimal:
    """Add `net` and its tax to the first line and the totals of the invoice; returns both together."""
    body = purchase["invoice"]["body"]
    line = body["InvoiceLine"][0]
    rate = line["Item"]["ClassifiedTaxCategory"][0]["Percent"]
    tax = (net * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    line["LineExtensionAmount"]["value"] += net
    body["TaxTotal"][0]["TaxAmount"]["value"] += tax
    body["LegalMonetaryTotal"]["PayableAmount"]["value"] += net + tax
    return net + tax


def _deliver_less(purchase: Purchase, draw: random.Random) -> _Spoilt:
    """The invoice is paid in full all the same, so that it is also paid above what matches."""
    received = purchase["receipt"]["body"]["ReceiptLine"][0]["ReceivedQuantity"]
    line = purchase["invoice"]["body"]["InvoiceLine"][0]
    missing = draw.randint(1, int(received["value"]) - 1)
    net = line["LineExtensionAmount"]["value"] / received["value"] * missing
    received["value"] -= missing
    gross = net * (100 + line["Item"]["ClassifiedTaxCategory"][0]["Percent"]) / 100
    return {"short delivery", "overpaid"}, gross.quantize(Decimal("0.01"), ROUND_HALF_UP), []


def _file_twice(purchase: Purchase, draw: random.Random) -> _Spoilt:
    return {"duplicate invoice"}, _NOTHING, [_again(purchase, days=draw.randint(0, 30))]


def _renumber(purchase: Purchase, draw: random.Random) -> _Spoilt:
    again = _again(purchase, days=draw.randint(0, 30))
    again["body"]["ID"] += "-A"
    return {"renumbered invoice"}, _NOTHING, [again]


def _renumber_and_date_anew(purchase: Purchase, draw: random.Random) -> _Spoilt:
    again = _again(purchase, days=draw.randint(1, 30))
    again["body"] |= {"ID": again["body"]["ID"] + "-A", "IssueDate": again["time"][:10]}
    return {"billed above the order"}, again["body"]["LegalMonetaryTotal"]["PayableAmount"]["value"], [again]


def _again(purchase: Purchase, *, days: int) -> Document:
    again = copy.deepcopy(purchase["invoice"])
    _move(again, days)
    again["time"] = again["time"].replace("T10:", "T12:")
    return again


def _bill_in_euro(purchase: Purchase, draw: random.Random) -> _Spoilt:
    """Said at the top, or only by the amounts; the payment then finds no invoice."""
    body = purchase["invoice"]["body"]
    if draw.random() < 0.5:
        body["DocumentCurrencyCode"] = "EUR"
    body["LegalMonetaryTotal"]["PayableAmount"]["currencyID"] = "EUR"
    for line in body["InvoiceLine"]:
        line["LineExtensionAmount"]["currencyID"] = "EUR"
    return {"wrong currency", "payment of no invoice"}, _NOTHING, []


def _pay_late(purchase: Purchase, draw: random.Random) -> _Spoilt:
    payment = purchase["payment"]
    due = date.fromisoformat(purchase["invoice"]["body"]["DueDate"])
    _move(payment, (due - date.fromisoformat(payment["time"][:10])).days + draw.randint(60, 90))
    payment["body"]["PaidDate"] = payment["time"][:10]
    return {"late payment"}, _NOTHING, []


def _move(document: Document, days: int) -> None:
    day = date.fromisoformat(document["time"][:10]) + timedelta(days)
    document["time"] = day.isoformat() + document["time"][10:]


_FAULTS: Final[tuple[Callable[[Purchase, random.Random], _Spoilt], ...]] = (
    _bill_more,
    _bill_dearer,
    _deliver_less,
    _file_twice,
    _renumber,
    _renumber_and_date_anew,
    _bill_in_euro,
    _pay_late,
)
FAULT_KINDS: Final = len(_FAULTS)
