"""Prints contracts.json: python -m tests.vectors.make_contracts. Contracts, inputs, and what the engine makes of them.

Unlike other vectors these are written by the program itself: they say that a result never changes, on any machine
and in any later version with the same pin. Another pin has other fuel, and gets vectors of its own; states and hashes
must then still be these.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from contracts.engine import Engine, Outcome, make_pin
from contracts.folding import Fold, hash_state, hash_states
from contracts.inputs import decode_input, encode_record
from contracts.source import read_source
from tests.engines import HEAD, contract

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
]


def build(engine: Engine) -> dict[str, Any]:
    return {"pin": make_pin(), "folds": [_fold(engine, *case) for case in CASES]}


def _fold(engine: Engine, why: str, source: str, terms: bytes, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    read = read_source(source)
    lines = [json.dumps({"type": "note", "body": body}).encode() for body in bodies]
    inputs = [decode_input(line, read, position=position) for position, line in enumerate(lines)]
    fold = Fold(engine, source, terms)
    outcomes = fold.add(inputs)
    shares = [
        {pattern: sorted(roles) for pattern, roles in added.items()} if isinstance(added, dict) else None
        for added in fold.shares(inputs)
    ]
    summaries = {
        case: {name: str(value) for name, value in columns.items()} if isinstance(columns, dict) else None
        for case, columns in fold.summaries(fold.states).items()
    }
    return {
        "why": why,
        "source": source,
        "terms": terms.decode(),
        "inputs": [
            {"record": encode_record(read, one), "outcome": _outcome(outcome), "share": share}
            for one, outcome, share in zip(inputs, outcomes, shares, strict=True)
        ],
        "states": {case: state.decode() for case, state in fold.states.items()},
        "summaries": summaries,
        "states_hash": hash_states(fold.states).hex(),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"case": outcome.case, "fuel": outcome.fuel}
    if outcome.state is not None:
        return found | {"state": outcome.state.decode(), "hash": hash_state(outcome.state).hex()}
    assert outcome.reason is not None, "there is a state or a reason"
    return found | {"rejected": [outcome.reason.kind, outcome.reason.message, outcome.reason.calls]}


if __name__ == "__main__":
    with Engine() as found_engine:
        json.dump(build(found_engine), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
