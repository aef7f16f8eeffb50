"""Reasons and values as text, for authors of contracts and for programs. Numbers keep their digits: no float is made.

Spec: docs/spec/contract-cases.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from contracts.engine import Reason

_PLAIN_DIGITS_MAX: Final = 100  # a state has numbers of 80 letters at most
_SENTENCES: Final = frozenset(("Reject", "answer", "not-allowed", "trap"))
"""Kinds whose messages are sentences of their own; of any other exception the class is half of what is said."""


def describe_reason(reason: Reason) -> str:
    """Why an input was refused, in one line."""
    return reason.message if reason.kind in _SENTENCES else f"{reason.kind}: {reason.message}"


def describe_calls(reason: Reason) -> str:
    """Where in the contract it was refused, innermost first; empty where no line of it was at work."""
    return ", called from ".join(f"line {line} in {name}" for name, line in reversed(reason.calls))


def reason_document(reason: Reason | None) -> dict[str, Any] | None:
    """A reason for programs. `line`: the innermost one of the contract."""
    if reason is None:
        return None
    return {
        "kind": reason.kind,
        "message": reason.message,
        "line": reason.calls[-1][1] if reason.calls else None,
        "calls": [{"function": name, "line": line} for name, line in reason.calls],
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
