"""What the checker answers with: faults, each with the place where it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

_SHOWN: Final = 60  # letters of a foreign value that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One breach of the standard.

    path: JSON Pointer (RFC 6901) to a value that is there; of a missing member, to the object that lacks it.
    code: stable; one of `CODES`.
    """

    path: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'at the top'}: {self.message}"


Check: TypeAlias = Callable[[object], Sequence[Fault]]
"""Looks at one value; its faults' paths are relative to that value, so that sound input costs no path at all."""

NONE: Final[tuple[Fault, ...]] = ()

CODES: Final = {
    "wrong-type": "another kind of JSON value is due here",
    "not-a-uri": "not a URI of RFC 3986 (a relative one has no scheme, and counts as none)",
    "not-a-time": "not a date and time of RFC 3339 with an offset",
    "not-a-term": "neither a term of the standard's vocabulary nor a URI of one's own",
    "wrong-form": "a string of another form than the standard gives",
    "unknown-member": "neither a member that the standard knows nor an extension named by a URI or a prefix",
    "missing-member": "a member that the standard requires is not there",
    "too-few": "an empty list where one item at least is due",
    "repeated": "an item that the list already has",
    "incomplete": "members that the standard requires together or in place of each other are not there",
    "contradiction": "members that exclude each other",
    "too-large": "more than one record holds",
    "too-deep": "nested deeper than a record may be",
}


def fault(code: str, message: str) -> tuple[Fault, ...]:
    """The one fault of the value being looked at."""
    assert code in CODES, "a fault's code is one of the table"
    return (Fault(path="", code=code, message=message),)


def under(step: str | int, faults: Iterable[Fault]) -> list[Fault]:
    """The faults of a member or an item, as faults of what holds it."""
    prefix = pointer(step)
    return [replace(found, path=prefix + found.path) for found in faults]


def pointer(*steps: str | int) -> str:
    """A JSON Pointer of decoded steps (RFC 6901, section 3)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def shown(value: object) -> str:
    """A value as a message may repeat it: strings cut short, anything else by its kind alone."""
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    return kind(value)


def kind(value: object) -> str:
    """What JSON calls the kind of a value."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a number"
