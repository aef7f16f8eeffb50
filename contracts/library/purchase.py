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

# A state has a greatest size. Each of these is for one side alone, and all together stay below it: what one side
# files leaves the other its room.
LINES_BYTES = 115_000  # of the lines of the order and of a change that waits, and of their receipts: the buyer's
BILLS_BYTES = 76_000  # of the invoices and what is despatched: the seller's
LINE_LATER, BILL_LATER, BILLED_LATER, BILLED_LEAST = 30, 380, 24, 63  # of a line, an invoice, a line of it; its least
SMALL = 100  # lines, five times the invoices, and lines of invoices: so few are within their bytes in any case
MOST, LETTERS = 10**15, 24  # of any amount or quantity; and of its text
NAME, CODE, MEMBER = 50, 12, 63  # letters of an ID, of a unit or currency, of a member's name; in UTF-8
SIDE = 300  # documents of an order that the buyer files, and as many of the seller; 100 of each kind
LATE_MOST = 200  # days on which the invoices of an order are paid late, by the buyer and as many by its bank
FINDINGS_MOST = 20  # that are kept
CENT = Decimal("0.01")
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
    "payment": {"buyer", "bank", "seller"},  # from the seller it is a refund that it announces
}
SHARES = {
    "order": {
        "/*": {"buyer", "seller"},
        "/ID": {"buyer", "seller", "carrier"},
        "/Delivery": {"buyer", "seller", "carrier"},
        # What is insured and declared tells prices: of one delivery (an object) and of several (a list) alike.
        "/Delivery/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/Shipment": {"buyer", "seller"},
        "/Delivery/*/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/*/Shipment": {"buyer", "seller"},
        "/Delivery/DeliveryTerms/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/DeliveryTerms/Shipment": {"buyer", "seller"},
        "/Delivery/Shipment/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/Shipment/Shipment": {"buyer", "seller"},
        # Named one by one: whatever else a line holds may tell a price.
        "/OrderLine/*/LineItem/ID": {"buyer", "seller", "carrier"},
        "/OrderLine/*/LineItem/Quantity": {"buyer", "seller", "carrier"},
    },
    "order-response": {"/*": {"buyer", "seller"}},
    "order-change": {
        "/*": {"buyer", "seller"},
        "/OrderReference": {"buyer", "seller", "carrier"},
        "/Delivery": {"buyer", "seller", "carrier"},
        "/Delivery/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/Shipment": {"buyer", "seller"},
        "/Delivery/*/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/*/Shipment": {"buyer", "seller"},
        "/Delivery/DeliveryTerms/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/DeliveryTerms/Shipment": {"buyer", "seller"},
        "/Delivery/Shipment/DeliveryTerms": {"buyer", "seller"},
        "/Delivery/Shipment/Shipment": {"buyer", "seller"},
        "/OrderLine/*/LineItem/ID": {"buyer", "seller", "carrier"},
        "/OrderLine/*/LineItem/Quantity": {"buyer", "seller", "carrier"},
    },
    "order-cancellation": {"/*": {"buyer", "seller", "carrier"}},
    "despatch": {
        "/*": {"buyer", "seller", "carrier"},
        # The values that customs and insurers are told are prices too.
        "/Shipment": {"buyer", "seller"},
        "/Shipment/Delivery": {"buyer", "seller", "carrier"},
        "/Shipment/Delivery/DeliveryTerms": {"buyer", "seller"},
        "/Shipment/Delivery/Shipment": {"buyer", "seller"},
        "/Shipment/Delivery/*/DeliveryTerms": {"buyer", "seller"},
        "/Shipment/Delivery/*/Shipment": {"buyer", "seller"},
        "/Shipment/Delivery/DeliveryTerms/DeliveryTerms": {"buyer", "seller"},
        "/Shipment/Delivery/DeliveryTerms/Shipment": {"buyer", "seller"},
        "/Shipment/Delivery/Shipment/DeliveryTerms": {"buyer", "seller"},
        "/Shipment/Delivery/Shipment/Shipment": {"buyer", "seller"},
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
        "/PaymentMeans": {"buyer", "seller", "bank"},
        "/AccountingSupplierParty": {"buyer", "seller", "bank"},
        "/AccountingCustomerParty": {"buyer", "seller", "bank"},
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
    name = to_keep(body, "ID")
    # Each who pays has payments of its own, so that none uses up another's.
    label = PAYMENTS.get(record["role"], kind) if kind == "payment" else kind
    if state is None:
        if kind != "order":
            raise Reject(f"{kind} {name}: order {key(record)} is not known")
        state = new_order(body, terms) | {"parties": {"buyer": record["author"]}}
        state["parties"] |= {"seller": to_keep(body, "Seller", MEMBER)} if "Seller" in body else {}
    elif kind == "order" or any(name in state["documents"].get(one, ()) for one in (label, ALIKE.get(label))):
        raise Reject(f"{kind} {name} is filed already: a duplicate")
    elif is_full(state, label):
        raise Reject(f"{kind} {name}: order {state['order']} has 100 documents of this kind, or {SIDE} of this side")
    elif body.get("DocumentCurrencyCode", state["currency"]) != state["currency"]:
        raise Reject(f"{kind} {name} is in {body['DocumentCurrencyCode']}, the order in {state['currency']}")
    elif state["stage"] in ("cancelled", "refused") and kind not in STILL:
        raise Reject(f"{kind} {name}: order {state['order']} is {state['stage']}")
    elif state["parties"].setdefault(record["role"], record["author"]) != record["author"]:
        raise Reject(f"{kind} {name}: the {record['role']} of order {state['order']} is another")
    elif "unseen" in state and kind in ("despatch", "receipt", "invoice"):
        # Else a change that nobody has seen yet would be agreed to by who sends or takes goods.
        raise Reject(f"{kind} {name}: the seller has to answer {version(state)} first")
    else:
        STEPS[kind](state, record, terms)
    if kind != "order-response" or body.get("OrderResponseCode") != "AB":  # "it came" is no answer, and uses none up
        state["documents"].setdefault(label, []).append(name)
    match(state, terms)
    check_room(state, kind, name)
    return state


def check_room(state, kind, name):
    """Is what this side has of the state within its bytes? What others change of it is counted at its longest."""
    lines, rows, waits = state["lines"], state["invoices"], (state["pending"] or {}).get("lines", {})
    billed, size, most, what = sum(len(row["lines"]) for row in rows), 0, LINES_BYTES, "lines and receipts"
    if len(lines) + len(waits) + 5 * len(rows) + billed <= SMALL:
        return
    if kind in ("order", "order-change", "receipt"):
        lines = lines | {one: lines.get(one, NEW) | line for one, line in waits.items()}
        held = [line | THEIRS | {"accepted": [line["received"], line["ordered"]]} for line in lines.values()]
        size = weight([*lines], held, waits) + (len(lines) * LINE_LATER if kind != "receipt" else 0)
    elif kind in LINES:  # of the seller
        most, what = BILLS_BYTES, "invoices and despatches"
        held = [[row.get(part) for part in BILL] for row in rows] + [one.get("despatched") for one in lines.values()]
        size = max(weight(held) + billed * BILLED_LATER, billed * BILLED_LEAST) + len(rows) * BILL_LATER
    if size > most:
        raise Reject(f"{kind} {name}: the {what} of order {state['order']} would take {size} bytes, at most {most}")


def weight(*held):
    import json  # here, as few orders are weighed

    return len(json.dumps(held, default="{:f}".format, ensure_ascii=False, separators=(",", ":")).encode())


def is_full(state, label):
    side = sum(len(names) for one, names in state["documents"].items() if SIDES.get(one) == SIDES.get(label))
    return len(state["documents"].get(label, ())) >= 100 or side >= SIDE


def summary(state):
    """One flat row for finance; every amount is in `currency`."""
    flat = {"order": state["order"], "status": state["status"], "currency": state["currency"]}
    rows, places, totals = state["invoices"], state["places"], {"ordered": net_ordered(state), "received_value": 0}
    for line in state["lines"].values():
        totals["received_value"] += divide((line["net"] or 0) * line["accepted"], line["ordered"] or 1, places)
    for name, member in {"invoiced": "claim", "held_back": "held", "discount": "discount"}.items():
        totals[name] = sum(row.get(member, 0) for row in rows)
    totals |= {"penalty": state["penalty"], "interest": sum(row.get("interest", 0) for row in rows)}
    totals["paid"] = sum(row["paid"] for row in rows) + state["on_account"]
    totals["refund_announced"] = state.get("announced", 0)
    totals["payable_now"] = max(payable(state), 0)
    totals["outstanding"] = payable(state) + totals["held_back"]
    flat |= {name: divide(value, 1, places) for name, value in totals.items()}
    for name, member in (("due_date", "due"), ("discount_until", "discount_until")):
        flat[name] = min([row[member] for row in rows if row["open"] > 0 and member in row], default=None)
    return flat | {"findings": len(state["findings"]), "why": "; ".join(one["why"] for one in state["findings"][:3])}


# --- reading documents -------------------------------------------------------------


def text(part, name):
    value = part.get(name)
    if value is None:
        raise Reject(f"{name} is missing")
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise Reject(f"{name} must be text of 1 to 200 characters")
    return value


def to_keep(part, name, most=NAME):
    """The text `name`, which goes into the state."""
    value = part.get(name)
    if not fits(value, most):
        text(part, name)
        raise Reject(f"{name} must be text of 1 to {most} bytes, printable and without quotes and backslashes")
    return value


def fits(value, most):
    """Is it text of so many bytes at most, in a state as well? What is escaped there has more."""
    if not isinstance(value, str) or not value.isprintable() or '"' in value or "\\" in value:
        return False
    return 0 < len(value if value.isascii() else value.encode()) <= most


def parts(part, name, wanted=False):
    """The objects under `name`, one or a list; where it is missing none, or (`wanted`) a refusal."""
    found = part.get(name) or []
    found = found if isinstance(found, list) else [found]
    for one in found:
        if not isinstance(one, dict):
            raise Reject(f"{name} must hold objects")
    if wanted and not found:
        raise Reject(f"{name} is missing")
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
    if not isinstance(value, int) and len(f"{value:f}") > LETTERS:
        raise Reject(f"{name} has more than {LETTERS} letters")
    if value < least:
        raise Reject(f"{name} {value} is below {least}")
    if unit is not None and kind != unit:
        raise Reject(f"{name} is in {kind}, the order in {unit}")
    return value


def optional(part, name, unit):
    return number(part, name, unit) if name in part else 0


def amount(part, name, state, least=0):
    """The amount `name` in the order's currency, without fractions of its minor unit."""
    value, unit = number(part, name, state["currency"], least), unit_of(state["places"])
    if isinstance(value, int) or value.same_quantum(unit):  # as most are
        return value
    if value % unit:
        raise Reject(f"{name} {value} {state['currency']} has more than {state['places']} decimals")
    return divide(value, 1, state["places"])


def unit_of(places):
    return CENT if places == 2 else Decimal(1).scaleb(-places)


def day(value):
    try:
        return date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        raise Reject(f"{value} is no date") from None


def day_of(record, terms, named):
    """The document's own day, or (terms: "dates": "recorded", or it has none) the one on which it was put in order."""
    return day(record["sequence"]["time"] if terms.get("dates") == "recorded" or named is None else named)


def is_of(reference, named):
    """Is it a reference to the document that is `named` so? What it leaves out is not compared."""
    text(reference, "ID")
    return all(reference.get(name) in (None, value) for name, value in named.items())


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
    named = body.get("DocumentCurrencyCode")
    currency = to_keep(body, "DocumentCurrencyCode", CODE) if named else terms.get("currency")
    if currency is None or terms.get("currency", currency) != currency:
        raise Reject(f"DocumentCurrencyCode is {currency}, the terms say {terms.get('currency')}")
    state = {"order": text(body, "ID"), "currency": currency, "places": terms.get("minor_units", 2), "stage": "ordered"}
    state |= {"lines": {}, "pending": None, "invoices": [], "on_account": 0, "penalty": 0, "documents": {}, "extra": 0}
    return state | asked_of(state, body)


def asked_of(state, body):
    """What `body`, an order or a change of it, makes of the order; no more of it is kept."""
    asked = {"lines": lines_of(state, body)}
    if "AllowanceCharge" in body:
        asked["extra"] = extra_of(state, body)
    if first(body, *UNTIL):
        asked["until"] = day(first(body, *UNTIL)).isoformat()
    return asked


def lines_of(state, body):
    """The order's lines with those of `body`, an order or a change of it, put in; never below what is delivered."""
    lines = dict(state["lines"])
    for part in parts(body, "OrderLine", wanted=True):
        item = parts(part, "LineItem", wanted=True)[0]
        name, net = to_keep(item, "ID"), None
        old = state["lines"].get(name, NEW)
        gone = item.get("LineStatusCode") == "2"  # a line deleted
        ordered = 0 if gone else number(item, "Quantity", old.get("unit"))
        if name in state["lines"]:
            check_delivered(name, old, ordered)
        if (not ordered and not gone) or lines.get(name) is not state["lines"].get(name):
            raise Reject(f"line {name}: Quantity {ordered}; a line stands once, and above 0")
        if "LineExtensionAmount" in item:
            net = 0 if gone else amount(item, "LineExtensionAmount", state)
            if "Price" in item and not gone:
                check_price(state, item, (ordered, net))
        elif "Price" in item:
            worth, base = worth_of(state, item, ordered)
            net = divide(worth, base, state["places"])
        elif old.get("net") is not None and old["ordered"]:
            net = divide(old["net"] * ordered, old["ordered"], state["places"])
        unit = first(item, "Quantity", "unitCode") or old.get("unit")
        if unit is not None and unit != old.get("unit") and not fits(unit, CODE):
            raise Reject(f"line {name}: unitCode must be text of 1 to {CODE} bytes")
        lines[name] = old | {"ordered": ordered, "net": net, "unit": unit}
        if "Delivery" in item and first(item, *UNTIL):
            lines[name]["until"] = day(first(item, *UNTIL)).isoformat()
        if "Item" in item:
            number_of_item = first(item, "Item", "SellersItemIdentification", "ID")
            lines[name]["item"] = number_of_item if fits(number_of_item, NAME) else None
    return lines


def check_delivered(name, line, ordered):
    delivered = max(line.get("despatched", 0), kept(line))
    if ordered < delivered:
        raise Reject(f"line {name}: Quantity {ordered}, delivered {delivered}: not below that")


def worth_of(state, item, ordered):
    """What the quantity costs by the price of the line, times the quantity that the price is for; and that."""
    price = parts(item, "Price", wanted=True)[0]
    base = optional(price, "BaseQuantity", None) or 1 if "BaseQuantity" in price else 1
    return ordered * number(price, "PriceAmount", state["currency"]), base


def check_price(state, item, given):
    """Price and amount of a line agree but for roundings: else one side reads the one, and is held to the other."""
    (ordered, net), (worth, base) = given, worth_of(state, item, given[0])
    if worth == net * base:
        return
    # A price is up to half of its last decimal off, but no more than a hundredth of itself; the amount is rounded once.
    price, unit = number(first(item, "Price"), "PriceAmount"), unit_of(state["places"])
    last = min(Decimal(1).scaleb(Decimal(price).as_tuple().exponent), unit)
    off = min(divide(ordered * last, base * 2, 12), divide(worth, base * 100, 12)) + divide(unit, 2, 12)
    worth = divide(worth, base, 12) + extra_of(state, item)
    if abs(worth - net) > off:
        worth = divide(worth, 1, state["places"])
        raise Reject(f"line {item['ID']}: LineExtensionAmount {net}, by its price {worth} {state['currency']}")


def take_change(state, record, terms):
    """A change binds at once while the seller has not accepted, nor goods came; later it waits for the response AP."""
    named = {name: to_keep(record["body"], name) for name in ("ID", "IssueDate", "UUID") if name in record["body"]}
    asked = asked_of(state, record["body"])
    if is_full(state, "order-response"):
        raise Reject(f"order-change {named['ID']}: the seller has no answer left for order {state['order']}")
    if state["stage"] == "accepted" or any(line["received"] for line in state["lines"].values()):
        lines = {}
        for name, line in asked["lines"].items():  # of each what is asked for, and is not so already
            old = state["lines"].get(name, NEW)
            if line is not old:
                lines[name] = {part: line[part] for part in ASKED if part in line and line[part] != old.get(part, old)}
        state["pending"] = asked | {"lines": lines, "change": named}
    else:
        state |= asked | {"stage": "ordered", "pending": None, "change": named, "unseen": True}


def version(state):
    """What the seller has to answer: the latest change, or the order where there is none."""
    change = (state["pending"] or state).get("change")
    since = f" of {change['IssueDate']}" if change and "IssueDate" in change else ""
    return f"order-change {change['ID']}{since}" if change else f"order {state['order']}"


def take_response(state, record, terms):
    """The seller's word on the order, or on the change that it names: no other, which may have crossed the answer."""
    body, pending, accepted = record["body"], state["pending"], record["body"].get("AcceptedIndicator")
    simple = "AP" if accepted is True else "RE" if accepted is False else None  # its response has no code
    code, change = body.get("OrderResponseCode", simple), (pending or state).get("change")
    named = parts(body, "OrderChangeDocumentReference")
    # Simple responses have no other place for it than within the reference to the order.
    named = named or [one for each in parts(body, "OrderReference") for one in parts(each, "DocumentReference")]
    if bool(named) != bool(change) or not all(is_of(one, change) for one in named):
        said = ", ".join(text(one, "ID") for one in named) or "the order as it was first"
        raise Reject(f"order-response {body['ID']} answers {said}; open is {version(state)}")
    state.pop("unseen", None)
    if code not in ("AB", "AP", "CA", "RE"):
        raise Reject(f"OrderResponseCode {code} is none of AB, AP, CA, RE, and no AcceptedIndicator says true or false")
    if code == "RE" and not pending and state["stage"] == "accepted":
        raise Reject(f"order {state['order']} is accepted and can no longer be refused")
    if code == "AP" and pending:
        lines = dict(state["lines"])
        for name, line in pending["lines"].items():
            old = lines.get(name, NEW)
            lines[name] = old | line
            check_delivered(name, old, lines[name]["ordered"])  # goods may have come since it was asked
        state |= pending | {"lines": lines}
    if code == "AP":
        state |= {"stage": "accepted", "pending": None}
    elif code == "RE":
        state |= {"stage": state["stage"] if pending else "refused", "pending": None}
    elif code == "CA" and state["stage"] == "ordered" and not pending:
        state["stage"] = "other terms offered"


def take_cancellation(state, record, terms):
    for name, line in sorted(state["lines"].items()):
        gone = max(line.get("despatched", 0), line["received"])
        if gone:
            raise Reject(f"order {state['order']} stands: {gone} {line['unit']} of line {name} are despatched")
    # What is done without despatch and receipt, the invoice alone tells of; that it is refused undoes nothing.
    for row in state["invoices"] if terms.get("match") == "two-way" and state["stage"] == "accepted" else ():
        if row["amount"] > row.get("credited", 0):
            said = f"{row['id']} bills {row['amount']} {state['currency']}; a change that the seller accepts ends it"
            raise Reject(f"order {state['order']} stands: {said}")
    state |= {"stage": "cancelled", "pending": None}


# --- the goods ---------------------------------------------------------------------


def take_despatch(state, record, terms):
    for part in parts(record["body"], "DespatchLine", wanted=True):
        line = line_of(state, part)[1]
        sent = line.get("despatched", 0) + number(part, "DeliveredQuantity", line["unit"])
        line["despatched"] = min(sent, line["ordered"])  # what is above binds nobody: else it would stop every change
    state["stage"] = "accepted"


def take_receipt(state, record, terms):
    """Goods that came, and (RejectedQuantity alone) that go back: the buyer's word, which does not bind the seller."""
    body = record["body"]
    if state["stage"] == "other terms offered":
        said = "the seller offered other terms, and has neither accepted nor despatched"
        raise Reject(f"receipt {body['ID']}: {said} what is ordered")
    came_on = first(body, "Shipment", "Delivery", "ActualDeliveryDate") or body.get("IssueDate")
    came_on = day_of(record, terms, came_on)
    for part in parts(body, "ReceiptLine", wanted=True):
        name, line = line_of(state, part)
        back = optional(part, "RejectedQuantity", line["unit"])
        came = (optional if back else number)(part, "ReceivedQuantity", line["unit"])
        line["received"] += came
        line |= {"rejected": line.get("rejected", 0) + back} if back else {}
        line |= {"short": optional(part, "ShortQuantity", line["unit"])} if "ShortQuantity" in part else {}
        if kept(line) < 0:
            raise Reject(f"line {name}: {line['rejected']} {line['unit']} go back, {line['received']} were received")
        until = line.get("until") or state.get("until")
        late = (came_on - day(until)).days - terms.get("penalty_grace_days", 0) if until else 0
        if late > 0 and came > back and line["net"] and "penalty_percent_per_day" in terms:
            percent = min(terms["penalty_percent_per_day"] * late, terms.get("penalty_cap_percent", 100))
            worth = line["net"] * min(came - back, line["ordered"])
            penalty = divide(worth * percent, line["ordered"] * 100, state["places"])
            # The cap is of the line, however often its goods come, go back and come again.
            most = divide(line["net"] * terms.get("penalty_cap_percent", 100), 100, state["places"])
            penalty = max(min(penalty, most - line.get("penalty", 0)), 0)
            line["penalty"] = line.get("penalty", 0) + penalty


# --- the bills ---------------------------------------------------------------------


def read_bill(state, record, terms, of=None):
    """What is billed (credited: `of` it), if it adds up; of each line quantity, net, hundredfold net with tax."""
    body, kind, currency = record["body"], LINES[record["type"]], state["currency"]
    lines, net, tax, extra, rated, has_rates = {}, 0, 0, extra_of(state, body), 0, False
    field = "InvoicedQuantity" if kind == "Invoice" else "CreditedQuantity"
    for part in parts(body, f"{kind}Line", wanted=True):
        name, line = line_of(state, part)
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
    total, least = amount(totals, "PayableAmount", state), {"PrepaidAmount": 0, "PayableRoundingAmount": -1}
    prepaid, rounded = (amount(totals, name, state, least[name]) if name in totals else 0 for name in least)
    gone = -min(rounded, max(of.get("rounded", 0), 0)) if of else rounded  # back comes what its invoice had
    if rounded > 1 or tax * 100 > (net + extra) * terms.get("tax_percent_max", MOST):
        said = f"tax {tax} on {net + extra} {currency}, rounded by {rounded}"
        raise Reject(f"{body['ID']}: {said}: more than is agreed")
    if net + extra + tax + rounded - prepaid != total:
        said = f"lines {net}, charges less allowances {extra}, tax {tax}, prepaid or rounded off {prepaid - rounded}"
        raise Reject(f"{body['ID']} does not add up: {said}, PayableAmount {total} {currency}")
    told = {"extra": extra, "prepaid": prepaid, "rounded": gone}
    told |= {"tax": tax} if kind == "CreditNote" or not has_rates else {}
    return {"amount": total + prepaid, "lines": lines} | {name: value for name, value in told.items() if value}


def take_invoice(state, record, terms):
    body, issued = record["body"], day(text(record["body"], "IssueDate")).isoformat()
    bill = read_bill(state, record, terms)
    for row in state["invoices"]:
        same = row["date"] == issued and row["amount"] == bill["amount"] and row["lines"] == bill["lines"]
        if same and row.get("response") != "RE":
            said = f"of {issued}, {bill['amount']} {state['currency']}"
            raise Reject(f"{body['ID']} bills what {row['id']} bills, {said}: renumbered")
    for name, (billed, asked, _) in bill["lines"].items():
        if billed < 0 <= asked:
            unit = state["lines"][name]["unit"]
            raise Reject(f"{body['ID']}, line {name}: takes back {-billed} {unit} for {-asked} {state['currency']}")
    filed = day_of(record, terms, issued)
    means, offer = first(body, "PaymentMeans", "PaymentDueDate"), first(body, "PaymentTerms") or {}
    due = [day(one) for one in (body.get("DueDate"), means, offer.get("PaymentDueDate")) if one][:1]
    if "payment_days" in terms:  # an invoice may give more time than agreed, not less
        due.append(filed + timedelta(terms["payment_days"]))
    percent, until = terms.get("discount_percent", 0), filed + timedelta(terms.get("discount_days", 0))
    if "SettlementDiscountPercent" in offer:  # the same: it takes nothing back of what is agreed
        offered, end = number(offer, "SettlementDiscountPercent"), first(offer, "SettlementPeriod", "EndDate")
        end = day(end) if end else until
        percent, until = (offered, end) if not percent or (offered >= percent and end >= until) else (percent, until)
    row = bill | {"id": body["ID"], "date": issued, "paid": bill.get("prepaid", 0), "open": 0}
    row |= {"due": max(*due, filed).isoformat()} if due else {}  # nothing is late before it was billed
    row |= {"discount_percent": percent, "discount_until": until.isoformat()} if percent else {}
    # What was prepaid may stand on account already: no money counts twice.
    put_on_account(state, issued, -min(state["on_account"], bill.get("prepaid", 0)))
    state["invoices"].append(row)
    state["stage"] = "accepted"


def invoice_of(state, part, what):
    """The invoice that `part` refers to, itself or by a credit note of it; None where it refers to none."""
    billing, kinds = parts(part, "BillingReference"), ("InvoiceDocumentReference", "CreditNoteDocumentReference")
    named = [(kind == kinds[1], text(one, "ID")) for each in billing for kind in kinds for one in parts(each, kind)]
    for one in () if named else parts(part, "DocumentReference"):
        named.append((one.get("DocumentTypeCode") in CREDITS, text(one, "ID")))
    bills = {(True, name): row for row in state["invoices"] for name in row.get("credits", ())}
    bills |= {(False, row["id"]): row for row in state["invoices"]}
    rows = [bills.get(one) for one in named]
    if any(row is None or row is not rows[0] for row in rows):
        said = ", ".join(name for _, name in named)
        raise Reject(f"{what} names {said}: one invoice of order {state['order']} is wanted, or its credit note")
    return rows[0] if rows else None


def take_credit(state, record, terms):
    """Taken off the invoice; with CreditNoteTypeCode 83 (a correction of prices) the quantities stay."""
    name, keeps = record["body"]["ID"], record["body"].get("CreditNoteTypeCode") == "83"
    row = invoice_of(state, record["body"], name)
    if row is None or row.get("response") == "RE":
        said = f"{row['id']} was refused and claims nothing" if row else "BillingReference names no invoice"
        raise Reject(f"{name}: {said}")
    bill = read_bill(state, record, terms, row)
    total, left, base, tax = bill["amount"], row["amount"] - row.get("credited", 0), base_of(row), row.get("tax", 0)
    for line, (back, *amounts) in bill["lines"].items():
        billed, credit = row["lines"].get(line, [0, 0, 0]), [0 if keeps else back, *amounts]
        row["lines"][line] = rest = [one - less for one, less in zip(billed, credit, strict=True)]
        if min(rest) < 0 or total > left:
            said = f"{credit[0]} for {credit[1]} on line {line}, {total} in all"
            raise Reject(f"{name} credits {said}; {row['id']} has {billed[0]} for {billed[1]}, {left} in all")
        if rest[2] * billed[1] > billed[2] * rest[1]:
            raise Reject(f"{name} credits line {line} at a lower tax rate than {row['id']} bills it")
    row |= {"credited": row.get("credited", 0) + total, "extra": row.get("extra", 0) - bill.get("extra", 0)}
    row |= {"rounded": row.get("rounded", 0) + bill.get("rounded", 0), "credits": [*row.get("credits", ()), name]}
    if tax:  # that no rates of lines explain: of what is left it is no greater part than of the whole
        row["tax"] = tax - bill.get("tax", 0)
        if base * (row["tax"] - unit_of(state["places"])) > tax * base_of(row):
            raise Reject(f"{name} credits {bill.get('tax', 0)} of {tax} tax, and {base - base_of(row)} of {base} net")


def base_of(row):
    return sum(net for _, net, _ in row["lines"].values()) + row.get("extra", 0)


def take_answer(state, record, terms):
    """The buyer's word on an invoice. RE takes it out of the match; no word lifts what the match holds back."""
    for part in parts(record["body"], "DocumentResponse", wanted=True):
        code, row = text(first(part, "Response") or {}, "ResponseCode"), invoice_of(state, part, "invoice-response")
        said = row and row.get("response")
        is_final = said == "RE" or (said in ("AP", "PD") and code not in ("AP", "PD"))
        if row is None or is_final or code not in ("AB", "AP", "CA", "IP", "PD", "RE", "UQ"):
            raise Reject(f"invoice {row and row['id']}: ResponseCode {code} after {said}")
        about = first(part, "DocumentReference") or {}
        if not is_of(about, {"ID": row["id"], "IssueDate": row["date"]}) or about.get("DocumentTypeCode") in CREDITS:
            raise Reject(f"the invoice-response is not about invoice {row['id']} of {row['date']}")
        row |= {"response": code, "lines": {} if code == "RE" else row["lines"]}
        if code == "RE":  # what was prepaid is for the invoice that comes instead
            back = max(min(row.pop("prepaid", 0), row["paid"]), 0)
            row["paid"] -= back
            # It came by then, and no later than the last that did: a bill dated ahead would make it late for the next.
            days = [row["date"], record["sequence"]["time"][:10], *sorted(state.get("account", ()))[-1:]]
            put_on_account(state, min(days), back)


def take_payment(state, record, terms):
    """What was paid, for an invoice or, where none is named, on account; from the seller it is a refund.

    Money that came back is the buyer's or bank's word (CreditLineAmount); the seller's announces it, and counts for
    nothing until then: else it bills anew what it says it paid back. What is netted of a credit note pays for another
    invoice, and its own is owed as if it were not credited.
    """
    body, lines, what, days = record["body"], [], f"payment {record['body']['ID']}", 0
    paid_on = day_of(record, terms, body.get("PaidDate") or body.get("IssueDate"))
    names = ("PaidAmount" if "PaidAmount" in body else "DebitLineAmount", "CreditLineAmount")
    for part in [body] if "PaidAmount" in body else parts(body, "RemittanceAdviceLine", wanted=True):
        paid, back = (amount(part, name, state) if name in part else 0 for name in names)
        if paid == back or (paid < back and record["role"] == "seller"):
            raise Reject(f"{what}: {paid - back} {state['currency']} is no payment")
        lines.append((paid - back, invoice_of(state, part, what)))
    total = sum(value for value, _ in lines)
    if "TotalPaymentAmount" in body and amount(body, "TotalPaymentAmount", state) != total:
        raise Reject(f"{what}: lines {total}, TotalPaymentAmount {number(body, 'TotalPaymentAmount')}")
    if record["role"] == "seller" or total < 0:
        announce(state, what, total)
    # What is paid comes first: a credit note may be netted in any line.
    for value, row in sorted(lines, key=lambda line: line[0] < 0) if record["role"] != "seller" else ():
        paid, credited = (row["paid"], row.get("credited", 0)) if row else (state["on_account"], 0)
        if value < 0 and paid + value < -credited:
            said = f"paid and {credited} credited of invoice {row['id']}" if row else "paid on account"
            raise Reject(f"{what}: {-value} {state['currency']} are above the {paid} {said}")
        if row is None:
            put_on_account(state, paid_on.isoformat(), value)
            continue
        row["paid"] += value
        if "late" in row or paid_on.isoformat() > row.get("due", LAST):
            days -= len(row.get("late", ()))
            row["late"] = booked(row.get("late", {}), paid_on.isoformat(), value)
            days += len(row["late"])
        if value < 0 and "paid_early" in row:  # what is paid back is of what came last
            row["paid_early"] = min(row["paid_early"], row["paid"])
        elif value > 0 and "discount_until" in row and paid_on <= day(row["discount_until"]):
            row["paid_early"] = row.get("paid_early", 0) + value
    if days:  # counted by who pays, as its payments are
        so_far = state.get("late_days", {})
        state["late_days"] = so_far | {record["role"]: so_far.get(record["role"], 0) + days}
        if state["late_days"][record["role"]] > LATE_MOST:
            raise Reject(f"{what}: the invoices of order {state['order']} were paid late on {LATE_MOST} days")


def announce(state, what, total):
    """A refund that the seller announces, as far as it owes it; below 0 money came, which need not be announced."""
    # What was paid or credited beyond what is due. An advance waits for the order's bills.
    waits, before = 0 if state["stage"] in ("cancelled", "refused") else state["on_account"], state.get("announced", 0)
    owed = max(divide(0, 1, state["places"]), -payable(state) - waits - before)
    if total > owed:
        raise Reject(f"{what}: {total} {state['currency']} are above the {owed} that the seller owes")
    state["announced"] = max(before + total, 0)


def put_on_account(state, paid_on, value):
    if value:
        state["on_account"] += value
        state["account"] = booked(state.get("account", {}), paid_on, value)


def booked(money, paid_on, value):
    """The `money` of each day with `value` more; what is paid back (below 0) is of what came last."""
    for latest in sorted(money, reverse=True) if value < 0 else ():
        back = min(money[latest], -value)
        money[latest], value = money[latest] - back, value + back
    return money | {paid_on: money.get(paid_on, 0) + value} if value > 0 else money


PAYMENTS = {"seller": "refund", "bank": "bank-payment"}
ALIKE = {"payment": "bank-payment", "bank-payment": "payment"}  # a number is of one of them
SIDES = {"order-response": 1, "despatch": 1, "invoice": 1, "credit-note": 1, "refund": 1, "bank-payment": 2}
ASKED = ("ordered", "net", "unit", "until", "item")  # of a line
NEW = {"received": 0, "accepted": 0, "invoiced": 0}  # a line
THEIRS = {"despatched": None, "invoiced": None}
BILL = ("id", "date", "due", "amount", "lines", "extra", "tax", "rounded", "prepaid", "credited", "credits")  # its own
LAST = "9999"  # after every day, as texts are compared
CREDITS = ("81", "83", "381", "396", "532")  # types of credit notes
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
    state["findings"], odd, is_two_way = [], [], terms.get("match") == "two-way"
    state["penalty"] = sum(one.get("penalty", 0) for one in state["lines"].values() if state["stage"] == "accepted")
    for name, line in state["lines"].items():
        ordered, have = line["ordered"], kept(line)
        more = tolerance(terms, "over_delivery", ordered) if have > ordered else 0
        accepted = ordered if is_two_way else min(have, ordered + more)
        line["invoiced"], line["accepted"] = 0, accepted
        if line.get("short") or have > accepted:
            odd.append(name)
    # What the invoices of the order share: each takes what those before it left.
    shared = {"terms": terms, "charges": max(state["extra"], 0), "net": 0, "rounded": 0, "spared": {}, "so_far": {}}
    shared["account"] = dict(state.get("account", ()))
    for row in state["invoices"]:
        match_invoice(state, row, shared)
    told = {one["line"] for one in state["findings"]}
    for name in sorted(odd):
        line = state["lines"][name]
        if kept(line) > line["accepted"]:
            find(state, None, name, "over-delivery", kept(line) - line["accepted"])
        elif kept(line) < line["ordered"] and name not in told:
            find(state, None, name, "short delivery", min(line["short"], line["ordered"] - kept(line)))
    state["status"] = status_of(state)
    del state["findings"][FINDINGS_MOST:]


def match_invoice(state, row, shared):
    """What of the invoice is held back, discounted and open."""
    terms, places, net, gross, held, is_beyond = shared["terms"], state["places"], 0, 0, 0, False
    found = len(state["findings"])
    row["claim"] = claim = 0 if row.get("response") == "RE" else row["amount"] - row.get("credited", 0)
    for name, (_, asked, taxed) in sorted(row["lines"].items()) if claim else ():
        back = match_line(state, row, name, shared)
        held += (
            divide(taxed * back, asked, 12) if asked and 0 != back != asked else taxed if asked and back else back * 100
        )
        net, gross = net + asked, gross + taxed
    agreed, extra = shared["charges"], row.get("extra", 0) if claim else 0
    shared["charges"] -= max(min(extra, agreed), 0)
    if state["extra"] < 0:  # an allowance, of which each invoice grants its share
        before, whole = shared["net"], net_ordered(state) or 1
        shared["net"] += net
        agreed = divide(state["extra"] * shared["net"], whole, places) - divide(state["extra"] * before, whole, places)
    over, bare = extra - agreed, not net and claim > 0  # bare: a claim for nothing, or for what it takes back itself
    if bare or (net and over > 0 and not tolerated(shared, None, over, 0)):
        find(state, row, None, "charge", claim if bare else over, claim if bare else over)
        held += 0 if bare else divide(over * gross, net, 12)
    if held and net:
        gross += divide(max(extra, 0) * gross, net, 12)
        back, share = divide(held, 100, places), divide(claim * held, gross, places)
        # What is held back is the line with its tax, or its share where the total has allowances or prepayments.
        back = back if abs(back - share) <= unit_of(places) else share
        is_beyond, held = held != gross and back > claim, claim if held == gross else max(min(back, claim), 0)
    held = claim if bare else held
    # Rounded down, it makes room for others once all of it is payable: else goods that never come would.
    if claim > held and (not held or row.get("rounded", 0) > 0):
        in_all = shared["rounded"] + row.get("rounded", 0)
        shared["rounded"], over = min(in_all, 1), min(in_all - 1, claim - held)
        if over > 0:
            find(state, row, None, "rounding", over, over)
            held += over
    for name, (billed, *_) in row["lines"].items() if bare or is_beyond else ():
        # What it takes back is set against what is not payable: it gives no money, so it frees nothing to bill again.
        state["lines"][name]["invoiced"] -= min(billed, 0)
    due, early = claim - held, row.get("paid_early", 0)
    if early > 0:
        percent = row["discount_percent"]
        whole = divide(due * percent, 100, places)
        earned = whole if early + whole >= due else divide(early * percent, 100 - percent, places)
        row["discount"] = max(min(earned, due - row["paid"]), 0)
    row |= {"held": held, "open": due - row["paid"] - row.get("discount", 0)}
    if "interest_percent" in terms and ("late" in row or shared["account"]):
        bear_interest(row, shared["account"], terms, places)
    row["status"] = "refused" if row.get("response") == "RE" else "matched" if row["open"] > 0 else "settled"
    if held:
        waits = all(one["what"] == "not received" for one in state["findings"][found:])
        row["status"] = "waits for receipt" if waits else "disputed"
    if row["open"] + row.get("interest", 0) < 0:
        find(state, row, None, "overpaid", -row["open"] - row.get("interest", 0))


def bear_interest(row, account, terms, places):
    """Interest on what was paid late, as far as it pays what matches; `account` loses what the invoice takes of it."""
    late, due, borne = row.get("late", {}), row.get("due", LAST), 0
    left = max(row["open"] + sum(late.values()), 0)
    for paid_on, money in sorted([(one, 0) for one in late] + [(one, 1) for one in account]):
        part = min((late, account)[money][paid_on], left)
        left -= part
        if money:
            account[paid_on] -= part
        if paid_on > due and part:
            borne += part * (day(paid_on) - day(due)).days
    if borne or "interest" in row:
        row["interest"] = divide(borne * terms["interest_percent"], 100 * terms.get("interest_days", 365), places)


def match_line(state, row, name, shared):
    """The net amount of an invoice's line that is not payable: quantity first, then the price of what matches."""
    terms, places, line, (billed, asked, _) = shared["terms"], state["places"], state["lines"][name], row["lines"][name]
    before, accepted, agreed = line["invoiced"], line["accepted"], line["net"] or 0
    left, matched, due, so_far = accepted - before, billed, asked, agreed
    line["invoiced"] = before + billed
    if billed > max(left, 0) and billed > left + (tolerance(terms, "quantity", accepted) if accepted else 0):
        matched = max(left, 0)
        due = divide(asked * matched, billed, places) if matched else 0
    if not matched:
        agreed = 0
    elif before or matched != line["ordered"]:
        so_far = divide(agreed * (before + matched), line["ordered"] or 1, places)
        known, value = shared["so_far"].get(name, (0, 0))
        agreed = so_far - (value if known == before else divide(agreed * before, line["ordered"] or 1, places))
        shared["so_far"][name] = (before + matched, so_far)
    over = max(due - agreed, 0)
    if over and matched and over <= max(tolerance(terms, "price", agreed, matched), terms.get("amount_absolute", 0)):
        over = 0 if tolerated(shared, name, over, tolerance(terms, "price", so_far, before + matched)) else over
    if matched != billed:
        what = "returned" if line.get("rejected") else "short delivery" if line["accepted"] else "not received"
        what = "billed above the order" if line["invoiced"] > line["ordered"] else what
        find(state, row, name, what, billed - matched, asked - due)
    if over:
        known = line["net"] is not None
        find(state, row, name, "price" if known else "no agreed price", over, over, (due, matched, agreed))
    return asked - due + over


def tolerated(shared, name, over, limit):
    """Is `over`, with what was tolerated before it, within the tolerance of all bills?"""
    spared = shared["spared"].get(name, 0) + over
    if spared > max(limit, shared["terms"].get("amount_absolute", 0)):
        return False
    shared["spared"][name] = spared
    return True


def kept(line):
    return line["received"] - line.get("rejected", 0)


def net_ordered(state):
    return sum(line["net"] or 0 for line in state["lines"].values())


def tolerance(terms, what, value, times=1):
    """The larger of the two tolerances that the terms give for `what`; none where they give none."""
    percent, absolute = terms.get(f"{what}_percent", 0), terms.get(f"{what}_absolute", 0) * times
    return max(absolute, value * percent * CENT) if percent else absolute


def find(state, row, name, what, difference, held_net=0, prices=()):
    """Note a finding, with the counters that show it: quantities in the line's unit, amounts before tax."""
    found = {"invoice": row and row["id"], "line": name, "what": what, "difference": difference, "held_net": held_net}
    if len(state["findings"]) >= FINDINGS_MOST:  # it counts, and is not kept
        state["findings"].append(found)
        return
    why = (f"invoice {row['id']}: " if row else "") + what
    if name is not None:
        line = state["lines"][name]
        found |= {"ordered": line["ordered"], "received": kept(line), "invoiced": line["invoiced"]}
        found["unit"] = line["unit"]
        why += f" on line {name}: ordered {line['ordered']}, received {kept(line)}"
        why += f", invoiced {line['invoiced']} {line['unit']}"
    if prices:
        due, matched, agreed = prices
        why += f", {due} {state['currency']} asked for {matched}, "
        why += "none agreed" if line["net"] is None else f"{agreed} {state['currency']} agreed"
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
    if worst or payable(state) > 0:
        return [*worst, "matched"][0]
    return "settled" if all(line["invoiced"] >= line["ordered"] for line in lines) else "partly settled"


def payable(state):
    """What is due for all that matches, less what was paid; below 0 the seller owes."""
    due = sum(row["open"] + row.get("interest", 0) for row in state["invoices"])
    return due - state["penalty"] - state["on_account"]
