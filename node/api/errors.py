"""The one table from errors to HTTP, and the problem documents (RFC 9457) that carry them.

Peer routes use it as well, through the handlers that the app installs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ledger.errors import BadInput, BadProof, Conflict, NotAllowed, NotFound, TallyError, TooLarge, Unavailable
from ledger.keys import entropy
from node.guard import NodeNotReady
from node.storage.engine import DiskFull
from node.storage.packing import RowDamaged
from node.tokens import TokenRefused

PROBLEM_TYPE: Final = "application/problem+json"
_TEXT_LENGTH_MAX: Final = 1000
_OWN_MEMBERS: Final = frozenset({"type", "title", "status", "code", "detail", "hint"})


class RouteUnknown(NotFound):
    code = "no-such-route"
    template = "there is nothing at {path}"
    hint = "docs/reference/api.md lists every route."


class MethodWrong(BadInput):
    code = "method-not-allowed"
    template = "{method} is not a method of {path}"
    hint = "docs/reference/api.md lists every route with its methods."


class MediaTypeWrong(BadInput):
    code = "media-type"
    template = "the body is {got}; this route takes {wanted}"
    hint = "Set Content-Type accordingly, and send the body without a Content-Encoding."


class ParameterWrong(BadInput):
    code = "parameter"
    template = "{name}: {reason}"
    hint = "docs/reference/api.md lists the parameters of every route."


class UploadTruncated(BadInput):
    code = "upload-truncated"
    template = "the body ended after {got} bytes, before its end"
    hint = "Nothing of the part that was cut off was recorded; send it again."


class UploadTooSlow(BadInput):
    code = "upload-too-slow"
    template = "the body did not arrive within {limit} seconds"
    hint = "Send less at a time."


class InternalFault(TallyError):
    code = "internal"
    template = "a fault of this node, noted in its log under {id}"
    hint = "Look for the id in the output of `tally serve`. With an Idempotency-Key the request can be sent again."


STATUS: Final[Mapping[type[TallyError], int]] = {
    BadInput: 400,
    TokenRefused: 401,
    NotAllowed: 403,
    NotFound: 404,
    MethodWrong: 405,
    UploadTooSlow: 408,
    Conflict: 409,
    TooLarge: 413,
    MediaTypeWrong: 415,
    BadProof: 422,
    TallyError: 500,
    RowDamaged: 500,  # what a caller asked for was fine; what lies here is not
    Unavailable: 503,
    DiskFull: 507,
}
"""The nearest class of an error's ancestry decides."""

_RETRY_AFTER_S: Final[Mapping[type[TallyError], int]] = {Unavailable: 1, NodeNotReady: 5, DiskFull: 60}


def status_of(error: type[TallyError]) -> int:
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def problem(error: TallyError) -> dict[str, Any]:
    """The problem document of an error. A field that has the name of a member of RFC 9457 gets a `_` behind it."""
    fields = {name + "_" * (name in _OWN_MEMBERS): _plain(value) for name, value in error.fields.items()}
    return {
        "type": f"/errors/{error.code}",
        "title": error.code.replace("-", " ").capitalize(),
        "status": status_of(type(error)),
        "code": error.code,
        "detail": str(error)[:_TEXT_LENGTH_MAX],
        "hint": error.hint,
        **fields,
    }


def encode(value: object) -> bytes:
    """JSON for answers that hold strings of others: escapes whatever is not ASCII, so that nothing fails to encode."""
    return json.dumps(value, separators=(",", ":")).encode()


def respond(error: TallyError) -> Response:
    """The whole answer to a request that failed."""
    headers = {"cache-control": "no-store"}
    for kind in type(error).__mro__:
        if kind in _RETRY_AFTER_S:
            headers["retry-after"] = str(_RETRY_AFTER_S[kind])
            break
    if isinstance(error, TokenRefused):
        headers["www-authenticate"] = "Bearer"
    return Response(encode(problem(error)), status_of(type(error)), headers, PROBLEM_TYPE)


def note_fault(cause: BaseException) -> InternalFault:
    """Log an error that nobody raised on purpose; what the caller is told of it is an id."""
    fault = InternalFault(id=entropy(6).hex())
    structlog.get_logger().error("internal fault", id=fault.fields["id"], exc_info=cause)
    return fault


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(TallyError, _on_tally_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_parameters)
    app.add_exception_handler(Exception, _on_fault)


async def _on_tally_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TallyError), "registered for it"
    return respond(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it"
    path = request.url.path[:200]
    if error.status_code == 405:
        answer = respond(MethodWrong(method=request.method, path=path))
        answer.headers.update(error.headers or {})
        return answer
    if error.status_code == 404:
        return respond(RouteUnknown(path=path))
    return respond(note_fault(error))


async def _on_parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for it"
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return respond(ParameterWrong(name=name[:200], reason=first["msg"]))


async def _on_fault(_request: Request, error: Exception) -> Response:
    return respond(note_fault(error))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value[:_TEXT_LENGTH_MAX]
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        return [_plain(item) for item in value]
    return str(value)[:_TEXT_LENGTH_MAX]
