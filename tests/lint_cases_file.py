"""Code outside of `apply` that lint finds fault with, each beside code that is allowed. See `tests/lint_cases.py`."""

from __future__ import annotations

from typing import Final

from tests.lint_cases import Pair

_LONG: Final = "def f():  # here\n" + "    a = 1\n" * 60 + "X = f\n"

IN_FILE: Final = [
    Pair(
        "state-kept",
        "SEEN = []\ndef f():\n    SEEN.append(1)  # here\nX = f",
        "def f():\n    seen = []\n    seen.append(1)\nX = f",
    ),
    Pair(
        "state-kept",
        "SEEN = {}\ndef f(x):\n    SEEN[x] = 1  # here\nX = f",
        "SEEN = {}\ndef f(x):\n    return SEEN[x].copy()\nX = f",
    ),
    Pair(
        "state-kept",
        "SEEN = {}\ndef f(x):\n    SEEN.setdefault(x, []).append(1)  # here\nX = f",
        "SEEN = {}\ndef f(SEEN):\n    SEEN.update({})\nX = f",
    ),
    Pair(
        "state-kept",
        "class C:\n    n = 0\ndef f(x):\n    C.n += 1  # here\nX = f",
        "class C:\n    def f(self):\n        self.n = 1\nX = C",
    ),
    Pair(
        "default-changed",
        "def f(x=[]):\n    x.append(1)  # here\nX = f",
        "def f(x=None):\n    x = x or []\n    x.append(1)\nX = f",
    ),
    Pair(
        "default-changed", "def f(*, x={}):\n    x['a'] = 1  # here\nX = f", "def f(x=()):\n    return [*x, 1]\nX = f"
    ),
    Pair("given-replaced", "Decimal = int  # here", "from decimal import Decimal"),
    Pair(
        "given-replaced",
        "def divide(a, b):  # here\n    return a // b\nX = divide",
        "def part(a, b):\n    return a // b\nX = part",
    ),
    Pair("given-replaced", "class Reject(ValueError):  # here\n    pass", "class Refused(ValueError):\n    pass"),
    Pair("async-used", "async def f():  # here\n    pass\nX = f", "def f():\n    pass\nX = f"),
    Pair(
        "name-forbidden",
        "class C:\n    def __getattribute__(self, x):  # here\n        return x",
        "class C:\n    def __eq__(self, x):\n        return True",
    ),
    Pair(
        "function-wrong",
        "def share(record, terms):\n    return Reject('no')  # here",
        "def share(record, terms):\n    raise Reject('no')",
    ),
    Pair("function-wrong", "def share(record):  # here\n    return {}", "def share(record, terms):\n    return {}"),
    Pair(
        "function-wrong",
        "def share(record, terms=None):  # here\n    return {}",
        "def share(record, terms, /):\n    return {}",
    ),
    Pair("function-wrong", "def share(record, *terms):  # here\n    return {}", "def share(r, t):\n    return {}"),
    Pair(
        "function-wrong",
        "def migrate(state, terms):  # here\n    yield {}",
        "def migrate(state, terms):\n    return dict(x for x in state)",
    ),
    Pair(
        "function-wrong",
        "def check(a):\n    if a:\n        raise Reject('no')\n"
        "def migrate(state, terms):  # here\n    check(state)\n    check(terms)",
        "def check(a):\n    if a:\n        raise Reject('no')\n"
        "def migrate(state, terms):\n    check(state)\n    return {}",
    ),
    Pair(
        "function-wrong",
        "def refuse(a):\n    if a:\n        raise Reject(a)\n"
        "def summary(state):  # here\n    if state:\n        return {}\n    refuse('no')",
        "def refuse(a):\n    if a:\n        raise Reject(a)\n    raise Reject('no')\n"
        "def summary(state):\n    if state:\n        return {}\n    refuse('no')",
    ),
    Pair(
        "function-wrong",
        "def migrate(state, terms):  # here\n    pass",
        "def migrate(state, terms):\n    raise Reject('no')",
    ),
    Pair(
        "function-wrong",
        "from functools import cache\n@cache  # here\ndef summary(state):\n    return {}",
        "from functools import cache\n@cache\ndef f():\n    return 1\nX = f",
    ),
    Pair(
        "role-unknown",
        "def share(record, terms):\n    return {'/x': {'bnk'}}  # here",
        "def share(record, terms):\n    return {'/x': {'bank'}}",
    ),
    Pair(
        "member-unknown",
        "def share(record, terms):\n    return {} if record['sequence'] else {}  # here",
        "def share(record, terms):\n    return {} if record['time'] else {}",
    ),
    Pair(
        "function-wrong",
        "def share(record, terms):\n    return {'/x': 'bank'}  # here",
        "def share(record, terms):\n    return {'/x': ['bank']}",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    return {'/~x': ['bank']}  # here",
        "def share(record, terms):\n    return {'/~0x': ['bank']}",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    return {'x': ['bank']} if record['time'] else {}  # here",
        "def share(record, terms):\n    names = {'x': ['bank']}\n    return {'/x': names['x']}",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    added = {}\n    added['x'] = ['bank']  # here\n    return added",
        "def share(record, terms):\n    added = {'/x': []}\n    added['/x'] += ['bank']\n    return added",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    added = {}\n    added.update({'x': {'bank'}})  # here\n    return added",
        "def share(record, terms):\n    added = {}\n    added.update({'/x': {'bank'}})\n    return added",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    return {'/a': {'bank'}} | {'x': {'bank'}}  # here",
        "def share(record, terms):\n    return {'/a': {'bank'}} | {'/x': {'bank'}}",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    return record['time'] and {'x': {'bank'}}  # here",
        "def share(record, terms):\n    return record['time'] and {'/x': {'bank'}}",
    ),
    Pair(
        "pattern-malformed",
        "def share(record, terms):\n    return {'/a': {'bank'}, **{'x': {'bank'}}}  # here",
        "def share(record, terms):\n    return {'/a': {'bank'}, **{'/x': {'bank'}}}",
    ),
    Pair(
        "role-unknown",
        "def share(record, terms):\n    rows = ({'/x': ['bnk']}, 1)  # here\n    return rows[0]",
        "def share(record, terms):\n    rows = ({'x': ['bnk']}, 1)\n    return {'/x': rows[0]['x'][1:]}",
    ),
    Pair(
        "module-work",
        "import re\nFORM = re.compile('a')  # here",
        "RATES = {'a': Decimal('0.05'), 'b': (1, frozenset())}",
    ),
    Pair("module-work", "for x in (1, 2):  # here\n    pass", "DAYS = [x * 2 for x in (1, 2)]"),
    Pair(
        "dataclass-used",
        "from dataclasses import dataclass\n@dataclass\nclass C:  # here\n    x: int",
        "class C:\n    x: int",
    ),
    Pair(
        "function-misspelt",
        "def sumary(state):  # here\n    return {}",
        "def supply(state):\n    return {}\nX = supply",
    ),
    Pair("function-unused", "def f():  # here\n    return f()", "def f():\n    return 1\nX = f"),
    Pair("function-long", _LONG, _LONG.replace("    a = 1\n", "", 1)),
    Pair(
        "text-unsteady",
        "class C:\n    pass\ndef f():\n    c = C()\n    return str(c)  # here\nX = f",
        "class C:\n    def __str__(self):\n        return 'c'\ndef f():\n    c = C()\n    return str(c)\nX = f",
    ),
    Pair("too-many", "X = " + "lambda: " * 33 + "1  # here", "X = " + "lambda: " * 32 + "1"),
]
"""What else stands in the file."""
