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

MOST = 10**15  # of any amount or quantity
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
    elif sum(one.startswith(f"{kind} ") for one in state["documents"]) >= 100:
        # A state has a greatest size, and one side could fill it so that the other files nothing more.
        raise Reject(f"{kind} {name}: order {state['order']} has 100 documents of this kind")
    elif body.get("DocumentCurrencyCode", state["currency"]) != state["currency"]:
        raise Reject(f"{kind} {name} is in {body['DocumentCurrencyCode']}, the order in {state['currency']}")
    elif state["stage"] in ("cancelled", "refused") and kind not in STILL:
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
    rows, places = state["invoices"], state["places"]
    totals = {"ordered": net_ordered(state), "received_value": 0, "penalty": state["penalty"]}
    for line in state["lines"].values():
        totals["received_value"] += divide((line["net"] or 0) * line["accepted"], line["ordered"] or 1, places)
    for name, member in (
        ("invoiced", "claim"),
        ("held_back", "held"),
        ("discount", "discount"),
        ("interest", "interest"),
    ):
        totals[name] = sum(row.get(member, 0) for row in rows)
    totals["paid"] = sum(row["paid"] for row in rows) + state["on_account"]
    totals["payable_now"] = max(payable(state), 0)
    totals["outstanding"] = payable(state) + totals["held_back"]
    flat = {"order": state["order"], "status": state["status"], "currency": state["currency"]}
    flat |= {name: divide(value, 1, places) for name, value in totals.items()}
    for name, member in (("due_date", "due"), ("discount_until", "discount_until")):
        flat[name] = min([row[member] for row in rows if row["open"] > 0 and member in row], default=None)
    return flat | {"findings": len(state["findings"]), "why": "; ".join(one["why"] for one in state["findings"][:3])}


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
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or abs(value) > MOST:
        raise Reject(f"{name} {value} is not a number, or beyond what is bought")
    if value < least:
        raise Reject(f"{name} {value} is below {least}")
    if unit is not None and kind != unit:
        raise Reject(f"{name} is in {kind}, the order in {unit}")
    return value


def optional(part, name, unit):
    return number(part, name, unit) if name in part else 0


def amount(part, name, state, least=0):
    """The amount `name` in the order's currency, without fractions of its minor unit."""
    value, places = number(part, name, state["currency"], least), state["places"]
    if value % Decimal(1).scaleb(-places):
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
    line = state["lines"][name]
    item = first(part, "Item", "SellersItemIdentification", "ID") if line.get("item") else None
    if item and item != line["item"]:
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
    state |= {"lines": {}, "pending": None, "invoices": [], "on_account": 0, "penalty": 0, "documents": [], "extra": 0}
    agree(state, body)
    return state


def agree(state, body):
    """Both sides stand by `body`, the order or a change of it: it is the order now."""
    state |= {"lines": lines_of(state, body), "pending": None}
    if "AllowanceCharge" in body:
        state["extra"] = extra_of(state, body)
    if first(body, *UNTIL):
        state["until"] = day(first(body, *UNTIL)).isoformat()


def lines_of(state, body):
    """The order's lines with those of `body`, an order or a change of it, put in; never below what is delivered."""
    lines = dict(state["lines"])
    for part in parts(body, "OrderLine", wanted=True):
        item = parts(part, "LineItem", wanted=True)[0]
        name, net = text(item, "ID"), None
        old = state["lines"].get(name) or {"received": 0, "accepted": 0, "invoiced": 0}
        gone = item.get("LineStatusCode") == "2"  # a line deleted
        ordered = 0 if gone else number(item, "Quantity", old.get("unit"))
        delivered = max(old.get("despatched", 0), kept(old))
        if ordered < delivered or (not ordered and not gone) or lines.get(name) is not state["lines"].get(name):
            raise Reject(
                f"line {name}: Quantity {ordered}, delivered {delivered}; it stands once, above 0, not below that"
            )
        if "LineExtensionAmount" in item:
            net = 0 if gone else amount(item, "LineExtensionAmount", state)
        elif "Price" in item:
            price = parts(item, "Price", wanted=True)[0]
            net = ordered * number(price, "PriceAmount", state["currency"])
            net = divide(net, optional(price, "BaseQuantity", None) or 1, state["places"])
        elif old.get("net") is not None and old["ordered"]:
            net = divide(old["net"] * ordered, old["ordered"], state["places"])
        lines[name] = old | {
            "ordered": ordered,
            "net": net,
            "unit": first(item, "Quantity", "unitCode") or old.get("unit"),
        }
        if "Delivery" in item and first(item, *UNTIL):
            lines[name]["until"] = day(first(item, *UNTIL)).isoformat()
        if "Item" in item:
            lines[name]["item"] = first(item, "Item", "SellersItemIdentification", "ID")
    return lines


def take_change(state, record, terms):
    """A change binds at once while the seller has not answered; later it waits for the seller's response AP."""
    wanted = ("OrderLine", "Delivery", "AllowanceCharge")
    state["pending"] = {name: record["body"][name] for name in wanted if name in record["body"]}
    lines_of(state, record["body"])  # refused now rather than when it is answered
    if state["stage"] == "ordered":
        agree(state, state["pending"])


def take_response(state, record, terms):
    code, pending = text(record["body"], "OrderResponseCode"), state["pending"]
    if code not in ("AB", "AP", "CA", "RE"):
        raise Reject(f"OrderResponseCode {code} is none of AB, AP, CA, RE")
    if code == "RE" and not pending and state["stage"] == "accepted":
        raise Reject(f"order {state['order']} is accepted and can no longer be refused")
    if code == "AP" and pending:
        agree(state, pending)
    if code == "AP":
        state |= {"stage": "accepted", "pending": None}
    elif code == "RE":
        state |= {"stage": state["stage"] if pending else "refused", "pending": None}
    elif code == "CA":
        state["stage"] = "other terms offered" if state["stage"] == "ordered" else state["stage"]


def take_cancellation(state, record, terms):
    for name, line in sorted(state["lines"].items()):
        gone = max(line.get("despatched", 0), line["received"])
        if gone:
            raise Reject(f"order {state['order']} stands: {gone} {line['unit']} of line {name} are despatched")
    state |= {"stage": "cancelled", "pending": None}


# --- the goods ---------------------------------------------------------------------


def take_despatch(state, record, terms):
    for part in parts(record["body"], "DespatchLine", wanted=True):
        line = line_of(state, part)[1]
        line["despatched"] = line.get("despatched", 0) + number(part, "DeliveredQuantity", line["unit"])
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
        line |= {"rejected": line.get("rejected", 0) + back} if back else {}
        line |= {"short": optional(part, "ShortQuantity", line["unit"])} if "ShortQuantity" in part else {}
        if kept(line) < 0:
            raise Reject(f"line {name}: {line['rejected']} {line['unit']} go back, {line['received']} were received")
        until = line.get("until") or state.get("until")
        late = (came_on - day(until)).days - terms.get("penalty_grace_days", 0) if until else 0
        if late > 0 and came > back and line["net"] and "penalty_percent_per_day" in terms:
            percent = min(terms["penalty_percent_per_day"] * late, terms.get("penalty_cap_percent", 100))
            penalty = line["net"] * min(came - back, line["ordered"]) * percent
            penalty = divide(penalty, line["ordered"] * 100, state["places"])
            # The cap is of the line, however often its goods come, go back and come again.
            most = divide(line["net"] * terms.get("penalty_cap_percent", 100), 100, state["places"])
            penalty = max(min(penalty, most - line.get("penalty", 0)), 0)
            line["penalty"] = line.get("penalty", 0) + penalty
            state["penalty"] += penalty
    state["stage"] = "accepted"


# --- the bills ---------------------------------------------------------------------


def read_bill(state, record, terms):
    """Lines (quantity, net, hundredfold net with tax), charges less allowances, and the total, if these add up."""
    body, kind, currency = record["body"], LINES[record["type"]], state["currency"]
    lines, net, tax, extra, rated, has_rates = {}, 0, 0, extra_of(state, body), 0, False
    for part in parts(body, f"{kind}Line", wanted=True):
        name, line = line_of(state, part)
        field = "InvoicedQuantity" if kind == "Invoice" else "CreditedQuantity"
        billed = number(part, field, line["unit"], -MOST)  # a line below 0 takes goods back that were billed
        asked = amount(part, "LineExtensionAmount", state, -MOST)
        if billed * asked < 0:
            raise Reject(f"line {name}: {field} {billed} and LineExtensionAmount {asked} have two signs")
        category = first(part, "Item", "ClassifiedTaxCategory") or {}
        taxed = asked * (100 + optional(category, "Percent", None))
        has_rates, rated = has_rates or "Percent" in category, rated + taxed - asked * 100
        before = lines.get(name, (0, 0, 0))
        lines[name] = [before[0] + billed, before[1] + asked, before[2] + taxed]
        net += asked
    for part in parts(body, "TaxTotal"):
        # A second total may give the tax in the currency of the tax office.
        if first(part, "TaxAmount", "currencyID") == currency or "TaxCurrencyCode" not in body:
            tax += amount(part, "TaxAmount", state)
    extras = parts(body, "AllowanceCharge")
    for part in extras:
        rate = optional(first(part, "TaxCategory") or {}, "Percent", None)
        rated += number(part, "Amount") * rate * (1 if part["ChargeIndicator"] else -1)
    # Each line and charge may be rounded by itself. Rates that give another tax would shift what is held back.
    if has_rates and abs(tax * 100 - rated) > (len(lines) + len(extras) + 1) * Decimal(100).scaleb(-state["places"]):
        given = divide(rated, 100, state["places"])
        raise Reject(f"{body['ID']} does not add up: tax {tax} {currency}, the rates of its lines give {given}")
    totals = parts(body, "LegalMonetaryTotal", wanted=True)[0]
    total, less = amount(totals, "PayableAmount", state), optional(totals, "PrepaidAmount", currency)
    rounded = number(totals, "PayableRoundingAmount", currency, -1) if "PayableRoundingAmount" in totals else 0
    if rounded > 1 or tax * 100 > (net + extra) * terms.get("tax_percent_max", MOST):
        raise Reject(f"{body['ID']}: tax {tax} on {net + extra} {currency}, rounded by {rounded}: more than is agreed")
    less -= rounded
    if net + extra + tax - less != total:
        said = f"lines {net}, charges less allowances {extra}, tax {tax}, prepaid or rounded off {less}"
        raise Reject(f"{body['ID']} does not add up: {said}, PayableAmount {total} {currency}")
    return lines, extra, total


def take_invoice(state, record, terms):
    body, issued = record["body"], day(text(record["body"], "IssueDate")).isoformat()
    lines, extra, total = read_bill(state, record, terms)
    for row in state["invoices"]:
        if row.get("response") != "RE" and [row["date"], row["amount"], row["lines"]] == [issued, total, lines]:
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
    row = {"id": body["ID"], "date": issued, "amount": total, "lines": lines, "paid": 0, "open": 0}
    row |= {"due": max(due).isoformat()} if due else {}
    row |= {"discount_percent": percent, "discount_until": until.isoformat()} if percent else {}
    state["invoices"].append(row | ({"extra": extra} if extra else {}))
    state["stage"] = "accepted"


def invoice_of(state, part, what):
    """The invoice that `part` refers to; None where it refers to none."""
    named = [one for each in parts(part, "BillingReference") for one in parts(each, "InvoiceDocumentReference")]
    named = [text(one, "ID") for one in named or parts(part, "DocumentReference")]
    rows = [row for row in state["invoices"] if row["id"] in named]
    if any(name != named[0] for name in named) or (named and not rows):
        raise Reject(f"{what} names {', '.join(named)}: one invoice of order {state['order']} is wanted")
    return rows[0] if rows else None


def take_credit(state, record, terms):
    """Taken off the invoice; with CreditNoteTypeCode 83 (a correction of prices) the quantities stay."""
    name, keeps = record["body"]["ID"], record["body"].get("CreditNoteTypeCode") == "83"
    row = invoice_of(state, record["body"], name)
    if row is None:
        raise Reject(f"{name}: BillingReference/InvoiceDocumentReference/ID is missing")
    lines, extra, total = read_bill(state, record, terms)
    for line, (back, *amounts) in lines.items():
        billed, credit = row["lines"].get(line, [0, 0, 0]), [0 if keeps else back, *amounts]
        row["lines"][line] = [one - less for one, less in zip(billed, credit, strict=True)]
        left = row["amount"] - row.get("credited", 0)
        if min(row["lines"][line]) < 0 or total > left:
            said = f"{credit[0]} for {credit[1]} on line {line}, {total} in all"
            raise Reject(f"{name} credits {said}; {row['id']} has {billed[0]} for {billed[1]}, {left} in all")
    row |= {"credited": row.get("credited", 0) + total, "extra": row.get("extra", 0) - extra}


def take_answer(state, record, terms):
    """The buyer's word on an invoice. RE takes it out of the match; no word lifts what the match holds back."""
    for part in parts(record["body"], "DocumentResponse", wanted=True):
        code, row = text(first(part, "Response") or {}, "ResponseCode"), invoice_of(state, part, "invoice-response")
        said = row and row.get("response")
        if row is None or said == "RE" or code not in ("AB", "AP", "CA", "IP", "PD", "RE", "UQ"):
            raise Reject(f"invoice {row and row['id']}: ResponseCode {code} after {said}")
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
        paid = state["on_account"] if row is None else row["paid"]
        if value < 0 and paid + value < 0:
            raise Reject(f"{what}: {-value} {state['currency']} are no refund of the {paid} that were paid")
        if row is None:
            state["on_account"] += value
            continue
        late, base = (paid_on - day(row["due"])).days if "due" in row else 0, min(value, row["open"])
        if late > 0 and base > 0 and "interest_percent" in terms:
            interest = divide(
                base * late * terms["interest_percent"], 100 * terms.get("interest_days", 365), state["places"]
            )
            row["interest"] = row.get("interest", 0) + interest
        row["paid"] += value
        if "discount_until" in row and paid_on <= day(row["discount_until"]):
            row["paid_early"] = row.get("paid_early", 0) + value
    if "TotalPaymentAmount" in body and amount(body, "TotalPaymentAmount", state) != total:
        raise Reject(f"{what}: lines {total}, TotalPaymentAmount {number(body, 'TotalPaymentAmount')}")


LINES = {"despatch": "Despatch", "receipt": "Receipt", "invoice": "Invoice", "credit-note": "CreditNote"}
UNTIL = ("Delivery", "RequestedDeliveryPeriod", "EndDate")
STILL = ("order-cancellation", "credit-note", "invoice-response", "payment")  # of an order that is no more
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
    """Compare ordered, received and invoiced, invoice by invoice as they came. What agrees costs no division."""
    state["findings"] = []
    for line in state["lines"].values():
        line["invoiced"] = 0
        line["accepted"] = line["ordered"] if terms.get("match") == "two-way" else kept(line)
        if line["accepted"] > line["ordered"]:
            most = line["ordered"] + tolerance(terms, "over_delivery", line["ordered"])
            line["accepted"] = min(line["accepted"], most)
    charges = max(state["extra"], 0)
    for row in state["invoices"]:
        charges -= match_invoice(state, row, charges, terms)
    disputed = [one["line"] for one in state["findings"]]
    for name in sorted(
        name for name, line in state["lines"].items() if "short" in line or kept(line) > line["accepted"]
    ):
        line = state["lines"][name]
        if kept(line) > line["accepted"]:
            find(state, None, name, "over-delivery", kept(line) - line["accepted"])
        elif line["short"] > 0 and kept(line) < line["ordered"] and name not in disputed:
            find(state, None, name, "short delivery", min(line["short"], line["ordered"] - kept(line)))
    state["status"] = status_of(state)


def match_invoice(state, row, charges, terms):
    """What of the invoice is held back, discounted and open; returns how much of `charges` it uses up."""
    places, net, gross, held, before = state["places"], 0, 0, 0, len(state["findings"])
    row["claim"] = claim = 0 if row.get("response") == "RE" else row["amount"] - row.get("credited", 0)
    for name, (_, asked, taxed) in sorted(row["lines"].items()) if claim else ():
        back = match_line(state, row, name, terms)
        held += divide(taxed * back, asked, 12) if back else 0
        net, gross = net + asked, gross + taxed
    agreed, extra = charges, row.get("extra", 0)
    if state["extra"] < 0:  # an allowance, of which each invoice grants its share
        agreed = divide(state["extra"] * net, net_ordered(state) or 1, places)
    over, bare = extra - agreed, not net and claim > 0  # bare: a claim for nothing, or for what it takes back itself
    if bare or (net and over > terms.get("amount_absolute", 0)):
        find(state, row, None, "charge", claim if bare else over, claim if bare else over)
        held += 0 if bare else divide(over * gross, net, 12)
    if held and net:
        gross += divide(max(extra, 0) * gross, net, 12)
        back, share = divide(held, 100, places), divide(claim * held, gross, places)
        # What is held back is the line with its tax, or its share where the total has allowances or prepayments.
        back = back if abs(back - share) <= Decimal(1).scaleb(-places) else share
        held = claim if held == gross else max(min(back, claim), 0)
    held = claim if bare else held
    due, early = claim - held, row.get("paid_early", 0)
    if early > 0:
        percent = row["discount_percent"]
        whole = divide(due * percent, 100, places)
        earned = whole if early + whole >= due else divide(early * percent, 100 - percent, places)
        row["discount"] = max(min(earned, due - row["paid"]), 0)
    row |= {"held": held, "open": due - row["paid"] - row.get("discount", 0)}
    row["status"] = "refused" if row.get("response") == "RE" else "matched" if row["open"] > 0 else "settled"
    if held:
        waits = all(one["what"] == "not received" for one in state["findings"][before:])
        row["status"] = "waits for receipt" if waits else "disputed"
    if row["open"] + row.get("interest", 0) < 0:
        find(state, row, None, "overpaid", -row["open"] - row.get("interest", 0))
    return max(min(extra, charges), 0)


def match_line(state, row, name, terms):
    """The net amount of an invoice's line that is not payable: quantity first, then the price of what matches."""
    line, (billed, asked, _) = state["lines"][name], row["lines"][name]
    left, matched, due, agreed = line["accepted"] - line["invoiced"], billed, asked, line["net"] or 0
    line["invoiced"] += billed
    if billed > max(left, 0) and billed > left + (
        tolerance(terms, "quantity", line["accepted"]) if line["accepted"] else 0
    ):
        matched = max(left, 0)
        due = divide(asked * matched, billed, state["places"])
    if matched != line["ordered"]:
        agreed = divide(agreed * matched, line["ordered"] or 1, state["places"])
    over = max(due - agreed, 0)
    if over and matched and over <= max(tolerance(terms, "price", agreed, matched), terms.get("amount_absolute", 0)):
        over = 0
    if matched != billed:
        what = "returned" if line.get("rejected") else "short delivery" if line["accepted"] else "not received"
        what = "billed above the order" if line["invoiced"] > line["ordered"] else what
        find(state, row, name, what, billed - matched, asked - due)
    if over:
        known = line["net"] is not None
        prices = f"{due} {state['currency']} asked for {matched}, "
        prices += f"{agreed} {state['currency']} agreed" if known else "none agreed"
        find(state, row, name, "price" if known else "no agreed price", over, over, prices)
    return asked - due + over


def kept(line):
    return line["received"] - line.get("rejected", 0)


def net_ordered(state):
    return sum(line["net"] or 0 for line in state["lines"].values())


def tolerance(terms, what, value, times=1):
    """The larger of the two tolerances that the terms give for `what`; none where they give none."""
    percent, absolute = terms.get(f"{what}_percent", 0), terms.get(f"{what}_absolute", 0)
    return max(absolute * times, value * percent * Decimal("0.01"))


def find(state, row, name, what, difference, held_net=0, prices=""):
    """Note a finding, with the counters that show it: quantities in the line's unit, amounts before tax."""
    found = {"invoice": row and row["id"], "line": name, "what": what, "difference": difference, "held_net": held_net}
    why = (f"invoice {row['id']}: " if row else "") + what
    if name is not None:
        line = state["lines"][name]
        found |= {
            "ordered": line["ordered"],
            "received": kept(line),
            "invoiced": line["invoiced"],
            "unit": line["unit"],
        }
        why += f" on line {name}: ordered {line['ordered']}, received {kept(line)}"
        why += f", invoiced {line['invoiced']} {line['unit']}" + (f", {prices}" if prices else "")
    why += f", difference {difference}" + (f" {state['currency']}" if name is None or prices else "")
    state["findings"].append(found | {"why": why})


def status_of(state):
    rows, lines = state["invoices"], state["lines"].values()
    if state["stage"] in ("cancelled", "refused"):
        return state["stage"]
    if not rows:
        moved = "despatched" if any("despatched" in line for line in lines) else state["stage"]
        return "received" if any(line["received"] for line in lines) else moved
    found = [row["status"] for row in rows] + [one["what"] for one in state["findings"]]
    worst = [one for one in ("disputed", "overpaid", "waits for receipt") if one in found]
    if worst:
        return worst[0]
    if payable(state) > 0:
        return "matched"
    return "settled" if all(line["invoiced"] >= line["ordered"] for line in lines) else "partly settled"


def payable(state):
    """What is due for all that matches, less what was paid; below 0 the seller owes."""
    due = sum(row["open"] + row.get("interest", 0) for row in state["invoices"])
    return due - state["penalty"] - state["on_account"]
