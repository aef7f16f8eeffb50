"""A node in a process of its own, clients that use it all at once, and what its folder must hold once it is dead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from ledger.checkpoint import open_checkpoint
from ledger.merkle import EMPTY_ROOT, range_hash
from ledger.names import Digest, encode_id
from ledger.receipt import decode_receipt
from node.clock import system_clock
from node.config import DATABASE_NAME, load_settings
from node.cosigned import COSIGNED_NAME
from node.fsck import check_store
from node.highwater import HIGH_WATER_NAME, read_high_water
from node.keyring import load_keyring
from node.membership import make_membership
from node.storage import checkpoints, logs, sidecars
from node.storage.replicas import read_signed
from node.storage.store import Store, Tx
from node.sync.signing import CallSigner
from tests.make_folders import Founded, shipment
from tests.make_peers import Peer, wait_until
from tests.nodes import make_admin_token

WAIT_S: Final = 180.0
"""For what takes a second or two: the machine may be busy."""
_CLIENTS: Final = 3
_PACE_S: Final = 0.04  # between two records of one client, so that the log stays short enough to be proved often
_TRY_AGAIN: Final = frozenset({503, 507})


@dataclass
class Served:
    """`tally serve` in a process of its own, and all that anybody was ever told by it.

    answered: index -> (id, leaf) of each record. keys: those under which records were answered. waiting: records sent
    and not answered. seen: size -> root of every checkpoint of its log that anybody saw, all signed by its key.
    given_back: indexes of what was lost with a database, of which parts may be missing for good.
    """

    founded: Founded
    name: str
    spy: str
    contract: bytes | None = None
    token: str = ""
    process: subprocess.Popen[bytes] | None = None
    answered: dict[int, tuple[str, str]] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    seen: dict[int, Digest] = field(default_factory=dict)
    given_back: set[int] = field(default_factory=set)
    refusals: int = 0

    def __post_init__(self) -> None:
        firm, spy = self.founded.firms[self.name], self.founded.firms[self.spy]
        self.folder = self.founded.folders[self.name]
        self.settings = load_settings(self.folder)
        self.origin = make_membership(self.founded.file).origin(firm.name)
        self._log_key = firm.log_key().public
        self._signer = CallSigner(spy.name, spy.transport_key(), system_clock)
        self.token = self.token or make_admin_token(self.folder)
        # No certificates are read for it, which would cost more than the calls.
        self._http = httpx.Client(base_url=self.url, verify=False, trust_env=False, timeout=30)
        self._lock = threading.Lock()
        self._running: list[Future[None]] = []
        self._sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    # --- its life

    def start(self, *words: str, crash_at: str = "", passes: int = 0, **settings: object) -> None:
        """words: more of the command line. settings: in place of those in the folder."""
        given = {f"TALLY_{name.upper()}": str(value) for name, value in settings.items()}
        environment = {**os.environ, **given, "TALLY_CRASH_AT": crash_at, "TALLY_CRASH_AFTER": str(passes)}
        command = [sys.executable, "-m", "node.cli", "serve", "--dir", str(self.folder), *words]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    @property
    def log_path(self) -> Path:
        return self.folder.with_name(f"{self.name}.log")

    @property
    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def await_death(self, at: str) -> None:
        """Fails if the node ended by itself, or never came to where it was to die."""
        self.await_that(lambda: self.is_dead, f"it dies at {at}")
        assert self.process is not None
        assert self.process.returncode == -signal.SIGKILL, f"it ended by itself in place of dying at {at}"
        self.process = None

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(WAIT_S)
            self.process = None

    def close(self) -> None:
        self.end(signal.SIGKILL)
        self._http.close()

    # --- who uses it

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """Whatever it answers."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json", **headers}
        return self._http.request(method, f"/api/v1{path}", content=content, headers=headers)

    def call(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response | None:
        """None if it is not there, or cannot do it yet."""
        try:
            answer = self.ask(method, path, content, **headers)
        except httpx.HTTPError:
            return None
        if answer.status_code in _TRY_AGAIN:
            self.refusals += 1
            return None
        return answer

    def status(self) -> dict[str, Any]:
        """Empty if it is not there."""
        answer = self.call("GET", "/status")
        found: dict[str, Any] = {} if answer is None else answer.json()
        return found

    def standing(self, author: str) -> dict[str, Any]:
        """What it says of its copy of a log."""
        logs_by_author = {log["origin"].split("/")[1]: log for log in self.status().get("logs", [])}
        found: dict[str, Any] = logs_by_author.get(author, {})
        return found

    @property
    def gaps(self) -> int | None:
        """How many of its own bodies it misses; None if it is not there."""
        return self.standing(self.name).get("gaps")

    @property
    def guard(self) -> str:
        status = self.status()
        return str(status["guard"]["state"]) if status else ""

    @property
    def size(self) -> int:
        """Of its log, as far as anybody was answered."""
        return max(self.answered) + 1

    def is_healthy(self) -> bool:
        assert not self.is_dead, self.log_path.read_text()[-2000:]
        try:
            return self._http.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def put(self, number: int, content: bytes = b"") -> bool:
        """Send a record under a key, once; whether it was answered. By default some of it is for nobody else."""
        content = content or shipment(number, self.contract if number % 3 else None)
        answer = self.call("POST", "/records", content, **{"idempotency-key": f"key {number}"})
        if answer is None:
            return False
        assert answer.status_code in (200, 201), answer.text
        told = answer.json()
        index, what = told["index"], (told["id"], told["leaf"])
        with self._lock:
            assert self.keys.setdefault(number, index) == index, f"{number} was recorded twice"
            assert self.answered.setdefault(index, what) == what, f"two records are said to be number {index}"
        return True

    def use(self, is_over: Callable[[], bool]) -> None:
        """A client: one record after another, each again and again until it is answered, also in the next life."""
        while not is_over():
            with self._lock:
                if not self.waiting:
                    self._sent += 1
                    self.waiting.append(self._sent)
                number = self.waiting.pop(0)
            if not self.put(number):
                with self._lock:
                    self.waiting.append(number)
            time.sleep(_PACE_S)

    def share(self, count: int) -> None:
        """Append that many records, of which the peers together are given all."""
        for _ in range(count):
            with self._lock:
                self._sent += 1
                number = self._sent
            assert self.contract is not None
            envelope = {
                "type": "shipment",
                "contract": self.contract.hex(),
                "body": {"number": number, "value": "1.50"},
            }
            wait_until(lambda n=number, e=envelope: self.put(n, json.dumps(e).encode()), "it is answered", WAIT_S)  # type: ignore[misc]

    def look(self, is_over: Callable[[], bool]) -> None:
        """A member and a client that want to see every checkpoint that can be seen."""
        path = f"/v1/logs/{self.origin.hash.hex()}/checkpoint"
        while not is_over():
            try:
                answer = self._http.get(path, headers=dict(self._signer.sign("GET", self.url + path)))
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 200:
                self.see(answer.content)
            newest = max(self.answered, default=None)
            receipt = None if newest is None else self.call("GET", f"/records/{self.origin}/{newest}/receipt")
            if receipt is not None and receipt.status_code == 200:
                self.see(decode_receipt(receipt.content).proof.note)
            time.sleep(2 * _PACE_S)

    def see(self, note: bytes) -> None:
        found = open_checkpoint(note, origin=self.origin, key=self._log_key)
        with self._lock:
            assert self.seen.setdefault(found.size, found.root) == found.root, f"two histories of {found.size} entries"

    @contextmanager
    def used(self, *others: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
        """Clients use the node until the block ends."""
        over = threading.Event()
        works = [*[self.use] * _CLIENTS, self.look, *others]
        with ThreadPoolExecutor(len(works)) as pool:
            self._running = [pool.submit(work, over.is_set) for work in works]
            try:
                yield
            finally:
                over.set()
        self._check_users()

    def _check_users(self) -> None:
        for work in self._running:
            if work.done():
                work.result()

    def await_that(self, holds: Callable[[], Any], what: str) -> None:
        """Wait for it, but not for anything that one of the users has found to be wrong."""

        def is_seen() -> bool:
            self._check_users()
            return bool(holds())

        wait_until(is_seen, what, WAIT_S)

    # --- what it left

    def check(self, peers: Sequence[Peer] = ()) -> None:
        """Prove the dead node's folder: sound, with all that was answered, one history with all that was seen."""
        keyring = load_keyring(self.folder, None)
        report = check_store(self.folder, keyring=keyring, member=self.founded.firms[self.name].name)
        assert report.is_sound, report.faults[:5]
        self._see_peers(peers)
        store = Store.open_readonly(self.folder / DATABASE_NAME)
        try:
            with store.read() as tx:
                own = next(log for log in logs.list_logs(tx) if log.origin == self.origin)
                assert own.frozen is None, own.frozen
                assert own.size == own.checkpoint_size
                assert {index for index, _ in sidecars.list_gaps(tx, own.number)} <= self.given_back
                self._check_answered(tx, own)
                self._check_seen(tx, own)
        finally:
            store.close()

    def _see_peers(self, peers: Sequence[Peer]) -> None:
        """Every checkpoint of this node that a peer has kept."""
        for peer in peers:
            log = peer.log(self.name)
            assert log.frozen is None
            with peer.node.store.read() as tx:
                kept = checkpoints.list_checkpoints(tx, log.number)
            for _, note in kept:
                self.see(note)

    def _check_answered(self, tx: Tx, own: logs.StoredLog) -> None:
        rows = logs.read_packed(tx, own.number, 0, own.size)
        for index, told in self.answered.items():
            assert index < len(rows), f"entry {index} was answered, and {len(rows)} are here"
            row = rows[index]
            assert row.id is not None and (encode_id(row.id), row.leaf.hex()) == told, f"entry {index} is another one"

    def _check_seen(self, tx: Tx, own: logs.StoredLog) -> None:
        """All checkpoints ever seen are of the one history that the database holds; so each is consistent with each."""
        mark = read_high_water(self.folder / HIGH_WATER_NAME)
        if mark is not None:
            assert mark.origin == self.origin
            assert self.seen.setdefault(mark.size, mark.root) == mark.root
        largest = max([*self.seen, *(index + 1 for index in self.answered)], default=0)
        assert largest == 0 or (mark is not None and mark.size >= largest), f"{largest} are known to others: {mark}"
        reader = logs.hash_reader(tx, own.number)
        kept = [read_signed(note).checkpoint for _, note in checkpoints.list_checkpoints(tx, own.number)]
        for size, root in [*self.seen.items(), *((found.size, found.root) for found in kept)]:
            assert size <= own.size, f"a checkpoint of {size} entries was seen, {own.size} are here"
            assert root == (range_hash(0, size, reader) if size else EMPTY_ROOT), f"two histories of {size} entries"


def put_back(folder: Path, backup: Path, *, high_water: bool = True) -> None:
    """Put an old database in the place of a dead node's; high_water: the files beside it stay, or else go."""
    for path in folder.glob(DATABASE_NAME + "*"):
        path.unlink()
    shutil.copy(backup, folder / DATABASE_NAME)
    if not high_water:
        (folder / HIGH_WATER_NAME).unlink()
        (folder / COSIGNED_NAME).unlink()
