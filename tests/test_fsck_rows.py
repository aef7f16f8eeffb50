"""fsck: the rows beside the logs, and whose keys open a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.evidence import encode_evidence, make_fork
from ledger.names import MemberName
from node.append import Appended
from node.fsck import Report, check_store, read_owner
from node.node import Node
from node.services.records import find_record_by_id
from node.storage.copies import copy_database
from node.storage.packing import RowDamaged
from node.storage.store import Store
from node.sync.evidence import take_evidence
from tests import nodes
from tests.make import Log
from tests.make_cli import tally
from tests.make_folders import Founded, found
from tests.test_charter_in_force import file_record, founders, vouch

__all__ = ["founders"]  # a fixture


@dataclass
class Copy:
    """A copy of a node's store, to be changed and checked."""

    path: Path
    keyring: Any

    def change(self, statement: str, *values: Any) -> None:
        store = Store.open(self.path)
        with store.write("adopt") as tx:
            assert tx.exec_driver_sql(statement, values).rowcount > 0, "the test changes something"
        store.close()

    def check(self, *, has_keys: bool = True) -> Report:
        if not has_keys:
            return check_store(self.path)
        return check_store(self.path, keyring=self.keyring, member=MemberName("fishery"))

    def faults(self, **given: bool) -> list[tuple[str, str]]:
        return [(fault.what, fault.reason) for fault in self.check(**given).faults]


@pytest.fixture
def copy(founders: nodes.Founders, tmp_path: Path) -> Copy:
    """Of a store with statements, records and a cosignature."""
    node = founders.join(tmp_path)
    contract = nodes.agree(node)
    for number in range(3):
        file_record(node, "catch", f'{{"kind":{number}}}', contract)
    vouch(node, founders, "fishery", "carrier")
    copy_database(node.folder / "ledger.db", tmp_path / "copy.db")
    node.close()
    made = Copy(tmp_path / "copy.db", node.keyring)
    report = made.check()
    assert report.faults == []
    assert (report.statements, report.cosignatures) == (1, 1)
    return made


# --- statements -----------------------------------------------------------------------------


def test_statement_that_is_not_indexed_is_named(copy: Copy) -> None:
    copy.change("DELETE FROM statement WHERE type = 'tally/propose'")
    (fault,) = copy.check().faults
    assert (fault.what, fault.reason, fault.index) == ("statement", "tally/propose: it is not indexed", 1)
    assert copy.faults(has_keys=False) == [], "without keys nobody can tell"


def test_statement_of_another_type_is_named(copy: Copy) -> None:
    copy.change("UPDATE statement SET type = 'tally/end' WHERE type = 'tally/propose'")
    assert copy.faults() == [("statement", "tally/end: the record is of type tally/propose")]


@pytest.mark.slow
@pytest.mark.parametrize("has_keys", [True, False])
def test_statement_of_no_record_is_named(copy: Copy, *, has_keys: bool) -> None:
    copy.change("INSERT INTO statement (key, type) VALUES (?, 'tally/accept')", (1 << 40) + 3)
    if has_keys:
        assert copy.faults() == [("statement", "tally/accept: the record is of type catch")]
    for log, index in ((1, 99), (77, 0)):
        copy.change("INSERT INTO statement (key, type) VALUES (?, 'tally/accept')", (log << 40) + index)
    found = copy.faults(has_keys=has_keys)
    assert found.count(("statement", "tally/accept: of an entry that is not here")) == 2


# --- ids, slots, and rows of nothing -----------------------------------------------------------


@pytest.mark.parametrize("move", ['"index" - 1', '"index" + 1', '"index" + 77'])
def test_id_that_leads_to_another_entry_is_named(copy: Copy, move: str) -> None:
    copy.change(f'UPDATE record_id SET "index" = {move} WHERE "index" = 3')
    assert {what for what, _ in copy.faults(has_keys=False)} == {"id"}


@pytest.mark.parametrize("move", ['"index" - 1', '"index" + 77'])
def test_slot_that_leads_to_another_entry_is_named(copy: Copy, move: str) -> None:
    copy.change(f'UPDATE slot SET "index" = {move} WHERE "index" = (SELECT max("index") FROM slot)')
    assert "slot" in {what for what, _ in copy.faults(has_keys=False)}


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("INSERT INTO record_id SELECT number, zeroblob(16), 3 FROM log WHERE size > 3", "id"),
        ("INSERT INTO target SELECT number, 999, X'00' FROM log WHERE size > 3", "target"),
        ("UPDATE checkpoint SET log = 77 WHERE size = 3", "log"),
        ("INSERT INTO gap SELECT (number << 40) + 3, 'lost' FROM log WHERE size > 3", "gap"),
        ("INSERT INTO gap SELECT (number << 40) + 99, 'lost' FROM log WHERE size > 3", "gap"),
        ("INSERT INTO sidecar SELECT (number << 40) + 99, X'00' FROM log WHERE size > 3", "body"),
        ("INSERT INTO meta VALUES ('own-origiN', 'x')", "fact"),
        ("UPDATE log SET size = 1 << 50 WHERE size > 3", "head"),
        ("UPDATE log SET frozen = 'x' WHERE size = 0", "head"),
        ("DELETE FROM log WHERE size = 0", "log"),
    ],
)
def test_row_that_belongs_to_nothing_is_named(copy: Copy, statement: str, what: str) -> None:
    copy.change(statement)
    assert what in {found for found, _ in copy.faults(has_keys=False)}


def test_own_body_that_is_gone_is_named_whatever_the_store_says_it_is(copy: Copy) -> None:
    copy.change("UPDATE meta SET name = 'own-origiN' WHERE name = 'own-origin'")
    copy.change("DELETE FROM sidecar WHERE key & 0xff = 3")
    assert ("body", "it is not here, and no gap says so") in copy.faults()


def test_record_is_not_shown_under_the_id_of_another(founders: nodes.Founders, tmp_path: Path) -> None:
    node = founders.join(tmp_path)
    placed = [file_record(node, "note", f'{{"a":{number}}}') for number in range(2)]
    assert find_record_by_id(node, placed[1].id).record.index == placed[1].index
    with node.store.write("adopt") as tx:
        tx.exec_driver_sql('UPDATE record_id SET "index" = "index" - 1 WHERE id = ?', (placed[1].id,))
    with pytest.raises(RowDamaged) as refused:
        find_record_by_id(node, placed[1].id)
    assert "tally fsck" in refused.value.hint
    node.close()


def test_answer_that_leads_to_no_entry_is_refused_and_named(founders: nodes.Founders, tmp_path: Path) -> None:
    node = founders.join(tmp_path)
    record = node.joined.intake.parse(b'{"type":"note","body":{"a":1}}', by=b'"test"', answer_key=bytes(32))
    assert isinstance(node.append([record])()[0], Appended)
    with node.store.write("adopt") as tx:
        tx.exec_driver_sql('UPDATE answer SET "index" = 999')
    fresh = node.joined.intake.parse(b'{"type":"note","body":{"a":2}}', by=b'"test"', answer_key=b"b" * 32)
    damaged, recorded = node.append([record, fresh])()
    assert (type(damaged), type(recorded)) == (RowDamaged, Appended)
    assert [fault.what for fault in check_store(node.folder, keyring=node.keyring).faults] == ["answer"]
    node.close()


# --- cosignatures, evidence -----------------------------------------------------------------


def test_cosignature_without_its_checkpoint_is_named(copy: Copy) -> None:
    copy.change("INSERT INTO cosignature (log, member, size, line) VALUES (1, 'retailer', 2, X'00')")
    copy.change("DELETE FROM checkpoint WHERE size = 2")
    copy.change("INSERT INTO cosignature (log, member, size, line) VALUES (55, 'retailer', 1, X'00')")
    assert copy.faults() == [
        ("cosignature", "of retailer, of size 2, of which no checkpoint is kept"),
        ("cosignature", "of retailer, of size 1, of which no checkpoint is kept"),
    ]


@pytest.fixture
def convicted(tmp_path: Path) -> Iterator[tuple[Node, Founded]]:
    """The fishery's node, with evidence of a fork of the carrier's log."""
    founded = found(tmp_path / "network", "carrier", "fishery", "retailer")
    node = Node.open(founded.folders["fishery"])
    log = Log(founded.firms["carrier"]).add(9)
    other = log.branch(1).add(8)
    evidence = make_fork(log.note(5), other.note(5), path=[], network=node.membership.network)
    assert take_evidence(node, encode_evidence(evidence))
    yield node, founded
    node.close()


def copied(node: Node, path: Path) -> Copy:
    copy_database(node.folder / "ledger.db", path)
    return Copy(path, node.keyring)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE evidence SET place = 4", "its columns are not what its document proves"),
        ("UPDATE evidence SET kind = 'repeat'", "its columns are not what its document proves"),
        ("UPDATE evidence SET log = ''", "its columns are not what its document proves"),
        ("UPDATE evidence SET member = 'retailer'", "its columns are not what its document proves"),
        ("UPDATE evidence SET id = zeroblob(32)", "its id is not that of its document"),
        ("UPDATE evidence SET document = substr(document, 2)", "evidence:"),
    ],
)
def test_evidence_that_is_not_what_its_row_says_is_named(
    convicted: tuple[Node, Founded], tmp_path: Path, change: str, reason: str
) -> None:
    copy = copied(convicted[0], tmp_path / "copy.db")
    report = copy.check()
    assert (report.faults, report.evidence) == ([], 1)
    copy.change(change)
    found = copy.faults()
    # The log is frozen, and where the piece does not say of it that it forked, nothing says why.
    assert {"evidence"} <= {what for what, _ in found} <= {"evidence", "head"}
    assert any(reason in told or reason == "evidence:" for _, told in found)


def test_evidence_whose_key_a_later_card_took_away_still_stands(
    convicted: tuple[Node, Founded], tmp_path: Path
) -> None:
    node, founded = convicted
    liar = founded.firms["carrier"]
    card = liar.card(log=2, log_from=4, previous=node.membership.card("carrier"))
    node.learn_cards([liar.signed(card)])
    assert copied(node, tmp_path / "copy.db").faults() == []


# --- whose keys -----------------------------------------------------------------------------


@pytest.mark.slow
def test_copy_of_another_member_is_not_opened_with_the_keys_of_this_one(
    founders: nodes.Founders, tmp_path: Path
) -> None:
    folders = {}
    for name in ("fishery", "carrier"):
        node = founders.join(tmp_path, name)
        file_record(node, "note", '{"a":1}')
        node.close()
        folders[name] = node.folder
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folders["carrier"] / "ledger.db", bare / "ledger.db")
    owner = read_owner(bare)
    assert owner is not None
    assert owner.member == "carrier"
    for target in (bare, bare / "ledger.db"):
        checked = tally("fsck", "--offline", target, "--dir", folders["fishery"])
        assert (checked.code, "not opened" in checked.err) == (0, True)
        # With the keys of the one whose it is, and with those beside the copy, it is opened.
        checked = tally("fsck", "--offline", target, "--dir", folders["carrier"])
        assert (checked.code, "not opened" in checked.err) == (0, False)
    for target in (folders["carrier"], folders["carrier"] / "ledger.db"):
        checked = tally("fsck", "--offline", target, "--dir", folders["fishery"])
        assert (checked.code, "not opened" in checked.err) == (0, False)
