"""Builder of a store with rows in every table: records, bodies of another, evidence, a catch-up cut short."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.evidence import EvidenceKind, encode_evidence, make_contradiction, make_fork
from ledger.names import MemberName
from ledger.replica import GetCheckpoint, GetEntries, GetTiles, KeepEvidence, replicate
from node.append import NewRecord
from node.fsck import Report, check_store
from node.keyring import Keyring
from node.node import Node
from node.storage import logs, sidecars
from node.storage.copies import copy_database
from node.sync import rounds
from node.sync.evidence import take_evidence
from node.sync.sifting import LOST
from node.tokens import TokenBook
from tests.make import Log, record_id
from tests.make_folders import Founded, found, free_ports, shipment
from tests.make_peers import serving, wait_until
from tests.mirror import Peer

RECORDS = 260
"""More than the leaves of a full subtree."""


@dataclass(frozen=True)
class Filled:
    """A copy of the fishery's database, and what opens it."""

    path: Path
    keyring: Keyring

    def check(self, path: Path | None = None) -> Report:
        return check_store(path or self.path, keyring=self.keyring, member=MemberName("fishery"))


def fill_store(root: Path) -> Filled:
    """The fishery's: it shares with the carrier, which is found to have forked, and copies the retailer's log."""
    names = ("carrier", "fishery", "insurer", "retailer")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(root / "network", *names, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    _share(founded)
    node = Node.open(founded.folders["fishery"])
    try:
        _go_on_alone(node, founded)
        _convict(node, founded)
        _copy_in_part(node, founded)
        tokens = TokenBook(node.store, node.clock)
        tokens.make("gate", ["read", "write"])
        tokens.make("old", ["read"])
        tokens.revoke(next(token.id for token in tokens.list_all() if token.name == "old"))
        copy_database(node.folder / "ledger.db", root / "filled.db")
        return Filled(root / "filled.db", node.keyring)
    finally:
        node.close()


def _share(founded: Founded) -> None:
    """Records of both under one contract, those of the fishery with keys by which they are known again."""
    folders = [founded.folders[name] for name in ("carrier", "fishery", "insurer")]
    with serving(*folders) as (carrier, fishery, _):
        parties = {"shipper": ["carrier", "fishery"], "receiver": ["carrier", "fishery"], "insurer": ["carrier"]}
        contract = fishery.agree([carrier], parties)
        intake = fishery.node.joined.intake
        made: list[NewRecord] = []
        for number in range(RECORDS):
            key = intake.digest(b"key %d" % number)
            found_ = intake.parse(shipment(number, contract if number < 3 else None), by=b'"test"', answer_key=key)
            made.append(found_)
        fishery.node.append(made)()
        carrier.ship(RECORDS, contract)
        size = fishery.log("fishery").size
        wait_until(lambda: fishery.cosigned("fishery", "carrier") == size, "it is cosigned")
        wait_until(lambda: fishery.holds("carrier", carrier.log("carrier").size), "what the carrier gives is here")


def _go_on_alone(node: Node, founded: Founded) -> None:
    """What is at an end of its chain, and nothing else in the store tells of it."""
    for name in founded.names:
        node.joined.guard.heard(MemberName(name), 0)
    node.open_for_writing()
    for number in range(2):
        node.append([node.joined.intake.parse(shipment(number), by=b'"test"')])()
    node.joined.channels.outgoing({MemberName("retailer")}, origin=node.joined.origin, now_ms=node.clock())
    insurer = founded.firms["insurer"]
    node.learn_cards([insurer.signed(insurer.card(log=2, log_from=9, previous=node.membership.card("insurer")))])
    with node.store.write("sync-bodies") as tx:
        sidecars.insert_gaps(tx, node.find_log(tx, "carrier").number, [(0, LOST)])


def _convict(node: Node, founded: Founded) -> None:
    retailer, first = founded.firms["retailer"], node.membership.card("retailer")
    cards = [retailer.signed(retailer.card(log=2, log_from=size, previous=first)) for size in (8, 9)]
    network = node.membership.network
    assert take_evidence(node, encode_evidence(make_contradiction(EvidenceKind.CARDS, *cards, network=network)))
    log = Log(founded.firms["carrier"]).add(9)
    evidence = make_fork(log.note(5), log.branch(1).add(8).note(5), path=[], network=node.membership.network)
    assert take_evidence(node, encode_evidence(evidence))


def _copy_in_part(node: Node, founded: Founded) -> None:
    """The retailer's log repeats an id, which a crash kept from being proved; and it is known to go on."""
    twice = record_id("once")
    log = Log(founded.firms["retailer"]).add(2).add_entry(id=twice, slot=bytes(range(16))).add(2).add_entry(id=twice)
    steps = replicate(
        rounds._read_head(node, log.origin), node.membership.network, peer_is_author=True, may_cosign=True
    )
    action: Any = steps.send(None)
    while not isinstance(action, KeepEvidence):
        is_asked = isinstance(action, GetCheckpoint | GetEntries | GetTiles)
        action = steps.send(Peer(log).answer(action) if is_asked else rounds._at_home(node, action))
    with node.store.write("restore-targets") as tx:
        number = node.find_log(tx, "retailer").number
        logs.keep_target(tx, number, 20, log.add(14).note())
