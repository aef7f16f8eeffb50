"""One member lies over real HTTP: nothing false is kept, what is provable is proved to all, nobody else is held up."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
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
from node.clock import system_clock
from node.config import load_settings
from node.storage import facts
from node.sync.client import PeerClient, PeerRefused, make_http_client
from node.sync.signing import CallSigner
from tests.make import Log
from tests.make_folders import Founded, found, free_ports
from tests.make_membership import SMALL_ORDER, changed
from tests.make_peers import Liar, Peer, lying, serving, wait_until

LIAR: Final = "carrier"
HONEST: Final = ("fishery", "retailer")
TIMEOUT_S: Final = 1.0
PARTIES: Final = {"shipper": ["fishery"], "receiver": ["retailer"], "insurer": ["retailer"]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    names = (LIAR, *HONEST)
    ports = dict(zip(names, free_ports(3), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("liars"), *names, endpoints=endpoints, peer_timeout_s=TIMEOUT_S)
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
            wait_until(lambda p=peer: code in p.error_about(LIAR), f"{peer.name} reports {code}")  # type: ignore[misc]

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

    def client(self, name: str, *, as_member: str = LIAR) -> PeerClient:
        """Calls an honest node with the liar's own key."""
        peer = self.fishery if name == "fishery" else self.retailer
        firm = self.founded.firms[as_member]
        signer = CallSigner(firm.name, firm.transport_key(), system_clock)
        endpoint = peer.node.settings.endpoints[0]
        http = make_http_client(load_settings(peer.folder))
        return PeerClient(peer.node.member, endpoint, http=http, signer=signer, timeout_s=10)

    def call(self, name: str, work: Callable[[PeerClient], Any]) -> Any:
        async def run() -> Any:
            client = self.client(name)
            async with client._http:
                return await work(client)

        return asyncio.run(run())


@pytest.fixture
def stage(template: Founded, tmp_path: Path) -> Iterator[Stage]:
    with set_up(template, tmp_path) as made:
        yield made


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


def test_entries_that_are_not_under_the_signed_root_are_not_kept(stage: Stage) -> None:
    stage.hold(3)
    other = stage.log.branch(3, "others").add(4)
    honest = stage.log
    stage.liar.lies["/tile/entries/"] = lambda path: (200, other.tile(_tile_of(path)))
    honest.add(4)
    stage.see_error("root-mismatch")
    stage.check_others(held=3)
    del stage.liar.lies["/tile/entries/"]
    stage.hold(7)


def test_checkpoint_with_a_root_that_no_entries_have_is_not_kept(stage: Stage) -> None:
    stage.hold(3)
    stage.liar.lies["/checkpoint"] = (200, stage.log.note(9, root=Digest(bytes(32))))
    stage.liar.heads = [[stage.liar.oh, 9, "00" * 8, 0]]
    stage.see_error("root-mismatch")
    stage.check_others(held=3)


@pytest.mark.parametrize(
    "raw",
    [b"", b"not JSON", b'{"v":1}', bytes(1000), b"\xff" * 65_535],
    ids=["empty", "text", "json", "zeros", "longest"],
)
def test_malformed_entry_under_a_valid_root_is_kept_and_marked_and_splits_nobody(
    template: Founded, tmp_path: Path, raw: bytes
) -> None:
    log = Log(template.firms[LIAR]).add(2).add_raw(raw).add(2)
    with set_up(template, tmp_path, log) as stage:
        stage.hold(5)
        for peer in stage.peers:
            assert peer.log(LIAR).frontier.root() == log.root()
            wait_until(lambda p=peer: p.cosigned(LIAR, p.name) == 5, "it is cosigned")  # type: ignore[misc]
        stage.check_others(held=5)


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
    asked = len(stage.liar.evidence)
    time.sleep(0.5)
    assert len(stage.liar.evidence) <= max(asked, 2), "each node passes a piece on once"
    stage.check_others()


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


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw.replace(b'"kind":"fork"', b'"kind":"fair"'),
        lambda raw: b"[" * 100_000,
        lambda raw: b"",
        lambda raw: changed(raw.decode(), lambda v: v.update(path=v["path"][:-1])).encode(),
    ],
)
def test_false_evidence_is_refused_and_not_passed_on(stage: Stage, change: Callable[[bytes], bytes]) -> None:
    stage.hold(3)
    forked = stage.log.branch(1).add(4)
    network = stage.fishery.node.membership.network
    evidence = make_fork(stage.log.note(3), forked.note(), path=prove_fork(3, 5, forked.read), network=network)
    with pytest.raises(PeerRefused):
        stage.call("fishery", lambda client: client.post_evidence(change(encode_evidence(evidence))))
    assert stage.fishery.findings() == []
    stage.check_others()


def test_evidence_against_an_honest_log_cannot_be_made_from_its_checkpoints(stage: Stage) -> None:
    placed = [stage.fishery.ship(number) for number in range(3)]
    stage.wait(lambda: stage.retailer.holds("fishery", placed[-1].index + 1), "synced")
    honest = stage.fishery.log("fishery")
    forged = Checkpoint(origin=honest.origin, size=honest.size, root=sha256(b"another"))
    fake = make_signing_key(str(honest.origin))
    note = sign_checkpoint(forged, fake)
    assert honest.checkpoint is not None
    document = json.dumps(
        {"first": honest.checkpoint.decode(), "kind": "fork", "path": [], "second": note.decode()},
        separators=(",", ":"), sort_keys=True,
    )  # fmt: skip
    with pytest.raises(PeerRefused):
        stage.call("retailer", lambda client: client.post_evidence(document.encode() + b"\n"))
    assert stage.retailer.log("fishery").frozen is None


# --- keys -----------------------------------------------------------------------------------


def test_checkpoint_signed_by_an_unknown_key_is_refused(stage: Stage) -> None:
    stage.hold(3)
    stage.log.key = make_signing_key(str(stage.log.origin))
    stage.log.add(2)
    stage.see_error("unknown-key")
    assert stage.liar.was_asked("/v1/cards/carrier/2"), "newer cards are asked for before it is refused"
    stage.check_others(held=3)


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


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_card_with_a_key_of_small_order_is_refused_whole(stage: Stage, point: str) -> None:
    stage.hold(3)
    firm = stage.founded.firms[LIAR]
    card = firm.card(log=2, log_from=4, previous=stage.fishery.node.membership.card(LIAR))
    good = encode_b64(bytes([1]) + firm.log_key(2).public.raw)
    bad = encode_b64(bytes([1]) + bytes.fromhex(point))
    note = firm.signed(card).decode()
    assert good in note
    stage.liar.lies["/v1/cards/carrier/2"] = (200, note.replace(good, bad).encode())
    stage.log.key = firm.log_key(2)
    stage.log.add(2)
    for peer in stage.peers:
        wait_until(lambda p=peer: p.error_about(LIAR), "it is refused")  # type: ignore[misc]
        assert peer.node.membership.card(LIAR).version == 1
    stage.check_others(held=3)


def test_checkpoint_of_another_log_is_refused(stage: Stage) -> None:
    stage.hold(3)
    stage.liar.lies[f"{stage.liar.oh}/checkpoint"] = (200, Log(stage.founded.firms["fishery"]).add(9).note())
    stage.log.add(1)
    stage.see_error("foreign-origin")
    stage.check_others(held=3)


def test_forged_cosignatures_are_not_kept(stage: Stage) -> None:
    placed = stage.fishery.ship(1)
    stage.wait(lambda: stage.fishery.cosigned("fishery", "retailer") > placed.index, "cosigned by the honest")
    log = stage.fishery.log("fishery")
    witness = stage.founded.firms["retailer"].witness_key().public
    line = encode_note(Note("x\n", (Signature(witness.name, witness.hash, bytes(72)),)))[3:]
    stage.liar.heads = [[log.origin.hash.hex(), log.checkpoint_size, "00" * 8, log.checkpoint_size]]
    stage.liar.lies["/cosignatures"] = (200, line)
    stage.see_error("bad-signature")
    assert stage.fishery.cosigned("fishery", LIAR) == 0
    stage.check_others()


# --- answers that harm --------------------------------------------------------------------------


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 16)
        await asyncio.sleep(0)


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("part", ["/v1/heads", "/checkpoint", "/tile/entries/", "/bodies/"])
@pytest.mark.parametrize(("content", "code"), [(_endless, "answer-too-large"), (_drip, "peer-unreachable")])
def test_endless_and_dripping_answers_end(
    stage: Stage, part: str, content: Callable[[], AsyncIterator[bytes]], code: str
) -> None:
    stage.hold(3)
    stage.liar.lies[part] = (200, content)
    stage.log.add(1)
    if part == "/v1/heads" and content is _drip:
        return  # a poll may wait; that it ends is the next test
    stage.see_error(code)
    stage.check_others()


def test_poll_that_drips_ends_with_the_time_it_was_given(template: Founded, tmp_path: Path) -> None:
    with set_up(template, tmp_path) as stage:
        stage.liar.lies["wait=0"] = (200, _drip)
        stage.log.add(1)
        stage.liar.lies["/v1/heads"] = (200, b"gone")
        stage.see_error("encoding")
        del stage.liar.lies["/v1/heads"]
        stage.see_error("peer-unreachable")
        stage.check_others()


@pytest.mark.parametrize(
    "heads",
    [
        b"", b"null", b"[]", b'{"cursor":"a","heads":null}', b"[" * 500_000, b'{"x":' + b"[" * 500_000,
        b'{"cursor":"a b","heads":[]}', b'{"cursor":"a\\r\\nx: y","heads":[]}', b'{"cursor":"","heads":[]}',
        b'{"cursor":"\xff","heads":[]}', b'{"cursor":"\\ud800","heads":[]}', b'{"cursor":1,"heads":[]}',
        b'{"cursor":"a","heads":[["zz",1,"",0]]}',
    ],
)  # fmt: skip
def test_heads_that_are_none_are_refused(stage: Stage, heads: bytes) -> None:
    stage.liar.lies["/v1/heads"] = (200, heads)
    stage.log.add(1)
    stage.see_error("encoding")
    stage.check_others()


@pytest.mark.parametrize("value", [-1, 2**53, 2**63, 2**64 - 1, 10**40, 1.5, "1", None, []])
@pytest.mark.parametrize("place", [1, 3])
def test_absurd_numbers_in_heads_are_refused(stage: Stage, place: int, value: object) -> None:
    head: list[Any] = [stage.liar.oh, 3, stage.log.root()[:8].hex(), 0]
    head[place] = value
    stage.liar.heads = [head]
    stage.see_error("encoding")
    stage.check_others()


def test_heads_of_other_logs_that_are_lies_harm_nothing(stage: Stage) -> None:
    logs = {peer.name: peer.log(peer.name).origin.hash.hex() for peer in stage.peers}
    stage.liar.heads = [[oh, 2**53 - 1, "ff" * 8, 2**53 - 1] for oh in (*logs.values(), "ab" * 32)] * 50
    time.sleep(0.5)
    stage.check_others()


def test_peer_that_never_lets_a_poll_wait_does_not_keep_us_busy(stage: Stage) -> None:
    stage.hold(3)
    items = stage.liar._items()
    stage.liar.lies["/v1/heads"] = lambda _: (200, json.dumps({"cursor": "a", "heads": items}).encode())
    stage.log.add(0)
    time.sleep(1.0)
    before = len(stage.liar.asked)
    time.sleep(2.0)
    assert len(stage.liar.asked) - before < 60, "two nodes ask less and less"
    stage.check_others()


@pytest.mark.parametrize(
    ("status", "content"),
    [(302, b""), (204, b""), (500, b"[" * 100_000), (503, b'{"detail":"\x1b[2J\x07"}'), (403, b"\xff" * 10_000)],
)
def test_refusals_of_any_kind_are_told_in_letters_that_can_be_shown(stage: Stage, status: int, content: bytes) -> None:
    stage.liar.lies["/v1/heads"] = (status, content)
    stage.log.add(1)
    for peer in stage.peers:
        wait_until(lambda p=peer: p.error_about(LIAR), "it is told")  # type: ignore[misc]
        assert peer.error_about(LIAR).isprintable()
        assert len(peer.error_about(LIAR)) < 1000
    stage.check_others()


def test_one_bad_copy_holds_up_no_other_log(stage: Stage) -> None:
    """A peer that answers wrongly of somebody else's log is heard all the same of its own."""
    fishery = stage.fishery.log("fishery")
    stage.liar.lies[f"/v1/logs/{fishery.origin.hash.hex()}"] = (200, b"garbage")
    stage.liar.heads = [[fishery.origin.hash.hex(), 9999, "00" * 8, 9999], *stage.liar._items()]
    stage.see_error("encoding")
    stage.log.add(3)
    stage.liar.heads = [stage.liar.heads[0], [stage.liar.oh, stage.log.size, stage.log.root()[:8].hex(), 0]]
    stage.hold(6)
    stage.check_others()


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
