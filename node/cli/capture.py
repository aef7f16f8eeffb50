"""`capture`: hand a file to the node - EPCIS documents whole, records line by line.

Lines go in parts that depend on nothing but the file, each under an idempotency key made of
the file's hash and the line it begins at. So whatever breaks, the same command with `--resume`
goes on, and what the node had made durable is recognised and not recorded twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from ledger import limits
from ledger.errors import Conflict, TallyError, TooLarge
from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import find_contract, read_file
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.cli.client import NodeClient
    from node.cli.progress import Progress

# Frozen: a part's key names the line it begins at, so other parts would be other keys and record a file again.
PART_LINES: Final = 1000
PART_BYTES: Final = 4 << 20
_BOM: Final = b"\xef\xbb\xbf"
_SHOWN: Final = 20  # refusals that are told on stderr; --errors has all


class CapturedBefore(Conflict):
    code = "captured-before"
    template = "line {line} of this file was recorded before, as entry {index}"
    hint = "If an earlier run broke off, --resume goes on with it; what is there is not recorded twice."


@dataclass(slots=True)
class Tally:
    """What became of a file's events or records. `refused`: one JSON object each, as --errors writes them."""

    recorded: int = 0
    repeated: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a file, without the blank ones. `numbers`: the line of the file (from 1) of each."""

    numbers: list[int]
    lines: list[bytes]


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
    with session.client() as client:
        contract_id = None if contract is None else find_contract(client, contract)
        if is_lines(file):
            if accept_invalid:
                raise UsageWrong(reason="--accept-invalid is for EPCIS documents, this file holds records")
            found = _capture_lines(session, client, file, _Filling(contract_id, role, dry_run, resume))
        else:
            if resume:
                raise UsageWrong(reason="--resume is for NDJSON; an EPCIS document can just be captured again")
            content = read_file(file, bytes_max=limits.EPCIS_FILE_BYTES_MAX)
            found = _capture_document(session, client, content, {
                "contract": contract_id, "role": role,
                "dry_run": dry_run or None, "accept_invalid": accept_invalid or None,
            })  # fmt: skip
    _report(session, found, errors, dry_run=dry_run)
    return ExitCode.REFUSED if found.refused else ExitCode.OK


def is_lines(file: Path) -> bool:
    """True if the file holds records, one a line: by its first line, whatever its name."""
    with file.open("rb") as stream:
        first = stream.readline(limits.LINE_BYTES_MAX + 1).removeprefix(_BOM)
        while first and not first.strip():
            first = stream.readline(limits.LINE_BYTES_MAX + 1)
    try:
        value = json.loads(first)
    except ValueError:
        return file.suffix in (".ndjson", ".jsonl")
    return isinstance(value, dict) and "body" in value and "type" in value


# --- documents ----------------------------------------------------------------------


def _capture_document(session: Session, client: NodeClient, content: bytes, params: dict[str, Any]) -> Tally:
    session.out.say("checking and recording ...")
    answer = client.post("/captures", content, **params)
    if session.as_json:
        session.out.raw(answer.rstrip(b"\n") + b"\n")
    value = client.decode(answer)
    refused = [
        {"path": row.get("path"), "code": row.get("code"), "reason": row.get("message")} for row in value["refused"]
    ]
    return Tally(recorded=len(value["recorded"]), repeated=len(value["duplicates"]), refused=refused)


# --- lines --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Filling:
    """What the command line adds to the records of a file, and how it sends them."""

    contract: str | None
    role: str | None
    dry_run: bool
    resume: bool


def _capture_lines(session: Session, client: NodeClient, file: Path, filling: _Filling) -> Tally:
    from node.cli.progress import Progress

    digest = hash_file(file)
    found = Tally()
    with file.open("rb") as stream, Progress(session.out, total_bytes=file.stat().st_size) as progress:
        for part in read_parts(stream):
            _send(client, part, filling, found, key=part_key(digest, part))
            progress.update(stream.tell(), found.recorded + found.repeated, len(found.refused))
    if session.as_json:
        session.out.emit(
            {
                "recorded": found.recorded,
                "repeated": found.repeated,
                "refused": found.refused,
                "dry_run": filling.dry_run,
            }
        )
    return found


def _send(client: NodeClient, part: Part, filling: _Filling, found: Tally, *, key: str) -> None:
    good: list[tuple[int, bytes]] = []
    for number, line in zip(part.numbers, part.lines, strict=True):
        try:
            good.append((number, fill_in(line, contract=filling.contract, role=filling.role)))
        except TallyError as cause:
            # Sent all the same, empty: the lines after it keep their numbers, and so their keys.
            found.refused.append({"line": number, "code": cause.code, "reason": str(cause)})
            good.append((0, b"{}"))
    content = b"".join(line + b"\n" for _, line in good)
    params = {"dry_run": "true"} if filling.dry_run else {}
    for text in client.post_lines("/records", content, key=None if filling.dry_run else key, **params):
        result = client.decode(text)
        number = good[result["line"] - 1][0]
        if not number:
            continue
        if result["status"] >= 400:
            problem = result["problem"]
            found.refused.append({"line": number, "code": problem.get("code"), "reason": problem.get("detail")})
        elif result.get("repeated"):
            if not filling.resume and not found.recorded:
                raise CapturedBefore(line=number, index=result.get("index"))
            found.repeated += 1
        else:
            found.recorded += 1


def read_parts(stream: BinaryIO) -> Iterator[Part]:
    """The lines of a file in parts; where a part ends depends on nothing but the bytes. A line too long is cut."""
    numbers: list[int] = []
    lines: list[bytes] = []
    length = 0
    for number, line in enumerate(_bounded_lines(stream), 1):
        line = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if not line:
            continue
        if lines and (len(lines) == PART_LINES or length + len(line) > PART_BYTES):
            yield Part(numbers, lines)
            numbers, lines, length = [], [], 0
        numbers.append(number)
        lines.append(line)
        length += len(line)
    if lines:
        yield Part(numbers, lines)


def _bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with at most one byte more than is allowed, so that a file without line ends costs no memory."""
    while line := stream.readline(limits.LINE_BYTES_MAX + 1):
        if not line.endswith(b"\n"):
            while (rest := stream.readline(limits.LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line


def fill_in(line: bytes, *, contract: str | None, role: str | None) -> bytes:
    """The record with contract and role of the command line where it names none; every other byte stays.

    Raises: TooLarge. What is malformed is sent as it is: the node says best what is wrong.
    """
    if len(line) > limits.LINE_BYTES_MAX:
        raise TooLarge(what="the line", got=len(line), limit=limits.LINE_BYTES_MAX, unit="bytes")
    wanted = {name: value for name, value in (("contract", contract), ("role", role)) if value is not None}
    if not wanted:
        return line
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict) or not record:
        return line
    added = {name: value for name, value in wanted.items() if name not in record}
    if not added:
        return line
    return json.dumps(added, separators=(",", ":")).encode()[:-1] + b"," + line[1:]


def part_key(digest: str, part: Part) -> str:
    """The idempotency key of a part: the node adds the number of each line in it."""
    return f"tally-capture-{digest}-{part.numbers[0]}"


def hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- telling ------------------------------------------------------------------------


def _report(session: Session, found: Tally, errors: Path | None, *, dry_run: bool) -> None:
    verb = "would be recorded" if dry_run else "recorded"
    session.out.say(
        f"{found.recorded} {verb}, {found.repeated} were there already, {len(found.refused)} refused"
    )
    for row in found.refused[:_SHOWN]:
        place = f"line {row['line']}" if "line" in row else row["path"]
        session.out.say(f"  {place}: {row['reason']} ({row['code']})")
    if len(found.refused) > _SHOWN:
        session.out.say(f"  ... and {len(found.refused) - _SHOWN} more" + ("" if errors else "; --errors has all"))
    if errors is not None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.refused)
        errors.write_bytes(text.encode("utf-8", "backslashreplace"))
