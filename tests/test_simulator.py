"""Whole networks under bad weather: what must hold for honest members, whatever the wire, power cuts and a liar do.

Every run is made again by its seed: TALLY_SEED=... pytest tests/test_simulator.py
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.evidence import EvidenceKind
from ledger.names import Digest
from ledger.replica import replicate
from node.append import Appended, NewRecord
from node.crash import CRASH_POINTS
from node.guard import GuardState
from node.storage.engine import DiskFull
from node.sync import rounds
from tests import simulator
from tests.make_folders import Founded, answer, found, proposal, shipment
from tests.simulator import Answer, Machine, Simulation, Weather, gaps, stored

FIRMS: Final = ("carrier", "fishery", "processor", "retailer")
PARTIES: Final = {"shipper": ["fishery"], "receiver": ["processor", "retailer"], "insurer": ["carrier"]}
STORMS: Final = (
    Weather(delay_s=0.01, crash=0.01),
    Weather(drop=0.05, repeat=0.3, delay_s=0.5, crash=0.01),
    Weather(drop=0.2, repeat=0.1, delay_s=3.0, crash=0.05),
    Weather(repeat=0.3, delay_s=3.0),
)


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Founded, Digest]:
    """A network of four that share under one contract; its folders are copied for each run."""
    root = tmp_path_factory.mktemp("agreed")
    founded = found(root / "empty", *FIRMS)
    sim = Simulation(founded, root / "running", seed=1)
    with sim.running():
        sim.run_until(sim.is_in_sync)
        proposed = sim.machines["fishery"].append(NewRecord(proposal(PARTIES)))
        assert proposed is not None
        sim.run_until(lambda: all(m.node.agreements.list() for m in sim.machines.values()))
        for name in FIRMS[:1] + FIRMS[2:]:
            machine = sim.machines[name]
            machine.append(NewRecord(answer(machine.node.agreements.list()[0])))
        sim.run_until(lambda: all(m.node.agreements.list()[0].status == "active" for m in sim.machines.values()))
        contract = sim.machines["fishery"].node.agreements.list()[0].id
        sim.settle()
        for machine in sim.machines.values():
            machine.stop()
    folders = {name: root / "running" / name for name in FIRMS}
    return Founded(founded.file, founded.firms, founded.rings, folders), contract


@contextmanager
def run_of(agreed: tuple[Founded, Digest], root: Path, seed: int, liar: str | None = None) -> Iterator[Simulation]:
    print(f"TALLY_SEED={seed}")
    sim = Simulation(agreed[0], root, seed=seed, liar=liar)
    with sim.running():
        yield sim


def storm(sim: Simulation, contract: Digest, *, turns: int) -> None:
    """Clients write, repeat what was not answered, machines come and go, members are cut off from each other."""
    chance, sent = sim.chance, list[tuple[str, int, bytes]]()
    for number in range(turns):
        machine = chance.choice(list(sim.machines.values()))
        if not machine.is_up:
            machine.start()
        for _ in range(chance.randrange(4)):
            sent.append((machine.name, len(sent), b"key %d" % len(sent)))
        for name, number, key in [*sent[-2:], *chance.sample(sent, min(2, len(sent)))]:
            sim.machines[name].file(_shipment(name, number, contract), key=key)
        if sim.strikes(0.1):
            sim.cut = {frozenset(chance.sample(FIRMS, 2)) for _ in range(chance.randrange(4))}
        if sim.strikes(0.1):
            machine.clock_offset_ms = chance.randrange(-20_000, 20_000)
        if sim.strikes(0.1):
            sim.machines[chance.choice(FIRMS)].die()
        sim.run(chance.uniform(0, 3))


def _shipment(name: str, number: int, contract: Digest) -> bytes:
    return shipment(number, contract if name == "fishery" else None)


# --- the wire, and power cuts -------------------------------------------------------------


def test_the_simulator_drives_the_step_of_production() -> None:
    assert simulator.step is replicate
    assert vars(rounds)["step"] is replicate


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STORMS)))
def test_everybody_holds_the_same_after_a_storm(
    agreed: tuple[Founded, Digest], tmp_path: Path, seed: int, number: int
) -> None:
    with run_of(agreed, tmp_path, seed + number) as sim:
        sim.run_until(sim.is_in_sync)
        sim.weather = STORMS[number]
        storm(sim, agreed[1], turns=30)
        sim.settle()
        sim.check()


@pytest.mark.slow
def test_one_seed_gives_one_run(agreed: tuple[Founded, Digest], tmp_path: Path, seed: int) -> None:
    traces = []
    for name in ("first", "again"):
        with run_of(agreed, tmp_path / name, seed) as sim:
            sim.weather = STORMS[1]
            storm(sim, agreed[1], turns=10)
            traces.append(sim.trace.hexdigest())
    assert traces[0] == traces[1]


@pytest.mark.slow
def test_a_failing_store_is_survived_at_every_durable_step(agreed: tuple[Founded, Digest], tmp_path: Path) -> None:
    """Each step fails once before and once after it persisted."""
    points = sorted(point for point in CRASH_POINTS if point.endswith("-commit"))
    with run_of(agreed, tmp_path, 7) as sim:
        sim.run_until(sim.is_in_sync)
        for number, point in enumerate(points):
            for machine in sim.machines.values():
                machine.fail_at = (point, DiskFull())
            for name in FIRMS:
                sim.machines[name].file(_shipment(name, number, agreed[1]), key=b"%d" % number)
            sim.run(2)
            for name in FIRMS:
                sim.machines[name].file(_shipment(name, number, agreed[1]), key=b"%d" % number)
        sim.settle()
        assert all(len(sim.machines[name].by_key) == len(points) for name in FIRMS)
        sim.check()


@pytest.mark.slow
def test_a_member_that_is_away_stops_nobody(agreed: tuple[Founded, Digest], tmp_path: Path) -> None:
    with run_of(agreed, tmp_path, 3) as sim:
        sim.run_until(sim.is_in_sync)
        sim.machines["carrier"].die()
        sim.machines["fishery"].file(shipment(1, agreed[1]))
        size = stored(sim.machines["fishery"], "fishery").size
        sim.run_until(lambda: all(stored(sim.machines[n], "fishery").bodies_size == size for n in FIRMS[2:]), 10)
        # And who was away is brought up to date on the author's log by others, while the author is down.
        sim.machines["fishery"].die()
        sim.machines["carrier"].start()
        sim.run_until(lambda: stored(sim.machines["carrier"], "fishery").checkpoint_size == size, 60)


# --- restored databases -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("keep_high_water", [True, False])
def test_a_restored_machine_gets_back_what_it_signed_before_it_signs_again(
    agreed: tuple[Founded, Digest], tmp_path: Path, keep_high_water: bool
) -> None:
    with run_of(agreed, tmp_path, 5) as sim:
        sim.run_until(sim.is_in_sync)
        fishery = sim.machines["fishery"]
        backup = fishery.back_up()
        for number in range(10):
            fishery.file(shipment(number, agreed[1] if number % 2 else None))
        sim.run_until(sim.is_in_sync)
        told = dict(fishery.recorded)
        fishery.die()
        fishery.restore(backup, keep_high_water=keep_high_water)
        fishery.start()
        assert fishery.file(shipment(99, agreed[1])) is None, "it must not sign before it has asked"
        sim.run_until(lambda: fishery.may_write)
        fishery.file(shipment(100, agreed[1]))
        fishery.recorded |= told
        sim.settle()
        lost = [index for index, reason in gaps(fishery, "fishery").items() if "2 sections" not in reason]
        # What was shared came back but for the part that is the author's alone; what was not shared did not.
        assert len(gaps(fishery, "fishery")) == 10
        assert len(lost) == 10
        sim.check()


@pytest.mark.slow
def test_a_restored_machine_waits_for_what_nobody_else_holds(agreed: tuple[Founded, Digest], tmp_path: Path) -> None:
    with run_of(agreed, tmp_path, 6) as sim:
        sim.run_until(sim.is_in_sync)
        fishery = sim.machines["fishery"]
        backup = fishery.back_up()
        sim.cut = {frozenset({"fishery", other}) for other in FIRMS if other != "fishery"}
        fishery.file(shipment(1, agreed[1]))
        fishery.die()
        fishery.restore(backup, keep_high_water=True)
        fishery.start()
        sim.cut.clear()
        sim.run(120)
        assert fishery.node.joined.guard.state is GuardState.BEHIND
        assert not fishery.may_write


# --- liars --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_two_faces_of_one_member_are_shown_to_all_and_freeze_its_log_alone(
    agreed: tuple[Founded, Digest], tmp_path: Path, seed: int, number: int
) -> None:
    with run_of(agreed, tmp_path, seed + number, liar="carrier") as sim:
        sim.run_until(lambda: sim.is_in_sync() and sim.machines["carrier"].may_write)
        common = stored(sim.machines["carrier"], "carrier").size
        second = sim.split("carrier")
        for face, lies in ((sim.machines["carrier"], 3), (second, sim.chance.randrange(1, 6))):
            for count in range(lies):
                face.file(shipment(sim.chance.randrange(10**9), role=count))
        sim.run_until(lambda: all(stored(m, "carrier").frozen for m in sim.honest), 300)
        sim.machines["fishery"].file(shipment(1, agreed[1]))
        sim.run_until(sim.is_in_sync)
        for machine in sim.honest:
            found = sim.findings(machine)
            assert [finding.kind for finding in found] == [EvidenceKind.FORK] * len(found)
            assert found, f"{machine.name} was not told"
            assert {name for finding in found for name in finding.members} == {"carrier"}
            assert min(finding.size for finding in found) > common
        sim.check()


def garble(path: str, honest: Answer, chance: random.Random) -> Answer:
    """Anything but what was asked for."""
    status, content = honest
    match chance.randrange(12):
        case 0:
            return status, content[: chance.randrange(len(content) + 1)]
        case 1 if content:
            at = chance.randrange(len(content))
            return status, content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
        case 2:
            return status, chance.randbytes(chance.randrange(200))
        case 3:
            return status, content * 3
        case 4:
            return status, b"\0" * (20 << 20 if chance.random() < 0.1 else 2 << 20)
        case 5:
            return status, b"[" * 100_000
        case 6:
            return chance.choice((200, 204, 302, 400, 404, 500, 503)), b'{"detail": "\x1b[2J' + b"x" * 5000
        case 7 | 8 if "/heads" in path:
            return 200, _absurd_heads(content, chance)
    return honest


def _absurd_heads(content: bytes, chance: random.Random) -> bytes:
    try:
        value = json.loads(content)
    except ValueError:
        return content
    absurd: object = chance.choice((-1, 2**53 - 1, 2**53, 2**63, 2**64 - 1, 10**30, 0.5, "1", None, [], 0))
    for head in value.get("heads", []):
        if chance.random() < 0.7:
            head[chance.randrange(4)] = absurd
    if chance.random() < 0.5:
        value["cursor"] = chance.choice(("", "a b", "x\r\ny: z", "&wait=0", "é", "\ud800", "9" * 70_000, None, 7))
    value["heads"] = value.get("heads", []) * chance.choice((1, 2, 500))
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_garbled_answers_of_one_member_harm_nobody_else(
    agreed: tuple[Founded, Digest], tmp_path: Path, seed: int, number: int
) -> None:
    with run_of(agreed, tmp_path, seed + number, liar="carrier") as sim:
        sim.machines["carrier"].lie = garble
        sim.run_until(sim.is_in_sync)
        sim.weather = Weather(delay_s=0.2)
        for _ in range(10):
            for name in FIRMS:
                sim.machines[name].file(_shipment(name, sim.chance.randrange(10**6), agreed[1]))
            sim.run(sim.chance.uniform(0, 4))
        sim.settle()
        for machine in sim.honest:
            assert sim.findings(machine) == []
        sim.check()


# --- any order of anything -------------------------------------------------------------------


class NetworkMachine(RuleBasedStateMachine):
    """Four machines, of which each can be used, cut off, killed at a crash point, and restored; one of them may lie."""

    agreed: tuple[Founded, Digest]
    root: Path
    runs = 0

    @initialize(seed=st.integers(0, 2**32 - 1), liar=st.sampled_from([None, *FIRMS]))
    def begin(self, seed: int, liar: str | None) -> None:
        NetworkMachine.runs += 1
        self.folder = self.root / str(NetworkMachine.runs)
        self.liar, self.has_split = liar, False
        self.sim = Simulation(self.agreed[0], self.folder, seed=seed, liar=liar)
        self.context = self.sim.running()
        self.context.__enter__()
        self.number = 0

    def machine(self, at: int) -> Machine:
        return self.sim.machines[FIRMS[at]]

    @rule(at=st.integers(0, 3), count=st.integers(1, 3), repeat=st.booleans())
    def file(self, at: int, count: int, repeat: bool) -> None:
        for _ in range(count):
            self.number += not repeat
            name = FIRMS[at]
            self.machine(at).file(_shipment(name, self.number, self.agreed[1]), key=f"{name} {self.number}".encode())

    @rule(seconds=st.floats(0.001, 60))
    def wait(self, seconds: float) -> None:
        self.sim.run(seconds)

    @rule(pairs=st.sets(st.frozensets(st.sampled_from(FIRMS), min_size=2, max_size=2), max_size=4))
    def cut(self, pairs: set[frozenset[str]]) -> None:
        self.sim.cut = pairs

    @rule(weather=st.sampled_from(STORMS))
    def turn(self, weather: Weather) -> None:
        self.sim.weather = weather

    @rule(at=st.integers(0, 3), point=st.sampled_from(sorted(CRASH_POINTS)), passes=st.integers(0, 3))
    def doom(self, at: int, point: str, passes: int) -> None:
        if not self.is_two_faced(at):
            self.machine(at).die_at = (point, passes)

    @rule(at=st.integers(0, 3), point=st.sampled_from(sorted(CRASH_POINTS)))
    def fail(self, at: int, point: str) -> None:
        if not self.is_two_faced(at):
            self.machine(at).fail_at = (point, DiskFull())

    @precondition(lambda self: self.liar is not None and not self.has_split)
    @rule(lies=st.booleans())
    def garble(self, lies: bool) -> None:
        """From now on, or no longer."""
        assert self.liar is not None
        self.sim.machines[self.liar].lie = garble if lies else None

    @precondition(lambda self: self.liar is not None and not self.has_split and not self.sim.cut)
    @rule(count=st.integers(1, 3), others=st.integers(1, 3))
    def split(self, count: int, others: int) -> None:
        """Some are shown one history, some another. Both faces are well and lie on: the rules leave them alone."""
        assert self.liar is not None
        first = self.sim.machines[self.liar]
        first.lie = None
        self.sim.settle()
        self.sim.run_until(lambda: first.may_write)
        self.has_split = True
        for face, lies in ((self.sim.split(self.liar), others), (first, count)):
            for _ in range(lies):
                assert isinstance(face.file(shipment(self.sim.chance.randrange(10**9))), Appended)

    def is_two_faced(self, at: int) -> bool:
        return self.has_split and FIRMS[at] == self.liar

    @rule(at=st.integers(0, 3))
    def kill(self, at: int) -> None:
        if not self.is_two_faced(at):
            self.machine(at).die()

    @rule(at=st.integers(0, 3))
    def start(self, at: int) -> None:
        if not self.machine(at).is_up:
            self.sim.run(0.1)
            self.machine(at).start()

    @rule(at=st.integers(0, 3), offset_ms=st.integers(-20_000, 20_000))
    def set_clock(self, at: int, offset_ms: int) -> None:
        self.machine(at).clock_offset_ms = offset_ms

    @precondition(lambda self: not self.sim.cut)
    @rule(at=st.integers(0, 3), keep_high_water=st.booleans(), count=st.integers(0, 3))
    def restore(self, at: int, keep_high_water: bool, count: int) -> None:
        """Back to a backup from before `count` more records, all of which others hold by now."""
        machine = self.machine(at)
        if not machine.is_honest:
            return  # others are not known to hold all of a liar's, and its backup makes it one who splits
        self.sim.settle()
        backup = machine.back_up()
        self.file(at, count, repeat=False)
        self.sim.settle()
        told = dict(machine.recorded)
        machine.die()
        machine.restore(backup, keep_high_water=keep_high_water)
        machine.recorded |= told
        machine.start()

    @invariant()
    def nothing_ended_by_itself(self) -> None:
        assert not self.sim.faults, "\n".join(self.sim.faults)

    def teardown(self) -> None:
        try:
            self.sim.settle()
            if self.has_split:
                liar = str(self.liar)
                self.sim.run_until(lambda: all(stored(machine, liar).frozen for machine in self.sim.honest), 300)
                self.sim.settle()
            self.look_at_evidence()
            self.sim.check()
        finally:
            self.context.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    def look_at_evidence(self) -> None:
        """Who split its history is convicted of it everywhere, and its log alone is frozen; garbling proves nothing."""
        guilty = {self.liar} if self.has_split else set()
        for machine in self.sim.honest:
            found = self.sim.findings(machine)
            assert {name for finding in found for name in finding.members} == guilty, f"evidence at {machine.name}"
            assert {finding.kind for finding in found} <= {EvidenceKind.FORK}
            assert {name for name in FIRMS if stored(machine, name).frozen} == guilty, f"frozen at {machine.name}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_order_of_power_cuts_partitions_restores_and_lies(agreed: tuple[Founded, Digest], tmp_path: Path) -> None:
    NetworkMachine.agreed, NetworkMachine.root = agreed, tmp_path
    run_state_machine_as_test(NetworkMachine, settings=settings(max_examples=15, stateful_step_count=15))
