"""A plain fold of a contract's inputs: the file is executed as it is, with what the sandbox would give it.

For tests of contracts alone: it has no wall and no limits. What a contract sees is cut to what all signers read, and
readers are told by the patterns of the contract and of its `share`, as a node would tell them.
"""

from __future__ import annotations

import copy
import decimal
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import CodeType
from typing import Any, Final

from ledger.fields import Field, compile_rules, cut, join, unite
from tests.source import ROOT

LIBRARY: Final = ROOT / "contracts" / "library"
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Reject(Exception):
    """What a contract raises to refuse an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What came of each input, in order, and of the cases."""

    reasons: list[str | None] = field(default_factory=list)
    """Why an input was refused; None if it was not."""
    fields: list[list[Field]] = field(default_factory=list)
    """The fields of each input with their readers; none if it was refused."""
    states: dict[str, Any] = field(default_factory=dict)
    summaries: dict[str, Any] = field(default_factory=dict)


def fold(inputs: Sequence[Mapping[str, Any]], source: str, terms: Mapping[str, Any]) -> Folded:
    """Run the inputs through the contract. Each has a role, type and body, and may have author, time, id and links."""
    folded = Folded()
    for position, given in enumerate(inputs):
        try:
            names = _namespace(source)
            if given["role"] not in names["AUTHORS"].get(given["type"], ()):
                raise Reject(f"{given['type']} is not for the {given['role']} to file")
            with decimal.localcontext(_context()):
                fields = _step(names, _record(given, position), terms, folded)
        except Exception as refused:
            folded.reasons.append(str(refused) or type(refused).__name__)
            folded.fields.append([])
        else:
            folded.reasons.append(None)
            folded.fields.append(fields)
    if "summary" in _namespace(source):
        for case, state in folded.states.items():
            folded.summaries[case] = _namespace(source)["summary"](copy.deepcopy(state))
    return folded


def _step(names: Mapping[str, Any], record: dict[str, Any], terms: Mapping[str, Any], folded: Folded) -> list[Field]:
    rules = compile_rules(names["SHARES"][record["type"]])
    body = write(record["body"])
    seen = [(part.name, part.text) for part in cut(body, rules) if part.audience >= names["SIGNERS"]]
    record["body"] = read(join(seen))
    added = names["share"](copy.deepcopy(record), terms) if "share" in names else {}
    readers = {pattern: frozenset(roles) for pattern, roles in added.items()}
    unknown = frozenset().union(*readers.values()) - names["ROLES"]
    assert not unknown, f"share gives roles that the contract has not: {sorted(unknown)}"
    fields = cut(body, unite(rules, readers))
    if "apply" in names:
        case = names["key"](copy.deepcopy(record))
        state = names["apply"](copy.deepcopy(folded.states.get(case)), record, terms)
        folded.states[case] = read(write(state))
    return fields


def readable(fields: Sequence[Field], role: str, author_role: str) -> list[str]:
    """Names of the fields that a role reads."""
    return [part.name for part in fields if role in part.audience or role == author_role]


def read(text: bytes | str) -> Any:
    return json.loads(text, parse_float=Decimal)


def write(value: Any) -> bytes:
    """JSON with the numbers as they are; anything but plain JSON is an error."""
    return _text(value).encode()


def library(name: str) -> str:
    return (LIBRARY / f"{name}.py").read_text(encoding="utf-8")


def cases(name: str) -> Any:
    return read((LIBRARY / f"{name}.cases.json").read_bytes())


def schema(name: str) -> Any:
    return json.loads((LIBRARY / f"{name}.schema.json").read_bytes())


def _namespace(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"Decimal": Decimal, "Reject": Reject, "divide": _divide}
    exec(_compiled(source), names)
    return names


@cache
def _compiled(source: str) -> CodeType:
    return compile(source, "contract.py", "exec")


def _divide(a: int | Decimal, b: int | Decimal, places: int, rounding: str = "ROUND_HALF_UP") -> Decimal:
    return (Decimal(a) / Decimal(b)).quantize(Decimal(1).scaleb(-places), rounding)


def _context() -> decimal.Context:
    traps = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
    return decimal.Context(prec=34, rounding=decimal.ROUND_HALF_EVEN, traps=traps)


def _record(given: Mapping[str, Any], position: int) -> dict[str, Any]:
    time = (_START + timedelta(seconds=position)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    time = given.get("time", time)
    return {
        "id": given.get("id", f"00000000-0000-7000-8000-{position:012d}"),
        "author": given.get("author", f"{given['role']}.example"),
        "role": given["role"],
        "type": given["type"],
        "body": given["body"],
        "links": given.get("links", []),
        "time": time,
        "sequence": {"time": time, "position": position},
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        assert all(isinstance(name, str) for name in value), "the names of a JSON object are texts"
        return "{" + ",".join(f"{json.dumps(name)}:{_text(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    assert value is None or isinstance(value, str | int), f"no plain JSON: {value!r}"
    return json.dumps(value)
