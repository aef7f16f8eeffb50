"""Real nodes in processes of their own, each behind a proxy that keeps every byte that peers send and get.

A node's card names its proxy, so all that passes between nodes passes there, in clear. Calls of the
partner API go to the node itself and are not recorded: they are its owner's.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from ledger.keys import SigningKey
from ledger.names import MemberName
from node.clock import system_clock
from node.config import DATABASE_NAME
from node.founding import ADMIN_TOKEN_NAME
from node.keyring import Keyring, load_keyring
from node.sync.signing import CallSigner
from tests.make_cli import NETWORK, tally
from tests.source import ROOT

_CALLER: Final = re.compile(rb'keyid="([a-z0-9.-]+)/')
_START_S: Final = 180.0
_READ_BYTES: Final = 1 << 16
LOG_NAME: Final = "serve.log"


# --- the wire -------------------------------------------------------------------------


@dataclass
class Passage:
    """One connection: the bytes of who called, and those of who was called."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)

    @property
    def caller(self) -> str:
        """The member whose key signed the first call, "" where none did."""
        found = _CALLER.search(bytes(self.asked))
        return found[1].decode() if found else ""


class Proxy:
    """Passes connections on to `port` and keeps what goes through."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.passages: list[Passage] = []  # owned by _lock
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: set[socket.socket] = set()  # owned by _lock
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for end in self._open:
                end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                near.close()  # the node is down: the caller sees a connection that ends
                continue
            passage = Passage()
            with self._lock:
                self.passages.append(passage)
                self._open |= {near, far}
            for source, target, kept in ((near, far, passage.asked), (far, near, passage.answered)):
                threading.Thread(target=self._pump, args=(source, target, kept), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        try:
            while received := source.recv(_READ_BYTES):
                kept += received
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of the two went; the other end of the pair notices by itself


# --- the nodes ------------------------------------------------------------------------


@dataclass
class Company:
    """A member whose node runs in a process of its own."""

    name: str
    folder: Path
    port: int
    proxy: Proxy
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / LOG_NAME

    def start(self) -> None:
        self.launch()
        self.wait()

    def launch(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "node.cli", "serve", "--dir", str(self.folder)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait(self) -> None:
        wait_until(self._answers, f"{self.name} starts")

    def stop(self) -> None:
        if self.process is not None:
            self.terminate()
            self.process.wait(30)
            self.process = None

    def terminate(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def keyring(self) -> Keyring:
        return load_keyring(self.folder, None)

    def token(self) -> str:
        return (self.folder / ADMIN_TOKEN_NAME).read_text().strip()

    def api(self, method: str, path: str, *, token: str | None = None, **given: Any) -> httpx.Response:
        """One call of the partner API, as this member's own system."""
        headers = {"authorization": f"Bearer {token or self.token()}", **given.pop("headers", {})}
        return httpx.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=60, **given)

    def get(self, path: str, **given: Any) -> Any:
        answer = self.api("GET", path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, value: Any = None, **given: Any) -> Any:
        answer = self.api("POST", path, json=value, **given)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def ask(
        self, other: Company, path: str, *, method: str = "GET", key: SigningKey | None = None, **given: Any
    ) -> httpx.Response:
        """One call of a peer route of `other`, signed by this member (or with `key` in its name)."""
        url = other.proxy.url + path
        signer = CallSigner(MemberName(self.name), key or self.keyring().transport, system_clock)
        headers = {**signer.sign(method, url, given.get("content", b"")), **given.pop("headers", {})}
        return httpx.request(method, url, headers=headers, timeout=30, **given)

    def files(self, *, with_keys: bool = False) -> dict[str, bytes]:
        """The content of every file of the folder; the private halves of keys and the admin token only if asked."""
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        secret = {ADMIN_TOKEN_NAME}
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in paths
            if with_keys or (path.parent.name != "keys" and path.name not in secret)
        }

    def _answers(self) -> bool:
        assert self.process is not None, "only a node that was started is waited for"
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            return self.api("GET", "/status").status_code == 200
        except httpx.HTTPError:
            return False


@dataclass
class Companies:
    """A network of nodes that run."""

    all: Sequence[Company]

    def __getitem__(self, name: str) -> Company:
        return next(company for company in self.all if company.name == name)

    def stop(self) -> None:
        for company in self.all:
            company.terminate()
        for company in self.all:
            company.stop()

    def is_in_sync(self) -> bool:
        """Whether every node has every entry, and every body that its author has for it."""
        found = {company.name: company.get("/status") for company in self.all if company.process is not None}
        sizes = {name: status["log"]["size"] for name, status in found.items()}
        return all(
            log["checkpoint_size"] == sizes[author] > 0 and (author == name or log["bodies_size"] == sizes[author])
            for name, status in found.items()
            for log in status["logs"]
            if (author := log["origin"].split("/")[1]) in sizes
        )

    def sync(self) -> None:
        wait_until(self.is_in_sync, "the nodes are in sync")

    def sent_to(self, name: str) -> bytes:
        """Every byte that left other nodes towards `name`: answers to its calls, and calls to it."""
        parts = [bytes(p.answered) for other in self.all for p in other.proxy.passages if p.caller == name]
        parts += [bytes(p.asked) for p in self[name].proxy.passages if p.caller != name]
        return b"\n".join(parts)

    def sent_by(self, name: str) -> bytes:
        """Every byte that left the node of `name`: its calls, and its answers."""
        parts = [bytes(p.asked) for other in self.all for p in other.proxy.passages if p.caller == name]
        parts += [bytes(p.answered) for p in self[name].proxy.passages]
        return b"\n".join(parts)

    def wire(self) -> bytes:
        """Every byte that passed between nodes."""
        return b"\n".join(bytes(p.asked) + b"\n" + bytes(p.answered) for c in self.all for p in c.proxy.passages)


@contextmanager
def companies(root: Path, *names: str, settings: Mapping[str, object] | None = None) -> Iterator[Companies]:
    """A founded network of these members, all of them running, until the block ends."""
    found = Companies([_make_company(root, name) for name in names])
    file = root / "network.json"
    first, *others = found.all
    for company in found.all:
        with (company.folder / "tally.toml").open("a") as toml:
            toml.writelines(f"{name} = {value!r}\n".replace("'", '"') for name, value in (settings or {}).items())
    members = [company.folder / "member.json" for company in found.all]
    assert tally("charter", "new", *members, "--dir", first.folder, "-o", file).code == 0
    for company in others:
        assert tally("charter", "sign", file, "--dir", company.folder).code == 0
    try:
        for company in found.all:
            company.launch()
        for company in found.all:
            company.wait()
        for company in found.all:
            adopted = company.api("POST", "/network", content=file.read_bytes(), headers=_JSON)
            assert adopted.status_code == 200, adopted.text + company.log.read_text(errors="replace")[-3000:]
        found.sync()
        yield found
    finally:
        found.stop()
        for company in found.all:
            company.proxy.close()


def agree(found: Companies, source: str, parties: Mapping[str, Sequence[str]]) -> str:
    """A contract that the first party proposed and all accepted; its id in hexadecimal."""
    names = list(dict.fromkeys(name for members in parties.values() for name in members))
    proposer, *others = names
    contract: str = found[proposer].post("/contracts", {"source": source, "parties": dict(parties)})["id"]
    for name in others:
        wait_until(lambda n=name: _status(found[n], contract) is not None, "the proposal arrives")  # type: ignore[misc]
        found[name].post(f"/contracts/{contract}/accept")
    wait_until(lambda: all(_status(found[n], contract) == "active" for n in names), "the contract becomes active")
    return contract


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = _START_S) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, f"{what}: not within {limit_s:g} s"
        time.sleep(0.05)


_JSON: Final = {"content-type": "application/json"}


def _status(company: Company, contract: str) -> str | None:
    found = {item["id"]: item["status"] for item in company.get("/contracts")["contracts"]}
    return found.get(contract)


def _make_company(root: Path, name: str) -> Company:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxy = Proxy(port)
    folder = root / name
    words = ["--network", NETWORK, "--member", name, "--endpoint", proxy.url, "--port", str(port)]
    assert tally("init", folder, *words).code == 0
    assert (folder / DATABASE_NAME).exists() and os.access(folder, os.W_OK)
    return Company(name, folder, port, proxy)
