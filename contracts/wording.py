"""Reasons, hints and values as text, for authors and for programs. Numbers keep their digits: no float is made.

Spec: docs/spec/contract-cases.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from contracts import limits
from contracts.engine import Reason
from contracts.inputs import NOBODY

if TYPE_CHECKING:
    from contracts.folding import Filed

_NOT_ALLOWED: Final = "not-allowed"
_TRAP: Final = "trap"
_LACKING_LETTERS_MAX: Final = 80
_PLAIN_DIGITS_MAX: Final = 100  # a state has numbers of 80 letters at most
_SENTENCES: Final = frozenset(("Reject", "answer", _NOT_ALLOWED, _TRAP))
"""Kinds whose messages are sentences of their own; of any other exception the class is half of what is said."""

_FUEL: Final = "it used up the instructions that it has"
_HINTS: Final = {
    _FUEL: (
        f"an input has {limits.FUEL_INPUT:,} instructions, about a fifth of a second, and {limits.FUEL_BYTE:,} more "
        "for each byte of its record and state. Give that line alone to --inputs: if it passes then, look for a loop "
        "over all that the case has seen before; if not, for a loop that does not end"
    ),
    "it used up the memory that it has": (
        f"an instance has {limits.MEMORY_BYTES >> 20} MiB of memory: look for a list, a text or a number that grows "
        "with every turn of a loop"
    ),
    "it went deeper than the stack reaches": (
        f"the stack has {limits.STACK_BYTES >> 20} MiB: look for values that are nested in each other without end"
    ),
    "it asked for something that there is not in here, such as a clock, a file or chance": (
        'a contract knows its record, state and terms, and nothing else: take the time from record["time"]'
    ),
    "it ended the instance that it ran in": (
        "something broke the interpreter itself: `tally contract lint` names what reaches into it"
    ),
}
"""What an instance ended with, as the engine words it -> its limit, and where to look."""
_KINDS: Final = {
    "Object of type Decimal is not JSON": "json.dumps takes no Decimal: write str(x) first, or dumps(..., default=str)",
    "the answer holds a set": "a set has no order: write sorted(...) of it",
    "the answer holds a date": "a date is kept as text: write .isoformat() of it",
    "the answer holds a float": 'a float is not exact: write Decimal("0.5"), or divide(a, b, places)',
}
"""How the message of a TypeError begins -> what to write instead."""
_LOADING: Final = (
    f"to load a contract takes at most {limits.FUEL_LOAD:,} instructions: move what is done outside of functions "
    "into them"
)


def find_hint(reason: Reason, *, is_loading: bool = False) -> str | None:
    """What to do: which limit ended the instance, and where to look. None where the reason says enough.

    is_loading: what ended was not an input, but the contract on its way into the instance.
    """
    if reason.kind == "TypeError":
        return next((hint for words, hint in _KINDS.items() if reason.message.startswith(words)), None)
    if reason.kind != _TRAP or reason.message not in _HINTS:
        return None
    return _LOADING if is_loading and reason.message == _FUEL else _HINTS[reason.message]


def find_lacking(reasons: Iterable[Reason | None], lines: Collection[int]) -> str | None:
    """What was asked of the terms and is not there, as Python names it; None if nothing was. lines: that ask them."""
    for reason in reasons:
        if reason is not None and reason.kind == "KeyError" and reason.calls[-1:] and reason.calls[-1][1] in lines:
            return reason.message[:_LACKING_LETTERS_MAX]
    return None


def find_function(filed: Filed) -> str | None:
    """The function of the contract that was at work when an input was rejected; None where none was."""
    assert filed.outcome.reason is not None, "it was rejected"
    if filed.outcome.reason.kind == _NOT_ALLOWED:
        return None
    if filed.rules is NOBODY:
        return "share"
    return "key" if filed.outcome.case is None else "apply"


def describe_reason(reason: Reason) -> str:
    """Why an input was refused, in one line."""
    return reason.message if reason.kind in _SENTENCES else f"{reason.kind}: {reason.message}"


def describe_calls(reason: Reason, function: str | None = None, answers: Mapping[str, int] | None = None) -> str:
    """Where in the contract it was refused, innermost first; empty where no line of it was at work.

    function: what was asked. A trap leaves nothing else to tell. answers: the line in which each function answers,
    for an answer that is refused.
    """
    if reason.kind == _TRAP and function is not None:
        return f"in {function}"
    if not reason.calls and function is not None and function in (answers or {}):
        return f"what {function} answers, contract line {(answers or {})[function]}"
    calls = ", called from ".join(f"line {line} in {name}" for name, line in reversed(reason.calls))
    return f"contract {calls}" if calls else ""


def reason_document(reason: Reason | None) -> dict[str, Any] | None:
    """A reason for programs. `line`: the innermost one of the contract. `hint`: what to do, or null."""
    if reason is None:
        return None
    return {
        "kind": reason.kind,
        "message": reason.message,
        "line": reason.calls[-1][1] if reason.calls else None,
        "calls": [{"function": name, "line": line} for name, line in reason.calls],
        "hint": find_hint(reason),
    }


def encode_value(value: object) -> str:
    """JSON of what `ledger.jsontext.parse` made, in which a Decimal is the plain text of its digits."""
    match value:
        case Decimal():
            # Whoever writes 1e400000000 into a file of cases is shown that, and not all of its digits.
            return format(value, "f") if abs(value.adjusted()) <= _PLAIN_DIGITS_MAX else str(value)
        case Mapping():
            members = (f"{json.dumps(name, ensure_ascii=False)}: {encode_value(item)}" for name, item in value.items())
            return "{" + ", ".join(members) + "}"
        case str() | None | bool() | int():
            return json.dumps(value, ensure_ascii=False)
        case Sequence():
            return "[" + ", ".join(map(encode_value, value)) + "]"
    raise AssertionError(f"nothing that is parsed is a {type(value).__name__}")
