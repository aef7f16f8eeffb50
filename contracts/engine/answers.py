"""Reading what comes back from the guest. It is text by whoever wrote the contract, and nothing of it is believed.

A state is parsed, and written anew in one canonical form: keys sorted by code point, no white space, UTF-8, numbers
as plain digits. The guest marks the number texts of Decimals (`MARK`): a lone surrogate is in no text from outside,
and what the contract itself makes of one is found here.

Spec: docs/spec/contract-engine.md, "Answers".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from contracts import limits
from contracts.engine.places import find_place
from contracts.engine.quick import canonicalise
from ledger import limits as ledger_limits

MARK: Final = "\ud800"

# A `"` with a mark behind it and no backslash before it begins a string: inside of one it would be escaped.
_MARKED: Final = re.compile(r'(?<!\\)"\ud800([^"]*)"(:?)')
_DECIMAL: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:E[+-][0-9]{1,18})?|s?NaN[0-9]*|Infinity)")
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# What Python's encoder makes of keys that were int, bool, None or float; a text may read the same.
_DOUBTFUL_WORDS: Final = tuple(f'"{word}":' for word in ("true", "false", "null", "inf", "nan", "Infinity", "NaN"))
# The closing quote is optional: were a string that never ends no token, each escaped quote in it would be tried as a
# new beginning, and an answer of 1 MB would take hours.
_NO_BRACKETS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^\[\]{}"]+', re.DOTALL)
# Of Unicode 14, and so for ever: asked of the host, the answer would change with its version of Python. Control and
# format letters, blanks but the space, ends of lines, surrogates, private use, and what `ledger.letters` calls blank.
_UNSEEN: Final = re.compile(
    "[\0-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U00013438\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
)
_BRACKETS_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_REST: Final = bytes(set(range(256)) - set(b'[]{}"\\'))
_SIGNS_ALIKE: Final = bytes.maketrans(b"-123456789", b"0000000000")
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * limits.NUMBER_LETTERS_MAX
_NUMBER_END: Final = 10**limits.NUMBER_LETTERS_MAX
_WORDS: Final = frozenset(("true", "false", "null"))
_KIND: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSAID: Final = {"MemoryError": "more memory was asked for than any instance has"}
_OWN_KINDS: Final = frozenset({"answer", "trap"})
_CASE_ANSWER_MAX: Final = len(r"\ud800\udc00") * limits.CASE_LETTERS_MAX + len('""')


class AnswerWrong(Exception):
    """The guest's answer is no answer. `args[0]` says why, in words for the author of the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an input was rejected. calls: (function, line) inside the contract, innermost last.

    kind: the class of the contract's exception; `trap`: its instance was ended; `answer`: what came back is none;
    `not-allowed`: no node would have recorded it.
    """

    kind: str
    message: str
    calls: tuple[tuple[str, int], ...] = ()


def has_doubtful_keys(answer: str) -> bool:
    """Whether a key could have been something else than text, which only the guest can tell."""
    if any(word in answer for word in _DOUBTFUL_WORDS):
        return True
    # Searched for by hand: a pattern would try every quote of the answer, and take ten times as long.
    alike = answer.encode("ascii", "replace").translate(_SIGNS_ALIKE)
    at = alike.find(b'"0')
    while at >= 0:
        end = alike.find(b'"', at + 1)
        if alike[end + 1 : end + 2] == b":":
            return True
        at = alike.find(b'"0', end + 1) if end >= 0 else -1
    return False


def canonical(answer: str, *, bytes_max: int = limits.STATE_BYTES_MAX) -> bytes:
    """The canonical bytes of an object that the guest wrote. Raises: AnswerWrong, with the place where there is one."""
    _check_size(answer)
    try:
        _check_depth(answer)
        content = canonicalise(answer) or canonicalise_exactly(answer)
    except AnswerWrong as cause:
        what, sign, instead = str(cause).partition(";")
        raise AnswerWrong(f"{what}{find_place(answer, _is_fine)}{sign}{instead}") from None
    if len(content) > bytes_max:
        raise AnswerWrong(f"the answer has {len(content)} bytes, the limit is {bytes_max}")
    return content


def canonicalise_exactly(answer: str) -> bytes:
    """The same for any answer nested within its bound, with words for what is wrong. Raises: AnswerWrong."""
    value = _parse(answer)
    if not isinstance(value, dict):
        raise AnswerWrong("what came back is no object")
    text = _write(value)
    if MARK in text:
        text = _MARKED.sub(_unmark, text)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise AnswerWrong("the answer holds half of a surrogate pair, which is no text") from None
    if _LONG in content.translate(_DIGITS_ALIKE):
        _check_numbers(value)
    return content


def read_case(answer: str) -> str:
    """The name of a case. Raises: AnswerWrong."""
    value = _parse(answer) if len(answer) <= _CASE_ANSWER_MAX else None
    if not isinstance(value, str) or not 1 <= len(value) <= limits.CASE_LETTERS_MAX:
        raise AnswerWrong(f"key must answer with 1 to {limits.CASE_LETTERS_MAX} letters")
    if _UNSEEN.search(value):
        raise AnswerWrong("the case holds a letter that cannot be seen")
    return value


def read_reason(answer: str) -> Reason:
    """An error that the guest tells: a list of kind, message and calls. One that is malformed gets words of ours."""
    try:
        _check_size(answer)
        _check_depth(answer)
        kind, message, calls = _parse(answer)
        if not isinstance(calls, list) or not isinstance(kind, str):
            raise TypeError("no list and no text")
        if not _KIND.fullmatch(kind) or kind in _OWN_KINDS:
            raise ValueError("no name of a class, or one that speaks for the engine")
        told = tuple((_words(name, 80), _line(line)) for name, line in calls[-limits.REASON_CALLS_MAX :])
        words = _words(message, limits.REASON_LETTERS_MAX) or _UNSAID.get(kind, "")
        return Reason(kind=kind[:80], message=words, calls=told)
    except (AnswerWrong, ValueError, TypeError):
        return Reason(kind="answer", message="the contract changed how errors are told")


# --- inside ------------------------------------------------------------------------


def _parse(answer: str) -> Any:
    """What the reader says is not repeated: every version of Python says it in other words, and parties compare."""
    try:
        return _read(answer)
    except (ValueError, RecursionError):
        raise AnswerWrong("what came back is no JSON, or holds a number of thousands of digits") from None


def _no_float(text: str) -> Any:
    raise AnswerWrong(f"the answer holds {text[:40]}, a float; use Decimal and divide(a, b, places)")


_read: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float).decode
_write: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def _check_size(answer: str) -> None:
    if len(answer) > limits.ANSWER_BYTES_MAX:
        raise AnswerWrong(f"the answer has {len(answer)} letters, the limit is {limits.ANSWER_BYTES_MAX}")


def _check_depth(answer: str) -> None:
    """Before a recursive reader sees it, and to a depth that is the same in every version of Python."""
    if answer.count("[") + answer.count("{") <= ledger_limits.JSON_DEPTH:
        return
    # Strings without escapes or brackets, which most are, leave two quotes and go quickly; else they are looked at.
    left = answer.replace('"\\ud800', '"').encode("ascii", "replace").translate(_BRACKETS_ALIKE, _REST)
    brackets = left.replace(b'""', b"").decode()
    if '"' in brackets or "\\" in brackets:
        brackets = _NO_BRACKETS.sub("", answer).replace("{", "[").replace("}", "]")
    for _ in range(ledger_limits.JSON_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace("[]", "")
    if brackets:
        raise AnswerWrong(f"the answer is nested deeper than {ledger_limits.JSON_DEPTH}")


def _unmark(found: re.Match[str]) -> str:
    text, colon = found.groups()
    if colon:
        raise AnswerWrong("the answer has a number as a key; keys are text")
    if _PLAIN.fullmatch(text) and len(text) <= limits.NUMBER_LETTERS_MAX:
        return text if text[0] != "-" or text.strip("-0.") else text[1:]
    return _plain(text)


def _plain(text: str) -> str:
    # Only what Decimals print: Decimal() takes digits of all alphabets that this Python's Unicode knows.
    if not _DECIMAL.fullmatch(text):
        raise AnswerWrong("the answer holds a text that begins with half of a surrogate pair")
    value = Decimal(text)
    if not value.is_finite():
        raise AnswerWrong(f"the answer holds a number that is none: {text[:40]}")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "a finite Decimal has a number as its exponent"
    if abs(value.adjusted()) > limits.NUMBER_LETTERS_MAX or abs(exponent) > limits.NUMBER_LETTERS_MAX:
        raise AnswerWrong(f"the answer holds a number of more than {limits.NUMBER_LETTERS_MAX} digits")
    plain = format(value, "f") if value else format(abs(value), "f")
    if len(plain) > limits.NUMBER_LETTERS_MAX:
        raise AnswerWrong(f"the answer holds a number of more than {limits.NUMBER_LETTERS_MAX} digits")
    return plain


def _check_numbers(value: Any) -> None:
    """Integers only: the others are texts yet, and `_unmark` looked at them. Strings of digits may be long."""
    queue = [value]
    while queue:
        item = queue.pop()
        if isinstance(item, dict):
            queue.extend(item.values())
        elif isinstance(item, list):
            queue.extend(item)
        elif isinstance(item, int) and not -_NUMBER_END < item * 10 < _NUMBER_END * 10:
            raise AnswerWrong(f"the answer holds a number of more than {limits.NUMBER_LETTERS_MAX} digits")


def _is_fine(token: str) -> bool:
    """Whether a text or a number may stand in an answer, or a text with `:` as a key, as far as that can be seen."""
    marked = _MARKED.fullmatch(token.replace("\\ud800", MARK, 1))
    if marked is None:
        is_number = _PLAIN.fullmatch(token) and "." not in token and len(token) <= limits.NUMBER_LETTERS_MAX
        return token[:1] == '"' or token in _WORDS or bool(is_number)
    try:
        _unmark(marked)
    except AnswerWrong:
        return False
    return True


def _line(number: Any) -> int:
    """0 for what is none: code that was made by hand has lines of all kinds."""
    return number if type(number) is int and 0 <= number < 1 << 31 else 0


def _words(text: Any, letters_max: int) -> str:
    if not isinstance(text, str):
        raise TypeError("no text")
    return text.encode("utf-8", "backslashreplace").decode()[:letters_max]
