"""Nodes over real HTTP: catching up, going on after a break, by way of others, over TLS, without wasting calls."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import random
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ledger.names import MemberName
from ledger.replica import Cosign
from node import serving as serving_module
from node.append import NewRecord
from node.config import load_settings
from node.highwater import HIGH_WATER_NAME
from node.node import Node
from node.storage import checkpoints, logs
from node.storage.copies import copy_database
from node.sync import rounds, turn
from node.sync.client import PeerRefused
from node.sync.driver import SyncDriver
from node.sync.turn import PeerState
from tests.make import Log
from tests.make_folders import Founded, found, free_ports, shipment
from tests.make_peers import WAIT_S, Peer, lying, serving, wait_until

pytestmark = pytest.mark.slow

FIRMS: Final = ("carrier", "fishery", "processor", "retailer")
PARTIES: Final = {"shipper": ["fishery"], "receiver": ["retailer"], "insurer": ["carrier"]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make(tmp_path_factory.mktemp("sync"))


@pytest.fixture
def folders(template: Founded, tmp_path: Path) -> dict[str, Path]:
    return {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in template.folders.items()}


def make(root: Path, *names: str, scheme: str = "http", **settings: Any) -> Founded:
    """Folders of firms that listen on free ports."""
    names = names or FIRMS
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    endpoints = {name: [f"{scheme}://127.0.0.1:{port}"] for name, port in ports.items()} | settings.pop("endpoints", {})
    founded = found(root, *names, endpoints=endpoints, **settings)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


def fill(peer: Peer, count: int, contract: bytes | None = None) -> int:
    """Append `count` records in batches; returns the size of the log afterwards."""
    last = 0
    for at in range(0, count, 500):
        numbers = range(at, min(at + 500, count))
        records = [peer.node.joined.intake.parse(shipment(n, contract), by=b'"test"') for n in numbers]
        last = peer.node.append(records)()[-1].index  # type: ignore[union-attr]
    return last + 1


def await_size(peer: Peer, author: str, size: int) -> None:
    wait_until(lambda: peer.holds(author, size), f"{peer.name} holds {size} of {author}")


# --- catching up ------------------------------------------------------------------------------


def test_records_reach_whoever_may_read_them_and_cosignatures_come_back(folders: dict[str, Path]) -> None:
    with serving(*folders.values()) as (carrier, fishery, _, retailer):
        contract = fishery.agree([carrier, retailer], PARTIES)
        at = fishery.ship(7, contract, note="x")
        for peer in (carrier, retailer):
            await_size(peer, "fishery", at.index + 1)
        index: Any = at.index
        assert retailer.body("fishery", index) == {"number": 7, "note": "x"} | {
            name: value for name, value in retailer.body("fishery", index).items() if name not in ("number", "note")
        }
        assert carrier.body("fishery", index) == {"value": "7.50"}
        assert fishery.body("fishery", index) == {"number": 7, "value": "7.50", "cost": 49, "note": "x"}
        for peer in (carrier, retailer):
            wait_until(lambda p=peer: fishery.cosigned("fishery", p.name) > index, "cosigned")  # type: ignore[misc]


def test_a_record_can_be_read_before_its_entry_is_cosigned(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who waits for a body waits for a signature that is for others."""
    seen: list[tuple[int, int]] = []
    actions: list[Cosign] = []

    def look(node: Node, action: Cosign) -> None:
        with node.store.read() as tx:
            log = node.find_log(tx, str(action.checkpoint.checkpoint.origin))
        if (node.member, log.origin.member) == ("retailer", "fishery"):
            seen.append((log.checkpoint_size, log.bodies_size))
            actions.append(action)
        cosign(node, action)

    cosign = rounds._cosign
    monkeypatch.setattr(rounds, "_cosign", look)
    with serving(*folders.values()) as (_, fishery, _, retailer):
        wait_until(lambda: fishery.is_ready, "ready")
        for number in range(3):
            size = fishery.ship(number).index + 1
            await_size(retailer, "fishery", size)
            wait_until(lambda s=size: fishery.cosigned("fishery", "retailer") >= s, "cosigned")  # type: ignore[misc]
        assert (size, size) in seen
        # A round that waited meanwhile says nothing of less than is known by then, nor takes it for a rollback.
        cosign(retailer.node, actions[0])
        with retailer.node.store.read() as tx:
            log = retailer.node.find_log(tx, "fishery")
            assert logs.read_targets(tx, log.number) == []
            assert checkpoints.cosigned_size(tx, log.number, retailer.node.member) == size


@pytest.mark.slow
def test_new_peer_catches_up_on_many_bundles(folders: dict[str, Path]) -> None:
    late = folders.pop("retailer")
    with serving(*folders.values()) as (carrier, fishery, _):
        wait_until(lambda: fishery.is_ready, "ready")
        size = fill(fishery, 4500)
        await_size(carrier, "fishery", size)
        with serving(late) as (retailer,):
            await_size(retailer, "fishery", size)
            assert retailer.log("fishery").frontier.root() == fishery.log("fishery").frontier.root()


@pytest.mark.slow
def test_catch_up_that_breaks_off_goes_on_where_it_was(folders: dict[str, Path]) -> None:
    late = folders.pop("retailer")
    with serving(*folders.values()) as (carrier, fishery, _):
        wait_until(lambda: fishery.is_ready, "ready")
        size = fill(fishery, 6000)
        await_size(carrier, "fishery", size)
        held = 0
        with serving(late) as (retailer,):
            wait_until(lambda: retailer.log("fishery").size > 0, "begun")
        for _ in range(20):
            with serving(late) as (retailer,):
                assert retailer.log("fishery").size >= held, "what was committed stays"
                held = retailer.log("fishery").size
                if retailer.holds("fishery", size):
                    break
                time.sleep(0.2)
        with serving(late) as (retailer,):
            await_size(retailer, "fishery", size)


def test_others_bring_a_member_up_to_date_while_the_author_is_away(folders: dict[str, Path]) -> None:
    late = folders.pop("retailer")
    with serving(folders["carrier"], folders["processor"]) as (carrier, _):
        with serving(folders["fishery"]) as (fishery,):
            wait_until(lambda: fishery.is_ready, "ready")
            size = fill(fishery, 600)
            await_size(carrier, "fishery", size)
        with serving(late) as (retailer,):
            wait_until(lambda: retailer.holds("fishery", size, bodies=False), "from the carrier")
            wait_until(lambda: retailer.cosigned("fishery", "retailer") >= size, "and cosigned by the retailer")
            assert retailer.log("fishery").bodies_size < size, "bodies are asked of their author"
            assert "peer-unreachable" in retailer.error_about("fishery")
            with serving(folders["fishery"]):
                await_size(retailer, "fishery", size)


def test_body_that_its_author_gets_back_late_reaches_its_reader(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The author lost its store; the reader asks it before anybody has given the body back."""
    monkeypatch.setattr(turn, "_REFILL_S", 0.2)
    with serving(*folders.values()) as (carrier, fishery, _, retailer):
        contract = fishery.agree([carrier, retailer], PARTIES)
        backup = folders["fishery"].with_name("backup")
        _copy(fishery, backup)
        before = fishery.log("fishery").size
    # The retailer holds none of it: only the carrier hears of the next record.
    with serving(*(folders[name] for name in FIRMS[:3])) as (carrier, fishery, _):
        wait_until(lambda: fishery.is_ready, "ready")
        at: Any = fishery.ship(1, contract).index
        await_size(carrier, "fishery", at + 1)
    assert at == before
    _replace(folders["fishery"], backup)
    with serving(*(folders[name] for name in FIRMS[:3])) as (carrier, fishery, _):
        wait_until(lambda: fishery.log("fishery").size > at, "the entry is back")
        wait_until(lambda: "2 sections" in fishery.gaps("fishery").get(at, ""), "what the carrier had is back")
        with serving(folders["retailer"]) as (retailer,):
            await_size(retailer, "fishery", at + 1)
            # Nobody has what was sealed for it any more; it is told so, and not left to think there was nothing.
            assert at in retailer.gaps("fishery")
            assert "retailer" in fishery.gaps("fishery")[at]


def _copy(peer: Peer, target: Path) -> None:
    copy_database(peer.folder / "ledger.db", target)


def _replace(folder: Path, backup: Path) -> None:
    for path in folder.glob("ledger.db*"):
        path.unlink()
    shutil.copy(backup, folder / "ledger.db")
    (folder / HIGH_WATER_NAME).unlink()


# --- failing peers ----------------------------------------------------------------------------


def test_node_alone_serves_and_says_whom_it_waits_for(folders: dict[str, Path]) -> None:
    with serving(folders["fishery"]) as (fishery,):
        wait_until(lambda: fishery.error_about("retailer") != "", "it has tried")
        assert not fishery.is_ready
        assert set(fishery.node.joined.guard.waiting_for) == {"carrier", "processor", "retailer"}
        with serving(folders["retailer"]) as (retailer,):
            wait_until(lambda: fishery.node.joined.guard.waiting_for == ("carrier", "processor"), "one answered")
            assert [fishery.is_ready, retailer.is_ready] == [False, False]
            with serving(folders["processor"]):
                wait_until(lambda: fishery.is_ready and retailer.is_ready, "two of three are enough as f is 1")


def test_failing_peer_is_asked_ever_more_rarely_and_not_in_step() -> None:
    driver = SyncDriver.__new__(SyncDriver)
    driver._chance = random.Random(1)
    pauses = [[driver._pause(failures) for _ in range(50)] for failures in range(1, 20)]
    means = [statistics.mean(some) for some in pauses]
    assert means[:6] == sorted(means[:6])
    assert max(max(some) for some in pauses) <= 30.0
    assert min(pauses[-1]) >= 15.0
    assert len({round(pause, 6) for pause in pauses[-1]}) > 40, "jitter"


def test_peer_that_was_away_is_called_again_soon_as_long_as_the_guard_waits_for_it(folders: dict[str, Path]) -> None:
    node = Node.open(folders["fishery"])
    try:
        sync, away = SyncDriver(node), PeerRefused(peer="carrier", status=503, what="heads", reason="no-charter")
        assert max(sync._pause_after(away, 100) for _ in range(50)) <= 5.0
        for name in ("carrier", "processor", "retailer"):
            node.joined.guard.heard(MemberName(name), 0)
        assert node.joined.guard.is_ready
        assert min(sync._pause_after(away, 100) for _ in range(50)) >= 15.0
    finally:
        node.close()


def test_endpoints_of_a_card_are_tried_in_turn(tmp_path: Path) -> None:
    dead, alive = free_ports(2)
    endpoints = {"retailer": [f"http://127.0.0.1:{dead}", f"http://127.0.0.1:{alive}"]}
    founded = make(tmp_path, "fishery", "retailer", endpoints=endpoints)
    settings = founded.folders["retailer"] / "tally.toml"
    settings.write_text("\n".join([*settings.read_text().splitlines()[:-1], f"port = {alive}\n"]))
    with serving(*founded.folders.values()) as (fishery, retailer):
        wait_until(lambda: fishery.is_ready and retailer.is_ready, "they met")
        at: Any = retailer.ship(1).index
        await_size(fishery, "retailer", at + 1)


def test_member_without_an_endpoint_is_told_of_and_holds_up_nobody(tmp_path: Path) -> None:
    founded = make(tmp_path, endpoints={"carrier": []})
    with serving(*(founded.folders[name] for name in FIRMS[1:])) as peers:
        wait_until(lambda: all(peer.is_ready for peer in peers), "they met")
        assert all("endpoint" in peer.error_about("carrier") for peer in peers)


# --- polls ------------------------------------------------------------------------------------


def test_commit_is_told_at_once_through_a_poll_that_waits(folders: dict[str, Path]) -> None:
    with serving(*folders.values()) as (_, fishery, _, retailer):
        wait_until(lambda: fishery.is_ready and retailer.is_ready, "ready")
        await_size(retailer, "fishery", fishery.log("fishery").size)
        assert retailer.node.settings.poll_wait_s > 2 * WAIT_S, "it would not ask again by itself"
        for number in range(10):
            at: Any = fishery.ship(number).index
            await_size(retailer, "fishery", at + 1)


def test_poll_that_waits_outlives_a_restart_of_the_peer(folders: dict[str, Path]) -> None:
    with serving(folders["retailer"], folders["carrier"]) as peers:
        with serving(folders["fishery"]) as (fishery,):
            wait_until(lambda: all(peer.is_ready for peer in (fishery, *peers)), "ready")
            at: Any = fishery.ship(1).index
            for peer in peers:
                await_size(peer, "fishery", at + 1)  # and now each waits for the next
        for peer in peers:
            wait_until(lambda p=peer: "peer-unreachable" in p.error_about("fishery"), "it is away")  # type: ignore[misc]
        with serving(folders["fishery"]) as (fishery,):
            wait_until(lambda: fishery.is_ready, "ready again")
            at = fishery.ship(2).index
            for peer in peers:
                await_size(peer, "fishery", at + 1)
                wait_until(lambda p=peer: p.error_about("fishery") == "", "in contact")  # type: ignore[misc]


def test_idle_nodes_hardly_call_each_other(tmp_path: Path) -> None:
    founded = make(tmp_path, "carrier", "fishery")
    port = load_settings(founded.folders["carrier"]).port
    with lying(Log(founded.firms["carrier"]).add(3), port) as liar, serving(founded.folders["fishery"]) as (fishery,):
        wait_until(lambda: fishery.is_ready and fishery.holds("carrier", 3), "synced")
        wait_until(lambda: any(f"since={liar._cursor()}&" in path for path in liar.asked), "nothing is new")
        began, before = time.monotonic(), len(liar.asked)
        wait_until(lambda: len(liar.asked) >= before + 3, "it polls")
        # This one answers a poll after a second at the latest; a node waits as long as it is asked to.
        assert {path.partition("?")[0] for path in liar.asked[before:]} == {"/v1/heads"}
        assert time.monotonic() - began > 1.5, "no poll ended before its time"


def test_node_that_stops_answers_the_polls_that_wait(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "_STOP_S", 600)  # else it would cut them off
    with serving(*folders.values()) as peers:
        wait_until(lambda: all(peer.is_ready for peer in peers), "ready")
        at: Any = peers[-1].ship(1).index
        for peer in peers[:-1]:
            await_size(peer, peers[-1].name, at + 1)  # and now they wait for the next
        peers[-1]._server.should_exit = True
        wait_until(lambda: not peers[-1]._thread.is_alive(), "it ends, though nobody's time is up")


def test_member_that_joins_later_is_met_without_a_restart(
    folders: dict[str, Path], template: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, others = MemberName("retailer"), {"carrier", "processor"}
    meet = SyncDriver._meet_new
    is_named = threading.Event()

    def meet_known(driver: SyncDriver, group: asyncio.TaskGroup) -> None:
        """As if no charter had named the one that is late."""
        if not is_named.is_set():
            driver.peers[late] = PeerState(late, "")
        meet(driver, group)
        if not is_named.is_set():
            del driver.peers[late]

    monkeypatch.setattr(SyncDriver, "_meet_new", meet_known)
    with serving(folders["fishery"]) as (fishery,):
        wait_until(lambda: set(fishery.driver.peers) == others, "the others are known")
        is_named.set()
        fishery.node.adopt(template.file)
        wait_until(lambda: set(fishery.driver.peers) == {*others, late}, "met")


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-made authority, and a certificate of it for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    ca_key, ca = _certificate("Test authority", None, None)
    key, certificate = _certificate("127.0.0.1", ca_key, ca)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *private))
    (folder / "other-ca.pem").write_bytes(_certificate("Another", None, None)[1].public_bytes(pem))
    return folder


def _certificate(
    name: str, signer: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    else:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    return key, builder.sign(signer or key, hashes.SHA256())


def _tls(authority: Path, trusted: str = "ca.pem") -> dict[str, str]:
    return {
        "tls_cert": str(authority / "cert.pem"),
        "tls_key": str(authority / "key.pem"),
        "tls_ca": str(authority / trusted),
    }


def test_nodes_speak_tls_where_it_is_configured(tmp_path: Path, authority: Path) -> None:
    founded = make(tmp_path, "fishery", "retailer", scheme="https", **_tls(authority))
    with serving(*founded.folders.values()) as (fishery, retailer):
        wait_until(lambda: fishery.is_ready and retailer.is_ready, "they met")
        at: Any = fishery.ship(1).index
        await_size(retailer, "fishery", at + 1)


def test_certificate_of_another_authority_is_refused(tmp_path: Path, authority: Path) -> None:
    founded = make(tmp_path, "fishery", "retailer", scheme="https", **_tls(authority, "other-ca.pem"))
    with serving(*founded.folders.values()) as (fishery, _):
        wait_until(lambda: "CERTIFICATE" in fishery.error_about("retailer").upper(), "refused")
        assert not fishery.is_ready


# --- one thread for each thing -----------------------------------------------------------------


def test_driver_that_is_cancelled_leaves_no_thread_and_no_half_written_record(folders: dict[str, Path]) -> None:
    before = set(threading.enumerate())
    with serving(*folders.values()) as peers:
        wait_until(lambda: all(peer.is_ready for peer in peers), "ready")
        fill(peers[0], 300)
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not any(name.startswith(("append", "asyncio")) for name in names), names


def test_records_that_wait_for_the_guard_are_written_once_it_opens(folders: dict[str, Path]) -> None:
    with serving(folders["fishery"]) as (fishery,):
        record = fishery.node.joined.intake.parse(shipment(1), by=b'"test"')
        outcomes: list[Any] = []
        thread = threading.Thread(target=lambda: outcomes.append(fishery.put(NewRecord(record.draft))))
        thread.start()
        with serving(folders["retailer"], folders["processor"]):
            thread.join(WAIT_S)
        assert outcomes, "it was written"
