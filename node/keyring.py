"""Private keys of a node: one file each, 0600, optionally under a passphrase (argon2id).

Layout of `keys/`: root.json log.json witness.json transport.json sealing-ID.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nacl.secret
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from ledger.errors import BadInput
from ledger.jsontext import decode_canonical, encode_canonical
from ledger.keys import Algorithm, OpeningKey, SigningKey, entropy, make_opening_key, make_signing_key
from ledger.names import KeyId, MemberName, NetworkName, Origin, decode_b64, encode_b64
from node.files import create_private

KEYS_FOLDER: Final = "keys"


class KeyFileBroken(BadInput):
    code = "key-file-broken"
    template = "{path}: {reason}"
    hint = "Restore the file from its backup; keys cannot be made up again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The private keys of one member. `opening`: sealing key id -> key, old ones kept."""

    root: SigningKey
    log: SigningKey
    witness: SigningKey
    transport: SigningKey
    opening: dict[KeyId, OpeningKey]


def make_keyring(network: NetworkName, member: MemberName) -> Keyring:
    """Draw fresh keys for one member of one network; keys are never shared between networks."""
    name = f"{network}/{member}"
    opening = make_opening_key()
    return Keyring(
        root=make_signing_key(f"{name}/root"),
        log=make_signing_key(str(Origin(network, member))),
        witness=make_signing_key(name, Algorithm.COSIGNATURE),
        transport=make_signing_key(f"{name}/transport"),
        opening={opening.public.id: opening},
    )


def save_keyring(folder: Path, keyring: Keyring, passphrase: str | None) -> None:
    """Write every key to a file of its own. Raises: FileExistsError."""
    keys = folder / KEYS_FOLDER
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for use in ("root", "log", "witness", "transport"):
        key: SigningKey = getattr(keyring, use)
        name, algorithm = key.public.name, int(key.public.algorithm)
        create_private(keys / f"{use}.json", _encode(use, name, algorithm, seed=key.seed, passphrase=passphrase))
    for key_id, opening in keyring.opening.items():
        content = _encode("sealing", key_id, 0, seed=opening.seed, passphrase=passphrase)
        create_private(keys / f"sealing-{key_id}.json", content)


def load_keyring(folder: Path, passphrase: str | None) -> Keyring:
    """Read the keys of a node's folder. Raises: KeyFileBroken."""
    keys = folder / KEYS_FOLDER
    signing: dict[str, SigningKey] = {}
    for use in ("root", "log", "witness", "transport"):
        name, algorithm, seed = _read(keys / f"{use}.json", use, passphrase)
        signing[use] = make_signing_key(name, Algorithm(algorithm), seed=seed)
    opening = {}
    for path in sorted(keys.glob("sealing-*.json")):
        _, _, seed = _read(path, "sealing", passphrase)
        key = make_opening_key(seed=seed)
        opening[key.public.id] = key
    return Keyring(**signing, opening=opening)


def _encode(use: str, name: str, algorithm: int, *, seed: bytes, passphrase: str | None) -> bytes:
    value: dict[str, object] = {"algorithm": algorithm, "name": name, "use": use, "v": 1}
    if passphrase is None:
        return encode_canonical(value | {"seed": encode_b64(seed)}) + b"\n"
    salt = entropy(argon2id.SALTBYTES)
    box = nacl.secret.SecretBox(_stretch(passphrase, salt))
    return encode_canonical(value | {"salt": encode_b64(salt), "sealed": encode_b64(bytes(box.encrypt(seed)))}) + b"\n"


def _read(path: Path, use: str, passphrase: str | None) -> tuple[str, int, bytes]:
    try:
        value = decode_canonical(path.read_bytes().removesuffix(b"\n"))
        if value["use"] != use or value["v"] != 1:
            raise KeyFileBroken(path=path, reason=f"not a {use} key of version 1")
        if "seed" in value:
            return value["name"], value["algorithm"], decode_b64(value["seed"], length=32)
        if passphrase is None:
            raise KeyFileBroken(path=path, reason="under a passphrase; set passphrase_file")
        box = nacl.secret.SecretBox(_stretch(passphrase, decode_b64(value["salt"])))
        return value["name"], value["algorithm"], box.decrypt(decode_b64(value["sealed"]))
    except (OSError, KeyError, TypeError, BadInput) as cause:
        if isinstance(cause, KeyFileBroken):
            raise
        raise KeyFileBroken(path=path, reason=str(cause) or type(cause).__name__) from cause
    except CryptoError as cause:
        raise KeyFileBroken(path=path, reason="the passphrase does not open it") from cause


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return argon2id.kdf(
        nacl.secret.SecretBox.KEY_SIZE,
        passphrase.encode(),
        salt,
        opslimit=argon2id.OPSLIMIT_MODERATE,
        memlimit=argon2id.MEMLIMIT_MODERATE,
    )
