"""`contract inputs`: documents of others as the inputs that a contract is run with."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ledger.errors import TallyError
from node.cli.arranging import Waiting, arrange
from node.cli.exits import ExitCode, UsageWrong
from node.cli.session import Needs, Session, command
from node.documents.kinds import Encoding, Kind

if TYPE_CHECKING:
    from node.cli.turning import Choices, Source, Turned

_ONLY: Final = {
    "rules": Kind.UBL,
    "role": Kind.UBL,
    "order": Kind.UBL,
    "keep_order": Kind.UBL,
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
_KeepOrder = Annotated[
    bool, typer.Option("--keep-order", help="ubl: documents as they are given. Default: by their dates.")
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
    keep_order: _KeepOrder = False,
    currency: _Currency = None,
    encoding: _Encoding = None,
    shipper: _Shipper = None,
    receiver: _Receiver = None,
    places: _Places = None,
    members: _Members = None,
) -> ExitCode:
    """Turn documents into inputs of a contract: one JSON object a line, UBL documents in the order of their dates.

    What cannot be read, or fails a rule that is fatal, is told of, and the exit code is 1; the others are written
    nevertheless. An option that only some kind has is refused where a PATH is of another.
    """
    from node.cli import turning

    sources = [turning.find_source(path, kind) for path in paths]
    given = {
        "rules": rules,
        "role": role,
        "order": order,
        "keep_order": keep_order or None,
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
        # UBL has one input a file, which waits for the others beside it; a path of another kind is in order already.
        for is_ubl, part in groupby(sources, key=lambda source: source.kind in (Kind.UBL, None)):
            if is_ubl and not keep_order:
                _write_arranged(session, [_turn(session, source, choices, count) for source in part])
                continue
            for source in part:
                _write(session, source, choices, count)
    checked = "" if rules is None else f", checked by the rules: {count.checked}"
    session.out.say(f"documents: {len(sources)}, inputs: {count.inputs}, wrong: {count.wrong}{checked}")
    return ExitCode.REFUSED if count.wrong else ExitCode.OK


def _refuse_strangers(sources: list[Source], given: set[str]) -> None:
    """Refuse an option that the kind of some source does not have. What has no kind is told of in its turn."""
    for name in (name for name in _ONLY if name in given):
        for source in sources:
            if source.kind not in (None, _ONLY[name]):
                option = f"--{name.replace('_', '-')} is an option of the kind {_ONLY[name]} alone"
                kinds = f"{option}, and {source.path} is {source.kind}"
                raise UsageWrong(reason=f"{kinds}: give kinds that differ in commands of their own")


def _write_arranged(session: Session, given: list[Waiting]) -> None:
    """Write UBL documents by their dates, and tell how many stand elsewhere than they were given."""
    arranged = arrange(given)
    moved = sum(one is not other for one, other in zip(given, arranged, strict=True))
    if moved:
        session.out.say(
            f"put in the order of their dates: {moved} documents (those of one day as given); --keep-order leaves all"
        )
    for one in arranged:
        if isinstance(one.line, TallyError):
            session.out.error(one.line, where=one.path)
        else:
            session.out.answer(one.line)


def _turn(session: Session, source: Source, choices: Choices, count: _Count) -> Waiting:
    """What a UBL document becomes, as text; what is odd with it is told."""
    from node.documents.lines import encode_lines

    turned = _read(session, source, choices, count)
    if isinstance(turned, TallyError):
        return Waiting(path=source.path, line=turned)
    (one,) = turned.inputs  # a document of UBL is one input
    count.inputs += 1
    (line,) = encode_lines([one])
    return Waiting(path=source.path, type=one["type"], time=one.get("time"), orders=turned.orders, line=line)


def _write(session: Session, source: Source, choices: Choices, count: _Count) -> None:
    """Write the inputs of one source, and tell what is odd or wrong with it."""
    from node.documents.lines import encode_lines

    turned = _read(session, source, choices, count)
    if isinstance(turned, TallyError):
        session.out.error(turned, where=source.path)
        return
    lines = encode_lines(turned.inputs)
    while part := list(islice(lines, _LINES_AT_ONCE)):
        count.inputs += len(part)
        session.out.answer(b"".join(part))


def _read(session: Session, source: Source, choices: Choices, count: _Count) -> Turned | TallyError:
    """Read a source and tell what is odd with it; or why it cannot be read."""
    from node.cli.turning import turn

    try:
        turned = turn(source, choices)
    except TallyError as error:
        count.wrong += 1
        return error
    count.wrong += not turned.is_met
    count.checked += turned.is_checked
    for note in turned.notes:
        session.out.say(f"{source.path}: {note}")
    return turned
