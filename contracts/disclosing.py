"""Who reads what of an input; and under one version of a contract and not another: by the rules, and of a stream.

Spec: docs/spec/contract-cases.md, "Inputs" and "Comparing".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from contracts.inputs import NOBODY, Input
from contracts.source import Source
from ledger import limits
from ledger.fields import Rules, audience_of, cut, decode_pointer, encode_pointer, parse_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A role that reads a part of a type under one of two contracts and not under the other.

    part: a pattern; of records the names of their fields, with `*` for indexes. records: how many; 0 of rules.
    line: of the first of them.
    """

    type: str
    part: str
    role: str
    is_gained: bool
    records: int = 0
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who reads an input. fields: name -> roles besides its author, in the order of the body; None if it is refused."""

    line: int
    type: str
    fields: Mapping[str, tuple[str, ...]] | None


def find_readers(line: int, one: Input, rules: Rules) -> Readers:
    """rules: those of its type, united with what `share` adds to it."""
    if rules is NOBODY:
        return Readers(line=line, type=one.type, fields=None)
    fields = {name: tuple(sorted(roles)) for name, _, roles in cut(one.body, rules)}
    return Readers(line=line, type=one.type, fields=fields)


def compare_rules(old: Source, new: Source) -> list[Change]:
    """What the static rules give to other roles, by type and pattern."""
    changes = []
    for kind in sorted(old.rules.keys() | new.rules.keys()):
        before, after = old.rules.get(kind, NOBODY), new.rules.get(kind, NOBODY)
        for part in _parts(old.shares.get(kind, {}), new.shares.get(kind, {})):
            for role, is_gained in _differ(audience_of(before, part), audience_of(after, part)):
                changes.append(Change(type=kind, part=part, role=role, is_gained=is_gained))
    return changes


class Disclosure:
    """Gathers from records, batch by batch, which role reads which part under one of two contracts alone."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, bool], tuple[int, int]] = {}

    def add(self, line: int, one: Input, before: Rules, after: Rules) -> None:
        """Compare by which rules a record is read under OLD and under NEW."""
        names = {name: None for rules in (before, after) for name, _, _ in cut(one.body, rules)}
        seen = {
            (one.type, _general(name), role, is_gained)
            for name in names
            for role, is_gained in _differ(audience_of(before, name), audience_of(after, name))
        }
        for key in seen:
            records, first = self._found.get(key, (0, line))
            self._found[key] = records + 1, first

    def changes(self) -> list[Change]:
        return [
            Change(type=kind, part=part, role=role, is_gained=is_gained, records=records, line=line)
            for (kind, part, role, is_gained), (records, line) in sorted(self._found.items())
        ]


# --- inside ------------------------------------------------------------------------


def _differ(before: frozenset[str], after: frozenset[str]) -> Iterator[tuple[str, bool]]:
    yield from ((role, role in after) for role in sorted(before ^ after))


def _parts(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Patterns that together tell all differences: those of both sides, and where one of each meet."""
    olds, news = [parse_pattern(text).steps for text in old], [parse_pattern(text).steps for text in new]
    found = {*olds, *news}
    found |= {meeting for a in olds for b in news if (meeting := _meet(a, b)) is not None}
    names = sorted(map(encode_pointer, found))
    return [name for name in names if len(name.encode()) <= limits.NAME_BYTES_MAX]


def _meet(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...] | None:
    short, long = sorted((a, b), key=len)
    if any(x != y and "*" not in (x, y) for x, y in zip(short, long, strict=False)):
        return None
    return (*(y if x == "*" else x for x, y in zip(short, long, strict=False)), *long[len(short) :])


def _general(name: str) -> str:
    """The name of a field with `*` for the indexes in it."""
    if not any(letter.isdigit() for letter in name):
        return name
    return encode_pointer("*" if key.isascii() and key.isdigit() else key for key in decode_pointer(name))
