"""Values in and out of the guest: JSON whose numbers are int and Decimal. Contract-side code.

Reading: the host has checked the text. Writing: the C encoder of Python writes everything but Decimals, and those
become strings that begin with a lone surrogate, which no text from outside can hold: the host makes plain numbers of
them. Written in Python alone this took two thirds of the time of an input.

Spec: docs/spec/contract-engine.md, "Numbers".
"""

import json
from decimal import Decimal
from json.encoder import c_make_encoder, encode_basestring_ascii

DEPTH = 32  # limits.JSON_DEPTH
MARK = "\ud800"
_PLAIN = frozenset((str, int, Decimal, bool, type(None)))


def no_number(text):
    raise ValueError(f"{text} is no number")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=no_number)
_scan, _decode = _decoder.scan_once, _decoder.decode


class _NoJson(TypeError):
    """The value that stopped the encoder."""


def read(text):
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    # With white space around it, which nothing has that nodes write: that reader takes three times as long to start.
    return value if end == len(text) else _decode(text)


def write(value):
    """A state or a summary. What is wrong with it and does not stop the encoder, the host finds."""
    if type(value) is not dict:
        raise TypeError(f"the answer must be a dict, not {_named(value)}")
    try:
        return "".join(_encode(value, 0))
    except _NoJson as cause:
        (wrong,) = cause.args
    what = _named(wrong) + _place(value, lambda one: one is wrong)
    raise TypeError(f"the answer holds {what}; it may hold dict, list, str, int, Decimal, bool and None")


def write_case(value):
    if type(value) is not str:
        raise TypeError(f"the case must be a str, not {_named(value)}")
    return encode_basestring_ascii(value)


def write_readers(value):
    """What `share` answers: pattern -> roles, in any collection."""
    if type(value) is not dict:
        raise TypeError(f"share must answer with a dict, not {_named(value)}")
    rows = {}
    for pattern, roles in value.items():
        if isinstance(roles, str):
            raise TypeError(f"roles stand in a set, list or tuple, for {pattern!r} too")
        rows[pattern] = sorted(roles)
    return write(rows)


def check(value):
    """Keys are text, and nothing is nested deeper than any JSON of ours. Level by level: a circle ends, too.

    A tenth of the work of an input, so it is done where the host saw a reason.
    """
    level = [value]
    for _ in range(DEPTH):
        below = []
        for item in level:
            if isinstance(item, dict):
                if not _has_text_keys(item):  # the encoder would write the key 1 as "1" without a word
                    place = _place(value, lambda one: isinstance(one, dict) and not _has_text_keys(one))
                    raise TypeError(f"the answer has a dict with a key that is no text{place}; write str(key)")
                item = item.values()
            elif not isinstance(item, (list, tuple)):
                continue
            below += [one for one in item if type(one) not in _PLAIN]
        if not below:
            return
        level = below
    raise ValueError(f"the answer is nested deeper than {DEPTH}")


def _has_text_keys(item):
    try:
        "".join(item)
    except TypeError:
        return False
    return True


def _place(value, is_wrong):
    """Where the first value is of which `is_wrong` is true, as ` at /lines/0/tags`; nothing for the value itself."""
    level = [("", value)]
    for _ in range(DEPTH):
        below = []
        for path, item in level:
            if is_wrong(item):
                return path and f" at {path}"
            if isinstance(item, (dict, list, tuple)):
                members = item.items() if isinstance(item, dict) else enumerate(item)
                below += [(f"{path}/{name}", one) for name, one in members]
        level = below
    return ""


def _default(value):
    if type(value) is Decimal:
        return MARK + str(value)
    raise _NoJson(value)


def _named(value):
    name = type(value).__name__
    return f"a {name}" if name[:1] not in "aeiou" else f"an {name}"


_encode = c_make_encoder(None, _default, encode_basestring_ascii, None, ":", ",", False, False, False)
