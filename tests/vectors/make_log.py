"""Prints the vectors of tests/vectors/log: python -m tests.vectors.make_log tree|tiles|note|checkpoint.

Written straight from the definitions in RFC 9162, section 2.1, and the C2SP pages, with hashlib and the
`cryptography` package alone: nothing of `ledger` is used, so that the vectors can contradict it.
The eight short leaves of "tree" are those of Certificate Transparency's reference tests, whose roots
of size 1 and 8 are known elsewhere: 6e340b9c... and 5dc9da79...
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHORT: Final = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
ORIGIN: Final = "cold-chain.example/fishery"
WITNESS: Final = "cold-chain.example/carrier"


def sha(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def entry(i: int) -> bytes:
    return b"entry %d" % i


# --- RFC 9162, 2.1.1, 2.1.3.1 and 2.1.4.1, as written there -----------------------


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha(b"")
    if len(d) == 1:
        return sha(b"\0" + d[0])
    k = split(len(d))
    return sha(b"\1" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], complete: bool) -> list[bytes]:
    if m == len(d):
        return [] if complete else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], complete), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def consistency(m: int, d: list[bytes]) -> list[bytes]:
    return [] if m == 0 else subproof(m, d, True)


def fork(m: int, d: list[bytes]) -> list[bytes]:
    """The consistency proof with its first node always written out; empty where there is nothing to derive."""
    return [] if m in (0, len(d)) else subproof(m, d, False)


# --- files ------------------------------------------------------------------------


def tree() -> object:
    short, long = list(SHORT), [entry(i) for i in range(1000)]

    def texts(hashes: list[bytes]) -> list[str]:
        return [b64(digest) for digest in hashes]

    return {
        "leaves": [leaf.hex() for leaf in short],
        "roots": [b64(mth(short[:n])) for n in range(9)],
        "inclusion": [[m, n, texts(path(m, short[:n]))] for n in range(1, 9) for m in range(n)],
        "consistency": [[m, n, texts(consistency(m, short[:n]))] for n in range(9) for m in range(n + 1)],
        "fork": [[m, n, texts(fork(m, short[:n]))] for n in range(9) for m in range(n + 1)],
        "long": {
            "leaves": 'the ASCII text "entry I" for I from 0',
            "roots": [[n, b64(mth(long[:n]))] for n in (123, 255, 256, 257, 700, 1000)],
            "inclusion": [[m, n, texts(path(m, long[:n]))] for m, n in ((0, 1000), (543, 700), (999, 1000))],
            "consistency": [[m, n, texts(consistency(m, long[:n]))] for m, n in ((123, 700), (256, 700), (700, 1000))],
            "fork": [[m, n, texts(fork(m, long[:n]))] for m, n in ((123, 700), (256, 700), (700, 1000))],
        },
    }


def tiles() -> object:
    def name(level: int, n: int, width: int) -> str:
        assert n < 1000, "longer numbers stand in the list of paths"
        return f"tile/{level}/{n:03d}" + (f".p/{width}" if width < 256 else "")

    size, files = 70_000, []
    row, level = [sha(b"\0" + entry(i)) for i in range(size)], 0
    while row:
        last = len(row) // 256 if len(row) % 256 else len(row) // 256 - 1
        for n in sorted({0, last}):
            tile = row[256 * n : 256 * n + 256]
            files.append([level, n, len(tile), name(level, n, len(tile)), sha(b"".join(tile)).hex()])
        up = []
        for start in range(0, len(row) // 256 * 256, 256):
            part = row[start : start + 256]
            while len(part) > 1:
                part = [sha(b"\1" + part[i] + part[i + 1]) for i in range(0, len(part), 2)]
            up += part
        row, level = up, level + 1
    bundle = [b"", b"\0", entry(2), b"x" * 300]
    raw = b"".join(len(item).to_bytes(2, "big") + item for item in bundle)
    return {
        "size": size,
        "entries": 'the ASCII text "entry I" for I from 0',
        "tiles": files,
        "paths": [
            [0, 1234067, 256, "tile/0/x001/x234/067"],
            [2, 0, 1, "tile/2/000.p/1"],
            [6, 0, 255, "tile/6/000.p/255"],
            ["entries", 1000, 256, "tile/entries/x001/000"],
            ["entries", 999, 112, "tile/entries/999.p/112"],
        ],
        "bad_paths": [
            "", "tile/0", "tile/0/0", "tile/0/67", "tile/0/1067", "tile/0/x000/067", "tile/0/001/067",
            "tile/0/x001/x067", "tile/00/067", "tile/7/000", "tile/64/000", "tile/-1/000", "tile/data/000",
            "tile/8/0/000", "/tile/0/000", "tile/0/000/", "tile/0/000.p/0", "tile/0/000.p/256",
            "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p", "tile/0/000.p/1/", "tile/0/000\n",
            "tile/0/\u0660\u0660\u0660", "tile/0/ 00", "tile/Entries/000", "tile/0/x999/x999/x999/x999/x999",
            "tile/0/x999/x999/x999/x999/999", "tile/0/../000",
        ],
        "bundle": {"entries": [item.hex() for item in bundle], "bytes": raw.hex()},
        "bad_bundles": [
            ["empty", 1, ""],
            ["cut inside the last entry", 4, raw[:-1].hex()],
            ["cut inside a length", 2, "000000"],
            ["a byte too long", 4, (raw + b"\0").hex()],
            ["one entry more than its width", 3, raw.hex()],
            ["one entry less than its width", 5, raw.hex()],
            ["no width", 0, ""],
            ["wider than a tile", 257, "0000" * 257],
        ],
    }  # fmt: skip


class Signer:
    """A named key from a seed that its label gives."""

    def __init__(self, name: str, kind: int, label: str) -> None:
        self.seed = sha(f"tally vector key: {label}".encode())
        self.name, self.kind, self.key = name, kind, Ed25519PrivateKey.from_private_bytes(self.seed)
        self.raw = self.key.public_key().public_bytes_raw()
        self.hash = sha(name.encode() + b"\n" + bytes([kind]) + self.raw)[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{b64(bytes([self.kind]) + self.raw)}"

    def line(self, text: str, time_s: int | None = None) -> str:
        stamp = b"" if time_s is None else time_s.to_bytes(8, "big")
        message = text if time_s is None else f"cosignature/v1\ntime {time_s}\n{text}"
        return f"\u2014 {self.name} {b64(self.hash + stamp + self.key.sign(message.encode()))}\n"


def note() -> object:
    key = Signer("example.net/notes", 1, "note")
    text = "Two halves of one stick.\n\n\u4e8c\u2028\u00e9 \U0001f41f\n"
    line = key.line(text)
    good = f"{text}\n{line}"
    empty = f"\n\n{key.line(chr(10))}"
    other = Signer("example.net/other+", 1, "other").line(text)
    bad = {
        "empty": "",
        "no signatures": text,
        "no blank line": text.replace("\n\n", "\n") + line,
        "no text": f"\n{line}",
        "no line after the blank line": f"{text}\n",
        "an empty line at the end": good + "\n",
        "no newline at the end": good[:-1],
        "carriage returns": good.replace("\n", "\r\n"),
        "a tab in the text": good.replace("halves of", "halves\tof"),
        "a NUL in the text": good.replace("halves of", "halves\0of"),
        "a hyphen for the dash": good.replace("\u2014", "-"),
        "an en dash": good.replace("\u2014", "\u2013"),
        "no name": good.replace("example.net/notes ", ""),
        "an empty name": good.replace("example.net/notes", ""),
        "two spaces": good.replace("notes ", "notes  "),
        "a plus sign in a name": good + other,
        "a no-break space in a name": good.replace("example.net/notes", "example.net/no\u00a0tes"),
        "a space behind a signature": good[:-1] + " \n",
        "base64 without padding": good[:-1].rstrip("=") + "\n",
        "base64 of the web": good.replace(line.split(" ")[2], line.split(" ")[2].replace("+", "-").replace("/", "_")),
        "base64 with bits behind its end": good[:-3] + chr(ord(good[-3]) + 1) + good[-2:],
        "a key id and nothing more": f"{text}\n\u2014 example.net/notes {b64(key.hash)}\n",
        "three bytes": f"{text}\n\u2014 example.net/notes {b64(key.hash[:3])}\n",
        "one line twice": good + line,
        "lines parted by a line separator": good[:-1] + "\u2028" + Signer("example.net/b", 1, "b").line(text),
    }
    example = "This is an example message.\n"
    return {
        "good": [
            {
                "what": "the example of c2sp.org/signed-note@v1.0.0",
                "vkey": "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
                "text": example,
                "note": f"{example}\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYN"
                "ZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
            },
            {"what": "an empty line and letters of four bytes", "vkey": key.vkey, "text": text, "note": good},
            {"what": "the shortest text", "vkey": key.vkey, "text": "\n", "note": empty},
        ],
        "seed": key.seed.hex(),
        "bad": [[what, text.encode().hex()] for what, text in bad.items()]
        + [["not UTF-8", good.encode().replace(b"halves", b"halv\xff\xfe").hex()]],
    }


def checkpoint() -> object:
    log, witness = Signer(ORIGIN, 1, "log"), Signer(WITNESS, 4, "witness")
    entries, index, time_s = [entry(i) for i in range(700)], 543, 1_763_683_200
    text = f"{ORIGIN}\n700\n{b64(mth(entries))}\n"
    signed = f"{text}\n{log.line(text)}"
    cosigned = signed + witness.line(text, time_s)
    lines = "".join(b64(digest) + "\n" for digest in path(index, entries))
    return {
        "origin": ORIGIN,
        "size": 700,
        "root": b64(mth(entries)),
        "log": {"seed": log.seed.hex(), "vkey": log.vkey},
        "witness": {"seed": witness.seed.hex(), "vkey": witness.vkey, "time_s": time_s},
        "text": text,
        "signed": signed,
        "cosigned": cosigned,
        "entry": entries[index].decode(),
        "index": index,
        "proof": f"c2sp.org/tlog-proof@v1\nindex {index}\n{lines}\n{cosigned}",
        "proof_with_extra": f"c2sp.org/tlog-proof@v1\nextra {b64(b'a hint')}\nindex {index}\n{lines}\n{cosigned}",
    }


FILES: Final[dict[str, Callable[[], object]]] = {"tree": tree, "tiles": tiles, "note": note, "checkpoint": checkpoint}


def render(name: str) -> str:
    """What tests/vectors/log/NAME.json holds."""
    content = FILES[name]()
    assert isinstance(content, dict)
    source = "tests/vectors/make_log.py, from RFC 9162, 2.1, and C2SP alone"
    return json.dumps({"source": source, **content}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render(sys.argv[1]))
