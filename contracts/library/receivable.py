"""An invoice is sold once: assignments count when the debtor confirms them, and its register refuses the next one.

A seller offers an invoice to a financier; from the debtor's confirmation on, the debtor owes the financier and pays
nobody else with effect. One case is one order of the debtor: what it ordered and received is what can be financed. So
the register knows an invoice again under another number (same amount, dates, lines), and goods that are billed anew
(an order line is taken as far as invoices that are confirmed or paid cover it; for the next offer, also offered ones).

Seller and debtor read everything and sign: the debtor as its word counts, the seller as it is bound. A financier reads
what names it, and of others neither offer nor name; so each has a role of its own. Amounts are added and subtracted in
the currency of the order; only a price to compare with, for parts of an order line, is rounded (ROUND_CEILING).
"""

ROLES = {"seller", "debtor", "financier_1", "financier_2", "financier_3"}
SIGNERS = {"seller", "debtor"}
AUTHORS = {
    "order": {"debtor"},
    "receipt": {"debtor"},
    "invoice": {"seller"},
    "credit-note": {"seller"},
    "assignment": {"seller"},
    "assignment-confirmation": {"debtor"},
    "assignment-release": {"seller", "financier_1", "financier_2", "financier_3"},
    "dilution": {"financier_1", "financier_2", "financier_3"},
    "payment": {"debtor"},
}
SHARES = {
    "order": {"/*": {"seller", "debtor"}},
    "receipt": {"/*": {"seller", "debtor"}},
    "invoice": {"/*": {"seller", "debtor"}},
    "credit-note": {"/*": {"seller", "debtor"}},
    "assignment": {"/*": {"seller", "debtor"}},  # and the assignee: see `share`
    "assignment-confirmation": {"/*": {"seller", "debtor"}},  # and the assignee
    "assignment-release": {"/*": {"seller", "debtor"}},
    "dilution": {"/*": {"seller", "debtor"}},
    "payment": {"/*": {"seller", "debtor"}},  # and the assignee, if it is paid
}

# A state has a greatest size. Each of these is for one side alone, and all together stay below it.
_DOCUMENTS = {"seller": 250, "debtor": 250, "financier_1": 100, "financier_2": 100, "financier_3": 100}
_LINES = 300  # of an order
_BILLED = 1000  # an invoice counts eight, each of its lines one


def share(record, terms):
    named = record["body"].get("Assignee")
    if named is not None and named not in sorted(ROLES - SIGNERS):
        raise Reject(f"Assignee is {named}, no financier here")
    return {} if named is None else {"/*": [named]}


def key(record):
    if record["type"] == "order":
        return _text(record["body"], "ID")
    references = _several(record["body"].get("OrderReference"))
    if len(references) != 1:
        raise Reject(f"OrderReference names {len(references)} orders, it has to be one: each order is a case")
    return _text(references[0], "ID")


def apply(state, record, terms):
    body, kind, role, author = record["body"], record["type"], record["role"], record["author"]
    if state is None and kind != "order":
        raise Reject(f"the debtor has filed no order {key(record)}")
    state = state or {"order": key(record), "documents": []}
    # Each financier counts for itself: it neither uses up what another may file nor learns of its numbers.
    document, most = f"{role} {kind} {_text(body, 'ID')}", _DOCUMENTS[role]
    filed = [one for one in state["documents"] if one.startswith(f"{role} ")]
    if document in filed or len(filed) >= most or sum(one.startswith(f"{role} {kind} ") for one in filed) >= 100:
        raise Reject(f"{kind} {body['ID']} was filed before, or the order has 100 of its kind, or {most} of the {role}")
    if role in SIGNERS and state.setdefault(role, author) != author:  # a role may have several members, an order one
        raise Reject(f"the {role} of order {state['order']} is {state[role]}, not {author}")
    steps = {"order": _order, "receipt": _receipt, "invoice": _invoice, "credit-note": _credit, "dilution": _credit}
    steps |= {"assignment": _assignment, "assignment-confirmation": _confirmation, "assignment-release": _release}
    steps.get(kind, _payment)(state, record, terms)
    return state | {"documents": [*state["documents"], document]}


def summary(state):
    invoices = list(state["invoices"].values())
    due = min([(each["due"], each["owed"], each["pay_to"]) for each in invoices if each["owed"]], default=[None] * 3)
    totals = {name: sum(each[name] for each in invoices) for name in ("credited", "paid", "disputed", "owed")}
    totals["billed"] = sum(each["payable"] for each in invoices)
    totals["paid_without_effect"] = sum(sum(each["misdirected"].values()) for each in invoices)
    totals["owed_to_seller"] = sum(each["owed"] for each in invoices if each["pay_to"] == "seller")
    totals["owed_to_financiers"] = totals["owed"] - totals["owed_to_seller"]
    status = "owed" if totals["owed"] else "disputed" if totals["disputed"] else "settled" if invoices else "unbilled"
    told = {"order": state["order"], "currency": state["currency"], "status": status, **totals}
    return told | {"due_date": due[0], "due_amount": due[1], "due_to": due[2]}


def _order(state, record, terms):
    body = record["body"]
    state.update({"currency": _text(body, "DocumentCurrencyCode", 12), "lines": {}, "invoices": {}})
    if "Seller" in body:
        state["seller"] = _text(body, "Seller", 63)
    if len(body["OrderLine"]) > _LINES:
        raise Reject(f"order {state['order']} has {len(body['OrderLine'])} lines, at most {_LINES}")
    for line in body["OrderLine"]:
        name, quantity = _text(line["LineItem"], "ID"), line["LineItem"]["Quantity"]
        if name in state["lines"]:
            raise Reject(f"order line {name} is there twice")
        ordered = _number(quantity, _text(quantity, "unitCode", 12), f"order line {name}")
        amount = _number(line["LineItem"]["LineExtensionAmount"], state["currency"], f"order line {name}")
        state["lines"][name] = {"unit": quantity["unitCode"], "ordered": ordered, "amount": amount, "received": 0}


def _receipt(state, record, terms):
    for line in record["body"]["ReceiptLine"]:
        name, known = _order_line(state, line)
        received = _number(line["ReceivedQuantity"], known["unit"], f"receipt line {name}", least=0)
        rejected = line.get("RejectedQuantity", {"value": 0, "unitCode": known["unit"]})
        known["received"] += received - _number(rejected, known["unit"], f"receipt line {name}", least=0)


def _invoice(state, record, terms):
    body, currency, net, lines = record["body"], state["currency"], 0, {}
    for line in body["InvoiceLine"]:
        name, known = _order_line(state, line)
        quantity = _number(line["InvoicedQuantity"], known["unit"], f"invoice line {name}")
        amount = _number(line["LineExtensionAmount"], currency, f"invoice line {name}")
        before = lines.get(name, (0, 0))
        lines[name], net = [before[0] + quantity, before[1] + amount], net + amount
    total = body["LegalMonetaryTotal"]
    payable = _number(total["PayableAmount"], currency, f"invoice {body['ID']}")
    said = total.get("LineExtensionAmount", {"value": net})["value"]
    if not lines or said != net:
        raise Reject(f"invoice {body['ID']}: its lines sum to {net} {currency}, it says {said} {currency}")
    invoice = {"issued": _text(body, "IssueDate"), "due": _text(body, "DueDate"), "payable": payable, "lines": lines}
    invoice.update({"credited": 0, "paid": 0, "disputed": 0, "misdirected": {}, "assignment": None, "objection": None})
    _settle(state["invoices"].setdefault(body["ID"], invoice))
    if sum(8 + len(each["lines"]) for each in state["invoices"].values()) > _BILLED:
        raise Reject(f"invoice {body['ID']}: the invoices of order {state['order']} and their lines are too many")


def _assignment(state, record, terms):
    body, currency = record["body"], state["currency"]
    name, invoice = _billed(state, body)
    if invoice["assignment"]:
        raise Reject(f"invoice {name} is taken: an assignment is {invoice['status']}")
    amount = _number(body["AssignedAmount"], currency, f"assignment {body['ID']}")
    said = (amount, body["InvoiceDocumentReference"].get("IssueDate"), body.get("DueDate"))
    if said != (invoice["open"], invoice["issued"], invoice["due"]):  # the financier reads these here alone
        known = f"{invoice['open']} {currency} open, issued {invoice['issued']}, due {invoice['due']}"
        raise Reject(f"assignment {body['ID']}: {amount} {currency}, {said[1]}, {said[2]}; invoice {name}: {known}")
    _check_free(state, name, ("offered", "confirmed"), "ordered", "received")  # more than ordered is paid for too
    net, percent = sum(line[1] for line in invoice["lines"].values()), terms["surcharge_percent"]
    if invoice["payable"] * 100 > net * (100 + percent):
        raise Reject(f"invoice {name} is of {invoice['payable']} {currency}, its lines and {percent} % are less: {net}")
    invoice["assignment"] = {"ID": body["ID"], "assignee": _text(body, "Assignee"), "confirmed": 0, "since": None}
    _settle(invoice)


def _check_free(state, name, takers, *limits):
    """Refuse one that is another under a new number, or bills what `takers` and paid ones took; up to any limit."""
    invoice, taken, currency = state["invoices"][name], {}, state["currency"]
    for number, other in state["invoices"].items():
        if number == name or not (other["paid"] or other["status"] in takers):
            continue
        if all(other[part] == invoice[part] for part in ("payable", "issued", "due", "lines")):
            raise Reject(f"invoice {name} is {number} under another number, taken: {invoice['payable']} {currency}")
        for line, (quantity, net) in other["lines"].items():
            before, billed = taken.get(line, (0, 0))
            taken[line] = before + quantity, billed + net
    for line, (quantity, net) in invoice["lines"].items():
        known, (before, billed) = state["lines"][line], taken.get(line, (0, 0))
        limit, unit = max(known[column] for column in limits), known["unit"]
        if before + quantity > limit:
            free = f"{before} {unit} of {limit} {unit} {' or '.join(limits)} are taken"
            raise Reject(f"order line {line}: {free}, invoice {name} covers {quantity} {unit}")
        places = max(0, -Decimal(known["amount"]).as_tuple().exponent)
        for count, bills in ((quantity, net), (before + quantity, billed + net)):  # else each part is rounded up
            price = divide(known["amount"] * count, known["ordered"], places, "ROUND_CEILING")
            if bills > price:
                raise Reject(f"order line {line}: {count} {unit} cost {price}, invoice {name} makes it {bills}")


def _confirmation(state, record, terms):
    body, currency, what = record["body"], state["currency"], f"confirmation {record['body']['ID']}"
    name, invoice = _assigned(state, body)
    assignment, code = invoice["assignment"], body.get("ResponseCode")
    if body.get("Assignee") != assignment["assignee"]:
        raise Reject(f"assignment {assignment['ID']} is not to {body.get('Assignee')}")
    if code not in ("AP", "CA", "RE") or (code != "AP" and not body.get("Description")):
        raise Reject(f"ResponseCode {code}: AP confirms all, CA less and RE nothing; these say why in Description")
    if code == "RE" and assignment["confirmed"]:
        raise Reject(f"assignment {assignment['ID']} is confirmed: that is not taken back")
    if code == "RE":  # so much of the words as a state has room for, with question marks for what is not of ASCII
        told = "; ".join(one for one in _several(body["Description"]) if isinstance(one, str))[:100]
        plain = [one if one.isascii() and one.isprintable() and one not in '"\\' else "?" for one in told]
        invoice.update({"assignment": None, "objection": "".join(plain)})
        return _settle(invoice)
    amount = _number(body["ConfirmedAmount"], currency, what)
    # It says what is owed from now on: what was paid or credited before is not open, and not confirmed again.
    owed, left = invoice["owed"] if assignment["confirmed"] else 0, invoice["open"]
    if not owed < amount <= left or (code == "AP") != (amount == left):
        raise Reject(f"{what} is of {amount} {currency}: {owed} owed, {left} open; AP has to be that, CA between")
    if not assignment["confirmed"]:
        _check_free(state, name, ("confirmed",), terms["coverage"])  # the first to be confirmed has it
        assignment["since"] = record["sequence"]["time"]
    assignment["confirmed"], invoice["disputed"] = amount, left - amount
    return _settle(invoice)


def _release(state, record, terms):
    name, invoice = _assigned(state, record["body"])
    assignment, role, invoice["assignment"] = invoice["assignment"], record["role"], None
    if role != assignment["assignee"] and (role != "seller" or assignment["confirmed"]):
        raise Reject(f"assignment {assignment['ID']} of invoice {name} is not for the {role} to release")
    _settle(invoice)


def _credit(state, record, terms):
    """A credit note; of an assigned invoice the seller's takes from what is disputed, else the assignee agrees."""
    body, currency, what = record["body"], state["currency"], f"{record['type']} {record['body']['ID']}"
    name, invoice = _billed(state, body["BillingReference"][0])
    amount = _number(body["LegalMonetaryTotal"]["PayableAmount"], currency, what)
    if record["role"] not in ("seller", invoice["pay_to"]):
        raise Reject(f"{what}: invoice {name} is not assigned to the {record['role']}")
    why = "open" if record["role"] == invoice["pay_to"] else "disputed"  # more is for the assignee to agree to
    if amount > invoice[why]:
        raise Reject(f"{what} takes {amount} {currency} from invoice {name}, {invoice[why]} {currency} are {why}")
    invoice |= {"credited": invoice["credited"] + amount, "disputed": max(invoice["disputed"] - amount, 0)}
    _settle(invoice)


def _payment(state, record, terms):
    body, currency, payee = record["body"], state["currency"], record["body"].get("Assignee", "seller")
    for line in body["RemittanceAdviceLine"]:
        name, invoice = _billed(state, line["BillingReference"][0])
        amount = _number(line["DebitLineAmount"], currency, f"payment {body['ID']} of invoice {name}")
        if payee == invoice["pay_to"] and amount > invoice["open"]:
            raise Reject(f"payment {body['ID']}: {amount} {currency} for invoice {name}, open are {invoice['open']}")
        invoice["misdirected"][payee] = invoice["misdirected"].get(payee, 0) + amount
        _settle(invoice)  # at once, if this one is owed


def _settle(invoice):
    """Say anew what is owed of an invoice, to whom, and how it stands."""
    assignment = invoice["assignment"]
    is_confirmed = bool(assignment and assignment["confirmed"])
    payee = invoice["pay_to"] = assignment["assignee"] if is_confirmed else "seller"
    invoice["open"] = invoice["payable"] - invoice["credited"] - invoice["paid"]
    early = min(given := invoice["misdirected"].pop(payee, 0), invoice["open"])
    if given > early:
        invoice["misdirected"][payee] = given - early
    if early:  # what was paid before it was owed to this one counts from now on
        invoice["paid"], invoice["open"] = invoice["paid"] + early, invoice["open"] - early
    invoice["disputed"] = min(invoice["disputed"], invoice["open"])
    invoice["owed"] = invoice["open"] - invoice["disputed"]
    standing = "confirmed" if is_confirmed else "offered" if assignment else "billed"
    invoice["status"] = standing if invoice["open"] else "paid" if invoice["paid"] else "credited"


def _billed(state, body):
    name = _text(body["InvoiceDocumentReference"], "ID")
    if name not in state["invoices"]:
        raise Reject(f"there is no invoice {name} of order {state['order']}")
    return name, state["invoices"][name]


def _assigned(state, body):
    number = _text(body["AssignmentReference"], "ID")
    for name, invoice in state["invoices"].items():
        if invoice["assignment"] and invoice["assignment"]["ID"] == number:
            return name, invoice
    raise Reject(f"there is no assignment {number} that is offered or confirmed")


def _order_line(state, line):
    """Name and line of the order that another document's line is of: by OrderLineReference, else by its own ID."""
    references = _several(line.get("OrderLineReference")) or [{"LineID": line.get("ID")}]
    orders = {reference.get("OrderReference", {}).get("ID", state["order"]) for reference in references}
    name = references[0].get("LineID")
    if len(references) != 1 or orders != {state["order"]} or name not in state["lines"]:
        raise Reject(f"line {line.get('ID')} is not of one line of order {state['order']}")
    return name, state["lines"][name]


def _number(value, unit, what, least=None):
    """The value of an amount or quantity in this currency or unit; above 0, or of `least` at least."""
    number, given = value.get("value"), value.get("currencyID", value.get("unitCode"))
    if given != unit:
        raise Reject(f"{what} is in {given}, the order in {unit}")
    if type(number) not in (int, Decimal) or not (number > 0 or number == least):
        raise Reject(f"{what}: {number} is no number above 0")
    if number > 10**15 or len(f"{Decimal(number):f}") > 24:
        raise Reject(f"{what}: more than 24 letters, or above 10**15")
    return number


def _several(value):
    return value if isinstance(value, list) else [value] if value else []


def _text(body, name, most=50):
    value = body.get(name)
    is_plain = isinstance(value, str) and value.strip() and value.isprintable() and not {'"', "\\"} & {*value}
    if not is_plain or len(value.encode()) > most:  # what is escaped in a state has more
        raise Reject(f"{name} is no text of 1 to {most} bytes, printed and without quotes and backslashes: {value}")
    return value
