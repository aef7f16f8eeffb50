"""What one member's node may take of another's: calls, polls, uploads, memory; and what a fault in its task costs."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from ledger import limits
from ledger.errors import Missing, TallyError
from ledger.names import MemberName
from ledger.replica import GetEntries
from ledger.tiles import bundles_between, entries_path
from node import serving as server
from node.api.errors import respond
from node.changes import EVIDENCE
from node.clock import system_clock
from node.config import Settings
from node.node import Node
from node.sync import answers, bodies, driver, rounds, routes, turn
from node.sync.bodies import fetch_from_author
from node.sync.client import (
    BODIES_BYTES_MAX,
    PLAIN_BUNDLE_BYTES,
    AnswerTooLarge,
    PeerClient,
    PeerRefused,
    PeerRestarted,
    PeerUnreachable,
    make_http_client,
)
from node.sync.driver import SyncDriver
from node.sync.heads import Heads
from node.sync.routes import CALLS_MAX, POLLS_MAX, TooManyCalls
from node.sync.signing import CallSigner
from tests.make import Log
from tests.make_folders import Founded, found, free_ports
from tests.make_membership import firm
from tests.make_peers import WAIT_S, Peer, call, serving, wait_until

pytestmark = pytest.mark.slow

NAMES: Final = ("carrier", "fishery", "retailer")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    ports = dict(zip(NAMES, free_ports(3), strict=True))
    endpoints = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    founded = found(tmp_path_factory.mktemp("bounds"), *NAMES, endpoints=endpoints)
    for name, folder in founded.folders.items():
        with (folder / "tally.toml").open("a") as file:
            file.write(f"port = {ports[name]}\n")
    return founded


@pytest.fixture
def folders(template: Founded, tmp_path: Path) -> dict[str, Path]:
    return {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in template.folders.items()}


@pytest.fixture
def fishery(folders: dict[str, Path]) -> Iterator[Peer]:
    """One node; the others' keys are at hand, their nodes are not up."""
    with serving(folders["fishery"]) as (peer,):
        _await_call(peer)
        yield peer


def _await_call(peer: Peer) -> None:
    """Until the node takes calls: it listens, and the second that it started in is over."""

    def answers_us() -> bool:
        try:
            return bool(call(peer, firm("carrier"), lambda client: client.heads("", 0)))
        except TallyError:
            return False

    wait_until(answers_us, "it takes calls")


def _signed(peer: Peer, who: str, method: str, path: str, body: bytes = b"") -> dict[str, str]:
    url = peer.node.settings.endpoints[0] + path
    signer = CallSigner(MemberName(who), firm(who).transport_key(), system_clock)
    return dict(signer.sign(method, url, body))


# --- bodies -------------------------------------------------------------------------------------


class Upload:
    """A POST of evidence whose body comes when a test wants."""

    def __init__(self, peer: Peer, headers: dict[str, str], length: int) -> None:
        address = urlsplit(peer.node.settings.endpoints[0])
        self._socket = socket.create_connection((address.hostname, address.port), WAIT_S)
        lines = [f"host: {address.netloc}", f"content-length: {length}", *(f"{n}: {v}" for n, v in headers.items())]
        self.send(("POST /v1/evidence HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, str]:
        """Status and code."""
        got = b""
        while b"\r\n\r\n" not in got or not got.rstrip().endswith(b"}"):
            part = self._socket.recv(1 << 16)
            assert part, got
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)["code"]

    def close(self) -> None:
        self._socket.close()


def test_body_of_a_call_that_is_refused_is_not_waited_for(fishery: Peer) -> None:
    """The answer comes though not a byte of the body does."""
    body = b"x" * 1_000_000
    good = _signed(fishery, "carrier", "POST", "/v1/evidence", body)
    unsigned = {name: value for name, value in good.items() if name.lower() != "signature"}
    forged = {**good, "Signature-Input": good["Signature-Input"].replace("carrier/", "retailer/")}
    bodiless = _signed(fishery, "carrier", "POST", "/v1/evidence")
    for headers in (unsigned, forged, bodiless, {}):
        with closing(Upload(fishery, headers, len(body))) as upload:
            assert upload.answer() == (403, "call-refused")
    with closing(Upload(fishery, good, limits.EVIDENCE_BYTES_MAX + 1)) as upload:
        assert upload.answer() == (413, "too-large")
    with closing(Upload(fishery, good, len(body))) as upload:
        upload.send(body)
        assert upload.answer()[0] == 400, "read, and no evidence"
    with closing(Upload(fishery, good, len(body))) as upload:
        assert upload.answer() == (403, "call-refused"), "the nonce was used"


def test_body_that_is_another_than_was_signed_is_refused(fishery: Peer) -> None:
    with closing(Upload(fishery, _signed(fishery, "carrier", "POST", "/v1/evidence", b"abc"), 3)) as upload:
        upload.send(b"abd")
        assert upload.answer() == (403, "call-refused")


def test_bodies_that_do_not_come_hold_up_their_member_alone(fishery: Peer) -> None:
    stalled = [
        Upload(fishery, _signed(fishery, "carrier", "POST", "/v1/evidence", b"%d" % number), 10)
        for number in range(CALLS_MAX)
    ]
    try:
        with closing(Upload(fishery, _signed(fishery, "retailer", "POST", "/v1/evidence", b"abc"), 3)) as upload:
            upload.send(b"abc")
            assert upload.answer()[0] == 400
    finally:
        for upload in stalled:
            upload.close()


# --- calls and polls ----------------------------------------------------------------------------


def test_polls_of_one_member_are_bounded_and_the_oldest_is_answered(fishery: Peer) -> None:
    async def flood(client: PeerClient) -> None:
        cursor = (await client.heads("", 0)).cursor
        polls = [asyncio.create_task(client.heads(cursor, 600)) for _ in range(10 * POLLS_MAX)]
        while sum(poll.done() for poll in polls) < len(polls) - POLLS_MAX:
            await asyncio.wait([poll for poll in polls if not poll.done()], return_when=asyncio.FIRST_COMPLETED)
        await client.heads("", 0)
        assert sum(poll.done() for poll in polls) == len(polls) - POLLS_MAX
        other = asyncio.create_task(asyncio.to_thread(call, fishery, firm("retailer"), _poll))
        await asyncio.wait([other], timeout=0.5)
        assert not other.done(), "another member's poll waits as ever"
        fishery.node.changes.bump(bytes(32))
        await other
        # Those that were answered all at once may have been too many calls.
        found = await asyncio.gather(*polls, return_exceptions=True)
        assert {one.fields["status"] for one in found if isinstance(one, PeerRefused)} <= {503}
        assert sum(isinstance(one, Heads) for one in found) >= POLLS_MAX

    async def _poll(client: PeerClient) -> Any:
        return await client.heads((await client.heads("", 0)).cursor, 600)

    call(fishery, firm("carrier"), flood)


def test_node_that_stops_answers_the_polls_that_wait(folders: dict[str, Path]) -> None:
    """Else each stop would take all the time that it is given, and cut them off."""
    with serving(folders["fishery"]) as (peer,):
        _await_call(peer)
        is_waiting = threading.Event()

        async def poll(client: PeerClient) -> Any:
            cursor = (await client.heads("", 0)).cursor
            waiting = asyncio.create_task(client.heads(cursor, 600))
            # The driver waits as well: once for new members, and for evidence to pass on to each of the other two.
            while len(peer.node.changes._waiters) < 4:  # noqa: ASYNC110  # it tells nobody who waits
                await asyncio.sleep(0.01)
            is_waiting.set()
            return await waiting

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call, peer, firm("carrier"), poll)
            assert is_waiting.wait(WAIT_S)
            peer.ask_to_stop()
            assert answer.result(WAIT_S).heads == []


def test_calls_of_one_member_under_way_are_bounded(fishery: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "CALLS_MAX", 3)
    entered, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: object) -> bytes:
        entered.release()
        assert go_on.wait(WAIT_S)
        return b"x"

    monkeypatch.setattr(answers, "checkpoint", slow)

    async def flood(client: PeerClient) -> None:
        log = fishery.node.joined.origin.hash.hex()
        calls = [asyncio.create_task(client.checkpoint(log)) for _ in range(3)]
        for _ in calls:
            assert await asyncio.to_thread(entered.acquire, timeout=WAIT_S)
        with pytest.raises(PeerRefused) as refused:
            await client.checkpoint(log)
        assert refused.value.fields["status"] == 503
        with pytest.raises(PeerRefused):
            await client.heads("", 0)
        await asyncio.to_thread(call, fishery, firm("retailer"), lambda other: other.heads("", 0))
        go_on.set()
        await asyncio.gather(*calls)
        await client.heads("", 0)

    call(fishery, firm("carrier"), flood)


def _connect(peer: Peer, path: str, *, room_bytes: int | None = None) -> socket.socket:
    """A signed call whose caller takes nothing of the answer by itself."""
    address = urlsplit(peer.node.settings.endpoints[0])
    connection = socket.socket()
    if room_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
    connection.settimeout(WAIT_S)
    connection.connect((address.hostname, address.port))
    lines = [f"host: {address.netloc}", *(f"{n}: {v}" for n, v in _signed(peer, "carrier", "GET", path).items())]
    connection.sendall((f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


@pytest.mark.parametrize("bound", ["CALLS_MAX", "ANSWERS_BYTES_MAX"])
def test_answers_that_are_not_read_count_until_they_are_given_up(
    fishery: Peer, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    length = 16 << 20  # more than all buffers on the way hold
    monkeypatch.setattr(answers, "checkpoint", lambda *_: bytes(length))
    monkeypatch.setattr(routes, bound, 3 if bound == "CALLS_MAX" else 3 * length)
    monkeypatch.setattr(server, "DRAIN_S", 3.0)
    path = f"/v1/logs/{fishery.node.joined.origin.hash.hex()}/checkpoint"
    began = time.monotonic()
    unread = [_connect(fishery, path, room_bytes=4096) for _ in range(3)]
    try:
        assert {connection.recv(12)[9:] for connection in unread} == {b"200"}
        for _ in range(2):
            with closing(_connect(fishery, path, room_bytes=4096)) as one_more:
                assert one_more.recv(12)[9:] == b"503"
        call(fishery, firm("retailer"), lambda client: client.heads("", 0))

        def is_free() -> bool:
            with closing(_connect(fishery, path, room_bytes=4096)) as again:
                return again.recv(12)[9:] == b"200"

        wait_until(is_free, "they were given up")
        assert time.monotonic() - began > 2.5
    finally:
        for connection in unread:
            connection.close()


def test_answer_that_is_read_slowly_comes_whole(fishery: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "checkpoint", lambda *_: bytes(16 << 20))
    monkeypatch.setattr(server, "DRAIN_S", 3.0)
    path = f"/v1/logs/{fishery.node.joined.origin.hash.hex()}/checkpoint"
    got, began = 0, time.monotonic()
    with closing(_connect(fishery, path)) as connection:
        while got < 16 << 20:
            time.sleep(0.05)
            part = connection.recv(1 << 16)
            assert part, got
            got += len(part)
    assert time.monotonic() - began > 6


def test_refusal_of_too_many_calls_says_what_to_do() -> None:
    answer = respond(TooManyCalls(member="carrier", limit=f"{CALLS_MAX} calls"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert json.loads(bytes(answer.body))["hint"]


# --- a restart ----------------------------------------------------------------------------------


def test_recorded_call_is_not_answered_by_a_node_that_restarted(folders: dict[str, Path]) -> None:
    with serving(folders["fishery"]) as (peer,):
        _await_call(peer)
        headers = _signed(peer, "retailer", "GET", "/v1/heads?since=&wait=0")
        url = peer.node.settings.endpoints[0] + "/v1/heads?since=&wait=0"
        assert httpx.get(url, headers=headers).status_code == 200
        assert httpx.get(url, headers=headers).json()["code"] == "call-refused"
    with serving(folders["fishery"]) as (peer,):
        _await_call(peer)
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "call-early")


def test_peer_that_restarted_is_called_again_as_soon_as_it_takes_calls(folders: dict[str, Path]) -> None:
    now_ms = 1_763_683_200_600
    node = Node.open(folders["fishery"], clock=lambda: now_ms)
    try:
        sync = SyncDriver(node)

        def pause(started: int, failures: int) -> float:
            cause = PeerRestarted(peer="carrier", status=403, what="heads", reason="", started=started)
            return sync._pause_after(cause, failures)

        assert pause(1_763_683_201, 1) == pytest.approx(0.41)
        assert pause(1_763_683_100, 1) == pytest.approx(0.01)
        assert pause(10**15, 1) == 120, "whatever it says"
        assert pause(10**15, 2) <= 0.8, "and says again"
        assert pause(0, 2) >= 0.2

        state = turn.PeerState(MemberName("carrier"), "")
        cause = PeerRestarted(peer="carrier", status=403, what="heads", reason="", started=0)
        sync._note_failure(state, cause)
        assert state.state == "connecting", "it has not said yet what it holds"
        sync._note_failure(state, cause)
        assert state.state == "failing"
    finally:
        node.close()


@pytest.mark.parametrize("started", [-1, 2**53, 10**30, 10**400])
def test_start_that_is_no_time_is_not_believed(started: int) -> None:
    """Of so many digits it would be beyond what can be calculated with."""
    refusal = f'{{"code":"call-early","detail":"early","started":{started}}}'.encode()

    async def run(text: bytes) -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(403, stream=httpx.ByteStream(text)))
        signer = CallSigner(MemberName("fishery"), firm("fishery").transport_key(), system_clock)
        async with httpx.AsyncClient(transport=transport) as http:
            peer = PeerClient(MemberName("carrier"), "http://carrier", http=http, signer=signer, timeout_s=WAIT_S)
            await peer.heads("", 0)

    with pytest.raises(PeerRefused) as refused:
        asyncio.run(run(refusal))
    assert not isinstance(refused.value, PeerRestarted)
    with pytest.raises(PeerRestarted):
        asyncio.run(run(refusal.replace(str(started).encode(), str(2**53 - 1).encode())))


# --- faults -------------------------------------------------------------------------------------


def _where(member: str, peer: str, kind: Callable[[], BaseException], real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, but for what `member` does with `peer`."""

    def work(node: Node, client: PeerClient, *given: Any, **named: Any) -> Any:
        if (node.member, client.peer) == (member, peer):
            raise kind()
        return real(node, client, *given, **named)

    return work


@pytest.mark.parametrize(("module", "name"), [(turn, "fetch_from_author"), (driver, "pass_on")])
def test_fault_in_the_task_of_one_peer_stops_nothing_else(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    """What no error of ours foresees, brought about by one peer's answer."""
    monkeypatch.setattr(driver, "_BACK_OFF_S", (0.02, 0.1))
    with serving(*folders.values()) as (carrier, fishery, retailer):
        fishery.may_fault = True
        for peer in (carrier, fishery, retailer):
            wait_until(lambda p=peer: p.is_ready, "all may write")  # type: ignore[misc]
        with monkeypatch.context() as patch:
            patch.setattr(module, name, _where("fishery", "carrier", ZeroDivisionError, getattr(module, name)))
            fishery.node.changes.bump(EVIDENCE)
            carrier.ship(1)
            wait_until(lambda: isinstance(fishery.driver.fault, ZeroDivisionError), "it happened")
            placed = retailer.ship(1)
            wait_until(lambda: fishery.holds("retailer", placed.index + 1), "the others sync as ever")
            wait_until(lambda: retailer.cosigned("retailer", "fishery") > placed.index, "and cosign")
        placed = carrier.ship(2)
        wait_until(lambda: fishery.holds("carrier", placed.index + 1), "it began anew with that peer")
        wait_until(lambda: not fishery.error_about("carrier"), "and is well")


def test_fault_is_shown_as_one_of_this_node(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(*folders.values()) as (_, fishery, _):
        fishery.may_fault = True
        faulty = _where("fishery", "carrier", lambda: KeyError("x"), fetch_from_author)
        monkeypatch.setattr(turn, "fetch_from_author", faulty)
        wait_until(lambda: fishery.error_about("carrier").startswith("internal"), "it is told")
        assert fishery.driver.peers[MemberName("carrier")].state == "failing"
        wait_until(lambda: fishery.driver.peers[MemberName("retailer")].state == "in contact", "the other is well")


def test_database_that_fails_is_tried_again(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> BaseException:
        return OperationalError("select", None, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(driver, "_BACK_OFF_S", (0.02, 0.1))
    with serving(*folders.values()) as (carrier, fishery, _):
        with monkeypatch.context() as patch:
            patch.setattr(turn, "fetch_from_author", _where("fishery", "carrier", locked, fetch_from_author))
            wait_until(lambda: "store-failed" in fishery.error_about("carrier"), "it is told")
            assert "database is locked" in fishery.error_about("carrier")
        wait_until(lambda: carrier.is_ready, "may write")
        placed = carrier.ship(1)
        wait_until(lambda: fishery.holds("carrier", placed.index + 1), "it goes on")


# --- memory -------------------------------------------------------------------------------------


class Shelf:
    """A peer that has bundles of one length; counts the bytes that may be under way at a time."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._under_way = 0
        self.most = 0
        self.calls = 0

    async def bundle(self, _log: str, path: str, bytes_max: int = limits.BUNDLE_BYTES_MAX) -> bytes:
        self._under_way += bytes_max
        self.most = max(self.most, self._under_way)
        self.calls += 1
        try:
            await asyncio.sleep(0)
            if self._length > bytes_max:
                raise AnswerTooLarge(peer="carrier", limit=bytes_max, what=path)
            return bytes(self._length)
        finally:
            self._under_way -= bytes_max


@pytest.mark.parametrize(
    ("length", "answers_each"),
    [(1000, 16), (limits.TILE_WIDTH * (2 + limits.ENTRY_BYTES_MAX), 16), (1 << 20, 9), (limits.BUNDLE_BYTES_MAX, 1)],
)
def test_bundles_under_way_are_bounded_in_bytes(length: int, answers_each: int) -> None:
    shelf = Shelf(length)
    origin = Log(firm("carrier")).origin

    async def run() -> None:
        bundles = rounds._Bundles(shelf, origin)  # type: ignore[arg-type]  # has what is asked of it
        for start in (0, 16 * 256, 32 * 256):
            action = GetEntries(origin, tuple(bundles_between(start, start + 16 * 256)), 2**53 - 1)
            assert len(await bundles.get(action)) == answers_each
        await bundles.drop()

    asyncio.run(run())
    assert shelf.most <= 8 * limits.TILE_WIDTH * (2 + limits.ENTRY_BYTES_MAX) + limits.BUNDLE_BYTES_MAX
    if length == 1000:
        assert shelf.calls <= 3 * 16 + 8, "each is asked for once"


class Press:
    """An author that has answers of one length about bodies; counts the bytes that may be under way or unused."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._under_way = 0
        self.most = 0
        self.calls = 0

    async def bodies(self, _log: str, bundle: int, _start: int, bytes_max: int = BODIES_BYTES_MAX) -> bytes:
        self._under_way += bytes_max
        self.most = max(self.most, self._under_way)
        self.calls += 1
        try:
            await asyncio.sleep(0.001)
            if self._length > bytes_max:
                raise AnswerTooLarge(peer="carrier", limit=bytes_max, what="bodies")
            message = (1 << 15).to_bytes(2, "big") + bytes(1 << 15)
            count = self._length // len(message)
            return ((bundle + 1) * 256).to_bytes(8, "big") + count.to_bytes(2, "big") + message * count
        finally:
            self._under_way -= bytes_max


@pytest.mark.parametrize(("length", "calls_each", "at_once"), [(1 << 15, 1, 4), (5 << 20, 1, 2), (15 << 20, 2, 1)])
def test_answers_with_bodies_are_bounded_in_bytes(length: int, calls_each: int, at_once: int) -> None:
    press = Press(length)
    log = SimpleNamespace(checkpoint_size=16 * 256, bodies_size=0, origin=Log(firm("carrier")).origin)

    async def run() -> list[list[Any]]:
        found = []
        async for some in bodies._ask(press, log):  # type: ignore[arg-type]  # both have what is asked of them
            found.append(some)
            await asyncio.sleep(0.02)  # a commit, while others come
        return found

    found = asyncio.run(run())
    assert [answer.start for some in found for answer in some] == [256 * i for i in range(16)]
    assert [answer.end for some in found for answer in some] == [256 * i + 256 for i in range(16)]
    assert max(map(len, found)) == at_once
    assert max(sum(answer.length for answer in some) for some in found) <= BODIES_BYTES_MAX
    assert press.most <= 4 * (6 << 20) + BODIES_BYTES_MAX
    assert press.calls == 16 * calls_each


@pytest.mark.parametrize(("length", "is_taken"), [(PLAIN_BUNDLE_BYTES, True), (PLAIN_BUNDLE_BYTES + 1, False)])
def test_bundle_that_was_foreseen_has_the_bound_of_a_plain_one(length: int, is_taken: bool) -> None:
    (tile,) = bundles_between(0, 7)

    async def run() -> int:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(bytes(length))))
        signer = CallSigner(MemberName("fishery"), firm("fishery").transport_key(), system_clock)
        async with httpx.AsyncClient(transport=transport) as http:
            peer = PeerClient(MemberName("carrier"), "http://carrier", http=http, signer=signer, timeout_s=WAIT_S)
            peer.foresee("00", bundles=[tile], bodies_from=0)
            try:
                return len(await peer.bundle("00", entries_path(tile.n, tile.width)))
            except AnswerTooLarge:
                return 0
            finally:
                await peer.forget()

    assert asyncio.run(run()) == (length if is_taken else 0)


def test_bodies_that_were_foreseen_are_not_waited_for_long_nor_given_up() -> None:
    async def run() -> tuple[bool, bool, bytes]:
        gate = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            await gate.wait()
            return httpx.Response(200, stream=httpx.ByteStream(request.url.path.encode()))

        signer = CallSigner(MemberName("fishery"), firm("fishery").transport_key(), system_clock)
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            peer = PeerClient(MemberName("carrier"), "http://carrier", http=http, signer=signer, timeout_s=WAIT_S)
            peer.foresee("00", bundles=[], bodies_from=7)
            before = await peer.has_bodies("00", 7, within_s=0.01)
            gate.set()
            after = await peer.has_bodies("00", 7, within_s=WAIT_S)
            found = await peer.bodies("00", 0, 7)
            await peer.forget()
            return before, after, found

    assert asyncio.run(run()) == (False, True, b"/v1/logs/00/bodies/0")


# --- endpoints ----------------------------------------------------------------------------------


def test_loopback_endpoints_of_others_are_for_those_who_have_one(tmp_path: Path, folders: dict[str, Path]) -> None:
    """A member on another machine must not have this one call what listens there."""
    far = found(tmp_path / "far", *NAMES, endpoints={"carrier": ["http://localhost:9", "https://carrier.example"]})
    for folder, expected in ((far.folders["fishery"], "https://carrier.example"), (folders["fishery"], "http://127")):
        node = Node.open(folder)
        try:
            sync = SyncDriver(node, http=httpx.AsyncClient())
            sync._http = sync._given_http  # type: ignore[assignment]
            sync.peers[MemberName("carrier")] = turn.PeerState(MemberName("carrier"), "")
            assert sync._client(MemberName("carrier")).endpoint.startswith(expected)
        finally:
            node.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_name_that_leads_to_this_machine_is_not_called_by_who_is_elsewhere(tmp_path: Path, host: str) -> None:
    """What a card calls `https://carrier.example` may be an address of the caller's own: the connection is refused."""
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask(endpoint: str) -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        settings = Settings(network="tuna.example", member="fishery", endpoints=[endpoint])
        signer = CallSigner(MemberName("fishery"), firm("fishery").transport_key(), system_clock)
        async with server, make_http_client(settings) as http:
            client = PeerClient(MemberName("carrier"), url, http=http, signer=signer, timeout_s=WAIT_S)
            await client.card("carrier", 1)

    with pytest.raises(PeerUnreachable, match="on this machine"):
        asyncio.run(ask("https://fishery.example"))
    assert asked == []
    with pytest.raises(Missing):
        asyncio.run(ask("http://localhost:7450"))
    assert len(asked) == 1


def test_member_with_none_but_loopback_endpoints_is_not_called_from_afar(tmp_path: Path) -> None:
    far = found(tmp_path / "far", *NAMES, endpoints={"carrier": ["http://localhost:9"]})
    node = Node.open(far.folders["fishery"])
    try:
        sync = SyncDriver(node)
        sync.peers[MemberName("carrier")] = turn.PeerState(MemberName("carrier"), "")
        with pytest.raises(Missing, match="endpoint"):
            sync._client(MemberName("carrier"))
    finally:
        node.close()
