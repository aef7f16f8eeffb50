"""`contract run`: fold a stream of inputs, and tell what came of it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from contracts import limits
from node.cli.authoring import Contract, describe, open_engine, read_terms, say_hints
from node.cli.exits import UsageWrong
from node.cli.lines import read_parts
from node.cli.linting import NoLint, read_contract
from node.cli.output import count, format_name
from node.cli.progress import Progress
from node.cli.session import Session
from node.cli.unmet import tell_unmet, unmet_document

if TYPE_CHECKING:
    from contracts.disclosing import Readers
    from contracts.streaming import Line, Run

SHOWN: Final = 20
"""Lines of one kind that people are shown; the others are counted, and `--json` has them all."""

Inputs = Annotated[Path, typer.Option(help="Inputs, one JSON object a line; - is stdin.")]
Terms = Annotated[
    Path | None, typer.Option(help="JSON file with the terms. Default: none.", exists=True, dir_okay=False)
]


def run(
    session: Session,
    file: Contract,
    *,
    inputs: Inputs,
    terms: Terms = None,
    save: Annotated[Path | None, typer.Option(help="Write every case's state here, one a line.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write every case's summary here, a row of CSV: what is owed, held back ...")
    ] = None,
    readers: Annotated[
        bool, typer.Option("--readers", help="Tell of every input which roles read each of its fields.")
    ] = False,
    batch: Annotated[
        int, typer.Option(help="Inputs that share an instance.", min=1, max=limits.BATCH_INPUTS_MAX)
    ] = limits.BATCH_INPUTS_MAX,
    no_lint: NoLint = False,
) -> None:
    """Run a contract on a stream of inputs: what is applied, what is rejected and why, and the states' hash."""
    from contracts.disclosing import find_readers
    from contracts.folding import Fold
    from contracts.streaming import Run, SummaryMissing, batches, encode_states, tabulate
    from contracts.unmet import Meeting

    _check_written([save, table], read=[file, inputs, terms])
    linted = read_contract(session, file, no_lint=no_lint)
    checked = read_terms(session, terms, file)
    with open_engine(session) as engine, open_inputs(inputs) as (stream, name, total):
        done = Run(Fold(engine, linted.text, checked, batch_inputs=batch), name)
        if table is not None and "summary" not in done.fold.source.functions:
            raise SummaryMissing
        engine.start()
        meeting = Meeting(linted.text)
        files: dict[int, str] = {}
        found: list[Readers] | None = [] if readers else None
        with Progress(session.out, total_bytes=total) as progress:
            read = 0
            for part in batches(read_lines(stream)):
                before = len(done.rejected)
                rows = done.add(part)
                if found is not None:
                    found += [find_readers(line, one, filed.rules) for line, one, filed in rows]
                meeting.add(one for _, one, _ in rows)
                texts = dict(part)
                files.update((one.line, _file_of(texts[one.line])) for one in done.rejected[before:])
                read += sum(len(line) + 1 for _, line in part)
                progress.update(read, done.applied, len(done.rejected))
        if save is not None:
            _write(save, (line + b"\n" for line in encode_states(done.fold)))
        if table is not None:
            _write(table, _csv(_counted(tabulate(done.fold), session)))
    if session.as_json:
        more = {
            "readers": _readers_document(found),
            "unmet": unmet_document(meeting.unmet()),
            "doubts": linted.document(),
        }
        session.out.emit({**_document(done, files), **more})
    else:
        _tell_readers(session, found or ())
        _tell(session, done, files)
        for path, what in ((save, "states"), (table, "summaries")):
            if path is not None:
                session.out.say(f"Wrote the {what} to {path}.")
        say_hints(session, (one.reason for one in done.rejected))
        tell_unmet(session, file, meeting.unmet(), what="inputs")
        linted.tell(session)


@contextmanager
def open_inputs(path: Path) -> Iterator[tuple[BinaryIO, str, int | None]]:
    """The stream, its name for messages, and its length where there is one."""
    if str(path) == "-":
        yield sys.stdin.buffer, "stdin", None
        return
    with path.open("rb") as stream:
        yield stream, str(path), path.stat().st_size if path.is_file() else None


def read_lines(stream: BinaryIO) -> Iterator[Line]:
    """Lines that are not blank, with their numbers from 1."""
    for part in read_parts(stream):
        yield from zip(part.numbers, part.lines, strict=True)


# --- inside -------------------------------------------------------------------------


def _check_written(paths: Sequence[Path | None], *, read: Sequence[Path | None]) -> None:
    taken = {path.resolve() for path in read if path is not None}
    for path in paths:
        if str(path) == "-":
            raise UsageWrong(reason="what is written has the name of a file, and not -")
        if path is not None and path.resolve() in taken:
            raise UsageWrong(reason=f"it would write over {path}, which is read or written here")
        if path is not None and path.is_dir():
            raise UsageWrong(reason=f"{path} is a folder: name a file in it")
        if path is not None and not path.parent.is_dir():
            raise UsageWrong(reason=f"there is no folder {path.parent} to write {path.name} into: make it first")
        taken |= set() if path is None else {path.resolve()}


def _counted(rows: Iterable[list[str]], session: Session) -> Iterator[list[str]]:
    """The rows; then it is said of how many cases there is no summary, which the last column tells of each."""
    failed = -1  # the heading has a text there, too
    for row in rows:
        failed += bool(row[-1])
        yield row
    if failed > 0:
        session.out.say(f"summary failed for {count(failed, 'case')}: the last column of the table says why")


def _csv(rows: Iterable[list[str]]) -> Iterator[bytes]:
    made = io.StringIO()
    for row in rows:
        csv.writer(made).writerow(row)
        yield made.getvalue().encode()
        made.seek(0)
        made.truncate()


def _write(path: Path, lines: Iterable[bytes]) -> None:
    part = path.with_name(f".{path.name}.part")  # so that half a file is never taken for the whole
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:  # not through a link that somebody laid there
            file.writelines(lines)
        part.replace(path)
    except OSError as cause:  # that there is no room is said without a name
        raise OSError(cause.errno, cause.strerror, str(path)) from cause
    finally:
        part.unlink(missing_ok=True)


def _file_of(line: bytes) -> str:
    """The file that an input was made of by `contract inputs`; empty where it was made otherwise."""
    from ledger.errors import TallyError
    from ledger.jsontext import members, parse

    try:
        source = parse(members(line).get("source", b"null"))
    except TallyError:
        return ""
    name = source.get("file") if isinstance(source, dict) else None
    return name if isinstance(name, str) else ""


def _document(done: Run, files: Mapping[int, str]) -> dict[str, Any]:
    from contracts.wording import reason_document

    return {
        "inputs": done.applied + len(done.rejected),
        "applied": done.applied,
        "rejected": [
            {
                "line": one.line,
                "file": files[one.line] or None,
                "case": one.case,
                "function": one.function,
                "reason": reason_document(one.reason),
            }
            for one in done.rejected
        ],
        "cases": len(done.fold.states),
        "states_hash": done.fold.states_hash().hex(),
        "fuel": {"total": done.fuel, "most": done.fuel_most},
    }


def _readers_document(found: Sequence[Readers] | None) -> list[dict[str, Any]] | None:
    if found is None:
        return None
    return [
        {
            "line": one.line,
            "type": one.type,
            "fields": None
            if one.fields is None
            else [{"name": name, "roles": [*roles]} for name, roles in one.fields.items()],
        }
        for one in found
    ]


def _tell_readers(session: Session, found: Sequence[Readers]) -> None:
    for one in found:
        session.out.line(f"inputs line {one.line}, {one.type}")
        if one.fields is None:
            session.out.line("  nobody reads it: no node would record it")
        names = {name: format_name(name) for name in one.fields or ()}
        width = max(map(len, names.values()), default=0)
        for name, roles in (one.fields or {}).items():
            session.out.line(f"  {names[name]:<{width}}  {', '.join(roles) or 'its author alone'}")


def _tell(session: Session, done: Run, files: Mapping[int, str]) -> None:
    for one in done.rejected[:SHOWN]:
        case = "" if one.case is None else f" {one.case}:"
        file = f" ({files[one.line]})" if files[one.line] else ""
        why = describe(one.reason, one.function, done.fold.source.answers)
        session.out.line(f"inputs line {one.line}{file}:{case} {why}")
    if len(done.rejected) > SHOWN:
        session.out.line(f"... and {len(done.rejected) - SHOWN} more; --json lists all. By the place that rejected:")
        for reason, times in done.reasons()[:SHOWN]:
            session.out.line(f"{times:>8}  such as: {reason}")
    session.out.pairs(
        {
            "applied": done.applied,
            "rejected": len(done.rejected),
            "cases": len(done.fold.states),
            "states hash": done.fold.states_hash().hex(),
            "fuel": f"{done.fuel} in all, at most {done.fuel_most} for one input",
        }
    )
