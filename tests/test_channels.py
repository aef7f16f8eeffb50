"""Channels at a node: looked up by what a record names, opened ones forgotten in time, and how many are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from ledger import limits
from ledger.checkpoint import SignedCheckpoint, decode_checkpoint
from ledger.errors import SealBroken, TooLarge
from ledger.names import MemberName
from ledger.note import decode_note
from ledger.replica import CommitEntries
from ledger.replica.entries import check_entries
from ledger.sealing import open_channel
from ledger.sidecar import Bodies
from node.channels import ChannelBook
from node.node import Node
from node.storage import logs, sidecars
from node.storage.replicas import commit_entries, read_head
from node.sync.bodies import _Answer, _take
from node.sync.client import BODIES_BYTES_MAX
from tests import nodes
from tests.test_charter_in_force import file_record, founders

__all__ = ["founders"]  # a fixture
DAY_MS = 86_400_000


@pytest.fixture
def pair(founders: nodes.Founders, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """The fishery's node and the retailer's."""
    both = founders.join(tmp_path, "fishery"), founders.join(tmp_path, "retailer")
    yield both
    for node in both:
        node.close()


def book(node: Node) -> ChannelBook:
    """The channels of a node as if it had just started."""
    return ChannelBook(
        node.store, member=node.member, membership=lambda: node.membership,
        transport=node.keyring.transport, opening=node.keyring.opening,
    )  # fmt: skip


def send(node: Node, reader: str) -> sidecars.StoredChannel:
    """A channel message of `node`, not kept anywhere yet."""
    channel, message = open_channel(
        node.membership.network_id, wrapper=node.member, reader=MemberName(reader),
        sealing_key=node.membership.card(reader).sealing_key, signer=node.keyring.transport,
    )  # fmt: skip
    return sidecars.StoredChannel(
        number=0, id=channel.id, wrapper=node.member, reader=MemberName(reader), message=message
    )


# --- outgoing -------------------------------------------------------------------------------


@pytest.mark.slow
def test_channel_is_made_once_a_day_and_yesterdays_are_forgotten(pair: tuple[Node, Node]) -> None:
    fishery, _ = pair
    made, origin = book(fishery), fishery.joined.origin
    readers = [MemberName("fishery"), MemberName("retailer")]
    first = made.outgoing(readers, origin=origin, now_ms=5)
    again = made.outgoing(readers[:1], origin=origin, now_ms=DAY_MS - 1)
    assert again == first
    assert set(made.numbers) == {wrapper.channel_id for wrapper in first.values()}
    tomorrow = made.outgoing(readers, origin=origin, now_ms=DAY_MS)
    ids = {wrapper.channel_id for wrapper in tomorrow.values()}
    assert set(made.numbers) == ids
    assert ids.isdisjoint(wrapper.channel_id for wrapper in first.values())


def test_records_of_two_days_are_read_after_a_restart(founders: nodes.Founders, tmp_path: Path) -> None:
    now = [1_800_000_000_000]
    node = founders.join(tmp_path, clock=lambda: now[0])
    places = [file_record(node, "note", '{"a":1}').index]
    now[0] += DAY_MS
    places.append(file_record(node, "note", '{"a":2}').index)
    node.close()
    node = Node.open(node.folder, clock=lambda: now[0])
    with node.store.read() as tx:
        log = node.find_log(tx, "fishery")
        assert [node.joined.reader.read(tx, log, i).body for i in places] == [b'{"a":1}', b'{"a":2}']
    node.close()


# --- incoming -------------------------------------------------------------------------------


@pytest.mark.slow
def test_opened_channels_are_forgotten_the_oldest_use_first(
    pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A liar opens a channel for each record: what its readers keep in memory stays what it is."""
    monkeypatch.setattr(limits, "CHANNELS_OPEN_MAX", 3)
    fishery, retailer = pair
    made, origin = book(retailer), fishery.joined.origin
    sent = [send(fishery, "retailer") for _ in range(5)]
    opened = [made.incoming(item.id, item.decoded(), origin) for item in sent[:3]]
    assert made.incoming(sent[0].id, sent[0].decoded(), origin) is opened[0]
    made.incoming(sent[3].id, sent[3].decoded(), origin)
    assert made.incoming(sent[0].id, sent[0].decoded(), origin) is opened[0], "it was used since"
    assert made.incoming(sent[1].id, sent[1].decoded(), origin) is not opened[1], "this one was not"
    for item in sent:
        made.incoming(item.id, item.decoded(), origin)
    assert len(made._incoming) == 3


def test_channel_to_another_is_not_opened_and_not_remembered(pair: tuple[Node, Node]) -> None:
    fishery, retailer = pair
    made, item = book(retailer), send(fishery, "carrier")
    with pytest.raises(SealBroken):
        made.incoming(item.id, item.decoded(), fishery.joined.origin)
    assert not made._incoming


# --- looked up ------------------------------------------------------------------------------


def rows_read(node: Node, work: Any) -> int:
    """How many rows of channels `work` has the database return."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM channel" in statement:
            asked.append((statement, parameters))

    event.listen(node.store.engine, "after_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(node.store.engine, "after_cursor_execute", note)
    with node.store.read() as tx:
        return sum(len(tx.exec_driver_sql(statement, parameters).all()) for statement, parameters in asked)


def keep(node: Node, item: sidecars.StoredChannel) -> None:
    with node.store.write("channel") as tx:
        sidecars.insert_channel(tx, channel_id=item.id, wrapper=item.wrapper, reader=item.reader, message=item.message)


@pytest.mark.slow
def test_no_read_looks_at_more_channels_than_its_records_name(pair: tuple[Node, Node]) -> None:
    fishery, retailer = pair
    contract = nodes.agree(fishery)
    for number in range(3):
        file_record(fishery, "catch", f'{{"kind":{number}}}', contract)
    for _ in range(200):
        keep(fishery, send(fishery, "carrier"))
        keep(fishery, send(retailer, "fishery"))

    def read() -> None:
        with fishery.store.read() as tx:
            log = fishery.find_log(tx, "fishery")
            reader = fishery.joined.reader
            assert reader.read(tx, log, 3).state == "open"
            assert {record.state for record in reader.scan(tx, log, 0, log.size)} == {"open"}
            bodies, _ = sidecars.read_bodies(
                tx, log.number, start=0, end=log.size, caller=MemberName("retailer"),
                author=MemberName("fishery"), keeper=fishery.member, bytes_max=BODIES_BYTES_MAX,
            )  # fmt: skip
            assert len(bodies.messages) == 2

    assert rows_read(fishery, read) <= 3 * 3


@pytest.mark.slow
def test_channels_are_found_by_wrapper_and_id(pair: tuple[Node, Node]) -> None:
    fishery, retailer = pair
    mine, theirs = send(fishery, "carrier"), send(retailer, "fishery")
    keep(fishery, mine)
    keep(fishery, theirs)
    copied = sidecars.StoredChannel(
        number=0, id=mine.id, wrapper=retailer.member, reader=mine.reader, message=theirs.message
    )
    keep(fishery, copied)
    with fishery.store.read() as tx:
        find = sidecars.find_channels(tx, fishery.member, [mine.id, theirs.id, bytes(8)])
        assert [(id_, item.wrapper) for id_, item in find.items()] == [(mine.id, fishery.member)]
        assert set(sidecars.find_channels(tx, retailer.member, [mine.id, theirs.id])) == {mine.id, theirs.id}
        assert sidecars.find_channels(tx, fishery.member, []) == {}
        many = sidecars.find_channels(tx, fishery.member, [bytes(4) + i.to_bytes(4, "big") for i in range(1200)])
        assert many == {}
        by_number = sidecars.ChannelsByNumber(tx)
        number = find[mine.id].number
        assert by_number[number] is by_number[number]
        with pytest.raises(KeyError):
            by_number[99_999]


# --- how many -------------------------------------------------------------------------------


@pytest.mark.slow
def test_author_opens_no_more_channels_than_readers_keep(
    pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    fishery, _ = pair
    monkeypatch.setattr(limits, "CHANNELS_MAX", 2)
    to, origin = [MemberName("retailer")], fishery.joined.origin
    for _ in range(2):
        book(fishery).outgoing(to, origin=origin, now_ms=5)
    with pytest.raises(TooLarge):
        book(fishery).outgoing(to, origin=origin, now_ms=5)
    book(fishery).outgoing([fishery.member, MemberName("carrier")], origin=origin, now_ms=5)


@pytest.mark.slow
def test_record_under_one_channel_too_many_is_a_gap(pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry stays in the log as it is; the channel is not kept, and what is sealed under it is named missing."""
    fishery, retailer = pair
    contract = nodes.agree(fishery)
    kept = file_record(fishery, "catch", '{"kind":"cod"}', contract)
    size = mirror(fishery, retailer)
    monkeypatch.setattr(limits, "CHANNELS_MAX", 3)
    with retailer.store.read() as tx:
        held = sum(c.reader == "retailer" for c in sidecars.list_channels(tx, wrapper=fishery.member).values())
    assert held == 1
    for number in range(4):
        fishery.joined.appender._committer._channels = book(fishery)  # as after a restart
        monkeypatch.setattr(limits, "CHANNELS_MAX", 100)
        file_record(fishery, "catch", f'{{"kind":{number}}}', contract)
        monkeypatch.setattr(limits, "CHANNELS_MAX", 3)
    size = mirror(fishery, retailer, start=size)
    with retailer.store.read() as tx:
        log = retailer.find_log(tx, "fishery")
        gaps = dict(sidecars.list_gaps(tx, log.number))
        states = [retailer.joined.reader.read(tx, log, i).state for i in range(kept.index, size)]
    assert states == ["open", "open", "open", "closed", "closed"]
    assert sorted(gaps) == [size - 2, size - 1]
    assert all("one too many" in reason for reason in gaps.values())


def mirror(author: Node, reader: Node, *, start: int = 0) -> int:
    """Have `reader` hold the author's log and its bodies from `start` on; returns the size."""
    with author.store.read() as tx:
        log = author.find_log(tx, str(author.joined.origin))
        entries = logs.read_entries(tx, log, start, log.size)
        bodies, end = sidecars.read_bodies(
            tx, log.number, start=start, end=log.size, caller=reader.member,
            author=author.member, keeper=author.member, bytes_max=1 << 24,
        )  # fmt: skip
    assert end == log.size
    _hold(reader, log, entries, start)
    with reader.store.read() as tx:
        held = reader.find_log(tx, str(log.origin))
    _take(reader, held, [_Answer(start, end, Bodies(messages=bodies.messages, sidecars=bodies.sidecars))])
    return log.size


def _hold(reader: Node, log: logs.StoredLog, entries: list[bytes], start: int) -> None:
    with reader.store.write("sync-entries") as tx:
        held = reader.find_log(tx, str(log.origin))
        head = read_head(tx, held, member=reader.member)
        batch = check_entries(entries, origin=log.origin, start=start, prev=head.last_leaf)
        assert log.checkpoint is not None
        checkpoint = SignedCheckpoint(
            checkpoint=decode_checkpoint(decode_note(log.checkpoint).text), note=log.checkpoint
        )
        frontier = head.frontier.extended(batch.leaves)
        commit_entries(tx, CommitEntries(batch=batch, frontier=frontier, checkpoint=checkpoint))
