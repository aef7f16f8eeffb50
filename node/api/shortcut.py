"""The short way to the busiest route: filing records.

Routing and dependency solving cost a third of what a whole record costs (docs/performance.md),
so a plain POST of records is handed to its handler before them. The route stays declared like
all others: there it is described, and there it takes its query parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.errors import TallyError
from node.api.errors import respond
from node.api.routes import PREFIX

PATH: Final = f"{PREFIX}/records"
Handler = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """Middleware, inside the one that answers for faults. check: as the route's own, lets in or raises."""

    def __init__(self, app: ASGIApp, *, check: Callable[[Request], Awaitable[None]], handler: Handler) -> None:
        self._app = app
        self._check = check
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            await self._check(request)
            response = await self._handler(request)
        except TallyError as cause:
            response = respond(cause)
        await response(scope, receive, send)
