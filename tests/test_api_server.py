"""The server under the API, as a process: its bounds, what a broken connection leaves, and how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.network import encode_network_file
from node import serving
from node.app import create_app
from node.node import Node
from tests import nodes
from tests.make_running import free_port
from tests.source import ROOT

_START = "import sys; from pathlib import Path; from node.app import serve; serve(Path(sys.argv[1]))"
_LINE = b'{"type":"note","body":{"n":%d}}\n'

pytestmark = pytest.mark.slow


class Process:
    """A node that runs by itself: a network of one, so that it waits for nobody."""

    def __init__(self, root: Path, **settings: Any) -> None:
        founders = nodes.found("fishery")
        self.port = free_port()
        self.folder = founders.folder(root, "fishery", port=self.port, **settings)
        node = Node.open(self.folder)
        node.adopt(founders.file)
        self.token = nodes.token(node)
        node.close()
        self.scheme = "https" if "tls_cert" in settings else "http"
        self.network_file = encode_network_file(founders.file)
        self.process: subprocess.Popen[bytes]
        self.log = root / "log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, str(self.folder)], cwd=ROOT, stderr=log, env=os.environ
            )
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def client(self, **given: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"{self.scheme}://localhost:{self.port}", headers=headers, timeout=30, **given)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def head(self, kind: str, rest: str) -> bytes:
        return (
            f"POST /api/v1/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.token}\r\n"
            f"content-type: {kind}\r\n{rest}\r\n\r\n"
        ).encode()

    def size(self) -> int:
        with self.client() as client:
            return int(client.get("/api/v1/status").json()["log"]["size"])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    found = Process(tmp_path_factory.mktemp("server"))
    found.start()
    yield found
    assert found.stop() == 0 or found.process.returncode == -signal.SIGTERM


def read_all(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            got += part
    return got


def test_a_record_goes_in_and_is_found(node: Process) -> None:
    with node.client() as client:
        done = client.post("/api/v1/records", json={"type": "note", "body": {"a": 1}}).json()
        page: dict[str, Any] = {}
        while not page.get("records"):  # what is searched is made a little later, in a process of its own
            time.sleep(0.2)
            page = client.get("/api/v1/records", params={"type": "note"}).json()
            assert "records" in page or page["code"] == "views-not-ready", page
        assert [record["index"] for record in page["records"]] == [done["index"]]


def test_a_bulk_is_streamed_both_ways(node: Process) -> None:
    results: list[dict[str, Any]] = []
    with node.client() as client:
        lines = (_LINE % n for n in range(5000))
        kind = {"content-type": "application/x-ndjson"}
        with client.stream("POST", "/api/v1/records", content=lines, headers=kind) as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            results += [json.loads(line) for line in answer.iter_lines()]
        assert [result["line"] for result in results] == list(range(1, 5001))
        assert {result["status"] for result in results} == {201}
        assert client.get("/health").status_code == 200  # the connection can be used again


def test_results_come_before_the_request_has_ended(node: Process) -> None:
    with node.connect() as connection:
        connection.sendall(node.head("application/x-ndjson", "transfer-encoding: chunked"))
        lines = b"".join(_LINE % n for n in range(200))
        connection.sendall(b"%x\r\n%b\r\n" % (len(lines), lines))
        got = b""
        while got.count(b'"status":201') < 200:
            got += connection.recv(1 << 16)
        connection.sendall(b"0\r\n\r\n")
        assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_connection_that_breaks_leaves_a_prefix(node: Process, how: str) -> None:
    size = node.size()
    lines = b"".join(_LINE % n for n in range(1000))
    with node.connect() as connection:
        if how == "length":
            connection.sendall(node.head("application/x-ndjson", f"content-length: {2 * len(lines)}") + lines + b'{"ty')
        else:
            chunk = b"%x\r\n%b" % (2 * len(lines), lines)
            connection.sendall(node.head("application/x-ndjson", "transfer-encoding: chunked") + chunk + b'{"ty')
        time.sleep(0.2)
    until = time.monotonic() + 20
    while node.size() < size + 1000:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert node.size() == size + 1000


def test_a_single_record_that_is_cut_off_is_not_recorded(node: Process) -> None:
    size = node.size()
    with node.connect() as connection:
        connection.sendall(node.head("application/json", "content-length: 30") + b'{"type":"note","body":{}}')
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)
    assert node.size() == size


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(node: Process) -> None:
    with node.connect() as connection:
        connection.sendall(node.head("application/json", "expect: 100-continue\r\ncontent-length: 99999999"))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("head", "is_taken"),
    [
        ([("x-filling", "x" * (serving.HEAD_BYTES_MAX - 200))], True),
        ([("x-filling", "x" * serving.HEAD_BYTES_MAX)], False),
        ([("x-filling", "x" * 10 * serving.HEAD_BYTES_MAX)], False),
        ([(f"x-{n}", "") for n in range(serving.HEADERS_MAX - 2)], True),
        ([(f"x-{n}", "") for n in range(serving.HEADERS_MAX - 1)], False),
    ],
)
def test_the_head_of_a_request_is_bounded(node: Process, head: list[tuple[str, str]], is_taken: bool) -> None:
    with node.connect() as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in head)
        with contextlib.suppress(ConnectionError):
            connection.sendall(f"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n".encode())
        assert read_all(connection).startswith(b"HTTP/1.1 200 ") == is_taken


def test_an_endless_head_is_cut_off(node: Process) -> None:
    with node.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nx: ")
        for _ in range(100):
            connection.sendall(b"x" * 10_000)
            time.sleep(0.001)
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    assert node.size() >= 0


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server in this process that waits for no head longer than 0.3 s."""
    monkeypatch.setattr(serving, "HEAD_S", 0.3)
    node = nodes.found("fishery").join(tmp_path, port=free_port())
    server = serving.make_server(create_app(node), node.settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield node.settings.port
    server.should_exit = True
    thread.join()
    node.close()


@pytest.mark.parametrize("first", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET"])
def test_a_head_that_takes_too_long_is_cut_off(hasty: int, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty), 30) as connection:
        began = time.monotonic()
        connection.sendall(first)
        got = read_all(connection)
    assert 0.2 < time.monotonic() - began < 5
    assert got.count(b"HTTP/1.1") == first.count(b"\r\n\r\n")


def test_a_connection_may_rest_between_two_requests(hasty: int) -> None:
    with socket.create_connection(("127.0.0.1", hasty), 30) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)


@pytest.mark.parametrize("call", [b"GET /health", b"POST /api/v1/records"])
def test_body_that_goes_on_after_the_answer_ends_the_connection(
    hasty: int, monkeypatch: pytest.MonkeyPatch, call: bytes
) -> None:
    """Else whoever has no key or token could hold all connections with a byte now and then."""
    monkeypatch.setattr(serving, "REST_S", 1.0)
    with socket.create_connection(("127.0.0.1", hasty), 30) as connection:
        connection.sendall(call + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 ")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 20:
                connection.sendall(b"x")
                time.sleep(0.1)
        assert 0.5 < time.monotonic() - began < 15


def test_connection_whose_body_ends_soon_after_the_answer_is_used_again(
    hasty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "REST_S", 0.5)
    monkeypatch.setattr(serving, "_IDLE_S", 1.5)
    with socket.create_connection(("127.0.0.1", hasty), 30) as connection:
        for _ in range(2):
            connection.sendall(b"POST /api/v1/records HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 401 ")
            connection.sendall(b"{}")
            time.sleep(0.8)
        began = time.monotonic()
        assert read_all(connection) == b"", "and not held for ever"
        assert time.monotonic() - began < 15


def test_what_is_no_http_is_refused(node: Process) -> None:
    fragment = b"GET /api/v1/health#x HTTP/1.1\r\nhost: x\r\n\r\n"
    for text in (b"\x16\x03\x01\x02\x00", b"GET /health HTTP/9\r\n\r\n", b"GET\r\n\r\n", fragment):
        with node.connect() as connection:
            connection.sendall(text)
            assert read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_requests_one_behind_another_are_answered_in_order(node: Process) -> None:
    with node.connect() as connection:
        bodies = [b'{"type":"note","body":{"n":%d}}' % n for n in range(3)]
        connection.sendall(
            b"".join(node.head("application/json", f"content-length: {len(body)}") + body for body in bodies)
            + b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        got = read_all(connection)
    assert got.count(b"HTTP/1.1 201 ") == 3
    assert got.rindex(b"HTTP/1.1 200 ") > got.rindex(b"HTTP/1.1 201 ")


def test_no_more_requests_wait_behind_another_than_there_is_room_for(node: Process) -> None:
    """Each is a hundred times as large in memory as on the wire, and a stranger may send them."""
    with node.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" * (serving.PIPELINED_MAX + 2))
        assert b"HTTP/1.1 400 " in read_all(connection)
    assert node.client().get("/health").status_code == 200


def test_caller_that_leaves_with_requests_waiting_is_no_fault(node: Process) -> None:
    """Whoever is answered just then is told that the caller is gone, not only who came last."""
    request = f"GET /api/v1/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {node.token}\r\n\r\n".encode()
    for _ in range(20):
        with node.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request * serving.PIPELINED_MAX)
            connection.recv(1)  # the first is answered, and others are about to be
    assert node.client().get("/health").status_code == 200
    assert "internal fault" not in node.log.read_text()


def test_a_stop_answers_what_is_under_way_and_a_start_goes_on(tmp_path: Path) -> None:
    node = Process(tmp_path)
    node.start()
    with node.client() as client:
        for n in range(20):
            client.post("/api/v1/records", json={"type": "note", "body": {"n": n}})
    size = node.size()
    node.stop()
    node.start()
    assert node.size() == size
    with node.client() as client:
        assert client.post("/api/v1/records", json={"type": "note", "body": {}}).json()["index"] == size
    node.stop()
    rows = [json.loads(line) for line in node.log.read_text().splitlines()]
    assert {"level", "event", "timestamp"} <= rows[0].keys()
    assert node.token not in node.log.read_text()
    assert not any("POST" in row["event"] for row in rows)


def test_a_node_whose_sync_fails_stops_and_says_why(tmp_path: Path) -> None:
    node = Process(tmp_path)
    failing = (
        "from node import app\nasync def run(*_, **__): raise RuntimeError('out of step')\napp.SyncDriver.run = run\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", failing + _START, str(node.folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    assert any(row["level"] == "critical" and "out of step" in row["exception"] for row in rows)
    assert b"BackgroundFailed" in done.stderr


def test_beyond_this_machine_without_tls_it_warns(tmp_path: Path) -> None:
    node = Process(tmp_path, host="0.0.0.0")
    node.start()
    node.stop()
    assert "travel in clear" in node.log.read_text()


def test_with_a_certificate_it_speaks_tls_alone(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    node = Process(tmp_path, tls_cert=str(certificate), tls_key=str(key))
    node.start()
    with node.client(verify=ssl.create_default_context(cafile=str(certificate))) as client:
        assert client.get("/api/v1/status").status_code == 200
    with node.client() as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get("/health")
    with node.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not read_all(connection).startswith(b"HTTP/1.1 200")
    node.stop()
