"""Cold chain: who held a consignment when, was it kept in its limits, and who answers for it if not.

"Keep it between 2 and 8 degrees from ramp to store; a warm half hour is forgiven, silence of the logger is not; whoever
holds the goods when the allowance runs out answers for them." One case is one consignment.

Shipper, carrier and receiver sign the verdict, so they read all that it is computed from. The insurer reads the
consignment, the handovers, the delivery and the claims, but of the temperatures only those beyond what the terms name
(`tell_insurer_above`, `tell_insurer_below`), each with its time. The shipper's `note` is for the receiver alone.

A `handover` counts from the time that its taker's confirmation says; until then the giver holds the goods. An excursion
runs from the first reading outside the limits to the next one inside, whoever holds them. Liable is who held them when
the minutes allowed ran out, of one excursion or of all together, or when the logger had been silent for too long.

Times (to milliseconds), temperatures and amounts are exact; minutes and peaks are shown with two places, half up.
"""

from datetime import UTC, date, datetime, timedelta

ROLES = {"shipper", "carrier", "receiver", "insurer"}
SIGNERS = {"shipper", "carrier", "receiver"}
AUTHORS = {
    "consignment": {"shipper"},
    "handover": {"shipper", "carrier", "receiver"},
    "handover-confirmation": {"shipper", "carrier", "receiver"},
    "reading": {"shipper", "carrier", "receiver"},
    "delivery": {"receiver"},
    "claim": {"shipper", "receiver"},
}
SHARES = {
    "consignment": {"/*": {"shipper", "carrier", "receiver", "insurer"}, "/note": {"shipper", "receiver"}},
    "handover": {"/*": {"shipper", "carrier", "receiver", "insurer"}},
    "handover-confirmation": {"/*": {"shipper", "carrier", "receiver", "insurer"}},
    "reading": {"/*": {"shipper", "carrier", "receiver"}},
    "delivery": {"/*": {"shipper", "carrier", "receiver", "insurer"}},
    "claim": {"/*": {"shipper", "carrier", "receiver", "insurer"}},
}

REPORTS_MAX = 80  # of one reading: each can need three patterns for the insurer, and a record may have 256
PARTS_MAX = 100  # claims of one member, and excursions or gaps, of which more are joined to the last: none is left out
LATE_MAX = 10  # excursions of a former custody that were told after its end, likewise
LAST = "9999"  # after every time, as texts are compared


def key(record):
    return text(record["body"], "ID" if record["type"] == "consignment" else "consignment")


def share(record, terms):
    reports = record["body"]["sensorReport"] if record["type"] == "reading" else []
    above, below, added = terms["tell_insurer_above"], terms.get("tell_insurer_below", -500), {}  # none is colder
    for i, report in enumerate(reports):
        if not 9 * below <= nine_celsius(report) <= 9 * above:
            added |= {f"/sensorReport/{i}/{name}": {"insurer"} for name in ("time", "value", "uom")}
    return added and added | {"/consignment": {"insurer"}, "/deviceID": {"insurer"}}


def apply(state, record, terms):
    kind = record["type"]
    if (state is None) is not (kind == "consignment"):
        raise Reject(f"consignment {key(record)} was " + ("not filed yet" if state is None else "filed before"))
    if state is None:
        return consign(record, terms)
    if state["delivery"] and kind in ("handover", "delivery"):
        raise Reject(f"{kind} of {key(record)}: delivered on {state['delivery']['date']} already")
    steps = {"handover": hand_over, "handover-confirmation": confirm, "reading": read, "delivery": deliver}
    steps.get(kind, claim)(state, record, terms)
    return judge(state, terms) if kind in ("reading", "delivery") else state


def summary(state):
    delivery, value, quantity = state["delivery"] or {}, state["value"] or {}, state["quantity"] or {}
    columns = {name: state[name] for name in ("consignment", "verdict", "minutes_outside", "scheduled", "currency")}
    columns |= {"custodian": state["custody"][-1]["custodian"], "liable": ", ".join(sorted(state["liability"]))}
    columns |= {"delivered": delivery.get("date"), "punctuality": delivery.get("punctuality")}
    columns |= {"quantity": quantity.get("value"), "unit": quantity.get("unitCode"), "value": value.get("value")}
    return columns | {"claimed": sum(made["amount"] for made in state["claims"].values())}


def consign(record, terms):
    body, value = record["body"], record["body"].get("DeclaredForCarriageValueAmount")
    quantity, due = body.get("ConsignmentQuantity"), body.get("LatestDeliveryDate")
    said = {"consignment": key(record), "verdict": "not monitored", "readings": 0, "currency": terms["currency"]}
    said["scheduled"] = due and date.fromisoformat(due).isoformat()
    said["value"] = value and {"value": money(value, terms), "currencyID": terms["currency"]}
    said["quantity"] = quantity and {"value": number(quantity), "unitCode": text(quantity, "unitCode")}
    begins = moment(body, "eventTime", record) if "eventTime" in body else None
    said["custody"] = [{"custodian": record["author"], "from": begins, "deviceID": body.get("deviceID")}]
    said |= {"receiver": text(body, "receiver"), "minutes_outside": 0, "told_to": 0, "liability": {}, "claims": {}}
    return said | dict.fromkeys(("handover", "read_until", "delivery")) | {"excursions": [], "gaps": [], "breaches": []}


def hand_over(state, record, terms):
    body, holder, giver = record["body"], state["custody"][-1], record["author"]
    name, taker, time = text(body, "ID"), text(body, "to"), moment(body, "eventTime", record)
    if giver != holder["custodian"] or taker == giver:
        raise Reject(f"handover {name} of {giver} to {taker}: {holder['custodian']} holds {state['consignment']}")
    if holder["from"] is None or time < max(holder["from"], state["read_until"] or ""):
        raise Reject(f"handover {name} at {time}: held since {holder['from']}, read until {state['read_until']}")
    until = utc(time, minutes=terms["handover_minutes"])  # a second handover is for one that nobody confirmed
    state["handover"] = {"ID": name, "from": giver, "to": taker, "time": time, "until": until}


def confirm(state, record, terms):
    body, pending = record["body"], state["handover"] or {"ID": "none"}
    name, time = text(body, "ID"), moment(body, "eventTime", record)
    if pending["ID"] != name or pending.get("to") != record["author"]:
        raise Reject(f"{record['author']} confirms {name}: open is {pending['ID']}, to {pending.get('to', 'nobody')}")
    earliest, latest = max(pending["time"], state["read_until"] or ""), pending["until"]
    if not earliest <= time <= latest:
        raise Reject(f"handover {name}: taken at {time}, not between {earliest} (given, or last read) and {latest}")
    state["custody"].append({"custodian": record["author"], "from": time, "deviceID": body.get("deviceID")})
    state["handover"] = None


def deliver(state, record, terms):
    body, holder, pending = record["body"], state["custody"][-1], state["handover"]
    if state["receiver"] != record["author"]:
        raise Reject(f"{state['consignment']} goes to {state['receiver']}, not to {record['author']}")
    time = moment(body, "eventTime", record) if "eventTime" in body or state["readings"] else None
    goes_on = pending and max(time or "", state["read_until"] or "") <= pending["until"]  # it may be confirmed
    if goes_on and pending["to"] == record["author"]:
        raise Reject(f"handover {pending['ID']} to {record['author']} is open: confirm it before the delivery")
    if time and time < max(holder["from"] or "", state["read_until"] or ""):
        raise Reject(f"delivered at {time}: held since {holder['from']}, read until {state['read_until']}")
    on = date.fromisoformat(body.get("ActualDeliveryDate") or text(body, "eventTime")[:10])
    made = {"date": on.isoformat(), "time": time, "by": record["author"], "filed": record["sequence"]["time"]}
    made |= {"countersigned": holder["custodian"] == made["by"], "days_late": None, "punctuality": None}
    if state["scheduled"]:
        late = (on - date.fromisoformat(state["scheduled"])).days
        made |= {"days_late": late, "punctuality": "late" if late > 0 else "early" if late else "same day"}
    state["delivery"], state["handover"] = made, None
    if state["readings"]:
        follow(state, time, None, terms)


def read(state, record, terms):
    reports, device, news = record["body"]["sensorReport"], text(record["body"], "deviceID"), 0
    if not 0 < len(reports) <= REPORTS_MAX:
        raise Reject(f"a reading has 1 to {REPORTS_MAX} reports")
    for report in reports:
        time = moment(report, "time", record)
        held = held_at(state, time)
        if held.get("custodian") != record["author"]:
            raise Reject(f"{record['author']} reads at {time}, when {held.get('custodian', 'nobody')} held the goods")
        if held["deviceID"] not in (None, device):
            raise Reject(f"reading of logger {device}: the one of this custody is {held['deviceID']}")
        held["deviceID"] = device  # the one that speaks first, if none was named
        is_new = time > (state["read_until"] or "")
        is_known = held is state["custody"][-1] or any(one["until"] is None for one in state["excursions"][-1:])
        if is_new and state["delivery"]:
            raise Reject(f"reading of {time}: delivered on {state['delivery']['date']}")
        if is_new:
            follow(state, time, report if is_known else None, terms)
        news += (is_new and is_known) or follow_late(state, held, time, report, terms) or is_new
    if not news:
        raise Reject(f"nothing new up to {time}: read until {state['read_until']}; late ones count if outside alone")
    state["readings"] += news


def follow(state, time, report, terms):
    """What comes after all readings so far: a reading or, without a report, the delivery, which ends an excursion."""
    excursions, since = state["excursions"], state["read_until"] or state["custody"][0]["from"]
    passed = [held["from"] for held in state["custody"][: state["told_to"]] if since < held["from"] < time]
    for begin, end in zip([since, *passed], [*passed, time], strict=True):  # a taker could not know what was told later
        if end > utc(begin, minutes=terms["reading_interval_minutes"]):
            begin = state["gaps"].pop()["from"] if len(state["gaps"]) == PARTS_MAX else begin
            state["gaps"].append({"from": begin, "until": end, "minutes": divide(elapsed(begin, end), 60000, 2)})
    off, peak = outside(report, terms) if report else (0, {})
    if off:
        state["excursions"] = joined([*excursions, {"from": time, "until": None, "is_late": False, **peak}])
    elif excursions and excursions[-1]["until"] is None:
        excursions[-1]["until"] = time
    state["read_until"], state["told_to"] = time, len(state["custody"])


def follow_late(state, held, time, report, terms):
    """One not after the last, or of a former custody, counts until the next was due: True if outside and news."""
    (off, peak), known, due = outside(report, terms), state["excursions"], terms["reading_interval_minutes"]
    ends = [later["from"] for later in state["custody"] if (later["from"] or "") > time]
    is_inside = any(one["from"] <= time < (one["until"] or LAST) for one in known if ends or not one["is_late"])
    part, name, most = (held, "told_late", LATE_MAX) if ends and not is_inside else (state, "excursions", PARTS_MAX)
    ends += [one["from"] for one in known if one["from"] > time] if ends else [state["read_until"]]
    until = time if is_inside else min(utc(time, minutes=due), *ends)  # if inside: when that one ended is known
    before = part.get(name, [])
    if off:
        part[name] = joined([*map(dict, before), {"from": time, "until": until, "is_late": True, **peak}], most)
    return part.get(name, []) != before


def joined(excursions, most=PARTS_MAX):
    """The same in order of time, those that touch made one, and no more than `most` of them."""
    found = []
    for excursion in sorted(excursions, key=lambda excursion: excursion["from"]):
        last = found[-1] if found else None
        if last and (excursion["from"] <= (last["until"] or LAST) or len(found) == most):
            if (excursion["until"] or LAST) > (last["until"] or LAST):
                last |= {"until": excursion["until"], "is_late": excursion["is_late"]}
            if excursion["off"] > last["off"]:
                last |= {"peak": excursion["peak"], "off": excursion["off"]}
        else:
            found.append(excursion)
    return found


def judge(state, terms):
    """Verdict, breaches and liability, from excursions, gaps and custodians as they stand."""
    each, together, silent = (terms[f"{name}_minutes"] * 60000 for name in ("excursion", "total", "reading_interval"))
    broken, before, afterwards = [], 0, [held.get("told_late", []) for held in reversed(state["custody"])]
    for excursion in sum(afterwards, state["excursions"]):  # told late of the last custody first: none harms a later
        since, lasted = excursion["from"], elapsed(excursion["from"], excursion["until"] or state["read_until"])
        if lasted > each:
            broken.append(("excursion", since, each))
        if before <= together < before + lasted:
            broken.append(("total", since, together - before))
        excursion["minutes"] = divide(lasted, 60000, 2)
        before += lasted
    broken += [("gap", gap["from"], silent) for gap in state["gaps"]]
    state["breaches"], state["liability"], state["minutes_outside"] = [], {}, divide(before, 60000, 2)
    for kind, since, allowed in broken:
        liable = held_at(state, time := utc(since, milliseconds=allowed))["custodian"]
        state["breaches"].append({"kind": kind, "since": since, "time": time, "custodian": liable})
        state["liability"].setdefault(liable, []).append(kind)
    return state | {"verdict": "broken" if broken else "kept" if state["readings"] else "not monitored"}


def claim(state, record, terms):
    body, by, delivery, now = record["body"], record["author"], state["delivery"], record["sequence"]["time"]
    name, against, amount = text(body, "ID"), text(body, "against"), money(body["ClaimAmount"], terms)
    if against not in state["liability"]:
        raise Reject(f"claim {name}: {against} broke nothing; liable: {', '.join(sorted(state['liability'])) or '-'}")
    if not delivery or now > utc(delivery["filed"], minutes=terms["claim_days"] * 1440):
        raise Reject(f"claim {name}: filed at {now}, not within {terms['claim_days']} days after the delivery was")
    if by not in (state["custody"][0]["custodian"], delivery["by"]) or by == against or not amount:
        raise Reject(f"claim {name}: {amount} of {by} from {against}: who consigned or received claims, from others")
    made, liable, value = state["claims"], state["liability"], (state["value"] or {}).get("value")
    if name in made or [one["by"] for one in made.values()].count(by) == PARTS_MAX:
        raise Reject(f"claim {name}: filed before, or one of more than {PARTS_MAX} of {by}")
    behind = [one for one in sorted(made) if made[one]["by"] in liable and by not in liable]
    together = sum((made[one]["amount"] for one in made if one not in behind), amount)
    if value is not None and together > value:
        raise Reject(f"claim {name}: {together} claimed in all, {value} {terms['currency']} declared")
    for one in behind if value is not None else ():  # else who is liable too would use up what another lost
        made[one]["amount"] = min(made[one]["amount"], value - together)
        together += made[one]["amount"]
    made[name] = {"by": by, "against": against, "amount": amount, "filed": now}


def nine_celsius(report):
    value, unit = number(report), report["uom"]  # nine times the degrees: exact for Fahrenheit too
    if unit not in ("CEL", "FAH") or not -500 < value < 2000:
        raise Reject(f"{value} {unit} is no temperature in CEL or FAH")
    return 9 * value if unit == "CEL" else 5 * (value - 32)


def outside(report, terms):
    """How far a temperature is outside the limits (0: inside), and the excursion that it would be a part of."""
    ninths = nine_celsius(report)
    off = max(ninths - 9 * terms["temperature_max"], 9 * terms["temperature_min"] - ninths, 0)
    return off, {"peak": divide(ninths, 9, 2), "unitCode": "CEL", "off": off}


def held_at(state, time):
    return next((held for held in reversed(state["custody"]) if held["from"] and held["from"] <= time), {})


def elapsed(since, until):
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)) // timedelta(milliseconds=1)


def utc(time, **by):
    """One form for all times, so that their texts compare as they do; `by` is added."""
    when = datetime.fromisoformat(time) + timedelta(**by)
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(body, name, record):
    when, now = datetime.fromisoformat(text(body, name)), record["sequence"]["time"]
    if when.tzinfo is None or when > datetime.fromisoformat(now) + timedelta(minutes=5):  # clocks differ
        raise Reject(f"{name} {body[name]} has no offset from UTC, or is ahead of {now}, when it was filed")
    return utc(body[name])


def text(body, name):
    if not isinstance(body.get(name), str) or not 0 < len(body[name]) <= 200:
        raise Reject(f"{name} is missing, or no text of at most 200 letters")
    return body[name]


def number(measured):
    if type(measured["value"]) not in (int, Decimal):  # true is 1 in Python
        raise Reject(f"{measured['value']} is no number")
    return measured["value"]


def money(amount, terms):
    value, currency = number(amount), amount["currencyID"]
    if currency != terms["currency"] or value < 0 or divide(value, 1, 2) != value:
        raise Reject(f"{value} {currency}: no amount of {terms['currency']} with two places at most")
    return value
