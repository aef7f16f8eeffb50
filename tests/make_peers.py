"""Real nodes that serve and sync in threads of this process, and a liar that answers by HTTP whatever a test wants."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from ledger.evidence import Finding, decode_evidence, verify_evidence
from ledger.names import Digest, MemberName
from ledger.tiles import decode_tile_path
from node.api import errors
from node.app import make_verifier
from node.append import Appended, NewRecord, Outcome
from node.clock import system_clock
from node.node import Node
from node.serving import make_server
from node.storage import checkpoints, facts, logs, sidecars
from node.sync.client import PeerClient, make_http_client
from node.sync.driver import SyncDriver
from node.sync.routes import make_router
from node.sync.signing import CallSigner
from tests.make import Log
from tests.make_folders import answer, proposal, shipment
from tests.make_membership import Firm

WAIT_S: Final = 100.0
Chunks = bytes | Sequence[bytes] | Callable[[], AsyncIterator[bytes]]
Reply = tuple[int, Chunks]
"""Status, and the content: whole, in pieces, or as long as it takes."""


def wait_until(holds: Callable[[], Any], what: str, limit_s: float = WAIT_S) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.01)


# --- a real node --------------------------------------------------------------------------


async def _abort_connections() -> None:
    """A connection that comes while a server stops is nobody's: asyncio would tell of it in some later test."""
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):
        transport.abort()
    await asyncio.sleep(0)


class Peer:
    """A node of this process that serves its peer routes and keeps up with the others."""

    def __init__(self, folder: Path, *, not_restored: bool = False) -> None:
        self.folder = folder
        self.node = Node.open(folder)
        self.driver = SyncDriver(self.node)
        self.failure: BaseException | None = None
        self.may_fault = False
        app = FastAPI(openapi_url=None, redirect_slashes=False)
        app.state.release = self.node.changes.release
        errors.install(app)
        app.include_router(make_router(self.node, make_verifier(self.node)))
        self._server = make_server(app, self.node.settings)
        self._not_restored = not_restored
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()

    async def _run(self) -> None:
        work = asyncio.create_task(self.driver.run(not_restored=self._not_restored))
        try:
            await self._server.serve()
        finally:
            if work.done() and not work.cancelled():
                self.failure = work.exception()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await _abort_connections()

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join()
        self.node.close()
        assert self.failure is None, f"the driver of {self.name} ended: {self.failure!r}"
        fault = self.driver.fault
        assert fault is None or self.may_fault, "".join(traceback.format_exception(fault))

    @property
    def name(self) -> str:
        return str(self.node.member)

    @property
    def is_ready(self) -> bool:
        return self.node.joined.guard.is_ready

    # --- what it does

    def append(self, draft: Any) -> Appended:
        """Record a draft, once the node may sign."""
        return self.node.append_one(draft)

    def ship(self, number: int, contract: bytes | None = None, **more: Any) -> Appended:
        record = self.node.joined.intake.parse(shipment(number, contract, **more), by=b'"test"')
        return self.put(record)

    def put(self, record: NewRecord) -> Appended:
        outcome: Outcome = self.node.append([record])()[0]
        assert isinstance(outcome, Appended), outcome
        return outcome

    def agree(self, others: Sequence[Peer], parties: dict[str, list[str]], **proposed: str) -> Digest:
        """Propose to `parties`, of which `others` accept; the contract is active at all of them afterwards."""
        wait_until(lambda: all(peer.is_ready for peer in (self, *others)), "all may write")
        contract = self.append(proposal(parties, **proposed)).leaf
        for other in others:
            wait_until(lambda o=other: o.knows(contract), f"{other.name} sees the proposal")  # type: ignore[misc]
            other.append(answer(other.node.agreements.get(contract)))
        for peer in (self, *others):
            wait_until(lambda p=peer: p.status(contract) == "active", f"active at {peer.name}")  # type: ignore[misc]
        return contract

    # --- what it holds

    def knows(self, contract: bytes) -> bool:
        return any(found.id == contract for found in self.node.agreements.list())

    def status(self, contract: bytes) -> str:
        return str(self.node.agreements.get(contract).status) if self.knows(contract) else "unknown"

    def log(self, author: str) -> logs.StoredLog:
        with self.node.store.read() as tx:
            return self.node.find_log(tx, author)

    def holds(self, author: str, size: int, *, bodies: bool = True) -> bool:
        log = self.log(author)
        return log.checkpoint_size >= size and (not bodies or log.bodies_size >= size)

    def cosigned(self, author: str, by: str) -> int:
        with self.node.store.read() as tx:
            return checkpoints.cosigned_sizes(tx, self.node.find_log(tx, author).number).get(MemberName(by), 0)

    def gaps(self, author: str) -> dict[int, str]:
        with self.node.store.read() as tx:
            return dict(sidecars.list_gaps(tx, self.node.find_log(tx, author).number))

    def body(self, author: str, index: int) -> dict[str, Any]:
        """What this member reads of a record."""
        with self.node.store.read() as tx:
            found = self.node.joined.reader.read(tx, self.node.find_log(tx, author), index)
        value: dict[str, Any] = json.loads(found.body)
        return value

    def findings(self) -> list[Finding]:
        """What its evidence convinces a third party of."""
        with self.node.store.read() as tx:
            documents = [item.document for item in facts.list_evidence(tx)]
        return [verify_evidence(decode_evidence(d), self.node.membership.network) for d in documents]

    def error_about(self, member: str) -> str:
        state = self.driver.peers.get(MemberName(member))
        return "" if state is None else state.error


def call(peer: Peer, firm: Firm, work: Callable[[PeerClient], Awaitable[Any]]) -> Any:
    """What `work` brings, done with a client that calls `peer` with the keys of `firm`."""

    async def run() -> Any:
        settings = peer.node.settings
        signer = CallSigner(firm.name, firm.transport_key(), system_clock)
        async with make_http_client(settings) as http:
            client = PeerClient(peer.node.member, settings.endpoints[0], http=http, signer=signer, timeout_s=WAIT_S)
            return await work(client)

    return asyncio.run(run())


@contextmanager
def serving(*folders: Path) -> Iterator[list[Peer]]:
    """Nodes of these folders, which run until the block ends."""
    with ExitStack() as stack:
        peers = [Peer(folder) for folder in folders]
        for peer in peers:
            stack.callback(peer.stop)
        yield peers


# --- a liar -------------------------------------------------------------------------------


@dataclass
class Liar:
    """Answers calls about `log` as an honest author would, but for the paths that `lies` has another answer for.

    lies: a part of a path -> what is answered in its place; a function is asked each time.
    asked: the paths of all calls, in order. evidence: what was handed over. agents: what callers named themselves.
    """

    log: Log
    port: int
    lies: dict[str, Reply | Callable[[str], Reply | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    evidence: list[bytes] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    heads: list[list[Any]] | None = None

    def __post_init__(self) -> None:
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=self.port, log_config=None, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the liar listens")

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    @property
    def oh(self) -> str:
        return self.log.origin.hash.hex()

    def count(self, part: str) -> int:
        """How often a path with that part was asked for."""
        return sum(part in path for path in self.asked)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        path, query = scope["path"], scope["query_string"].decode()
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append(f"{path}?{query}")
        self.agents |= {value.decode() for name, value in scope["headers"] if name == b"user-agent"}
        if scope["method"] == "POST":
            self.evidence.append(body)
        status, content = self._lie(f"{path}?{query}") or await self._honest(path, query)
        gone = asyncio.ensure_future(receive())  # the next message is that the caller hung up
        with suppress(OSError):
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"x/y")]})
            async for chunk in _chunks(content):
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        gone.cancel()

    def _lie(self, path: str) -> Reply | None:
        for part, lie in self.lies.items():
            if part in path:
                found = lie(path) if callable(lie) else lie
                if found is not None:
                    return found
        return None

    async def _honest(self, path: str, query: str) -> Reply:
        if path == "/v1/heads":
            return 200, await self._heads(dict(part.split("=", 1) for part in query.split("&")))
        if path == "/v1/evidence":
            return 204, b""
        own = f"/v1/logs/{self.oh}/"
        if not path.startswith(own):
            return 404, b"{}"
        rest = path.removeprefix(own)
        if rest == "checkpoint":
            return 200, self.log.note()
        if rest.startswith("tile/"):
            return 200, self.log.tile(decode_tile_path(rest))
        if rest.startswith("bodies/"):
            end = min((int(rest.removeprefix("bodies/")) + 1) * 256, self.log.size)
            return 200, end.to_bytes(8, "big") + b"\0\0"
        return 200, b""

    async def _heads(self, asked: dict[str, str]) -> bytes:
        """As a node's: waits as long as nothing is new."""
        end = time.monotonic() + min(float(asked["wait"]), 1.0)
        while asked["since"] == self._cursor() and time.monotonic() < end:  # noqa: ASYNC110  # the log tells nobody
            await asyncio.sleep(0.01)
        return json.dumps({"cursor": self._cursor(), "heads": self._items()}).encode()

    def _items(self) -> list[list[Any]]:
        if self.heads is not None:
            return self.heads
        return [[self.oh, self.log.size, self.log.root()[:8].hex() if self.log.size else "", 0]]

    def _cursor(self) -> str:
        return f"{abs(hash(json.dumps(self._items()))):x}"


async def _chunks(content: Chunks) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif callable(content):
        async for chunk in content():
            yield chunk
    else:
        for chunk in content:
            yield chunk


@contextmanager
def lying(log: Log, port: int, **given: Any) -> Iterator[Liar]:
    found = Liar(log, port, **given)
    try:
        yield found
    finally:
        found.stop()
