"""Hostile contracts, as text files by theme, and how each is expected to end.

    ## name -> expected | or this            what follows up to the next `##` is the program
    import re                                 module level, if there is a line `---`
    ---
    return {"n": 1}                           what `apply` does with an input whose body says "attack"

Other inputs are counted, honestly. Expected is one of: `refused` (when it is loaded), `raised KIND`, `answer` (refused
by the host), `trap KIND`, a state word by word, or `state` (any, but the same everywhere). That is what its author
means by it; how it ends in the pinned engine is in `tests/vectors/hostile.json`. Behind it may stand `spoils`: what
comes after it in its instance is not promised; `drifts`: it tells what ran before it in its instance; `whole`: the
program is all of the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Final

FOLDER: Final = Path(__file__).parent

_HONEST: Final = """\
def key(record):
    return record["body"]["case"]

{module}

def apply(state, record, terms):
    if not record["body"].get("attack"):
        return {{"count": (state["count"] if state else 0) + 1}}
{attack}
"""
_FLAGS: Final = frozenset({"drifts", "spoils", "whole"})

_GIANTS: Final = {
    "ATTRIBUTE": ".real" * 30_000,
    "BLOCKS": "".join(" " * n + "if X:\n" for n in range(110)) + " " * 110 + "pass",
    "CALLS": "key(" * 3_000 + ")" * 3_000,
    "COLLIDE": ",".join(str(n * (2**31 - 1)) for n in range(3_000)),
    "DIGITS": "9" * 200_000,
    "FORMATS": 'f"{' * 160 + "1" + '}"' * 160,
    "FORS": "[" * 150 + "1" + " for x in ()]" * 150,
    "FUNCTIONS": "".join(" " * n + "def f():\n" for n in range(95)) + " " * 95 + "return 1",
    "HEX": "f" * 200_000,
    "MANY": "\n".join(f"def f{n}(a, b=1, *c, d, **e): return lambda: (a, b, c, d, e)" for n in range(500)),
    "MINUS": "-" * 100_000 + "1",
    "NAMES": "\n".join(f"name_{n} = name_{n + 1} = {n}" for n in range(1_500)),
    "NEST": "(" * 5_000 + "1" + ")" * 5_000,
    "NOT": "not " * 20_000 + "1",
    "SUM": "+".join(["1"] * 60_000),
    "ZERO": "\0",
}
"""Sources that would fill pages, by the names that stand for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """theme: the file that it stands in."""

    name: str
    theme: str
    source: str
    expected: tuple[str, ...]
    flags: frozenset[str]


def read_programs() -> dict[str, Program]:
    programs: dict[str, Program] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for part in path.read_text(encoding="utf-8").split("\n## ")[1:]:
            program = _read(part, path.stem)
            assert program.name not in programs, f"{program.name} is there twice"
            programs[program.name] = program
    return programs


def _read(part: str, theme: str) -> Program:
    head, _, text = part.partition("\n")
    name, _, rest = head.partition(" -> ")
    words = rest.split(" ")
    flags = frozenset(words) & _FLAGS
    expected = " ".join(word for word in words if word not in _FLAGS).split(" | ")
    for giant, content in _GIANTS.items():
        text = text.replace(f"${giant}$", content)
    if "whole" not in flags:
        module, _, attack = text.rpartition("---\n")
        text = _HONEST.format(module=module.strip(), attack=indent(attack.rstrip(), "    "))
    return Program(name=name, theme=theme, source=text, expected=tuple(expected), flags=flags)
