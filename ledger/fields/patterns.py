"""Patterns: JSON Pointers with `*` steps, and the rules that give each part of a body its audience.

The most specific pattern alone decides. Patterns are compared step by step from the left: a literal beats `*`,
a longer pattern beats its prefix. What has no pattern of its own inherits from its nearest ancestor; what nothing
matches is the author's alone. Two patterns for which these sentences would name different winners are refused.

Spec: docs/spec/fields.md; docs/decisions/ambiguous-patterns-are-refused.md; RFC 6901.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ledger import limits
from ledger.errors import EncodingError, PatternMalformed, PatternsAmbiguous, TooLarge

Audience = frozenset[str]
"""Roles that read a field besides its author."""

_NOBODY: Final[Audience] = frozenset()
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+\Z", re.DOTALL)
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLANS_MAX: Final = 4096  # member names remembered per rule set; a hostile writer of ever new names gains nothing
_SHAPES_MAX: Final = 256  # and whole bodies


class Pattern(NamedTuple):
    """`text` as written; `steps` decoded. A step `*` stands for any key or index, also for the key `*`."""

    text: str
    steps: tuple[str, ...]


class Table:
    """Compiled patterns, one bit for each, the most specific lowest: a step costs the same however many match.

    literals, stars, ends: by depth, those that have this key or `*` as that step, and those that end with it.
    """

    __slots__ = ("audiences", "ends", "literals", "patterns", "stars")

    def __init__(self, patterns: Sequence[Pattern], audiences: Sequence[Audience]) -> None:
        self.patterns = [pattern.text for pattern in patterns]
        self.audiences = audiences
        depth = max([len(pattern.steps) for pattern in patterns], default=0)
        self.literals: list[dict[str, int]] = [{} for _ in range(depth)]
        self.stars = [0] * depth
        self.ends = [0] * depth
        for place, pattern in enumerate(patterns):
            self.ends[len(pattern.steps) - 1] |= 1 << place
            for at, key in enumerate(pattern.steps):
                if key == "*":
                    self.stars[at] |= 1 << place
                    continue
                self.literals[at][key] = self.literals[at].get(key, 0) | 1 << place


class Layer(NamedTuple):
    """Where one set of patterns stands at some part of a body, `depth` steps down.

    live: the patterns that may still match further down; 0 if none can.
    audience: of the part itself.
    """

    table: Table
    depth: int
    live: int
    audience: Audience


class Plan(NamedTuple):
    """What becomes of a top-level member. `layers` is None where no pattern reaches into its value."""

    name: str
    audience: Audience
    layers: tuple[Layer, ...] | None


Shape = tuple[tuple[str, Audience], ...]
"""Name and audience of each field of a body, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Compiled patterns of one record type: one table per united set. Build with `compile_rules` and `unite`."""

    tables: tuple[Table, ...]
    _plans: dict[str, Plan] = field(default_factory=dict, repr=False)
    _shapes: dict[tuple[str, ...] | Shape, Shape | None] = field(default_factory=dict, repr=False)  # by names, or shape

    def plan(self, key: str) -> Plan:
        """What becomes of the top-level member `key`; remembered, since bodies of one type look alike.

        Raises: TooLarge if the name is too long.
        """
        found = self._plans.get(key)
        if found is None:
            layers, _ = step(start(self), key)
            deeper = layers if any(layer.live for layer in layers) else None
            found = Plan(check_name(encode_pointer((key,))), union(layers), deeper)
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            self._plans[key] = found
        return found

    def flat_shape(self, keys: tuple[str, ...]) -> Shape | None:
        """The shape of a body with these members; None if a pattern reaches deeper. Raises: TooLarge."""
        try:  # one step, as another thread may clear it
            return self._shapes[keys]
        except KeyError:
            plans = [self.plan(key) for key in keys]
        is_flat = not any(plan.layers for plan in plans)
        return self._remember(keys, tuple((plan.name, plan.audience) for plan in plans) if is_flat else None)

    def keep_shape(self, shape: Shape) -> Shape:
        """The object that stands for all equal ones."""
        return self._shapes.get(shape) or self._remember(shape, shape) or shape

    def _remember(self, key: tuple[str, ...] | Shape, shape: Shape | None) -> Shape | None:
        if len(self._shapes) >= _SHAPES_MAX:
            self._shapes.clear()
        return self._shapes.setdefault(key, shape)


# --- pointers and patterns -----------------------------------------------------


def encode_pointer(steps: Iterable[str]) -> str:
    """The RFC 6901 pointer of decoded keys and indexes."""
    return "".join(["/" + step.replace("~", "~0").replace("/", "~1") for step in steps])


def decode_pointer(text: str) -> tuple[str, ...]:
    """Parse the name of a field: an RFC 6901 pointer of 1 to 32 steps. Raises: EncodingError."""
    reason = _fault(text)
    if reason:
        raise EncodingError(field="field name", reason=f"{text[:80]!r} {reason}")
    return _decode_steps(text)


def parse_pattern(text: str) -> Pattern:
    """Parse a pattern: a pointer whose steps may be `*`. Raises: PatternMalformed."""
    reason = _fault(text)
    if reason:
        raise PatternMalformed(pattern=text[:80], reason=reason)
    return Pattern(text, _decode_steps(text))


def check_name(name: str) -> str:
    """Return the field name unless it is longer than the limit allows. Raises: TooLarge."""
    length = len(name.encode())
    if length > limits.NAME_BYTES_MAX:
        raise TooLarge(what="field name", got=length, limit=limits.NAME_BYTES_MAX, unit="bytes")
    return name


def _specificity(pattern: Pattern) -> tuple[tuple[bool, str], ...]:
    # The end is above every step, so that a pattern comes after the longer ones that it is a prefix of.
    return (*((step == "*", step) for step in pattern.steps), (True, "\U0010ffff"))


def _fault(text: str) -> str:
    if _LONE_SURROGATE.search(text):
        return "is not Unicode text"
    if len(text.encode()) > limits.NAME_BYTES_MAX:
        return f"is longer than {limits.NAME_BYTES_MAX} bytes"
    if not _POINTER.match(text):
        return "is not a JSON Pointer of at least one step (RFC 6901)"
    if text.count("/") > limits.JSON_DEPTH:
        return f"has more than {limits.JSON_DEPTH} steps, deeper than any body"
    return ""


def _decode_steps(text: str) -> tuple[str, ...]:
    # `~1` first: `~01` is the key `~1`, not `/` (RFC 6901, section 4).
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


# --- rules ---------------------------------------------------------------------


def compile_rules(patterns: Mapping[str, AbstractSet[str]]) -> Rules:
    """Compile the patterns of one record type, each with the roles that it gives.

    Raises: PatternMalformed, PatternsAmbiguous, TooLarge.
    """
    if len(patterns) > limits.PATTERNS_MAX:
        raise TooLarge(what="record type", got=len(patterns), limit=limits.PATTERNS_MAX, unit="patterns")
    parsed = [parse_pattern(text) for text in patterns]
    _check_ambiguity(parsed)
    parsed.sort(key=_specificity)
    return Rules((Table(parsed, [frozenset(patterns[pattern.text]) for pattern in parsed]),))


def unite(rules: Rules, added: Mapping[str, AbstractSet[str]]) -> Rules:
    """Rules under which a part is read by whom `rules` name and, besides, by whom `added` name for it.

    Each set answers by itself, so `added` only ever adds. Raises: as `compile_rules`.
    """
    return Rules((*rules.tables, *compile_rules(added).tables))


def is_flat(rules: Rules) -> bool:
    """True if no pattern reaches below the top-level members."""
    return all(len(table.ends) <= 1 for table in rules.tables)


def audience_of(rules: Rules, name: str) -> Audience:
    """The roles that read the part of a body named by the pointer `name`. Raises: EncodingError."""
    layers = start(rules)
    for key in decode_pointer(name):
        layers = step(layers, key)[0]
    return union(layers)


# --- the walk down a body --------------------------------------------------------


def start(rules: Rules) -> tuple[Layer, ...]:
    """Where the rules stand at the whole body."""
    return tuple(Layer(table, 0, (1 << len(table.patterns)) - 1, _NOBODY) for table in rules.tables)


def step(layers: Sequence[Layer], key: str) -> tuple[tuple[Layer, ...], bool]:
    """Where the rules stand one step further down, and whether a pattern ends there."""
    found: list[Layer] = []
    own = False
    for table, depth, live, audience in layers:
        if live:
            live &= table.literals[depth].get(key, 0) | table.stars[depth]
            if ended := live & table.ends[depth]:
                audience, own = table.audiences[(ended & -ended).bit_length() - 1], True
                live ^= ended
        found.append(Layer(table, depth + 1, live, audience))
    return tuple(found), own


def has_literal(layers: Sequence[Layer]) -> bool:
    """Whether it matters which key is the next step."""
    return any(layer.live & ~layer.table.stars[layer.depth] for layer in layers if layer.live)


def deciding_pattern(layers: Sequence[Layer], key: str) -> str:
    """The text of a pattern that ends at `key` below `layers`, for an error message."""
    for table, depth, live, _ in layers:
        if live and (ended := live & (table.literals[depth].get(key, 0) | table.stars[depth]) & table.ends[depth]):
            return table.patterns[(ended & -ended).bit_length() - 1]
    raise AssertionError("asked for a pattern where none ends")


def union(layers: Sequence[Layer]) -> Audience:
    return layers[0].audience if len(layers) == 1 else _NOBODY.union(*[layer.audience for layer in layers])


# --- ambiguity -------------------------------------------------------------------


def _check_ambiguity(patterns: Sequence[Pattern]) -> None:
    """Refuse `/lines` beside `/*/price` unless `/lines/price` is there too.

    Step by step from the left `/lines` would decide over /lines/price; by its own pattern
    `/*/price` would. The rules stay silent, so the contract has to speak.
    """
    known = {pattern.steps for pattern in patterns}
    starred = [pattern for pattern in patterns if "*" in pattern.steps]
    for short in patterns:
        for long in starred:
            if len(short.steps) < len(long.steps):
                overlap = _overlap(short.steps, long.steps)
                if overlap and overlap not in known:
                    name = encode_pointer(overlap)
                    raise PatternsAmbiguous(first=short.text, second=long.text, overlap=name)


def _overlap(short: tuple[str, ...], long: tuple[str, ...]) -> tuple[str, ...]:
    """The part that both claim, if `short` is the first to have a literal where the other has `*`; else nothing."""
    crossing = False
    for ours, theirs in zip(short, long, strict=False):
        if ours == theirs:
            continue
        if theirs == "*":
            crossing = True
        elif ours != "*" or not crossing:
            return ()
    if not crossing:
        return ()
    met = tuple(theirs if ours == "*" else ours for ours, theirs in zip(short, long, strict=False))
    return met + long[len(short) :]
