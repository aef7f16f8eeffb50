"""The building blocks of the checker: each makes or is a `Check` of one kind of value.

The checks of EPCIS are put together from these once, when their modules load.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from ledger import limits
from node.epcis.checks.faults import NONE, Check, Fault, fault, kind, shown, under
from node.epcis.checks.texts import is_time, is_uri

Rule: TypeAlias = Callable[[Mapping[str, object]], Sequence[Fault]]
"""Looks at an object as a whole: members that need or exclude each other."""

Others: TypeAlias = Literal["any", "extensions", "none"]
"""What else an object may have; the name of an extension is a URI or has a prefix, and is no word of its own."""

_GUESS_LENGTH: Final = 64  # letters of a wrong term that are compared with the right ones


def text(value: object) -> Sequence[Fault]:
    return NONE if isinstance(value, str) else _wrong_type("a string", value)


def number(value: object) -> Sequence[Fault]:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return NONE
    return _wrong_type("a number", value)


def boolean(value: object) -> Sequence[Fault]:
    return NONE if isinstance(value, bool) else _wrong_type("true or false", value)


def anything(value: object) -> Sequence[Fault]:
    return NONE


def uri(value: object) -> Sequence[Fault]:
    if not isinstance(value, str):
        return _wrong_type("a URI", value)
    return NONE if is_uri(value) else fault("not-a-uri", f"{shown(value)} is not a URI")


def time(value: object) -> Sequence[Fault]:
    if not isinstance(value, str):
        return _wrong_type("a date and time", value)
    if is_time(value):
        return NONE
    return fault("not-a-time", f"{shown(value)} is not a date and time with an offset, like 2026-03-14T09:26:53.5Z")


def form(pattern: re.Pattern[str], what: str) -> Check:
    """A string of one form; `what` says it in words."""

    def check(value: object) -> Sequence[Fault]:
        if not isinstance(value, str):
            return _wrong_type("a string", value)
        return NONE if pattern.match(value) else fault("wrong-form", f"{shown(value)} is not {what}")

    return check


def word(words: Collection[str], what: str) -> Check:
    """One of a few words, and nothing of one's own."""

    def check(value: object) -> Sequence[Fault]:
        if not isinstance(value, str):
            return _wrong_type(what, value)
        return NONE if value in words else fault("not-a-term", f"{shown(value)} is not {what}{_guess(value, words)}")

    return check


def term(terms: Collection[str], what: str, *, namespaces: tuple[str, ...]) -> Check:
    """A term of the standard, bare; or a URI of one's own, outside the standard's `namespaces`."""

    def check(value: object) -> Sequence[Fault]:
        if not isinstance(value, str):
            return _wrong_type(what, value)
        if value in terms:
            return NONE
        if value.startswith(namespaces):
            return fault("not-a-term", f"{shown(value)}: the standard's terms stand bare, without their namespace")
        if is_uri(value):
            return NONE
        return fault("not-a-term", f"{shown(value)} is neither {what} nor a URI{_guess(value, terms)}")

    return check


def listing(item: Check, *, least: int = 0, unique: bool = False) -> Check:
    """A list of what `item` accepts; stops after limits.EPCIS_FAULTS_MAX faults."""

    def check(value: object) -> Sequence[Fault]:
        if not isinstance(value, list):
            return _wrong_type("a list", value)
        if len(value) < least:
            return fault("too-few", f"at least {least} item is due here")
        faults: list[Fault] = []
        for i, element in enumerate(value):
            if found := item(element):
                faults += under(i, found)
                if len(faults) >= limits.EPCIS_FAULTS_MAX:
                    break
        if unique and len(value) > 1:
            faults += _repeated(value)
        return faults

    return check


def members(
    known: Mapping[str, Check],
    *,
    required: tuple[str, ...] = (),
    others: Others = "any",
    rules: Sequence[Rule] = (),
) -> Check:
    """An object: a check per known member, the required ones, what else it may have, and rules over the whole."""
    one_by_one = dict(known)

    def check(value: object) -> Sequence[Fault]:
        if not isinstance(value, dict):
            return _wrong_type("an object", value)
        faults: list[Fault] = []
        for name, member in value.items():
            look = one_by_one.get(name)
            if look is not None:
                found = look(member)
            elif others == "any" or (others == "extensions" and is_uri(name)):
                continue
            else:
                found = _unknown(name, one_by_one, others)
            if found:
                faults += under(name, found)
                if len(faults) >= limits.EPCIS_FAULTS_MAX:
                    break
        for name in required:
            if name not in value:
                faults += fault("missing-member", f"the member {name!r} is missing")
        for rule in rules:
            faults += rule(value)
        return faults

    return check


def is_filled(holder: Mapping[str, object], *names: str) -> bool:
    """Whether one of the members `names` is a list with something in it."""
    return any(isinstance(found := holder.get(name), list) and found for name in names)


def _wrong_type(due: str, value: object) -> Sequence[Fault]:
    return fault("wrong-type", f"{due} is due here, not {kind(value)}")


def _unknown(name: str, known: Collection[str], others: Others) -> Sequence[Fault]:
    way_out = "" if others == "none" else "; an extension is named by a URI or by a prefix of the context and a colon"
    guess = _guess(name, known)
    return fault("unknown-member", f"the standard has no member {shown(name)} here{guess or way_out}")


def _guess(text: str, right: Collection[str]) -> str:
    near = get_close_matches(text[:_GUESS_LENGTH], sorted(right), n=1, cutoff=0.8)
    return f"; did you mean {near[0]!r}?" if near else ""


def _repeated(items: list[object]) -> Sequence[Fault]:
    """The first item that equals one before it, as JSON values: 1 equals 1.0, and not true."""
    seen: set[object] = set()
    for i, item in enumerate(items):
        frozen = item if isinstance(item, str) else _frozen(item)
        if frozen in seen:
            return under(i, fault("repeated", "this item is in the list already"))
        seen.add(frozen)
    return NONE


def _frozen(value: object) -> object:
    """A hashable stand-in, equal for equal JSON values; so that a long list is compared in linear time."""
    if isinstance(value, dict):
        return "object", frozenset((name, _frozen(member)) for name, member in value.items())
    if isinstance(value, list):
        return "list", tuple(_frozen(item) for item in value)
    return kind(value), value
