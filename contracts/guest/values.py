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
_CONTAINERS = (dict, list, tuple)


def no_number(text):
    raise ValueError(f"{text} is no number")


read = json.JSONDecoder(parse_float=Decimal, parse_constant=no_number).decode


def write(value):
    """A state or a summary. What is wrong with it and does not stop the encoder, the host finds."""
    if type(value) is not dict:
        raise TypeError(f"the answer must be a dict, not {_named(value)}")
    return "".join(_encode(value, 0))


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
            raise TypeError("roles stand in a set, list or tuple")
        rows[pattern] = sorted(roles)
    return write(rows)


def check(value):
    """Keys are text, and nothing is nested deeper than any JSON of ours. Level by level: a circle ends, too.

    A third of the time of an input, so it is done where the host saw a reason.
    """
    level = [value]
    for _ in range(DEPTH):
        below = []
        for item in level:
            if isinstance(item, dict):
                try:
                    "".join(item)  # the encoder would write the key 1 as "1" without a word
                except TypeError:
                    raise TypeError("the answer has a dict with a key that is no text; write str(key)") from None
                item = item.values()
            below += [one for one in item if isinstance(one, _CONTAINERS)]
        if not below:
            return
        level = below
    raise ValueError(f"the answer is nested deeper than {DEPTH}")


def _default(value):
    if type(value) is Decimal:
        return MARK + str(value)
    raise TypeError(f"the answer holds {_named(value)}; it may hold dict, list, str, int, Decimal, bool and None")


def _named(value):
    name = type(value).__name__
    return f"a {name}" if name[:1] not in "aeiou" else f"an {name}"


_encode = c_make_encoder(None, _default, encode_basestring_ascii, None, ":", ",", False, False, False)
