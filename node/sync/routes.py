"""The peer routes: who calls is proved first, then `answers` is asked.

Nobody has more than its share: calls under way and polls that wait are counted by member.

Spec: docs/spec/sync.md.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ledger import limits
from ledger.errors import EncodingError, TooLarge, Unavailable
from ledger.names import MemberName, decode_size
from node.changes import Changes
from node.node import Node
from node.sync import answers
from node.sync.evidence import take_evidence
from node.sync.signing import CallRefused, CallVerifier, Message

_WAIT_MAX_S: Final = 600.0
_UPLOAD_S: Final = 30.0
_UPLOADS_MAX: Final = 16
"""Pieces of evidence read at a time: one of each member, and so many held in memory."""
CALLS_MAX: Final = 24
"""Calls of one member under way, polls that wait apart: twice what an honest node makes side by side."""
ANSWERS_BYTES_MAX: Final = 64 << 20
"""Bytes of one member's answers that it has not read yet: more than an honest node asks for side by side."""
POLLS_MAX: Final = 4
"""Polls of one member that wait. An honest node has one, and for a while those of connections that broke."""
_PIECE_BYTES: Final = 64 << 10
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?\Z")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?\Z")
_PATH: Final = re.compile(r"/[!-\"$->@-~]*\Z")  # all that can be seen of ASCII, but `#` and `?`
_QUERY: Final = re.compile(r"[!-\"$-~]*\Z")
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_JSON: Final = "application/json"


class TooManyCalls(Unavailable):
    code = "too-many-calls"
    template = "{member} has {limit} under way at this node already"
    hint = "Wait until some of them are answered, read the answers, and make fewer calls at a time."


def make_router(node: Node, verifier: CallVerifier) -> APIRouter:
    """The routes of docs/spec/sync.md, "Routes", for a node."""
    router = APIRouter(prefix="/v1", include_in_schema=False)
    doors = _Doors(node, verifier)
    for path, door in (
        ("/heads", doors.heads),
        ("/logs/{log}/checkpoint", doors.checkpoint),
        ("/logs/{log}/tile/{rest:path}", doors.tile),
        ("/logs/{log}/cosignatures", doors.cosignatures),
        ("/logs/{log}/bodies/{bundle}", doors.bodies),
        ("/charters/{version}", doors.charter),
        ("/cards/{member}/{version}", doors.card),
        ("/evidence", doors.evidence),
    ):
        router.add_api_route(path, door, methods=["GET"])
    router.add_api_route("/evidence", doors.post_evidence, methods=["POST"])
    return router


class _Doors:
    """One method per route."""

    def __init__(self, node: Node, verifier: CallVerifier) -> None:
        self._node = node
        self._verifier = verifier
        self._calls = _Calls()
        self._polls = _Polls(node.changes)
        self._uploads = asyncio.Semaphore(_UPLOADS_MAX)
        self._uploading: defaultdict[MemberName, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def heads(self, request: Request) -> Response:
        caller = await self._caller(request)
        since = request.query_params.get("since", "")
        wait_s = _seconds(request.query_params.get("wait", "0"))
        known = self._node.changes.parse_cursor(since)
        if wait_s and known is not None:
            await self._polls.wait(caller, known, min(wait_s, _WAIT_MAX_S))
        return _Answer(self._calls, caller, lambda: answers.heads(self._node, since), media_type=_JSON)

    async def checkpoint(self, request: Request, log: str) -> Response:
        return await self._answer(request, _TEXT, lambda _: answers.checkpoint(self._node, log))

    async def tile(self, request: Request, log: str, rest: str) -> Response:
        return await self._answer(request, _BYTES, lambda _: answers.tile(self._node, log, f"tile/{rest}"))

    async def cosignatures(self, request: Request, log: str) -> Response:
        size = decode_size(request.query_params.get("size", ""), "size")
        return await self._answer(request, _TEXT, lambda _: answers.cosignatures(self._node, log, size))

    async def bodies(self, request: Request, log: str, bundle: str) -> Response:
        number = decode_size(bundle, "bundle")
        start = decode_size(request.query_params.get("from", str(number * 256)), "from")
        return await self._answer(
            request, _BYTES, lambda caller: answers.bodies(self._node, log, bundle=number, start=start, caller=caller)
        )

    async def charter(self, request: Request, version: str) -> Response:
        number = decode_size(version, "version")
        return await self._answer(request, _TEXT, lambda _: answers.charter(self._node, number))

    async def card(self, request: Request, member: str, version: str) -> Response:
        number = decode_size(version, "version")
        return await self._answer(request, _TEXT, lambda _: answers.card(self._node, member, number))

    async def evidence(self, request: Request) -> Response:
        return await self._answer(request, _JSON, lambda _: answers.evidence_ids(self._node))

    async def post_evidence(self, request: Request) -> Response:
        """The body is read once it is known whose it is, and that it is not too long."""
        _check_length(request)
        head = await run_in_threadpool(self._verifier.verify_head, message_of(request), has_body=True)
        with self._calls.one_of(head.member):
            async with self._uploading[head.member], self._uploads:
                body = await _read_bounded(request)
                await run_in_threadpool(self._verifier.verify_body, head, body)
                await run_in_threadpool(take_evidence, self._node, body)
        return Response(status_code=204)

    async def _answer(self, request: Request, media_type: str, work: Callable[[MemberName], bytes]) -> Response:
        caller = await self._caller(request)
        return _Answer(self._calls, caller, lambda: work(caller), media_type=media_type)

    async def _caller(self, request: Request) -> MemberName:
        """The member that signed this call. Raises: CallRefused."""
        return await run_in_threadpool(self._verifier.verify, message_of(request))


class _Calls:
    """Counts the calls under way, and the bytes of their answers, by member. Owned by the event loop."""

    def __init__(self) -> None:
        self._under_way: Counter[MemberName] = Counter()
        self._held: Counter[MemberName] = Counter()  # bytes

    @contextmanager
    def one_of(self, member: MemberName) -> Iterator[None]:
        """Raises: TooManyCalls."""
        if self._under_way[member] >= CALLS_MAX:
            raise TooManyCalls(member=member, limit=f"{CALLS_MAX} calls")
        self._under_way[member] += 1
        try:
            yield
        finally:
            self._under_way[member] -= 1

    def has_room(self, member: MemberName, length: int) -> bool:
        """Whether an answer of so many bytes may stay in memory until it was read; one may, whatever its length."""
        return not self._held[member] or self._held[member] + length <= ANSWERS_BYTES_MAX

    @contextmanager
    def holding(self, member: MemberName, length: int) -> Iterator[None]:
        self._held[member] += length
        try:
            yield
        finally:
            self._held[member] -= length


class _Answer(Response):
    """Made, and sent, within its caller's share: who does not read an answer has that much less.

    It goes out in pieces, as the server waits only before the next for what it has written.
    """

    def __init__(self, calls: _Calls, caller: MemberName, work: Callable[[], bytes], *, media_type: str) -> None:
        super().__init__(media_type=media_type)
        self._calls = calls
        self._caller = caller
        self._work = work

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        with self._calls.one_of(self._caller):
            content = await run_in_threadpool(self._work)
            if not self._calls.has_room(self._caller, len(content)):
                del content  # an error keeps what its frames hold until the next collection
                raise TooManyCalls(member=self._caller, limit=f"{ANSWERS_BYTES_MAX} bytes of answers")
            with self._calls.holding(self._caller, len(content)):
                self.headers["content-length"] = str(len(content))
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for at in range(0, len(content), _PIECE_BYTES):
                    piece = content[at : at + _PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Polls:
    """The polls that wait. Owned by the event loop.

    Where a member has too many, its oldest is answered: who made it has likely gone, which nobody told us.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._waiting: defaultdict[MemberName, OrderedDict[asyncio.Task[int], None]] = defaultdict(OrderedDict)

    async def wait(self, member: MemberName, since: int, timeout_s: float) -> None:
        """Return once something moved after `since`, or `timeout_s` has passed, or newer polls take its place."""
        waiting = self._waiting[member]
        task = asyncio.ensure_future(self._changes.wait(since, timeout_s))
        waiting[task] = None
        if len(waiting) > POLLS_MAX:
            waiting.popitem(last=False)[0].cancel()
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            waiting.pop(task, None)


def message_of(request: Request) -> Message:
    """The request as its signature is checked. Raises: CallRefused.

    Host and target are put together to an address, which the library takes apart again. It must find the same parts:
    with `Host: node.example/v1/heads?` the path that was signed would be another than the one that is answered.
    """
    # The library sees the raw target, so that what was signed is what was asked.
    target, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _HOST.match(hosts[0]):
        raise CallRefused(reason="exactly one Host is due, a name or an address and perhaps a port")
    if not _PATH.match(target) or not _QUERY.match(query):
        raise CallRefused(reason="the target is not a path and a query")
    url = f"http://{hosts[0]}{target}" + (f"?{query}" if query else "")
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        # All lines of a field count: of a second signature none may go unseen.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Message(request.method, url, headers)


def _check_length(request: Request) -> None:
    """Refuse a body by the length that its head claims; one of unknown length is counted as it comes."""
    claimed = request.headers.get("content-length", "0")
    if not claimed.isdigit() or len(claimed) > limits.SIZE_DIGITS:
        raise EncodingError(field="content-length", reason="not the length of a body")
    if int(claimed) > limits.EVIDENCE_BYTES_MAX:
        raise TooLarge(what="evidence", got=int(claimed), limit=limits.EVIDENCE_BYTES_MAX, unit="bytes")


async def _read_bounded(request: Request) -> bytes:
    chunks, length = [], 0
    try:
        async with asyncio.timeout(_UPLOAD_S):
            async for chunk in request.stream():
                length += len(chunk)
                if length > limits.EVIDENCE_BYTES_MAX:
                    raise TooLarge(what="evidence", got=length, limit=limits.EVIDENCE_BYTES_MAX, unit="bytes")
                chunks.append(chunk)
    except (TimeoutError, ClientDisconnect) as cause:
        raise EncodingError(field="evidence", reason="it did not arrive whole, or not in time") from cause
    return b"".join(chunks)


def _seconds(text: str) -> float:
    if not _SECONDS.match(text):
        raise EncodingError(field="wait", reason="not a number of seconds")
    return float(text)
