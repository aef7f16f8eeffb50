"""A real node whose database is an old backup: it signs nothing until it knows what it had signed, and then goes on."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from node.cli.exits import ExitCode
from node.config import CONFIG_NAME, DATABASE_NAME
from node.highwater import HIGH_WATER_NAME
from node.node import Node
from node.storage import logs
from node.storage.copies import copy_database
from node.storage.store import Store
from node.sync import driver
from tests.make_folders import Founded, found, free_ports
from tests.make_peers import Peer, serving, wait_until
from tests.make_served import WAIT_S, Served, put_back
from tests.nodes import make_admin_token

pytestmark = [pytest.mark.crash, pytest.mark.slow]

VICTIM: Final = "fishery"
SHARED: Final = 4
"""Records since the backup that others can give parts of back; one more is the author's alone."""


@dataclass(frozen=True)
class Lost:
    """A network in which a node stopped; `backup` is its database of some records ago.

    before, after: sizes of its log at the backup and at the end.
    """

    founded: Founded
    backup: Path
    token: str
    contract: bytes
    before: int
    after: int

    @property
    def private(self) -> int:
        """Index of the record that nobody else can read."""
        return self.after - 1


def lose(root: Path, *names: str, f: int) -> Lost:
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(root, *names, f=f, endpoints=endpoints, peer_timeout_s=3, queue_wait_s=0.2)
    for name, folder in founded.folders.items():
        with (folder / CONFIG_NAME).open("a") as file:
            file.write(f"port = {ports[name]}\n")
    token, backup = make_admin_token(founded.folders[VICTIM]), root / "backup.db"
    others = [name for name in names if name != VICTIM]
    parties = {"shipper": [VICTIM], "receiver": [others[0]], "insurer": [others[-1]]}
    with serving(founded.folders[VICTIM], *(founded.folders[name] for name in others)) as (victim, *peers):
        contract = victim.agree([peers[0], peers[-1]], parties)
        before = [victim.ship(number, contract) for number in range(3)][-1].index + 1
        await_all(peers, before)
        copy_database(victim.folder / DATABASE_NAME, backup)
        for number in range(SHARED):
            victim.ship(before + number, contract)
        after = victim.ship(99).index + 1
        await_all(peers, after)
    return Lost(founded, backup, token, contract, before, after)


def await_all(peers: list[Peer], size: int) -> None:
    for peer in peers:
        wait_until(lambda p=peer: p.holds(VICTIM, size), f"{peer.name} holds {size}", WAIT_S)  # type: ignore[misc]
        wait_until(lambda p=peer: p.cosigned(VICTIM, p.name) >= size, f"{peer.name} cosigned", WAIT_S)  # type: ignore[misc]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers, which run in this process, come back sooner to a node that was away."""
    monkeypatch.setattr(driver, "_BACK_OFF_S", (0.05, 0.5))


@pytest.fixture(scope="module")
def lost_of_two(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    return lose(tmp_path_factory.mktemp("two"), VICTIM, "retailer", f=0)


@pytest.fixture(scope="module")
def lost_of_four(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    return lose(tmp_path_factory.mktemp("four"), VICTIM, "carrier", "processor", "retailer", f=1)


@contextmanager
def restored(lost: Lost, root: Path, *, high_water: bool) -> Iterator[Served]:
    """The node, its database replaced by the backup; not started."""
    folders = {n: Path(shutil.copytree(folder, root / n)) for n, folder in lost.founded.folders.items()}
    spy = next(name for name in folders if name != VICTIM)
    node = Served(replace(lost.founded, folders=folders), VICTIM, spy=spy, contract=lost.contract, token=lost.token)
    put_back(node.folder, lost.backup, high_water=high_water)
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def two(lost_of_two: Lost, tmp_path: Path) -> Iterator[Served]:
    """With its high-water file."""
    with restored(lost_of_two, tmp_path, high_water=True) as node:
        yield node


@pytest.fixture
def two_unmarked(lost_of_two: Lost, tmp_path: Path) -> Iterator[Served]:
    """Without a high-water file: as on another machine."""
    with restored(lost_of_two, tmp_path, high_water=False) as node:
        yield node


def peers_of(node: Served, *names: str) -> list[Path]:
    return [folder for name, folder in node.founded.folders.items() if (name in names if names else name != VICTIM)]


# --- what is looked at ------------------------------------------------------------------------


def check_signs_nothing(node: Served, lost: Lost, *, state: str, waits_for: list[str]) -> None:
    """It serves what it has, says whom it waits for, and its log stays as the backup had it."""
    node.await_that(lambda: node.guard == state, f"it is {state}")
    behind = [f"entries {lost.before} to {lost.after} of its own log, from its peers"] * (state == "behind")
    assert node.status()["guard"]["waiting_for"] == [*waits_for, *behind]
    refused = node.ask("POST", "/records", b'{"type": "note", "body": {}}')
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (503, "node-not-ready")
    assert all(name in problem["detail"] for name in waits_for), problem["detail"]
    assert node.ask("GET", f"/records/{node.origin}/{lost.before - 1}").json()["body"]["number"] == 2
    with node.used():  # many who want something signed, and look at what is
        node.await_that(lambda: node.refusals > 10, "it has refused them")
    assert set(node.seen) <= {lost.before}
    assert node.answered == {}
    assert (node.status()["log"]["size"], node.guard) == (lost.before, state)


def check_goes_on(node: Served, lost: Lost, peers: list[Peer]) -> None:
    """All entries are back, new ones come after them, and no peer sees two histories."""
    node.await_that(lambda: node.guard == "ready", "it may sign")
    node.share(3)
    assert sorted(node.answered)[-3:] == list(range(node.size - 3, node.size))
    assert min(node.answered) >= lost.after
    await_all(peers, node.size)
    node.await_that(lambda: node.gaps == SHARED + 1, "what others had is back, and what is missing is named")
    for peer in peers:
        assert peer.findings() == []
        assert peer.gaps(VICTIM) == {}
    for index in range(lost.before, lost.private):
        assert node.ask("GET", f"/records/{node.origin}/{index}").json()["body"]["number"] == index
    node.given_back |= set(range(lost.before, lost.after))
    node.end()
    node.check(peers)
    check_gaps_named(node, lost)


def check_gaps_named(node: Served, lost: Lost) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", "fsck", "--dir", str(node.folder), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, told["sound"], told["gaps"]) == (2, True, SHARED + 1)
    named = {gap["index"]: gap["reason"] for gap in told["missing"] if gap["log"] == str(node.origin)}
    assert sorted(named) == list(range(lost.before, lost.after))
    assert named[lost.private] == "lost with the database that was replaced"
    assert named[lost.before] == "1 sections were held by nobody who answered", "what was sealed to the author alone"


# --- noticed, and fetched back ------------------------------------------------------------------


def test_old_backup_is_noticed_by_the_high_water_file_alone(two: Served, lost_of_two: Lost) -> None:
    two.start()
    check_signs_nothing(two, lost_of_two, state="behind", waits_for=["retailer"])
    with serving(*peers_of(two)) as peers:
        check_goes_on(two, lost_of_two, peers)


def test_old_backup_without_the_file_is_noticed_by_what_a_peer_holds(two_unmarked: Served, lost_of_two: Lost) -> None:
    with serving(*peers_of(two_unmarked)) as peers:
        two_unmarked.start()
        check_goes_on(two_unmarked, lost_of_two, peers)


def test_node_that_nothing_tells_of_its_past_signs_nothing_and_writes_once_it_knows(
    two_unmarked: Served, lost_of_two: Lost
) -> None:
    node = two_unmarked
    node.start()
    check_signs_nothing(node, lost_of_two, state="waiting", waits_for=["retailer"])
    node.end(signal.SIGKILL)
    node.start(queue_wait_s=WAIT_S)
    node.await_that(lambda: node.guard == "waiting", "it waits again")
    with ThreadPoolExecutor() as pool:
        queued = pool.submit(node.put, 1)
        with serving(*peers_of(node)) as peers:
            assert queued.result(WAIT_S), "what was queued is written once it may be"
            check_goes_on(node, lost_of_two, peers)


@pytest.mark.parametrize("high_water", [True, False], ids=["with the file", "without it"])
def test_of_four_members_one_may_be_away(lost_of_four: Lost, tmp_path: Path, high_water: bool) -> None:
    with restored(lost_of_four, tmp_path, high_water=high_water) as node:
        node.start()
        with serving(*peers_of(node, "carrier")):
            waits_for = ["processor", "retailer"]
            node.await_that(lambda: node.status().get("guard", {}).get("waiting_for") == waits_for, "one answered")
            # One that answers is not enough, even if all that was ever signed came back from it.
            node.await_that(lambda: node.standing(VICTIM)["checkpoint_size"] == lost_of_four.after, "its log is back")
            assert node.guard == "waiting"
            assert node.ask("POST", "/records", b'{"type": "note", "body": {}}').status_code == 503
            with serving(*peers_of(node, "retailer")) as (retailer,):
                node.await_that(lambda: node.guard == "ready", "two of three are enough as f is 1")
                node.share(1)
                assert node.size == lost_of_four.after + 1
                await_all([retailer], node.size)
                with serving(*peers_of(node, "processor")) as (processor,):
                    await_all([processor], node.size)
                    assert retailer.findings() == processor.findings() == []
        node.given_back |= set(range(lost_of_four.before, lost_of_four.after))
        node.end()
        node.check()


# --- an operator's word -------------------------------------------------------------------------


def statements(node: Served) -> list[str]:
    """What the node has said about itself in its log, newest last."""
    opened = Node.open(node.folder)
    try:
        with opened.store.read() as tx:
            log = opened.find_log(tx, VICTIM)
            found = [opened.joined.reader.read(tx, log, index).opened for index in range(log.size)]
    finally:
        opened.close()
    return [record.meta.type for record in found if record is not None and record.meta.contract is None]


def test_word_that_nothing_was_restored_opens_a_node_alone_and_stands_in_its_log(
    lost_of_two: Lost, tmp_path: Path
) -> None:
    with restored(lost_of_two, tmp_path, high_water=True) as node:
        shutil.rmtree(node.folder)
        shutil.copytree(lost_of_two.founded.folders[VICTIM], node.folder)
        node.start("--not-restored")
        node.await_that(lambda: node.guard == "ready", "it may sign, though nobody answers")
        node.share(1)
        assert node.size == lost_of_two.after + 2, "the statement comes before all else"
        node.end()
        node.check()
        assert statements(node)[-1] == "tally/not-restored"
        node.start()
        with serving(*peers_of(node)) as peers:
            node.share(1)
            await_all(peers, node.size)
            assert peers[0].findings() == []


def test_word_that_nothing_was_restored_is_refused_where_the_file_proves_the_contrary(
    two: Served, lost_of_two: Lost
) -> None:
    two.start("--not-restored")
    check_signs_nothing(two, lost_of_two, state="behind", waits_for=["retailer"])
    assert "--not-restored is refused" in two.log_path.read_text()
    with serving(*peers_of(two)) as peers:
        check_goes_on(two, lost_of_two, peers)
    assert "tally/not-restored" not in statements(two)


def test_word_that_nothing_was_restored_is_refused_where_a_peer_proves_the_contrary(
    two_unmarked: Served, lost_of_two: Lost
) -> None:
    with serving(*peers_of(two_unmarked)) as peers:
        two_unmarked.start("--not-restored")
        check_goes_on(two_unmarked, lost_of_two, peers)
    assert "tally/not-restored" not in statements(two_unmarked)


# --- another database ---------------------------------------------------------------------------


def test_database_that_is_swapped_under_a_running_node_is_not_written_to(lost_of_two: Lost, tmp_path: Path) -> None:
    with restored(lost_of_two, tmp_path, high_water=True) as node, serving(*peers_of(node)) as peers:
        shutil.rmtree(node.folder)
        shutil.copytree(lost_of_two.founded.folders[VICTIM], node.folder)
        node.start()
        node.share(1)
        await_all(peers, node.size)
        put_back(node.folder, lost_of_two.backup)
        refused = node.ask("POST", "/records", b'{"type": "note", "body": {}}')
        assert (refused.status_code, refused.json()["code"]) == (503, "database-replaced")
        node.await_that(lambda: node.is_dead, "it ends, so that its guard looks at the other database")
        node.process = None
        node.start()
        node.await_that(lambda: node.guard == "ready", "it has its entries back")
        node.share(1)
        await_all(peers, node.size)
        assert peers[0].findings() == []
        node.given_back |= set(range(lost_of_two.before, lost_of_two.after + 1))
        node.end()
        node.check(peers)


def test_node_whose_database_is_restored_in_place_ends_by_itself(lost_of_two: Lost, tmp_path: Path) -> None:
    with restored(lost_of_two, tmp_path, high_water=True) as node:
        shutil.rmtree(node.folder)
        shutil.copytree(lost_of_two.founded.folders[VICTIM], node.folder)
        with serving(*peers_of(node)):
            node.start()
            node.share(1)
        database = node.folder / DATABASE_NAME
        with closing(sqlite3.connect(lost_of_two.backup)) as old, closing(sqlite3.connect(database)) as new:
            old.backup(new)
        node.await_that(lambda: node.is_dead, "it ends, with nobody asking it for anything")
        assert node.process is not None
        assert node.process.returncode == ExitCode.UNREACHABLE, "no fault of the program"
        node.process = None
        assert "database-replaced" in node.log_path.read_text()


def test_database_of_another_history_is_never_signed_on(two: Served, lost_of_two: Lost) -> None:
    """It has gone on from the backup elsewhere, by somebody who forced it to."""
    mark = (two.folder / HIGH_WATER_NAME).read_bytes()
    (two.folder / HIGH_WATER_NAME).unlink()
    forced = Node.open(two.folder)
    forced.open_for_writing(not_restored=True)
    record = forced.joined.intake.parse(b'{"type": "note", "body": {}}', by=b'"test"')
    forced.append([record] * (lost_of_two.after - lost_of_two.before))()
    forced.close()
    (two.folder / HIGH_WATER_NAME).write_bytes(mark)
    size = own_size(two)
    two.start("--not-restored")
    two.await_that(lambda: two.guard == "behind", "it sees that there are two")
    refused = two.ask("POST", "/records", b'{"type": "note", "body": {}}')
    assert refused.status_code == 503
    assert "hold two histories" in refused.json()["detail"]
    with serving(*peers_of(two)) as (retailer,):
        two.await_that(lambda: two.standing(VICTIM).get("frozen"), "a peer proves it")
        assert two.ask("POST", "/records", b'{"type": "note", "body": {}}').status_code == 503
        assert retailer.log(VICTIM).checkpoint_size == lost_of_two.after
    two.end()
    assert own_size(two) == size


def own_size(node: Served) -> int:
    store = Store.open_readonly(node.folder / DATABASE_NAME)
    try:
        with store.read() as tx:
            log: Any = next(log for log in logs.list_logs(tx) if log.origin == node.origin)
            return int(log.size)
    finally:
        store.close()
