"""Private keys on disk: files that only their owner reads, and that are whole or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import nacl.pwhash.argon2id
import pytest

from ledger.jsontext import encode_canonical
from ledger.keys import Algorithm, make_opening_key
from ledger.names import MemberName, NetworkName, encode_b64
from node.keyring import (
    KEYS_FOLDER,
    KeyFileBroken,
    Keyring,
    load_keyring,
    load_opening_keys,
    make_keyring,
    save_keyring,
)

NETWORK: Final = NetworkName("cold-chain.example")
USES: Final = ("root", "log", "witness", "transport")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least work that argon2id can do: what is tested is not how long guessing takes."""
    monkeypatch.setattr(nacl.pwhash.argon2id, "OPSLIMIT_MODERATE", nacl.pwhash.argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(nacl.pwhash.argon2id, "MEMLIMIT_MODERATE", nacl.pwhash.argon2id.MEMLIMIT_MIN)


def saved(folder: Path, passphrase: str | None = None) -> Keyring:
    made = make_keyring(NETWORK, MemberName("fishery"))
    save_keyring(folder, made, passphrase)
    return made


def change(path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_bytes())
    spoil(value)
    path.write_bytes(encode_canonical(value) + b"\n")


def test_keys_are_fresh_and_named_for_their_use() -> None:
    made = make_keyring(NETWORK, MemberName("fishery"))
    names = [getattr(made, use).public.name for use in USES]
    member = "cold-chain.example/fishery"
    assert names == [f"{member}/root", member, member, f"{member}/transport"]
    assert made.witness.public.algorithm is Algorithm.COSIGNATURE
    seeds = {getattr(made, use).seed for use in USES} | {key.seed for key in made.opening.values()}
    assert len(seeds) == 5
    assert seeds.isdisjoint(key.seed for key in make_keyring(NETWORK, MemberName("fishery")).opening.values())


def test_keyring_round_trip(tmp_path: Path) -> None:
    made = saved(tmp_path)
    assert load_keyring(tmp_path, None) == made
    assert load_keyring(tmp_path, "a passphrase that is not needed") == made


@pytest.mark.usefixtures("quick")
def test_keyring_round_trip_under_a_passphrase(tmp_path: Path) -> None:
    made = saved(tmp_path, "correct horse")
    assert load_keyring(tmp_path, "correct horse") == made
    seeds = [made.root.seed, made.log.seed, made.witness.seed, made.transport.seed]
    seeds += [key.seed for key in made.opening.values()]
    for path in (tmp_path / KEYS_FOLDER).iterdir():
        assert not [seed for seed in seeds if encode_b64(seed).encode() in path.read_bytes()]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("passphrase", "reason"), [("wrong", "does not open"), ("", "does not open"), (None, "set pas")]
)
def test_wrong_passphrase_is_told(tmp_path: Path, passphrase: str | None, reason: str) -> None:
    saved(tmp_path, "correct horse")
    with pytest.raises(KeyFileBroken, match=reason):
        load_keyring(tmp_path, passphrase)


def test_work_of_guessing_is_not_small() -> None:
    assert nacl.pwhash.argon2id.MEMLIMIT_MODERATE >= 256 << 20
    assert nacl.pwhash.argon2id.OPSLIMIT_MODERATE >= 3


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    folder = tmp_path / KEYS_FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_old_sealing_keys_are_kept(tmp_path: Path) -> None:
    made = make_keyring(NETWORK, MemberName("fishery"))
    old = make_opening_key()
    both = replace(made, opening={**made.opening, old.public.id: old})
    save_keyring(tmp_path, both, None)
    assert load_keyring(tmp_path, None).opening == both.opening


def test_who_only_reads_needs_the_sealing_keys_alone(tmp_path: Path) -> None:
    made = saved(tmp_path)
    for use in USES:
        (tmp_path / KEYS_FOLDER / f"{use}.json").unlink()
    assert load_opening_keys(tmp_path, None) == made.opening


def test_keys_are_never_replaced(tmp_path: Path) -> None:
    made = saved(tmp_path)
    with pytest.raises(FileExistsError):
        saved(tmp_path)
    assert load_keyring(tmp_path, None) == made


def test_root_key_may_be_kept_elsewhere(tmp_path: Path) -> None:
    made = saved(tmp_path)
    (tmp_path / KEYS_FOLDER / "root.json").unlink()
    assert load_keyring(tmp_path, None) == replace(made, root_here=None)


@pytest.mark.parametrize("use", USES[1:])
def test_missing_key_is_told_by_its_path(tmp_path: Path, use: str) -> None:
    saved(tmp_path)
    path = tmp_path / KEYS_FOLDER / f"{use}.json"
    path.unlink()
    with pytest.raises(KeyFileBroken, match=f"{use}.json"):
        load_keyring(tmp_path, None)


SPOILED: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "no seed": lambda v: v.pop("seed"),
    "a member too many": lambda v: v.update(more=1),
    "a short seed": lambda v: v.update(seed=encode_b64(bytes(31))),
    "a seed that is a number": lambda v: v.update(seed=1),
    "a seed that is not base64": lambda v: v.update(seed="x"),
    "another use": lambda v: v.update(use="root"),
    "another version": lambda v: v.update(v=2),
    "a version that is true": lambda v: v.update(v=True),
    "another algorithm": lambda v: v.update(algorithm=4),
    "an unknown algorithm": lambda v: v.update(algorithm=9),
    "an algorithm that is a text": lambda v: v.update(algorithm="1"),
    "a name with a space": lambda v: v.update(name="a b"),
    "a name that is a number": lambda v: v.update(name=1),
    "the name of another member": lambda v: v.update(name="cold-chain.example/carrier"),
    "the name of another network": lambda v: v.update(name="dry-chain.example/fishery"),
    "a name that is no log": lambda v: v.update(name="fishery"),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_damaged_file_is_refused_with_its_path(tmp_path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    saved(tmp_path)
    change(tmp_path / KEYS_FOLDER / "log.json", spoil)
    with pytest.raises(KeyFileBroken, match=r"keys.*\.json"):
        load_keyring(tmp_path, None)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"{", b'{"a":1,"a":2}', b"[" * 100])
def test_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path)
    (tmp_path / KEYS_FOLDER / "witness.json").write_bytes(content)
    with pytest.raises(KeyFileBroken):
        load_keyring(tmp_path, None)


def test_folder_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / KEYS_FOLDER / "log.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(KeyFileBroken, match="directory"):
        load_keyring(tmp_path, None)


def test_sealing_key_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    made = saved(tmp_path)
    (path,) = (tmp_path / KEYS_FOLDER).glob("sealing-*.json")
    path.rename(path.with_name("sealing-0011223344556677.json"))
    with pytest.raises(KeyFileBroken, match=next(iter(made.opening))):
        load_keyring(tmp_path, None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.update(salt=encode_b64(bytes(15))),
        lambda v: v.update(salt=encode_b64(bytes(16))),
        lambda v: v.update(sealed=encode_b64(bytes(72))),
        lambda v: v.update(sealed=encode_b64(bytes(71))),
        lambda v: v.pop("salt"),
        lambda v: v.update(seed=encode_b64(bytes(32))),
    ],
    ids=["short salt", "other salt", "other box", "short box", "no salt", "sealed and open"],
)
def test_damaged_file_under_a_passphrase_is_refused(tmp_path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    saved(tmp_path, "correct horse")
    change(tmp_path / KEYS_FOLDER / "root.json", spoil)
    with pytest.raises(KeyFileBroken, match=r"root\.json"):
        load_keyring(tmp_path, "correct horse")


def test_messages_hold_no_secret(tmp_path: Path) -> None:
    made = saved(tmp_path)
    path = tmp_path / KEYS_FOLDER / "root.json"
    path.write_bytes(path.read_bytes().replace(b'"use"', b'"USE"'))
    with pytest.raises(KeyFileBroken) as caught:
        load_keyring(tmp_path, None)
    assert encode_b64(made.root.seed) not in str(caught.value)
