"""One member lies over real HTTP: nothing false is kept, what is provable is proved to all, nobody else is held up."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.evidence import EvidenceKind, decode_evidence, encode_evidence, make_fork
from ledger.keys import make_signing_key
from ledger.merkle import prove_fork
from ledger.names import Digest, encode_b64, sha256
from ledger.note import Note, Signature, encode_note
from ledger.tiles import Tile, decode_tile_path
from node.config import load_settings
from node.storage import facts, sidecars
from node.sync import driver, turn
from node.sync.bodies import fill_gaps
from node.sync.client import PeerClient, PeerRefused, make_http_client
from node.sync.recovery import REPLACED
from node.sync.signing import CallSigner
from tests.make import Log
from tests.make_folders import Founded, found, free_ports
from tests.make_membership import SMALL_ORDER, changed
from tests.make_peers import Liar, Peer, call, lying, serving, wait_until

pytestmark = pytest.mark.slow

LIAR: Final = "carrier"
HONEST: Final = ("fishery", "retailer")
TIMEOUT_S: Final = 1.0
PARTIES: Final = {"shipper": ["fishery"], "receiver": ["retailer"], "insurer": ["retailer"]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make(tmp_path_factory.mktemp("liars"))


def make(root: Path) -> Founded:
    names = (LIAR, *HONEST)
    ports = dict(zip(names, free_ports(3), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(root, *names, endpoints=endpoints, peer_timeout_s=TIMEOUT_S)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


class Stage:
    """Two honest nodes that run, and a liar."""

    def __init__(self, founded: Founded, liar: Liar, peers: Sequence[Peer]) -> None:
        self.founded = founded
        self.liar = liar
        self.fishery, self.retailer = self.peers = list(peers)

    @property
    def log(self) -> Log:
        return self.liar.log

    def wait(self, holds: Callable[[], Any], what: str) -> None:
        wait_until(holds, what)

    def see_error(self, code: str) -> None:
        """Both honest nodes say this of the liar."""
        for peer in self.peers:
            wait_until(lambda p=peer: p.error_about(LIAR).startswith(code), f"{peer.name} reports {code}")  # type: ignore[misc]

    def reform(self) -> None:
        """From now on the liar is honest; wait until that is noticed."""
        self.liar.lies.clear()
        self.liar.heads = None
        self.log.key = None
        self.log.add(1)
        self.hold(self.log.size)
        for peer in self.peers:
            wait_until(lambda p=peer: not p.error_about(LIAR), f"{peer.name} has forgiven")  # type: ignore[misc]

    def hold(self, size: int) -> None:
        for peer in self.peers:
            wait_until(lambda p=peer: p.holds(LIAR, size), f"{peer.name} holds {size}")  # type: ignore[misc]

    def check_others(self, *, held: int | None = None) -> None:
        """The honest two go on with each other, hold nothing else of the liar, and blame no one else."""
        placed = self.fishery.ship(random.randrange(10**6))
        self.wait(lambda: self.retailer.holds("fishery", placed.index + 1), "the others sync as ever")
        self.wait(lambda: self.fishery.cosigned("fishery", "retailer") > placed.index, "and cosign")
        for peer in self.peers:
            assert held is None or peer.log(LIAR).size == held
            assert {name for finding in peer.findings() for name in finding.members} <= {LIAR}

    def call(self, name: str, work: Callable[[PeerClient], Awaitable[Any]]) -> Any:
        """Call an honest node with the liar's own key."""
        peer = self.fishery if name == "fishery" else self.retailer
        return call(peer, self.founded.firms[LIAR], work)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Back-off that a test has time for, also where the machine is busy and honest calls fail at times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_BACK_OFF_S", (0.02, 0.1))
        yield


@pytest.fixture
def stage(template: Founded, tmp_path: Path) -> Iterator[Stage]:
    """A liar with three entries."""
    with set_up(template, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running(quick: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with set_up(make(tmp_path_factory.mktemp("shared")), tmp_path_factory.mktemp("running")) as made:
        yield made


@pytest.fixture
def shared(running: Stage) -> Stage:
    """One for all lies that leave nothing behind: both hold all that the liar has so far."""
    running.reform()
    return running


@contextmanager
def set_up(template: Founded, root: Path, log: Log | None = None) -> Iterator[Stage]:
    folders = []
    for name in HONEST:
        shutil.copytree(template.folders[name], root / name)
        folders.append(root / name)
    port = load_settings(template.folders[LIAR]).port
    with lying(log or Log(template.firms[LIAR]).add(3), port) as liar, serving(*folders) as peers:
        stage = Stage(template, liar, peers)
        for peer in peers:
            wait_until(lambda p=peer: p.is_ready, f"{peer.name} may write")  # type: ignore[misc]
        yield stage


# --- its own log ---------------------------------------------------------------------------


def test_member_that_holds_less_of_a_log_than_we_do_has_nothing_to_give_back_and_no_fault(
    shared: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The liar answers 404 about every log but its own, as an honest member does that was away."""

    async def ask_nobody(*_: Any) -> bool:
        return False

    monkeypatch.setattr(turn, "fill_gaps", ask_nobody)  # the node that runs would fill the gap from the retailer
    node, number = shared.fishery.node, shared.fishery.log("fishery").number
    signer = CallSigner(node.member, node.keyring.transport, node.clock)

    async def ask() -> bool:
        async with make_http_client(node.settings) as http:
            endpoint = node.membership.card(LIAR).endpoints[0]
            peer = PeerClient(shared.log.author.name, endpoint, http=http, signer=signer, timeout_s=60)
            return await fill_gaps(node, peer, node.joined.origin)

    with node.store.write("sync-bodies") as tx:
        sidecars.insert_gaps(tx, number, [(0, REPLACED)])
    try:
        asked = shared.liar.count("/bodies/")
        assert asyncio.run(ask()) is False
        assert shared.liar.count("/bodies/") > asked
        assert shared.fishery.gaps("fishery") == {0: REPLACED}, "it stays named"
    finally:
        with node.store.write("sync-bodies") as tx:
            sidecars.delete_gap(tx, number, 0)


def test_entries_that_are_not_under_the_signed_root_are_not_kept(shared: Stage) -> None:
    held = shared.log.size
    other = shared.log.branch(held, "others").add(4)
    shared.liar.lies["/tile/entries/"] = lambda path: (200, other.tile(_tile_of(path)))
    shared.log.add(4)
    shared.see_error("root-mismatch")
    shared.check_others(held=held)
    shared.reform()


def test_checkpoint_with_a_root_that_no_entries_have_is_not_kept(shared: Stage) -> None:
    held = shared.log.size
    shared.liar.lies[f"{shared.liar.oh}/checkpoint"] = (200, shared.log.note(held + 6, root=Digest(bytes(32))))
    shared.log.add(6)
    shared.see_error("root-mismatch")
    shared.check_others(held=held)


def test_malformed_entry_under_a_valid_root_is_kept_and_marked_and_splits_nobody(stage: Stage) -> None:
    """Also so long ones that their bundle is asked for twice."""
    stage.hold(3)
    for raw in (b"", b"not JSON", b'{"v":1}', bytes(1000), *[b"\xff" * 65_535] * 5):
        stage.log.add_raw(raw)
    stage.log.add(2)
    stage.hold(14)
    for peer in stage.peers:
        assert peer.log(LIAR).frontier.root() == stage.log.root()
        wait_until(lambda p=peer: p.cosigned(LIAR, p.name) == 14, "it is cosigned")  # type: ignore[misc]
        with peer.node.store.read() as tx:
            records = [peer.node.joined.reader.read(tx, peer.log(LIAR), index) for index in range(14)]
        assert [index for index in range(14) if records[index].state == "invalid"] == list(range(3, 12))
    stage.check_others(held=14)


def test_entry_with_a_broken_link_is_kept_and_marked(template: Founded, tmp_path: Path) -> None:
    log = Log(template.firms[LIAR]).add(2).add_entry(prev=Digest(bytes(32))).add(2)
    with set_up(template, tmp_path, log) as stage:
        stage.hold(5)
        with stage.fishery.node.store.read() as tx:
            record = stage.fishery.node.joined.reader.read(tx, stage.fishery.log(LIAR), 2)
        assert record.state == "invalid"
        stage.check_others(held=5)


def test_entry_of_another_log_is_kept_and_marked(template: Founded, tmp_path: Path) -> None:
    foreign = Log(template.firms["fishery"]).add(1).entries[0]
    with set_up(template, tmp_path, Log(template.firms[LIAR]).add_raw(foreign).add(1)) as stage:
        stage.hold(2)
        stage.check_others(held=2)


def test_rollback_is_noticed_and_convicts_nobody(stage: Stage) -> None:
    stage.log.add(5)
    stage.hold(8)
    stage.liar.log = stage.log.branch(4)
    for peer in stage.peers:
        state = peer.driver.peers[peer.node.membership.card(LIAR).member]
        wait_until(lambda s=state: s.author_behind, f"{peer.name} sees that the author is behind")  # type: ignore[misc]
        assert peer.findings() == []
    stage.check_others(held=8)


@pytest.mark.parametrize(("common", "first", "second"), [(2, 5, 5), (2, 5, 9), (3, 7, 5), (0, 3, 4)])
def test_fork_is_proved_kept_and_freezes_the_log_alone(
    template: Founded, tmp_path: Path, common: int, first: int, second: int
) -> None:
    log = Log(template.firms[LIAR]).add(first)
    with set_up(template, tmp_path, log) as stage:
        stage.hold(first)
        stage.liar.log = log.branch(common).add(second - common)
        for peer in stage.peers:
            wait_until(lambda p=peer: p.log(LIAR).frozen, f"frozen at {peer.name}")  # type: ignore[misc]
            findings = peer.findings()
            assert {finding.kind for finding in findings} == {EvidenceKind.FORK}
            assert findings[0].size <= min(first, second)
        stage.check_others(held=first)


def test_evidence_reaches_who_is_shown_nothing_and_stays_over_a_restart(stage: Stage, tmp_path: Path) -> None:
    """The retailer is cut off from the liar; the fishery, to which it forks, tells it."""
    stage.hold(3)
    forked = stage.log.branch(1).add(4)
    network = stage.fishery.node.membership.network
    path = prove_fork(3, forked.size, forked.read)
    evidence = make_fork(stage.log.note(3), forked.note(), path=path, network=network)
    stage.call("fishery", lambda client: client.post_evidence(encode_evidence(evidence)))
    stage.wait(lambda: stage.retailer.log(LIAR).frozen, "the retailer is told")
    stage.wait(lambda: stage.liar.evidence, "so is the accused")
    assert decode_evidence(stage.liar.evidence[0]) == evidence
    with stage.retailer.node.store.read() as tx:
        assert len(facts.list_evidence(tx)) == 1
    stage.check_others()
    stage.wait(lambda: len(stage.liar.evidence) >= 2, "from both")
    stage.check_others()
    assert len(stage.liar.evidence) == 2, "each node passes a piece on once"


def test_more_contradictions_of_one_log_are_no_news(stage: Stage) -> None:
    stage.hold(3)
    network = stage.fishery.node.membership.network
    for number in range(3):
        forked = stage.log.branch(1, f"fork {number}").add(4 + number)
        evidence = make_fork(
            stage.log.note(3), forked.note(), path=prove_fork(3, forked.size, forked.read), network=network
        )
        document = encode_evidence(evidence)
        stage.call("fishery", methodcaller("post_evidence", document))
    assert len(stage.fishery.findings()) == 1
    stage.check_others()


def test_false_evidence_is_refused_and_not_passed_on(shared: Stage) -> None:
    forked = shared.log.branch(1).add(4)
    network = shared.fishery.node.membership.network
    evidence = make_fork(shared.log.note(3), forked.note(), path=prove_fork(3, 5, forked.read), network=network)
    raw = encode_evidence(evidence)
    for false in (
        raw[: len(raw) // 2],
        raw.replace(b'"kind":"fork"', b'"kind":"fair"'),
        b"[" * 100_000,
        b"",
        changed(raw.decode(), lambda v: v.update(path=v["path"][:-1])).encode(),
    ):
        assert false != raw
        with pytest.raises(PeerRefused):
            shared.call("fishery", methodcaller("post_evidence", false))
    assert shared.fishery.findings() == []
    shared.check_others()
    assert shared.liar.evidence == []


def test_evidence_against_an_honest_log_cannot_be_made_from_its_checkpoints(shared: Stage) -> None:
    placed = [shared.fishery.ship(number) for number in range(3)]
    shared.wait(lambda: shared.retailer.holds("fishery", placed[-1].index + 1), "synced")
    honest = shared.fishery.log("fishery")
    forged = Checkpoint(origin=honest.origin, size=honest.size, root=sha256(b"another"))
    fake = make_signing_key(str(honest.origin))
    note = sign_checkpoint(forged, fake)
    assert honest.checkpoint is not None
    document = json.dumps(
        {"first": honest.checkpoint.decode(), "kind": "fork", "path": [], "second": note.decode()},
        separators=(",", ":"), sort_keys=True,
    )  # fmt: skip
    with pytest.raises(PeerRefused):
        shared.call("retailer", lambda client: client.post_evidence(document.encode() + b"\n"))
    assert shared.retailer.log("fishery").frozen is None


# --- keys -----------------------------------------------------------------------------------


def test_checkpoint_signed_by_an_unknown_key_is_refused(shared: Stage) -> None:
    held = shared.log.size
    shared.log.key = make_signing_key(str(shared.log.origin))
    shared.log.add(2)
    shared.see_error("unknown-key")
    assert shared.liar.count("/v1/cards/carrier/2"), "newer cards are asked for before it is refused"
    shared.check_others(held=held)


def test_checkpoint_signed_by_a_replaced_key_is_refused(stage: Stage) -> None:
    stage.hold(3)
    firm = stage.founded.firms[LIAR]
    endpoints = stage.fishery.node.membership.card(LIAR).endpoints
    card = firm.card(log=2, log_from=4, endpoints=endpoints, previous=stage.fishery.node.membership.card(LIAR))
    stage.liar.lies["/v1/cards/carrier/2"] = (200, firm.signed(card))
    stage.log.key = firm.log_key(2)
    stage.log.add(2)
    stage.hold(5)
    stage.log.key = firm.log_key(1)
    stage.log.add(2)
    stage.see_error("unknown-key")
    stage.check_others(held=5)
    stage.log.key = firm.log_key(2)
    stage.hold(7)


def test_card_with_a_key_of_small_order_is_refused_whole(shared: Stage) -> None:
    firm = shared.founded.firms[LIAR]
    card = firm.card(log=2, log_from=1, previous=shared.fishery.node.membership.card(LIAR))
    good = encode_b64(bytes([1]) + firm.log_key(2).public.raw)
    note = firm.signed(card).decode()
    assert good in note
    for point in SMALL_ORDER:
        bad = encode_b64(bytes([1]) + bytes.fromhex(point))
        shared.liar.lies["/v1/cards/carrier/2"] = (200, note.replace(good, bad).encode())
        shared.log.key = firm.log_key(2)
        shared.log.add(1)
        shared.see_error("weak-key")
        for peer in shared.peers:
            assert peer.node.membership.card(LIAR).version == 1
            assert peer.log(LIAR).size == shared.log.size - 1
        shared.reform()
    shared.check_others()


def test_checkpoint_of_another_log_is_refused(shared: Stage) -> None:
    held = shared.log.size
    shared.liar.lies[f"{shared.liar.oh}/checkpoint"] = (200, Log(shared.founded.firms["fishery"]).add(9).note())
    shared.log.add(1)
    shared.see_error("foreign-origin")
    shared.check_others(held=held)


def test_forged_cosignatures_are_not_kept(shared: Stage) -> None:
    placed = shared.fishery.ship(1)
    shared.wait(lambda: shared.fishery.cosigned("fishery", "retailer") > placed.index, "cosigned by the honest")
    log = shared.fishery.log("fishery")
    witness = shared.founded.firms["retailer"].witness_key().public
    line = encode_note(Note("x\n", (Signature(witness.name, witness.hash, bytes(72)),)))[3:]
    shared.liar.heads = [[log.origin.hash.hex(), log.checkpoint_size, "00" * 8, log.checkpoint_size]]
    shared.liar.lies["/cosignatures"] = (200, line)
    shared.see_error("bad-signature")
    assert shared.fishery.cosigned("fishery", LIAR) == 0
    shared.check_others()


# --- answers that harm --------------------------------------------------------------------------


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 16)
        await asyncio.sleep(0)


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(("content", "code"), [(_endless, "answer-too-large"), (_drip, "peer-unreachable")])
def test_endless_and_dripping_answers_end(
    shared: Stage, content: Callable[[], AsyncIterator[bytes]], code: str
) -> None:
    for part in ("/checkpoint", "/tile/entries/", "/bodies/"):
        shared.liar.lies[f"{shared.liar.oh}{part}"] = (200, content)
        shared.log.add(1)
        shared.see_error(code)
        shared.check_others()
        shared.reform()


def test_endless_poll_is_cut_off(shared: Stage) -> None:
    shared.liar.lies["/v1/heads"] = (200, _endless)
    shared.log.add(1)
    shared.see_error("answer-too-large")
    shared.check_others()


def test_poll_that_drips_ends_with_the_time_it_was_given(shared: Stage) -> None:
    """One without a cursor: what may wait has its wait added."""
    shared.liar.lies["/v1/heads"] = (200, b"gone")
    shared.log.add(1)
    shared.see_error("encoding")
    shared.liar.lies["/v1/heads"] = (200, _drip)
    shared.see_error("peer-unreachable")
    shared.check_others()


def test_heads_that_are_none_are_refused(shared: Stage) -> None:
    for heads in (
        b"", b"null", b"[]", b'{"cursor":"a","heads":null}', b"[" * 500_000, b'{"x":' + b"[" * 500_000,
        b'{"cursor":"a b","heads":[]}', b'{"cursor":"a\\r\\nx: y","heads":[]}', b'{"cursor":"","heads":[]}',
        b'{"cursor":"\xff","heads":[]}', b'{"cursor":"\\ud800","heads":[]}', b'{"cursor":1,"heads":[]}',
        b'{"cursor":"a","heads":[["zz",1,"",0]]}',
    ):  # fmt: skip
        shared.liar.lies["/v1/heads"] = (200, heads)
        shared.log.add(1)
        shared.see_error("encoding")
        shared.reform()
    shared.check_others()


@pytest.mark.parametrize("place", [1, 3])
def test_absurd_numbers_in_heads_are_refused(shared: Stage, place: int) -> None:
    values: tuple[object, ...] = (-1, 2**53, 2**63, 2**64 - 1, 10**40, 1.5, "1", None, [])
    for value in values:
        head: list[Any] = [shared.liar.oh, 3, shared.log.root()[:8].hex(), 0]
        head[place] = value
        shared.liar.heads = [head]
        shared.see_error("encoding")
        shared.reform()
    shared.check_others()


def test_heads_of_other_logs_that_are_lies_harm_nothing(shared: Stage) -> None:
    logs = {peer.name: peer.log(peer.name).origin.hash.hex() for peer in shared.peers}
    before = shared.liar.count("/v1/heads")
    shared.liar.heads = [[oh, 2**53 - 1, "ff" * 8, 2**53 - 1] for oh in (*logs.values(), "ab" * 32)] * 50
    shared.wait(lambda: shared.liar.count("/v1/heads") > before + 4, "both have asked again and again")
    shared.check_others()


def test_peer_that_never_lets_a_poll_wait_does_not_keep_us_busy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some answers for nothing the pauses grow; here the first has no end that the test would see."""
    stage.hold(3)
    monkeypatch.setattr(driver, "_IDLE_S", (1000.0, 1000.0))
    items = stage.liar._items()
    before = stage.liar.count("/v1/heads")
    stage.liar.lies["/v1/heads"] = lambda _: (200, json.dumps({"cursor": "a", "heads": items}).encode())
    stage.log.add(1)
    # Whatever of ours moves meanwhile begins the count anew, a few times; without pauses there would be thousands.
    most = 2 * 6 * driver._IDLE_FREE
    stage.wait(lambda: stage.liar.count("/v1/heads") >= before + 2 * driver._IDLE_FREE, "both have asked in vain")
    stage.check_others()
    assert stage.liar.count("/v1/heads") <= before + most


def test_refusals_of_any_kind_are_told_in_letters_that_can_be_shown(shared: Stage) -> None:
    for status, content in (
        (302, b""), (204, b""), (500, b"[" * 100_000), (503, b'{"detail":"\x1b[2J\x07"}'), (403, b"\xff" * 10_000),
        (403, b'{"detail":"","code":"call-early","started":1e400}'), (403, b'{"code":"call-early","started":[]}'),
    ):  # fmt: skip
        shared.liar.lies["/v1/heads"] = (status, content)
        shared.log.add(1)
        for peer in shared.peers:
            wait_until(lambda p=peer: p.error_about(LIAR), "it is told")  # type: ignore[misc]
            assert peer.error_about(LIAR).isprintable()
            assert len(peer.error_about(LIAR)) < 1000
        shared.reform()
    shared.check_others()


def test_calls_say_no_more_of_their_software_than_its_name(shared: Stage) -> None:
    assert shared.liar.agents == {"tally"}


def test_one_bad_copy_holds_up_no_other_log(shared: Stage) -> None:
    """A peer that answers wrongly of somebody else's log is heard all the same of its own."""
    fishery = shared.fishery.log("fishery")
    shared.liar.lies[f"/v1/logs/{fishery.origin.hash.hex()}"] = (200, b"garbage")
    shared.liar.heads = [[fishery.origin.hash.hex(), 9999, "00" * 8, 9999], *shared.liar._items()]
    shared.see_error("encoding")
    shared.log.add(3)
    shared.liar.heads = [shared.liar.heads[0], [shared.liar.oh, shared.log.size, shared.log.root()[:8].hex(), 0]]
    shared.hold(shared.log.size)
    shared.check_others()


# --- bodies ------------------------------------------------------------------------------------


def test_bodies_go_to_the_entitled_alone(stage: Stage) -> None:
    contract = stage.fishery.agree([stage.retailer], PARTIES)
    placed = stage.fishery.ship(1, contract)
    stage.wait(lambda: stage.retailer.holds("fishery", placed.index + 1), "synced")
    oh = stage.fishery.log("fishery").origin.hash.hex()
    for name in HONEST:
        answer = stage.call(name, lambda client: client.bodies(oh, 0, 0))
        assert answer[8:] == b"\0\0", f"{name} gives a stranger to the contract nothing at all"
    assert "value" in stage.retailer.body("fishery", placed.index)
    assert "cost" not in stage.retailer.body("fishery", placed.index)


def _tile_of(path: str) -> Tile:
    return decode_tile_path("tile/" + path.partition("/tile/")[2].partition("?")[0])
