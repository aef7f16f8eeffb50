"""A node that serves in this process, for tests of what talks to it over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.network import decode_network_file
from node.app import create_app
from node.node import Node
from node.serving import make_server
from node.storage.viewstore import VIEWS_NAME, ViewStore
from node.views.search import wait_until
from node.views.supervisor import start_worker
from tests.make_cli import NETWORK, tally

_START_S = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_lone_folder(root: Path, name: str = "fishery", *options: str) -> Path:
    """A folder and its network of one member, which need wait for nobody before it signs."""
    folder = root / name
    words = ["--network", NETWORK, "--member", name]
    if "--endpoint" not in options:
        words += ["--endpoint", f"http://127.0.0.1:{free_port()}"]
    assert tally("init", folder, *words, *options).code == 0
    assert tally("charter", "new", folder / "member.json", "--dir", folder, "-o", folder / "network.json").code == 0
    return folder


@contextmanager
def running(folder: Path, *, adopt: bool = True, search: bool = False) -> Iterator[Node]:
    """The node of `folder`, serving without peers until the block ends.

    search: also run the worker that fills the record search; it is a process, and takes its time to start.
    """
    node = Node.open(folder)
    if adopt:
        membership = node.adopt(decode_network_file((folder / "network.json").read_bytes()))
        for name in membership.names:
            node.joined.guard.heard(name, 0)
        node.open_for_writing()
    server = make_server(create_app(node), node.settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    worker = start_worker(folder, node.changes) if search else None
    try:
        until = time.monotonic() + _START_S
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        if worker is not None and node.is_joined:  # it takes a while to start, and until then no search answers
            views = ViewStore.open_for_search(folder / VIEWS_NAME)
            assert wait_until(views, node.joined.origin, 0, timeout_s=_START_S), "the record search did not start"
        yield node
    finally:
        if worker is not None:
            worker.stop()
        server.should_exit = True
        thread.join()
        node.close()
