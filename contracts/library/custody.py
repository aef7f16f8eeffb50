"""Custody: whose a thing is, who has it, and who has a claim on it, from its making to its end.

"Nobody gives what is not his, nobody takes without saying so, and a thing is sold once." One case is one thing: a
serial number (SGTIN, SSCC), or a lot (LGTIN) with its quantity; any identifier of at most 200 letters of ASCII without
blanks will do, and is taken as it is written: serial numbers in capital and in small letters are two. Only what names
the scheme of a URN (`urn:epc:id:sgtin:`) may be in either.

Maker, buyer and carrier sign who owns and who holds, so they read every step. The price of an offer is for maker and
buyer; the amount of a pledge for maker, buyer and financer. The financer reads where a thing is and whose it is.

Title passes when the member to whom it was offered accepts the offer of the same ID, possession when the taker confirms
the handover of the same ID, and a pledge begins when the financer confirms it: until then nothing has changed. No ID
is used again while it is among a thing's latest 500. While an offer is open there is no second one, and what is pledged
is neither sold, used up nor destroyed before its release. A return is an offer back to who sold, within the days named.

Quantities are exact decimals in the unit in which the lot was made; nothing is rounded, and no price is computed with.
"""

from datetime import UTC, datetime, timedelta

ROLES = {"maker", "buyer", "carrier", "financer"}
SIGNERS = {"maker", "buyer", "carrier"}
AUTHORS = {
    "commission": {"maker", "buyer"},
    "title-offer": {"maker", "buyer"},
    "title-acceptance": {"maker", "buyer"},
    "title-withdrawal": {"maker", "buyer"},
    "handover": {"maker", "buyer", "carrier"},
    "handover-confirmation": {"maker", "buyer", "carrier"},
    "packing": {"maker", "buyer", "carrier"},
    "unpacking": {"maker", "buyer", "carrier"},
    "use": {"maker", "buyer"},
    "loss": {"maker", "buyer", "carrier"},
    "finding": {"maker", "buyer", "carrier"},
    "destruction": {"maker", "buyer"},
    "pledge": {"maker", "buyer"},
    "pledge-confirmation": {"financer"},
    "pledge-release": {"maker", "buyer", "financer"},
}
SHARES = {
    "commission": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "title-offer": {"/*": {"maker", "buyer", "carrier", "financer"}, "/price": {"maker", "buyer"}},
    "title-acceptance": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "title-withdrawal": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "handover": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "handover-confirmation": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "packing": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "unpacking": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "use": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "loss": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "finding": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "destruction": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "pledge": {"/*": {"maker", "buyer", "carrier", "financer"}, "/amount": {"maker", "buyer", "financer"}},
    "pledge-confirmation": {"/*": {"maker", "buyer", "carrier", "financer"}},
    "pledge-release": {"/*": {"maker", "buyer", "carrier", "financer"}},
}

AHEAD = timedelta(minutes=5)  # what a clock may be ahead of the sequence's; such a step counts as of its filing
MADE_MAX = 100  # offers and pledges of an owner, if no other ended them, and handovers of a holder, since it is that
USED_MAX = 500  # of their IDs are kept, the latest: a state has a greatest size, and a thing goes from hand to hand


def key(record):
    name = text(record["body"], "epc", 200)
    if not name.isascii() or " " in name:
        raise Reject(f"epc {name!r} has other letters than those of ASCII, or blanks")
    parts = name.split(":")
    scheme = (4 if parts[1:2] and parts[1].lower() == "epc" else 2) if parts[0].lower() == "urn" else 0
    return ":".join([part.lower() for part in parts[:scheme]] + parts[scheme:])


def apply(state, record, terms):
    kind, time = record["type"], moment(record)
    if (state is None) is not (kind == "commission"):
        raise Reject(f"{key(record)} was " + ("not commissioned yet" if state is None else "commissioned before"))
    if state is None:
        return commission(record, time, terms)
    steps = {"use": use, "loss": lose, "finding": find, "destruction": destroy, "packing": pack, "unpacking": unpack}
    steps |= {"title-offer": offer, "title-acceptance": accept, "title-withdrawal": end}
    steps |= {"handover": hand_over, "handover-confirmation": confirm}
    steps |= {"pledge": pledge, "pledge-confirmation": confirm_pledge, "pledge-release": end}
    may_be_lost = kind in ("finding", "title-withdrawal", "pledge-release")
    if state["status"] != "in hand" and not (state["status"] == "lost" and may_be_lost):
        raise Reject(f"{state['epc']} is {state['status']}")
    late = f"{kind} of {time}, and the last step was at {state['changed']}"
    reasons = [late] if time < state["changed"] else []  # all are told at once, not one by one
    state = {**state, "changed": time}
    steps[kind](state, {**record, "time": time}, terms, reasons)
    if reasons:
        raise Reject("; ".join(reasons))
    return state


def summary(state):
    names = ("epc", "status", "maker", "owner", "holder", "packed_in", "unit", "quantity", "changed")
    columns = {name: state[name] for name in names}
    columns |= {f"{name}_to": state[name] and state[name]["to"] for name in ("offer", "handover", "pledge")}
    return {**columns, "pledged": bool(state["pledge"] and state["pledge"]["confirmed"])}


def commission(record, time, terms):
    body, author = record["body"], record["author"]
    made, unit = measure(body.get("quantity", {"value": 1, "unitCode": "C62"}))
    put_in = [measure(part["quantity"]) for part in body.get("inputs", ())]
    most = terms.get("yield_percent_max")
    total = sum(value for value, _ in put_in)
    is_compared = put_in and most is not None and all(other == unit for _, other in put_in)
    if is_compared and 100 * made > most * total:
        raise Reject(f"{body['epc']}: {made} {unit} made of {total} {unit}, at most {most} percent")
    owner = text(body, "owner", 63) if "owner" in body else author
    named = {"epc": body["epc"], "status": "in hand", "maker": author, "owner": owner, "holder": author, "sold": None}
    measured = {"quantity": made, "made": made, "unit": unit, "changed": time, "offers": 0, "handovers": 0}
    return {**named, **measured, "packed_in": None, "offer": None, "handover": None, "pledge": None, "used": []}


# --- title --------------------------------------------------------------------------------------


def offer(state, record, terms, reasons):
    body, sold = record["body"], state["sold"]
    must("own", state, record, reasons)
    must_be_free(state, reasons)
    made = opened(state, record, "offer", reasons)
    if body.get("kind") == "return":
        latest = sold and utc(sold["time"], days=terms["return_days"])
        if not sold or sold["by"] != made["to"]:
            reasons.append(f"a return to {made['to']}: bought from {sold['by'] if sold else 'nobody'}")
        elif record["time"] > latest:
            reasons.append(f"a return at {record['time']}: bought at {sold['time']}, to be returned by {latest}")
    state["offer"] = made


def accept(state, record, terms, reasons):
    made = closed(state, record, "offer", reasons)
    state |= {"owner": made["to"], "sold": {"by": made["from"], "time": record["time"]}, "offer": None, "offers": 0}


def end(state, record, terms, reasons):
    """By who made it or does not want it; a pledge that the financer confirmed, by the financer's word alone."""
    name = "offer" if record["type"] == "title-withdrawal" else "pledge"
    is_bound = name == "pledge" and state["pledge"] and state["pledge"]["confirmed"]
    made = closed(state, record, name, reasons, ("to",) if is_bound else ("from", "to"))
    state |= {name: None, "offers": state["offers"] - (record["author"] != made["from"])}  # counts if its maker ends it


# --- possession ---------------------------------------------------------------------------------


def hand_over(state, record, terms, reasons):
    must("hold", state, record, reasons)
    must_be_whole(state, record, reasons)
    if record["body"].get("packed_in") != state["packed_in"]:
        reasons.append(f"packed in {state['packed_in']}, and handed over with {record['body'].get('packed_in')}")
    state["handover"] = opened(state, record, "handover", reasons)  # one that nobody confirmed gives way to the next


def confirm(state, record, terms, reasons):
    made = closed(state, record, "handover", reasons)
    state |= {"holder": made["to"], "handover": None, "handovers": 0}


def pack(state, record, terms, reasons):
    must("hold", state, record, reasons)
    must_be_whole(state, record, reasons)
    if state["packed_in"]:
        reasons.append(f"already packed in {state['packed_in']}")
    state |= {"packed_in": text(record["body"], "packed_in", 200), "handover": None}


def unpack(state, record, terms, reasons):
    must("hold", state, record, reasons)
    if state["packed_in"] != text(record["body"], "packed_in", 200):
        reasons.append(f"packed in {state['packed_in']}, not in {record['body']['packed_in']}")
    state |= {"packed_in": None, "handover": None}


# --- end, loss ----------------------------------------------------------------------------------


def use(state, record, terms, reasons):
    """What goes into something else, all of it or some."""
    must("hold", state, record, reasons)
    if not terms["holder_may_use"]:
        must("own", state, record, reasons)
    if state["packed_in"]:
        reasons.append(f"packed in {state['packed_in']}: unpack it first")
    take_out(state, record, reasons, "used up")


def destroy(state, record, terms, reasons):
    must("hold", state, record, reasons)
    must("own", state, record, reasons)
    take_out(state, record, reasons, "destroyed")


def take_out(state, record, reasons, status):
    must_be_free(state, reasons)
    taken, unit = measure(record["body"].get("quantity", {"value": state["quantity"], "unitCode": state["unit"]}))
    if unit != state["unit"]:
        reasons.append(f"{taken} {unit} of a lot that is counted in {state['unit']}")
    elif taken > state["quantity"]:
        over = taken - state["quantity"]
        reasons.append(f"{taken} {unit} {status}, {state['quantity']} {unit} are there: {over} {unit} too much")
    state |= {"quantity": state["quantity"] - taken, "handover": None}  # nobody takes less than what was offered
    if not state["quantity"]:
        state["status"] = status


def lose(state, record, terms, reasons):
    """Whoever holds it says so; whose it is stays as it was, and to whom it is offered."""
    must("hold", state, record, reasons)
    state |= {"status": "lost", "handover": None}


def find(state, record, terms, reasons):
    must("hold", state, record, reasons)
    if state["status"] != "lost":
        reasons.append(f"{state['epc']} is {state['status']}, not lost")
    state["status"] = "in hand"


def pledge(state, record, terms, reasons):
    must("own", state, record, reasons)
    must_be_free(state, reasons)
    state["pledge"] = {**opened(state, record, "pledge", reasons), "confirmed": False}


def confirm_pledge(state, record, terms, reasons):
    state["pledge"] = {**closed(state, record, "pledge", reasons), "confirmed": True}


# --- what many steps ask ------------------------------------------------------------------------


def must(verb, state, record, reasons):
    """It is for who owns, or holds, the thing."""
    if state[f"{verb}er"] != record["author"]:
        reasons.append(f"{record['author']} does not {verb} {state['epc']}: {state[f'{verb}er']} does")


def must_be_free(state, reasons):
    """Nobody else has been promised it."""
    for name, word in (("offer", "offered"), ("pledge", "pledged")):
        if state[name]:
            reasons.append(f"{state['epc']} is {word} to {state[name]['to']} by {state[name]['ID']}")


def must_be_whole(state, record, reasons):
    value, unit = measure(record["body"].get("quantity", {"value": state["quantity"], "unitCode": state["unit"]}))
    if (value, unit) != (state["quantity"], state["unit"]):
        there = f"{state['quantity']} {state['unit']}"
        reasons.append(f"{value} {unit} of {there}: a lot moves whole, so make a lot of the part first")


def opened(state, record, name, reasons):
    body, author = record["body"], record["author"]
    if text(body, "to", 63) == author:
        reasons.append(f"{name} {body.get('ID')} of {author} to itself")
    said, count = f"{name} {text(body, 'ID')}", "handovers" if name == "handover" else "offers"
    if state[count] == MADE_MAX or said in state["used"]:
        reasons.append(f"{said} was made before, or {author} made {MADE_MAX} of them")
    state |= {"used": [*state["used"], said][-USED_MAX:], count: state[count] + 1}
    return {"ID": body["ID"], "from": author, "to": body["to"], "time": record["time"]}


def closed(state, record, name, reasons, by=("to",)):
    """What is open, if this member may answer it, under this ID."""
    made, given = state[name] or {"ID": "none", "from": None, "to": None}, text(record["body"], "ID")
    if made["ID"] != given or record["author"] not in [made[end] for end in by]:
        reasons.append(f"{record['author']} answers {name} {given}: open is {made['ID']}, to {made['to'] or 'nobody'}")
    return made


def measure(quantity):
    value, unit = quantity["value"], text(quantity, "unitCode", 12)
    if type(value) not in (int, Decimal) or not 0 < value < 10**15:
        raise Reject(f"{value} {unit} is no quantity")
    return value, unit


def moment(record):
    """When it happened, as UTC text of one form, so that texts compare as times do."""
    said, now = datetime.fromisoformat(text(record["body"], "eventTime")), record["sequence"]["time"]
    if said.tzinfo is None or said > datetime.fromisoformat(now) + AHEAD:
        raise Reject(f"eventTime {said} has no offset from UTC, or is ahead of its filing at {now}")
    return min(utc(said.isoformat()), now)  # else a fast clock would hold up the step that another takes next


def utc(time, **by):
    when = (datetime.fromisoformat(time) + timedelta(**by)).astimezone(UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(body, name, most=100):
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value.encode()) <= most:
        raise Reject(f"{name} is missing, or no text of at most {most} bytes")
    if not value.isprintable() or '"' in value or "\\" in value:
        raise Reject(f"{name} {value!r} holds quotes, backslashes or what is not printed")
    return value
