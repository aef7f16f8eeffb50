"""`init`, `serve`, `demo`: commands that begin something."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import Unavailable
from node.cli.exits import UsageWrong, end_as_by_interrupt
from node.cli.session import Needs, Session, command


class PortUnusable(Unavailable):
    code = "port-unusable"
    template = "cannot listen at {host}:{port}: {reason}"
    hint = "Stop what listens there, or set another host or port in tally.toml."


def register(app: typer.Typer) -> None:
    command(app, "demo", needs=Needs.NOTHING, panel="Start here")(demo)
    command(app, "init", needs=Needs.NOTHING, panel="Node")(init)
    command(app, "serve", needs=Needs.FOLDER, panel="Node")(serve)


def init(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="Folder to make the node in.", file_okay=False)],
    *,
    network: Annotated[str, typer.Option(help="Name of the network: a-z, 0-9, '.' and '-'.")],
    member: Annotated[str, typer.Option(help="Name of this member in it.")],
    endpoint: Annotated[
        list[str] | None, typer.Option(help="Address at which peers reach this node; may be given again.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, if not as the endpoint says.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, if not as the endpoint says.", max=65535)] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain to serve.", exists=True)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key of it.", exists=True)] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM authorities of peers' certificates.", exists=True)] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with a passphrase to keep the private keys under.", exists=True)
    ] = None,
) -> None:
    """Make a node's folder: keys, card, settings, store, admin token.

    Hand the member.json that it writes to whoever draws up the charter, and keep all else in the folder to yourself.
    """
    from node.clock import system_clock
    from node.config import PORT
    from node.founding import MEMBER_FILE_NAME, NewNode, listening_at, make_node
    from node.tlsfiles import check_tls_files

    if (tls_cert is None) != (tls_key is None):
        raise UsageWrong(reason="--tls-cert and --tls-key go together")
    check_tls_files(tls_cert=tls_cert, tls_key=tls_key, tls_ca=tls_ca)
    endpoints = tuple(endpoint or [f"http://127.0.0.1:{PORT if port is None else port}"])
    usual_host, usual_port = listening_at(endpoints[0], has_tls=tls_cert is not None)
    settings: dict[str, object] = {"host": host or usual_host, "port": usual_port if port is None else port}
    files = {"tls_cert": tls_cert, "tls_key": tls_key, "tls_ca": tls_ca, "passphrase_file": passphrase_file}
    settings |= {name: str(path.resolve()) for name, path in files.items() if path is not None}
    passphrase = None if passphrase_file is None else passphrase_file.read_text().rstrip("\n")
    new = NewNode(network=network, member=member, endpoints=endpoints, settings=settings, passphrase=passphrase)
    make_node(folder, new, now_ms=system_clock())
    member_file = folder / MEMBER_FILE_NAME
    if session.as_json:
        session.out.emit({"folder": str(folder), "member_file": str(member_file), "endpoints": list(endpoints)})
        return
    session.out.line(f"Made {member} of {network} in {folder}.")
    session.out.line(f"Next: hand {member_file} to whoever draws up the charter (`tally charter new`).")
    if endpoints[0].startswith("https:") and tls_cert is None:
        session.out.say(
            "note: the endpoint is https and no certificate is set, so a proxy on this machine must end TLS in front"
        )


def serve(
    session: Session,
    *,
    not_restored: Annotated[
        bool,
        typer.Option(
            "--not-restored",
            help="State that this folder was not restored from a backup: sign without waiting for peers. "
            "The statement goes into the log.",
        ),
    ] = False,
) -> None:
    """Run the node of a folder until Ctrl-C or SIGTERM."""
    import_without_terminal()
    from node.cli.client import port_error
    from node.files import sole_server
    from node.tlsfiles import check_tls_files

    settings = session.settings()
    # Found here, each is told in one line; the server would have opened the store by then.
    check_tls_files(tls_cert=settings.tls_cert, tls_key=settings.tls_key, tls_ca=settings.tls_ca)
    with sole_server(session.folder):  # first, as the port of a folder that is served is taken as well
        reason = port_error(settings.host, settings.port)
    if reason:
        raise PortUnusable(host=settings.host, port=settings.port, reason=reason)
    from node.app import serve as run

    if session.as_json:
        session.out.emit({"member": settings.member, "host": settings.host, "port": settings.port})
    # The server passes on the signal that ended it; as an exception, it leaves time to close the store.
    end_as_by_interrupt()
    with suppress(KeyboardInterrupt):
        run(session.folder, not_restored=not_restored)


def import_without_terminal() -> None:
    """Import what would load rich and pygments for its own command line: 4 MB in a process that runs for months."""
    for_terminals = ("pygments", "rich")
    hidden = [name for name in for_terminals if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]  # None: importing it fails, as if not installed
    try:
        for name in ("httpx", "structlog"):
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]


def demo(
    session: Session,
    *,
    once: Annotated[bool, typer.Option("--once", help="End by itself in place of waiting for Ctrl-C.")] = False,
    attacks: Annotated[bool, typer.Option(help="Also forge, tamper and fork, and see that it is noticed.")] = True,
    events: Annotated[
        Path | None,
        typer.Option(
            help="An EPCIS document or query document, of which each event is a record, in place of the scenario.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random, to see the same again.")] = None,
) -> int:
    """Four firms on this machine share, sync and prove shipments."""
    from node.cli.demo import run

    return int(run(once=once, as_json=session.as_json, attacks=attacks, events=events, seed=seed) or 0)
