"""Builders of whole networks of node folders: keys from fixed seeds, the charter adopted, settings as a test says."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.names import MemberName
from ledger.network import NetworkFile
from ledger.record import Draft
from node import agreements as agree
from node.config import DATABASE_NAME
from node.founding import encode_settings
from node.keyring import Keyring, save_keyring
from node.membership import make_membership, save_membership
from node.storage import facts, logs
from node.storage.store import Store
from tests.make_membership import NETWORK, Firm, charter, firms, signed

SHARING: Final = '''"""Share shipments."""
ROLES = {"shipper", "receiver", "insurer"}
SIGNERS = set()
AUTHORS = {"shipment": {"shipper"}, "receipt": {"receiver"}}
SHARES = {
    "shipment": {"/*": {"shipper", "receiver"}, "/value": {"shipper", "insurer"}, "/cost": set()},
    "receipt": {"/*": {"shipper", "receiver"}},
}
'''
"""`/*` goes to shipper and receiver, `/value` to shipper and insurer, `/cost` to its author alone."""


@dataclass(frozen=True)
class Founded:
    """The folders of one network's nodes, each with the charter adopted and nothing recorded yet."""

    file: NetworkFile
    firms: Mapping[str, Firm]
    rings: Mapping[str, Keyring]
    folders: Mapping[str, Path]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.folders)


def found(
    root: Path, *names: str, f: int | None = None, endpoints: Mapping[str, Sequence[str]] | None = None, **settings: Any
) -> Founded:
    """Make the folders of `names` below `root`. endpoints: by default one that only the simulator reaches."""
    members = firms(*sorted(names))
    at = {m.name: list((endpoints or {}).get(m.name, [f"https://{m.name}.example"])) for m in members}
    rule = charter(members, f=(len(members) - 1) // 3 if f is None else f)
    cards = tuple(m.signed(m.card(endpoints=at[m.name])) for m in members)
    file = NetworkFile(charters=(signed(rule, members),), cards=cards)
    rings = {m.name: ring_of(m) for m in members}
    for member in members:
        make_folder(root / member.name, member, file, endpoints=at[member.name], **settings)
    folders: dict[str, Path] = {m.name: root / m.name for m in members}
    return Founded(file, {m.name: m for m in members}, {str(name): ring for name, ring in rings.items()}, folders)


def make_folder(folder: Path, member: Firm, file: NetworkFile, *, endpoints: Sequence[str], **settings: Any) -> None:
    """One node's folder, with the network of `file` adopted."""
    folder.mkdir(parents=True)
    save_keyring(folder, ring_of(member), None)
    values = {"network": NETWORK, "member": str(member.name), "endpoints": list(endpoints), **settings}
    (folder / "tally.toml").write_bytes(encode_settings(values))
    store = Store.open(folder / DATABASE_NAME)
    membership = make_membership(file)
    with store.write("adopt") as tx:
        save_membership(tx, membership)
        facts.set_meta(tx, facts.OWN_ORIGIN, str(membership.origin(member.name)))
        for name in (member.name, *membership.names):
            logs.ensure_log(tx, membership.origin(name))
    store.close()


def ring_of(member: Firm) -> Keyring:
    opening = member.sealing_key()
    return Keyring(
        root_here=member.root_keys[0],
        log=member.log_key(),
        witness=member.witness_key(),
        transport=member.transport_key(),
        opening={opening.public.id: opening},
    )


def proposal(parties: Mapping[str, Sequence[str]], *, source: str = SHARING) -> Draft:
    """A draft that proposes `source` to those parties."""
    body = {"source": source, "terms": {}, "parties": dict(parties), "secret": "A" * 43 + "="}
    to = sorted({MemberName(name) for names in parties.values() for name in names})
    return agree.draft_addressed(agree.PROPOSE, json.dumps(body).encode(), by=b'"test"', to=to)


def answer(contract: agree.Contract, type_name: str = agree.ACCEPT) -> Draft:
    return agree.draft_addressed(type_name, agree.answer_body(contract), by=b'"test"', to=contract.members)


def shipment(number: int, contract: bytes | None = None, **more: Any) -> bytes:
    """The envelope of a shipment under `contract`; without one, of a note to oneself."""
    body = {"number": number, "value": f"{number}.50", "cost": number * 7, **more}
    if contract is None:
        return json.dumps({"type": "note", "body": body}).encode()
    return json.dumps({"type": "shipment", "contract": contract.hex(), "body": body}).encode()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
