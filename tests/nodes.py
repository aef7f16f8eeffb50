"""Builders of nodes that run: folders on disk, one network, and clients of their API.

`join` gives a node that may write; the peers are asked for nothing, as their answers to the
start-up guard are given for them. `Door` speaks to a node's app in process and checks every
answer against what the OpenAPI document promises of it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from fastapi import FastAPI
from sqlalchemy import event

from ledger.card import make_card, sign_card
from ledger.charter import CharterMember, make_charter, sign_charter
from ledger.names import MemberName, NetworkName
from ledger.network import NetworkFile, decode_network_file, encode_network_file
from node import agreements
from node.app import create_app
from node.clock import Clock, system_clock
from node.config import DATABASE_NAME
from node.founding import encode_settings
from node.keyring import Keyring, make_keyring, save_keyring
from node.node import Node
from node.storage.store import Store
from node.storage.viewstore import VIEWS_NAME, ViewStore
from node.tokens import make_token
from node.views.worker import open_projector

NETWORK: Final = NetworkName("cold-chain.example")
SCOPES: Final = ("admin", "audit", "read", "write")
SHARING: Final = '''"""Share catches."""
ROLES = {"catcher", "buyer", "carrier"}
SIGNERS = set()
AUTHORS = {"catch": {"catcher"}, "epcis/ObjectEvent": {"catcher"}, "offer": {"buyer"}}
SHARES = {
    "catch": {"/*": {"catcher", "buyer"}, "/weight": {"catcher", "buyer", "carrier"}, "/cost": set()},
    "epcis/ObjectEvent": {"/*": {"catcher", "buyer"}},
    "offer": {"/*": {"buyer", "catcher"}},
}
'''
Value = TypeVar("Value")


@dataclass
class Founders:
    """Firms of one network with their private keys."""

    rings: dict[str, Keyring]
    file: NetworkFile

    def folder(self, root: Path, member: str, **settings: Any) -> Path:
        """A node's folder, complete but for the charter."""
        folder = root / member
        folder.mkdir()
        save_keyring(folder, self.rings[member], None)
        values = {"network": str(NETWORK), "member": member, "endpoints": [_endpoint(member)], **settings}
        (folder / "tally.toml").write_bytes(encode_settings(values))
        return folder

    def join(self, root: Path, member: str = "fishery", *, clock: Clock = system_clock, **settings: Any) -> Node:
        """A node that has adopted the charter, and whose peers answered that they hold nothing of its log."""
        node = Node.open(self.folder(root, member, **settings), clock=clock)
        node.adopt(self.file)
        self.answer_for_peers(node)
        node.open_for_writing()
        return node

    def answer_for_peers(self, node: Node) -> None:
        for name in self.rings:
            node.joined.guard.heard(MemberName(name), 0)


def found(*names: str) -> Founders:
    """Found a network of these firms, by default a fishery, a retailer and a carrier, with fresh keys."""
    members = sorted(names or ("carrier", "fishery", "retailer"))
    rings = {name: make_keyring(NETWORK, MemberName(name)) for name in members}
    cards = [
        sign_card(
            make_card(
                log_key=ring.log.public,
                witness_keys=[ring.witness.public],
                transport_keys=[ring.transport.public],
                sealing_key=next(iter(ring.opening.values())).public,
                endpoints=[_endpoint(name)],
            ),
            [ring.root],
        )
        for name, ring in rings.items()
    ]
    charter = make_charter(
        network=NETWORK,
        members=[CharterMember(name=MemberName(n), keys=(r.root.public,), threshold=1) for n, r in rings.items()],
        f=0,
    )
    note = sign_charter(charter, [ring.root for ring in rings.values()])
    file = NetworkFile(charters=(note,), cards=tuple(cards))
    return Founders(rings, decode_network_file(encode_network_file(file)))


def token(node: Node, *scopes: str, name: str = "test") -> str:
    """A fresh token, by default with every scope."""
    with node.store.write("token") as tx:
        return make_token(tx, name=name, scopes=scopes or SCOPES, now_ms=node.clock())


def make_admin_token(folder: Path) -> str:
    """A token for a node that is not open."""
    store = Store.open(folder / DATABASE_NAME)
    try:
        with store.write("token") as tx:
            return make_token(tx, name="admin", scopes=SCOPES, now_ms=system_clock())
    finally:
        store.close()


def agree(node: Node, source: str = SHARING, **parties: list[str]) -> str:
    """An active contract of this node, its id in hexadecimal; the other parties' acceptance is taken as given."""
    parties = parties or {"catcher": ["fishery"], "buyer": ["retailer"], "carrier": ["carrier"]}
    body = json.dumps({"source": source, "terms": {}, "parties": parties, "secret": "A" * 43 + "="}).encode()
    to = [MemberName(name) for names in parties.values() for name in names]
    done = node.append_one(agreements.draft_addressed(agreements.PROPOSE, body, by=b'"test"', to=sorted(set(to))))
    for name in to:
        node.agreements.state(done.leaf, agreements.ACCEPT, name)
    return done.leaf.hex()


def catch_up(node: Node) -> None:
    """Bring the record search up to date."""
    rebuild(node.folder)


def rebuild(folder: Path) -> None:
    """Drop the record search of the node in `folder`, and return once it is filled again, also beside its worker."""
    views = ViewStore.open(folder / VIEWS_NAME)
    views.reset()
    views.close()
    projector = open_projector(folder)
    while projector.run_round():
        pass
    projector.close()


@contextmanager
def full_disk(node: Node, *, spare_pages: int = 0) -> Iterator[None]:
    """Let the node's database grow by so many pages (16 KiB) and no further until the block ends, as a full disk."""

    def bound(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count={pages + spare_pages}")

    engine = node.store.engine
    event.listen(engine, "connect", bound)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", bound)
        engine.dispose()


# --- calls ------------------------------------------------------------------------------


class Door:
    """Calls the app of a node in process. Use it inside one `run`."""

    def __init__(self, node: Node, *, token: str | None, **given: Any) -> None:
        self.app = create_app(node, **given)
        self.token = token
        self._promises = _promises(self.app)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        # As a server would: what a handler raises becomes an answer.
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://node", headers=headers, timeout=60)

    async def __aenter__(self) -> Door:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One call; its answer is one that the route's description names."""
        answer = await self.http.request(method, path, **given)
        check_promised(self._promises, method, path, answer)
        return answer

    async def get(self, path: str, **given: Any) -> Any:
        """The JSON of an answer that is not an error."""
        answer = await self.call("GET", path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def file(self, record: Mapping[str, Any] | bytes, *, key: str | None = None, **given: Any) -> httpx.Response:
        """POST one record."""
        content = record if isinstance(record, bytes) else json.dumps(record).encode()
        headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
        return await self.call("POST", "/api/v1/records", content=content, headers=headers, **given)

    async def file_lines(self, lines: Any, *, key: str | None = None, **given: Any) -> list[dict[str, Any]]:
        """POST NDJSON; the results line by line."""
        headers = {"content-type": "application/x-ndjson"} | ({} if key is None else {"idempotency-key": key})
        answer = await self.call("POST", "/api/v1/records", content=lines, headers=headers, **given)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.content.splitlines()]

    async def post(self, path: str, value: Any, **given: Any) -> httpx.Response:
        """POST JSON."""
        headers = {"content-type": "application/json", **given.pop("headers", {})}
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.call("POST", path, content=content, headers=headers, **given)


_PROMISED: Final[list[dict[str, Any]]] = []


def _promises(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once: it is the same for every node."""
    if not _PROMISED:
        _PROMISED.append(app.openapi())
    return _PROMISED[0]


def ask(node: Node, story: Callable[[Door], Awaitable[Value]], *scopes: str, **given: Any) -> Value:
    """Tell a story to the app of `node`, with a token that has these scopes, by default all."""

    async def tell() -> Value:
        async with Door(node, token=token(node, *scopes), **given) as door:
            return await story(door)

    return asyncio.run(tell())


@dataclass
class Caller:
    """A caller as a server sees it: `chunks` come one by one, and each answer is looked at as it leaves.

    on_send, on_receive: awaited at each part of a body. ends_early: goes away after the last chunk, before the end.
    """

    chunks: Sequence[bytes]
    headers: Mapping[str, str]
    ends_early: bool = False
    on_send: Callable[[], Awaitable[None]] | None = None
    on_receive: Callable[[int], Awaitable[None]] | None = None
    received: int = 0
    status: int = 0
    sent: bytes = b""

    async def post(self, app: Any, path: str) -> list[dict[str, Any]]:
        """Run one POST; the lines of its answer."""
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("node", 80), "client": ("test", 1),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()], "state": {},
        }  # fmt: skip
        await app(scope, self._receive, self._send)
        return [json.loads(line) for line in self.sent.splitlines()]

    async def _receive(self) -> dict[str, Any]:
        if self.on_receive is not None:
            await self.on_receive(self.received)
        if self.received == len(self.chunks):
            return {"type": "http.disconnect"}
        chunk = self.chunks[self.received]
        self.received += 1
        has_more = self.ends_early or self.received < len(self.chunks)
        return {"type": "http.request", "body": chunk, "more_body": has_more}

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.sent += message.get("body", b"")
        if self.on_send is not None and "body" in message:
            await self.on_send()


def check_promised(document: dict[str, Any], method: str, path: str, answer: httpx.Response) -> None:
    """Fail unless the OpenAPI document says that this route may answer so."""
    if answer.headers.get("content-type") == "application/problem+json":
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert {"type", "title", "detail", "hint", "code"} <= problem.keys()
        if problem["code"] in ("no-such-route", "method-not-allowed"):
            return
    operation = _operation(document, method, path)
    promised = operation["responses"].get(str(answer.status_code))
    assert promised is not None, f"{method} {path} answers {answer.status_code}: {answer.text[:300]}"
    if answer.status_code >= 400:
        schema = promised["content"]["application/problem+json"]["schema"]
        assert answer.json()["code"] in schema["properties"]["code"]["enum"], answer.text


def _operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The route that a path belongs to: the first declared one whose fixed parts fit."""
    steps = path.partition("?")[0].strip("/").split("/")
    for template, operations in document["paths"].items():
        if _fits(template.strip("/").split("/"), steps) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    raise AssertionError(f"no route {method} {path}")


def _fits(template: list[str], steps: list[str]) -> bool:
    """Whether a path fits; `{log}` alone stands for several steps."""
    if "{log}" in template:
        at = template.index("{log}")
        after = len(template) - at - 1
        steps = [*steps[:at], "x", *steps[len(steps) - after :]] if len(steps) > at + after else []
    return len(template) == len(steps) and all(
        t == s or t.startswith("{") for t, s in zip(template, steps, strict=True)
    )


def _endpoint(member: str) -> str:
    return f"https://{member}.example"
