"""The record search: what is found, in which order, and that the view is always what the ledger says."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from ledger import limits
from ledger.card import make_card, sign_card
from ledger.charter import CharterMember, Council, make_charter, sign_charter
from ledger.errors import EncodingError
from ledger.keys import make_signing_key
from ledger.merkle import leaf_hash
from ledger.names import Digest, MemberName, NetworkName, Origin, RecordId, encode_b64, make_id
from ledger.network import NetworkFile
from ledger.record import Link, Meta, Opened
from ledger.record.sealer import Sealer
from ledger.sidecar import Sidecar
from node import agreements
from node.agreements import ACCEPT, PROPOSE, draft_addressed
from node.append import NewRecord
from node.changes import Changes
from node.intake import submitter
from node.keyring import make_keyring, save_keyring
from node.node import Node
from node.reader import ReadRecord
from node.storage import logs, sidecars, viewsearch, viewstore
from node.storage.packing import pack_entry, pack_raw_entry, pack_received
from node.storage.store import Tx
from node.storage.tables import row_key
from node.storage.viewsource import open_ledger
from node.storage.viewstore import VIEWS_NAME, ViewsNotReady, ViewStore, ViewTx
from node.storage.viewtables import LAYOUT, RecordValues, split_place
from node.views import supervisor, worker
from node.views.projecting import GAPS_REST_S, Projector
from node.views.rows import clip, project, term
from node.views.search import Filters, Found, Page, SearchWrong, position, search, wait_until
from node.views.supervisor import ViewWorker, start_worker
from tests import nodes

_NETWORK: Final = NetworkName("net")
_SOURCE: Final = '''"""Share shipments; the carrier is given what it must load, and no more of the quantities."""
ROLES = {"shipper", "receiver", "carrier"}
SIGNERS = set()
AUTHORS = {"epcis/ObjectEvent": {"shipper"}, "note": {"shipper"}}
SHARES = {
    "epcis/ObjectEvent": {
        "/*": {"shipper", "receiver"},
        "/eventID": {"shipper", "receiver", "carrier"},
        "/quantityList": {"shipper", "receiver", "carrier"},
        "/quantityList/*/quantity": {"shipper", "receiver"},
    },
    "note": {"/*": {"shipper", "receiver"}},
}
'''
_FIRST_MS: Final = 1_763_680_000_000


# --- builders -----------------------------------------------------------------------------------


@dataclass
class Firms:
    """Nodes of one network in one process; `a` writes under a contract with `b` (receiver) and `c` (carrier)."""

    folder: Path
    nodes: dict[str, Node]
    contract: Digest | None = None
    clock_ms: list[int] = field(default_factory=lambda: [_FIRST_MS])

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def origin(self) -> Origin:
        return self["a"].joined.origin

    def file(self, *envelopes: dict[str, Any], flags: Sequence[str] = (), links: Sequence[Link] = ()) -> int:
        """Records of `a` under the contract, one millisecond each; returns the index of the last."""
        intake, outcomes = self["a"].joined.intake, []
        for envelope in envelopes:
            self.clock_ms[0] += 1
            draft = intake.draft(
                envelope["type"],
                json.dumps(envelope["body"]).encode(),
                by=submitter("erp"),
                contract=envelope.get("contract", self.contract),
                links=links,
                flags=json.dumps(list(flags)).encode() if flags else b"",
            )
            outcomes.append(self["a"].append_one(draft))
        return outcomes[-1].index

    def file_many(self, count: int, start: int = 0) -> None:
        intake = self["a"].joined.intake
        self.clock_ms[0] += 1
        drafts = [
            intake.draft("epcis/ObjectEvent", json.dumps(event(start + i)["body"]).encode(), by=b'"erp"',
                         contract=self.contract)
            for i in range(count)
        ]  # fmt: skip
        self["a"].append([NewRecord(draft) for draft in drafts])()

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def make_firms(folder: Path, names: str = "abc") -> Firms:
    rings = {name: make_keyring(_NETWORK, MemberName(name)) for name in names}
    cards, members = [], []
    for port, (name, ring) in enumerate(rings.items(), 7450):
        (folder / name).mkdir()
        save_keyring(folder / name, ring, None)
        settings = f'network = "net"\nmember = "{name}"\nendpoints = ["http://127.0.0.1:{port}"]\n'
        (folder / name / "tally.toml").write_text(settings)
        card = make_card(
            log_key=ring.log.public, witness_keys=[ring.witness.public], transport_keys=[ring.transport.public],
            sealing_key=next(iter(ring.opening.values())).public, endpoints=[f"http://127.0.0.1:{port}"],
        )  # fmt: skip
        cards.append(sign_card(card, [ring.root]))
        members.append(CharterMember(name=MemberName(name), keys=(ring.root.public,), threshold=1))
    council = Council(members=tuple(m.name for m in members), threshold=len(members) // 2 + 1)
    charter = make_charter(network=_NETWORK, members=members, council=council, f=0)
    note = sign_charter(charter, [ring.root for ring in rings.values()])
    firms = Firms(folder, {})
    firms.nodes = {name: Node.open(folder / name, clock=lambda: firms.clock_ms[0]) for name in names}
    for node in firms.nodes.values():
        node.adopt(NetworkFile(charters=(note,), cards=tuple(cards)))
        for name in names:
            node.joined.guard.heard(MemberName(name), 0)
    firms["a"].open_for_writing()
    firms.contract = agree(firms["a"], names)
    return firms


def agree(node: Node, names: str) -> Digest:
    """A sharing agreement that all have accepted; returns its id."""
    parties = {"shipper": ["a"], "receiver": [names[1]], "carrier": [names[-1]]}
    body = {"source": _SOURCE, "terms": {}, "parties": parties, "secret": encode_b64(bytes(32))}
    to = [MemberName(name) for name in names]
    node.append_one(draft_addressed(PROPOSE, json.dumps(body).encode(), by=submitter("erp"), to=to))
    contract = node.agreements.list()[0]
    for name in to:
        node.agreements.state(contract.id, ACCEPT, name)
    return contract.id


def event(number: int = 0, **members: Any) -> dict[str, Any]:
    body = {
        "type": "ObjectEvent", "eventID": f"urn:x:event:{number}", "eventTime": "2026-03-14T09:26:53Z",
        "action": "OBSERVE", "bizStep": "shipping", "disposition": "in_transit", "epcList": [f"urn:x:epc:{number}"],
    }  # fmt: skip
    return {"type": "epcis/ObjectEvent", "body": body | members}


def fill(node: Node) -> None:
    """What the worker does, here and at once."""
    fill_folder(node.folder)


def fill_folder(folder: Path) -> None:
    projector = worker.open_projector(folder)
    finish(projector)
    projector.close()


def finish(projector: Projector) -> None:
    while projector.run_round():
        pass


def found(node: Node, *, limit: int = 100, newest_first: bool = False, **filters: Any) -> list[Found]:
    views = ViewStore.open_for_search(node.folder / VIEWS_NAME)
    return list(search(views, Filters(**filters), limit=limit, newest_first=newest_first).rows)


def indexes(node: Node, **filters: Any) -> list[int]:
    return indexes_of(node.folder, **filters)


def indexes_of(folder: Path, **filters: Any) -> list[int]:
    views = ViewStore.open_for_search(folder / VIEWS_NAME)
    return [row.index for row in search(views, Filters(**filters), newest_first=False).rows]


def views_of(node: Node) -> ViewStore:
    return ViewStore.open_for_search(node.folder / VIEWS_NAME)


def dump(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table, in order."""
    connection = sqlite3.connect(folder / VIEWS_NAME)
    try:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("record", "identifier", "flag", "problem", "judged", "position")
        }
    finally:
        connection.close()


def assert_is_as_rebuilt(folder: Path) -> None:
    before = dump(folder)
    nodes.rebuild(folder)
    assert dump(folder) == before


@pytest.fixture
def firms(tmp_path: Path) -> Iterator[Firms]:
    made = make_firms(tmp_path)
    yield made
    made.close()


# What a sync of `b` with `a` does to the database of `b`.


def mirror_entries(firms: Firms, reader: str, end: int) -> None:
    with firms["a"].store.read() as tx:
        log = logs.find_log(tx, firms.origin)
        assert log is not None
        start = mirrored_size(firms[reader], firms.origin)
        query = "SELECT packed FROM entry WHERE key >= ? AND key < ? ORDER BY key"
        rows = tx.exec_driver_sql(query, (row_key(log.number, start), row_key(log.number, end)))
        packed = [row[0] for row in rows]
    add_entries(firms[reader], firms.origin, packed)


def mirrored_size(node: Node, origin: Origin) -> int:
    with node.store.read() as tx:
        log = logs.find_log(tx, origin)
        assert log is not None
        return log.size


def add_entries(node: Node, origin: Origin, packed: Sequence[bytes]) -> None:
    leaves = [Digest(row[1:33]) for row in packed]
    with node.store.write("sync-entries") as tx:
        log = logs.find_log(tx, origin)
        assert log is not None
        logs.insert_entries(tx, log.number, log.size, packed)
        frontier = log.frontier.extended(leaves)
        logs.advance_head(tx, log, frontier=frontier, last_leaf=leaves[-1], checkpoint=None, checkpoint_size=0)


def mirror_bodies(
    firms: Firms, reader: str, end: int, *, missing: Sequence[int] = (), sections: dict[int, set[int]] | None = None
) -> None:
    """Bodies up to `end`; those `missing` become gaps, and of those in `sections` only these sections come."""
    with firms[reader].store.write("sync-bodies") as tx:
        log = logs.find_log(tx, firms.origin)
        assert log is not None
        bodies = given_bodies(firms, reader, tx, log.bodies_size, end)
        for index, only in (sections or {}).items():
            bodies[index] = Sidecar(bodies[index].manifest, bodies[index].wraps,
                                    {n: text for n, text in bodies[index].sections.items() if n in only})  # fmt: skip
        numbers = {channel.id: channel.number for channel in sidecars.list_channels(tx).values()}
        sidecars.insert_sidecars(
            tx, log.number, [(i, pack_received(s, numbers)) for i, s in bodies.items() if i not in missing]
        )
        sidecars.insert_gaps(tx, log.number, [(index, "seal-broken: not here") for index in missing])
        logs.set_log(tx, log.number, bodies_size=end)


def bring_late(firms: Firms, reader: str, index: int, *, still: str | None = None) -> None:
    """A body that had been given up arrives; `still`: what remains to be said of the gap."""
    with firms[reader].store.write("restore") as tx:
        log = logs.find_log(tx, firms.origin)
        assert log is not None
        bodies = given_bodies(firms, reader, tx, index, index + 1)
        numbers = {channel.id: channel.number for channel in sidecars.list_channels(tx).values()}
        sidecars.delete_sidecars(tx, log.number, [index])
        sidecars.insert_sidecars(tx, log.number, [(index, pack_received(bodies[index], numbers))])
        if still is None:
            sidecars.delete_gap(tx, log.number, index)
        else:
            sidecars.insert_gaps(tx, log.number, [(index, still)])


def given_bodies(firms: Firms, reader: str, tx: Tx, start: int, end: int) -> dict[int, Sidecar]:
    with firms["a"].store.read() as theirs:
        log = logs.find_log(theirs, firms.origin)
        assert log is not None
        bodies, _ = sidecars.read_bodies(
            theirs, log.number, start=start, end=end, caller=MemberName(reader), author=MemberName("a"),
            keeper=MemberName("a"), bytes_max=1 << 30,
        )  # fmt: skip
        sent = [channel for channel in sidecars.list_channels(theirs).values() if channel.message in bodies.messages]
    known = {channel.id for channel in sidecars.list_channels(tx).values()}
    for channel in sent:
        if channel.id not in known:
            sidecars.insert_channel(
                tx, channel_id=channel.id, wrapper=channel.wrapper, reader=channel.reader, message=channel.message
            )
    return dict(bodies.sidecars)


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_filter_finds_its_records_and_no_others(firms: Firms) -> None:
    firms.file(event(1), event(2, bizStep="receiving", epcList=[], parentID="urn:x:pallet"))
    firms.file({"type": "note", "body": {"text": "hello"}}, event(3, disposition="damaged"), flags=["invalid", "late"])
    last = firms.file({"type": "memo", "body": {"epcList": ["urn:x:epc:1"]}, "contract": None})
    fill(firms["a"])
    a, first = firms["a"], last - 4
    assert indexes(a, event_id="urn:x:event:1") == [first]
    assert indexes(a, epc="urn:x:epc:1") == [first]
    assert indexes(a, epc="urn:x:pallet") == [first + 1]
    assert indexes(a, biz_step="receiving") == [first + 1]
    assert indexes(a, type="note") == [first + 2]
    assert indexes(a, flag="late") == [first + 2, first + 3]
    assert indexes(a, contract=firms.contract) == [first, first + 1, first + 2, first + 3]
    assert indexes(a, type="memo", contract=firms.contract) == []
    assert indexes(a, biz_step="shipping", flag="invalid") == [first + 3]
    assert indexes(a, epc="urn:x:epc:3", flag="invalid", type="epcis/ObjectEvent", state="open") == [first + 3]
    assert indexes(a, epc="urn:x:epc:1", flag="invalid") == []
    assert indexes(a, from_ms=_FIRST_MS + 2, to_ms=_FIRST_MS + 4) == [first + 1, first + 2]
    assert indexes(a, log="net/a") == indexes(a, log="a") == indexes(a, author="a") == list(range(last + 1))
    assert indexes(a, log="net/b") == indexes(a, author="z") == indexes(a, log="net/a", author="b") == []
    assert indexes(a, state="closed") == []


@pytest.mark.slow
def test_a_row_says_what_the_list_of_records_shows(firms: Firms) -> None:
    link = Link(relation="document", origin="net/a", index=1, leaf=Digest(bytes(32)))
    index = firms.file(event(7), flags=["error-declaration"], links=[link])
    fill(firms["a"])
    (row,) = found(firms["a"], event_id="urn:x:event:7")
    assert row.id is not None and row.id[:6] == (_FIRST_MS + 1).to_bytes(6, "big")
    assert row == Found(
        log=firms.origin, index=index, place=row.place, id=row.id, time_ms=_FIRST_MS + 1, state="open", gap=None,
        type="epcis/ObjectEvent", contract=firms.contract, role="shipper", event_id="urn:x:event:7",
        event_time="2026-03-14T09:26:53Z", biz_step="shipping", disposition="in_transit", action="OBSERVE",
        flags=("error-declaration",), document="net/a#1", by="erp", has_more_identifiers=False, problems=(),
    )  # fmt: skip
    assert row.author == "a"


_IDENTIFIERS: Final = {
    "epcList": ["urn:x:1", "urn:x:2"], "parentID": "urn:x:3", "childEPCs": ["urn:x:4"],
    "inputEPCList": ["urn:x:5"], "outputEPCList": ["urn:x:6"], "quantityList": [{"epcClass": "urn:x:7", "quantity": 1}],
    "childQuantityList": [{"epcClass": "urn:x:8"}], "inputQuantityList": [{"epcClass": "urn:x:9"}],
    "outputQuantityList": [{"epcClass": "urn:x:10"}],
}  # fmt: skip


@pytest.mark.slow
def test_an_identifier_is_found_wherever_an_event_names_it(firms: Firms) -> None:
    index = firms.file(event(1, **_IDENTIFIERS))
    fill(firms["a"])
    assert [indexes(firms["a"], epc=f"urn:x:{i}") for i in range(1, 11)] == [[index]] * 10


@pytest.mark.slow
def test_search_sees_only_what_this_member_may_read(firms: Firms) -> None:
    index = firms.file(event(1, **_IDENTIFIERS), flags=["invalid"])
    for reader in "bc":
        mirror_entries(firms, reader, index + 1)
        mirror_bodies(firms, reader, index + 1)
        fill(firms[reader])
    assert indexes(firms["b"], epc="urn:x:1") == [index]
    assert indexes(firms["c"], epc="urn:x:1") == indexes(firms["c"], biz_step="shipping") == []
    assert indexes(firms["c"], epc="urn:x:7") == indexes(firms["c"], event_id="urn:x:event:1") == [index]
    assert found(firms["b"], flag="invalid") == []
    (row,) = found(firms["b"], epc="urn:x:1")
    assert (row.flags, row.by) == ((), None)


# --- pages ----------------------------------------------------------------------------------------


def pages(views: ViewStore, filters: Filters, *, limit: int, newest_first: bool) -> Iterator[Page]:
    page = search(views, filters, limit=limit, newest_first=newest_first)
    yield page
    while page.next is not None:
        page = search(views, filters, cursor=page.next, limit=limit, newest_first=newest_first)
        yield page


@pytest.mark.slow
def test_pages_give_every_row_once_in_order(firms: Firms) -> None:
    firms.file(*(event(i, epcList=["urn:x:same"]) for i in range(11)))
    firms.file_many(5, start=100)  # one batch: many rows within one millisecond
    fill(firms["a"])
    views = views_of(firms["a"])
    for filters in (
        Filters(), Filters(type="epcis/ObjectEvent"), Filters(epc="urn:x:same"), Filters(log="a", state="open")
    ):  # fmt: skip
        for newest_first in (True, False):
            expected = [row.index for row in search(views, filters, limit=1000, newest_first=newest_first).rows]
            assert expected == sorted(expected, reverse=newest_first) and len(expected) >= 11
            for limit in (1, 3, len(expected), len(expected) + 1):
                got = list(pages(views, filters, limit=limit, newest_first=newest_first))
                assert [row.index for page in got for row in page.rows] == expected
                assert all(len(page.rows) == limit for page in got[:-1])


@pytest.mark.slow
def test_rows_that_come_between_pages_shift_nothing(firms: Firms) -> None:
    firms.file(*(event(i) for i in range(6)))
    fill(firms["a"])
    views = views_of(firms["a"])
    before = [row.index for row in search(views, Filters(), newest_first=True).rows]
    first = search(views, Filters(), limit=4, newest_first=True)
    firms.file(event(10), event(11))
    fill(firms["a"])
    rest = search(views, Filters(), cursor=first.next, newest_first=True)
    assert [row.index for row in (*first.rows, *rest.rows)] == before


@given(st.binary(min_size=14, max_size=14))
def test_a_cursor_comes_back_as_it_went(place: bytes) -> None:
    from node.views import search as module

    assert module._decode_cursor(module._encode_cursor(place)) == place


@given(st.one_of(st.text(max_size=24), st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_a_cursor_that_no_page_gave_is_refused(text: str) -> None:
    from node.views import search as module

    try:
        place = module._decode_cursor(text)
    except EncodingError:
        return
    assert len(place) == 14 and module._encode_cursor(place) == text


@pytest.mark.parametrize(
    "text", ["", "=", "A" * 18, "A" * 20, "A" * 18 + "B", "A" * 19 + "=", "é" * 19, "A" * 18 + "\n"]
)
def test_a_cursor_has_one_form(tmp_path: Path, text: str) -> None:
    views = ViewStore.open(tmp_path / VIEWS_NAME)
    with pytest.raises(EncodingError):
        search(views, Filters(), cursor=text)
    views.close()


@pytest.mark.parametrize(("limit", "is_good"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_a_page_has_bounds(tmp_path: Path, limit: int, is_good: bool) -> None:
    views = ViewStore.open(tmp_path / VIEWS_NAME)
    if is_good:
        assert search(views, Filters(), limit=limit) == Page(rows=(), next=None)
    else:
        with pytest.raises(SearchWrong, match="limit"):
            search(views, Filters(), limit=limit)
    views.close()


@pytest.mark.slow
def test_times_out_of_all_bounds_are_no_error(firms: Firms) -> None:
    fill(firms["a"])
    everything = indexes(firms["a"])
    assert indexes(firms["a"], from_ms=-5, to_ms=1 << 80) == everything != []
    assert indexes(firms["a"], from_ms=1 << 48) == indexes(firms["a"], to_ms=-1) == indexes(firms["a"], to_ms=0) == []


@pytest.mark.slow
def test_a_filter_that_is_no_text_is_refused(firms: Firms) -> None:
    fill(firms["a"])
    with pytest.raises(SearchWrong, match="epc"):
        found(firms["a"], epc="\ud800")


_PLANS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({}, "record"),
    ({"author": "a", "from_ms": 1, "to_ms": 2}, "record_log"),
    ({"log": "a"}, "record_log"),
    ({"state": "open"}, "record_state"),
    ({"type": "t", "log": "a", "state": "open"}, "record_type"),
    ({"biz_step": "b", "type": "t"}, "record_biz_step"),
    ({"contract": bytes(32), "biz_step": "b"}, "record_contract"),
    ({"type": "t", "event_id": "e", "log": "a", "state": "open", "contract": bytes(32)}, "record_event_id"),
    ({"flag": "f", "event_id": "e"}, "flag"),
    ({"epc": "e", "flag": "f", "type": "t", "log": "a"}, "identifier"),
)


@pytest.mark.slow
def test_every_search_follows_one_index_in_order(firms: Firms) -> None:
    fill(firms["a"])
    with views_of(firms["a"]).read() as tx:
        for filters, leader in _PLANS:
            for newest_first in (True, False):
                plan = explain(tx, Filters(**filters), newest_first=newest_first)
                assert not any("SCAN" in step or "TEMP B-TREE" in step for step in plan), plan
                assert re.search(rf"\b{leader}\b", plan[0]), plan


def explain(tx: ViewTx, filters: Filters, *, newest_first: bool) -> list[str]:
    numbers = viewsearch._log_numbers(tx, filters)
    query = viewsearch._query(filters, numbers, after=bytes(14), newest_first=newest_first).limit(10)
    text = str(query.compile(dialect=tx.dialect))
    return [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?"))]


@pytest.mark.slow
def test_a_search_that_reads_on_and_on_is_stopped(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    firms.file_many(3000)
    fill(firms["a"])
    assert found(firms["a"], type="epcis/ObjectEvent", state="closed") == []
    monkeypatch.setattr(limits, "VIEW_SEARCH_S", 0.0)
    with pytest.raises(viewsearch.SearchTooSlow):
        found(firms["a"], type="epcis/ObjectEvent", state="closed")
    assert len(found(firms["a"], event_id="urn:x:event:7")) == 1


# --- hostile and odd contents ------------------------------------------------------------------------


def opened(
    body: bytes | dict[str, Any] = b"{}",
    *,
    type_name: str = "epcis/ObjectEvent",
    notes: Sequence[tuple[str, bytes]] = (),
) -> ReadRecord:
    """A record as the reader hands it over, with what its author sealed."""
    meta = Meta(type=type_name, contract=None, role=None, audience=((), ()))
    return ReadRecord(
        origin=Origin(_NETWORK, MemberName("a")),
        index=3,
        leaf=Digest(bytes(32)),
        id=make_id(5, bytes(10)),
        state="open",
        opened=Opened(meta=meta, sections={0: [], 1: list(notes)}, seeds={}),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def projected(record: ReadRecord, *, is_own: bool = False) -> tuple[RecordValues, list[str]]:
    item = project(record, key=row_key(1, 3), time_ms=9, gap=None, is_own=is_own)
    assert split_place(item.row.place) == (5, 1, 3)
    return item.row, list(item.identifiers)


def test_a_text_is_cut_only_beyond_the_limit() -> None:
    for letter in ("a", "é", "€", "😀"):
        whole, rest = divmod(limits.VIEW_TEXT_BYTES_MAX, len(letter.encode()))
        fits = letter * whole + "a" * rest
        assert clip(fits) == fits
        longer = clip(fits + "a")
        assert longer != fits + "a" and len(longer.encode()) <= limits.VIEW_TEXT_BYTES_MAX
        assert longer != clip(fits + "b")


@pytest.mark.slow
def test_a_huge_identifier_is_found_by_all_of_it(firms: Firms) -> None:
    huge = "urn:x:" + "9" * 100_000
    index = firms.file(event(1, epcList=[huge], eventID=huge))
    fill(firms["a"])
    assert indexes(firms["a"], epc=huge) == indexes(firms["a"], event_id=huge) == [index]
    assert indexes(firms["a"], epc=huge + "9") == indexes(firms["a"], epc=huge[:-1]) == []
    assert (firms["a"].folder / VIEWS_NAME).stat().st_size < 150_000


@pytest.mark.parametrize(
    ("count", "is_cut"), [(limits.VIEW_IDENTIFIERS_MAX, False), (limits.VIEW_IDENTIFIERS_MAX + 1, True)]
)
def test_identifiers_of_a_record_are_bounded_and_the_rest_is_said(count: int, is_cut: bool) -> None:
    listed = [f"urn:{i}" for i in range(count)]
    row, identifiers = projected(opened({"epcList": listed + listed[:100]}))
    assert row.is_cut == is_cut
    assert identifiers == listed[: limits.VIEW_IDENTIFIERS_MAX]


@pytest.mark.slow
def test_thousands_of_identifiers_are_all_found(firms: Firms) -> None:
    last = 0
    for start in range(0, 60_000, 20_000):
        last = firms.file(event(start, epcList=[f"urn:epc:id:sgtin:4012345.011122.{start + i}" for i in range(20_000)]))
    fill(firms["a"])
    for number in (0, 19_999, 40_000, 59_999):
        assert indexes(firms["a"], epc=f"urn:epc:id:sgtin:4012345.011122.{number}") == [last - 2 + number // 20_000]
    assert_is_as_rebuilt(firms["a"].folder)


_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["epcClass", "x"]), inner, max_size=2),
    max_leaves=12,
)
_NAMES: Final = st.sampled_from([
    "eventID", "eventTime", "bizStep", "disposition", "action", "epcList", "parentID", "childEPCs", "quantityList", "x",
])  # fmt: skip
_TEXT: Final = _JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=9)


@given(
    body=st.dictionaries(_NAMES, _JSON, max_size=8).map(lambda value: json.dumps(value).encode()) | _TEXT,
    notes=st.lists(st.tuples(st.sampled_from(["flags", "by", "other"]), _TEXT), max_size=3),
)
def test_whatever_is_sealed_makes_a_row(body: bytes, notes: list[tuple[str, bytes]]) -> None:
    for is_own in (True, False):
        row, identifiers = projected(opened(body, notes=notes), is_own=is_own)
        texts = [value for value in row if isinstance(value, str)]
        assert all(len(text.encode()) <= 4096 for text in (*texts, *identifiers))
        assert row.state == "open"


@pytest.mark.parametrize(
    "members",
    [
        {"eventID": 5, "eventTime": ["x"], "bizStep": {"a": 1}, "disposition": None, "action": True},
        {"epcList": "urn:x:1", "parentID": ["urn:x:1"], "childEPCs": {"urn:x:1": 1}},
        {"quantityList": {"epcClass": "urn:x:1"}},
        {"epcList": [1, None, ["urn:x:1"]], "quantityList": ["urn:x:1", {"epcClass": 7}]},
    ],
)  # fmt: skip
def test_what_is_no_string_where_one_is_due_is_passed_over(members: dict[str, Any]) -> None:
    row, identifiers = projected(opened(members))
    assert identifiers == []
    assert row[9:14] == (None,) * 5


def test_a_number_that_no_float_holds_hides_nothing_beside_it() -> None:
    body = b'{"other":1e999,"eventID":"e","quantityList":[{"quantity":1e999,"epcClass":"urn:x:1"}]}'
    row, identifiers = projected(opened(body))
    assert (row.event_id, identifiers) == ("e", ["urn:x:1"])


def test_parts_that_are_shared_one_by_one_are_put_together(firms: Firms) -> None:
    index = firms.file(event(1, **_IDENTIFIERS))
    mirror_entries(firms, "c", index + 1)
    mirror_bodies(firms, "c", index + 1)
    fill(firms["c"])
    with firms["c"].store.read() as tx:
        record = firms["c"].joined.reader.read(tx, firms["c"].find_log(tx, "a"), index)
    assert json.loads(record.body) == {"eventID": "urn:x:event:1", "quantityList": [{"epcClass": "urn:x:7"}]}
    assert indexes(firms["c"], epc="urn:x:7") == [index]


def test_flags_in_anothers_record_are_its_own_affair() -> None:
    record = opened(notes=[("flags", b'["invalid"]'), ("by", b'"me"')])
    assert projected(record, is_own=False)[0][14:17] == (None, None, None)
    assert projected(record, is_own=True)[0].flags == '["invalid"]'


@pytest.mark.slow
def test_an_author_cannot_flag_its_record_at_others(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Sealer._plan_wraps

    def liar(*given: Any) -> Any:
        """Also the section that is the author's alone is wrapped for every reader."""
        author, *others = plan(*given)
        return [author, *((other[0], *author[1:]) for other in others)]

    monkeypatch.setattr(Sealer, "_plan_wraps", liar)
    index = firms.file({"type": "note", "body": {"text": "hello"}}, flags=["invalid"])
    mirror_entries(firms, "b", index + 1)
    mirror_bodies(firms, "b", index + 1)
    fill(firms["b"])
    assert found(firms["b"], type="note") == []  # refused whole: it was given what section 0 gives nobody
    assert indexes(firms["b"], flag="invalid") == []


def test_flags_are_bounded_and_only_texts() -> None:
    flags = [f"f{i}" for i in range(limits.VIEW_FLAGS_MAX + 1)]
    row, _ = projected(opened(notes=[("flags", json.dumps([1, None, *flags, "f0"]).encode())]), is_own=True)
    assert json.loads(row.flags or "") == flags[: limits.VIEW_FLAGS_MAX]


def test_only_events_are_searched_for_identifiers() -> None:
    assert projected(opened({"epcList": ["e"]}, type_name="order")) == projected(opened(type_name="order"))


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("shipping", "shipping"), ("urn:epcglobal:cbv:bizstep:shipping", "shipping"),
        ("https://ref.gs1.org/cbv/BizStep-shipping", "shipping"),
        ("https://ns.gs1.org/cbv/Disp-in_transit", "in_transit"),
        ("https://example.org/cbv/BizStep-shipping", "https://example.org/cbv/BizStep-shipping"),
        ("urn:epcglobal:cbv:bizstep:shipping\n", "urn:epcglobal:cbv:bizstep:shipping\n"),
    ],
)  # fmt: skip
def test_a_business_step_is_found_however_it_is_spelt(text: str, bare: str) -> None:
    assert term(text) == bare
    assert projected(opened({"bizStep": text}))[0].biz_step == bare


# --- mirrored logs and late bodies -----------------------------------------------------------------


@pytest.mark.slow
def test_a_body_that_comes_late_opens_its_row(firms: Firms) -> None:
    last = firms.file(*(event(i) for i in range(5)))
    mirror_entries(firms, "b", last + 1)
    fill(firms["b"])
    assert indexes(firms["b"], state="closed") == list(range(last + 1))
    assert indexes(firms["b"], epc="urn:x:epc:4") == []
    mirror_bodies(firms, "b", last - 1)
    fill(firms["b"])
    assert indexes(firms["b"], state="closed") == [0, last - 1, last]  # entry 0 was never meant for b
    mirror_bodies(firms, "b", last + 1)
    fill(firms["b"])
    assert indexes(firms["b"], epc="urn:x:epc:4") == [last]
    assert_is_as_rebuilt(firms["b"].folder)


@pytest.mark.slow
def test_a_gap_is_told_and_closed_when_its_body_arrives(firms: Firms) -> None:
    last = firms.file(*(event(i) for i in range(5)))
    mirror_entries(firms, "b", last + 1)
    mirror_bodies(firms, "b", last + 1, missing=[last - 3, last - 1, last])
    projector = worker.open_projector(firms["b"].folder)
    finish(projector)
    rows = found(firms["b"], state="closed")
    assert [(row.index, row.gap) for row in rows[1:]] == [
        (i, "seal-broken: not here") for i in (last - 3, last - 1, last)
    ]
    bring_late(firms, "b", last - 1)
    bring_late(firms, "b", last, still="1 section was held by nobody")
    projector._gaps_due_s = 0.0
    finish(projector)
    projector.close()
    assert indexes(firms["b"], epc="urn:x:epc:3") == [last - 1]
    (row,) = found(firms["b"], epc="urn:x:epc:4")
    assert (row.state, row.gap) == ("open", "1 section was held by nobody")
    assert_is_as_rebuilt(firms["b"].folder)


@pytest.mark.slow
def test_sections_that_come_late_add_what_they_name(firms: Firms) -> None:
    index = firms.file(event(1, **_IDENTIFIERS))
    mirror_entries(firms, "b", index + 1)
    mirror_bodies(firms, "b", index + 1, sections={index: {0, 1}})
    with firms["b"].store.write("restore") as tx:
        sidecars.insert_gaps(tx, _number(firms["b"], tx, firms.origin), [(index, "1 section is missing")])
    fill(firms["b"])
    assert indexes(firms["b"], type="epcis/ObjectEvent") == [index]
    before = indexes(firms["b"], epc="urn:x:1"), indexes(firms["b"], epc="urn:x:7")
    assert sorted(before) == [[], [index]], "one of the two sections names the class, the other the EPC"
    bring_late(firms, "b", index)
    fill(firms["b"])
    assert indexes(firms["b"], epc="urn:x:1") == indexes(firms["b"], epc="urn:x:7") == [index]
    assert_is_as_rebuilt(firms["b"].folder)


def _number(node: Node, tx: Tx, origin: Origin) -> int:
    return node.find_log(tx, str(origin)).number


@pytest.mark.slow
def test_entries_without_an_id_stand_among_their_neighbours(firms: Firms) -> None:
    last = firms.file(event(1), event(2))
    mirror_entries(firms, "b", last + 1)
    raws = {b"no header": True, b'{"v":2}': False}
    packed = [pack_raw_entry(leaf_hash(raw), raw, is_invalid=is_invalid) for raw, is_invalid in raws.items()]
    add_entries(firms["b"], firms.origin, packed)
    fill(firms["b"])
    rows = found(firms["b"], log="a")
    assert [row.index for row in rows] == list(range(last + 3))
    assert [(row.state, row.id, row.time_ms) for row in rows[-2:]] == [("invalid", None, None), ("newer", None, None)]
    mirror_bodies(firms, "b", last + 3)
    fill(firms["b"])
    assert_is_as_rebuilt(firms["b"].folder)


@pytest.mark.slow
def test_bodies_that_come_late_move_no_row_without_an_id(firms: Firms) -> None:
    index = firms.file(event(1))
    mirror_entries(firms, "b", index + 1)
    raw, later = b"no header", make_id(_FIRST_MS + 99, bytes(10))
    add_entries(firms["b"], firms.origin, [pack_raw_entry(leaf_hash(raw), raw, is_invalid=True)])
    mirror_bodies(firms, "b", index + 1)
    fill(firms["b"])
    add_entries(firms["b"], firms.origin, [pack_entry(bytes(32), later, bytes(32))])
    fill(firms["b"])
    mirror_bodies(firms, "b", index + 3)
    fill(firms["b"])
    assert indexes(firms["b"], log="a") == list(range(index + 3))
    assert_is_as_rebuilt(firms["b"].folder)


@pytest.mark.slow
def test_a_damaged_body_is_broken_and_holds_up_none_after_it(firms: Firms) -> None:
    last = firms.file(event(1), event(2), event(3))
    with firms["a"].store.write("restore") as tx:
        number = _number(firms["a"], tx, firms.origin)
        tx.exec_driver_sql(
            "UPDATE sidecar SET packed = CAST(substr(packed, 1, 40) AS BLOB) WHERE key = ?",
            (row_key(number, last - 2),),
        )
        tx.exec_driver_sql(
            "UPDATE sidecar SET packed = CAST(packed || x'00' AS BLOB) WHERE key = ?", (row_key(number, last - 1),)
        )
    fill(firms["a"])
    assert [row.state for row in found(firms["a"])][last - 2 :] == ["broken", "broken", "open"]
    assert indexes(firms["a"], event_id="urn:x:event:3") == [last]


@pytest.mark.slow
def test_a_lost_channel_ends_no_worker(firms: Firms) -> None:
    firms.file(event(1))
    with firms["a"].store.write("restore") as tx:
        tx.exec_driver_sql("DELETE FROM channel")
    fill(firms["a"])
    assert {row.state for row in found(firms["a"], author="a")} == {"broken"}


@pytest.mark.slow
def test_gaps_are_compared_when_something_changed_and_not_all_the_time(firms: Firms) -> None:
    last = firms.file(event(1))
    mirror_entries(firms, "b", last + 1)
    mirror_bodies(firms, "b", last + 1, missing=[last])
    projector = worker.open_projector(firms["b"].folder)
    finish(projector)
    assert projector.rest_s(30.0) == 30.0
    bring_late(firms, "b", last)
    assert not projector.run_round(), "only a moment has passed since gaps were looked at"
    rest_s = projector.rest_s(30.0)
    assert 0.1 < rest_s <= 30.0 * GAPS_REST_S
    projector._gaps_due_s -= rest_s
    assert projector.run_round()
    finish(projector)
    projector.close()
    assert indexes(firms["b"], epc="urn:x:epc:1") == [last]


@pytest.mark.slow
def test_a_lost_entry_ends_no_worker(firms: Firms) -> None:
    last = firms.file(event(1), event(2))
    with firms["a"].store.write("restore") as tx:
        tx.exec_driver_sql("DELETE FROM entry WHERE key = ?", (row_key(_number(firms["a"], tx, firms.origin), last),))
    fill(firms["a"])
    assert [row.state for row in found(firms["a"], author="a")][-1] == "broken"


# --- judging again --------------------------------------------------------------------------------------


def learn_statement(firms: Firms, reader: str, index: int, type_name: str) -> None:
    """As when the body of a statement came, or of a record that says so of itself and is none."""
    with firms[reader].store.write("sync-bodies") as tx:
        sidecars.insert_statement(tx, _number(firms[reader], tx, firms.origin), index, type_name)


def mirrored_and_judged(firms: Firms, count: int) -> int:
    """So many records of `a` at `b`, which knows no contract yet; returns how many entries there are."""
    size = firms.file(*(event(i) for i in range(count))) + 1
    mirror_entries(firms, "b", size)
    mirror_bodies(firms, "b", size)
    fill(firms["b"])
    return size


@pytest.mark.slow
def test_a_statement_holds_up_no_new_record(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VIEW_CHUNK_RECORDS", 2)
    size = mirrored_and_judged(firms, 6)
    unknown = range(size - 6, size)
    assert indexes(firms["b"], problem="contract-unknown") == [*unknown]
    learn_statement(firms, "b", 1, agreements.PROPOSE)
    last = firms.file(event(99))
    mirror_entries(firms, "b", last + 1)
    mirror_bodies(firms, "b", last + 1)
    with closing(worker.open_projector(firms["b"].folder)) as projector:
        projector.run_round()
        assert indexes(firms["b"], epc="urn:x:epc:99") == [last], "found before all others were judged again"
        assert indexes(firms["b"], problem="contract-unknown") == [*unknown[2:]]
        finish(projector)
    assert indexes(firms["b"], problem="contract-unknown") == []
    assert indexes(firms["b"], problem="acceptance-not-seen") == [*unknown, last]


@pytest.mark.slow
def test_a_pass_of_judging_ends_while_statements_go_on(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VIEW_CHUNK_RECORDS", 2)
    size = mirrored_and_judged(firms, 8)
    passes = set()
    with closing(worker.open_projector(firms["b"].folder)) as projector:
        for index in range(1, size):
            learn_statement(firms, "b", index, agreements.PROPOSE if index == 1 else agreements.END)
            projector.run_round()
            with views_of(firms["b"]).read() as tx:
                passes.add(viewstore.read_judged(tx))
    assert len(passes) > 1, "one that came meanwhile waits for the next pass"
    assert indexes(firms["b"], problem="contract-unknown") == []


# --- always what the ledger says -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("run", range(4))
def test_a_view_that_grew_equals_one_made_anew(
    firms: Firms, monkeypatch: pytest.MonkeyPatch, seed: int, run: int
) -> None:
    dice = random.Random(seed + run)
    monkeypatch.setattr(limits, "VIEW_CHUNK_RECORDS", dice.choice([1, 2, 5]))
    monkeypatch.setattr(limits, "VIEW_CHUNK_BYTES", dice.choice([1, 3000, 1 << 20]))
    projectors = {name: worker.open_projector(firms[name].folder) for name in "ab"}
    gaps: list[int] = []
    for step in range(60):
        size = mirrored_size(firms["a"], firms.origin)
        mirrored = mirrored_size(firms["b"], firms.origin)
        match dice.choice(["file", "entries", "bodies", "late", "round", "round", "kill"]):
            case "file":
                firms.file(*(event(10 * step + i) for i in range(dice.randint(1, 4))))
            case "entries" if mirrored < size:
                mirror_entries(firms, "b", dice.randint(mirrored + 1, size))
            case "bodies":
                with firms["b"].store.read() as tx:
                    start = firms["b"].find_log(tx, "a").bodies_size
                if start < mirrored:
                    end = dice.randint(start + 1, mirrored)
                    lost = [i for i in range(max(start, 2), end) if dice.random() < 0.3]
                    mirror_bodies(firms, "b", end, missing=lost)
                    gaps += lost
            case "late" if gaps:
                bring_late(firms, "b", gaps.pop(dice.randrange(len(gaps))))
            case "round":
                projector = projectors[dice.choice("ab")]
                projector._gaps_due_s = 0.0
                projector.run_round()
            case "kill":
                name = dice.choice("ab")
                projectors[name].close()
                projectors[name] = worker.open_projector(firms[name].folder)
    for name, projector in projectors.items():
        projector._gaps_due_s = 0.0
        finish(projector)
        projector.close()
        assert_is_as_rebuilt(firms[name].folder)


@pytest.mark.slow
def test_a_chunk_is_bounded_in_bytes_and_never_empty(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    last = firms.file(*(event(i, note="x" * 3000) for i in range(4)))
    monkeypatch.setattr(limits, "VIEW_CHUNK_BYTES", 10_000)
    projector = worker.open_projector(firms["a"].folder)
    sizes = []
    while projector.run_round():
        views = views_of(firms["a"])
        sizes.append(next(known.entries for known in position(views) if known.log == firms.origin))
    projector.close()
    assert sizes[-1] == last + 1 and len(sizes) >= 2


@pytest.mark.slow
def test_two_workers_at_once_do_no_harm(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VIEW_CHUNK_RECORDS", 3)
    firms.file_many(60)
    threads = [threading.Thread(target=fill, args=(firms["a"],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fill(firms["a"])
    assert_is_as_rebuilt(firms["a"].folder)


@pytest.mark.slow
def test_a_worker_that_was_overtaken_writes_nothing(firms: Firms, monkeypatch: pytest.MonkeyPatch) -> None:
    firms.file(event(1), event(2))
    slow, quick = (worker.open_projector(firms["a"].folder) for _ in range(2))
    keep = slow._keep

    def overtaken(*given: Any, **named: Any) -> None:
        finish(quick)
        keep(*given, **named)

    monkeypatch.setattr(slow, "_keep", overtaken)
    finish(slow)
    slow.close()
    quick.close()
    assert_is_as_rebuilt(firms["a"].folder)


@pytest.mark.slow
def test_a_ledger_that_was_restored_from_a_backup_drops_the_view(firms: Firms) -> None:
    firms.file(event(1))
    backup = sqlite3.connect(firms.folder / "backup.db")
    with sqlite3.connect(firms["a"].folder / "ledger.db") as live:
        live.backup(backup)
    live.close()
    index = firms.file(event(2))
    fill(firms["a"])
    assert indexes(firms["a"], event_id="urn:x:event:2") == [index]
    folder = firms["a"].folder
    firms.nodes.pop("a").close()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)
    with sqlite3.connect(folder / "ledger.db") as restored:
        backup.backup(restored)
    restored.close()
    backup.close()
    fill_folder(folder)
    assert indexes_of(folder, event_id="urn:x:event:2") == []
    assert indexes_of(folder, event_id="urn:x:event:1") == [index - 1]
    assert_is_as_rebuilt(folder)


@pytest.mark.slow
def test_a_ledger_that_lost_its_bodies_drops_the_view(firms: Firms) -> None:
    last = firms.file(event(1), event(2))
    mirror_entries(firms, "b", last + 1)
    mirror_bodies(firms, "b", last + 1)
    fill(firms["b"])
    assert indexes(firms["b"], epc="urn:x:epc:2") == [last]
    with firms["b"].store.write("restore") as tx:  # as after a restore: entries fetched back, bodies not yet
        number = _number(firms["b"], tx, firms.origin)
        for index in range(last + 1):
            sidecars.delete_sidecars(tx, number, [index])
        logs.set_log(tx, number, bodies_size=0)
    fill(firms["b"])
    assert indexes(firms["b"], epc="urn:x:epc:2") == []
    assert_is_as_rebuilt(firms["b"].folder)


@pytest.mark.slow
def test_a_ledger_of_the_same_size_with_another_history_drops_the_view(firms: Firms) -> None:
    index = firms.file(event(1))
    fill(firms["a"])
    with firms["a"].store.write("restore") as tx:
        key = row_key(_number(firms["a"], tx, firms.origin), index)
        packed = tx.exec_driver_sql("SELECT packed FROM entry WHERE key = ?", (key,)).scalar()
        assert isinstance(packed, bytes)
        other = packed[:1] + bytes(32) + packed[33:]
        tx.exec_driver_sql("UPDATE entry SET packed = ? WHERE key = ?", (other, key))
    projector = worker.open_projector(firms["a"].folder)
    assert projector.run_round()
    views = views_of(firms["a"])
    assert position(views) == []
    finish(projector)
    assert not projector.run_round(), "also the other history is projected once, and stands"
    projector.close()


@pytest.mark.slow
def test_a_view_of_another_layout_is_made_anew(firms: Firms) -> None:
    firms.file(event(1))
    fill(firms["a"])
    before, path = dump(firms["a"].folder), firms["a"].folder / VIEWS_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE flag")
        connection.execute("CREATE TABLE left_over (x)")
        connection.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    connection.close()
    with pytest.raises(ViewsNotReady):
        found(firms["a"])
    fill(firms["a"])
    assert dump(firms["a"].folder) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm", [lambda raw: b"no database" * 999, lambda raw: raw[:8192] + b"\xff" * (len(raw) - 8192)]
)
def test_a_damaged_view_is_made_anew(firms: Firms, harm: Callable[[bytes], bytes]) -> None:
    firms.file_many(200)
    fill(firms["a"])
    before, path = dump(firms["a"].folder), firms["a"].folder / VIEWS_NAME
    path.write_bytes(harm(path.read_bytes()))
    firms.file(event(999))
    run_worker_until(firms["a"], firms.origin, 202)
    assert len(dump(firms["a"].folder)["record"]) == len(before["record"]) + 1
    assert_is_as_rebuilt(firms["a"].folder)


def run_worker_until(node: Node, origin: Origin, index: int) -> None:
    """The worker's own loop, in this process, until it has come that far."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=worker.run, args=(node.folder, reading))
    thread.start()
    views = ViewStore.open_for_search(node.folder / VIEWS_NAME)
    try:
        assert wait_until_good(views, origin, index)
    finally:
        os.close(writing)
        thread.join()
        os.close(reading)


def wait_until_good(views: ViewStore, origin: Origin, index: int) -> bool:
    from node.storage.viewstore import ViewsDamaged

    for _ in range(100):
        try:
            return wait_until(views, origin, index, timeout_s=10)
        except ViewsDamaged:
            time.sleep(0.05)
    return False


@pytest.mark.slow
def test_nobody_else_can_read_the_view(firms: Firms) -> None:
    fill(firms["a"])
    projector = worker.open_projector(firms["a"].folder)
    modes = {path.name: path.stat().st_mode & 0o777 for path in firms["a"].folder.glob("views.db*")}
    projector.close()
    assert set(modes.values()) == {0o600} and len(modes) >= 1


@pytest.mark.slow
def test_neither_the_worker_nor_a_search_can_write_what_it_only_reads(firms: Firms) -> None:
    fill(firms["a"])
    ledger = open_ledger(firms["a"].folder / "ledger.db")
    with pytest.raises(OperationalError, match="readonly"), ledger.write("append") as tx:
        tx.exec_driver_sql("DELETE FROM sidecar")
    ledger.close()
    with pytest.raises(OperationalError, match="readonly"), views_of(firms["a"]).read() as tx:
        tx.exec_driver_sql("DELETE FROM record")
    assert len(found(firms["a"])) == 2


def test_a_search_before_there_is_a_view_says_so(tmp_path: Path) -> None:
    views = ViewStore.open_for_search(tmp_path / VIEWS_NAME)
    for ask in (lambda: search(views, Filters()), lambda: position(views)):
        with pytest.raises(ViewsNotReady):
            ask()
    assert not wait_until(views, Origin(_NETWORK, MemberName("a")), 0, timeout_s=0.05)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_position_says_how_far_each_log_is(firms: Firms) -> None:
    last = firms.file(event(1), event(2))
    mirror_entries(firms, "b", last + 1)
    mirror_bodies(firms, "b", last)
    fill(firms["b"])
    views = views_of(firms["b"])
    assert [(known.log, known.entries, known.bodies) for known in position(views)] == [(firms.origin, last + 1, last)]
    assert wait_until(views, firms.origin, last, timeout_s=0)
    assert not wait_until(views, firms.origin, last + 1, timeout_s=0)


# --- the worker process ----------------------------------------------------------------------------------


@pytest.fixture
def running(firms: Firms) -> Iterator[ViewWorker]:
    started = start_worker(firms["a"].folder, firms["a"].changes)
    yield started
    started.stop()


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.slow
def test_what_is_appended_is_found_moments_later(firms: Firms, running: ViewWorker) -> None:
    first = firms.file(event(1))
    assert wait_until(views_of(firms["a"]), firms.origin, first, timeout_s=20)
    began = time.monotonic()
    index = firms.file(event(2))
    assert wait_until(views_of(firms["a"]), firms.origin, index, timeout_s=20)
    assert time.monotonic() - began < worker.IDLE_S / 2, "it was nudged, and did not wait for its own look"
    assert indexes(firms["a"], event_id="urn:x:event:2") == [index]


@pytest.mark.slow
@pytest.mark.crash
def test_a_worker_killed_again_and_again_goes_on_exactly(
    firms: Firms, running: ViewWorker, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_LONGEST_WAIT_S", 0.1)
    dice, killed = random.Random(seed), set()
    for batch in range(8):
        firms.file_many(500, start=500 * batch)
        assert wait_for(lambda: running.process_id is not None)
        process_id = running.process_id
        assert process_id is not None
        time.sleep(dice.uniform(0.0, 0.5))
        os.kill(process_id, signal.SIGKILL)
        killed.add(process_id)
        assert wait_for(lambda: running.process_id not in killed), "another one is started"
    assert wait_until(views_of(firms["a"]), firms.origin, 4000, timeout_s=60)
    assert len(killed) == 8
    running.stop()
    assert len(dump(firms["a"].folder)["record"]) >= 4000
    assert_is_as_rebuilt(firms["a"].folder)


@pytest.mark.slow
def test_a_worker_ends_when_it_is_stopped(firms: Firms) -> None:
    started = start_worker(firms["a"].folder, firms["a"].changes)
    assert wait_until(views_of(firms["a"]), firms.origin, 0, timeout_s=20)
    process_id = started.process_id
    assert process_id is not None and is_running(process_id)
    started.stop()
    assert not is_running(process_id)
    assert started.process_id is None
    started.stop()
    firms["a"].changes.bump(firms.origin.hash)  # the pipe is closed, and its number may be another file's


_PARENT: Final = """
import sys, time
from pathlib import Path
from node.changes import Changes
from node.views.supervisor import start_worker
worker = start_worker(Path(sys.argv[1]), Changes())
while worker.process_id is None:
    time.sleep(0.01)
print(worker.process_id, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.crash
def test_a_worker_goes_when_its_node_is_killed(firms: Firms) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(firms["a"].folder)], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        assert is_running(process_id)
        assert wait_until(views_of(firms["a"]), firms.origin, 0, timeout_s=20)
        parent.kill()
        assert wait_for(lambda: not is_running(process_id), 10)


@pytest.mark.slow
def test_an_idle_worker_does_nothing(firms: Firms, running: ViewWorker) -> None:
    assert wait_until(views_of(firms["a"]), firms.origin, 0, timeout_s=20)
    time.sleep(1.5)
    process_id = running.process_id

    def used() -> int:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    time.sleep(2)
    assert used() - before <= 1, "clock ticks of a hundredth of a second"


@pytest.mark.slow
def test_a_worker_takes_interrupts_for_its_node_and_sits_in_any_folder(
    firms: Firms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    (trap / "node").mkdir(parents=True)
    (trap / "node" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(trap)
    nudges, nudging = os.pipe()
    process = supervisor.spawn(firms["a"].folder, nudges)
    try:
        assert wait_until(views_of(firms["a"]), firms.origin, 0, timeout_s=20)
        process.send_signal(signal.SIGINT)
        index = firms.file(event(5))
        os.write(nudging, b"\n")
        assert wait_until(views_of(firms["a"]), firms.origin, index, timeout_s=20)
    finally:
        os.close(nudging)
        assert process.wait(10) == 0
        os.close(nudges)


_FULL: Final = """
import sys
from node.storage import viewstore
from node.views.worker import main
use_wal = viewstore._use_wal
def bound(connection):
    use_wal(connection)
    connection.execute("pragma max_page_count=40")
viewstore._use_wal = bound
sys.exit(main())
"""


@pytest.mark.slow
def test_a_worker_that_fails_says_nothing_of_what_records_say(firms: Firms) -> None:
    for number in range(40):
        firms.file(event(number, epcList=[f"urn:secret:{number}:{'x' * 100}:{i}" for i in range(50)]))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", "-c", _FULL, str(firms["a"].folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 1
    assert said.startswith("view worker: OperationalError SQLITE_FULL at ") and "worker.py:" in said
    assert "urn:" not in said and said.count("\n") == 1


@pytest.mark.slow
def test_what_a_newer_card_signs_can_be_read_at_once(firms: Firms) -> None:
    projector = worker.open_projector(firms["b"].folder)
    finish(projector)
    before = firms["b"].membership.card("a")
    card = make_card(
        log_key=firms["a"].keyring.log.public, log_from=0, witness_keys=before.witness_keys,
        transport_keys=[make_signing_key("net/a/transport").public], sealing_key=before.sealing_key,
        endpoints=before.endpoints, previous=before,
    )  # fmt: skip
    firms["b"].learn_cards([sign_card(card, [firms["a"].keyring.root])])
    projector.run_round()
    assert projector._known_membership().card("a") == card
    projector.close()


@pytest.mark.slow
def test_a_projector_waits_for_the_charter(tmp_path: Path) -> None:
    firms = make_firms(tmp_path)
    folder = tmp_path / "late"
    folder.mkdir()
    for name in ("tally.toml", "keys"):
        (folder / name).symlink_to(firms["b"].folder / name)
    node = Node.open(folder)
    projector = worker.open_projector(folder)
    assert not projector.run_round() and projector.rest_s(7.0) == 7.0
    node.adopt(firms["b"].membership.file)
    finish(projector)
    mirrored = Firms(tmp_path, {"a": firms["a"], "late": node})
    mirror_entries(mirrored, "late", 2)
    finish(projector)
    assert [row.state for row in found(node)] == ["closed", "closed"]
    projector.close()
    node.close()
    firms.close()


@pytest.mark.slow
def test_a_worker_imports_from_where_its_node_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'seen')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    nudges, nudging = os.pipe()
    with supervisor.spawn(tmp_path / "nowhere", nudges) as process:
        assert process.wait(20) == 1
    os.close(nudging)
    os.close(nudges)
    assert (tmp_path / "seen").exists()


@pytest.mark.slow
def test_a_node_without_a_charter_has_a_patient_worker(tmp_path: Path) -> None:
    firms = make_firms(tmp_path)
    (tmp_path / "new").mkdir()
    save_keyring(tmp_path / "new", make_keyring(_NETWORK, MemberName("new")), None)
    (tmp_path / "new" / "tally.toml").write_text(
        'network = "net"\nmember = "new"\nendpoints = ["http://127.0.0.1:1"]\n'
    )
    node = Node.open(tmp_path / "new")
    started = start_worker(node.folder, node.changes)
    assert wait_for((node.folder / VIEWS_NAME).exists)
    process_id = started.process_id
    time.sleep(0.5)
    assert started.process_id == process_id
    started.stop()
    node.close()
    firms.close()


@pytest.mark.slow
def test_a_rebuild_beside_a_running_worker_leaves_one_whole_view(firms: Firms, running: ViewWorker) -> None:
    firms.file_many(1500)
    assert wait_until(views_of(firms["a"]), firms.origin, 1500, timeout_s=60)
    before = dump(firms["a"].folder)
    firms["a"].changes.bump(firms.origin.hash)
    nodes.rebuild(firms["a"].folder)
    assert dump(firms["a"].folder) == before
    index = firms.file(event(9999))
    assert wait_until(views_of(firms["a"]), firms.origin, index, timeout_s=20)


@pytest.mark.slow
def test_a_worker_that_cannot_begin_is_tried_again_and_less_and_less_often(
    firms: Firms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_WAIT_S", 0.05)
    starts: list[float] = []
    spawn = supervisor.spawn

    def counted(folder: Path, nudges: int) -> subprocess.Popen[bytes]:
        starts.append(time.monotonic())
        return spawn(folder, nudges)

    monkeypatch.setattr(supervisor, "spawn", counted)
    started = start_worker(tmp_path / "nowhere", Changes())
    assert wait_for(lambda: len(starts) >= 3)
    started.stop()
    assert started.process_id is None


@pytest.mark.slow
def test_a_worker_that_is_called_wrongly_says_how() -> None:
    ended = subprocess.run([sys.executable, "-m", "node.views.worker"], capture_output=True, check=False, text=True)
    assert ended.returncode == 3
    assert "FOLDER" in ended.stderr


def test_ids_of_the_far_future_are_rows_like_others() -> None:
    far = RecordId(b"\xff" * 6 + bytes([0x70, 0, 0x80]) + bytes(7))
    record = ReadRecord(
        origin=Origin(_NETWORK, MemberName("a")), index=3, leaf=Digest(bytes(32)), id=far, state="closed"
    )
    item = project(record, key=row_key((1 << 23) - 1, (1 << 40) - 1), time_ms=0, gap=None, is_own=False)
    assert split_place(item.row.place) == ((1 << 48) - 1, (1 << 23) - 1, (1 << 40) - 1)


@pytest.mark.slow
def test_reserved_statements_are_found_by_type(firms: Firms) -> None:
    fill(firms["a"])
    assert indexes(firms["a"], type=agreements.PROPOSE) == [1]
    assert indexes(firms["a"], type="tally/start") == [0]
