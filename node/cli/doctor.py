"""`doctor`: what is wrong with this node, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from ledger.errors import TallyError
from node.cli.checks import (
    Check,
    State,
    check_certificate,
    check_contracts,
    check_folder,
    check_node,
    check_peers,
    check_port,
    check_program,
    check_stored,
    process_owner,
)
from node.cli.exits import ExitCode
from node.cli.session import Needs, Session, command


def register(app: typer.Typer) -> None:
    command(app, "doctor", needs=Needs.NODE, panel="Node")(doctor)


def doctor(session: Session) -> ExitCode:
    """Check this node and its surroundings; every line says what to do.

    Looks at versions, packages, the engine of contracts (which it does not compile), permissions, keys, space, the
    certificate, bodies that are missing, the running node, the start-up guard, and whether peers answer and their
    clocks agree. That no node answers is a failure once a charter was adopted in the folder.
    """
    found = []
    for check in _run(session):
        found.append(check)
        if not session.as_json:
            session.out.line(f"{check.state:<4}  {check.name}: {check.says}")
            if check.do:
                session.out.line(f"      do: {check.do}")
    if session.as_json:
        session.out.emit(
            [{"name": check.name, "state": check.state, "says": check.says, "do": check.do} for check in found]
        )
    return ExitCode.REFUSED if any(check.state is State.FAIL for check in found) else ExitCode.OK


def _run(session: Session) -> Iterator[Check]:
    from node.clock import system_clock

    yield from check_program()
    yield check_contracts()
    try:
        settings = session.settings()
    except TallyError as cause:
        yield Check("settings", State.FAIL, str(cause), cause.hint)
        return
    yield Check("settings", State.OK, f"{settings.member} of {settings.network}")
    yield process_owner(session.folder)
    yield from check_folder(session.folder)
    yield from check_certificate(settings, now_ms=system_clock())
    stored = list(check_stored(session.folder))
    yield from stored
    yield from _check_running(session, is_adopted=bool(stored))


def _check_running(session: Session, *, is_adopted: bool) -> Iterator[Check]:
    from ledger.errors import Unavailable
    from ledger.network import decode_network_file, verify_network_file
    from node.cli.client import NodeUnreachable

    settings = session.settings()
    try:
        with session.client() as client:
            yield from check_node(client)
            if not client.get_json("/status").get("fingerprint"):
                return
            network = verify_network_file(decode_network_file(client.get("/network")))
    except NodeUnreachable as cause:
        # Whoever watches by the exit code must hear of a node that is to serve and does not.
        yield Check("node", State.FAIL if is_adopted else State.WARN, str(cause), "tally serve")
        yield check_port(settings)
        return
    except (TallyError, Unavailable) as cause:
        do = "`tally token admin` makes a new one." if cause.code == "token-refused" else cause.hint
        yield Check("node", State.FAIL, f"{cause} ({cause.code})", do)
        return
    own, kept = network.card(settings.member), session.keyring().log.public
    if own.log_key != kept:
        yield Check("card", State.FAIL, "the network knows another log key of this member than keys/ holds",
                    "Restore the keys/ that the member file was made from.")  # fmt: skip
    yield from check_peers(settings, {name: network.card(name).endpoints for name in network.charter.names})
