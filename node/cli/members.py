"""`card`, `peers`: by which keys members work, where they answer, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.inputs import read_network
from node.cli.output import format_time
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from ledger.card import Card


def register(app: typer.Typer) -> None:
    card = typer.Typer(help="See the keys and addresses of a member.")
    app.add_typer(card, name="card", rich_help_panel="Network")
    command(card, "show", needs=Needs.NODE)(show_card)
    command(app, "peers", needs=Needs.NODE, panel="Network")(peers)


def show_card(
    session: Session,
    member: Annotated[str | None, typer.Argument(help="Which member. Default: all.")] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(help="A network file, in place of the running node's.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Show the newest card of a member: its keys, and where its node answers."""
    from ledger.network import verify_network_file

    network = verify_network_file(read_network(file) if file else session.network_file())
    names: Sequence[str] = network.charter.names if member is None else [member]
    cards = [network.card(name) for name in names]
    if session.as_json:
        session.out.emit([_card_json(card) for card in cards])
        return
    for card in cards:
        shown = _card_json(card)
        session.out.pairs({k: ", ".join(v) if isinstance(v, list) else v for k, v in shown.items()})
        session.out.line()


def peers(session: Session) -> None:
    """Show what the running node knows of each peer: reachable, in step, since when."""
    with session.client() as client:
        content = client.get("/peers")
        if session.as_json:
            session.out.answer(content)
            return
        rows, status = client.decode(content)["peers"], client.get_json("/status")
    waiting = status["guard"]["waiting_for"]
    session.out.say(
        f"{status['member']}: {status['guard']['state']}" + (f", waits for {', '.join(waiting)}" if waiting else "")
    )
    session.out.table(
        ["member", "state", "last contact", "held here", "cosigned there", "endpoint", "error"],
        [
            (
                row["member"],
                row["state"],
                format_time(row["last_contact_ms"]),
                _standing(row["log"]),
                row["cosigned"],
                row["endpoint"],
                row["error"],
            )
            for row in rows
        ],
    )


# --- inside -------------------------------------------------------------------------


def _card_json(card: Card) -> dict[str, Any]:
    return {
        "member": card.member,
        "version": card.version,
        "log": str(card.origin),
        "log_key": str(card.log_key),
        "log_from": card.log_from,
        "witness_keys": [str(key) for key in card.witness_keys],
        "transport_keys": [str(key) for key in card.transport_keys],
        "sealing_key": card.sealing_key.id,
        "endpoints": list(card.endpoints),
    }


def _standing(log: dict[str, Any] | None) -> str:
    """What is held here of a peer's log."""
    if log is None:
        return "-"
    return f"{log['size']}" + (f", frozen: {log['frozen']}" if log["frozen"] else "")
