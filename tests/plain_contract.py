"""Contracts run as plain Python, without the sandbox: what a contract of the library makes of inputs.

Only for contracts of our own: nothing here bounds what the code may do.
"""

from __future__ import annotations

import copy
import decimal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final

import msgspec

from contracts.source import Source, read_source
from ledger.fields import Rules, cut, join, unite
from ledger.jsontext import parse
from tests.source import ROOT

LIBRARY: Final = ROOT / "contracts" / "library"
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Reject(Exception):
    """What a contract raises to refuse an input."""


@dataclass
class Outcome:
    """states, summaries: by case. rejected: number of the input -> why."""

    states: dict[str, Any] = field(default_factory=dict)
    summaries: dict[str, Any] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)


def fold(inputs: Iterable[Mapping[str, Any]], source: str, terms: Mapping[str, Any]) -> Outcome:
    """Run every input through the contract, as far as all signers read it; members that it lacks get defaults."""
    said, outcome, ordered = _read(source), Outcome(), ""
    for i, given in enumerate(inputs):
        record = complete(given, i, ordered)
        ordered = record["sequence"]["time"]
        shared = said.rules[record["type"]]
        record["body"] = _read_body(record["body"], shared, said.signers)
        assert record["role"] in said.authors[record["type"]], f"input {i}: {record['role']} files no {record['type']}"
        with decimal.localcontext(decimal.Context(prec=34, rounding=decimal.ROUND_HALF_EVEN)):
            names = _load(source)
            try:
                case = names["key"](copy.deepcopy(record))
                before = outcome.states.get(case)
                after = names["apply"](copy.deepcopy(before), record, terms)
                outcome.states[case] = plain(after)
            except Reject as error:
                outcome.rejected[i] = str(error)
            except (ArithmeticError, KeyError, TypeError, ValueError) as error:
                outcome.rejected[i] = f"{type(error).__name__}: {error}"
    for case, state in outcome.states.items():
        outcome.summaries[case] = plain(_load(source)["summary"](copy.deepcopy(state)))
    return outcome


def reads(given: Mapping[str, Any], source: str, terms: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which fields each role reads of a record, what `share` adds included."""
    said, record = _read(source), complete(given, 0)
    rules, body = said.rules[record["type"]], _encode(record["body"])
    if said.has_share:
        seen = {**record, "body": _read_body(record["body"], rules, said.signers)}
        added = _load(source)["share"](seen, terms)
        rules = unite(rules, {pattern: frozenset(roles) for pattern, roles in added.items()})
    found = cut(body, rules)
    return {role: [name for name, _, audience in found if role in audience] for role in said.roles}


def complete(given: Mapping[str, Any], i: int, ordered: str = "") -> dict[str, Any]:
    """The record of an input or of a step of a case, with what it does not say; ordered: the last sequence's time."""
    time = given.get("time") or (_START + timedelta(seconds=i)).isoformat(timespec="milliseconds")[:-6] + "Z"
    named: dict[str, Any] = {"id": f"id-{i}", "author": f"{given['role']}.example", "links": [], "time": time}
    return {**named, **given, "sequence": {"time": max(time, ordered), "position": i}}


def plain(value: Any) -> Any:
    """A state as it comes out of the sandbox: Decimals without exponent, whole ones as integers."""
    match value:
        case Decimal():
            text = format(value, "f")
            return Decimal(text) if "." in text else int(text)
        case dict():
            assert all(isinstance(name, str) for name in value), "names in a state are text"
            return {name: plain(member) for name, member in value.items()}
        case list() | tuple():
            return [plain(member) for member in value]
    assert value is None or isinstance(value, bool | int | str), f"no state has a {type(value).__name__}"
    return value


def check_case(cases: Mapping[str, Any], case: Mapping[str, Any], source: str) -> None:
    """Run one case of a cases file, and compare all that it says."""
    terms, steps = case.get("terms", cases["terms"]), case["steps"]
    outcome = fold([_record(step) for step in steps], source, terms)
    for i, step in enumerate(steps):
        reason = outcome.rejected.get(i)
        assert (reason is None) is ("rejected" not in step), f"step {i}: {reason}"
        assert step.get("rejected", "") in (reason or ""), f"step {i}: {reason}"
        if "reads" in step:
            found = reads(_record(step), source, terms)
            assert {role: found[role] for role in step["reads"]} == step["reads"], f"step {i}"
    for name in ("states", "summaries"):
        for key, members in case.get(name, {}).items():
            got = getattr(outcome, name)[key]
            assert {member: got.get(member) for member in members} == members, f"{name} of {key}"


def load_cases(name: str) -> dict[str, Any]:
    """The cases file of a contract of the library, its numbers exact."""
    found: dict[str, Any] = parse((LIBRARY / f"{name}.cases.json").read_bytes())
    return found


def library_source(name: str) -> str:
    return (LIBRARY / f"{name}.py").read_text(encoding="utf-8")


def _record(step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: step[name] for name in ("id", "role", "author", "type", "time", "links", "body") if name in step}


def _read_body(body: Mapping[str, Any], rules: Rules, signers: frozenset[str]) -> Any:
    return parse(join((name, text) for name, text, audience in cut(_encode(body), rules) if signers <= audience))


@cache
def _read(source: str) -> Source:
    return read_source(source)


def _load(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"Decimal": Decimal, "Reject": Reject, "divide": _divide, "__name__": "contract"}
    exec(_compiled(source), names)
    return names


@cache
def _compiled(source: str) -> Any:
    return compile(source, "contract.py", "exec")


def _divide(a: int | Decimal, b: int | Decimal, places: int, rounding: str = decimal.ROUND_HALF_UP) -> Decimal:
    return (Decimal(a) / Decimal(b)).quantize(Decimal(1).scaleb(-places), rounding)
