"""Calls to one peer: signed, bounded in time and size. The only door from a node to its peers."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeVar

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from ledger import limits
from ledger.card import is_loopback
from ledger.errors import BadProof, EncodingError, Missing, Unavailable
from ledger.names import MemberName
from ledger.tiles import Tile
from node.config import Settings
from node.sync.heads import Heads
from node.sync.signing import CallEarly, CallSigner

HEADS_BYTES_MAX: Final = 1 << 20
BODIES_BYTES_MAX: Final = 16 << 20
PLAIN_BUNDLE_BYTES: Final = limits.TILE_WIDTH * (2 + limits.ENTRY_BYTES_MAX)  # longer than any of good entries
_TILE_BYTES: Final = 32 * limits.TILE_WIDTH
_ERROR_BYTES: Final = 4096
_REASON_LETTERS: Final = 300
_USER_AGENT: Final = "tally"  # no version: who calls is told by the signature, how to attack it by nothing

KEEP_ALIVE_S: Final = 50
"""Seconds after which a connection is given up whose other end says nothing any more: a long poll would wait it out."""
_IDLE_CONNECTION_S: Final = 20
"""An unused connection is closed before its server, which waits for 30 seconds, does it in the midst of a call."""
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", KEEP_ALIVE_S - 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)  # not every system names all three
    ),
)

HttpClient = httpx.AsyncClient

T = TypeVar("T")


class PeerUnreachable(Unavailable):
    code = "peer-unreachable"
    template = "{peer} at {endpoint}: {reason}"
    hint = "Check that the peer runs and that its card names the right address; the node keeps trying."


class PeerRefused(Unavailable):
    code = "peer-refused"
    template = "{peer} answered {status} to {what}: {reason}"
    hint = "The peer does not accept this node's calls: compare clocks, and whether both hold the newest cards."


class PeerRestarted(PeerRefused):
    code = "peer-restarted"
    template = "{peer} started while this call was on its way; the next is signed at {started} or later"
    hint = "The node calls again by itself. If it goes on for longer than a minute, compare both clocks."


class AnswerTooLarge(BadProof):
    code = "answer-too-large"
    template = "{peer} sent more than {limit} bytes for {what}"
    hint = "The peer is faulty or hostile; nothing of the answer was kept."


def make_http_client(settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> HttpClient:
    """One connection pool for all peers; verifies TLS certificates against `tls_ca` or the system's store."""
    if transport is None:
        context = ssl.create_default_context(cafile=settings.tls_ca and str(settings.tls_ca))
        # As for the endpoints of cards (SyncDriver): a member elsewhere has no say over who is called on this machine.
        is_local = any(map(is_loopback, settings.endpoints))
        transport = AiohttpTransport(verify=context, client=lambda: _open_session(context, is_local=is_local))
    return httpx.AsyncClient(
        transport=transport,
        headers={"user-agent": _USER_AGENT},
        follow_redirects=False,
        trust_env=False,
        # Each call has one bound on its whole (PeerClient._answer), long polls theirs.
        timeout=None,  # noqa: S113
        # Else a peer could have us send so much to others under its domain that they refuse our calls.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def _open_session(context: ssl.SSLContext, *, is_local: bool) -> aiohttp.ClientSession:
    """Connections, and nothing else that a session can do: httpx does it, or nobody shall."""
    connector = aiohttp.TCPConnector(
        ssl=context,
        limit=256,
        keepalive_timeout=_IDLE_CONNECTION_S,
        socket_factory=_open_socket if is_local else _open_outward,
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    )


def _open_outward(address: aiohttp.AddrInfoType) -> socket.socket:
    """Asked for each address that is tried, whatever name led to it: so a name cannot lead another way later."""
    found = ipaddress.ip_address(address[4][0])
    found = (found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None) or found
    if found.is_loopback or found.is_unspecified or found.is_link_local:
        raise OSError(errno.EACCES, f"{found} is on this machine or its link, this node's own endpoints are not")
    return _open_socket(address)


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    for level, name, value in _KEEP_ALIVE:
        opened.setsockopt(level, name, value)
    opened.setblocking(False)
    return opened


class PeerClient:
    """Calls one member's node."""

    def __init__(
        self, peer: MemberName, endpoint: str, *, http: httpx.AsyncClient, signer: CallSigner, timeout_s: float
    ) -> None:
        self.peer = peer
        self.endpoint = endpoint
        self._http = http
        self._signer = signer
        self._timeout_s = timeout_s
        self._foreseen: dict[str, asyncio.Task[bytes]] = {}  # by path

    def foresee(self, log: str, *, bundles: Sequence[Tile], bodies_from: int) -> None:
        """Begin the calls about a log that has grown a little, so that they are under way side by side.

        Each is answered when it is made, with the bounds that it has here. `forget` gives up those that never are.
        """
        paths = {_checkpoint_path(log): limits.CHECKPOINT_BYTES_MAX}
        paths |= {f"/v1/logs/{log}/{tile.path}": PLAIN_BUNDLE_BYTES for tile in bundles}
        paths[_bodies_path(log, bodies_from // limits.TILE_WIDTH, bodies_from)] = BODIES_BYTES_MAX
        for path, most in paths.items():
            if path not in self._foreseen:
                self._foreseen[path] = asyncio.create_task(self._fetch(path, most))

    async def has_bodies(self, log: str, start: int, *, within_s: float) -> bool:
        """Whether the foreseen answer with bodies from `start` on is here, or comes so soon."""
        task = self._foreseen.get(_bodies_path(log, start // limits.TILE_WIDTH, start))
        return task is not None and bool((await asyncio.wait([task], timeout=within_s))[0])

    async def forget(self) -> None:
        """Give up what was foreseen and not asked for."""
        tasks = list(self._foreseen.values())
        self._foreseen.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def heads(self, since: str, wait_s: float) -> Heads:
        """What the peer holds, once it moved past `since` or after `wait_s`."""
        path = f"/v1/heads?since={since}&wait={wait_s:g}"
        answer = await self._get(path, HEADS_BYTES_MAX, timeout_s=self._timeout_s + wait_s)
        try:
            return msgspec.json.decode(answer, type=Heads)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise EncodingError(field="heads", reason=f"of {self.peer}: {_printable(str(cause))}") from None

    async def checkpoint(self, log: str) -> bytes:
        """Raises: Missing where the peer holds nothing of that log."""
        return await self._get(_checkpoint_path(log), limits.CHECKPOINT_BYTES_MAX)

    async def tile(self, log: str, path: str) -> bytes:
        """A hash tile, by its C2SP path."""
        return await self._get(f"/v1/logs/{log}/{path}", _TILE_BYTES)

    async def bundle(self, log: str, path: str, bytes_max: int = limits.BUNDLE_BYTES_MAX) -> bytes:
        """An entry bundle, by its C2SP path."""
        return await self._get(f"/v1/logs/{log}/{path}", bytes_max)

    async def cosignatures(self, log: str, size: int) -> bytes:
        return await self._get(f"/v1/logs/{log}/cosignatures?size={size}", limits.NOTE_BYTES_MAX)

    async def bodies(self, log: str, bundle: int, start: int, bytes_max: int = BODIES_BYTES_MAX) -> bytes:
        return await self._get(_bodies_path(log, bundle, start), bytes_max)

    async def card(self, member: str, version: int) -> bytes:
        return await self._get(f"/v1/cards/{member}/{version}", limits.NOTE_BYTES_MAX)

    async def post_evidence(self, document: bytes) -> None:
        url = self.endpoint + "/v1/evidence"
        headers = {**self._signer.sign("POST", url, document), "content-type": "application/json"}
        async with self._answer("POST", url, headers, timeout_s=self._timeout_s, body=document) as answer:
            await self._check(answer, "evidence")

    async def _get(self, path: str, bytes_max: int, *, timeout_s: float | None = None) -> bytes:
        foreseen = self._foreseen.pop(path, None)
        return await (foreseen or self._fetch(path, bytes_max, timeout_s=timeout_s))

    async def _fetch(self, path: str, bytes_max: int, *, timeout_s: float | None = None) -> bytes:
        url = self.endpoint + path
        headers, timeout_s = self._signer.sign("GET", url), timeout_s or self._timeout_s
        async with self._answer("GET", url, headers, timeout_s=timeout_s) as answer:
            await self._check(answer, path)
            received = bytearray()
            async for chunk in answer.aiter_raw():
                received += chunk
                if len(received) > bytes_max:
                    raise AnswerTooLarge(peer=self.peer, limit=bytes_max, what=path)
            return bytes(received)

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, headers: Mapping[str, str], *, timeout_s: float, body: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        # An answer's bound is on what we must hold, not on what was sent.
        headers = {**headers, "accept-encoding": "identity"}
        try:
            # One bound on the whole call: a peer that sends a byte a second must not hold us.
            async with (
                asyncio.timeout(timeout_s),
                self._http.stream(method, url, headers=headers, content=body) as answer,
            ):
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, TimeoutError, OSError) as cause:
            reason = _printable(str(cause) or type(cause).__name__)
            raise PeerUnreachable(peer=self.peer, endpoint=self.endpoint, reason=reason) from cause

    async def _check(self, answer: httpx.Response, what: str) -> None:
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Missing(what="resource at the peer", name=what)
        if answer.status_code >= httpx.codes.MULTIPLE_CHOICES:
            reason, started = await _read_refusal(answer)
            if started is not None:
                raise PeerRestarted(
                    peer=self.peer, status=answer.status_code, what=what, reason=reason, started=started
                )
            raise PeerRefused(peer=self.peer, status=answer.status_code, what=what, reason=reason)


def _checkpoint_path(log: str) -> str:
    return f"/v1/logs/{log}/checkpoint"


def _bodies_path(log: str, bundle: int, start: int) -> str:
    return f"/v1/logs/{log}/bodies/{bundle}?from={start}"


async def at_once(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of calls made side by side, in order; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _read_refusal(answer: httpx.Response) -> tuple[str, int | None]:
    """What a refusal says of itself, and since when the peer runs if that is why (Unix seconds).

    Of the peer's own words, so bounded, and only letters that can be shown.
    """
    text = b""
    async for chunk in answer.aiter_raw():
        text += chunk[:_ERROR_BYTES]
        if len(text) >= _ERROR_BYTES:
            break
    try:
        problem: Any = msgspec.json.decode(text)
        started = problem["started"] if problem.get("code") == CallEarly.code else None
        is_time = type(started) is int and 0 <= started <= limits.INTEGER_MAX  # longer ones are beyond any float
        return _printable(str(problem["detail"])), started if is_time else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        return _printable(text.decode(errors="replace")), None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_REASON_LETTERS])
