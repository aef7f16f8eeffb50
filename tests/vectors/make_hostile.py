"""Writes hostile.json: python -m tests.vectors.make_hostile. How each hostile program ends in the pinned engine.

One engine has one ending for each: what `tests/hostile` allows besides is what its author meant, and would do no harm.
Another pin may have other endings; write the file anew, and read what has changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any, Final

from contracts.engine import Engine, make_pin
from tests.hostile import read_programs
from tests.hostile.session import run

_STATE_LETTERS: Final = 5_000
"""Of a state that is kept whole: longer ones are the same letter again and again."""


def build(engine: Engine) -> dict[str, Any]:
    endings = {name: shorten(run(engine, program, before=1).kind) for name, program in read_programs().items()}
    return {"pin": make_pin(), "endings": dict(sorted(endings.items()))}


def shorten(kind: str) -> str:
    """An ending as it is kept: a long state by its length and its SHA-256."""
    if len(kind) <= _STATE_LETTERS:
        return kind
    content = kind.encode()
    return f"a state of {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    with Engine() as found_engine:
        json.dump(build(found_engine), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
