"""Keys: Ed25519 signing keys as C2SP vkeys, X25519 sealing keys, and the entropy of the core.

Small-order and non-canonical Ed25519 keys are refused when a key is decoded, so
that no verifier later has to: OpenSSL and WebCrypto accept them. With such a key a
signature holds for many messages, or holds for one verifier and not for the next, and
two members who check one log would part over it.

Private keys are plain values here, and are told apart by type alone. Where they are kept,
and under what passphrase, is the node's business.

Spec: docs/spec/keys.md; c2sp.org/signed-note; RFC 8032; RFC 7748.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.exceptions import BadSignatureError

from ledger.errors import BadSignature, EncodingError, WeakKey
from ledger.names import KeyId, decode_b64, decode_hex, encode_b64, sha256

SIGNATURE_BYTES: Final = 64
_P: Final = 2**255 - 19


class Algorithm(IntEnum):
    """Signature types of C2SP signed notes that this version knows."""

    ED25519 = 0x01
    COSIGNATURE = 0x04  # timestamped Ed25519, c2sp.org/tlog-cosignature


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A named Ed25519 public key. `raw` has passed `check_point`.

    Name and algorithm are part of it: one point under two names is two keys, of which neither signs for the other.
    """

    name: str
    algorithm: Algorithm
    raw: bytes

    @property
    def id(self) -> KeyId:
        """8 hexadecimal digits: enough to find a key among those that are known, never to tell whose it is."""
        return KeyId(self.hash.hex())

    @property
    def hash(self) -> bytes:
        """The 4 bytes that stand before a signature in a note."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.raw)[:4]

    def __str__(self) -> str:
        """The vkey: how a key stands in charters, cards and vectors."""
        return f"{self.name}+{self.id}+{encode_b64(bytes([self.algorithm]) + self.raw)}"

    def verify(self, message: bytes, signature: bytes, *, what: str) -> None:
        """Check that `signature` is this key's on `message`; what: names the message in the error.

        Raises: BadSignature.
        """
        # A longer one would pass the head of another signed message off as part of the signature.
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature(signer=self.name, what=what)
        try:
            sodium.crypto_sign_open(signature + message, self.raw)
        except (BadSignatureError, ValueError):
            raise BadSignature(signer=self.name, what=what) from None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half of a `VerifyKey`; `seed` is 32 bytes and never printed."""

    public: VerifyKey
    seed: bytes

    def __repr__(self) -> str:
        # What is logged or shown in a traceback must not sign for us.
        return f"SigningKey({self.public.name}+{self.public.id})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032)."""
        return sodium.crypto_sign(message, self.seed + self.public.raw)[:64]


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The public half of an X25519 key pair that opens channels."""

    raw: bytes

    @property
    def id(self) -> KeyId:
        return sealing_key_id(self.raw)

    def load(self) -> X25519PublicKey:
        """The key as the library wants it."""
        return X25519PublicKey.from_public_bytes(self.raw)


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """The private half of a `SealingKey`."""

    public: SealingKey
    seed: bytes

    def __repr__(self) -> str:
        return f"OpeningKey({self.public.id})"

    def load(self) -> X25519PrivateKey:
        """The same for the private half."""
        return X25519PrivateKey.from_private_bytes(self.seed)


def entropy(length: int) -> bytes:
    """`length` bytes from the operating system: the one source of randomness of the core."""
    return os.urandom(length)


def make_signing_key(name: str, algorithm: Algorithm = Algorithm.ED25519, *, seed: bytes | None = None) -> SigningKey:
    """The key of `seed` (32 bytes, RFC 8032), or a fresh one. Raises: EncodingError for a bad name."""
    seed = entropy(32) if seed is None else seed
    raw, _ = sodium.crypto_sign_seed_keypair(seed)
    return SigningKey(VerifyKey(check_key_name(name), algorithm, raw), seed)


def make_opening_key(*, seed: bytes | None = None) -> OpeningKey:
    """The key of `seed` (the scalar of RFC 7748, 32 bytes), or a fresh one."""
    seed = entropy(32) if seed is None else seed
    return OpeningKey(SealingKey(X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()), seed)


def decode_vkey(text: str) -> VerifyKey:
    """Parse `name+id+base64`; the id must be that of the key.

    Raises: EncodingError; WeakKey for small-order and non-canonical points.
    """
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise EncodingError(field="vkey", reason="not name+id+key")
    name = check_key_name(parts[0])
    raw = decode_b64(parts[2], length=33, field="vkey")
    if raw[0] not in tuple(Algorithm):
        raise EncodingError(field="vkey", reason=f"signature type {raw[0]:#04x} is not one of this version")
    key = VerifyKey(name, Algorithm(raw[0]), check_point(raw[1:], name=name))
    if decode_hex(parts[1], length=4, field="vkey") != key.hash:
        raise EncodingError(field="vkey", reason="the key id is not that of the key")
    return key


def decode_sealing_key(text: str) -> SealingKey:
    """Parse a base64 X25519 public key. Raises: EncodingError, WeakKey for points of small order."""
    raw = decode_b64(text, length=32, field="sealing key")
    if int.from_bytes(raw, "little") >= _P:
        raise WeakKey(name="sealing key", reason="the point is not in canonical form")
    try:
        # RFC 7748, 6.1: with a small-order point every shared secret is zero, which OpenSSL refuses.
        X25519PrivateKey.from_private_bytes(bytes([8] * 32)).exchange(X25519PublicKey.from_public_bytes(raw))
    except ValueError:
        raise WeakKey(name="sealing key", reason="a point of small order") from None
    return SealingKey(raw)


def sealing_key_id(raw: bytes) -> KeyId:
    """16 hexadecimal digits of a hash with a tag of its own: it stands in no place where a signing key's id does."""
    return KeyId(sha256(b"tally/sealing-key/v1\n" + raw)[:8].hex())


def check_key_name(name: str) -> str:
    """C2SP: not empty, no white space, no plus sign. Ours are printable ASCII as well."""
    if not name or len(name) > 255 or not all("!" <= c <= "~" and c != "+" for c in name):
        raise EncodingError(field="key name", reason="empty, too long, or not printable ASCII without '+'")
    return name


def check_point(raw: bytes, *, name: str) -> bytes:
    """Return `raw` if it is a canonical Ed25519 point of the prime-order group; else raise WeakKey.

    The library's own test looks at order and curve; that y is reduced (RFC 8032, 5.1.3) is looked at here, as a
    point that has two spellings would have two ids.
    """
    if int.from_bytes(raw, "little") & (2**255 - 1) >= _P:
        raise WeakKey(name=name, reason="the point is not in canonical form")
    if not sodium.crypto_core_ed25519_is_valid_point(raw):
        raise WeakKey(name=name, reason="not a point of the prime-order group (small order or off the curve)")
    return raw
