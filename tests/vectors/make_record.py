"""Prints record.json: python -m tests.vectors.make_record. A record whole: section 0, manifest, wraps, sidecar.

Written with `tests.formats`, from the pages of the spec: nothing of `ledger` is used, so that the vectors can
contradict it. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests import formats
from tests.formats import Field, b64, sha
from tests.make_records import (
    AUDIENCES,
    AUTHOR,
    CONTRACT,
    FINGERPRINT,
    LINK,
    ORIGIN,
    READERS,
    RECORD,
    channel,
    random,
    record_id,
    seeds,
)


def build() -> dict[str, Any]:
    own_id = record_id("shipment")
    manifest, ciphertexts = formats.seal_record(RECORD, seeds(), network=FINGERPRINT, origin=ORIGIN, record_id=own_id)
    wraps = [_record_wrap(reader, numbers, own_id, manifest) for reader, numbers in _entitled().items()]
    own, processor = (item for item in wraps if item["reader"] in (AUTHOR, "processor"))
    sidecar = _sidecar(manifest, ciphertexts, [processor, own], bytes.fromhex(processor["sections"]))
    bare = formats.sidecar(formats.manifest([(18, bytes(32), bytes(32))]), [], {})
    message = bytes.fromhex(channel(AUTHOR, "processor")["message"])
    answer = formats.bodies([message], {256: sidecar, 300: bare})
    return {
        "network": FINGERPRINT.hex(),
        "origin": ORIGIN,
        "author": AUTHOR,
        "id": own_id.hex(),
        "type": "shipment",
        "contract": CONTRACT.hex(),
        "role": "seller",
        "readers": READERS,
        "audiences": AUDIENCES,
        "link": [*LINK[:3], LINK[3].hex()],
        "sections": [[[name, text.decode()] for name, text in fields] for fields in RECORD],
        "seeds": [seed.hex() for seed in seeds()],
        "ciphertexts": [ciphertext.hex() for ciphertext in ciphertexts],
        "manifest": manifest.decode(),
        "manifest_hash": sha(manifest).hex(),
        "wraps": wraps,
        "sidecar": sidecar.hex(),
        "answer": {"start": 256, "end": 512, "indexes": [256, 300], "bodies": (formats.u64be(512) + answer).hex()},
        "manifests": [
            formats.manifest([(18, bytes(32), random("h"))]).decode(),
            formats.manifest([(4 << 20, random("r"), random("h"))] * 64, [(2**53 - 1, random("b"))] * 64).decode(),
        ],
        "refused_manifests": _bad_manifests(manifest.decode()),
        "refused_section_zero": _bad_section_zero(),
        "refused_sidecars": _bad_sidecars(),
    }


def _entitled() -> dict[str, bytes]:
    """Reader -> its sections: the author all of them and first, then readers in the order of their sections."""
    found = {AUTHOR: bytes(range(len(RECORD)))}
    for number, roles in enumerate(AUDIENCES):
        for reader in [member for role in roles for member in READERS[role] if member != AUTHOR]:
            found[reader] = found.get(reader, b"") + bytes([number])
    return found


def _record_wrap(reader: str, numbers: bytes, own_id: bytes, manifest: bytes) -> dict[str, Any]:
    secret = random(f"channel {AUTHOR} {reader}")
    key = formats.wrap_key(
        secret, network=FINGERPRINT, wrapper=AUTHOR, reader=reader, origin=ORIGIN,
        record_id=own_id, manifest_hash=sha(manifest), sections=numbers,
    )  # fmt: skip
    sealed = formats.wrap(key, b"".join(seeds()[number] for number in numbers), numbers)
    shown = {"channel_key": secret, "channel": sha(secret)[:8], "sections": numbers, "sealed": sealed}
    return {"reader": reader, **{name: raw.hex() for name, raw in shown.items()}}


def _sidecar(manifest: bytes, ciphertexts: Sequence[bytes], wraps: Sequence[dict[str, Any]], numbers: bytes) -> bytes:
    parts = [tuple(bytes.fromhex(item[name]) for name in ("channel", "sections", "sealed")) for item in wraps]
    return formats.sidecar(
        manifest, [(channel, held, sealed) for channel, held, sealed in parts], {n: ciphertexts[n] for n in numbers}
    )


def _bad_manifests(good: str) -> list[dict[str, str]]:
    def changed(change: Callable[[dict[str, Any]], object]) -> str:
        value = json.loads(good)
        change(value)
        return formats.canonical(value)

    section = json.loads(good)["sections"][0]
    blob = [1, b64(bytes(32))]
    cases = [
        ("no section", changed(lambda v: v["sections"].clear())),
        ("65 sections", changed(lambda v: v["sections"].extend([section] * 61))),
        ("65 blobs", changed(lambda v: v["blobs"].extend([blob] * 65))),
        ("a section above 4 MiB", changed(lambda v: v["sections"][0].__setitem__(0, (4 << 20) + 1))),
        ("a blob above 2**53 - 1", changed(lambda v: v["blobs"].append([2**53, blob[1]]))),
        ("a size with a leading zero", good.replace(f"[{section[0]},", f"[0{section[0]},", 1)),
        ("a fraction for a size", good.replace(f"[{section[0]},", f"[{section[0]}.0,", 1)),
        ("a size below zero", good.replace(f"[{section[0]},", "[-1,", 1)),
        ("a digest of 31 bytes", changed(lambda v: v["sections"][0].__setitem__(1, b64(bytes(31))))),
        ("base64 with bits beyond the last byte", good.replace(section[1], section[1][:-2] + "/=")),
        ("two values in a section", changed(lambda v: v["sections"][0].pop())),
        ("no blobs", changed(lambda v: v.pop("blobs"))),
        ("version 2", changed(lambda v: v.__setitem__("v", 2))),
        ("a member too many", changed(lambda v: v.__setitem__("w", 1))),
        ("a comma too many", good.replace('"]],"v"', '"],],"v"')),
        ("a comma too few", good.replace('"],[', '"][', 1)),
        ("a space", good.replace(":", ": ", 1)),
        ("a newline at the end", good + "\n"),
    ]
    return [{"why": why, "manifest": text} for why, text in cases]


def _bad_sidecars() -> list[dict[str, str]]:
    one, other = ((bytes([number] * 8), b"\0", bytes(48)) for number in (1, 2))
    held = {0: b"zero", 1: b"one"}
    good = formats.sidecar(b"manifest", [one, other], held)
    late = good[: -len(b"\0....zero\1....one")] + b"\1" + formats.u32be(3) + b"one" + b"\0" + formats.u32be(4) + b"zero"
    cases = [
        ("two wraps under one channel", formats.sidecar(b"manifest", [one, one], held)),
        ("a wrap of no section", formats.sidecar(b"manifest", [(one[0], b"", bytes(16))], held)),
        ("sections out of order", late),
        ("section 64", formats.sidecar(b"manifest", [one], {64: b"x"})),
        ("no manifest, and a wrap", formats.sidecar(b"", [one], {})),
        ("no manifest, and a section", formats.sidecar(b"", [], {0: b"zero"})),
        ("a byte too many", good + b"\0"),
        ("a byte too few", good[:-1]),
    ]
    return [{"why": why, "sidecar": data.hex()} for why, data in cases]


def _bad_section_zero() -> list[dict[str, Any]]:
    good = RECORD[0]

    def changed(name: str, value: object) -> list[Field]:
        return [(n, formats.canonical(value).encode() if n == name else text) for n, text in good]

    link = [*LINK[:3], b64(LINK[3])]
    cases: list[tuple[str, list[Field]]] = [
        ("fields in another order", [good[1], good[0], *good[2:]]),
        ("a field too few", good[:-1]),
        ("a field too many", [*good, ("more", b"1")]),
        ("a type that is a number", changed("type", 1)),
        ("a type without a letter", changed("type", "")),
        ("a type of 65 letters", changed("type", "t" * 65)),
        ("a type with a space", changed("type", "ship ment")),
        ("version 0", changed("version", 0)),
        ("a version that is true", [(n, b"true" if n == "version" else t) for n, t in good]),
        ("a contract of 31 bytes", changed("contract", b64(bytes(31)))),
        ("a contract in hexadecimal", changed("contract", "00" * 32)),
        ("a role with a slash", changed("role", "a/b")),
        ("a role of 64 letters", changed("role", "r" * 64)),
        ("one section", changed("audience", [[]])),
        ("no section of the author's own", changed("audience", [["buyer"], ["buyer"]])),
        ("the author's own not last", changed("audience", [["buyer"], [], ["buyer"]])),
        ("two sections of the author's own", changed("audience", [["buyer"], ["buyer"], [], []])),
        ("two sections of one audience", changed("audience", [["buyer"], ["buyer"], ["buyer"], []])),
        ("audiences out of order", changed("audience", [["buyer", "seller"], ["seller"], ["buyer"], []])),
        ("an audience out of order", changed("audience", [["buyer", "seller"], ["seller", "buyer"], []])),
        ("a reader of section 0 alone", changed("audience", [["buyer", "seller"], ["buyer"], []])),
        ("a reader who is not given section 0", changed("audience", [["buyer"], ["buyer", "seller"], []])),
        ("a member in upper case", changed("audience", [["@Buyer"], ["@Buyer"], []])),
        ("a role with a hyphen", changed("audience", [["a-b"], ["a-b"], []])),
        ("65 links", changed("links", [link] * 65)),
        ("a link of three", changed("links", [link[:3]])),
        ("a relation in upper case", changed("links", [["Answers", *link[1:]]])),
        ("a relation of 33 letters", changed("links", [["r" * 33, *link[1:]]])),
        ("a link to no log", changed("links", [[link[0], "fishery", *link[2:]]])),
        ("a link to half a network", changed("links", [[link[0], "ab12:" + str(link[1]), *link[2:]]])),
        ("a link whose index is true", changed("links", [[*link[:2], True, link[3]]])),
        ("a space", [(n, b" " + t if n == "links" else t) for n, t in good]),
    ]
    return [{"why": why, "fields": [[name, text.decode()] for name, text in fields]} for why, fields in cases]


def render() -> str:
    """What record.json holds."""
    source = "tests/vectors/make_record.py, from the pages of docs/spec by way of tests/formats.py"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
