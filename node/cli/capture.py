"""`capture`: hand a file to the node - EPCIS documents whole, records line by line.

Whatever breaks while lines are sent, the same command with `--resume` goes on, and what the
node had made durable is recognised and not recorded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ledger import limits
from ledger.errors import Conflict, TallyError, Unavailable
from node.cli.captured import Tally, breaks_standard, report, tell_interruption
from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import find_contract, read_file
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.cli.client import NodeClient
    from node.cli.lines import Part

_KEY_USED: Final = "idempotency-conflict"
_NODE_STOPPED: Final = ("log-frozen", "head-moved")  # conflicts that no line brings about
_DOCUMENT: Final = "epcis/document"
_LOOK_LINES: Final = 200  # the first of a part: what was recorded before begins with them, those refused apart


class CapturedBefore(Conflict):
    code = "captured-before"
    template = "line {line} of this file was recorded before, as entry {index}"
    hint = "If an earlier run broke off, --resume goes on with it; what is there is not recorded twice."


class CapturedOtherwise(Conflict):
    code = "captured-otherwise"
    template = (
        "line {line} of this file was recorded before, as entry {index}, under another contract or role, or under none"
    )
    hint = (
        "It stays as it is and is not recorded again. Run it with the options of then and --resume to record the rest; "
        "to share the same once more, put the lines into another file: they become new records."
    )


class NotBegun(Conflict):
    code = "not-begun"
    template = "none of the first lines of this file was recorded before under this token"
    hint = (
        "A line is known by the token that it came with: go on with the token of then (--token, TALLY_TOKEN). "
        "If nothing of the file was recorded, leave out --resume."
    )


class AnswerCut(Unavailable):
    code = "answer-cut"
    template = "the node's answer ended before line {line}"
    hint = "Run the same command with --resume; what is there is not recorded twice."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the command line says of how to record."""

    contract: str | None
    role: str | None
    dry_run: bool
    resume: bool
    accept_invalid: bool


def register(app: typer.Typer) -> None:
    command(app, "capture", needs=Needs.NODE, panel="Share")(capture)


def capture(
    session: Session,
    file: Annotated[Path, typer.Argument(help="EPCIS 2.0 JSON, or NDJSON of records.", exists=True, dir_okay=False)],
    *,
    contract: Annotated[
        str | None, typer.Option(help="Share under this contract. Default: what the record says, else with nobody.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="File as this role of the contract.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, record nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an NDJSON file that broke off.")] = False,
    accept_invalid: Annotated[
        bool, typer.Option("--accept-invalid", help="Record events that break EPCIS 2.0, flagged with the complaint.")
    ] = False,
    errors: Annotated[
        Path | None, typer.Option(help="Write what was refused here: one JSON object a line.", dir_okay=False)
    ] = None,
) -> ExitCode:
    """Record the events of an EPCIS document, or the records of an NDJSON file.

    One event is one record. The same event again is reported and not recorded twice.
    """
    from node.cli.lines import is_lines

    found = Tally()
    with session.client() as client:
        wish = _Wish(
            contract=None if contract is None else find_contract(client, contract),
            role=role,
            dry_run=dry_run,
            resume=resume,
            accept_invalid=accept_invalid,
        )
        has_lines = is_lines(file)
        if contract is None:
            what = "records that name no contract go" if has_lines else "what is recorded goes"
            session.out.say(f"note: without --contract {what} to nobody else")
        try:
            try:
                capture_one = _capture_lines if has_lines else _capture_document
                capture_one(session, client, file, wish=wish, found=found)
            finally:
                # Also where it broke off: what was refused until then is worth knowing.
                report(session, found, errors, dry_run=dry_run)
        except (KeyboardInterrupt, Unavailable) as cause:
            done = found.recorded + found.repeated
            if not dry_run and (done or isinstance(cause, KeyboardInterrupt)):
                tell_interruption(session, done, has_lines=has_lines)
            raise
        if found.answer is not None and not accept_invalid and any(map(breaks_standard, found.refused)):
            session.out.say("--accept-invalid records also what breaks EPCIS 2.0, flagged with the complaint")
    if session.as_json and found.answer is not None:
        session.out.answer(found.answer)
    elif session.as_json:
        counts = {"recorded_lines": found.recorded, "repeated_lines": found.repeated}
        session.out.emit({**counts, "refused": found.refused, "dry_run": dry_run})
    return ExitCode.REFUSED if found.refused else ExitCode.OK


# --- documents ----------------------------------------------------------------------


def _capture_document(session: Session, client: NodeClient, file: Path, *, wish: _Wish, found: Tally) -> None:
    if wish.resume:
        raise UsageWrong(reason="--resume is for NDJSON; an EPCIS document can just be captured again")
    content = read_file(file, bytes_max=limits.EPCIS_FILE_BYTES_MAX + 3)
    session.out.say("checking and recording ...")
    answer = client.post(
        "/captures", content, contract=wish.contract, role=wish.role,
        dry_run=wish.dry_run or None, accept_invalid=wish.accept_invalid or None,
    )  # fmt: skip
    value = client.decode(answer)
    (found.recorded, new), (found.repeated, old) = map(_count, (value["recorded"], value["duplicates"]))
    found.documents, found.events_refused = (new, old), value["events_refused"]
    found.refused += [{"path": row["path"], "code": row["code"], "reason": row["message"]} for row in value["refused"]]
    found.more = value["refused_more"]
    found.answer = answer


def _count(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """How many events, and how many documents."""
    documents = sum(row["type"] == _DOCUMENT for row in rows)
    return len(rows) - documents, documents


# --- lines --------------------------------------------------------------------------


def _capture_lines(session: Session, client: NodeClient, file: Path, *, wish: _Wish, found: Tally) -> None:
    from node.cli.lines import hash_file, read_parts
    from node.cli.progress import Progress

    if wish.accept_invalid:
        raise UsageWrong(reason="--accept-invalid is for EPCIS documents, this file holds records")
    digest = hash_file(file)
    with file.open("rb") as stream, Progress(session.out, total_bytes=file.stat().st_size) as progress:
        for part in read_parts(stream):
            filled, key = _fill(part, wish, found), part.key(digest)
            if wish.resume and not wish.dry_run and not found.recorded + found.repeated:
                _check_begun(client, filled, key=key)
            _send(client, filled, found, wish=wish, key=key)
            progress.update(stream.tell(), found.recorded + found.repeated, len(found.refused))


def _fill(part: Part, wish: _Wish, found: Tally) -> list[tuple[int, bytes]]:
    """The lines as they are sent, with their numbers in the file."""
    from node.cli.lines import fill_in

    filled = []
    for number, line in zip(part.numbers, part.lines, strict=True):
        try:
            filled.append((number, fill_in(line, contract=wish.contract, role=wish.role)))
        except TallyError as cause:
            found.refused.append(_refused(number, cause))
            # An empty line stands in, so that the lines after it keep their places, and with them their keys.
            filled.append((number, b""))
    return filled


def _check_begun(client: NodeClient, filled: list[tuple[int, bytes]], *, key: str) -> None:
    """Raise NotBegun if lines would be recorded and none is known: under another token all of them would be new."""
    content = b"".join(line + b"\n" for _, line in filled[:_LOOK_LINES])
    results = [client.decode(text) for text in client.post_lines("/records", content, key=key, dry_run="true")]
    is_known = any("index" in result or "index" in result.get("problem", {}) for result in results)
    if any(result.get("dry_run") for result in results) and not is_known:
        raise NotBegun()


def _send(client: NodeClient, filled: list[tuple[int, bytes]], found: Tally, *, wish: _Wish, key: str) -> None:
    """Send one part and count what became of its lines.

    Raises: CapturedBefore, CapturedOtherwise, AnswerCut, and what stops the node.
    """
    from node.cli.client import refusal

    content = b"".join(line + b"\n" for _, line in filled)
    waiting = {place for place, (_, line) in enumerate(filled, 1) if line}
    lines = (
        client.post_lines("/records", content, key=None, dry_run="true")
        if wish.dry_run
        else client.post_lines("/records", content, key=key)
    )
    for text in lines:
        result = client.decode(text)
        is_of_line = result["line"] <= len(filled)
        if result["status"] >= 500 or not is_of_line or result.get("problem", {}).get("code") in _NODE_STOPPED:
            # Nothing is wrong with the line: the node cannot go on, and what follows would fail alike.
            raise refusal(result["problem"], result["status"])
        waiting.discard(result["line"])
        number = filled[result["line"] - 1][0]
        if result["status"] >= 400:
            problem = result["problem"]
            if problem.get("code") == _KEY_USED:
                # The key is ours, made of the file and the line: advice about keys is of no use to whoever reads it.
                raise CapturedOtherwise(line=number, index=problem.get("index"))
            found.refused.append({"line": number, "code": problem.get("code"), "reason": problem.get("detail")})
        elif result.get("repeated"):
            if not wish.resume and not found.recorded:
                raise CapturedBefore(line=number, index=result.get("index"))
            found.repeated += 1
        else:
            found.recorded += 1
    if waiting:
        raise AnswerCut(line=filled[min(waiting) - 1][0])


def _refused(number: int, cause: TallyError) -> dict[str, Any]:
    return {"line": number, "code": cause.code, "reason": str(cause)}
