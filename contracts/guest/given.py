"""What a contract has: builtins, Decimal, Reject, divide, and a short list of modules. Contract-side code.

Everything that could be imported is loaded here, while the image is built: afterwards nothing can be.

Spec: docs/spec/contract-engine.md, "What a contract may use".
"""

import _strptime  # noqa: F401  these two when it first parses or formats a date,
import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import heapq  # noqa: F401  when `Counter.most_common` is first called,
import itertools
import json
import math
import re
import sys
import time
from decimal import Decimal
from types import ModuleType

import _pylong  # noqa: F401  Python loads it when it first divides a giant number,
from problems import Reject
from values import no_number

CONTEXT = decimal.Context(
    prec=34,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-6143,
    Emax=6144,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
# Rounded by ROUND_05UP to more digits than are asked for, and then once more as asked, is rounded once.
_WIDE = decimal.Context(prec=80, rounding=decimal.ROUND_05UP, Emin=-6143, Emax=6144, traps=CONTEXT.traps)
_CLOSE = CONTEXT.copy()  # it keeps flags of what it did, and what is copied for each input must have none
_UNITS = {places: Decimal(1).scaleb(-places) for places in range(20)}


def divide(a, b, places, rounding=decimal.ROUND_HALF_UP):
    """a / b as a Decimal of exactly `places` decimals. a, b: int or Decimal. rounding: one of decimal's names."""
    unit = _UNITS.get(places) or Decimal(1).scaleb(-places)
    return _WIDE.divide(a, b).quantize(unit, rounding, _CLOSE)


def _part(module, names, **more):
    part = ModuleType(module.__name__, module.__doc__)
    part.__dict__.update({name: getattr(module, name) for name in names.split()}, **more)
    return part


def _loads(text):
    return json.loads(text, parse_float=Decimal, parse_constant=no_number)


MODULES = {
    "collections": collections,
    "dataclasses": dataclasses,
    "datetime": datetime,
    "decimal": decimal,
    "enum": enum,
    "functools": functools,
    "itertools": itertools,
    "json": _part(json, "dumps JSONDecodeError", loads=_loads),
    "math": _part(math, "ceil comb factorial floor gcd isqrt lcm perm prod trunc"),
    "re": re,
}


_strftime = time.strftime


def _format(form, *when):
    text = _strftime(form, *when)
    if form and not text:  # what this C library says to "5 % off", where others copy what they do not know
        raise ValueError(f"{form!r} holds a % that is no format of a date; write %% for a percent sign")
    return text


time.strftime = _format


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if type(fromlist) is list and name in sys.modules:
        return sys.modules[name]  # the C of Python itself, such as `strftime`, asks through the caller's builtins
    if level or name not in MODULES:
        raise ImportError(f"contracts have no module {name!r}; they have {', '.join(MODULES)}")
    return MODULES[name]


_LEFT_OUT = """
    __debug__ __loader__ __spec__ aiter anext breakpoint compile complex copyright credits eval exec exit float
    globals hash help id input license locals memoryview open print quit vars
""".split()

BUILTINS = {name: value for name, value in vars(builtins).items() if name not in _LEFT_OUT}
BUILTINS |= {"__import__": _import, "Decimal": Decimal, "Reject": Reject, "divide": divide}
