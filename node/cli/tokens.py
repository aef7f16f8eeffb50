"""`token`: who else may call this node's API."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import format_time
from node.cli.session import Needs, Session, command


def register(app: typer.Typer) -> None:
    token = typer.Typer(help="Make and revoke API tokens.")
    app.add_typer(token, name="token", rich_help_panel="Node")
    command(token, "new", needs=Needs.NODE)(new)
    command(token, "list", needs=Needs.NODE)(list_all)
    command(token, "revoke", needs=Needs.NODE)(revoke)
    command(token, "admin", needs=Needs.FOLDER)(admin)


def new(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for: records name it as who submitted them.")],
    *,
    scope: Annotated[list[str], typer.Option(help="write, read, audit or admin; may be given again.")],
) -> None:
    """Make a token. It is shown this once: the node keeps only its hash."""
    import msgspec

    with session.client() as client:
        content = client.post("/tokens", msgspec.json.encode({"name": name, "scopes": scope}))
        found = client.decode(content)
    if session.as_json:
        session.out.answer(content)
        return
    session.out.say("keep it safe, it is not shown again:")
    session.out.line(found["token"])


def list_all(session: Session) -> None:
    """List tokens: names, scopes, since when; never the tokens themselves."""
    with session.client() as client:
        content = client.get("/tokens")
        found = client.decode(content)
    if session.as_json:
        session.out.answer(content)
        return
    session.out.table(
        ["id", "name", "scopes", "made", "revoked"],
        [
            (
                row["id"],
                row["name"],
                " ".join(row["scopes"]),
                format_time(row["created_ms"]),
                format_time(row["revoked_ms"]),
            )
            for row in found["tokens"]
        ],
    )


def revoke(
    session: Session, token_id: Annotated[str, typer.Argument(metavar="ID", help="As in `token list`.")]
) -> None:
    """Revoke a token; calls with it are refused from now on."""
    from node.cli.client import segment

    with session.client() as client:
        client.delete(f"/tokens/{segment(token_id)}")
    if session.as_json:
        session.out.emit({"revoked": token_id})
        return
    session.out.line(f"Revoked {token_id}.")


def admin(session: Session) -> None:
    """Write a fresh admin token into a node's folder, and revoke the old one. Needs the folder, and no token.

    For whoever lost it, and after a restore of the keys alone. A running node knows it within seconds.
    """
    from node.clock import system_clock
    from node.founding import ADMIN_TOKEN_NAME, renew_admin_token

    session.settings()
    renew_admin_token(session.folder, now_ms=system_clock())
    path = session.folder / ADMIN_TOKEN_NAME
    if session.as_json:
        session.out.emit({"file": str(path)})
        return
    session.out.line(f"Wrote {path}.")
