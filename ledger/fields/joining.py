"""Join fields to a body again: the way back from `ledger.fields.cutting`.

`join(cut(x))` equals x as a JSON value, with the text of every number and the order
of every array. A reader who was not given all fields joins what there is: what was
withheld is simply absent, and objects stand in for parents that are not there.

Spec: docs/spec/fields.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ledger import limits
from ledger.errors import BadInput, EncodingError, FieldsContradict, TooLarge
from ledger.fields import scan
from ledger.fields.patterns import decode_pointer
from ledger.jsontext import check_strict, encode_string, members

# Keys that stand in JSON and in a pointer as they are, short enough for any name.
_PLAIN_KEY: Final = re.compile(r"[ !#-.0-\[\]-}]{0,255}\Z")


def join(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """Put fields, in any order and not necessarily all of a record, together to a JSON object.

    Every field is then found at its own pointer. The fields may come from anyone: each is checked.
    Raises: EncodingError; JsonMalformed, DuplicateKey, TooDeep for a text; TooLarge; FieldsContradict.
    """
    given = list(fields)
    total = sum([len(text) for _, text in given])
    if len(given) > limits.FIELDS_MAX:
        raise TooLarge(what="record", got=len(given), limit=limits.FIELDS_MAX, unit="fields")
    if total > limits.BODY_BYTES_MAX:
        raise TooLarge(what="record", got=total, limit=limits.BODY_BYTES_MAX, unit="bytes")
    flat = _join_flat(given)
    if flat is not None:
        return flat
    root = _Twig()
    for name, text in given:
        _hang(root, name, text)
    out: list[bytes] = []
    _write_twig(out, root)
    return b"".join(out)


def _join_flat(fields: list[tuple[str, bytes]]) -> bytes | None:
    """Join top-level members with plain names, one check for all; None where that does not settle it."""
    if not all(name[:1] == "/" and _PLAIN_KEY.match(name, 1) for name, _ in fields):
        return None
    named = [(name[1:], text) for name, text in fields]
    joined = b"{" + b",".join([b'"%b":%b' % (key.encode(), text) for key, text in named]) + b"}"
    try:
        check_strict(joined, bytes_max=len(joined))
    except BadInput:
        return None
    # Each text comes back as one whole value: none was two, or brought a member of its own.
    return joined if list(members(joined).items()) == named else None


class _Twig:
    """A step of the fields' names. `name` is empty and `text` is None where no field was given."""

    __slots__ = ("children", "name", "text")

    def __init__(self) -> None:
        self.name = ""
        self.text: bytes | None = None
        self.children: dict[str, _Twig] = {}


def _hang(root: _Twig, name: str, text: bytes) -> None:
    steps = decode_pointer(name)
    # Alone, not only inside the whole: `1,"price":2` would otherwise slip in a member.
    check_strict(text, depth_max=limits.JSON_DEPTH - len(steps))
    if text[0] in scan.SPACES or text[-1] in scan.SPACES:
        raise EncodingError(field="field", reason=f"white space around the value of {name[:200]!r}")
    twig = root
    for key in steps:
        twig = twig.children.setdefault(key, _Twig())
    if twig.text is not None:
        raise FieldsContradict(name=name[:200], reason="given twice")
    twig.name, twig.text = name, text


def _write_twig(out: list[bytes], twig: _Twig) -> None:
    if twig.text is not None:
        _write_value(out, twig.text, 0, twig)
        return
    out.append(b"{")
    _write_members(out, list(twig.children.items()), is_first=True)
    out.append(b"}")


def _write_members(out: list[bytes], twigs: list[tuple[str, _Twig]], *, is_first: bool) -> None:
    for key, twig in twigs:
        out.append((b"" if is_first else b",") + encode_string(key) + b":")
        _write_twig(out, twig)
        is_first = False


def _write_value(out: list[bytes], text: bytes, at: int, twig: _Twig) -> int:
    """Write the value of `text` at `at` with the children of `twig` put into it. Returns where the value ends."""
    if not twig.children:
        end = scan.value_end(text, at)
        out.append(text[at:end])
        return end
    if text[at] == scan.OPEN_OBJECT:
        return _write_object(out, text, at, twig)
    if text[at] == scan.OPEN_ARRAY:
        return _write_array(out, text, at, twig)
    raise FieldsContradict(name=_any_name(twig), reason="its parent is neither an object nor an array")


def _write_object(out: list[bytes], text: bytes, at: int, twig: _Twig) -> int:
    missing = dict(twig.children)
    copied = at
    at = scan.skip_space(text, at + 1)
    is_empty = text[at] == scan.CLOSE_OBJECT
    while text[at] != scan.CLOSE_OBJECT:
        key, at = scan.read_key(text, at)
        child = missing.pop(key, None)
        if child is None:
            at = scan.value_end(text, at)
        else:
            out.append(text[copied:at])
            copied = at = _write_inside(out, text, at, child)
        at = scan.skip_space(text, at)
        if text[at] == scan.COMMA:
            at = scan.skip_space(text, at + 1)
    out.append(text[copied:at])
    _write_members(out, list(missing.items()), is_first=is_empty)
    out.append(b"}")
    return at + 1


def _write_array(out: list[bytes], text: bytes, at: int, twig: _Twig) -> int:
    missing = dict(twig.children)
    copied, index = at, 0
    at = scan.skip_space(text, at + 1)
    while text[at] != scan.CLOSE_ARRAY:
        child = missing.pop(str(index), None)
        if child is None:
            at = scan.value_end(text, at)
        else:
            out.append(text[copied:at])
            copied = at = _write_inside(out, text, at, child)
        at = scan.skip_space(text, at)
        if text[at] == scan.COMMA:
            at = scan.skip_space(text, at + 1)
        index += 1
    if missing:
        raise FieldsContradict(name=_any_name(twig), reason="its parent has no such element")
    out.append(text[copied : at + 1])
    return at + 1


def _write_inside(out: list[bytes], text: bytes, at: int, child: _Twig) -> int:
    if child.text is not None:
        raise FieldsContradict(name=child.name[:200], reason="its parent holds it too")
    return _write_value(out, text, at, child)


def _any_name(twig: _Twig) -> str:
    """The name of some field below `twig`, for an error message."""
    twig = next(iter(twig.children.values()))
    return twig.name[:200] or _any_name(twig)
