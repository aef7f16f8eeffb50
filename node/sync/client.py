"""Calls to one peer: signed, bounded in time and size. The only door from a node to its peers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx
import msgspec

from ledger import limits
from ledger.errors import BadProof, Missing, Unavailable
from ledger.names import MemberName
from node.config import Settings
from node.sync.signing import CallSigner

HEADS_BYTES_MAX: Final = 1 << 20
BODIES_BYTES_MAX: Final = 16 << 20
_TILE_BYTES: Final = 32 * limits.TILE_WIDTH


T = TypeVar("T")


class PeerUnreachable(Unavailable):
    code = "peer-unreachable"
    template = "{peer} at {endpoint}: {reason}"
    hint = "Check that the peer runs and that its card names the right address; the node keeps trying."


class PeerRefused(Unavailable):
    code = "peer-refused"
    template = "{peer} answered {status} to {what}: {reason}"
    hint = "The peer does not accept this node's calls: compare clocks, and whether both hold the newest cards."


class AnswerTooLarge(BadProof):
    code = "answer-too-large"
    template = "{peer} sent more than {limit} bytes for {what}"
    hint = "The peer is faulty or hostile; nothing of the answer was kept."


class Head(msgspec.Struct, array_like=True):
    """A peer's hint about one log: never trusted, only a reason to ask.

    size, root: of the newest checkpoint it holds; root is its first 8 bytes in hex.
    cosigned: size of the largest checkpoint that the peer itself cosigned.
    """

    log: str
    size: int
    root: str
    cosigned: int


class Heads(msgspec.Struct):
    cursor: str
    heads: list[Head]


def make_http_client(settings: Settings) -> httpx.AsyncClient:
    """One connection pool for all peers; verifies TLS certificates against `tls_ca` or the system's store."""
    context: ssl.SSLContext | bool = True
    if settings.tls_ca is not None:
        context = ssl.create_default_context(cafile=str(settings.tls_ca))
    bounds = httpx.Limits(max_connections=256, max_keepalive_connections=128, keepalive_expiry=20)
    # No timeout of the library: each call has one bound on its whole (PeerClient._answer), long polls theirs.
    return httpx.AsyncClient(verify=context, limits=bounds, follow_redirects=False, trust_env=False, timeout=None)  # noqa: S113


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

    async def heads(self, since: str, wait_s: float) -> Heads:
        """What the peer holds, once it moved past `since` or after `wait_s`."""
        path = f"/v1/heads?since={since}&wait={wait_s:g}"
        data = await self._get(path, HEADS_BYTES_MAX, timeout_s=self._timeout_s + wait_s)
        try:
            return msgspec.json.decode(data, type=Heads)
        except msgspec.DecodeError as cause:
            raise PeerRefused(peer=self.peer, status=200, what="heads", reason=str(cause)) from None

    async def checkpoint(self, log: str) -> bytes:
        """Raises: Missing where the peer holds nothing of that log."""
        return await self._get(f"/v1/logs/{log}/checkpoint", limits.NOTE_BYTES_MAX)

    async def resource(self, log: str, path: str) -> bytes:
        """A tile or an entry bundle, by its C2SP path."""
        most = limits.BUNDLE_BYTES_MAX if path.startswith("tile/entries/") else _TILE_BYTES
        return await self._get(f"/v1/logs/{log}/{path}", most)

    async def cosignatures(self, log: str, size: int) -> bytes:
        return await self._get(f"/v1/logs/{log}/cosignatures?size={size}", limits.NOTE_BYTES_MAX)

    async def bodies(self, log: str, bundle: int, start: int) -> bytes:
        return await self._get(f"/v1/logs/{log}/bodies/{bundle}?from={start}", BODIES_BYTES_MAX)

    async def card(self, member: str, version: int) -> bytes:
        return await self._get(f"/v1/cards/{member}/{version}", limits.NOTE_BYTES_MAX)

    async def evidence_ids(self) -> list[str]:
        return list(msgspec.json.decode(await self._get("/v1/evidence", HEADS_BYTES_MAX), type=list[str]))

    async def post_evidence(self, document: bytes) -> None:
        url = self.endpoint + "/v1/evidence"
        headers = {**self._signer.sign("POST", url, document), "content-type": "application/json"}
        async with self._answer("POST", url, headers, self._timeout_s, document) as answer:
            await self._check(answer, "evidence")

    async def _get(self, path: str, bytes_max: int, *, timeout_s: float | None = None) -> bytes:
        url = self.endpoint + path
        headers = dict(self._signer.sign("GET", url))
        async with self._answer("GET", url, headers, timeout_s or self._timeout_s) as answer:
            await self._check(answer, path)
            chunks, length = [], 0
            async for chunk in answer.aiter_raw():
                length += len(chunk)
                if length > bytes_max:
                    raise AnswerTooLarge(peer=self.peer, limit=bytes_max, what=path)
                chunks.append(chunk)
            return b"".join(chunks)

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, headers: dict[str, str], timeout_s: float, body: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        headers["accept-encoding"] = "identity"  # an answer's bound is on what we must hold, not on what was sent
        try:
            # One bound on the whole call: a peer that sends a byte a second must not hold us.
            async with (
                asyncio.timeout(timeout_s),
                self._http.stream(method, url, headers=headers, content=body) as answer,
            ):
                yield answer
        except (httpx.HTTPError, TimeoutError, ssl.SSLError) as cause:
            reason = f"{type(cause).__name__} {cause}".strip()
            raise PeerUnreachable(peer=self.peer, endpoint=self.endpoint, reason=reason) from cause

    async def _check(self, answer: httpx.Response, what: str) -> None:
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Missing(what="resource at the peer", name=what)
        if answer.status_code >= httpx.codes.MULTIPLE_CHOICES:
            reason = await _first_bytes(answer)
            raise PeerRefused(peer=self.peer, status=answer.status_code, what=what, reason=reason)


async def at_once(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of calls made side by side, in order; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _first_bytes(answer: httpx.Response) -> str:
    async for chunk in answer.aiter_raw():
        try:
            problem: Any = msgspec.json.decode(chunk)
            return str(problem["detail"])[:300]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return chunk[:200].decode(errors="replace")
    return ""
