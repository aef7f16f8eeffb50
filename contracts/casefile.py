"""Cases of a contract as they stand in their file: inputs, and what is to come of them.

Read strictly: a member that is misspelt would be an expectation that is never looked at.

Spec: docs/spec/contract-cases.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from contracts import limits
from contracts.inputs import MEMBERS, Input, InputMalformed, decode_input
from contracts.source import Source
from ledger import limits as ledger_limits
from ledger.errors import BadInput
from ledger.fields import decode_pointer
from ledger.jsontext import check_strict, encode_string, members, parse

_FILE: Final = frozenset(("about", "terms", "cases"))
_CASE: Final = frozenset(("name", "terms", "steps", "states", "summaries"))
_STEP: Final = MEMBERS | {"rejected", "reads"}
_WHOLE: Final = "the file"
_LEVELS: Final = 5
"""Levels of a file of cases above a body: file, cases, case, steps, step."""
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class CasesMalformed(BadInput):
    code = "cases-malformed"
    template = "{where}: {reason}"
    hint = "docs/spec/contract-cases.md shows what a file of cases holds."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An input, and what is to come of it. rejected: part of the reason, None where it must be applied.

    reads: role -> exactly the fields of the record that it reads.
    """

    one: Input
    rejected: str | None
    reads: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fold of its own. states, summaries: name of a case of the contract -> members that are to be equal.

    A state that is None must not be there. `where`: its path in the file.
    """

    name: str
    where: str
    terms: bytes
    steps: tuple[Step, ...]
    states: Mapping[str, Mapping[str, Any] | None]
    summaries: Mapping[str, Mapping[str, Any]]


def read_cases(text: bytes, source: Source, *, name: str = "") -> tuple[Case, ...]:
    """name: of the file, for errors. Raises: CasesMalformed, InputMalformed; both name the place in the file."""
    try:
        return _read_cases(text, source)
    except (CasesMalformed, InputMalformed) as cause:
        if not name:
            raise
        where = name if cause.fields["where"] == _WHOLE else f"{name}: {cause.fields['where']}"
        raise type(cause)(where=where, reason=cause.fields["reason"]) from cause


# --- inside ------------------------------------------------------------------------


def _read_cases(text: bytes, source: Source) -> tuple[Case, ...]:
    try:
        check_strict(text, bytes_max=limits.CASES_BYTES_MAX, depth_max=ledger_limits.JSON_DEPTH + _LEVELS)
    except BadInput as cause:
        raise CasesMalformed(where=_WHOLE, reason=str(cause)) from cause
    found = _object(text.strip(), _WHOLE, _FILE)
    if "about" in found:
        _text(found["about"], "about")
    terms = _terms(found.get("terms", b"{}"), "terms")
    cases: dict[str, Case] = {}
    for number, raw in enumerate(_list(_wanted(found, "cases", _WHOLE), "cases")):
        case = _case(raw, f"cases[{number}]", terms, source)
        if case.name in cases:
            raise CasesMalformed(where=f"{case.where}.name", reason=f"another case has the name {case.name!r} too")
        cases[case.name] = case
    if not cases:
        raise CasesMalformed(where="cases", reason="there is none")
    return tuple(cases.values())


def _case(raw: bytes, where: str, terms: bytes, source: Source) -> Case:
    found = _object(raw, where, _CASE)
    name = _text(_wanted(found, "name", where), f"{where}.name")
    steps: list[Step] = []
    for number, step in enumerate(_list(_wanted(found, "steps", where), f"{where}.steps")):
        after = steps[-1].one.ordered if steps else None
        steps.append(_step(step, f"{where}.steps[{number}]", source, (number, after)))
    if not steps:
        raise CasesMalformed(where=f"{where}.steps", reason="there is none")
    return Case(
        name=name,
        where=where,
        terms=_terms(found["terms"], f"{where}.terms") if "terms" in found else terms,
        steps=tuple(steps),
        states=_expected(found.get("states", b"{}"), f"{where}.states"),
        summaries=_summaries(found.get("summaries", b"{}"), f"{where}.summaries"),
    )


def _step(raw: bytes, where: str, source: Source, place: tuple[int, str | None]) -> Step:
    """place: how many steps were before, and the time of the last of them."""
    found = _object(raw, where, _STEP)
    rejected = None
    if "rejected" in found:
        rejected = _text(found.pop("rejected"), f"{where}.rejected")
        if not rejected.strip():
            raise CasesMalformed(where=f"{where}.rejected", reason="it must hold part of the reason")
    reads = _reads(found.pop("reads", b"{}"), f"{where}.reads", source)
    # Put together as text: what is expected is taken out, and every number of the body stays as it is written.
    line = b"{%b}" % b",".join(b"%b:%b" % (encode_string(name), text) for name, text in found.items())
    try:
        one = decode_input(line, source, position=place[0], after=place[1], where=where)
    except InputMalformed:
        raise
    except BadInput as cause:
        raise CasesMalformed(where=where, reason=str(cause)) from cause
    return Step(one=one, rejected=rejected, reads=reads)


def _reads(raw: bytes, where: str, source: Source) -> dict[str, frozenset[str]]:
    reads = {}
    for role, fields in _object(raw, where, source.roles).items():
        names = [_text(field, f"{where}.{role}[{at}]") for at, field in enumerate(_list(fields, f"{where}.{role}"))]
        for at, name in enumerate(names):
            try:
                decode_pointer(name)
            except BadInput as cause:
                raise CasesMalformed(where=f"{where}.{role}[{at}]", reason=str(cause)) from cause
        reads[role] = frozenset(names)
    return reads


def _expected(raw: bytes, where: str) -> dict[str, dict[str, Any] | None]:
    found: dict[str, dict[str, Any] | None] = {}
    for name, text in _object(raw, where, None).items():
        if text != b"null" and text[:1] != b"{":
            raise CasesMalformed(where=f"{where}[{name!r}]", reason="it must be an object, or null for no state")
        found[name] = _value(text, f"{where}[{name!r}]")
    return found


def _summaries(raw: bytes, where: str) -> dict[str, dict[str, Any]]:
    found = _expected(raw, where)
    for name, value in found.items():
        if value is None:
            raise CasesMalformed(where=f"{where}[{name!r}]", reason="it must be an object")
    return {name: value for name, value in found.items() if value is not None}


def _terms(raw: bytes, where: str) -> bytes:
    _object(raw, where, None)
    return raw


def _object(raw: bytes, where: str, known: frozenset[str] | None) -> dict[str, bytes]:
    """known: names that a member may have; None for any."""
    if raw[:1] != b"{":
        raise CasesMalformed(where=where, reason="it must be an object")
    found = members(raw)
    unknown = sorted(found.keys() - known) if known is not None else []
    if unknown:
        reason = f"{unknown[0][:80]!r} is not known here; known are {', '.join(sorted(known or ()))}"
        raise CasesMalformed(where=where, reason=reason)
    return found


def _list(raw: bytes, where: str) -> list[bytes]:
    if raw[:1] != b"[":
        raise CasesMalformed(where=where, reason="it must be a list")
    return [bytes(one) for one in _elements(raw)]


def _text(raw: bytes, where: str) -> str:
    value = _value(raw, where)
    if not isinstance(value, str):
        raise CasesMalformed(where=where, reason="it must be a text")
    return value


def _value(raw: bytes, where: str) -> Any:
    try:
        return parse(raw, bytes_max=limits.CASES_BYTES_MAX)
    except BadInput as cause:
        raise CasesMalformed(where=where, reason=str(cause)) from cause


def _wanted(found: Mapping[str, bytes], name: str, where: str) -> bytes:
    if name not in found:
        raise CasesMalformed(where=where, reason=f"it has no `{name}`")
    return found[name]
