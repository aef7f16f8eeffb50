"""Who reads what, and what more when: fields by role, thresholds that open a field, and embargoes that end.

Supplier and buyer see the whole trade, the carrier what it moves and measures. Insurer and auditor see the goods and
where they go, and more only as far as a rule of the terms says so: what was measured above a threshold, a price once
it is old. A rule is judged once, when a record is filed, and only ever adds readers. So what was filed under an
embargo stays closed when that ends, until its author files a `release`: the same fields again, with a link to the
record, judged at the time of the release. No function `apply`: nothing is ordered or agreed, and no state is kept.

A rule sees what supplier and buyer both read, and opens nothing else. What cannot be judged is refused and not passed
over, for else 50 FAH would hide from a rule about 8 CEL. Numbers are compared exactly, dates as days in UTC; nothing
is rounded.
"""

from datetime import date, timedelta

ROLES = {"supplier", "buyer", "carrier", "insurer", "auditor"}

SIGNERS = {"supplier", "buyer"}  # a rule sees what these both read

AUTHORS = {
    "shipment": {"supplier", "carrier"},
    "reading": {"supplier", "carrier", "buyer"},
    "quality": {"supplier", "buyer"},
    "price": {"supplier"},
    "release": {"supplier", "carrier", "buyer"},
}

SHARES = {
    "shipment": {
        "/*": {"supplier", "buyer", "carrier", "insurer", "auditor"},
        "/DeclaredValueAmount": {"supplier", "buyer"},
        "/Line/*/Price": {"supplier", "buyer"},
        "/InternalNote": set(),
    },
    "reading": {
        "/*": {"supplier", "buyer", "carrier"},
        "/InternalNote": set(),
    },
    "quality": {
        "/*": {"supplier", "buyer"},
        "/LaboratoryID": {"supplier"},
    },
    "price": {
        "/*": {"supplier", "buyer"},
        "/Cost": set(),
    },
    "release": {
        "/*": {"supplier", "buyer"},
    },
}

_PATTERNS_MAX = 256  # what the ledger takes for one record


def share(record, terms):
    body, kind, place = record["body"], record["type"], ""
    if kind == "release":
        _check_release(record)
        body, kind, place = body["Record"], body["RecordType"], "/Record"
    rules = [rule for rule in terms["rules"] if rule["type"] == kind and _holds(rule, body, record["time"])]
    if place and not rules:
        raise Reject(f"the terms open nothing of a {kind} on {record['time'][:10]}")
    closed = [pattern for pattern, roles in SHARES[kind].items() if not roles.issuperset(SIGNERS)]
    named = [pattern for rule in rules for pattern in rule["share"] + rule.get("except", [])]
    added = {}
    for pattern in _meeting(named + closed if rules else []):
        given = [rule for rule in rules if _is_given(rule, pattern, closed)]
        added[place + pattern] = sorted({role for rule in given for role in rule["roles"]})
    if place:
        everybody = sorted({role for rule in rules for role in rule["roles"]})
        added.update({"/ID": everybody, "/RecordType": everybody})
    return added


def _check_release(record):
    """A release is its author's own: who passes on what others filed shows a receipt instead."""
    if record["body"]["RecordType"] not in SHARES or record["body"]["RecordType"] == "release":
        raise Reject(f"RecordType is {record['body']['RecordType']}, no type that is released")
    origins = [link[1] for link in record["links"] if link[0] == "releases"]
    if len(origins) != 1:
        raise Reject(f"a release has one link `releases` to the record, this has {len(origins)}")
    # A log of another network has a colon in its origin: a member there may have the same name.
    if ":" in origins[0] or origins[0].split("/")[1] != record["author"]:
        raise Reject(f"{record['author']} releases a record of {origins[0]}, which is not its own log")


# --- whether a rule holds --------------------------------------------------------------


def _holds(rule, body, time):
    if not all(_is_met(condition, body) for condition in rule.get("when", [])):
        return False
    # Texts of one form compare as the times they are; a date is before all times of its day.
    if time < rule.get("from", ""):
        return False
    if "after" not in rule:
        return True
    found = _values(body, rule["after"]["field"])
    if len(found) != 1 or not isinstance(found[0], str):
        raise Reject(f"{rule['type']} has no date in {rule['after']['field']}, from which its embargo counts")
    try:
        end = date.fromisoformat(found[0][:10]) + timedelta(days=rule["after"]["days"])
    except (ValueError, OverflowError):
        raise Reject(f"{rule['after']['field']} is {found[0]}, no date from which an embargo could count") from None
    return time[:10] >= end.isoformat()


def _is_met(condition, body):
    """Whether any value of the field is as the condition says; a field that is not there meets none."""
    return any(_is_as_said(condition, value) for value in _values(body, condition["field"]))


def _is_as_said(condition, value):
    field, unit = condition["field"], condition.get("unit")
    if isinstance(value, dict) and "value" in value:
        given, value = value.get("unitCode", value.get("currencyID")), value["value"]
        if unit is not None and given != unit:
            raise Reject(f"{field} is in {given}, and the terms compare it in {unit}")
    elif unit is not None:
        raise Reject(f"{field} names no unit, and the terms compare it in {unit}")
    if "equals" in condition and value != condition["equals"]:
        return False
    if "one_of" in condition and value not in condition["one_of"]:
        return False
    for bound in ("above", "below", "at_least", "at_most"):
        if bound in condition and not _is_within(bound, value, condition):
            return False
    return True


def _is_within(bound, value, condition):
    limit = condition[bound]
    if type(value) not in (int, Decimal):
        raise Reject(f"{condition['field']} is no number, and the terms compare it with {limit}")
    if bound == "above":
        return value > limit
    if bound == "below":
        return value < limit
    return value >= limit if bound == "at_least" else value <= limit


def _values(body, field):
    """What stands in a body at a pointer; `*` goes through all elements or members."""
    found = [body]
    for step in field[1:].split("/"):
        inside = []
        for value in found:
            if isinstance(value, list):
                inside += value if step == "*" else []
            elif isinstance(value, dict):
                inside += list(value.values()) if step == "*" else [value[step]] if step in value else []
        found = inside
    return found


# --- rules side by side ----------------------------------------------------------------


def _is_given(rule, pattern, closed):
    """Whether the rule opens what this pattern matches: some pattern of its own does, and nothing speaks against."""
    is_shared = any(_covers(own, pattern) for own in rule["share"])
    return is_shared and not any(_covers(against, pattern) for against in rule.get("except", []) + closed)


def _covers(wide, narrow):
    wide, narrow = wide.split("/"), narrow.split("/")
    return len(wide) <= len(narrow) and all(a in ("*", b) for a, b in zip(wide, narrow, strict=False))


def _meeting(patterns):
    """The patterns, and one for all that two of them both match, so that the most specific one speaks for all rules."""
    known = list(dict.fromkeys(patterns))
    for one in known:  # grows while it is walked
        for other in known[: known.index(one)]:
            both = _meet(one.split("/"), other.split("/"))
            if both is not None and both not in known:
                known.append(both)
            if len(known) > _PATTERNS_MAX:
                raise Reject(f"the rules of the terms meet in more than {_PATTERNS_MAX} patterns")
    return known


def _meet(one, other):
    short, long = sorted((one, other), key=len)
    if any("*" not in (a, b) and a != b for a, b in zip(short, long, strict=False)):
        return None
    first = [b if a == "*" else a for a, b in zip(short, long, strict=False)]
    return "/".join(first + long[len(short) :])
