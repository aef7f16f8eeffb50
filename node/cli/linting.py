"""`contract lint`, and what the commands that run a contract make of its findings.

Errors keep a contract from being run. Doubts do not: how many there are is said after the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ledger.errors import BadInput
from node.cli.exits import ExitCode
from node.cli.inputs import decode_text, read_file, read_text
from node.cli.output import count
from node.cli.session import Session

if TYPE_CHECKING:
    from contracts.source import Finding

NoLint = Annotated[bool, typer.Option("--no-lint", help="Run it also if lint refuses it; the sandbox holds it anyway.")]
_File = Annotated[Path, typer.Argument(help="Contract file (Python).", exists=True, dir_okay=False)]

SCHEMA: Final = ".schema.json"
"""Ending of the schema of a contract's terms, which lies beside it."""


class ContractUnsound(BadInput):
    code = "contract-unsound"
    template = "lint refuses {file}; errors: {count}, listed above"
    hint = "Correct them. With --no-lint it is run nevertheless, as far as it can be."


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A contract to be run. doubts: what lint finds that is no error; None where it was not to look.

    of_schema: the same about the schema beside it.
    """

    file: Path
    text: str
    doubts: Sequence[Finding] | None
    of_schema: Sequence[Finding] = ()

    def document(self) -> list[dict[str, Any]] | None:
        if self.doubts is None:
            return None
        return _document(self.doubts) + _document(self.of_schema, file=beside(self.file, SCHEMA))

    def tell(self, session: Session) -> None:
        """Say how many doubts there are, and what shows them."""
        doubts = len(self.doubts or ()) + len(self.of_schema)
        if doubts:
            shows = "shows it" if doubts == 1 else "shows them"
            said = f"lint has {count(doubts, 'doubt')} about {self.file}"
            session.out.say(f"{said}: `tally contract lint {self.file}` {shows}")


def lint_file(session: Session, source: _File) -> ExitCode:
    """Check a contract file: what is refused, and what is allowed but hardly meant. Runs nothing of it."""
    from contracts.source import format_finding, lint

    text = _read(source)
    of_schema, schema = _lint_schema(source, text), beside(source, SCHEMA)
    findings = [*lint(text), *of_schema]
    errors = sum(finding.is_error for finding in findings)
    if session.as_json:
        session.out.emit(_document(findings[: len(findings) - len(of_schema)]) + _document(of_schema, file=schema))
    else:
        for finding in findings[: len(findings) - len(of_schema)]:
            session.out.line(format_finding(str(source), finding))
        for finding in of_schema:
            session.out.line(format_finding(str(schema), finding))
        session.out.say(f"{count(errors, 'error')}, {count(len(findings) - errors, 'doubt')}")
    return ExitCode.REFUSED if errors else ExitCode.OK


def beside(contract: Path, ending: str) -> Path:
    return contract.with_name(contract.name.removesuffix(".py") + ending)


def read_contract(session: Session, file: Path, *, no_lint: bool) -> Linted:
    """A contract, linted first. Raises: ContractUnsound, TooLarge, UsageWrong."""
    from contracts.source import format_finding, lint

    text = _read(file)
    if no_lint:
        return Linted(file=file, text=text, doubts=None)
    findings = lint(text)
    errors = [finding for finding in findings if finding.is_error]
    for finding in errors:
        session.out.say(format_finding(str(file), finding))
    if errors:
        raise ContractUnsound(file=file, count=len(errors))
    of_schema = [
        finding for finding in _lint_schema(file, text) if not finding.is_error
    ]  # errors: by the check of terms
    return Linted(file=file, text=text, doubts=findings, of_schema=of_schema)


# --- inside -------------------------------------------------------------------------


def _read(file: Path) -> str:
    from ledger import limits

    return decode_text(file, read_file(file, bytes_max=limits.CONTRACT_BYTES_MAX))


def _lint_schema(source: Path, text: str) -> list[Finding]:
    """Findings of the schema beside a contract; none where there is no schema."""
    from ledger import limits
    from node.terms import lint_schema

    path = beside(source, SCHEMA)
    if not path.is_file():
        return []
    return lint_schema(read_text(path, bytes_max=limits.BODY_BYTES_MAX), text, name=str(path))


def _document(findings: Sequence[Finding], *, file: Path | None = None) -> list[dict[str, Any]]:
    """file: that of the schema, where they are findings of it."""
    return [
        {
            "file": None if file is None else str(file),
            "line": finding.line,
            "code": finding.code,
            "message": finding.message,
            "instead": finding.instead,
            "is_error": finding.is_error,
        }
        for finding in findings
    ]
