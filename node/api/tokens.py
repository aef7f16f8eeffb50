"""API tokens over HTTP."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger.errors import EncodingError, Missing
from node.api import models
from node.api.errors import encode
from node.api.routes import JSON_TYPE, Answer, Body, Context, Routes
from node.api.shared import PARSING, UPLOADING
from node.api.uploads import check_media_type, read_body
from node.services.contracts import decode_object
from node.storage.engine import DiskFull
from node.storage.facts import StoredToken
from node.storage.store import DatabaseReplaced
from node.tokens import Scope, TokenMalformed, token_id_of

_BODY_BYTES_MAX: Final = 10_000
_NEW: Final = {
    "type": "object",
    "required": ["name", "scopes"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "scopes": {"type": "array", "minItems": 1, "items": {"enum": [scope.value for scope in Scope]}},
    },
}


def make_router(context: Context) -> APIRouter:
    book = context.tokens

    async def list_all() -> Response:
        """Every token, revoked ones included; none of them itself."""
        found = [_describe(token) for token in await run_in_threadpool(book.list_all)]
        return Response(encode({"tokens": found}), media_type=JSON_TYPE)

    async def make(request: Request) -> Response:
        """Make a token. The answer is the only one that ever shows it."""
        check_media_type(request, JSON_TYPE)
        given = decode_object(await read_body(request, _BODY_BYTES_MAX))
        name, scopes = given.pop("name", None), given.pop("scopes", None)
        if given or not isinstance(name, str) or not _are_texts(scopes):
            raise TokenMalformed(reason="it takes a name and a list of scopes, and nothing else")
        text = await run_in_threadpool(book.make, name, scopes)
        made = {"id": token_id_of(text), "name": name, "scopes": sorted(set(scopes)), "token": text}
        return Response(encode(made), 201, {"cache-control": "no-store"}, JSON_TYPE)

    async def revoke(id: str) -> Response:
        """Revoke a token, at once and for good; also the one that this request came with."""
        await run_in_threadpool(book.revoke, id)
        return Response(status_code=204)

    routes = Routes(context, "tokens")
    admin = [Scope.ADMIN]
    routes.add("GET", "/tokens", list_all, scopes=admin, answers=[Answer(model=models.TokenList)])
    routes.add(
        "POST",
        "/tokens",
        make,
        scopes=admin,
        answers=[Answer(status=201, model=models.NewToken, says="Made.")],
        errors=(*UPLOADING, *PARSING, TokenMalformed, EncodingError, DiskFull, DatabaseReplaced),
        body=Body(schemas={JSON_TYPE: _NEW}),
    )
    failures = (Missing, DiskFull, DatabaseReplaced)
    routes.add("DELETE", "/tokens/{id}", revoke, scopes=admin, answers=[Answer(status=204)], errors=failures)
    return routes.router


def _describe(token: StoredToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes.split(),
        "created_ms": token.created_ms,
        "revoked_ms": token.revoked_ms,
    }


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
