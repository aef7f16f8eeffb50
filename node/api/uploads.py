"""Reading what a caller sends: whole or in chunks, always bounded in size and time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request

from ledger import limits
from ledger.errors import TooLarge
from node.api.errors import MediaTypeWrong, ParameterWrong, UploadTooSlow, UploadTruncated
from node.api.routes import token_of
from node.node import Node

READ_S: Final = 60.0
"""Seconds a whole body may take, and the longest silence within a stream."""

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}\Z")


def check_media_type(request: Request, *wanted: str) -> str:
    """The media type of the body, one of `wanted`, without its parameters. Raises: MediaTypeWrong."""
    given = request.headers.getlist("content-type")
    kind = given[0].partition(";")[0].strip().lower() if len(given) == 1 else ""
    encoding = request.headers.get("content-encoding", "identity")
    if kind not in wanted or encoding != "identity":
        shown = (kind or "of no type") if encoding == "identity" else f"encoded as {encoding}"
        raise MediaTypeWrong(got=shown[:100], wanted=", ".join(wanted))
    return kind


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The whole body.

    Raises: TooLarge, before reading anything where the length is announced; UploadTruncated, UploadTooSlow.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > bytes_max:
        raise TooLarge(what="body", got=int(announced[:20]), limit=bytes_max, unit="bytes")
    parts: list[bytes] = []
    got = 0
    try:
        async with asyncio.timeout(READ_S):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise UploadTruncated(got=got)
                chunk: bytes = message.get("body", b"")
                parts.append(chunk)
                got += len(chunk)
                if got > bytes_max:
                    raise TooLarge(what="body", got=got, limit=bytes_max, unit="bytes")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise UploadTooSlow(limit=int(READ_S)) from None


async def read_lines(request: Request) -> AsyncIterator[list[bytes | None]]:
    """The lines of a body as they come, without their ends; None stands for one that is too long.

    A last line without an end counts, unless the caller went away: then what was cut off is left out.
    Raises: UploadTooSlow, UploadTruncated.
    """
    rest, is_skipping, got = b"", False, 0
    while True:
        try:
            async with asyncio.timeout(READ_S):
                message = await request.receive()
        except TimeoutError:
            raise UploadTooSlow(limit=int(READ_S)) from None
        if message["type"] == "http.disconnect":
            raise UploadTruncated(got=got)
        chunk: bytes = message.get("body", b"")
        got += len(chunk)
        is_last = not message.get("more_body", False)
        *whole, rest = (rest + chunk).split(b"\n")
        if is_last and (rest or is_skipping):
            whole.append(rest)
        lines: list[bytes | None] = [None if len(line) > limits.LINE_BYTES_MAX else line for line in whole]
        if is_skipping and lines:
            lines[0], is_skipping = None, False
        if len(rest) > limits.LINE_BYTES_MAX:
            rest, is_skipping = b"", True
        if lines:
            yield lines
        if is_last:
            return


class AnswerKey:
    """The Idempotency-Key of a request, if it has one; scoped to the token that sent it."""

    def __init__(self, request: Request, node: Node) -> None:
        self._node = node
        given = request.headers.getlist("idempotency-key")
        if len(given) > 1 or (given and not _KEY.match(given[0])):
            raise ParameterWrong(name="Idempotency-Key", reason="once, and 1 to 255 printable ASCII characters")
        self._scope = None if not given else b"tally/answer/v1\n%b\n%b\n" % (_id(request), given[0].encode())

    def of(self, line: int = 0) -> bytes | None:
        """What the answer is kept under: for a line of a bulk request, or for a request as a whole (0)."""
        return None if self._scope is None else self._node.joined.intake.digest(self._scope + b"%d" % line)


def _id(request: Request) -> bytes:
    return token_of(request).id.encode()
