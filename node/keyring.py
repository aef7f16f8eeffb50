"""Private keys of a node: one file each, 0600, optionally under a passphrase (argon2id).

Layout of `keys/`: root.json log.json witness.json transport.json sealing-ID.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import nacl.secret
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from ledger import shape
from ledger.errors import BadInput
from ledger.jsontext import decode_canonical, encode_canonical
from ledger.keys import Algorithm, OpeningKey, SigningKey, entropy, make_opening_key, make_signing_key
from ledger.names import KeyId, MemberName, NetworkName, Origin, decode_b64, decode_origin, encode_b64
from node.files import create_private

KEYS_FOLDER: Final = "keys"
_ROOT: Final = "root"
ROOT_KEY_NAME: Final = f"{_ROOT}.json"
_USES: Final = (_ROOT, "log", "witness", "transport")
_OPEN: Final = ("algorithm", "name", "seed", "use", "v")
_SEALED: Final = ("algorithm", "name", "salt", "sealed", "use", "v")
_SEALED_BYTES: Final = nacl.secret.SecretBox.NONCE_SIZE + nacl.secret.SecretBox.MACBYTES + 32


class KeyFileBroken(BadInput):
    code = "key-file-broken"
    template = "{path}: {reason}"
    hint = "Restore the file from its backup; keys cannot be made up again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The private keys of one member. `opening`: sealing key id -> key, old ones kept.

    root_here: None where the root key is kept elsewhere; a node serves without it.
    """

    root_here: SigningKey | None
    log: SigningKey
    witness: SigningKey
    transport: SigningKey
    opening: dict[KeyId, OpeningKey]

    @property
    def root(self) -> SigningKey:
        """For who has just made the keys, or has looked that it is there."""
        assert self.root_here is not None, "whoever signs charters and cards has the root key"
        return self.root_here

    @property
    def answer_secret(self) -> bytes:
        """Under which the database keeps what it knows requests by; whoever replaces the log key keeps the old one's.

        Derived, as it has to outlive a restart and a restored database, and must not lie in the database.
        """
        return blake2b(key=self.log.seed, digest_size=32, person=b"tally/answers").digest()


def make_keyring(network: NetworkName, member: MemberName) -> Keyring:
    """Draw fresh keys for one member of one network; keys are never shared between networks."""
    name = f"{network}/{member}"
    opening = make_opening_key()
    return Keyring(
        root_here=make_signing_key(f"{name}/root"),
        log=make_signing_key(str(Origin(network, member))),
        witness=make_signing_key(name, Algorithm.COSIGNATURE),
        transport=make_signing_key(f"{name}/transport"),
        opening={opening.public.id: opening},
    )


def save_keyring(folder: Path, keyring: Keyring, passphrase: str | None) -> None:
    """Write every key to a file of its own, the root key among them. Raises: FileExistsError."""
    keys = folder / KEYS_FOLDER
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for use in _USES:
        key: SigningKey = getattr(keyring, use)
        name, algorithm = key.public.name, int(key.public.algorithm)
        create_private(keys / f"{use}.json", _encode(use, name, algorithm, seed=key.seed, passphrase=passphrase))
    for key_id, opening in keyring.opening.items():
        content = _encode("sealing", key_id, 0, seed=opening.seed, passphrase=passphrase)
        create_private(keys / f"sealing-{key_id}.json", content)


def load_keyring(folder: Path, passphrase: str | None) -> Keyring:
    """Read the keys of a node's folder, which must all be of one member; the root key may be kept elsewhere.

    Raises: KeyFileBroken.
    """
    keys = folder / KEYS_FOLDER
    uses = [use for use in _USES if use != _ROOT or (keys / ROOT_KEY_NAME).exists()]
    signing = {use: _read_signing_key(keys / f"{use}.json", use, passphrase) for use in uses}
    _check_names(keys, signing)
    root = signing.pop(_ROOT, None)
    return Keyring(root_here=root, **signing, opening=load_opening_keys(folder, passphrase))


def load_opening_keys(folder: Path, passphrase: str | None) -> dict[KeyId, OpeningKey]:
    """The sealing keys alone, for who only reads: each file under a passphrase takes most of a second to open.

    Raises: KeyFileBroken.
    """
    opening = {}
    for path in sorted((folder / KEYS_FOLDER).glob("sealing-*.json")):
        key = make_opening_key(seed=_read(path, "sealing", passphrase).seed)
        if path.name != f"sealing-{key.public.id}.json":
            raise KeyFileBroken(path=path, reason=f"it holds the sealing key {key.public.id}")
        opening[key.public.id] = key
    return opening


class _Stored(NamedTuple):
    """A key file, opened."""

    name: str
    algorithm: int
    seed: bytes


def _read_signing_key(path: Path, use: str, passphrase: str | None) -> SigningKey:
    stored = _read(path, use, passphrase)
    kind = Algorithm.COSIGNATURE if use == "witness" else Algorithm.ED25519
    if stored.algorithm != kind:
        raise KeyFileBroken(path=path, reason=f"its algorithm is {stored.algorithm}, that of a {use} key {int(kind)}")
    try:
        return make_signing_key(stored.name, kind, seed=stored.seed)
    except BadInput as cause:
        raise KeyFileBroken(path=path, reason=str(cause)) from cause


def _check_names(keys: Path, signing: Mapping[str, SigningKey]) -> None:
    """Raise unless every key carries the name that its use gives it in one member's documents."""
    try:
        log = decode_origin(signing["log"].public.name)
    except BadInput as cause:
        raise KeyFileBroken(path=keys / "log.json", reason=str(cause)) from cause
    member = f"{log.network}/{log.member}"
    for use, expected in ((_ROOT, f"{member}/root"), ("witness", member), ("transport", f"{member}/transport")):
        name = signing[use].public.name if use in signing else expected
        if name != expected:
            raise KeyFileBroken(path=keys / f"{use}.json", reason=f"the key {name} beside the log key of {log}")


def _encode(use: str, name: str, algorithm: int, *, seed: bytes, passphrase: str | None) -> bytes:
    value: dict[str, object] = {"algorithm": algorithm, "name": name, "use": use, "v": 1}
    if passphrase is None:
        return encode_canonical(value | {"seed": encode_b64(seed)}) + b"\n"
    salt = entropy(argon2id.SALTBYTES)
    box = nacl.secret.SecretBox(_stretch(passphrase, salt))
    return encode_canonical(value | {"salt": encode_b64(salt), "sealed": encode_b64(bytes(box.encrypt(seed)))}) + b"\n"


def _read(path: Path, use: str, passphrase: str | None) -> _Stored:
    try:
        return _decode(path, path.read_bytes(), use=use, passphrase=passphrase)
    except OSError as cause:
        raise KeyFileBroken(path=path, reason=cause.strerror or str(cause)) from cause
    except BadInput as cause:
        if isinstance(cause, KeyFileBroken):
            raise
        raise KeyFileBroken(path=path, reason=str(cause)) from cause
    except CryptoError as cause:
        raise KeyFileBroken(path=path, reason="the passphrase does not open it") from cause


def _decode(path: Path, content: bytes, *, use: str, passphrase: str | None) -> _Stored:
    """Exactly what `_encode` writes: a key that was damaged must not become another key."""
    value = decode_canonical(content.removesuffix(b"\n"))
    is_open = isinstance(value, dict) and "seed" in value
    found = shape.take_object(value, _OPEN if is_open else _SEALED, what="key file")
    if (found["use"], shape.take_integer(found["v"], what="v")) != (use, 1):
        raise KeyFileBroken(path=path, reason=f"not a {use} key of version 1")
    name = shape.take_string(found["name"], what="name")
    algorithm = shape.take_integer(found["algorithm"], what="algorithm")
    if is_open:
        return _Stored(name, algorithm, _take(found["seed"], what="seed", length=32))
    if passphrase is None:
        raise KeyFileBroken(path=path, reason="under a passphrase; set passphrase_file")
    salt = _take(found["salt"], what="salt", length=argon2id.SALTBYTES)
    sealed = _take(found["sealed"], what="sealed", length=_SEALED_BYTES)
    return _Stored(name, algorithm, nacl.secret.SecretBox(_stretch(passphrase, salt)).decrypt(sealed))


def _take(value: object, *, what: str, length: int) -> bytes:
    return decode_b64(shape.take_string(value, what=what), length=length, field=what)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return argon2id.kdf(
        nacl.secret.SecretBox.KEY_SIZE,
        passphrase.encode(),
        salt,
        opslimit=argon2id.OPSLIMIT_MODERATE,
        memlimit=argon2id.MEMLIMIT_MODERATE,
    )
