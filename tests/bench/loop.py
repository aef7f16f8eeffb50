"""The yardstick of append: the same kind of work in one tuned loop over bytes, without node, log format, HTTP or store.

Per record: parse, write every member anew, commit to each under a salt, encrypt three groups of
members, wrap their secrets for three viewers, chain a header of fixed size; per 500 records one root and one
signature. Nothing of the project is used, so that a change to it cannot move the yardstick.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from typing import Final

import nacl.bindings as sodium
import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_GROUPS: Final = 3
_VIEWERS: Final = 3
_BATCH: Final = 500
_NONCE: Final = bytes(12)  # each group's key encrypts one message
_HEADER: Final = struct.Struct(">BQQ32s32s32s")
_VIEWER_KEYS: Final = [AESGCM(hashlib.sha256(b"viewer %d" % i).digest()) for i in range(_VIEWERS)]
_SIGNING_KEY: Final = sodium.crypto_sign_seed_keypair(hashlib.sha256(b"signer").digest())[1]

_Place = tuple[str, bytes, int, int]  # member, encoded name, group, where its salt begins


def run(bodies: Sequence[bytes]) -> bytes:
    """Seal, chain and sign all `bodies`; returns the last leaf."""
    places, lengths = _plan(bodies[0])
    leaf, index = bytes(32), 0
    for at in range(0, len(bodies), _BATCH):
        roots, sealed = _seal(bodies[at : at + _BATCH], places, lengths)
        leaves = []
        for root, text in zip(roots, sealed, strict=True):
            header = _HEADER.pack(1, index, index, leaf, root, hashlib.sha256(text).digest())
            leaf = hashlib.sha256(b"\0" + header).digest()
            leaves.append(leaf)
            index += 1
        sodium.crypto_sign(index.to_bytes(8, "big") + _root(leaves), _SIGNING_KEY)
    return leaf


def _plan(body: bytes) -> tuple[list[_Place], list[int]]:
    """Where each member goes, and how many bytes each group draws: a key, then a salt per member."""
    places: list[_Place] = []
    lengths = [32] * _GROUPS
    for number, name in enumerate(orjson.loads(body)):
        group = number % _GROUPS
        places.append((name, b'"%b":' % name.encode(), group, lengths[group]))
        lengths[group] += 32
    return places, lengths


def _seal(bodies: Sequence[bytes], places: Sequence[_Place], lengths: Sequence[int]) -> tuple[list[bytes], list[bytes]]:
    loads, dumps, sort = orjson.loads, orjson.dumps, orjson.OPT_SORT_KEYS
    sha, shake, aead = hashlib.sha256, hashlib.shake_128, AESGCM
    groups, wraps = range(_GROUPS), [(key.encrypt, 32 * max(1, _GROUPS - i)) for i, key in enumerate(_VIEWER_KEYS)]
    length = 32 * _GROUPS + 12 * _VIEWERS
    drawn, at = os.urandom(length * len(bodies)), 0
    roots: list[bytes] = []
    sealed: list[bytes] = []
    for body in bodies:
        members = loads(body)
        secrets = drawn[at : at + 32 * _GROUPS]
        streams = [shake(secrets[32 * g : 32 * g + 32]).digest(lengths[g]) for g in groups]
        plain: list[list[bytes]] = [[] for _ in groups]
        leaves = []
        for name, encoded, group, start in places:
            text = encoded + dumps(members[name], option=sort)
            leaves.append(sha(b"\0" + streams[group][start : start + 32] + text).digest())
            plain[group].append(text)
        parts = [aead(streams[g][:32]).encrypt(_NONCE, b"{" + b",".join(plain[g]) + b"}", None) for g in groups]
        start = at + 32 * _GROUPS
        for encrypt, reach in wraps:
            nonce = drawn[start : start + 12]
            parts.append(nonce + encrypt(nonce, secrets[:reach], None))
            start += 12
        at += length
        roots.append(_root(leaves))
        sealed.append(struct.pack(f">{len(parts)}H", *map(len, parts)) + b"".join(parts))
    return roots, sealed


def _root(row: list[bytes]) -> bytes:
    while len(row) > 1:
        pairs = iter(row)
        above = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(pairs, pairs, strict=False)]
        row = above + row[-1:] if len(row) & 1 else above
    return row[0]
