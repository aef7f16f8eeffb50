"""Prints heads.json: python -m tests.vectors.make_heads. What a node tells of its logs, and what is none of it.

Written from docs/spec/sync.md, "Heads"; nothing of the ledger is used. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from tests.formats import sha
from tests.make_records import NETWORK_NAME, random

_LOG: Final = sha(f"{NETWORK_NAME}/fishery".encode()).hex()
_OTHER: Final = sha(f"{NETWORK_NAME}/retailer".encode()).hex()
_MAX: Final = 2**53 - 1
_ROOT: Final = random("root")[:8].hex()
_EMPTY: Final = [_OTHER, 0, "", 0]
_PAGE: Final = (
    '{"cursor":"4c1f0a77be02.18","heads":[["a4cfa9936b2c4ca3bf986577aed0c416c2045cadf46d5a73910dee47a0176dea",'
    '300,"42eda82651d46812",0]]}'
)


def build() -> dict[str, Any]:
    return {
        "heads": [
            _heads("the example of the page", _PAGE),
            _heads("nothing moved", _text([])),
            _heads("a log that is held, and one that is not yet", _text([[_LOG, 300, _ROOT, 290], _EMPTY])),
            _heads("largest size, longest cursor", _text([[_LOG, _MAX, _ROOT, _MAX]], "Aa0._~-" + "9" * 93)),
            _heads("white space", json.dumps({"heads": [_EMPTY], "cursor": "c"}, indent=1)),
            _heads("a member that a later version adds", _text([_EMPTY])[:-1] + ',"more":{}}'),
            _heads("an item that a later version adds", _text([[*_EMPTY, "more"]])),
        ],
        "refused": [{"why": why, "text": text} for why, text in _bad()],
    }


def _text(heads: object, cursor: object = "4c1f0a77be02.18") -> str:
    return json.dumps({"cursor": cursor, "heads": heads}, separators=(",", ":"))


def _heads(why: str, text: str) -> dict[str, Any]:
    return {"why": why, "text": text, **{name: json.loads(text)[name] for name in ("cursor", "heads")}}


def _bad() -> list[tuple[str, str]]:
    def one(place: int, value: object) -> str:
        head: list[object] = [_LOG, 300, _ROOT, 0]
        head[place] = value
        return _text([head])

    return [
        ("nothing", ""),
        ("a list", "[]"),
        ("no cursor", '{"heads":[]}'),
        ("no heads", '{"cursor":"c"}'),
        ("an empty cursor", _text([], "")),
        ("a cursor of 101 letters", _text([], "c" * 101)),
        ("a cursor that would end the query", _text([], "c&wait=9")),
        ("a cursor with a newline", _text([], "c\n")),
        ("a cursor that is a number", _text([], 7)),
        ("heads that are an object", _text({})),
        ("a head of three items", _text([[_LOG, 300, _ROOT]])),
        ("a hash in upper case", one(0, _LOG.upper())),
        ("a hash of 62 digits", one(0, _LOG[2:])),
        ("a size below zero", one(1, -1)),
        ("a size above 2**53 - 1", one(1, 2**53)),
        ("a size that is a text", one(1, "300")),
        ("a size with a fraction", one(1, 300.5)),
        ("a size that is true", one(1, True)),
        ("a root of 7 bytes", one(2, _ROOT[2:])),
        ("a root in upper case", one(2, "ABCDEF" + _ROOT[6:])),
        ("a root that is null", one(2, None)),
        ("a cosigned size below zero", one(3, -1)),
        ("a byte order mark", "\ufeff" + _text([])),
        ("something after it", _text([]) + "{}"),
    ]


def render() -> str:
    """What heads.json holds."""
    source = "tests/vectors/make_heads.py, from docs/spec/sync.md"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
