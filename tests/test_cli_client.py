"""The CLI's one door to the network: which node it calls, with which token, and what it makes of answers."""

from __future__ import annotations

import datetime
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.cli.client import Address, NodeClient, address_of, is_local, port_error, probe
from node.cli.exits import UsageWrong
from node.config import Settings
from node.files import sole_server
from tests.make_cli import tally
from tests.make_running import free_port, make_lone_folder, running


def settings(**given: Any) -> Settings:
    return Settings(**{"network": "n", "member": "m", "endpoints": [], **given})


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"port": 9000}, "http://127.0.0.1:9000"),
        ({"port": 9000, "host": "0.0.0.0"}, "http://127.0.0.1:9000"),
        ({"port": 9000, "host": "::"}, "http://[::1]:9000"),
        ({"port": 9000, "host": "10.0.0.7"}, "http://10.0.0.7:9000"),
        ({"port": 9000, "tls_cert": "c.pem", "tls_key": "k.pem"}, "https://127.0.0.1:9000"),
    ],
)
def test_a_folder_says_where_its_node_is(given: dict[str, Any], url: str) -> None:
    assert address_of(None, settings(**given), Path()).url == url


def test_a_port_of_the_systems_choice_needs_an_address() -> None:
    with pytest.raises(UsageWrong, match="--url"):
        address_of(None, settings(port=0), Path())


@pytest.mark.parametrize(
    "url", ["node.example", "ftp://node.example", "http://node.example", "https://node.example/x", "https://", "http:"]
)
def test_no_token_goes_to_a_strange_address_or_in_clear(url: str) -> None:
    with pytest.raises(UsageWrong):
        address_of(url, None, Path())


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9", True),
        ("https://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://localhost.example:1", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example", False),
        ("http://127.0.0.1@node.example", False),
    ],
)
def test_what_is_this_machine(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_the_folders_token_stays_on_this_machine(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    done = tally("peers", "--dir", folder, "--url", "https://node.example")
    assert (done.code, "--token" in done.err) == (3, True)
    here = tally("peers", "--dir", folder, "--url", f"http://127.0.0.1:{free_port()}")
    assert here.code == 4


def test_without_a_token_nothing_is_sent(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    (folder / "admin-token").unlink()
    done = tally("peers", "--dir", folder)
    assert (done.code, "admin-token" in done.err) == (3, True)


@pytest.mark.slow
def test_token_and_folder_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        monkeypatch.setenv("TALLY_DIR", str(folder))
        assert tally("peers").code == 0
        monkeypatch.setenv("TALLY_TOKEN", "tally_0000000000000000_" + "A" * 43)
        refused = tally("peers")
        assert (refused.code, "token-refused" in refused.err) == (1, True)


# --- answers --------------------------------------------------------------------------------


@contextmanager
def stranger(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Something that listens, answers every request alike, and is no node."""

    class Stranger(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PROBLEM = b'{"type":"/errors/x","title":"X","status":409,"code":"x","detail":"what","hint":"do"}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "shown"),
    [
        (409, PROBLEM, "application/problem+json", 1, "  code: x"),
        (503, PROBLEM, "application/problem+json", 4, "  hint: do"),
        (500, b"<html>", "text/html", 4, "answer-broken"),
        (302, b"", "text/html", 4, "answer-broken"),
        (200, b"<html>", "text/html", 4, "answer-broken"),
        (400, b"nonsense", "application/problem+json", 4, "answer-broken"),
        (400, b"[]", "application/problem+json", 4, "answer-broken"),
    ],
)
def test_whatever_answers_is_told_in_one_error(status: int, body: bytes, kind: str, code: int, shown: str) -> None:
    with stranger(status, body, content_type=kind, location="http://127.0.0.1:1/") as url:
        done = tally("peers", "--url", url, "--token", "t")
    assert (done.code, shown in done.err) == (code, True), done.err


def test_a_node_that_hangs_up_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = tally("peers", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}", "--token", "t")
        thread.join()
    assert (done.code, "node-unreachable" in done.err) == (4, True)


# --- TLS ------------------------------------------------------------------------------------


def make_certificate(folder: Path, name: str, *, days: int = 90) -> tuple[Path, Path]:
    """A certificate that signs itself, for a host that is not this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.mark.slow
def test_a_node_with_tls_is_known_by_its_own_certificate_alone(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "node.example")
    other, _ = make_certificate(tmp_path, "other.example")
    words = ("--endpoint", f"https://node.example:{free_port()}", "--host", "127.0.0.1")
    folder = make_lone_folder(tmp_path, "fishery", *words, "--tls-cert", str(certificate), "--tls-key", str(key))
    with running(folder) as node:
        assert tally("peers", "--dir", folder).code == 0
        url = f"https://127.0.0.1:{node.settings.port}"
        assert tally("peers", "--dir", folder, "--url", url).code == 0
        both = tmp_path / "both.pem"  # what follows the first certificate are authorities, and no nodes
        both.write_bytes(other.read_bytes() + certificate.read_bytes())
        for pinned in (other, both, None):
            with NodeClient(Address(url=url, pinned=pinned), "t") as client, pytest.raises(Exception, match="certif"):
                client.get("/status")
        assert "certificate" in probe(Address(url=url)).error
        assert not probe(Address(url=url, pinned=certificate)).error
        assert "certificate" in probe(Address(url=url, authorities=other)).error


@pytest.mark.parametrize(
    ("url", "is_pinned"),
    [
        ("https://localhost:8443", True),
        ("https://[::1]:8443/", True),
        ("https://localhost:8444", False),
        ("https://localhost", False),
        ("https://node.example:8443", False),
    ],
)
def test_an_address_that_is_given_is_known_by_the_folder_only_where_it_is_its_node(url: str, is_pinned: bool) -> None:
    own = settings(port=8443, tls_cert="c.pem", tls_key="k.pem")
    assert address_of(url, own, Path()).pinned == (own.tls_cert if is_pinned else None)


def test_a_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for address in (
        Address(url="https://127.0.0.1:1", pinned=tmp_path / "empty.pem"),
        Address(url="https://127.0.0.1:1", authorities=tmp_path / "none.pem"),
    ):
        with pytest.raises(UsageWrong, match=r"\.pem"):
            NodeClient(address, "t")


# --- probes and ports -----------------------------------------------------------------------


def test_a_probe_reads_the_clock_and_no_body_to_its_end() -> None:
    with stranger(200, b"x" * 100_000, date="Tue, 01 Jan 2030 00:00:00 GMT") as url:
        found = probe(Address(url=url))
    assert (found.error, found.clock_ahead_s) == ("", pytest.approx(1_893_456_000.5 - time.time(), abs=5))


@pytest.mark.parametrize("date", ["", "nonsense", "Tue, 01 Jan 99999 00:00:00 GMT"])
def test_a_probe_without_a_good_date_says_nothing_of_the_clock(date: str) -> None:
    with stranger(200, b"", date=date) as url:
        assert probe(Address(url=url)).error == ""


def test_a_probe_tells_who_does_not_answer() -> None:
    assert probe(Address(url=f"http://127.0.0.1:{free_port()}")).error
    assert probe(Address(url="https://no-such-host.invalid")).error
    with stranger(404, b"") as url:
        assert probe(Address(url=url)).error == "answers 404 to /health"
        assert probe(Address(url=url.replace("http:", "https:"))).error


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "in use" in port_error("127.0.0.1", listener.getsockname()[1])
    assert port_error("127.0.0.1", free_port()) == ""
    assert port_error("192.0.2.1", 1234) != ""


@pytest.mark.slow
def test_serve_tells_at_once_that_its_port_is_taken(tmp_path: Path) -> None:
    folder = make_lone_folder(tmp_path)
    with running(folder):
        done = tally("serve", "--dir", folder)
        with sole_server(folder):
            served = tally("serve", "--dir", folder)
    assert (done.code, "port-unusable" in done.err) == (4, True)
    assert (served.code, "folder-in-use" in served.err) == (1, True)
