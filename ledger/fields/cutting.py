"""Cut a body into fields: the exact bytes of each part that has an audience of its own.

A parent keeps its skeleton: a cut takes the member and one comma, every other byte
stays. `ledger.fields.joining` is the way back.

Spec: docs/spec/fields.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from ledger import limits
from ledger.errors import PatternOnElement, TooLarge
from ledger.fields import scan
from ledger.fields.patterns import (
    Audience,
    Layer,
    Rules,
    Shape,
    check_name,
    deciding_pattern,
    encode_pointer,
    has_literal,
    step,
    union,
)
from ledger.jsontext import members


class Field(NamedTuple):
    """A part of a body. A plain tuple: twenty are made per record on the append path.

    name: RFC 6901 pointer. text: the value's bytes as they came. audience: roles; empty is the author alone.
    """

    name: str
    text: bytes
    audience: Audience


class Parts(Sequence[Field]):
    """The fields of one body. Bodies that look alike share one `shape`, so that what follows from it is made once.

    texts: of the fields of `shape`, in its order.
    """

    __slots__ = ("shape", "texts")

    def __init__(self, shape: Shape, texts: list[bytes]) -> None:
        self.shape = shape
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Field]:
        return (Field(name, text, audience) for (name, audience), text in zip(self.shape, self.texts, strict=True))

    @overload
    def __getitem__(self, at: int) -> Field: ...
    @overload
    def __getitem__(self, at: slice) -> list[Field]: ...
    def __getitem__(self, at: int | slice) -> Field | list[Field]:
        return list(self)[at]


def cut(body: bytes, rules: Rules) -> list[Field]:
    """Take `body`, a JSON object that has passed `check_strict`, apart: body order, parents before children.

    Every top-level member is a field, and so is every member further down at which a pattern ends.
    Raises: JsonMalformed if it is no object; PatternOnElement; TooLarge.
    """
    return list(cut_parts(body, rules))


def cut_parts(body: bytes, rules: Rules) -> Parts:
    """The same for whoever takes apart many bodies; see `Parts`."""
    values = members(body)
    if len(values) > limits.FIELDS_MAX:
        raise TooLarge(what="record", got=len(values), limit=limits.FIELDS_MAX, unit="fields")
    shape = rules.flat_shape(tuple(values))
    if shape is not None:
        return Parts(shape, list(values.values()))
    fields: list[Field] = []
    for key, text in values.items():
        name, audience, layers = rules.plan(key)
        if layers is None:
            fields.append(Field(name, text, audience))
        else:
            _Cutter(text, fields).cut_field(0, (key,), layers)
    if len(fields) > limits.FIELDS_MAX:
        raise TooLarge(what="record", got=len(fields), limit=limits.FIELDS_MAX, unit="fields")
    shape = rules.keep_shape(tuple([(name, audience) for name, _, audience in fields]))
    return Parts(shape, [text for _, text, _ in fields])


class _Cutter:
    """Walks one top-level value and appends what it cuts out to `fields`.

    Recursive, but never deeper than the longest pattern: what no pattern reaches is skipped whole.
    Names are made only for what is cut out: to write one for every element below a long key, copying
    the key each time, would take minutes for one hostile body.
    """

    __slots__ = ("_fields", "_text")

    def __init__(self, text: bytes, fields: list[Field]) -> None:
        self._text = text
        self._fields = fields

    def cut_field(self, at: int, path: tuple[str, ...], layers: tuple[Layer, ...]) -> int:
        """Append the field whose value begins at `at`, then its children. Returns where the value ends."""
        slot = len(self._fields)
        if slot >= limits.FIELDS_MAX:
            raise TooLarge(what="record", got=slot + 1, limit=limits.FIELDS_MAX, unit="fields")
        name, audience = check_name(encode_pointer(path)), union(layers)
        self._fields.append(Field(name, b"", audience))
        removed: list[tuple[int, int]] = []
        end = self._walk(at, path, layers, removed)
        self._fields[slot] = Field(name, _without(self._text, at, end, removed), audience)
        return end

    def _walk(self, at: int, path: tuple[str, ...], layers: tuple[Layer, ...], removed: list[tuple[int, int]]) -> int:
        if any(layer.live for layer in layers):
            if self._text[at] == scan.OPEN_OBJECT:
                return self._walk_object(at, path, layers, removed)
            if self._text[at] == scan.OPEN_ARRAY:
                return self._walk_array(at, path, layers, removed)
        return scan.value_end(self._text, at)

    def _walk_object(
        self, at: int, path: tuple[str, ...], layers: tuple[Layer, ...], removed: list[tuple[int, int]]
    ) -> int:
        text = self._text
        kept_comma = -1  # the comma after the last member that stays
        at = scan.skip_space(text, at + 1)
        while text[at] != scan.CLOSE_OBJECT:
            start = at
            key, at = scan.read_key(text, at)
            inner, own = step(layers, key)
            if own:
                end = self.cut_field(at, (*path, key), inner)
                removed.append((start, end))
            else:
                end = self._walk(at, (*path, key), inner, removed)
            at = scan.skip_space(text, end)
            is_last = text[at] == scan.CLOSE_OBJECT
            # A cut takes the comma behind it; behind the last member there is none, so it takes the one before.
            comma = kept_comma if is_last else at
            if not own:
                kept_comma = at
            elif comma >= 0:
                removed.append((comma, comma + 1))
            if not is_last:
                at = scan.skip_space(text, at + 1)
        return at + 1

    def _walk_array(
        self, at: int, path: tuple[str, ...], layers: tuple[Layer, ...], removed: list[tuple[int, int]]
    ) -> int:
        text = self._text
        # Without literal steps every element stands under the same patterns: ask once, not once per element.
        literal = has_literal(layers)
        inner, own = step(layers, "*")
        index = 0
        at = scan.skip_space(text, at + 1)
        while text[at] != scan.CLOSE_ARRAY:
            key = str(index)
            if literal:
                inner, own = step(layers, key)
            if own:
                name = encode_pointer((*path, key))[:200]
                raise PatternOnElement(pattern=deciding_pattern(layers, key), name=name)
            at = scan.skip_space(text, self._walk(at, (*path, key), inner, removed))
            if text[at] == scan.COMMA:
                at = scan.skip_space(text, at + 1)
            index += 1
        return at + 1


def _without(text: bytes, start: int, end: int, removed: list[tuple[int, int]]) -> bytes:
    """The bytes [start, end) of `text` less the `removed` ranges inside."""
    pieces: list[bytes] = []
    for first, after in sorted(removed):
        pieces.append(text[start:first])
        start = after
    pieces.append(text[start:end])
    return b"".join(pieces)
