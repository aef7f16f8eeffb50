"""Prints calls.json: python -m tests.vectors.make_calls. Two signed calls, with what is signed in each.

Written from docs/spec/calls.md with hashlib and `cryptography` alone: neither the ledger nor the library that signs
calls is used, so that the vectors can contradict both. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.formats import b64, sha
from tests.make_records import NETWORK_NAME, key_seed

HOST: Final = "retailer.example:8443"
CREATED: Final = 1_763_683_200
_NAME: Final = f"{NETWORK_NAME}/fishery/transport"
_SEED: Final = key_seed(f"{_NAME} ED25519 1")
_BODIES: Final = "/v1/logs/9fe112c1e833f0ef78e11ef3e8168cdd1058098d1114decf0202d3f95fc6ab97/bodies/2"
_BODY: Final = '{"first":"..."}\n'
_CALLS: Final[list[dict[str, str]]] = [
    {"nonce": "156f271486ab5fa58822bd4e1e5ea122", "method": "GET", "path": _BODIES, "query": "?from=512"},
    {"nonce": "0f8c1ad7e25b4c3796d0b1e8a4f35c72", "method": "GET", "path": "/v1/evidence", "query": ""},
    {"nonce": "eca1910026c2cc8486117561872cf4df", "method": "POST", "path": "/v1/evidence", "body": _BODY},
]
"""The first and the last are the examples of the page."""


def build() -> dict[str, Any]:
    private = Ed25519PrivateKey.from_private_bytes(_SEED)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # keys.md: the id is of the name and the key with its type.
    key_hash = sha(_NAME.encode() + b"\n\x01" + public)[:4]
    return {
        "seed": _SEED.hex(),
        "key": f"{_NAME}+{key_hash.hex()}+{b64(bytes([1]) + public)}",
        "calls": [_call(private, f"fishery/{key_hash.hex()}", **given) for given in _CALLS],
    }


def _call(
    private: Ed25519PrivateKey, key_id: str, *, nonce: str, method: str, path: str, query: str = "", body: str = ""
) -> dict[str, Any]:
    """RFC 9421, 2.5: a line for each component, and the parameters of the signature last."""
    values = {"@method": method, "@authority": HOST, "@path": path, "@query": query or "?"}
    headers = {"Host": HOST}
    if body:
        headers["Content-Digest"] = values["content-digest"] = f"sha-256=:{b64(sha(body.encode()))}:"
    names = " ".join(f'"{name}"' for name in values)
    parameters = (
        f'({names});created={CREATED};keyid="{key_id}";alg="ed25519";expires={CREATED + 60};nonce="{nonce}";tag="tally"'
    )
    base = "\n".join([*(f'"{name}": {value}' for name, value in values.items()), f'"@signature-params": {parameters}'])
    headers["Signature-Input"] = f"pyhms={parameters}"
    headers["Signature"] = f"pyhms=:{b64(private.sign(base.encode()))}:"
    return {
        "method": method, "target": path + query, "body": body,
        "created": CREATED, "nonce": nonce, "headers": headers, "base": base,
    }  # fmt: skip


def render() -> str:
    """What calls.json holds."""
    source = "tests/vectors/make_calls.py, from docs/spec/calls.md"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
