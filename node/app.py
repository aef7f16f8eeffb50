"""The node as one process: partner API and peer routes on one port, and what runs beside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI

from ledger.card import is_loopback
from ledger.errors import TallyError
from ledger.names import MemberName
from node import logging
from node.api import captures, contracts, document, errors, health, network, receipts, records, tokens
from node.api.routes import Context
from node.api.shortcut import Shortcut
from node.config import DATABASE_NAME, Settings
from node.files import check_sole_name, sole_server
from node.node import Node
from node.services.gathering import Gathering
from node.services.standing import Contact, Contacts
from node.serving import make_server, settle_memory
from node.storage.viewstore import VIEWS_NAME, ViewStore
from node.sync.driver import SyncDriver
from node.sync.routes import make_router as make_peer_router
from node.sync.signing import CallVerifier
from node.tokens import TokenBook
from node.views.supervisor import start_worker
from node.watching import watch_database

Background = Callable[[], Awaitable[None]]
"""Something that runs as long as the app serves."""


class BackgroundFailed(RuntimeError):
    """What ran beside the routes ended by itself, so the node stopped serving."""


def create_app(
    node: Node,
    *,
    extra_routers: Sequence[APIRouter] = (),
    contacts: Contacts = dict,
    background: Sequence[Background] = (),
) -> FastAPI:
    """The app of `node`: the partner API, and what else is given. It neither opens nor closes the node.

    contacts: what is known of the peers. background: started and cancelled with the app. If one of
    them fails, `app.state.failure` holds why, and `app.state.stop` is called: the server's matter.
    """
    app = FastAPI(
        openapi_url=None,  # it is behind a token, as a route of its own
        redirect_slashes=False,
        lifespan=lambda app: _live(app, background),
    )
    app.state.failure = None
    app.state.stop = lambda: None
    app.state.release = node.changes.release
    context = Context(
        node=node,
        tokens=TokenBook(node.store, node.clock),
        gathering=Gathering(node),
        views=ViewStore.open_for_search(node.folder / VIEWS_NAME),
        contacts=contacts,
    )
    errors.install(app)
    app.add_middleware(Shortcut, **records.make_shortcut(context))
    app.include_router(health.make_router())
    # Receipts before records: the path of a record is the beginning of that of its receipt.
    for theme in (receipts, records, captures, contracts, network, tokens):
        app.include_router(theme.make_router(context))
    app.include_router(document.make_router(context, app))
    for router in extra_routers:
        app.include_router(router)
    app.openapi = document.describe(app)  # type: ignore[method-assign]  # as FastAPI's own docs do
    return app


def serve(folder: Path, *, not_restored: bool = False) -> None:
    """Run the node of `folder` until it is told to stop.

    Raises: FolderInUse, DatabaseLinked, what `Node.open` raises, what ended the node; BackgroundFailed for a fault of
    it.
    """
    os.umask(0o077)  # whatever this process and its worker make is for its owner alone
    with sole_server(folder):
        check_sole_name(folder / DATABASE_NAME)
        _serve(folder, not_restored=not_restored)


def _serve(folder: Path, *, not_restored: bool) -> None:
    node = Node.open(folder)
    logging.set_up(node.settings.log_level)
    _warn_of_clear_text(node.settings)
    try:
        driver = SyncDriver(node)
        app = create_app(
            node,
            extra_routers=[make_peer_router(node, make_verifier(node))],
            contacts=lambda: contacts_of(driver),
            background=[lambda: driver.run(not_restored=not_restored), lambda: watch_database(node)],
        )
        server = make_server(app, node.settings)
        app.state.stop = partial(setattr, server, "should_exit", True)  # requests under way are answered first
        settle_memory()
        worker = start_worker(folder, node.changes)
        try:
            server.run()
        finally:
            worker.stop()
        if isinstance(app.state.failure, TallyError):
            raise app.state.failure  # it says itself why the node cannot go on, and what to do
        if app.state.failure is not None:
            raise BackgroundFailed("what keeps this node in step with its peers has failed") from app.state.failure
    finally:
        node.close()


def make_verifier(node: Node) -> CallVerifier:
    """Checks calls of peers: they must be meant for an endpoint of this member's card."""

    return CallVerifier(
        endpoints=lambda: node.membership.card(node.member).endpoints,
        find_key=lambda member, key: node.membership.transport_key(member, key),  # noqa: PLW0108  # newer cards count
        clock=node.clock,
        skew_s=node.settings.clock_skew_s,
    )


def contacts_of(driver: SyncDriver) -> dict[MemberName, Contact]:
    """What the sync driver knows of each peer."""
    return {
        member: Contact(
            endpoint=peer.endpoint,
            state=peer.state,
            last_contact_ms=peer.last_contact_ms,
            error=peer.error,
            sizes=dict(peer.sizes),
        )
        for member, peer in driver.peers.items()
    }


def _warn_of_clear_text(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if settings.tls_cert is None and not is_loopback(f"http://{host}:{settings.port}"):
        what = "without TLS, tokens and records travel in clear unless a proxy in front of this node speaks it"
        structlog.get_logger("tally").warning(what, host=settings.host)


@asynccontextmanager
async def _live(app: FastAPI, background: Sequence[Background]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(start()) for start in background]

    def ended(task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            app.state.failure = task.exception()
            structlog.get_logger("tally").critical("stopping", exc_info=task.exception())
            app.state.stop()

    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
