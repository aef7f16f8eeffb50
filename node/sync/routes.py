"""The peer routes: who calls is proved first, then `answers` is asked.

Spec: docs/spec/sync.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.names import MemberName, decode_size
from node.node import Node
from node.sync import answers
from node.sync.evidence import take_evidence
from node.sync.signing import CallVerifier, Message

_WAIT_MAX_S: Final = 600.0
_UPLOAD_S: Final = 30.0
_UPLOADS_MAX: Final = 4
"""Pieces of evidence read at a time: who sends one is known only once it is read whole."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?\Z")
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_JSON: Final = "application/json"


def make_router(node: Node, verifier: CallVerifier) -> APIRouter:
    """The routes of DESIGN section 4, for a node."""
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
        self._uploads = asyncio.Semaphore(_UPLOADS_MAX)

    async def heads(self, request: Request) -> Response:
        await self._caller(request)
        since = request.query_params.get("since", "")
        wait_s = _seconds(request.query_params.get("wait", "0"))
        changes = self._node.changes
        known = changes.parse_cursor(since)
        if wait_s and known is not None:
            await changes.wait(known, min(wait_s, _WAIT_MAX_S))
        return Response(await run_in_threadpool(answers.heads, self._node, since), media_type=_JSON)

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
        async with self._uploads:
            body = await _read_bounded(request)
            await self._caller(request, body)
            await run_in_threadpool(take_evidence, self._node, body)
        return Response(status_code=204)

    async def _answer(self, request: Request, media_type: str, work: Callable[[MemberName], bytes]) -> Response:
        caller = await self._caller(request)
        return Response(await run_in_threadpool(work, caller), media_type=media_type)

    async def _caller(self, request: Request, body: bytes = b"") -> MemberName:
        """The member that signed this call. Raises: CallRefused."""
        # The library sees the raw target, so that what was signed is what was asked.
        target = request.scope["raw_path"].decode("ascii", "replace")
        query = request.scope["query_string"].decode("ascii", "replace")
        url = f"http://{request.headers.get('host', '')}{target}" + (f"?{query}" if query else "")
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            # All lines of a field count: of a second signature none may go unseen.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        message = Message(request.method, url, headers)
        return await run_in_threadpool(self._verifier.verify, message, body)


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
