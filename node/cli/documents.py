"""`contract inputs`: documents of others as the inputs that a contract is run with."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.errors import TallyError
from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import read_file
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.documents.en16931 import Rules
    from node.documents.ubl import Input

_Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="UBL document in XML.", exists=True, dir_okay=False)]
_Rules = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Check invoices and credit notes by the rules of EN 16931 that were published in this folder.",
        exists=True,
        file_okay=False,
    ),
]
_Role = Annotated[str | None, typer.Option(help="Role of who files them. Default: by the kind of document.")]


def register(contract: typer.Typer) -> None:
    command(contract, "inputs", needs=Needs.NOTHING)(inputs)


def inputs(session: Session, files: _Files, *, rules: _Rules = None, role: _Role = None) -> ExitCode:
    """Turn UBL documents into inputs of a contract: one JSON object a line, in the order given.

    A document that cannot be read, or fails a rule that is fatal, is told of, and the exit code is 1; the others
    are written nevertheless.
    """
    wrong = 0
    with ExitStack() as stack:
        compiled = None if rules is None else stack.enter_context(_compile(rules))
        for file in files:
            try:
                wrong += not _turn(session, file, compiled, role)
            except TallyError as error:
                wrong += 1
                session.out.say(f"{file}: {error}")
                session.out.say(f"  code: {error.code}")
                session.out.say(f"  hint: {error.hint}")
    session.out.say(f"documents: {len(files)}, wrong: {wrong}")
    return ExitCode.REFUSED if wrong else ExitCode.OK


def _turn(session: Session, file: Path, rules: Rules | None, role: str | None) -> bool:
    """Write one document as an input; False if it fails a rule that is fatal."""
    from ledger import limits
    from node.documents.en16931 import CHECKED
    from node.documents.ubl import read

    content = read_file(file, bytes_max=limits.DOCUMENT_FILE_BYTES_MAX)
    found = read(content)
    for path, count in found.left_out.items():
        session.out.say(f"{file}: left out: {path}" + (f" ({count} times)" if count > 1 else ""))
    is_met = True
    if rules is not None and found.kind in CHECKED:
        is_met = _check(session, file, rules, content)
    session.out.raw(_line(found, file=file, content=content, role=role or found.role))
    return is_met


def _check(session: Session, file: Path, rules: Rules, content: bytes) -> bool:
    failures = rules.check(content)
    for failure in failures:
        session.out.say(f"{file}: {failure.rule} ({failure.flag}) at {failure.location}: {failure.text}")
    return not any(failure.is_fatal for failure in failures)


def _line(found: Input, *, file: Path, content: bytes, role: str) -> bytes:
    """Put together as text, so that every number of the body stays as it is."""
    from ledger.jsontext import encode_string

    head = {"type": found.type, "role": role} | ({} if found.time is None else {"time": found.time})
    members = [b'"%b":%b' % (name.encode(), encode_string(value)) for name, value in head.items()]
    # The file's name alone: the folders around it are nobody's business.
    name, digest = encode_string(_visible(file.name)), hashlib.sha256(content).hexdigest().encode()
    members += [b'"source":{"file":%b,"sha256":"%b"}' % (name, digest), b'"body":' + found.body]
    return b"{" + b",".join(members) + b"}\n"


def _visible(name: str) -> str:
    """A file name may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _compile(folder: Path) -> Rules:
    try:
        from node.documents.en16931 import Rules

        return Rules(folder)
    except TallyError as cause:
        wrong = UsageWrong(reason=str(cause))
        wrong.hint = cause.hint
        raise wrong from cause
