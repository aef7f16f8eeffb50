"""Writes ed25519.json: keys and signatures on which Ed25519 verifiers are known to differ, and what ours must say.

Usage: python -m tests.vectors.make_ed25519 (prints; the file beside it is frozen). The arithmetic is that of
RFC 8032, section 5.1, on plain integers; nothing here is fit for secrets.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

Point = tuple[int, int]

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
IDENTITY: Final = (0, 1)

# RFC 8032, 7.1, TEST 1 to 3: seed, public key, message, signature.
RFC8032: Final = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


# --- curve --------------------------------------------------------------------


def add(a: Point, b: Point) -> Point:
    t = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P)
    return x % P, y % P


def times(scalar: int, point: Point) -> Point:
    result = IDENTITY
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return x if x & 1 == sign else -x % P


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def raw(y: int, sign: int) -> bytes:
    """Any y below 2**255 with any sign bit, canonical or not."""
    return (y | sign << 255).to_bytes(32, "little")


BASE: Final = (x_of(4 * pow(5, -1, P) % P, 0) or 0, 4 * pow(5, -1, P) % P)


def torsion() -> list[Point]:
    """The eight points of small order: multiples of one of order 8."""
    y = 3
    while True:
        x = x_of(y, 0)
        found = times(L, (x, y)) if x is not None else IDENTITY
        if times(4, found) != IDENTITY:
            return [times(i, found) for i in range(8)]
        y += 1


# --- signatures -----------------------------------------------------------------


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def scalar_of(seed: bytes) -> int:
    low = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    return low & (2**254 - 8) | 2**254


def signature(secret: int, nonce: int, *, key: bytes, message: bytes, r: bytes | None = None) -> bytes:
    """R || S with S = nonce + challenge * secret; `r` stands for an R that is written differently than it is."""
    r = encode(times(nonce, BASE)) if r is None else r
    return r + ((nonce + challenge(r, key, message) * secret) % L).to_bytes(32, "little")


# --- vectors --------------------------------------------------------------------


def key_vectors() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []

    def note(name: str, key: bytes, accepted: bool = False) -> None:
        found.append({"name": name, "key": key.hex(), "accepted": accepted})

    good = encode(times(scalar_of(b"\7" * 32), BASE))
    for i, (_, key, _, _) in enumerate(RFC8032):
        note(f"RFC 8032 test {i + 1}", bytes.fromhex(key), True)
    note("the base point", encode(BASE), True)
    note("an ordinary key", good, True)
    points = torsion()
    for i, point in enumerate(points):
        note(f"small order: {i} times a point of order 8", encode(point))
    for y, what in ((0, "y = p"), (1, "y = p + 1")):
        for sign in (0, 1):
            note(f"small order, not canonical: {what}, sign {sign}", raw(P + y, sign))
    note("small order, not canonical: y = 1, sign 1 though x = 0", raw(1, 1))
    note("small order, not canonical: y = -1, sign 1 though x = 0", raw(P - 1, 1))
    for y in range(2, 19):
        for sign in (0, 1):
            if x_of(y, sign) is not None:
                note(f"not canonical: y = p + {y}, sign {sign}", raw(P + y, sign))
    for i in (1, 2, 4):
        note(
            f"mixed order: an ordinary key plus {i} times a point of order 8",
            encode(add(times(scalar_of(b"\7" * 32), BASE), points[i])),
        )
    note("off the curve: y = 2", raw(2, 0))
    note("all bits set", b"\xff" * 32)
    return found


def signature_vectors() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    secret, message = scalar_of(b"\7" * 32), b"tally/vector/v1\n"
    key, points = encode(times(secret, BASE)), torsion()

    def note(name: str, blob: bytes, accepted: bool = False, *, by: bytes = key, text: bytes = message) -> None:
        found.append(
            {"name": name, "key": by.hex(), "message": text.hex(), "signature": blob.hex(), "accepted": accepted}
        )

    for i, (_, public, text, blob) in enumerate(RFC8032):
        note(f"RFC 8032 test {i + 1}", bytes.fromhex(blob), True, by=bytes.fromhex(public), text=bytes.fromhex(text))
    good = signature(secret, 12345, key=key, message=message)
    s = int.from_bytes(good[32:], "little")
    note("an ordinary signature", good, True)
    note("another message", good, text=message + b" ")
    note("the highest bit of R flipped", good[:31] + bytes([good[31] ^ 128]) + good[32:])
    note("the lowest bit of S flipped", good[:32] + bytes([good[32] ^ 1]) + good[33:])
    note("S + L", good[:32] + (s + L).to_bytes(32, "little"))
    note("S + 8 L", good[:32] + (s + 8 * L).to_bytes(32, "little"))
    note("the highest bit of S set", good[:63] + bytes([good[63] | 128]))
    note("cut to 63 bytes", good[:63])
    note("a byte too long", good + b"\0")
    note("its tail is the beginning of the message", good + message[:6], text=message[6:])
    note("all zero", bytes(64))
    for i in range(8):
        r = encode(points[i])
        note(f"R of small order: {i} times a point of order 8", signature(secret, 0, key=key, message=message, r=r))
    for what, r in (("y = p + 1", raw(P + 1, 0)), ("y = 1, sign 1", raw(1, 1))):
        note(f"R is the identity, not canonical: {what}", signature(secret, 0, key=key, message=message, r=r))
    for i in (1, 2, 4):
        r = encode(add(times(777, BASE), points[i]))
        note(
            f"R of mixed order, good but for {i} times a point of order 8",
            signature(secret, 777, key=key, message=message, r=r),
        )
    for i in range(8):
        weak = encode(points[i])
        note(
            f"key of small order ({i}): one signature for any message",
            signature(0, 99, key=weak, message=message),
            by=weak,
        )
    mixed = encode(add(times(secret, BASE), points[1]))
    nonce = next(n for n in range(1, 1000) if challenge(encode(times(n, BASE)), mixed, message) % 8 == 0)
    note(
        "key of mixed order, good without the cofactor as well",
        signature(secret, nonce, key=mixed, message=message),
        by=mixed,
    )
    return found


def main() -> None:
    source = "tests/vectors/make_ed25519.py after RFC 8032, 5.1 and 7.1; rules: docs/spec/keys.md and checkpoint.md"
    print(json.dumps({"source": source, "keys": key_vectors(), "signatures": signature_vectors()}, indent=1))


if __name__ == "__main__":
    main()
