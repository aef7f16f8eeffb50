"""`contract run`: fold a stream of inputs, and tell what came of it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from contracts import limits
from node.cli.authoring import Contract, describe, lacking_terms, open_engine, read_terms, say_hints, say_lacking
from node.cli.exits import UsageWrong
from node.cli.lines import read_parts
from node.cli.linting import Linted, NoLint, read_contract
from node.cli.output import clean_json, count
from node.cli.progress import Progress
from node.cli.readers import Kept
from node.cli.session import Session
from node.cli.unmet import tell_unmet, unmet_document

if TYPE_CHECKING:
    from contracts.engine import Reason
    from contracts.streaming import Line, Run
    from contracts.unmet import Meeting

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
    from contracts.engine import Reason
    from contracts.folding import Fold
    from contracts.streaming import Run, SummaryMissing, encode_states, summarise, tabulate
    from contracts.unmet import Meeting

    _check_written([save, table], read=[file, inputs, terms])
    linted = read_contract(session, file, no_lint=no_lint)
    checked = read_terms(session, terms, file)
    with ExitStack() as stack, open_engine(session) as engine, open_inputs(inputs) as (stream, name, total):
        done = Run(Fold(engine, linted.text, checked, batch_inputs=batch), name)
        if table is not None and "summary" not in done.fold.source.functions:
            raise SummaryMissing
        engine.start()
        meeting = Meeting(linted.text)
        kept = stack.enter_context(Kept(as_json=session.as_json)) if readers else None
        with Progress(session.out, total_bytes=total) as progress:
            files = _fold(done, stream, meeting=meeting, kept=kept, progress=progress)
        summaries = summarise(done.fold)
        if save is not None:
            _write(save, (line + b"\n" for line in encode_states(done.fold, summaries)))
        if table is not None:
            _write(table, _csv(tabulate(done.fold, summaries)))
        refused = {case: row for case, row in summaries.items() if isinstance(row, Reason)}
        if session.as_json:
            _emit(session, {**_document(done, files, refused), **_more(meeting, linted)}, kept)
            return
        for chunk in kept.parts() if kept is not None else ():
            session.out.raw(chunk)
    _tell(session, done, files)
    for path, what in ((save, "states"), (table, "summaries")):
        if path is not None:
            session.out.say(f"Wrote the {what} to {path}.")
    _tell_refused(session, done, refused, has_table=table is not None)
    reasons = (*(one.reason for one in done.rejected), *refused.values())
    say_hints(session, reasons)
    say_lacking(session, linted.text, reasons, lacking_terms(terms))
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


def _fold(done: Run, stream: BinaryIO, *, meeting: Meeting, kept: Kept | None, progress: Progress) -> dict[int, str]:
    """Fold the whole stream; of each line that was rejected, the file that it was made of."""
    from contracts.disclosing import find_readers
    from contracts.streaming import batches

    files: dict[int, str] = {}
    read = 0
    for part in batches(read_lines(stream)):
        before = len(done.rejected)
        rows = done.add(part)
        if kept is not None:
            kept.add(find_readers(line, one, filed.rules) for line, one, filed in rows)
        meeting.add(one for _, one, _ in rows)
        texts = dict(part)
        files.update((one.line, _file_of(texts[one.line])) for one in done.rejected[before:])
        read += sum(len(line) + 1 for _, line in part)
        progress.update(read, done.applied, len(done.rejected))
    return files


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


def _document(done: Run, files: Mapping[int, str], refused: Mapping[str, Reason]) -> dict[str, Any]:
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
        "summaries_refused": [{"case": case, "reason": reason_document(why)} for case, why in refused.items()],
        "states_hash": done.fold.states_hash().hex(),
        "fuel": {"total": done.fuel, "most": done.fuel_most},
    }


def _more(meeting: Meeting, linted: Linted) -> dict[str, Any]:
    return {"unmet": unmet_document(meeting.unmet()), "doubts": linted.document()}


def _emit(session: Session, document: Mapping[str, Any], kept: Kept | None) -> None:
    """The document, with what was kept of readers as its last member, part by part."""
    if kept is None:
        session.out.emit({**document, "readers": None})
        return
    text = clean_json(json.dumps(document, ensure_ascii=False))
    session.out.raw(text[:-1].encode("utf-8", "backslashreplace") + b', "readers": [')
    for part in kept.parts():
        session.out.raw(part)
    session.out.raw(b"]}\n")


def _tell_refused(session: Session, done: Run, refused: Mapping[str, Reason], *, has_table: bool) -> None:
    """Say of how many cases there is no summary, and why of the first."""
    for case, reason in islice(refused.items(), 1):
        first = f"{case}: {describe(reason, 'summary', done.fold.source.answers)}"
        more = "; the last column of the table says why" if has_table else ""
        session.out.say(f"summary failed for {count(len(refused), 'case')}, the first of them {first}{more}")


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
