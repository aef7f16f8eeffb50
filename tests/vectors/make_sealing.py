"""Prints sealing.json: python -m tests.vectors.make_sealing. Sections, channels and wraps.

Written with `tests.formats`, from the pages of the spec: nothing of `ledger` is used, so that the vectors can
contradict it. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from tests import formats
from tests.formats import Field
from tests.make_records import FINGERPRINT, ORIGIN, channel, random, record_id


def build() -> dict[str, Any]:
    return {
        "network": FINGERPRINT.hex(),
        "padme": [[length, formats.padme(length)] for length in _LENGTHS],
        "sections": [
            _section("one field", 0, [("type", b'"shipment"')]),
            _section("value texts are kept", 3, _FIELDS),
            _section("a name beyond ASCII", 63, [("/größe", b'"\\u00fc \xc3\xbc"'), ("/🐟", b"[]")]),
            _section("nineteen fields, one long", 1, [*[(f"/{i}", b"7%d" % i) for i in range(18)], ("/z", _LONG)]),
        ],
        "refused_sections": _bad_sections(),
        "channels": [channel("fishery", "processor"), channel("fishery", "fishery")],
        "wraps": [_wrap("fishery", "processor", b"\x00\x02"), _wrap("fishery", "fishery", bytes(range(5)))],
    }  # fmt: skip


_LENGTHS: Final = (*range(2, 70), 255, 256, 257, 1000, 4095, 65537, 2**20)
_LONG: Final = b'"' + b"z" * 700 + b'"'
_FIELDS: Final[list[Field]] = [
    ("/quantity", b"26.0"),
    ("/when", b'"2026-01-05T00:00:00Z"'),
    ("/n", b"1e3"),
    ("/lines", b'[ {"sku" : "A"}, null ]'),
    ("/lines/0/price", b"-0"),
]  # fmt: skip


def _section(why: str, number: int, fields: Sequence[Field]) -> dict[str, Any]:
    seed, own_id = random(f"section {why}"), record_id(why)
    ctx = formats.context(FINGERPRINT, ORIGIN, own_id, number)
    key, salts = formats.derive(seed, ctx, len(fields))
    ciphertext, root = formats.seal(fields, seed, ctx)
    return {
        "why": why,
        "origin": ORIGIN,
        "id": own_id.hex(),
        "section": number,
        "ctx": ctx.hex(),
        "seed": seed.hex(),
        "fields": [[name, text.decode()] for name, text in fields],
        "key": key.hex(),
        "salts": [salt.hex() for salt in salts],
        "leaves": [leaf.hex() for leaf in formats.field_leaves(fields, seed, ctx)],
        "root": root.hex(),
        "plaintext": formats.plaintext(fields).hex(),
        "ciphertext": ciphertext.hex(),
    }


def _bad_sections() -> list[dict[str, Any]]:
    """Plaintexts that no writer makes, sealed as they are, under the root of the fields that they hold."""
    seed, own_id = random("bad section"), record_id("bad section")
    ctx = formats.context(FINGERPRINT, ORIGIN, own_id, 1)
    good = formats.plaintext(_FIELDS)
    bare = good.rstrip(b"\0")
    cases = [
        ("no padding", bare),
        ("too much padding", good + b"\0"),
        ("padding that is not zero", good[:-1] + b"\1"),
        ("a field too many is counted", formats.u16be(len(_FIELDS) + 1) + good[2:]),
        ("a field too few is counted", formats.u16be(len(_FIELDS) - 1) + good[2:]),
        ("a length that runs past the end", good[:4] + good[4:].replace(formats.u32be(4), formats.u32be(2**31), 1)),
        ("a name that is not UTF-8", good.replace(b"/when", b"/wh\xff\xfe")),
        ("one byte", b"\0"),
    ]
    root = formats.tree_hash(formats.field_leaves(_FIELDS, seed, ctx))
    return [
        {
            "why": why,
            "ctx": ctx.hex(),
            "seed": seed.hex(),
            "root": root.hex(),
            "ciphertext": formats.seal_text(plain, seed, ctx).hex(),
        }
        for why, plain in cases
    ]


def _wrap(wrapper: str, reader: str, numbers: bytes) -> dict[str, Any]:
    secret, own_id, manifest_hash = random(f"channel {wrapper} {reader}"), record_id("wrap"), random("wrap manifest")
    seeds = b"".join(random(f"wrapped seed {number}") for number in numbers)
    key = formats.wrap_key(
        secret, network=FINGERPRINT, wrapper=wrapper, reader=reader, origin=ORIGIN,
        record_id=own_id, manifest_hash=manifest_hash, sections=numbers,
    )  # fmt: skip
    return {
        "wrapper": wrapper,
        "reader": reader,
        "channel_key": secret.hex(),
        "origin": ORIGIN,
        "id": own_id.hex(),
        "manifest_hash": manifest_hash.hex(),
        "sections": numbers.hex(),
        "seeds": seeds.hex(),
        "key": key.hex(),
        "sealed": formats.wrap(key, seeds, numbers).hex(),
    }


def render() -> str:
    """What sealing.json holds."""
    source = "tests/vectors/make_sealing.py, from the pages of docs/spec by way of tests/formats.py"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
