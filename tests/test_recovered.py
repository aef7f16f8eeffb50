"""Bodies that come late, or back after a restore, are news: peers that wait for some are woken, and so is the view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from ledger import limits
from ledger.names import Digest, MemberName
from ledger.sealing import Wrap, decode_channel_message, open_channel
from ledger.sidecar import Bodies, decode_bodies, encode_bodies
from node.append import Appended, NewRecord
from node.node import Node
from node.storage import sidecars
from node.sync import answers
from node.sync.bodies import Refill, fill_gaps
from node.sync.recovery import REPLACED, take_back
from tests.make_folders import answer, found, proposal, shipment
from tests.simulator import Simulation, gaps, stored

PARTIES: Final = {"shipper": ["fishery"], "receiver": ["processor"], "insurer": ["processor"]}


@dataclass
class Peer:
    """What a peer answers, without the wire between."""

    at: Node
    caller: str
    peer: str

    async def bodies(self, log: str, bundle: int, start: int, _bytes_max: int = 0) -> bytes:
        return answers.bodies(self.at, log, bundle=bundle, start=start, caller=MemberName(self.caller))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    root = tmp_path_factory.mktemp("recovered")
    simulation = Simulation(found(root / "founded", "fishery", "processor"), root / "running", seed=1)
    with simulation.running():
        simulation.run_until(simulation.is_in_sync)
        fishery, processor = (simulation.machines[name] for name in ("fishery", "processor"))
        proposed = fishery.append(NewRecord(proposal(PARTIES)))
        assert isinstance(proposed, Appended)
        simulation.run_until(simulation.is_in_sync)
        processor.append(NewRecord(answer(processor.node.agreements.get(Digest(proposed.leaf)))))
        simulation.run_until(simulation.is_in_sync)
        for number in range(3):
            fishery.file(shipment(number, proposed.leaf))
        simulation.run_until(simulation.is_in_sync)
        yield simulation


def lose(simulation: Simulation, name: str, index: int) -> None:
    """A body of the fishery's log, as if it had never come to `name`."""
    node, number = simulation.machines[name].node, stored(simulation.machines[name], "fishery").number
    with node.store.write("restore") as tx:
        sidecars.delete_sidecars(tx, number, [index])
        sidecars.insert_gaps(tx, number, [(index, REPLACED if name == "fishery" else "seal-broken: not here")])


@pytest.mark.slow
@pytest.mark.parametrize(("loser", "giver"), [("fishery", "processor"), ("processor", "fishery")])
def test_body_that_comes_late_or_back_is_news(running: Simulation, loser: str, giver: str) -> None:
    machine, origin = running.machines[loser], running.machines["fishery"].node.joined.origin
    index = stored(machine, "fishery").size - (1 if loser == "fishery" else 2)
    lose(running, loser, index)
    node = machine.node
    peer: Any = Peer(running.machines[giver].node, loser, giver)
    before = node.changes.count
    assert running.loop.run_until_complete(fill_gaps(node, peer, origin))
    assert node.changes.moved(origin.hash, before), "whoever waits for this log is woken"
    with node.store.read() as tx:
        assert node.joined.reader.read(tx, node.find_log(tx, "fishery"), index).state == "open"
    # What the author alone could read is lost for good, and named; asked again, nothing new is told.
    expected = "1 sections were held by nobody who answered" if loser == "fishery" else None
    assert gaps(machine, "fishery").get(index) == expected
    before = node.changes.count
    assert not running.loop.run_until_complete(fill_gaps(node, peer, origin))
    assert not node.changes.moved(origin.hash, before)


def test_author_that_lost_a_body_can_give_it_again_to_a_reader_that_then_lost_it_too(running: Simulation) -> None:
    fishery, processor = running.machines["fishery"], running.machines["processor"]
    origin, index = fishery.node.joined.origin, stored(fishery, "fishery").size - 1
    for loser, giver in ((fishery, processor), (processor, fishery)):
        lose(running, loser.name, index)
        peer: Any = Peer(giver.node, loser.name, giver.name)
        assert running.loop.run_until_complete(fill_gaps(loser.node, peer, origin))
    with processor.node.store.read() as tx:
        log = processor.node.find_log(tx, "fishery")
        assert processor.node.joined.reader.read(tx, log, index).state == "open"
    assert index not in gaps(processor, "fishery")


def test_own_body_comes_back_with_one_wrap_for_each_reader(running: Simulation) -> None:
    """The first that its reader itself gave: what others say is for it need not open."""
    machine, processor = running.machines["fishery"], running.machines["processor"].node
    node, log = machine.node, stored(machine, "fishery")
    index = log.size - 3
    answer = answers.bodies(
        node, log.origin.hash.hex(), bundle=index // 256, start=index, caller=MemberName("processor")
    )
    given = decode_bodies(answer[8:], start=index, end=int.from_bytes(answer[:8], "big"))
    mine, own = given.sidecars[index].wraps
    _, message = open_channel(
        node.membership.network_id, wrapper=node.member, reader=processor.member,
        sealing_key=node.membership.network.card("processor").sealing_key, signer=node.keyring.transport,
    )  # fmt: skip
    other = mine._replace(channel=decode_channel_message(message).id)

    def give(giver: str, wrap: Wrap) -> list[tuple[str, bytes]]:
        """Readers and channels of the wraps that are held afterwards."""
        sidecar = replace(given.sidecars[index], wraps=(wrap, own))
        bodies = Bodies(messages=[*given.messages, message], sidecars={index: sidecar})
        take_back(node, log, index, index + 1, bodies=bodies, giver=MemberName(giver))
        with node.store.read() as tx:
            held, channels = sidecars.read_sidecar(tx, log.number, index), sidecars.list_channels(tx)
        assert held is not None
        found = [channels[wrap.channel_number] for wrap in held.wraps]
        return sorted((channel.reader, channel.id) for channel in found)

    lose(running, "fishery", index)
    assert give("carrier", other) == [("fishery", own.channel)]
    assert "the wraps for processor are lost" in gaps(machine, "fishery")[index]
    both = [("fishery", own.channel), ("processor", mine.channel)]
    assert give("processor", mine) == both
    assert give("processor", other) == both


def test_peer_that_answers_for_one_entry_at_a_time_is_asked_so_often_in_one_go_and_then_from_there_on(
    running: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stingy:
        def __init__(self) -> None:
            self.peer, self.asked = "fishery", list[int]()

        async def bodies(self, log: str, bundle: int, start: int, _bytes_max: int = 0) -> bytes:
            self.asked.append(start)
            return (start + 1).to_bytes(8, "big") + encode_bodies(Bodies(messages=[], sidecars={}))

    monkeypatch.setattr(limits, "REFILL_CALLS_MAX", 2)
    machine, origin = running.machines["processor"], running.machines["fishery"].node.joined.origin
    number, due = stored(machine, "fishery").number, [0, 1, 2, 3, 4]
    assert gaps(machine, "fishery") == {}
    with machine.node.store.write("restore") as tx:
        sidecars.insert_gaps(tx, number, [(index, "seal-broken: not here") for index in due])
    stingy: Any = Stingy()
    refill = Refill()
    for expected in (due[:2], due[2:4], due[4:], due[:2]):
        stingy.asked.clear()
        running.loop.run_until_complete(fill_gaps(machine.node, stingy, origin, refill))
        assert stingy.asked == expected
    with machine.node.store.write("restore") as tx:
        for index in due:
            sidecars.delete_gap(tx, number, index)
