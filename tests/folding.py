"""Folds inputs through a contract, as plain Python or in the engine: key, apply on the state of that case, summary."""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from types import CodeType
from typing import Any, Final

import msgspec

from contracts.engine import Engine, Reason
from contracts.folding import Fold
from contracts.inputs import Input, decode_input
from ledger.jsontext import parse

_encode = msgspec.json.Encoder(decimal_format="number").encode
_CONTEXT: Final = decimal.Context(
    prec=34,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)


class Reject(Exception):  # the name that contracts know it by
    """Raised by a contract that refuses an input."""


@dataclass(slots=True, kw_only=True)
class Folded:
    """What the inputs came to."""

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    """Position of the input, and why it was refused."""


def fold(inputs: Iterable[dict[str, Any]], source: str, terms: dict[str, Any]) -> Folded:
    """Run `source`, a contract, over `inputs` in their order; each begins in a fresh namespace."""
    code = compile(source, "contract.py", "exec")
    folded = Folded()
    with decimal.localcontext(_CONTEXT):
        for position, given in enumerate(inputs):
            record = _record(given, position)
            contract = _namespace(code)
            try:
                case = contract["key"](record)
                old = folded.states.get(case)
                new = plain(contract["apply"](old and plain(old), record, terms))
                folded.summaries[case] = plain(contract["summary"](new))
                folded.states[case] = new
            except Exception as refusal:
                reason = str(refusal) if isinstance(refusal, Reject) else f"{type(refusal).__name__}: {refusal}"
                folded.rejected.append((position, reason))
    return folded


def fold_in_engine(
    engine: Engine, inputs: Iterable[dict[str, Any]], source: str, terms: dict[str, Any], *, batch_inputs: int = 256
) -> Folded:
    """The same in the engine, where contracts run."""
    folding = Fold(engine, source, _encode(terms), batch_inputs=batch_inputs)
    given: list[Input] = []
    for position, one in enumerate(inputs):
        line = {name: one[name] for name in ("type", "role", "author", "time", "links", "body") if name in one}
        after = given[-1].ordered if given else None
        given.append(decode_input(_encode(line), folding.source, position=position, after=after))
    folded = Folded()
    for position, outcome in enumerate(folding.add(given)):
        if outcome.reason is not None:
            folded.rejected.append((position, outcome.reason.message))
    folded.states = {case: parse(state) for case, state in folding.states.items()}
    for case, row in folding.summaries(folding.states).items():
        assert not isinstance(row, Reason), row
        folded.summaries[case] = dict(row)
    return folded


def _record(given: dict[str, Any], position: int) -> dict[str, Any]:
    time = given.get("time") or f"2026-01-01T00:{position // 60:02}:{position % 60:02}.000Z"
    record = {"id": f"00000000-0000-7000-8000-{position:012x}", "author": f"{given['role']}.example", "links": []}
    record |= {name: value for name, value in given.items() if name in ("id", "author", "role", "type", "links")}
    body = plain(given["body"])
    return record | {"body": body, "time": time, "sequence": {"time": time, "position": position}}


def _namespace(code: CodeType) -> dict[str, Any]:
    names: dict[str, Any] = {"Decimal": Decimal, "Reject": Reject, "divide": divide}
    exec(code, names)
    return names


def divide(a: int | Decimal, b: int | Decimal, places: int, rounding: str = "ROUND_HALF_UP") -> Decimal:
    """`a` by `b`, rounded once, to exactly `places` decimals."""
    with decimal.localcontext(prec=200):
        exact = Decimal(a) / Decimal(b)
        return exact.quantize(Decimal(1).scaleb(-places), rounding)


def plain(value: Any) -> Any:
    """A copy as JSON would bring it back: tuples are lists, a number without a fraction is an int."""
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, Decimal):
        text = format(value, "f")
        return Decimal(text) if "." in text else int(text)
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    assert isinstance(value, list | tuple), f"no JSON: {type(value).__name__}"
    return [plain(member) for member in value]
