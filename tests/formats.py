"""The formats of records once more, straight from the pages of docs/spec, with hashlib and `cryptography` alone.

Nothing of `ledger` is imported: what is computed here can contradict it. Slow, plain, and strict about
nothing; it only writes what the pages say, and opens what it wrote.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Field = tuple[str, bytes]
NO_NONCE: Final = bytes(12)


# --- notation.md ------------------------------------------------------------------


def sha(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16be(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32be(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64be(value: int) -> bytes:
    return value.to_bytes(8, "big")


def lp(text: str) -> bytes:
    return u16be(len(text.encode())) + text.encode()


def id_text(raw: bytes) -> str:
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def make_id(time_ms: int, random: bytes) -> bytes:
    """RFC 9562, 5.7: 48 bits of time, version 7, 12 random bits, variant 0b10, 62 random bits."""
    bits = int.from_bytes(random[:10], "big")
    value = time_ms << 80 | 7 << 76 | (bits >> 62 & 0xFFF) << 64 | 2 << 62 | bits & (2**62 - 1)
    return value.to_bytes(16, "big")


def canonical(value: object) -> str:
    """RFC 8785, of values with ASCII keys and without fractions."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


# --- log.md: RFC 9162, 2.1, as written there ----------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return sha(b"\x00" + entry)


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Over leaf hashes."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return sha(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:]))


def tree_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) <= 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*tree_path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*tree_path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        assert sn != 0, "the path is too long"
        if fn & 1 or fn == sn:
            r = sha(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "the path is too short"
    return r


def _split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


# --- entry.md ---------------------------------------------------------------------


def header(
    *,
    log: str,
    index: int,
    prev: bytes,
    record_id: bytes,
    body: bytes,
    slot: bytes | None = None,
    card: bytes | None = None,
    charter: bytes | None = None,
) -> bytes:
    value: dict[str, object] = {
        "body": b64(body),
        "id": id_text(record_id),
        "index": index,
        "log": log,
        "prev": b64(prev),
        "v": 1,
    }
    for name, raw in (("slot", slot), ("card", card), ("charter", charter)):
        if raw is not None:
            value[name] = b64(raw)
    return canonical(value).encode()


def slot(*, secret: bytes, contract: bytes, signer: str, kind: int, term: int, batch: int) -> bytes:
    text = b"tally/slot/v1\n" + secret + contract + sha(signer.encode()) + u8(kind) + u64be(term) + u64be(batch)
    return sha(text)[:16]


# --- sealing.md -------------------------------------------------------------------


def context(network: bytes, origin: str, record_id: bytes, section: int) -> bytes:
    return sha(b"tally/ctx/v1\n" + network + lp(origin) + record_id + u8(section))


def derive(seed: bytes, ctx: bytes, count: int) -> tuple[bytes, list[bytes]]:
    """Key and salts of a section of `count` fields."""
    stream = hashlib.shake_128(b"tally/section/v1\n" + seed + ctx).digest(32 + 16 * count)
    return stream[:32], [stream[32 + 16 * i : 48 + 16 * i] for i in range(count)]


def field_leaf(ctx: bytes, index: int, salt: bytes, field: Field) -> bytes:
    name, text = field
    return sha(b"\x00" + b"tally/field/v1\n" + ctx + u16be(index) + salt + lp(name) + u32be(len(text)) + text)


def field_leaves(fields: Sequence[Field], seed: bytes, ctx: bytes) -> list[bytes]:
    salts = derive(seed, ctx, len(fields))[1]
    return [field_leaf(ctx, i, salts[i], field) for i, field in enumerate(fields)]


def padme(length: int) -> int:
    e = math.floor(math.log2(length))
    s = math.floor(math.log2(e)) + 1
    step = 2 ** (e - s)
    return math.ceil(length / step) * step


def plaintext(fields: Sequence[Field]) -> bytes:
    text = u16be(len(fields))
    for name, value in fields:
        text += lp(name) + u32be(len(value)) + value
    return text + b"\x00" * (padme(len(text)) - len(text))


def seal(fields: Sequence[Field], seed: bytes, ctx: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and root."""
    return seal_text(plaintext(fields), seed, ctx), tree_hash(field_leaves(fields, seed, ctx))


def seal_text(text: bytes, seed: bytes, ctx: bytes) -> bytes:
    return AESGCM(derive(seed, ctx, 0)[0]).encrypt(NO_NONCE, text, ctx)


def unseal(ciphertext: bytes, seed: bytes, ctx: bytes) -> list[Field]:
    plain = AESGCM(derive(seed, ctx, 0)[0]).decrypt(NO_NONCE, ciphertext, ctx)
    fields, at = [], 2
    for _ in range(int.from_bytes(plain[:2], "big")):
        middle = at + 2 + int.from_bytes(plain[at : at + 2], "big")
        end = middle + 4 + int.from_bytes(plain[middle : middle + 4], "big")
        fields.append((plain[at + 2 : middle].decode(), plain[middle + 4 : end]))
        at = end
    return fields


# --- record.md --------------------------------------------------------------------


def manifest(sections: Sequence[tuple[int, bytes, bytes]], blobs: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """sections: size, root and hash of each ciphertext."""
    value = {
        "blobs": [[size, b64(digest)] for size, digest in blobs],
        "sections": [[size, b64(root), b64(digest)] for size, root, digest in sections],
        "v": 1,
    }
    return canonical(value).encode()


def section_zero(
    *,
    record_type: str,
    contract: bytes | None,
    role: str | None,
    audience: Sequence[Sequence[str]],
    links: Sequence[tuple[str, str, int, bytes]] = (),
) -> list[Field]:
    values: list[tuple[str, object]] = [
        ("type", record_type),
        ("version", 1),
        ("contract", None if contract is None else b64(contract)),
        ("role", role),
        ("audience", [list(names) for names in audience]),
        ("links", [[relation, origin, index, b64(leaf)] for relation, origin, index, leaf in links]),
    ]
    return [(name, canonical(value).encode()) for name, value in values]


def seal_record(
    sections: Sequence[Sequence[Field]], seeds: Sequence[bytes], *, network: bytes, origin: str, record_id: bytes
) -> tuple[bytes, list[bytes]]:
    """Manifest and ciphertexts."""
    entries, ciphertexts = [], []
    for number, (fields, seed) in enumerate(zip(sections, seeds, strict=True)):
        ciphertext, root = seal(fields, seed, context(network, origin, record_id, number))
        entries.append((len(ciphertext), root, sha(ciphertext)))
        ciphertexts.append(ciphertext)
    return manifest(entries), ciphertexts


# --- channels.md ------------------------------------------------------------------


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """RFC 5869, 2.2."""
    return hmac.digest(salt or bytes(32), material, "sha256")


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, 2.3."""
    out, block, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = hmac.digest(key, block + info + u8(counter), "sha256")
        out += block
    return out[:length]


def wrap_key(
    channel_key: bytes,
    *,
    network: bytes,
    wrapper: str,
    reader: str,
    origin: str,
    record_id: bytes,
    manifest_hash: bytes,
    sections: bytes,
) -> bytes:
    channel_id = sha(channel_key)[:8]
    who = network + lp(wrapper) + lp(reader) + channel_id
    return hkdf_expand(channel_key, b"tally/wrap/v1\n" + who + lp(origin) + record_id + manifest_hash + sections, 32)


def wrap(key: bytes, seeds: bytes, sections: bytes) -> bytes:
    return AESGCM(key).encrypt(NO_NONCE, seeds, sections)


def unwrap(key: bytes, sealed: bytes, sections: bytes) -> bytes:
    return AESGCM(key).decrypt(NO_NONCE, sealed, sections)


def sealing_key_id(raw: bytes) -> str:
    return sha(b"tally/sealing-key/v1\n" + raw)[:8].hex()


def channel_info(*, network: bytes, wrapper: str, reader: str, sealing_key: bytes, channel_id: bytes) -> bytes:
    who = lp(wrapper) + lp(reader) + lp(sealing_key_id(sealing_key))
    return b"tally/channel/v1\n" + network + who + channel_id


def channel_message(
    *,
    network: bytes,
    wrapper: str,
    reader: str,
    channel_key: bytes,
    sealing_key: bytes,
    ephemeral: bytes,
    signer: Signer,
) -> bytes:
    """The message as it is sent; ephemeral: the X25519 seed that HPKE would draw."""
    channel_id = sha(channel_key)[:8]
    info = channel_info(network=network, wrapper=wrapper, reader=reader, sealing_key=sealing_key, channel_id=channel_id)
    sealed = hpke_seal(channel_key, sealing_key, info=info, ephemeral=ephemeral)
    head = b"\x01" + lp(wrapper) + lp(reader) + bytes.fromhex(sealing_key_id(sealing_key)) + channel_id
    return head + signer.key_hash + sealed + signer.sign(info + sealed)


def hpke_seal(message: bytes, public: bytes, *, info: bytes, ephemeral: bytes) -> bytes:
    """RFC 9180, base mode, X25519, HKDF-SHA256, AES-256-GCM: enc || ciphertext of one message, no aad."""
    secret = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = _raw(secret.public_key())
    shared = secret.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = _hpke_schedule(shared, enc + public, info)
    return enc + AESGCM(key).encrypt(nonce, message, b"")


def hpke_open(sealed: bytes, private: bytes, *, info: bytes) -> bytes:
    secret = X25519PrivateKey.from_private_bytes(private)
    enc = sealed[:32]
    shared = secret.exchange(X25519PublicKey.from_public_bytes(enc))
    key, nonce = _hpke_schedule(shared, enc + _raw(secret.public_key()), info)
    return AESGCM(key).decrypt(nonce, sealed[32:], b"")


def _hpke_schedule(shared: bytes, kem_context: bytes, info: bytes) -> tuple[bytes, bytes]:
    """RFC 9180, 4.1 and 5.1: key and first nonce from what Diffie-Hellman gave."""
    kem = b"KEM" + u16be(0x0020)
    suite = b"HPKE" + u16be(0x0020) + u16be(0x0001) + u16be(0x0002)

    def extract(salt: bytes, label: bytes, material: bytes, suite_id: bytes) -> bytes:
        return hkdf_extract(salt, b"HPKE-v1" + suite_id + label + material)

    def expand(key: bytes, label: bytes, text: bytes, suite_id: bytes, length: int) -> bytes:
        return hkdf_expand(key, u16be(length) + b"HPKE-v1" + suite_id + label + text, length)

    secret = expand(extract(b"", b"eae_prk", shared, kem), b"shared_secret", kem_context, kem, 32)
    ids = extract(b"", b"psk_id_hash", b"", suite) + extract(b"", b"info_hash", info, suite)
    schedule = extract(secret, b"secret", b"", suite)
    return (
        expand(schedule, b"key", b"\x00" + ids, suite, 32),
        expand(schedule, b"base_nonce", b"\x00" + ids, suite, 12),
    )


def x25519_public(private: bytes) -> bytes:
    return _raw(X25519PrivateKey.from_private_bytes(private).public_key())


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


# --- keys.md and checkpoint.md ----------------------------------------------------


class Signer:
    """An Ed25519 key under a name, of type 0x01 or 0x04 (C2SP signed-note, tlog-cosignature)."""

    def __init__(self, name: str, seed: bytes, kind: int = 0x01) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        point = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_hash = sha(name.encode() + b"\n" + u8(kind) + point)[:4]

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def line(self, text: str) -> str:
        return self._line(self.sign(text.encode()))

    def cosignature(self, text: str, time_s: int) -> str:
        signed = self.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode())
        return self._line(u64be(time_s) + signed)

    def _line(self, blob: bytes) -> str:
        return f"\u2014 {self.name} {b64(self.key_hash + blob)}\n"


def checkpoint(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{b64(root)}\n"


def tlog_proof(entry: bytes, index: int, path: Sequence[bytes], note: str) -> str:
    lines = "".join(b64(digest) + "\n" for digest in path)
    return f"c2sp.org/tlog-proof@v1\nextra {b64(entry)}\nindex {index}\n{lines}\n{note}"


# --- bodies.md --------------------------------------------------------------------


def sidecar(manifest_text: bytes, wraps: Sequence[tuple[bytes, bytes, bytes]], sections: Mapping[int, bytes]) -> bytes:
    """wraps: channel id, section list, sealed seeds."""
    out = u32be(len(manifest_text)) + manifest_text + u8(len(wraps))
    for channel_id, numbers, sealed in wraps:
        out += channel_id + u8(len(numbers)) + numbers + sealed
    out += u8(len(sections))
    for number, ciphertext in sorted(sections.items()):
        out += u8(number) + u32be(len(ciphertext)) + ciphertext
    return out


def bodies(messages: Sequence[bytes], sidecars: Mapping[int, bytes]) -> bytes:
    out = u16be(len(messages)) + b"".join(u16be(len(message)) + message for message in messages)
    for index, text in sorted(sidecars.items()):
        out += u64be(index) + u32be(len(text)) + text
    return out


# --- receipt.md -------------------------------------------------------------------


def disclosure(fields: Sequence[Field], index: int, *, section: int, seed: bytes, ctx: bytes) -> dict[str, Any]:
    name, text = fields[index]
    return {
        "index": index,
        "name": name,
        "path": [b64(digest) for digest in tree_path(index, field_leaves(fields, seed, ctx))],
        "salt": b64(derive(seed, ctx, len(fields))[1][index]),
        "section": section,
        "size": len(fields),
        "value": text.decode(),
    }


def receipt(
    *, proof: str, manifest_text: bytes, disclosures: Sequence[dict[str, Any]], network: Mapping[str, list[str]]
) -> str:
    """network: the `cards` and `charters` of a network file."""
    value = {
        "cards": network["cards"],
        "charters": network["charters"],
        "disclosures": list(disclosures),
        "manifest": manifest_text.decode(),
        "proof": proof,
        "v": 1,
    }
    return canonical(value) + "\n"
