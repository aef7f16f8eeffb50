"""Inputs folded through a contract: as plain Python, with what the sandbox gives, or by the engine.

The plain fold is quick, and only for contracts of our own: nothing here bounds what the code may do. That both come
to the same for every case of the library is tested in tests/test_library.py.
"""

from __future__ import annotations

import decimal
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from types import CodeType
from typing import Any, Final

import msgspec

from contracts import limits
from contracts.engine import AnswerWrong, Engine, Reason
from contracts.engine.answers import read_case
from contracts.folding import Fold
from contracts.inputs import Input, decode_input
from contracts.source import Source, read_source
from contracts.wording import describe_reason
from ledger.errors import BadInput
from ledger.fields import Field, Rules, compile_rules, cut, join, unite
from ledger.jsontext import parse
from tests.source import ROOT

Object = Mapping[str, Any]
LIBRARY: Final = ROOT / "contracts" / "library"
encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_MEMBERS: Final = ("id", "type", "role", "author", "time", "links", "body")
_NOBODY: Final = compile_rules({})
_TRAPS: Final = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
_CONTEXT: Final = decimal.Context(34, decimal.ROUND_HALF_EVEN, -6143, 6144, 1, 0, [], _TRAPS)
_WIDE: Final = decimal.Context(80, decimal.ROUND_05UP, -6143, 6144, 1, 0, [], _TRAPS)
_read: Final = json.JSONDecoder(parse_float=Decimal).decode


class Reject(Exception):
    """What a contract raises to refuse an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What the inputs came to. reasons: why refused; rules: by which they are read, if recorded; the rest by case."""

    inputs: Sequence[Input]
    reasons: list[Reason | None] = field(default_factory=list)
    rules: list[Rules] = field(default_factory=list)
    states: dict[str, Any] = field(default_factory=dict)
    summaries: dict[str, Any] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[int, str]:
        """Position of an input that was refused -> why."""
        return {i: describe_reason(reason) for i, reason in enumerate(self.reasons) if reason is not None}

    def fields(self, i: int) -> list[Field]:
        """The fields of an input, with their readers."""
        return list(cut(self.inputs[i].body, self.rules[i]))

    def reads(self, i: int, role: str) -> list[str]:
        """The names of the fields that a role reads of an input."""
        return [name for name, _, audience in self.fields(i) if role in audience]


def fold(inputs: Iterable[Object], source: str, terms: Object) -> Folded:
    """Run the contract as plain Python; each input begins in a fresh namespace. What `summary` raises is raised."""
    said, code = _examined(source)
    folded, states, told = Folded(inputs=decode_inputs(inputs, said)), dict[str, str](), encode(terms).decode()
    recorded = 0
    for given in folded.inputs:
        one = replace(given, position=recorded)
        contract: dict[str, Any] = {"Decimal": Decimal, "Reject": Reject, "divide": _divide, "__name__": "contract"}
        rules, reason = _NOBODY, None
        with decimal.localcontext(_CONTEXT):
            try:
                exec(code, contract)
                rules = _rules(said, contract, one, told)
                recorded += 1
                case = _apply(contract, _record(said, one), told, states)
            except _Refused as refusal:
                reason = Reason(kind=refusal.args[0], message=refusal.args[1])
            except Exception as error:
                reason = Reason(kind=type(error).__name__, message=str(error))
            else:
                if case is not None and "summary" in contract:
                    folded.summaries[case] = _read(write(contract["summary"](_read(states[case]))))
        folded.reasons.append(reason)
        folded.rules.append(rules)
    folded.states.update({case: _read(state) for case, state in states.items()})
    return folded


def fold_in_engine(
    engine: Engine, inputs: Iterable[Object], source: str, terms: Object, *, batch_inputs: int = 256
) -> Folded:
    """The same in the engine, where contracts run."""
    folding = Fold(engine, source, encode(terms), batch_inputs=batch_inputs)
    folded = Folded(inputs=decode_inputs(inputs, folding.source))
    for filed in folding.file(folded.inputs):
        folded.reasons.append(filed.outcome.reason)
        folded.rules.append(filed.rules)
    folded.states.update({case: parse(state) for case, state in folding.states.items()})
    if "summary" in folding.source.functions:
        for case, row in folding.summaries(folding.states).items():
            assert not isinstance(row, Reason), row
            folded.summaries[case] = dict(row)
    return folded


def decode_inputs(inputs: Iterable[Object], said: Source) -> list[Input]:
    """Inputs as people write them, or steps of a case: what is expected of a step is no part of its input."""
    decoded: list[Input] = []
    for position, given in enumerate(inputs):
        line = encode({name: given[name] for name in _MEMBERS if name in given})
        after = decoded[-1].ordered if decoded else None
        decoded.append(decode_input(line, said, position=position, after=after))
    return decoded


def results(folded: Folded) -> list[object]:
    """All that came of it, every number by its digits. What Python itself says of an error is no promise."""
    reasons = [reason and (reason.kind, reason.message * (reason.kind == "Reject")) for reason in folded.reasons]
    fields = [folded.fields(i) for i in range(len(folded.inputs))]
    return [reasons, fields, write(folded.states), write(folded.summaries)]


def library(name: str) -> str:
    """The text of a contract of the library."""
    return (LIBRARY / f"{name}.py").read_text(encoding="utf-8")


def cases(name: str) -> Any:
    """Its file of cases, the numbers exact."""
    return _read((LIBRARY / f"{name}.cases.json").read_text(encoding="utf-8"))


def write(value: Any) -> str:
    """A state as text: names sorted, Decimals without exponent. Raises TypeError for what is no plain JSON."""
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return "{" + ",".join(f"{json.dumps(name)}:{write(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(write, value)) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return format(value or abs(value), "f")
    if value is None or isinstance(value, str | int):
        return json.dumps(value)
    raise TypeError(f"the answer holds a {type(value).__name__}")


# --- inside ------------------------------------------------------------------------


class _Refused(Exception):
    """By the host and not by the contract. `args`: the kind, and why."""


def _record(said: Source, one: Input) -> dict[str, Any]:
    """As contracts get it: of the body, what all signers read by the static patterns."""
    fields = cut(one.body, said.rules[one.type])
    body = join((name, text) for name, text, audience in fields if said.signers <= audience)
    told = {name: getattr(one, name) for name in ("id", "author", "role", "type", "time")}
    order = {"time": one.ordered, "position": one.position}
    return told | {"body": _read(body.decode()), "links": [list(link) for link in one.links], "sequence": order}


def _rules(said: Source, contract: Object, one: Input, terms: str) -> Rules:
    """By whom it is read: the patterns of its type, and what `share` adds. Raises: _Refused, as nodes refuse it."""
    if one.type not in said.rules or one.role not in said.authors.get(one.type, ()):
        raise _Refused("not-allowed", f"the role {one.role!r} may not file the type {one.type!r}")
    try:
        cut(one.body, said.rules[one.type])
    except BadInput as cause:
        raise _Refused("not-allowed", str(cause)) from cause
    if not said.has_share:
        return said.rules[one.type]
    record = {name: value for name, value in _record(said, one).items() if name != "sequence"}  # it has no place yet
    answer = contract["share"](record, _read(terms))
    added = {pattern: frozenset(roles) for pattern, roles in answer.items()}
    if len(added) > limits.SHARE_PATTERNS_MAX:
        raise _Refused("answer", f"share adds {len(added)} patterns, the limit is {limits.SHARE_PATTERNS_MAX}")
    if unknown := sorted(frozenset().union(*added.values()) - said.roles):
        raise _Refused("answer", f"share names the role {unknown[0]!r}, which ROLES does not have")
    try:
        rules = unite(said.rules[one.type], added)
        cut(one.body, rules)
    except BadInput as cause:
        raise _Refused("answer", str(cause)) from cause
    return rules


def _apply(contract: Object, record: dict[str, Any], terms: str, states: dict[str, str]) -> str | None:
    """Put the new state of its case into `states`; returns the case, or None where the contract has no states."""
    if "apply" not in contract:
        return None
    case: str = contract["key"](record)
    try:
        read_case(json.dumps(case))
    except AnswerWrong as cause:
        raise _Refused("answer", str(cause)) from cause
    states[case] = write(contract["apply"](_read(states.get(case, "null")), record, _read(terms)))
    return case


def _divide(a: int | Decimal, b: int | Decimal, places: int, rounding: str = decimal.ROUND_HALF_UP) -> Decimal:
    return _WIDE.divide(Decimal(a), Decimal(b)).quantize(Decimal(1).scaleb(-places), rounding, _CONTEXT)


@cache
def _examined(source: str) -> tuple[Source, CodeType]:
    return read_source(source), compile(source, "contract.py", "exec")
