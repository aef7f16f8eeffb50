"""`contract lint`, and what the commands that run a contract make of its findings.

Errors keep a contract from being run. Doubts do not: how many there are is said after the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import BadInput
from node.cli.exits import ExitCode
from node.cli.inputs import decode_text, read_file
from node.cli.output import count
from node.cli.session import Session

if TYPE_CHECKING:
    from contracts.source import Finding

NoLint = Annotated[bool, typer.Option("--no-lint", help="Run it also if lint refuses it; the sandbox holds it anyway.")]
_File = Annotated[Path, typer.Argument(help="Contract file (Python).", exists=True, dir_okay=False)]


class ContractUnsound(BadInput):
    code = "contract-unsound"
    template = "lint refuses {file}; errors: {count}, listed above"
    hint = "Correct them. With --no-lint it is run nevertheless, as far as it can be."


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A contract to be run. doubts: what lint finds that is no error; None where it was not to look."""

    file: Path
    text: str
    doubts: Sequence[Finding] | None

    def document(self) -> list[dict[str, Any]] | None:
        return None if self.doubts is None else _document(self.doubts)

    def tell(self, session: Session) -> None:
        """Say how many doubts there are, and what shows them."""
        if self.doubts:
            shows = "shows it" if len(self.doubts) == 1 else "shows them"
            said = f"lint has {count(len(self.doubts), 'doubt')} about {self.file}"
            session.out.say(f"{said}: `tally contract lint {self.file}` {shows}")


def lint_file(session: Session, source: _File) -> ExitCode:
    """Check a contract file: what is refused, and what is allowed but hardly meant. Runs nothing of it."""
    from contracts.source import format_finding, lint

    findings = lint(_read(source))
    errors = sum(finding.is_error for finding in findings)
    if session.as_json:
        session.out.emit(_document(findings))
    else:
        for finding in findings:
            session.out.line(format_finding(str(source), finding))
        session.out.say(f"{count(errors, 'error')}, {count(len(findings) - errors, 'doubt')}")
    return ExitCode.REFUSED if errors else ExitCode.OK


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
    return Linted(file=file, text=text, doubts=findings)


# --- inside -------------------------------------------------------------------------


def _read(file: Path) -> str:
    from ledger import limits

    return decode_text(file, read_file(file, bytes_max=limits.CONTRACT_BYTES_MAX))


def _document(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "line": finding.line,
            "code": finding.code,
            "message": finding.message,
            "instead": finding.instead,
            "is_error": finding.is_error,
        }
        for finding in findings
    ]
