"""The HTTP server under the app: uvicorn, with the bounds it lacks.

Its fast parser takes heads of any length at any pace; here both are bounded. What breaks such a
bound never becomes a request: it is answered 400 in plain text, or not at all. And it waits for
ever for a caller to read its answer; here that ends.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from node.config import Settings

HEAD_BYTES_MAX: Final = 32 << 10
"""Bytes of a request's target and headers: the longest signed call of a peer has some two thousand."""
HEADERS_MAX: Final = 100
PIPELINED_MAX: Final = 16
"""Requests of one connection that may wait behind the one that is answered: each takes a hundred times its bytes."""
HEAD_S: Final = 20.0
"""Seconds that the head of a request may take, or a new connection may stay silent."""
CONNECTIONS_MAX: Final = 1000
"""Connections at a time: each may hold one body in memory."""
REST_S: Final = 5.0
"""Seconds that the body of a request may go on after its answer: until then a caller may be too busy to read that."""
DRAIN_S: Final = 60.0
"""Seconds in which what was written to a caller that is slow to read must get less by `DRAIN_BYTES`, or be gone."""
DRAIN_BYTES: Final = 16 << 10
_IDLE_S: Final = 30  # between two requests of one connection
_STOP_S: Final = 3  # for requests under way when the node stops; what is cut off was not answered


class HeadTooLarge(Exception):
    """Raised inside the parser, which then gives up on the connection."""


class TooManyWait(Exception):
    """Likewise."""


class TargetHasFragment(Exception):
    """Likewise. The parser would drop what follows a `#`: what is answered must be what was asked and signed."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Ends a request whose head is too long or too slow, and an answer that nobody reads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head_bytes = 0  # received since the last request ended: at least the length of the head
        self._deadline: asyncio.TimerHandle | None = None
        self._drain: asyncio.TimerHandle | None = None
        self._unsent = 0  # bytes written and not sent, when it was last looked
        self._answering: RequestResponseCycle | None = None  # `self.cycle` is the newest, which may still wait

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # as asyncio declares it
        self._set_deadline(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._stop_looking()
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes:
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("Request head too long.")
            elif self._deadline is None:
                self._set_deadline(HEAD_S)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = max(self._head_bytes, 1)  # the first of them may have come behind another request

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        if len(self.headers) > HEADERS_MAX:
            raise HeadTooLarge()
        if len(self.pipeline) >= PIPELINED_MAX:
            raise TooManyWait()
        if b"#" in self.url:
            raise TargetHasFragment()
        # Whole heads that came in one piece with a body behind them: only then is the sum worth its time.
        if self._head_bytes > HEAD_BYTES_MAX:
            head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head_bytes > HEAD_BYTES_MAX:
                raise HeadTooLarge()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head, self._head_bytes = True, 0
        if self.cycle.response_complete:  # the rest of a body that nobody wanted: the connection can be used again
            self._cancel_deadline()
            self.timeout_keep_alive_task = self.loop.call_later(_IDLE_S, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        has_rest = not self.pipeline and self.cycle.more_body
        super().on_response_complete()
        if self.transport.is_closing():  # once its last bytes are sent, for which it waits
            self._set_deadline(DRAIN_S)
        elif has_rest:
            self._set_deadline(REST_S)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._set_deadline(DRAIN_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_looking()
        self._look_again()

    def resume_writing(self) -> None:
        self._stop_looking()
        super().resume_writing()

    def _look_again(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._drain = self.loop.call_later(DRAIN_S, self._look)

    def _look(self) -> None:
        # Who posts many records may send all of them before it reads a result.
        is_sending = not self.pipeline and self.cycle.more_body and self.cycle.scope["method"] == "POST"
        if not is_sending and self.transport.get_write_buffer_size() > self._unsent - DRAIN_BYTES:
            self._give_up()
        else:
            self._look_again()

    def _stop_looking(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None

    def _set_deadline(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abort()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def settle_memory() -> None:
    """Spare the collector what stays for good. Call once, after everything is set up.

    Looking through it again and again cost a quarter of the time of a small request, and held up
    one in a hundred for 50 ms. Little of what a request leaves behind is in cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Server(uvicorn.Server):
    """Tells whoever waits inside the app before it waits for them: polls would take up all the time there is."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        assert isinstance(app, FastAPI), "make_server gave it one"
        release: Callable[[], None] = getattr(app.state, "release", lambda: None)
        release()
        await super().shutdown(sockets)


def make_server(app: FastAPI, settings: Settings) -> Server:
    """The server of `app` as the settings say: where it listens, and whether it speaks TLS."""
    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_STOP_S,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
        )
    )
