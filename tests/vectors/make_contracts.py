"""Prints contracts.json: python -m tests.vectors.make_contracts. Contracts, inputs, and what the engine makes of them.

Unlike other vectors these are written by the program itself: they say that a result never changes, on any machine
and in any later version with the same pin. Another pin has other fuel, and gets vectors of its own; states and hashes
must then still be these. A contract of the library stands here by its path and its SHA-256: another text of it has
vectors of its own, too.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from contracts.casefile import read_cases
from contracts.engine import Engine, Outcome, make_pin
from contracts.folding import Fold, hash_state, hash_states
from contracts.inputs import Input, decode_input, encode_record
from contracts.source import read_source
from tests.engines import HEAD, contract
from tests.plain_fold import LIBRARY, library
from tests.source import ROOT

LIBRARY_NAMES: Final = ("cold_chain", "custody", "data_sharing", "purchase", "receivable")

CRATES: Final = HEAD.replace('"""A contract of a test."""', '"""Crates: who holds how many."""').replace(
    "/secret", "/price"
) + (
    "def apply(state, record, terms):\n"
    '    held = (state["held"] if state else 0) + record["body"]["crates"]\n'
    "    if held < 0:\n"
    '        raise Reject(f"{-held} crates more returned than were delivered")\n'
    '    return {"held": held, "deposit": held * terms["deposit"], "share": divide(held, 7, 3)}\n\n\n'
    "def summary(state):\n"
    '    return {"amount_due": state["deposit"], "currency": "EUR"}\n\n\n'
    "def share(record, terms):\n"
    '    return {"/price": ["b"]} if record["body"]["crates"] > 100 else {}\n'
)
KINDS: Final = contract(
    'kind = record["body"]["kind"]\n'
    'if kind == "loop":\n    while True:\n        pass\n'
    'if kind == "clock":\n    import datetime\n    return {"now": str(datetime.datetime.now())}\n'
    'if kind == "memory":\n    return {"x": [0] * 10**9}\n'
    'if kind == "deep":\n    def down(n):\n        return down(n + 1)\n    return down(0)\n'
    'if kind == "float":\n    return {"x": 2**-1}\n'
    'if kind == "text":\n    return {"z": "\\u00e9\\U0001f34e\\n\\"", "a": [1, (2, None)], "d": Decimal("1E+3")}\n'
    'return {"n": (state or {}).get("n", 0) + 1}'
)
KEYS: Final = contract(
    'kind = record["body"]["kind"]\n'
    'if kind == "texts":\n'
    '    return {"1": 0, "-5": {"007": [{"1E3": None}]}, "true": 1, "false": 2, "null": 3, "NaN": 4, "-Infinity": 5}\n'
    'if kind == "values":\n    return {"a": ["1", "true", "null", "\\"1\\": ", True, None]}\n'
    'keys = {"int": 1, "true": True, "false": False, "null": None, "float": 2**-1, "decimal": Decimal(1)}\n'
    'if kind.startswith("deep "):\n    return {"a": [{"b": {keys[kind[5:]]: 1}}]}\n'
    'return {"1": 1, "true": 2, keys[kind]: 3}'
)
LETTERS: Final = contract(
    'if record["body"]["spin"]:\n    while True:\n        pass\n'
    'return {"kept": record["body"]["text"], "length": len(record["body"]["text"])}'
)
MEMORY: Final = contract(
    "class Calm:\n"
    "    def __enter__(self):\n        return self\n"
    "    def __exit__(self, *fault):\n        return True\n"
    "def closing():\n"
    "    try:\n        yield bytearray(10**9)\n"
    '    finally:\n        seen.append("closed")\n'
    'kind, seen = record["body"]["kind"], []\n'
    'if kind == "named":\n    try:\n        bytearray(10**9)\n    except MemoryError:\n        seen.append("caught")\n'
    'if kind == "size":\n    try:\n        [0] * (2**31 - 1)\n    except MemoryError:\n        seen.append("caught")\n'
    'if kind == "any":\n    try:\n        "x" * 10**9\n    except Exception:\n        seen.append("caught")\n'
    'if kind == "manager":\n    with Calm():\n        bytearray(10**9)\n'
    'if kind == "generator":\n    with Calm():\n        next(closing())\n'
    'return {"n": (state or {}).get("n", 0) + 1, "seen": seen}'
)
ERRORS: Final = contract(
    "class Text(str):\n"
    "    def __getitem__(self, at):\n        return object()\n"
    "    def __str__(self):\n        return self\n"
    "class Odd(Exception):\n"
    "    def __str__(self):\n"
    '        return Text("a text of \u00e9 class of its own")\n'
    'kind = record["body"]["kind"]\n'
    'if kind == "text":\n    raise Odd\n'
    'if kind == "argument":\n    raise Reject(Text("no"))\n'
    'return {"n": (state or {}).get("n", 0) + 1}'
)
CASES: Final[list[tuple[str, str, bytes, list[dict[str, Any]]]]] = [
    (
        "states, rejections, sharing and a summary",
        CRATES,
        b'{"deposit":4.50}',
        [{"crates": n, "price": 1, "case": f"c{n % 2}"} for n in (12, 7, 120, -3, -500, 1)],
    ),
    (
        "what ends an instance rejects its input alone",
        KINDS,
        b"{}",
        [{"kind": kind} for kind in ("count", "loop", "count", "clock", "memory", "deep", "float", "text", "count")],
    ),
    (
        "what ends an instance in a second window: the windows behind it begin with one input",
        KINDS,
        b"{}",
        [{"kind": "clock" if n == 66 else "count", "case": f"c{n % 3}"} for n in range(72)],
    ),
    (
        "keys that read like something else are text, and what is no text is no key",
        KEYS,
        b"{}",
        [{"kind": kind} for kind in ("texts", "values", "int", "true", "false", "null", "float", "decimal")]
        + [{"kind": f"deep {kind}"} for kind in ("int", "true", "null", "float")],
    ),
    (
        "an input has fuel for each byte of its record and its state in UTF-8, not for each letter",
        LETTERS,
        b"{}",
        [
            {"case": letter, "text": letter * 100, "spin": spin}
            for letter in "e\u00e9\u20ac\U0001f34e"
            for spin in (0, 1)
        ],
    ),
    (
        # The one of "size" comes before any memory is asked for: no 32 bits can count so much.
        "memory that is refused ends an input, whoever catches the error",
        MEMORY,
        b"{}",
        [{"kind": kind} for kind in ("count", "named", "count", "any", "manager", "generator", "size", "count")],
    ),
    (
        "the text of an error may be of a class of the contract's own",
        ERRORS,
        b"{}",
        [{"kind": kind} for kind in ("count", "text", "count", "argument", "count")],
    ),
]


def build(engine: Engine) -> dict[str, Any]:
    folds = [
        {"why": why, "source": source} | _fold(engine, source, terms, _inputs(source, bodies))
        for why, source, terms, bodies in CASES
    ]
    return {"pin": make_pin(), "folds": folds + [_library(engine, name) for name in LIBRARY_NAMES]}


def _inputs(source: str, bodies: Sequence[dict[str, Any]]) -> list[Input]:
    # Letters as they are, not escaped: an escape is ASCII, and its bytes are its letters.
    lines = [json.dumps({"type": "note", "body": body}, ensure_ascii=False).encode() for body in bodies]
    return [decode_input(line, read_source(source), position=position) for position, line in enumerate(lines)]


def _library(engine: Engine, name: str) -> dict[str, Any]:
    """The worked example of a contract of the library: the first of its file of cases."""
    path, source = LIBRARY / f"{name}.py", library(name)
    case = read_cases(path.with_suffix(".cases.json").read_bytes(), read_source(source))[0]
    found = {"path": str(path.relative_to(ROOT)), "sha256": hashlib.sha256(source.encode()).hexdigest()}
    return {"why": f"{name}: {case.name}", "source": found} | _fold(
        engine, source, case.terms, [step.one for step in case.steps]
    )


def _fold(engine: Engine, source: str, terms: bytes, given: Sequence[Input]) -> dict[str, Any]:
    fold = Fold(engine, source, terms)
    outcomes = fold.add(given)
    shares = [
        {pattern: sorted(roles) for pattern, roles in added.items()} if isinstance(added, dict) else None
        for added in fold.shares(given)
    ]
    summaries = {
        case: {name: str(value) for name, value in columns.items()} if isinstance(columns, dict) else None
        for case, columns in fold.summaries(fold.states).items()
    }
    return {
        "terms": terms.decode(),
        "inputs": [
            {"record": encode_record(fold.source, one), "outcome": _outcome(outcome), "share": share}
            for one, outcome, share in zip(given, outcomes, shares, strict=True)
        ],
        "states": {case: state.decode() for case, state in fold.states.items()},
        "summaries": summaries,
        "states_hash": hash_states(fold.states).hex(),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"case": outcome.case, "fuel": outcome.fuel}
    if outcome.state is not None:
        return found | {"state": outcome.state.decode(), "hash": hash_state(outcome.state).hex()}
    if outcome.reason is None:
        return found  # a contract without states: the input is recorded, and that is all
    return found | {"rejected": [outcome.reason.kind, outcome.reason.message, outcome.reason.calls]}


if __name__ == "__main__":
    with Engine() as found_engine:
        json.dump(build(found_engine), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
