"""Contracts of tests, and records to give them; the engine that runs them is a fixture of `conftest.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from contracts.engine import Engine, Outcome
from contracts.inputs import Input, decode_input
from contracts.source import read_source

HEAD: Final = '''"""A contract of a test."""

ROLES = {"a", "b"}
SIGNERS = {"a", "b"}
AUTHORS = {"note": {"a"}}
SHARES = {"note": {"/*": {"a", "b"}, "/secret": {"a"}}}


def key(record):
    return record["body"].get("case", "one")


'''

COUNTS: Final = HEAD + (
    "def apply(state, record, terms):\n"
    '    return {"n": (state or {"n": 0})["n"] + 1, "last": record["body"].get("x")}\n'
)


def contract(body: str, *, head: str = HEAD) -> str:
    """A contract whose `apply` has these lines."""
    return head + "def apply(state, record, terms):\n" + "".join(f"    {line}\n" for line in body.splitlines())


def record(position: int = 0, **body: Any) -> str:
    """A record as the engine passes it."""
    return json.dumps(
        {
            "id": f"019b7690-5800-7000-8000-{position:012d}",
            "author": "a.example",
            "role": "a",
            "type": "note",
            "body": body,
            "links": [],
            "time": "2026-01-01T00:00:00.000Z",
            "sequence": {"time": "2026-01-01T00:00:00.000Z", "position": position},
        }
    )


def run(engine: Engine, source: str, *records: str, states: dict[str, bytes] | None = None) -> list[Outcome]:
    """One batch, with the states that its cases have before it."""
    known = states or {}
    return engine.run(source, b"{}", records, lambda cases: [known.get(case) for case in cases])


def result(engine: Engine, body: str, **given: Any) -> Outcome:
    """What comes of one input to a contract whose `apply` has these lines."""
    return run(engine, contract(body), record(**given))[0]


def inputs(source: str, bodies: Sequence[dict[str, Any]], type_name: str = "note") -> list[Input]:
    read = read_source(source)
    lines = [json.dumps({"type": type_name, "body": body}).encode() for body in bodies]
    return [decode_input(line, read, position=position) for position, line in enumerate(lines)]
