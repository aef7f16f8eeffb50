"""All commands in one tree, in the order in which help shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli import capture, charters, contracts, doctor, holdings, members, proofs, records, starting, tokens

app = typer.Typer(
    help="Firms that trade share, sync and prove records. Begin with `tally demo`.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Every command takes --json and --debug. Exit codes: docs/reference/cli.md.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tally {version('tallystick')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


for _part in (starting, charters, members, contracts, capture, records, proofs, holdings, doctor, tokens):
    _part.register(app)
