"""A database that becomes another one, under a running node or before it starts: nothing is signed twice over.

Neither checkpoints of the own log nor cosignatures of others'.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from ledger.checkpoint import SignedCheckpoint
from ledger.evidence import EvidenceKind
from ledger.names import MemberName
from node import agreements
from node.app import serve
from node.config import CONFIG_NAME, DATABASE_NAME, load_settings
from node.cosigned import COSIGNED_NAME, CosignedBroken, CosignedFile
from node.files import DatabaseLinked, FolderInUse, check_sole_name, sole_server
from node.guard import GuardState, OtherHistory
from node.highwater import HIGH_WATER_NAME
from node.node import Node
from node.storage import checkpoints, logs
from node.storage.copies import copy_database
from node.storage.replicas import read_signed
from node.storage.store import DatabaseReplaced, Store
from node.sync import driver
from node.watching import look_at_database
from tests import make_folders, nodes
from tests.make import Log
from tests.make_membership import Firm
from tests.make_peers import Peer, lying, serving, wait_until
from tests.make_served import put_back

AUTHOR: Final = "carrier"
WITNESS: Final = "fishery"


def write(node: Node, count: int) -> None:
    for number in range(count):
        node.append_one(agreements.draft_private("note", b'{"n":%d,"pad":"%s"}' % (number, b"x" * 300), by=b'"test"'))


def own_size(node: Node) -> int:
    with node.store.read() as tx:
        return node.find_log(tx, str(node.joined.origin)).size


def settle(path: Path) -> None:
    """All that is in the write-ahead log comes into the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(TRUNCATE)")


def restore_in_place(backup: Path, path: Path) -> None:
    """As `sqlite3 ledger.db ".restore backup.db"`: the file stays the same."""
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def copy_over(source: Path, target: Path) -> None:
    """As `cp`: by another process, as closing a file of one's own would drop the locks on it."""
    subprocess.run(["cp", str(source), str(target)], check=True)


@pytest.fixture
def founders() -> nodes.Founders:
    return nodes.found()


@pytest.fixture
def node(founders: nodes.Founders, tmp_path: Path) -> Iterator[Node]:
    node = founders.join(tmp_path)
    yield node
    with suppress(Exception):
        node.close()


@pytest.fixture
def database(node: Node) -> Path:
    return node.folder / DATABASE_NAME


@pytest.fixture
def backup(node: Node, database: Path, tmp_path: Path) -> Path:
    """Of some records ago."""
    write(node, 3)
    copy_database(database, tmp_path / "backup.db")
    write(node, 3)
    return tmp_path / "backup.db"


# --- under a running node ---------------------------------------------------------------------


def test_database_restored_in_place_is_not_signed_on(node: Node, database: Path, backup: Path) -> None:
    look_at_database(node)
    restore_in_place(backup, database)
    before = own_size(node)
    for _ in range(2):  # the head that was held, and the one that is there
        with pytest.raises(DatabaseReplaced):
            write(node, 1)
    assert own_size(node) == before
    with pytest.raises(DatabaseReplaced):
        look_at_database(node)


def test_longer_history_restored_in_place_is_not_signed_on(
    node: Node, database: Path, backup: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(node.folder, tmp_path / "other"))
    put_back(other, backup, high_water=False)
    forced = Node.open(other)
    forced.open_for_writing(not_restored=True)
    write(forced, 5)
    assert own_size(forced) > own_size(node)
    forced.close()
    restore_in_place(other / DATABASE_NAME, database)
    for _ in range(2):
        with pytest.raises(DatabaseReplaced):
            write(node, 1)
    with pytest.raises(DatabaseReplaced):
        look_at_database(node)


def test_database_copied_over_the_own_is_noticed(node: Node, database: Path, backup: Path) -> None:
    settle(database)
    copy_over(backup, database)
    for _ in range(2):
        with pytest.raises(DatabaseReplaced):
            write(node, 1)
    with pytest.raises(DatabaseReplaced):
        look_at_database(node)


@pytest.mark.slow
def test_shorter_file_copied_over_the_own_is_not_written_to(node: Node, database: Path, backup: Path) -> None:
    write(node, 200)
    settle(database)
    node.store.check_identity()
    copy_over(backup, database)
    with pytest.raises(DatabaseReplaced):
        node.store.check_identity()
    with pytest.raises(DatabaseReplaced):
        write(node, 1)


def test_database_restored_while_the_guard_waits_is_not_signed_on(
    founders: nodes.Founders, node: Node, database: Path, backup: Path
) -> None:
    node.close()
    (node.folder / HIGH_WATER_NAME).unlink()
    again = Node.open(node.folder)
    try:
        restore_in_place(backup, database)
        founders.answer_for_peers(again)
        assert again.joined.guard.is_ready
        with pytest.raises(DatabaseReplaced):
            again.open_for_writing()
        with pytest.raises(DatabaseReplaced):
            look_at_database(again)
    finally:
        again.close()


def test_a_node_that_fetches_its_log_back_is_left_to_it(node: Node, database: Path, backup: Path) -> None:
    node.close()
    put_back(node.folder, backup)
    again = Node.open(node.folder)
    try:
        assert again.joined.guard.state is GuardState.BEHIND
        look_at_database(again)
    finally:
        again.close()


# --- beside an old write-ahead log ------------------------------------------------------------


@pytest.mark.slow
def test_database_put_back_beside_an_old_log_is_a_doubt_that_says_so(
    founders: nodes.Founders, node: Node, database: Path, tmp_path: Path
) -> None:
    write(node, 300)
    copy_database(database, tmp_path / "backup.db")
    settle(database)
    write(node, 600)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma wal_checkpoint(RESTART)")
    write(node, 20)
    crashed = Path(shutil.copytree(node.folder, tmp_path / "crashed"))
    shutil.copyfile(tmp_path / "backup.db", crashed / DATABASE_NAME)
    again = Node.open(crashed)
    try:
        founders.answer_for_peers(again)
        assert again.joined.guard.state is GuardState.BEHIND
        with pytest.raises(Exception, match="-wal and -shm"):
            again.open_for_writing()
        with pytest.raises(OtherHistory):
            again.open_for_writing(not_restored=True)
    finally:
        again.close()


# --- a witness --------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> make_folders.Founded:
    """A witness and the author of a log that may lie; nobody else would know."""
    monkeypatch.setattr(driver, "_BACK_OFF_S", (0.05, 0.5))
    names = (AUTHOR, WITNESS)
    ports = dict(zip(names, make_folders.free_ports(2), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = make_folders.found(tmp_path, *names, endpoints=endpoints, peer_timeout_s=3)
    for name, folder in founded.folders.items():
        with (folder / CONFIG_NAME).open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


def await_cosigned(witness: Peer, size: int) -> None:
    wait_until(lambda: witness.cosigned(AUTHOR, WITNESS) >= size, f"{size} entries are cosigned")
    wait_until(lambda: witness.log(WITNESS).size, "its own log has begun, and grows no more")


def cosigned_roots(folder: Path) -> dict[int, bytes]:
    store = Store.open_readonly(folder / DATABASE_NAME)
    with store.read() as tx:
        number = next(log.number for log in logs.list_logs(tx) if log.origin.member == AUTHOR)
        sizes = {size for log, size, name in checkpoints.list_cosigned(tx) if (log, name) == (number, WITNESS)}
        notes = dict(checkpoints.list_checkpoints(tx, number))
    store.close()
    return {size: read_signed(notes[size]).checkpoint.root for size in sizes}


@pytest.mark.slow
@pytest.mark.parametrize("more", [2, 3, 4], ids=["shorter", "as long", "longer"])
def test_restored_witness_cosigns_no_other_history_and_proves_the_fork(
    pair: make_folders.Founded, tmp_path: Path, more: int
) -> None:
    folder, backup = pair.folders[WITNESS], tmp_path / "backup.db"
    log = Log(pair.firms[AUTHOR]).add(4)
    with lying(log, load_settings(pair.folders[AUTHOR]).port) as liar:
        with serving(folder) as (witness,):
            await_cosigned(witness, 4)
            copy_database(folder / DATABASE_NAME, backup)
            log.add(3)
            await_cosigned(witness, 7)
        put_back(folder, backup)
        assert sorted(cosigned_roots(folder)) == [4]
        liar.log = log.branch(4).add(more)
        with serving(folder) as (witness,):
            witness.may_fault = True
            wait_until(lambda: witness.is_ready, "nothing is missing of its own log")
            if more < 3:  # no larger than what it cosigned; the fork shows with the next entries
                wait_until(lambda: witness.log(AUTHOR).size == 4 + more, "it holds the other branch")
                liar.log.add(3)
            wait_until(lambda: witness.log(AUTHOR).frozen, "the fork is proved")
            assert [finding.kind for finding in witness.findings()] == [EvidenceKind.FORK]
    assert sorted(cosigned_roots(folder)) == [4]


@pytest.mark.slow
def test_restored_witness_cosigns_on_where_the_author_is_honest(pair: make_folders.Founded, tmp_path: Path) -> None:
    folder, backup = pair.folders[WITNESS], tmp_path / "backup.db"
    log = Log(pair.firms[AUTHOR]).add(4)
    with lying(log, load_settings(pair.folders[AUTHOR]).port):
        with serving(folder) as (witness,):
            await_cosigned(witness, 4)
            copy_database(folder / DATABASE_NAME, backup)
            log.add(3)
            await_cosigned(witness, 7)
        put_back(folder, backup)
        log.add(2)
        with serving(folder) as (witness,):
            await_cosigned(witness, 9)
            log.add(1)
            await_cosigned(witness, 10)
            assert witness.findings() == []
    assert sorted(cosigned_roots(folder)) == [4, 9, 10]


@pytest.mark.slow
def test_witness_whose_database_is_restored_in_place_cosigns_no_other_history(
    pair: make_folders.Founded, tmp_path: Path
) -> None:
    """Its own log has not grown since, so nothing else tells."""
    folder, backup = pair.folders[WITNESS], tmp_path / "backup.db"
    log = Log(pair.firms[AUTHOR]).add(4)
    with lying(log, load_settings(pair.folders[AUTHOR]).port) as liar, serving(folder) as (witness,):
        witness.may_fault = True
        await_cosigned(witness, 4)
        copy_database(folder / DATABASE_NAME, backup)
        log.add(3)
        await_cosigned(witness, 7)
        liar.log = log.branch(4).add(4)
        restore_in_place(backup, folder / DATABASE_NAME)
        # A round that was under way may have seen both, and proves the fork at once.
        wait_until(lambda: witness.log(AUTHOR).size == 8 or witness.log(AUTHOR).frozen, "it holds the other branch")
        liar.log.add(1)
        wait_until(lambda: witness.log(AUTHOR).frozen, "the fork is proved")
    assert sorted(cosigned_roots(folder)) == [4]


# --- the cosigned file ------------------------------------------------------------------------


def signed(log: Log, size: int) -> SignedCheckpoint:
    return read_signed(log.note(size))


@pytest.fixture
def log() -> Log:
    return Log(Firm(MemberName("carrier"))).add(9)


def test_newest_of_each_log_is_read_back(tmp_path: Path, log: Log) -> None:
    other = Log(Firm(MemberName("fishery"))).add(5)
    path = tmp_path / COSIGNED_NAME
    file = CosignedFile(path)
    for found in (signed(log, 3), signed(other, 5), signed(log, 9), signed(log, 4)):
        file.record(found)
    file.close()
    again = CosignedFile(path)
    again.check()
    assert again.newest(log.origin) == signed(log, 9)
    assert again.list_newest() == [signed(log, 9), signed(other, 5)]
    again.close()
    assert path.stat().st_size == 2 * 512
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"\0" * 512, b"x", "\u2014 x".encode(), b"\xff\xfe", b"a\n1\n"], ids=repr)
def test_damaged_slot_is_told_and_the_others_count(tmp_path: Path, log: Log, damage: bytes) -> None:
    path = tmp_path / COSIGNED_NAME
    file = CosignedFile(path)
    file.record(signed(log, 9))
    file.close()
    path.write_bytes(path.read_bytes() + damage)
    again = CosignedFile(path)
    with pytest.raises(CosignedBroken, match=COSIGNED_NAME):
        again.check()
    assert again.newest(log.origin) == signed(log, 9)
    again.forget_broken()
    again.check()
    again.close()
    last = CosignedFile(path)
    last.check()
    assert last.list_newest() == [signed(log, 9)]
    last.close()


def test_damaged_file_is_a_doubt_that_only_an_operators_word_lifts(founders: nodes.Founders, node: Node) -> None:
    write(node, 1)
    node.close()
    (node.folder / COSIGNED_NAME).write_bytes(b"nonsense")
    again = Node.open(node.folder)
    founders.answer_for_peers(again)
    assert again.joined.guard.state is GuardState.BEHIND
    with pytest.raises(Exception, match=COSIGNED_NAME):
        again.open_for_writing()
    again.open_for_writing(not_restored=True)
    again.close()
    last = Node.open(node.folder)
    founders.answer_for_peers(last)
    assert last.joined.guard.is_ready
    last.close()


# --- who may read it --------------------------------------------------------------------------


@pytest.mark.slow
def test_database_is_its_owners_alone_whatever_the_folder_and_the_mask(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from node.storage.store import Store\n"
        "os.umask(0o022); store = Store.open(Path(sys.argv[1]))\n"
        "with store.read(): print(*(oct(p.stat().st_mode & 0o777) for p in Path(sys.argv[1]).parent.iterdir()))\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    command = [sys.executable, "-c", program, str(folder / DATABASE_NAME)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.split() == ["0o600"] * 3


# --- who may serve it -------------------------------------------------------------------------


def test_folder_that_a_process_serves_is_served_by_no_other_until_that_is_gone(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from node.files import sole_server\n"
        "with sole_server(Path(sys.argv[1])): print('served', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "served\n"
        with pytest.raises(FolderInUse):
            serve(tmp_path)
        other.kill()
        other.wait()
    with sole_server(tmp_path):
        pass


def test_database_with_a_second_name_is_served_from_neither_folder(tmp_path: Path) -> None:
    """As `cp -al` and tools that merge equal files leave it: each name has a -wal of its own beside it."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    Store.open(folders[0] / DATABASE_NAME).close()
    os.link(folders[0] / DATABASE_NAME, folders[1] / DATABASE_NAME)
    for folder in folders:
        with pytest.raises(DatabaseLinked):
            serve(folder)
    (folders[1] / DATABASE_NAME).unlink()
    check_sole_name(folders[0] / DATABASE_NAME)
    check_sole_name(folders[1] / DATABASE_NAME)  # none is there yet
