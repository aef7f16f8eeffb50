"""Before a node runs: its folder, and the charter that its network begins with.

`make_node` fills a folder; `draw_up`, `sign_file` and `merge_files` take the file of a
network from the member files of its firms to one that every member has signed. Nothing
here needs a running node.

Spec: docs/spec/charter.md, "Network file"; docs/guide/two-firms.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.card import check_keys_distinct, is_loopback, make_card, sign_card
from ledger.charter import Charter, CharterMember, Council, decode_charter, make_charter, sign_charter, signed_members
from ledger.charter.roots import check_edges
from ledger.errors import BadInput, Conflict
from ledger.keys import SigningKey
from ledger.names import MemberName, NetworkName
from ledger.network import MemberFile, NetworkFile, encode_member_file, verify_member_file
from ledger.note import Note, add_signature, decode_note, encode_note, verified_signers
from node.config import CONFIG_NAME, DATABASE_NAME, PORT, load_settings
from node.files import write_durably
from node.keyring import KEYS_FOLDER, Keyring, load_keyring, make_keyring, save_keyring

ADMIN_TOKEN_NAME: Final = "admin-token"  # noqa: S105  # a file, not a token
_ADMIN_SCOPES: Final = ("admin", "audit", "read", "write")
MEMBER_FILE_NAME: Final = "member.json"


class FolderTaken(Conflict):
    code = "folder-taken"
    template = "{path} holds a node already, or an `init` that broke off"
    hint = "Choose another folder. If an `init` broke off there and nothing was handed out, remove the folder."


class FoundingBroken(BadInput):
    code = "founding-broken"
    template = "no charter can be drawn up: {reason}"
    hint = "Hand in one member file of every firm, all made for the same network."


class NotInCharter(BadInput):
    code = "not-in-charter"
    template = "the charter does not list {member} with the root key of this folder"
    hint = "Hand your member.json to whoever draws up the charter; sign the file that then comes back."


class CopiesDiffer(Conflict):
    code = "copies-differ"
    template = "the files are not copies of one network file: {reason}"
    hint = "Signatures can only be put together from copies that differ in nothing else."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """What `make_node` is told. `settings`: what goes into tally.toml besides names and endpoints."""

    network: str
    member: str
    endpoints: tuple[str, ...]
    settings: Mapping[str, object]
    passphrase: str | None = None


# --- a folder ---------------------------------------------------------------------


def make_node(folder: Path, new: NewNode, *, now_ms: int) -> MemberFile:
    """Fill `folder` with keys, card 1, a store with the admin token, and settings.

    Returns what the firm hands to whoever draws up the charter; it lies in the folder as well.
    Raises: FolderTaken, ConfigBroken, EncodingError.
    """
    check_edges(new.network, what="network")
    check_edges(new.member, what="member")
    network, member = NetworkName(new.network), MemberName(new.member)
    if any((folder / name).exists() for name in (CONFIG_NAME, KEYS_FOLDER, DATABASE_NAME)):
        raise FolderTaken(path=folder)
    keyring = make_keyring(network, member)
    file = make_member_file(keyring, network, member, endpoints=new.endpoints)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    save_keyring(folder, keyring, new.passphrase)
    write_durably(folder / MEMBER_FILE_NAME, encode_member_file(file), mode=0o644)
    _renew_admin_token(folder, now_ms=now_ms)
    # Last, so that a folder with settings is a whole node, wherever this was cut short.
    named = {"network": new.network, "member": new.member, "endpoints": list(new.endpoints)}
    write_durably(folder / CONFIG_NAME, encode_settings({**named, **new.settings}))
    return file


def make_member_file(
    keyring: Keyring, network: NetworkName, member: MemberName, *, endpoints: Sequence[str]
) -> MemberFile:
    """The root key and card 1 of a member. Raises: EncodingError for an endpoint."""
    card = make_card(
        log_key=keyring.log.public,
        witness_keys=[keyring.witness.public],
        transport_keys=[keyring.transport.public],
        sealing_key=next(iter(keyring.opening.values())).public,
        endpoints=endpoints,
    )
    root = CharterMember(name=member, keys=(keyring.root.public,), threshold=1)
    return MemberFile(network=network, member=root, card=sign_card(card, [keyring.root]))


def encode_settings(values: Mapping[str, object]) -> bytes:
    """Settings as TOML: texts, numbers and lists of texts, written as JSON, which TOML reads the same."""
    lines = ["# Settings of this node: docs/reference/settings.md lists them all."]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return ("\n".join(lines) + "\n").encode()


def listening_at(endpoint: str, *, has_tls: bool) -> tuple[str, int]:
    """Where a node listens if nothing else is said: the endpoint's port; without TLS of its own on loopback alone.

    A proxy that ends TLS in front stands on this machine then: tokens never cross a network in clear by default.
    """
    host = "0.0.0.0" if has_tls and not is_loopback(endpoint) else "127.0.0.1"  # noqa: S104  # peers must reach it
    port = endpoint.rpartition(":")[2]
    return host, int(port) if port.isdigit() else PORT


def open_keyring(folder: Path) -> Keyring:
    """The private keys of a node's folder, its settings' passphrase used. Raises: ConfigBroken, KeyFileBroken."""
    settings = load_settings(folder)
    passphrase = settings.passphrase_file.read_text().rstrip("\n") if settings.passphrase_file else None
    return load_keyring(folder, passphrase)


def renew_admin_token(folder: Path, *, now_ms: int) -> None:
    """Write a fresh admin token into the store and the folder, and revoke the one that was there.

    For whoever lost it, or holds a backup of the keys alone: makes the store where there is none.
    Raises: ConfigBroken where there is no node.
    """
    load_settings(folder)
    _renew_admin_token(folder, now_ms=now_ms)


def _renew_admin_token(folder: Path, *, now_ms: int) -> None:
    from node.storage import facts
    from node.storage.store import Store
    from node.tokens import TokenRefused, make_token, token_id_of

    path = folder / ADMIN_TOKEN_NAME
    store = Store.open(folder / DATABASE_NAME)
    try:
        with store.write("token") as tx:
            with suppress(OSError, UnicodeDecodeError, TokenRefused):
                facts.revoke_token(tx, token_id_of(path.read_text(encoding="ascii").strip()), now_ms)
            token = make_token(tx, name="admin", scopes=_ADMIN_SCOPES, now_ms=now_ms)
    finally:
        store.close()
    (folder / DATABASE_NAME).chmod(0o600)
    write_durably(path, f"{token}\n".encode())


# --- a charter --------------------------------------------------------------------


def draw_up(
    members: Sequence[MemberFile], key: SigningKey, *, f: int | None = None, council: Council | None = None
) -> NetworkFile:
    """The file of a network of these firms, charter 1 signed by `key` alone.

    f: by default as many as a network of that size allows.
    Raises: FoundingBroken, NotInCharter, and what verifying a member file raises.
    """
    networks = sorted({member.network for member in members})
    names = [member.member.name for member in members]
    if len(networks) != 1:
        raise FoundingBroken(reason=f"the member files are of {len(networks)} networks: {', '.join(networks)}")
    if len(set(names)) != len(names):
        raise FoundingBroken(reason="two member files are of one member")
    # Beyond a slip of two files of one firm there is no harm in it: docs/spec/card.md, "Shared keys".
    check_keys_distinct([verify_member_file(member) for member in members])
    charter = make_charter(
        network=networks[0],
        members=[member.member for member in members],
        f=(len(members) - 1) // 3 if f is None else f,
        council=council,
    )
    _check_lists(charter, key)
    cards = [member.card for member in sorted(members, key=lambda m: m.member.name)]
    return NetworkFile(charters=(sign_charter(charter, [key]),), cards=tuple(cards))


def sign_file(file: NetworkFile, key: SigningKey) -> NetworkFile:
    """The file with the signature of `key` on its newest charter. Raises: NotInCharter, BadSignature."""
    note = decode_note(file.charters[-1])
    _check_lists(decode_charter(note.text), key)
    return _with_newest(file, add_signature(note, key))


def merge_files(files: Sequence[NetworkFile]) -> NetworkFile:
    """One file with the signatures of all copies on the newest charter. Raises: CopiesDiffer, BadSignature."""
    merged = files[0]
    for other in files[1:]:
        ours, theirs = decode_note(merged.charters[-1]), decode_note(other.charters[-1])
        if ours.text != theirs.text or merged.charters[:-1] != other.charters[:-1]:
            raise CopiesDiffer(reason="their charters differ")
        if [decode_note(c).text for c in merged.cards] != [decode_note(c).text for c in other.cards]:
            raise CopiesDiffer(reason="their cards differ")
        known = {(signature.name, signature.key_hash) for signature in ours.signatures}
        fresh = tuple(s for s in theirs.signatures if (s.name, s.key_hash) not in known)
        merged = _with_newest(merged, Note(ours.text, (*ours.signatures, *fresh)))
    charter = decode_charter(decode_note(merged.charters[-1]).text)
    verified_signers(decode_note(merged.charters[-1]), [key for member in charter.members for key in member.keys])
    return merged


def newest_charter(file: NetworkFile) -> Charter:
    """The newest charter of a file, not verified."""
    return decode_charter(decode_note(file.charters[-1]).text)


def missing_members(file: NetworkFile) -> tuple[MemberName, ...]:
    """Members of the newest charter that have not signed it. Raises: BadSignature."""
    previous = decode_charter(decode_note(file.charters[-2]).text) if len(file.charters) > 1 else None
    signed = signed_members(file.charters[-1], previous=previous)
    return tuple(name for name in newest_charter(file).names if name not in signed)


def _check_lists(charter: Charter, key: SigningKey) -> None:
    if not any(key.public in member.keys for member in charter.members):
        raise NotInCharter(member=key.public.name.split("/")[1])


def _with_newest(file: NetworkFile, note: Note) -> NetworkFile:
    return NetworkFile(charters=(*file.charters[:-1], encode_note(note)), cards=file.cards)
