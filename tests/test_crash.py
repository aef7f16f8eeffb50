"""A real node is killed at every crash point, under load, and started again: nothing that it answered is lost.

After each death the folder it left is proved as it lies there: fsck is sound, every answered record
is in it, and no checkpoint that anybody ever saw contradicts it. TALLY_SEED replays what is by chance.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.evidence import EvidenceKind
from ledger.network import encode_network_file
from node.config import CONFIG_NAME, DATABASE_NAME
from node.crash import CRASH_POINTS
from node.founding import ADMIN_TOKEN_NAME
from node.fsck import check_store
from node.keyring import load_keyring
from node.storage import facts, logs
from node.storage.copies import copy_database
from node.storage.store import Store
from node.sync import driver
from tests.make import Log
from tests.make_folders import found, free_ports
from tests.make_peers import Liar, Peer, lying, serving, wait_until
from tests.make_served import WAIT_S, Served, put_back

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]

VICTIM: Final = "fishery"
PEERS: Final = ("processor", "retailer")
SPY: Final = "shipper"
LIARS: Final = {
    "sync-documents": "carrier",
    "evidence.before-commit": "dealer",
    "evidence.after-commit": "exporter",
    "freeze.before-commit": "grower",
    "freeze.after-commit": "importer",
}
"""Who makes happen what only a change of cards or a lie leads to. A liar that was caught is of no more use."""
PARTIES: Final = {"shipper": [VICTIM], "receiver": ["processor"], "insurer": ["retailer"]}
KILLS: Final = 3


# --- a node, its peers, and what leads it past a crash point ------------------------------------


Work = Callable[[Callable[[], bool]], None]
"""Goes on until what it is given says that it is over."""


@dataclass
class Scene:
    """The node that dies, two honest peers that run all the time and share with it, and members that may lie.

    size: of the victim's log before the first record of a client.
    """

    victim: Served
    peers: list[Peer]
    liars: dict[str, Liar]
    size: int

    def die_at(self, point: str, *, passes: int) -> None:
        """Start the victim, and let all write until it dies there; then look at what it left."""
        with self._cause(point) as works:
            self.victim.start(crash_at=point, passes=passes)
            with self.victim.used(*works):
                self.victim.await_death(point)
        self.victim.check(self.peers)

    def go_on(self, *, answers: int) -> None:
        """Start it as usual: it answers what still waits, and more. Then it is killed wherever it is."""
        victim = self.victim
        due, before = set(victim.waiting), len(victim.keys)
        victim.start()
        with victim.used(self.ship):
            victim.await_that(
                lambda: due <= victim.keys.keys() and len(victim.keys) >= before + answers, f"it goes on: {due}"
            )
            victim.end(signal.SIGKILL)
        victim.check(self.peers)

    def ship(self, is_over: Callable[[], bool]) -> None:
        """A peer writes as well."""
        peer, contract = self.peers[0], self.victim.contract
        assert contract is not None
        while not is_over():
            envelope = {"type": "receipt", "contract": contract.hex(), "body": {"at": time.time()}}
            peer.put(peer.node.joined.intake.parse(json.dumps(envelope).encode(), by=b'"test"'))
            time.sleep(0.05)

    # --- causes

    @contextmanager
    def _cause(self, point: str) -> Iterator[list[Work]]:
        """What goes on beside the clients; before that, what must happen for points that they do not lead to."""
        match point.partition(".")[0]:
            case "adopt":
                content = encode_network_file(self.victim.founded.file)
                yield [self.ship, lambda is_over: self._post("/network", content, is_over)]
            case "token":
                content = b'{"name": "another", "scopes": ["read"]}'
                yield [self.ship, lambda is_over: self._post("/tokens", content, is_over)]
            case "sync-documents":
                self._renew_card(LIARS["sync-documents"])
                yield [self.ship]
            case "restore":
                self._fall_behind(records=5)
                yield [self.ship]
            case "restore-targets":
                self._fall_behind(records=0)
                yield [self.ship]
            case "evidence":
                self._fork(LIARS[point])
                yield [self.ship]
            case "freeze":
                # Nobody else may find it first: evidence that is passed on freezes as well.
                with self._peers_away():
                    self._fork(LIARS[point])
                    yield []
            case _:
                yield [self.ship]

    def _post(self, path: str, content: bytes, is_over: Callable[[], bool]) -> None:
        while not is_over():
            self.victim.call("POST", path, content)
            time.sleep(0.02)

    def _renew_card(self, name: str) -> None:
        """A card with another log key, and entries that it is needed for."""
        liar, firm = self.liars[name], self.victim.founded.firms[name]
        previous = self.peers[0].node.membership.card(name)
        version = previous.version + 1
        card = firm.card(log=version, log_from=liar.log.size + 1, endpoints=previous.endpoints, previous=previous)
        liar.lies[f"/v1/cards/{name}/{version}"] = (200, firm.signed(card))
        liar.log.key = firm.log_key(version)
        liar.log.add(2)

    def _fork(self, name: str) -> None:
        liar = self.liars[name]
        liar.log = liar.log.branch(liar.log.size - 1, f"forked {name}").add(3)

    def _fall_behind(self, *, records: int) -> None:
        """The database becomes what it was some records ago, and before a cosignature; the peers have all of that."""
        victim = self.victim
        victim.start()
        while victim.waiting:  # what is sent again after a restore is recorded again, as its key is forgotten
            if victim.put(victim.waiting[0]):
                del victim.waiting[0]
        victim.share(1)
        backup = victim.folder.with_name("backup.db")
        copy_database(victim.folder / DATABASE_NAME, backup)
        before = victim.size
        victim.share(records)
        author = self.peers[0]
        size = author.put(author.node.joined.intake.parse(b'{"type": "note", "body": {}}', by=b'"test"')).index + 1
        wait_until(lambda: author.cosigned(author.name, VICTIM) >= size, "it has cosigned what it then forgets", WAIT_S)
        victim.given_back |= set(range(before, victim.size))
        for peer in self.peers:
            wait_until(lambda p=peer: p.holds(VICTIM, victim.size), f"{peer.name} holds all", WAIT_S)  # type: ignore[misc]
        victim.end(signal.SIGKILL)
        put_back(victim.folder, backup)

    @contextmanager
    def _peers_away(self) -> Iterator[None]:
        folders = [peer.folder for peer in self.peers]
        for peer in self.peers:
            peer.stop()
        try:
            yield
        finally:
            self.peers[:] = [Peer(folder) for folder in folders]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    names = (VICTIM, *PEERS, *LIARS.values())
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("crash"), *names, endpoints=endpoints, peer_timeout_s=3)
    for name, folder in founded.folders.items():
        with (folder / CONFIG_NAME).open("a") as file:
            file.write(f"port = {ports[name]}\n")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_BACK_OFF_S", (0.05, 0.5))  # the peers' own, in this process
        logs_of = {name: Log(founded.firms[name], name).add(3) for name in LIARS.values()}
        liars = {name: stack.enter_context(lying(log, ports[name])) for name, log in logs_of.items()}
        peers: list[Peer] = []
        stack.callback(_stop, peers)
        peers += [Peer(founded.folders[name]) for name in PEERS]
        with serving(founded.folders[VICTIM]) as (itself,):
            contract = itself.agree(peers, PARTIES)
            size = itself.log(VICTIM).size
        victim = Served(founded, VICTIM, spy=LIARS["sync-documents"], contract=contract)
        stack.callback(victim.close)
        yield Scene(victim, peers, liars, size)


def _stop(peers: list[Peer]) -> None:
    for peer in peers:
        peer.stop()


# --- at every point -----------------------------------------------------------------------------

AT_INIT: Final = sorted(point for point in CRASH_POINTS if point.startswith("file."))
AT_FIRST_START: Final = sorted(point for point in CRASH_POINTS if point.startswith("migrate."))
RECURRING: Final = ("adopt", "append", "cosigned", "high-water", "sync-bodies", "sync-cosign", "sync-entries", "token")
"""Steps that are taken again and again as long as the node runs."""


@pytest.mark.parametrize("point", sorted(CRASH_POINTS - {*AT_INIT, *AT_FIRST_START}))
def test_nothing_answered_is_lost_wherever_the_node_is_killed(scene: Scene, point: str, seed: int) -> None:
    chance = random.Random(f"{seed} {point}")
    try:
        scene.die_at(point, passes=chance.randrange(4) if point.startswith(RECURRING) else 0)
        scene.go_on(answers=chance.randrange(1, 10))
    finally:
        scene.victim.end(signal.SIGKILL)


def test_nothing_answered_is_lost_whenever_the_node_is_killed(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(KILLS):
        scene.victim.start()
        with scene.victim.used(scene.ship):
            time.sleep(chance.uniform(0.5, 2.0))
            scene.victim.end(signal.SIGKILL)
        scene.victim.check(scene.peers)


def test_left_alone_the_node_holds_everything_once_and_so_do_its_peers(scene: Scene) -> None:
    victim = scene.victim
    victim.start()
    while victim.waiting:
        if victim.put(victim.waiting[0]):
            del victim.waiting[0]
    victim.share(1)
    assert victim.size == scene.size + len(victim.keys), "each record once"
    for peer in scene.peers:
        wait_until(lambda p=peer: p.holds(VICTIM, victim.size), f"{peer.name} holds all", WAIT_S)  # type: ignore[misc]
        wait_until(lambda p=peer: p.cosigned(VICTIM, p.name) >= victim.size, f"cosigned by {peer.name}", WAIT_S)  # type: ignore[misc]
        assert {name for finding in peer.findings() for name in finding.members} <= set(LIARS.values())
        assert not peer.gaps(VICTIM), peer.gaps(VICTIM)
        size = peer.log(peer.name).size
        wait_until(lambda p=peer, s=size: victim.standing(p.name).get("bodies_size", 0) >= s, "and it all", WAIT_S)  # type: ignore[misc]
    victim.end()
    victim.check(scene.peers)
    _check_evidence(victim, scene)


def _check_evidence(victim: Served, scene: Scene) -> None:
    """Of each fork there is proof, and nobody's log is frozen without one."""
    forked = {name for name, liar in scene.liars.items() if liar.log.label.startswith("forked")}
    store = Store.open_readonly(victim.folder / DATABASE_NAME)
    with store.read() as tx:
        assert {item.kind for item in facts.list_evidence(tx)} <= {str(EvidenceKind.FORK)}
        assert {item.member for item in facts.list_evidence(tx)} == forked
        assert {log.origin.member for log in logs.list_logs(tx) if log.frozen} == forked
    store.close()


# --- before there is anything to lose -----------------------------------------------------------


@pytest.mark.parametrize("point", AT_FIRST_START)
def test_killed_while_the_database_is_made_it_starts_all_the_same(tmp_path: Path, point: str) -> None:
    port = free_ports(1)[0]
    founded = found(tmp_path, VICTIM, endpoints={VICTIM: [f"http://127.0.0.1:{port}"]}, port=port)
    victim = Served(founded, VICTIM, spy=VICTIM)
    for path in victim.folder.glob(DATABASE_NAME + "*"):
        path.unlink()
    victim.start(crash_at=point)
    victim.await_death(point)
    try:
        victim.start()
        wait_until(victim.is_healthy, "it serves", WAIT_S)
        victim.end()
    finally:
        victim.close()
    assert check_store(victim.folder).is_sound


@pytest.mark.parametrize("point", AT_INIT)
def test_init_that_is_killed_leaves_a_whole_node_or_none(tmp_path: Path, point: str, seed: int) -> None:
    assert _init(tmp_path / "first", point, passes=0).returncode == -signal.SIGKILL, f"{point} was never reached"
    _init(tmp_path / "later", point, passes=random.Random(f"{seed} {point}").randrange(1, 5))
    for folder in (tmp_path / "first", tmp_path / "later"):
        if (folder / CONFIG_NAME).exists():
            assert load_keyring(folder, None).log.public.name.endswith("/fishery")
            assert check_store(folder).is_sound
            assert (folder / ADMIN_TOKEN_NAME).exists(), "its settings come last"
        else:
            shutil.rmtree(folder, ignore_errors=True)
            assert _init(folder).returncode == 0, "what was left can be removed, and nothing else is in the way"


def _init(folder: Path, point: str = "", passes: int = 0) -> subprocess.CompletedProcess[str]:
    words: list[Any] = ["init", folder, "--network", "net.example", "--member", "fishery"]
    environment = {**os.environ, "TALLY_CRASH_AT": point, "TALLY_CRASH_AFTER": str(passes)}
    command = [sys.executable, "-m", "node.cli", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
