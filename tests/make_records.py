"""A shipment of the fishery, sealed for three readers, and the log it stands in, by way of `tests.formats` alone.

Whatever is random elsewhere is SHA-256("record test seed: " and a label); the network is that of
tests/vectors/evidence.json, whose keys have the seeds that membership.json tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests import formats
from tests.formats import Field, Signer, sha

NETWORK_NAME: Final = "cold-chain.example"
NETWORK: Final[dict[str, list[str]]] = json.loads(
    json.loads((Path(__file__).parent / "vectors" / "evidence.json").read_text())["network"]
)
FINGERPRINT: Final = sha((NETWORK["charters"][0].rpartition("\n\n")[0] + "\n").encode())
ORIGIN: Final = f"{NETWORK_NAME}/fishery"
TIME_MS: Final = 1_763_680_000_000


def random(label: str) -> bytes:
    return sha(f"record test seed: {label}".encode())


def key_seed(label: str) -> bytes:
    return sha(f"membership test seed: {label}".encode())


def log_key(member: str) -> Signer:
    name = f"{NETWORK_NAME}/{member}"
    return Signer(name, key_seed(f"{name} ED25519 1"))


def witness_key(member: str) -> Signer:
    name = f"{NETWORK_NAME}/{member}"
    return Signer(name, key_seed(f"{name} COSIGNATURE 1"), 0x04)


def transport_key(member: str) -> Signer:
    name = f"{NETWORK_NAME}/{member}/transport"
    return Signer(name, key_seed(f"{name} ED25519 1"))


def sealing_seed(member: str) -> bytes:
    return key_seed(f"{NETWORK_NAME}/{member} sealing 1")


def record_id(label: str, number: int = 0) -> bytes:
    return formats.make_id(TIME_MS + number, random(f"id {label}"))


def channel(wrapper: str, reader: str) -> dict[str, Any]:
    secret, public = random(f"channel {wrapper} {reader}"), formats.x25519_public(sealing_seed(reader))
    channel_id = sha(secret)[:8]
    who: dict[str, Any] = {"network": FINGERPRINT, "wrapper": wrapper, "reader": reader, "sealing_key": public}
    ephemeral, signer = random(f"ephemeral {wrapper} {reader}"), transport_key(wrapper)
    message = formats.channel_message(**who, channel_key=secret, ephemeral=ephemeral, signer=signer)
    return {
        "wrapper": wrapper,
        "reader": reader,
        "sealing_seed": sealing_seed(reader).hex(),
        "sealing_key_id": formats.sealing_key_id(public),
        "ephemeral_seed": ephemeral.hex(),
        "transport_name": signer.name,
        "transport_seed": key_seed(f"{signer.name} ED25519 1").hex(),
        "key": secret.hex(),
        "id": channel_id.hex(),
        "info": formats.channel_info(**who, channel_id=channel_id).hex(),
        "message": message.hex(),
    }


AUTHOR: Final = "fishery"
CONTRACT: Final = random("contract")
READERS: Final = {"buyer": ["processor"], "carrier": ["carrier"], "seller": ["fishery"]}
LINK: Final = ("answers", f"{NETWORK_NAME}/processor", 41, random("linked leaf"))
AUDIENCES: Final = [["buyer", "carrier", "seller"], ["buyer", "seller"], ["carrier", "seller"], []]
RECORD: Final[list[list[Field]]] = [
    formats.section_zero(
        record_type="shipment", contract=CONTRACT, role="seller", audience=AUDIENCES, links=[LINK]
    ),
    [("/price", b'{"amount":"4.80","currency":"EUR"}'), ("/quantity", b"26.0")],
    [("/deliver_to", b'"Pier 7"')],
    [("by", b'"clerk"'), ("flags", b'["event-id-reused"]'), ("/note", b'"ask twice"'), ("/note/x", b"null")],
]  # fmt: skip
"""Sections of one shipment: section 0, one per audience in ascending order, the author's own."""


def seeds() -> list[bytes]:
    return [random(f"record seed {number}") for number in range(len(RECORD))]


# --- a log that holds it --------------------------------------------------------------

COSIGNED_S: Final = {"carrier": 1_763_680_100, "processor": 1_763_680_101, "retailer": 1_763_680_102}
INDEX: Final = 6
SIZE: Final = 11


class Evidence:
    """A log of the fishery in which the shipment of record.json is entry 6 of 11, and what proves it.

    added: section -> fields that its author also committed to there, which no reader takes.
    first: another section 0.
    """

    def __init__(self, added: Mapping[int, Sequence[Field]] | None = None, *, first: Sequence[Field] = ()) -> None:
        self.id = record_id("shipment")
        self.record = [
            [*fields, *(added or {}).get(number, ())] for number, fields in enumerate([first or RECORD[0], *RECORD[1:]])
        ]
        sealed = formats.seal_record(self.record, seeds(), network=FINGERPRINT, origin=ORIGIN, record_id=self.id)
        self.manifest = sealed[0]
        self.entries: list[bytes] = []
        prev = bytes(32)
        for index in range(SIZE):
            own_id, body = record_id(f"log {index}", index), random(f"log {index}")
            if index == INDEX:
                own_id, body = self.id, sha(self.manifest)
            entry = formats.header(log=ORIGIN, index=index, prev=prev, record_id=own_id, body=body)
            prev = formats.leaf_hash(entry)
            self.entries.append(entry)
        self.leaves = [formats.leaf_hash(entry) for entry in self.entries]

    def note(self, *witnesses: str, root: bytes | None = None, signer: Signer | None = None) -> str:
        text = formats.checkpoint(ORIGIN, SIZE, root or formats.tree_hash(self.leaves))
        lines = [(signer or log_key(AUTHOR)).line(text)]
        lines += [witness_key(member).cosignature(text, COSIGNED_S.get(member, 0)) for member in witnesses]
        return text + "\n" + "".join(lines)

    def proof(self, *witnesses: str, index: int = INDEX) -> str:
        path = formats.tree_path(index, self.leaves)
        return formats.tlog_proof(self.entries[index], index, path, self.note(*witnesses))

    def disclose(self, name: str) -> dict[str, Any]:
        for number, fields in enumerate(self.record):
            for index, field in enumerate(fields):
                if field[0] == name:
                    return self.disclose_at(number, index)
        raise KeyError(name)

    def disclose_at(self, section: int, index: int) -> dict[str, Any]:
        ctx = formats.context(FINGERPRINT, ORIGIN, self.id, section)
        fields = self.record[section]
        return formats.disclosure(fields, index, section=section, seed=seeds()[section], ctx=ctx)

    def receipt(self, *names: str, witnesses: Sequence[str] = ("carrier", "processor")) -> str:
        found = [self.disclose(name) for name in names]
        proof = self.proof(*witnesses)
        return formats.receipt(proof=proof, manifest_text=self.manifest, disclosures=found, network=NETWORK)
