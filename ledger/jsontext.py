"""Strict JSON: our own documents byte-exact, foreign bodies with every value's text kept.

Two readers. `decode_canonical` takes only what `encode_canonical` writes (RFC 8785
over ASCII keys and integers). `check_strict` takes any JSON that all readers agree
on: UTF-8 without BOM, no duplicate keys, no NaN or Infinity, no lone surrogates,
bounded depth, one value and nothing after it; it never changes a byte.

Why so strict: readers of JSON disagree on all of these (of two equal keys one keeps the
first, another the last), and two partners who read one signed text differently have
signed two things. Python's own reader takes most of them without a word.

Spec: docs/spec/json.md. Sources: RFC 8259, RFC 7493 (I-JSON), RFC 8785 (JCS).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec
import orjson

from ledger import limits
from ledger.errors import DuplicateKey, EncodingError, JsonMalformed, TooDeep, TooLarge
from ledger.letters import BOM

_OWN_TYPES: Final = "only objects, arrays, strings, integers, booleans and null"
_raw_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_KEY: Final = re.compile(r"[\x20-\x7e]*\Z")


# --- any JSON, kept as it came -------------------------------------------------


def check_strict(text: bytes, *, bytes_max: int = limits.BODY_BYTES_MAX, depth_max: int = limits.JSON_DEPTH) -> None:
    """Raise unless `text` is one strict JSON value; see the module's docstring for what that means.

    Numbers may be of any length and size: their text is kept, nothing here computes with them.
    Time and memory grow with the length of `text` and nothing else, whatever it holds.
    Raises: TooLarge, JsonMalformed, DuplicateKey (naming the key), TooDeep.
    """
    if len(text) > bytes_max:
        raise TooLarge(what="JSON text", got=len(text), limit=bytes_max, unit="bytes")
    # Compact JSON that orjson prints back byte for byte has no duplicate key (one would be
    # lost), no odd number text and no bad escape: 2 us per KB where the exact reader takes 20.
    if text.count(b"{") + text.count(b"[") <= depth_max:
        try:
            printed = orjson.dumps(orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError, RecursionError):
            printed = b""
        if printed and (printed == text or printed == _compact(text)):
            return
    _parse(text, bytes_max=bytes_max, depth_max=depth_max, numbers=(_kept, _kept))


def parse(text: bytes, *, bytes_max: int = limits.BODY_BYTES_MAX, depth_max: int = limits.JSON_DEPTH) -> Any:
    """Parse one strict JSON value: integers become `int`, other numbers `Decimal`.

    For reading values; the text itself, not this, is what is hashed and kept.
    Raises: as `check_strict`; also JsonMalformed for a number that nobody could compute with.
    """
    return _parse(text, bytes_max=bytes_max, depth_max=depth_max, numbers=(_integer, _decimal))


def members(text: bytes) -> dict[str, bytes]:
    """Split a strict JSON object into its members: decoded name -> exact text of the value, in order.

    `text` must have passed `check_strict`: of two equal keys this reader would keep the last.
    A value's text is without the white space around it, and with all that is inside.
    Raises: JsonMalformed if it is not an object.
    """
    try:
        return {name: bytes(raw) for name, raw in _raw_members(text).items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise JsonMalformed(offset=0, reason="not an object") from cause


def encode_string(text: str) -> bytes:
    """The canonical JSON text of a string (RFC 8785, 3.2.2.2): as few escapes as JSON allows."""
    return encode_basestring(text).encode()


# --- our own documents ----------------------------------------------------------


def encode_canonical(value: object) -> bytes:
    """RFC 8785 over objects with ASCII keys, arrays, strings, integers 0..2**53-1, booleans and null.

    So narrow that the two hard parts of RFC 8785 do not arise: how to print a fraction, and the order of keys
    beyond ASCII (it sorts by UTF-16 units, Python by code points).
    Raises: EncodingError for any other value.
    """
    _check_own(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EncodingError(field="string", reason="lone surrogate") from None


def decode_canonical(text: bytes, *, bytes_max: int = limits.BODY_BYTES_MAX) -> Any:
    """Parse a document of ours: only the exact bytes that `encode_canonical` writes are taken.

    Raises: EncodingError, and what `check_strict` raises.
    """
    value = _parse(text, bytes_max=bytes_max, depth_max=limits.JSON_DEPTH, numbers=(_integer, _no_fraction))
    # Written again and compared, rather than checked rule by rule: no rule can be forgotten.
    if encode_canonical(value) != text:
        raise EncodingError(field="document", reason="not in canonical form (RFC 8785)")
    return value


# --- inside ---------------------------------------------------------------------


def _parse(
    text: bytes, *, bytes_max: int, depth_max: int, numbers: tuple[Callable[[str], Any], Callable[[str], Any]]
) -> Any:
    """numbers: what becomes of the text of an integer, and of any other number."""
    if len(text) > bytes_max:
        raise TooLarge(what="JSON text", got=len(text), limit=bytes_max, unit="bytes")
    if text.startswith(BOM):
        raise JsonMalformed(offset=0, reason="a byte order mark, which does not belong there")
    _check_depth(text, depth_max)
    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=_pairs,
            parse_int=numbers[0],
            parse_float=numbers[1],
            parse_constant=partial(_no_constant, text),
        )
    except UnicodeDecodeError as cause:
        raise _malformed(text, cause.start, "not UTF-8") from None
    except json.JSONDecodeError as cause:
        is_end = not cause.doc[cause.pos :].strip()
        reason = cause.msg + ", and the text ends there" * is_end if cause.doc.strip() else "the text is empty"
        raise _malformed(text, len(cause.doc[: cause.pos].encode()), reason) from None
    # Only if there can be one: the walk looks at every value there is.
    if b"\\u" in text:  # raw surrogates are no UTF-8, so only an escape can bring one
        _check_surrogates(value)
    return value


def _check_depth(text: bytes, depth_max: int) -> None:
    """Count brackets outside strings, before a recursive reader sees the text: its stack is not ours to lose.

    A value inside no array or object stands at level 1, as does the outermost of these; only they nest.
    """
    if text.count(b"{") + text.count(b"[") <= depth_max:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        first = text[token.start()]
        if first in b"{[":
            depth += 1
            if depth > depth_max:
                raise TooDeep(limit=depth_max)
        elif first in b"}]":
            depth -= 1


# The closing quote is optional: a string that never ends is one token up to the end. Were it no token, each
# escaped quote in it would be tried as a new beginning, and a body of 1 MB would keep a core busy for most of an hour.
_BRACKETS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keys are compared decoded: `"a"` and `"\\u0061"` are one key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(key=key[:200])
            seen.add(key)
    return found


def _kept(text: str) -> str:
    return text


def _integer(text: str) -> int:
    # `-0` stays `-0` in a body, whose text is kept; as a number it is 0. The limit averts quadratic time in int().
    if len(text) > limits.NUMBER_DIGITS_MAX:
        raise JsonMalformed(offset=0, reason=f"integer of more than {limits.NUMBER_DIGITS_MAX} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > limits.NUMBER_DIGITS_MAX:
        raise JsonMalformed(offset=0, reason=f"number of more than {limits.NUMBER_DIGITS_MAX} digits")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise JsonMalformed(offset=0, reason="a number whose exponent is beyond all computing") from None


def _no_fraction(text: str) -> Any:
    """Fractions in our own documents are refused where they are read: readers round them, each in its own way."""
    raise EncodingError(field="number", reason="not an integer")


def _no_constant(text: bytes, name: str) -> Any:
    """NaN, Infinity and -Infinity, which Python's reader takes and no other must."""
    place = next((found.start() for found in _CONSTANTS.finditer(text) if found[0][:1] != b'"'), 0)
    raise _malformed(text, place, f"{name} is not JSON")


_CONSTANTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|-?Infinity|NaN', re.DOTALL)


def _malformed(text: bytes, offset: int, reason: str) -> JsonMalformed:
    """The error, with line and column for people who look into a file of several lines."""
    above, start = text.count(b"\n", 0, offset), text.rfind(b"\n", 0, offset) + 1
    column = len(text[start:offset].decode(errors="replace")) + 1
    return JsonMalformed(offset=offset, reason=f"{reason}, line {above + 1} column {column}" if above else reason)


def _check_surrogates(value: object) -> None:
    """Half of a pair is no character: UTF-8 cannot hold it, so a text with one could not be written again."""
    if isinstance(value, str):
        if _LONE_SURROGATE.search(value):
            raise JsonMalformed(offset=0, reason="lone surrogate")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)


def _check_own(value: object) -> None:
    """Before `bool` is asked as a number: in Python `True` is an integer, in JSON it is not."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.match(key):
                raise EncodingError(field="document", reason="keys are printable ASCII")
            _check_own(item)
    elif isinstance(value, list):
        for item in value:
            _check_own(item)
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        return
    elif not isinstance(value, int):
        raise EncodingError(field="document", reason=_OWN_TYPES)
    elif not 0 <= value <= limits.INTEGER_MAX:
        raise EncodingError(field="document", reason="integers are 0 to 2**53 - 1")


def _compact(text: bytes) -> bytes:
    """`text` without white space between its tokens; it may be malformed, then so is what comes back."""
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        return b""
