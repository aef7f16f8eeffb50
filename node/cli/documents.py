"""`contract inputs`: documents of others as the inputs that a contract is run with."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ledger.errors import TallyError
from node.cli.exits import ExitCode, UsageWrong
from node.cli.session import Needs, Session, command
from node.documents.kinds import Encoding, Kind

if TYPE_CHECKING:
    from node.cli.turning import Choices, Source

_ONLY: Final = {
    "rules": Kind.UBL,
    "role": Kind.UBL,
    "order": Kind.UBL,
    "currency": Kind.PURCHASES,
    "encoding": Kind.SHIPMENTS,
    "shipper": Kind.SHIPMENTS,
    "receiver": Kind.SHIPMENTS,
    "places": Kind.EVENTS,
    "members": Kind.EVENTS,
}
"""Options that one kind alone has."""
_LINES_AT_ONCE: Final = 1000

_Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        help="UBL document in XML, folder with tables of purchases, CSV of deliveries, or EPCIS events in JSON.",
        exists=True,
    ),
]
_Kind = Annotated[Kind | None, typer.Option(help="What every PATH is. Default: what each looks like.")]
_Rules = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="ubl: check invoices and credit notes by the rules of EN 16931 that were published in this folder.",
        exists=True,
        file_okay=False,
    ),
]
_Role = Annotated[str | None, typer.Option(help="ubl: role of who files them. Default: by the kind of document.")]
_Order = Annotated[
    str | None, typer.Option(metavar="ID", help="ubl: the order of the documents that name none themselves.")
]
_Currency = Annotated[str | None, typer.Option(help="purchases: currency of all amounts. Default: USD.")]
_Encoding = Annotated[
    Encoding | None, typer.Option(help="shipments: how its letters were written. Default: utf-8-sig.")
]
_Shipper = Annotated[str | None, typer.Option(help="shipments: member who ships. Default: shipper.example.")]
_Receiver = Annotated[str | None, typer.Option(help="shipments: member who receives. Default: receiver.example.")]
_Places = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="events: JSON object, place -> party whose place it is.", exists=True, dir_okay=False
    ),
]
_Members = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="events: JSON object, party -> member that files for it.", exists=True, dir_okay=False
    ),
]


@dataclass(slots=True, kw_only=True)
class _Count:
    inputs: int = 0
    wrong: int = 0
    checked: int = 0


def register(contract: typer.Typer) -> None:
    command(contract, "inputs", needs=Needs.NOTHING)(inputs)


def inputs(
    session: Session,
    paths: _Paths,
    *,
    kind: _Kind = None,
    rules: _Rules = None,
    role: _Role = None,
    order: _Order = None,
    currency: _Currency = None,
    encoding: _Encoding = None,
    shipper: _Shipper = None,
    receiver: _Receiver = None,
    places: _Places = None,
    members: _Members = None,
) -> ExitCode:
    """Turn documents into inputs of a contract: one JSON object a line, in the order given.

    What cannot be read, or fails a rule that is fatal, is told of, and the exit code is 1; the others are written
    nevertheless. An option that only some kind has is refused where a PATH is of another.
    """
    from node.cli import turning

    sources = [turning.find_source(path, kind) for path in paths]
    given = {
        "rules": rules,
        "role": role,
        "order": order,
        "currency": currency,
        "encoding": encoding,
        "shipper": shipper,
        "receiver": receiver,
        "places": places,
        "members": members,
    }
    _refuse_strangers(sources, {name for name, value in given.items() if value is not None})
    count = _Count()
    with ExitStack() as stack:
        choices = turning.choose(given, stack)
        for source in sources:
            _write(session, source, choices, count)
    checked = "" if rules is None else f", checked by the rules: {count.checked}"
    session.out.say(f"documents: {len(sources)}, inputs: {count.inputs}, wrong: {count.wrong}{checked}")
    return ExitCode.REFUSED if count.wrong else ExitCode.OK


def _refuse_strangers(sources: list[Source], given: set[str]) -> None:
    """Refuse an option that the kind of some source does not have. What has no kind is told of in its turn."""
    for name in (name for name in _ONLY if name in given):
        for source in sources:
            if source.kind not in (None, _ONLY[name]):
                kinds = f"--{name} is an option of the kind {_ONLY[name]} alone, and {source.path} is {source.kind}"
                raise UsageWrong(reason=f"{kinds}: give kinds that differ in commands of their own")


def _write(session: Session, source: Source, choices: Choices, count: _Count) -> None:
    """Write the inputs of one source, and tell what is odd or wrong with it."""
    from node.cli.turning import turn
    from node.documents.lines import encode_lines

    try:
        turned = turn(source, choices)
    except TallyError as error:
        count.wrong += 1
        session.out.error(error, where=source.path)
        return
    count.wrong += not turned.is_met
    count.checked += turned.is_checked
    for note in turned.notes:
        session.out.say(f"{source.path}: {note}")
    lines = encode_lines(turned.inputs)
    while part := list(islice(lines, _LINES_AT_ONCE)):
        count.inputs += len(part)
        session.out.answer(b"".join(part))
