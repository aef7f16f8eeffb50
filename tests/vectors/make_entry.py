"""Prints entry.json: python -m tests.vectors.make_entry. Log entries, their slots, and what is no entry.

Written with `tests.formats`, from the pages of the spec: nothing of `ledger` is used, so that the vectors can
contradict it. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from tests import formats
from tests.formats import b64
from tests.make_records import NETWORK_NAME, ORIGIN, random, record_id


def build() -> dict[str, Any]:
    first = _header("first", 0, bytes(32), card=random("card"), charter=random("charter"), slot=random("slot")[:16])
    second = _header("second", 1, formats.leaf_hash(first))
    third = _header("third", 2, formats.leaf_hash(second), charter=random("charter 2"))
    far = _header("far", 2**53 - 1, random("prev"), log="n/" + "m" * 63 + "/9007199254740991")
    later = json.loads(second) | {"v": 2, "shape": {"of": ["things", "to", "come"]}, "slot": b64(random("slot 2")[:16])}
    return {
        "entries": [
            _entry("first of a log: card, charter and a slot", first),
            _entry("the plain one", second),
            _entry("a new charter is announced", third),
            _entry("largest index and epoch, longest name", far),
            _entry("of a later version: kept, its place and slot count", formats.canonical(later).encode()),
        ],
        "refused": [{"why": why, "entry": text} for why, text in _bad_entries(second.decode())],
        "slots": [_slot(kind, term, batch) for kind, term, batch in _SLOTS],
    }


_SLOTS: Final = ((1, 0, 0), (1, 3, 2**53), (2, 0, 7), (2, 0, 8), (3, 2, 0), (4, 0, 0))


def _header(label: str, index: int, prev: bytes, log: str = ORIGIN, **given: bytes) -> bytes:
    body = random(f"manifest {label}")
    return formats.header(log=log, index=index, prev=prev, record_id=record_id(label, index % 97), body=body, **given)


def _entry(why: str, text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    found = {
        name: value[name]
        for name in ("body", "card", "charter", "id", "index", "log", "prev", "slot", "v")
        if name in value
    }
    return {"why": why, "members": found, "entry": text.decode(), "leaf": formats.leaf_hash(text).hex()}


def _slot(kind: int, term: int, batch: int) -> dict[str, Any]:
    given = {"secret": random("contract secret"), "contract": random("contract id")}
    found = formats.slot(**given, signer=ORIGIN, kind=kind, term=term, batch=batch)
    shown = {name: raw.hex() for name, raw in given.items()}
    return {**shown, "signer": ORIGIN, "kind": kind, "term": term, "batch": batch, "slot": found.hex()}


def _bad_entries(good: str) -> list[tuple[str, str]]:
    def changed(**change: object) -> str:
        value = json.loads(good) | change
        return formats.canonical({name: item for name, item in value.items() if item is not ...})

    value = json.loads(good)
    return [
        ("a space", good.replace(":", ": ", 1)),
        ("a newline at the end", good + "\n"),
        ("a byte order mark", "\ufeff" + good),
        ("members in another order", json.dumps({"v": 1, **value}, separators=(",", ":"))),
        ("a member twice", good.replace('"v":1', '"v":1,"v":1')),
        ("a member too many", changed(type="invoice")),
        ("no body", changed(body=...)),
        ("no prev", changed(prev=...)),
        ("no version", changed(v=...)),
        ("version 0", changed(v=0)),
        ("a version that is a text", changed(v="1")),
        ("a version that is true", good.replace('"v":1', '"v":true')),
        ("a fraction for an index", good.replace('"index":1', '"index":1.0')),
        ("an index with a leading zero", good.replace('"index":1', '"index":01')),
        ("an index above 2**53 - 1", changed(index=2**53)),
        ("an index below zero", changed(index=-1)),
        ("an index that is a text", changed(index="1")),
        ("an id in upper case", good.replace(value["id"], value["id"].upper())),
        ("an id of version 4", good.replace("-7", "-4", 1)),
        ("an id without hyphens", good.replace(value["id"], value["id"].replace("-", ""))),
        ("a log without a member", changed(log=NETWORK_NAME)),
        ("a log of epoch 1 in two spellings", changed(log=ORIGIN + "/1")),
        ("a log of epoch 02", changed(log=ORIGIN + "/02")),
        ("a log in upper case", changed(log=ORIGIN.upper())),
        ("a name of 64 letters", changed(log=f"{NETWORK_NAME}/{'m' * 64}")),
        ("base64 without padding", changed(body=value["body"].rstrip("="))),
        ("base64 with bits beyond the last byte", changed(body=value["body"][:-2] + _next(value["body"][-2]) + "=")),
        ("base64 of the URL alphabet", changed(body="_" + value["body"][1:])),
        ("a digest of 31 bytes", changed(prev=b64(bytes(31)))),
        ("a slot of 15 bytes", changed(slot=b64(bytes(15)))),
        ("a slot that is null", changed(slot=None)),
        ("later version without a link", changed(v=2, prev=...)),
        ("later version with a fraction", changed(v=2).replace('"index":1', '"index":1.5')),
        ("later version, not canonical", changed(v=2).replace(":", ": ", 1)),
        ("longer than 1,024 bytes", changed(v=2, more="m" * 1024)),
        ("a list", "[]"),
        ("nothing", ""),
    ]  # fmt: skip


def _next(letter: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return alphabet[alphabet.index(letter) + 1]


def render() -> str:
    """What entry.json holds."""
    source = "tests/vectors/make_entry.py, from the pages of docs/spec by way of tests/formats.py"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
