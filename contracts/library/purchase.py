"""Purchase with three-way match: what was ordered, received and invoiced, and what of it is payable.

The buyer owes for what it ordered and received, at the price and on the day agreed; what an invoice asks
beyond that is held back, line by line, with the reason beside it. One case is one order; its key is the
order's ID, which every later document names in OrderReference/ID. Bodies carry the names of UBL 2.1.

Buyer and seller read everything. The carrier reads addresses, days and quantities, and no price. The bank
reads payments whole, and of invoices the parties, accounts, days and totals: no lines, so no prices.

Refused is what is malformed, in another currency or unit, of an unknown order or line, or filed before,
renumbered or not. A document that is sound and contradicts the others is kept, and is a finding.

Money is Decimal in the order's currency; every computed amount is rounded half up (ROUND_HALF_UP) to its
minor units. What is held back of a line is its share of the invoice's total, tax and allowances included.
"""

from datetime import date, timedelta

ROLES = {"buyer", "seller", "carrier", "bank"}
SIGNERS = {"buyer", "seller"}
AUTHORS = {
    "order": {"buyer"},
    "order-response": {"seller"},
    "order-change": {"buyer"},
    "order-cancellation": {"buyer"},
    "despatch": {"seller"},
    "receipt": {"buyer"},
    "invoice": {"seller"},
    "credit-note": {"seller"},
    "invoice-response": {"buyer"},
    "payment": {"buyer", "bank", "seller"},  # from the seller it is a refund
}
SHARES = {
    "order": {
        "/*": {"buyer", "seller"},
        "/ID": {"buyer", "seller", "carrier"},
        "/Delivery": {"buyer", "seller", "carrier"},
        # Named one by one: whatever else a line holds may tell a price.
        "/OrderLine/*/LineItem/ID": {"buyer", "seller", "carrier"},
        "/OrderLine/*/LineItem/Quantity": {"buyer", "seller", "carrier"},
    },
    "order-response": {"/*": {"buyer", "seller"}},
    "order-change": {
        "/*": {"buyer", "seller"},
        "/OrderReference": {"buyer", "seller", "carrier"},
        "/Delivery": {"buyer", "seller", "carrier"},
        "/OrderLine/*/LineItem/ID": {"buyer", "seller", "carrier"},
        "/OrderLine/*/LineItem/Quantity": {"buyer", "seller", "carrier"},
    },
    "order-cancellation": {"/*": {"buyer", "seller", "carrier"}},
    "despatch": {
        "/*": {"buyer", "seller", "carrier"},
        # The values that customs and insurers are told are prices too.
        "/Shipment": {"buyer", "seller"},
        "/Shipment/Delivery": {"buyer", "seller", "carrier"},
        "/DespatchLine": {"buyer", "seller"},
        "/DespatchLine/*/ID": {"buyer", "seller", "carrier"},
        "/DespatchLine/*/DeliveredQuantity": {"buyer", "seller", "carrier"},
        "/DespatchLine/*/Item/Name": {"buyer", "seller", "carrier"},
    },
    "receipt": {"/*": {"buyer", "seller"}, "/ReceiptLine/*/ReceivedQuantity": {"buyer", "seller", "carrier"}},
    "invoice": {
        "/*": {"buyer", "seller"},
        "/ID": {"buyer", "seller", "bank"},
        "/DueDate": {"buyer", "seller", "bank"},
        "/AccountingSupplierParty": {"buyer", "seller", "bank"},
        "/AccountingCustomerParty": {"buyer", "seller", "bank"},
        "/PaymentMeans": {"buyer", "seller", "bank"},
        "/LegalMonetaryTotal": {"buyer", "seller", "bank"},
    },
    "credit-note": {
        "/*": {"buyer", "seller"},
        "/ID": {"buyer", "seller", "bank"},
        "/BillingReference": {"buyer", "seller", "bank"},
        "/LegalMonetaryTotal": {"buyer", "seller", "bank"},
    },
    "invoice-response": {"/*": {"buyer", "seller"}},
    "payment": {"/*": {"buyer", "seller", "bank"}},
}


def key(record):
    """The order's ID: an order's own, else that of OrderReference, of the document or of its first line."""
    kind, body = record["type"], record["body"]
    if kind == "order":
        return text(body, "ID")
    line = first(body, f"{LINES.get(kind)}Line", "OrderLineReference")
    named = [text(one, "ID") for one in parts(body, "OrderReference") or parts(line or {}, "OrderReference")]
    if not named:
        raise Reject(f"{kind}: OrderReference/ID is missing, so the order is not known")
    if any(name != named[0] for name in named):
        raise Reject(f"{kind} names the orders {', '.join(named)}: file one for each order")
    return named[0]


def apply(state, record, terms):
    """Take in one document, then match anew what is open."""
    kind, body = record["type"], record["body"]
    name = text(body, "ID")
    if state is None:
        if kind != "order":
            raise Reject(f"{kind} {name}: order {key(record)} is not known")
        state = new_order(body, terms) | {"parties": {"buyer": record["author"]}}
    elif f"{kind} {name}" in state["documents"] or kind == "order":
        raise Reject(f"{kind} {name} is filed already: a duplicate")
    elif body.get("DocumentCurrencyCode", state["currency"]) != state["currency"]:
        raise Reject(f"{kind} {name} is in {body['DocumentCurrencyCode']}, the order in {state['currency']}")
    elif state["stage"] in ("cancelled", "refused") and kind not in ("credit-note", "invoice-response", "payment"):
        raise Reject(f"{kind} {name}: order {state['order']} is {state['stage']}")
    elif state["parties"].setdefault(record["role"], record["author"]) != record["author"]:
        raise Reject(f"{kind} {name}: the {record['role']} of order {state['order']} is another")
    else:
        STEPS[kind](state, record, terms)
    state["documents"].append(f"{kind} {name}")
    match(state, terms)
    return state


def summary(state):
    """One flat row for finance; every amount is in `currency`."""
    row = {"order": state["order"], "status": state["status"], "currency": state["currency"], **state["totals"]}
    for name, member in (("due_date", "due"), ("discount_until", "discount_until")):
        row[name] = min([one[member] for one in state["invoices"] if one["open"] > 0 and one[member]], default=None)
    return row | {"findings": len(state["findings"]), "why": "; ".join(one["why"] for one in state["findings"][:3])}


# --- reading documents -------------------------------------------------------------


def text(part, name):
    if part.get(name) is None:
        raise Reject(f"{name} is missing")
    if not isinstance(part[name], str) or not 1 <= len(part[name]) <= 200:
        raise Reject(f"{name} must be text of 1 to 200 characters")
    return part[name]


def parts(part, name, wanted=False):
    """The objects under `name`, one or a list; where it is missing none, or (`wanted`) a refusal."""
    found = part.get(name) or []
    found = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in found) or (wanted and not found):
        raise Reject(f"{name} must hold objects" if found else f"{name} is missing")
    return found


def first(part, *names):
    """What stands at the end of the path `names`, by way of the first of each list; None where it ends early."""
    for name in names:
        part = part[0] if isinstance(part, list) and part else part
        part = part.get(name) if isinstance(part, dict) else None
    return part[0] if isinstance(part, list) and part else part


def number(part, name, unit=None, least=0):
    """The number `name`, or the value of that amount or quantity, which must be in `unit`; `least` or more."""
    value, kind = part.get(name), None
    if isinstance(value, dict):
        value, kind = value.get("value"), value.get("currencyID") or value.get("unitCode")
    if value is None:
        raise Reject(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or abs(value) > 10**15:
        raise Reject(f"{name} {value} is not a number, or beyond what is bought")
    if value < least:
        raise Reject(f"{name} {value} is below {least}")
    if unit is not None and kind != unit:
        raise Reject(f"{name} is in {kind}, the order in {unit}")
    return value


def optional(part, name, unit):
    return number(part, name, unit) if name in part else 0


def amount(part, name, state):
    """The amount `name` in the order's currency, without fractions of its minor unit; 0 where it is missing."""
    value, places = number(part, name, state["currency"]), state["places"]
    if divide(value, 1, places) != value:
        raise Reject(f"{name} {value} {state['currency']} has more than {places} decimals")
    return value


def day(value):
    try:
        return date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        raise Reject(f"{value} is no date") from None


def day_of(record, terms, named):
    """The document's own day, or (terms: "dates": "recorded", or it has none) the one on which it was put in order."""
    recorded = terms.get("dates") == "recorded" or named is None
    return day(record["sequence"]["time"] if recorded else named)


def line_of(state, part):
    """The order's line that another document's line is about: its OrderLineReference/LineID, else its own ID."""
    references = parts(part, "OrderLineReference")
    name = text(references[0], "LineID") if references else text(part, "ID")
    order = first(references, "OrderReference", "ID") or state["order"]
    if order != state["order"] or len(references) > 1:
        raise Reject(f"line {name} is of order {order} and {len(references)} lines: one of {state['order']} is wanted")
    if name not in state["lines"]:
        raise Reject(f"order {state['order']} has no line {name}")
    line, item = state["lines"][name], first(part, "Item", "SellersItemIdentification", "ID")
    if item and line["item"] and item != line["item"]:
        raise Reject(f"line {name}: item {item}, ordered {line['item']}")
    return name, line


def extra_of(state, body):
    """Charges less allowances of the document as a whole."""
    extra = 0
    for part in parts(body, "AllowanceCharge"):
        if part.get("ChargeIndicator") not in (True, False):
            raise Reject("ChargeIndicator must be true or false")
        extra += amount(part, "Amount", state) * (1 if part["ChargeIndicator"] else -1)
    return extra


# --- the order ---------------------------------------------------------------------


def new_order(body, terms):
    currency = body.get("DocumentCurrencyCode") or terms.get("currency")
    if currency is None or terms.get("currency", currency) != currency:
        raise Reject(f"DocumentCurrencyCode is {currency}, the terms say {terms.get('currency')}")
    state = {"order": text(body, "ID"), "currency": currency, "places": terms.get("minor_units", 2), "stage": "ordered"}
    state |= {"lines": {}, "pending": None, "invoices": [], "on_account": 0, "penalty": 0, "documents": []}
    return state | {"lines": lines_of(state, body), "extra": extra_of(state, body)}


def lines_of(state, body):
    """The order's lines with those of `body`, an order or a change of it, put in; never below what is delivered."""
    lines = dict(state["lines"])
    for part in parts(body, "OrderLine", wanted=True):
        item = parts(part, "LineItem", wanted=True)[0]
        name, net, price = text(item, "ID"), None, first(item, "Price")
        old = state["lines"].get(name) or dict.fromkeys(("despatched", "received", "rejected", "short"), 0)
        gone = item.get("LineStatusCode") == "2"  # a line deleted
        ordered = 0 if gone else number(item, "Quantity", old.get("unit"))
        delivered = max(old["despatched"], old["received"] - old["rejected"])
        if ordered < delivered or (not ordered and not gone) or lines.get(name) is not state["lines"].get(name):
            raise Reject(f"line {name}: Quantity {ordered}, delivered {delivered}; one above 0 is wanted, once")
        if "LineExtensionAmount" in item:
            net = 0 if gone else amount(item, "LineExtensionAmount", state)
        elif price:
            net = ordered * number(price, "PriceAmount", state["currency"])
            net = divide(net, optional(price, "BaseQuantity", None) or 1, state["places"])
        elif old.get("net") is not None and old["ordered"]:
            net = divide(old["net"] * ordered, old["ordered"], state["places"])
        until = [first(one, "Delivery", "RequestedDeliveryPeriod", "EndDate") for one in (item, body)]
        lines[name] = old | {"ordered": ordered, "net": net, "unit": first(item, "Quantity", "unitCode")}
        lines[name]["item"] = first(item, "Item", "SellersItemIdentification", "ID")
        lines[name]["until"] = next((day(one).isoformat() for one in until if one), old.get("until"))
    return lines


def take_change(state, record, terms):
    """A change binds at once while the seller has not answered; later it waits for the seller's response AP."""
    kept = ("OrderLine", "Delivery", "AllowanceCharge")
    state["pending"] = {name: record["body"][name] for name in kept if name in record["body"]}
    changed = lines_of(state, state["pending"])
    if state["stage"] == "ordered":
        state |= {"lines": changed, "pending": None}
        state["extra"] = extra_of(state, record["body"]) if "AllowanceCharge" in record["body"] else state["extra"]


def take_response(state, record, terms):
    code, pending = text(record["body"], "OrderResponseCode"), state["pending"]
    if code not in ("AB", "AP", "CA", "RE"):
        raise Reject(f"OrderResponseCode {code} is none of AB, AP, CA, RE")
    if code == "RE" and not pending and state["stage"] == "accepted":
        raise Reject(f"order {state['order']} is accepted and can no longer be refused")
    if code == "AP" and pending:
        state["lines"] = lines_of(state, pending)
        state["extra"] = extra_of(state, pending) if "AllowanceCharge" in pending else state["extra"]
    if code == "AP":
        state |= {"stage": "accepted", "pending": None}
    elif code == "RE":
        state |= {"stage": state["stage"] if pending else "refused", "pending": None}
    elif code == "CA":
        state["stage"] = "other terms offered" if state["stage"] == "ordered" else state["stage"]


def take_cancellation(state, record, terms):
    for name, line in sorted(state["lines"].items()):
        gone = max(line["despatched"], line["received"])
        if gone:
            raise Reject(f"order {state['order']} stands: {gone} {line['unit']} of line {name} are despatched")
    state |= {"stage": "cancelled", "pending": None}


# --- the goods ---------------------------------------------------------------------


def take_despatch(state, record, terms):
    for part in parts(record["body"], "DespatchLine", wanted=True):
        line = line_of(state, part)[1]
        line["despatched"] += number(part, "DeliveredQuantity", line["unit"])
    state["stage"] = "accepted"


def take_receipt(state, record, terms):
    """Goods that came, and (RejectedQuantity) that go back: a line without ReceivedQuantity is a return."""
    body = record["body"]
    came_on = first(body, "Shipment", "Delivery", "ActualDeliveryDate") or body.get("IssueDate")
    came_on = day_of(record, terms, came_on)
    for part in parts(body, "ReceiptLine", wanted=True):
        name, line = line_of(state, part)
        back = optional(part, "RejectedQuantity", line["unit"])
        came = (
            optional(part, "ReceivedQuantity", line["unit"]) if back else number(part, "ReceivedQuantity", line["unit"])
        )
        line["received"] += came
        line["rejected"] += back
        line["short"] = optional(part, "ShortQuantity", line["unit"])
        if line["rejected"] > line["received"]:
            raise Reject(f"line {name}: {line['rejected']} {line['unit']} go back, {line['received']} were received")
        late = (came_on - day(line["until"])).days - terms.get("penalty_grace_days", 0) if line["until"] else 0
        if late > 0 and came > back and line["net"]:
            percent = min(terms.get("penalty_percent_per_day", 0) * late, terms.get("penalty_cap_percent", 100))
            penalty = line["net"] * min(came - back, line["ordered"]) * percent
            state["penalty"] += divide(penalty, line["ordered"] * 100, state["places"])
    state["stage"] = "accepted"


# --- the bills ---------------------------------------------------------------------


def read_bill(state, record):
    """Lines (quantity, net, hundredfold net with tax), charges less allowances, and the total, if these add up."""
    body, kind, currency = record["body"], LINES[record["type"]], state["currency"]
    lines, net, tax, extra = {}, 0, 0, extra_of(state, body)
    for part in parts(body, f"{kind}Line", wanted=True):
        name, line = line_of(state, part)
        billed = number(part, "InvoicedQuantity" if kind == "Invoice" else "CreditedQuantity", line["unit"])
        asked = amount(part, "LineExtensionAmount", state)
        taxed = asked * (100 + optional(first(part, "Item", "ClassifiedTaxCategory") or {}, "Percent", None))
        lines[name] = [one + more for one, more in zip(lines.get(name, (0, 0, 0)), (billed, asked, taxed), strict=True)]
        net += asked
    for part in parts(body, "TaxTotal"):
        # A second total may give the tax in the currency of the tax office.
        if first(part, "TaxAmount", "currencyID") == currency or "TaxCurrencyCode" not in body:
            tax += amount(part, "TaxAmount", state)
    totals = parts(body, "LegalMonetaryTotal", wanted=True)[0]
    total, less = amount(totals, "PayableAmount", state), optional(totals, "PrepaidAmount", currency)
    less -= number(totals, "PayableRoundingAmount", currency, -1) if "PayableRoundingAmount" in totals else 0
    if net + extra + tax - less != total:
        said = f"lines {net}, charges less allowances {extra}, tax {tax}, prepaid or rounded off {less}"
        raise Reject(f"{body['ID']} does not add up: {said}, PayableAmount {total} {currency}")
    return lines, extra, total


def take_invoice(state, record, terms):
    body, issued = record["body"], day(text(record["body"], "IssueDate")).isoformat()
    lines, extra, total = read_bill(state, record)
    for row in state["invoices"]:
        if row["response"] != "RE" and [row["date"], row["amount"], row["lines"]] == [issued, total, lines]:
            raise Reject(
                f"{body['ID']} bills what {row['id']} bills, of {issued}, {total} {state['currency']}: renumbered"
            )
    filed = day_of(record, terms, issued)
    means, offer = first(body, "PaymentMeans", "PaymentDueDate"), first(body, "PaymentTerms") or {}
    due = [day(one) for one in (body.get("DueDate"), means, offer.get("PaymentDueDate")) if one][:1]
    if "payment_days" in terms:  # an invoice may give more time than agreed, not less
        due.append(filed + timedelta(terms["payment_days"]))
    percent, until = terms.get("discount_percent", 0), filed + timedelta(terms.get("discount_days", 0))
    if "SettlementDiscountPercent" in offer:
        percent, end = number(offer, "SettlementDiscountPercent"), first(offer, "SettlementPeriod", "EndDate")
        until = day(end) if end else until
    row = {"id": body["ID"], "date": issued, "due": max(due).isoformat() if due else None, "amount": total}
    row |= {"lines": lines, "extra": extra, "discount_percent": percent, "response": None}
    row |= {"discount_until": until.isoformat() if percent else None}
    state["invoices"].append(row | dict.fromkeys(("credited", "paid", "paid_early", "interest", "open"), 0))


def invoice_of(state, part, what):
    """The invoice that `part` refers to; None where it refers to none."""
    named = [one for each in parts(part, "BillingReference") for one in parts(each, "InvoiceDocumentReference")]
    named = [text(one, "ID") for one in named or parts(part, "DocumentReference")]
    rows = [row for row in state["invoices"] if row["id"] in named]
    if len(named) > 1 or (named and not rows):
        raise Reject(f"{what} names {', '.join(named)}: one invoice of order {state['order']} is wanted")
    return rows[0] if rows else None


def take_credit(state, record, terms):
    """Taken off the invoice; with CreditNoteTypeCode 83 (a correction of prices) the quantities stay."""
    name, keeps = record["body"]["ID"], record["body"].get("CreditNoteTypeCode") == "83"
    row = invoice_of(state, record["body"], name)
    if row is None:
        raise Reject(f"{name}: BillingReference/InvoiceDocumentReference/ID is missing")
    lines, extra, total = read_bill(state, record)
    for line, (back, *amounts) in lines.items():
        billed, credit = row["lines"].get(line, [0, 0, 0]), [0 if keeps else back, *amounts]
        row["lines"][line] = [one - less for one, less in zip(billed, credit, strict=True)]
        left = row["amount"] - row["credited"]
        if min(row["lines"][line]) < 0 or total > left:
            said = f"{credit[0]} for {credit[1]} on line {line}, {total} in all"
            raise Reject(f"{name} credits {said}; {row['id']} has {billed[0]} for {billed[1]}, {left} in all")
    row["credited"] += total
    row["extra"] -= extra


def take_answer(state, record, terms):
    """The buyer's word on an invoice. RE takes it out of the match; no word lifts what the match holds back."""
    for part in parts(record["body"], "DocumentResponse", wanted=True):
        code, row = text(first(part, "Response") or {}, "ResponseCode"), invoice_of(state, part, "invoice-response")
        if row is None or row["response"] == "RE" or code not in ("AB", "AP", "CA", "IP", "PD", "RE", "UQ"):
            raise Reject(f"invoice {row and row['id']}: ResponseCode {code} after {row and row['response']}")
        row["response"] = code


def take_payment(state, record, terms):
    """What was paid, for an invoice or, where none is named, on account; from the seller it is a refund."""
    body, total, what = record["body"], 0, f"payment {record['body']['ID']}"
    paid_on = day_of(record, terms, body.get("PaidDate") or body.get("IssueDate"))
    for part in [body] if "PaidAmount" in body else parts(body, "RemittanceAdviceLine", wanted=True):
        value = amount(part, "PaidAmount" if part is body else "DebitLineAmount", state)
        value -= optional(part, "CreditLineAmount", state["currency"])
        if value <= 0:
            raise Reject(f"{what}: {value} {state['currency']} is no payment")
        total += value
        value = -value if record["role"] == "seller" else value
        row = invoice_of(state, part, what)
        if row is None:
            state["on_account"] += value
            continue
        late, base = (paid_on - day(row["due"])).days if row["due"] else 0, min(value, row["open"])
        if late > 0 and base > 0:
            interest = base * late * terms.get("interest_percent", 0)
            row["interest"] += divide(interest, 100 * terms.get("interest_days", 365), state["places"])
        row["paid"] += value
        row["paid_early"] += value if row["discount_until"] and paid_on <= day(row["discount_until"]) else 0
    if "TotalPaymentAmount" in body and amount(body, "TotalPaymentAmount", state) != total:
        raise Reject(f"{what}: lines {total}, TotalPaymentAmount {number(body, 'TotalPaymentAmount')}")


LINES = {"despatch": "Despatch", "receipt": "Receipt", "invoice": "Invoice", "credit-note": "CreditNote"}
STEPS = {
    "order-response": take_response,
    "order-change": take_change,
    "order-cancellation": take_cancellation,
    "despatch": take_despatch,
    "receipt": take_receipt,
    "invoice": take_invoice,
    "credit-note": take_credit,
    "invoice-response": take_answer,
    "payment": take_payment,
}

# --- the match ---------------------------------------------------------------------


def match(state, terms):
    """Compare ordered, received and invoiced, invoice by invoice as they came, and count what is payable."""
    state["findings"] = []
    for line in state["lines"].values():
        most = line["ordered"] + tolerance(terms, "over_delivery", line["ordered"])
        kept = line["received"] - line["rejected"]
        line |= {"accepted": line["ordered"] if terms.get("match") == "two-way" else min(kept, most), "invoiced": 0}
    charges = max(state["extra"], 0)
    for row in state["invoices"]:
        charges -= match_invoice(state, row, charges, terms)
    disputed = [one["line"] for one in state["findings"]]
    for name, line in sorted(state["lines"].items()):
        kept = line["received"] - line["rejected"]
        if kept > line["accepted"]:
            find(state, None, name, "over-delivery", kept - line["accepted"])
        elif line["short"] and kept < line["ordered"] and name not in disputed:
            find(state, None, name, "short delivery", min(line["short"], line["ordered"] - kept))
    count(state)


def match_invoice(state, row, charges, terms):
    """What of the invoice is held back, discounted and open; returns how much of `charges` it uses up."""
    places, net, gross, held, before = state["places"], 0, 0, 0, len(state["findings"])
    claim = 0 if row["response"] == "RE" else row["amount"] - row["credited"]
    for name, (_, asked, taxed) in sorted(row["lines"].items()) if claim else ():
        held += divide(taxed * match_line(state, row, name, terms), asked or 1, 12)
        net, gross = net + asked, gross + taxed
    agreed, ordered = charges, sum(line["net"] or 0 for line in state["lines"].values())
    if state["extra"] < 0 and ordered:  # an allowance, of which each invoice grants its share
        agreed = divide(state["extra"] * net, ordered, places)
    if net and row["extra"] - agreed > terms.get("amount_absolute", 0):
        find(state, row, None, "charge", row["extra"] - agreed, row["extra"] - agreed)
        held += divide((row["extra"] - agreed) * gross, net, 12)
    gross += divide(max(row["extra"], 0) * gross, net or 1, 12)
    back, share = divide(held, 100, places), divide(claim * held, gross or 1, places)
    if abs(back - share) > divide(1, 10**places, places):  # the total is not that of the lines and their tax alone
        back = share
    row |= {"claim": claim, "held": claim if held == gross else min(back, claim), "discount": 0}
    due, percent, early = claim - row["held"], row["discount_percent"], row["paid_early"]
    if percent and early > 0:
        whole = divide(due * percent, 100, places)
        earned = whole if early + whole >= due else divide(early * percent, 100 - percent, places)
        row["discount"] = max(min(earned, due - row["paid"]), 0)
    row["open"] = due - row["paid"] - row["discount"]
    waits = all(one["what"] == "not received" for one in state["findings"][before:])
    row["status"] = "refused" if row["response"] == "RE" else "matched" if row["open"] > 0 else "settled"
    if row["held"]:
        row["status"] = "waits for receipt" if waits else "disputed"
    if row["open"] + row["interest"] < 0:
        find(state, row, None, "overpaid", -row["open"] - row["interest"])
    return max(min(row["extra"], charges), 0)


def match_line(state, row, name, terms):
    """The net amount of an invoice's line that is not payable: quantity first, then the price of what matches."""
    line, places, (billed, asked, _) = state["lines"][name], state["places"], row["lines"][name]
    left = line["accepted"] - line["invoiced"]
    slack = tolerance(terms, "quantity", line["accepted"]) if line["accepted"] else 0
    matched = billed if billed <= left + slack else max(min(billed, left), 0)
    line["invoiced"] += billed
    due = divide(asked * matched, billed or 1, places)
    agreed = divide((line["net"] or 0) * matched, line["ordered"] or 1, places)
    over = due - agreed
    if over <= max(tolerance(terms, "price", agreed, matched), terms.get("amount_absolute", 0)):
        over = 0
    if due < asked:
        what = "returned" if line["rejected"] else "short delivery" if line["accepted"] else "not received"
        what = "billed above the order" if line["invoiced"] > line["ordered"] else what
        find(state, row, name, what, billed - matched, asked - due)
    if over:
        find(state, row, name, "price" if line["net"] is not None else "no agreed price", over, over)
    return asked - due + over


def tolerance(terms, what, value, times=1):
    """The larger of the two tolerances that the terms give for `what`; none where they give none."""
    percent, absolute = terms.get(f"{what}_percent", 0), terms.get(f"{what}_absolute", 0)
    return max(absolute * times, value * percent * Decimal("0.01"))


def find(state, row, name, what, difference, held_net=0):
    """Note a finding, with the counters that show it: quantities in the line's unit, amounts before tax."""
    found = {"invoice": row and row["id"], "line": name, "what": what, "difference": difference, "held_net": held_net}
    why = (f"invoice {row['id']}: " if row else "") + what
    if name is not None:
        line = state["lines"][name]
        kept = line["received"] - line["rejected"]
        found |= {"ordered": line["ordered"], "received": kept, "invoiced": line["invoiced"], "unit": line["unit"]}
        why += (
            f" on line {name}: ordered {line['ordered']}, received {kept}, invoiced {line['invoiced']} {line['unit']}"
        )
    state["findings"].append(found | {"why": f"{why}, difference {difference}"})


def count(state):
    """The totals, each with the currency's decimals, and the status of the case."""
    rows, lines, places = state["invoices"], state["lines"].values(), state["places"]
    values = [divide((one["net"] or 0) * one["accepted"], one["ordered"] or 1, places) for one in lines]
    totals = {"ordered": sum(line["net"] or 0 for line in lines), "received_value": sum(values)}
    for name, member in (
        ("invoiced", "claim"),
        ("held_back", "held"),
        ("discount", "discount"),
        ("interest", "interest"),
    ):
        totals[name] = sum(row[member] for row in rows)
    totals |= {"penalty": state["penalty"], "paid": sum(row["paid"] for row in rows) + state["on_account"]}
    due = totals["invoiced"] - totals["discount"] - totals["penalty"] + totals["interest"]
    totals["outstanding"] = due - totals["paid"]
    totals["payable_now"] = max(totals["outstanding"] - totals["held_back"], 0)
    state["totals"] = {name: divide(value, 1, places) for name, value in totals.items()}
    moved = [name for name in ("received", "despatched") if any(line[name] for line in lines)]
    status = moved[0] if moved else state["stage"]
    if rows:
        whole = all(line["invoiced"] >= line["ordered"] for line in lines)
        status = "matched" if totals["payable_now"] else "settled" if whole else "partly settled"
        found = [row["status"] for row in rows] + [one["what"] for one in state["findings"]]
        status = next((one for one in ("disputed", "overpaid", "waits for receipt") if one in found), status)
    state["status"] = state["stage"] if state["stage"] in ("cancelled", "refused") else status
