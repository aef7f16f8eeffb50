"""`contract new` and `contract test`: begin a contract from a template, and try it on its cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ledger.errors import Conflict
from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import read_text
from node.cli.linting import SCHEMA, Linted, NoLint, beside, read_contract
from node.cli.output import count
from node.cli.session import Session
from node.cli.unmet import tell_unmet, unmet_document

if TYPE_CHECKING:
    from contracts.cases import Failure
    from contracts.engine import Engine, Reason

CASES: Final = ".cases.json"
TERMS: Final = ".terms.json"
_CONVERTED: Final = {
    "purchase": "UBL documents, or of tables of purchases",
    "receivable": "UBL documents",
    "cold_chain": "delivery histories",
    "custody": "EPCIS events",
}
"""Template -> what there is a converter for; whoever begins with another writes the inputs, or has records."""
_PARTS: Final = (".py", SCHEMA, CASES)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")

Contract = Annotated[Path, typer.Argument(metavar="FILE", help="Contract file (Python).", exists=True, dir_okay=False)]


class FileThere(Conflict):
    code = "file-there"
    template = "{path} is there already"
    hint = "Nothing was written. Take another name, or move the file away."


def new(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the new contract's files.")] = None,
    *,
    template: Annotated[str | None, typer.Option("--from", help="Template to begin with; --list names them.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
) -> None:
    """Begin a contract: copy a template, its terms' schema and its cases into the current folder."""
    titles = _templates()
    if show:
        _list(session, titles)
        return
    if name is None:
        raise UsageWrong(reason="the name of the new contract is missing: tally contract new NAME --from TEMPLATE")
    if not _NAME.match(name):
        raise UsageWrong(reason=f"{name!r} is no plain name: letters a-z and A-Z, digits, _ and -, and no ending")
    if template not in titles:
        for known, title in titles.items():
            session.out.say(f"{known}: {title}")
        what = "--from names no template" if template is None else f"there is no template {template!r}"
        raise UsageWrong(reason=f"{what}; there are {', '.join(titles)}")
    written = _copy(template, name)
    if session.as_json:
        session.out.emit({"files": [str(path) for path in written], "template": template})
        return
    for path in written:
        session.out.line(f"Wrote {path}.")
    terms = f" --terms {name}{TERMS}" if Path(name + TERMS) in written else ""
    run = f"`tally contract run {name}.py --inputs FILE.ndjson{terms}`"
    steps = f"`tally contract lint {name}.py`, `tally contract test {name}.py`, {run}"
    session.out.say(f"Change {name}.py to what you agreed; then {steps}.")
    made = _CONVERTED.get(template)
    how = (
        f"the steps of {name}{CASES} show what it holds"
        if made is None
        else f"`tally contract inputs` makes it of {made}"
    )
    session.out.say(f"FILE.ndjson has one input a line: {how}.")


def try_cases(
    session: Session,
    file: Contract,
    *,
    cases: Annotated[
        Path | None,
        typer.Option(help="File of cases. Default: NAME.cases.json beside FILE.", exists=True, dir_okay=False),
    ] = None,
    no_lint: NoLint = False,
) -> ExitCode:
    """Run the cases of a contract in the engine, and tell what came out otherwise than expected."""
    from contracts import limits
    from contracts.casefile import read_cases
    from contracts.cases import run_case
    from contracts.source import read_source
    from contracts.unmet import Meeting
    from node.terms import check_terms

    linted = read_contract(session, file, no_lint=no_lint)
    path = beside(file, CASES) if cases is None else cases
    if not path.is_file() and cases is None:
        raise UsageWrong(
            reason=f"there is no {path} beside the contract: write its cases there, or name them by --cases"
        )
    source = read_source(linted.text)
    found = read_cases(read_text(path, bytes_max=limits.CASES_BYTES_MAX), source, name=str(path))
    schema = read_schema(file)
    for case in found:
        check_terms(case.terms, schema, where=f"{path}: {case.where}: terms", schema_name=str(beside(file, SCHEMA)))
    meeting = Meeting(linted.text)
    results: list[tuple[str, list[Failure]]] = []
    with open_engine(session) as engine:
        for case in found:
            failures = run_case(engine, linted.text, case)
            results.append((case.name, failures))
            meeting.add(step.one for step in case.steps)
            if not session.as_json:
                _tell_case(session, case.name, failures, source.answers)
    failed = sum(bool(failures) for _, failures in results)
    if session.as_json:
        session.out.emit({**_document(results, linted), "unmet": unmet_document(meeting.unmet())})
    else:
        session.out.say(f"{count(len(results) - failed, 'case')} ok, {failed} failed")
        reasons = [failure.reason for _, failures in results for failure in failures]
        say_hints(session, reasons)
        say_lacking(session, linted.text, reasons, f"write it into the `terms` of {path}")
        tell_unmet(session, file, meeting.unmet(), what="cases")
        linted.tell(session)
    return ExitCode.REFUSED if failed else ExitCode.OK


# --- what the commands of authors share ---------------------------------------------


def read_terms(session: Session, terms: Path | None, contract: Path) -> bytes:
    """The terms in a file, or none, checked against the schema beside the contract, if there is one.

    Raises: TermsWrong, SchemaWrong.
    """
    from ledger import limits
    from node.terms import TermsWrong, check_terms

    found = b"{}" if terms is None else read_text(terms, bytes_max=limits.BODY_BYTES_MAX).strip()
    where = "terms" if terms is None else str(terms)
    schema = read_schema(contract)
    if terms is not None and schema is None:
        session.out.say(f"there is no {beside(contract, '.schema.json')}: the terms are not checked")
    try:
        check_terms(found, schema, where=where, schema_name=str(beside(contract, SCHEMA)))
    except TermsWrong as wrong:
        if terms is None:
            wrong.hint = f"--terms names the file of the terms that the contract wants. {wrong.hint}"
        raise
    return found


def read_schema(contract: Path) -> bytes | None:
    from ledger import limits

    path = beside(contract, SCHEMA)
    return read_text(path, bytes_max=limits.BODY_BYTES_MAX) if path.is_file() else None


def describe(reason: Reason, function: str | None = None, answers: Mapping[str, int] | None = None) -> str:
    """A reason in one line, with the lines of the contract where it arose. function: what was asked.

    answers: as of `Source`.
    """
    from contracts.wording import describe_calls, describe_reason

    calls = describe_calls(reason, function, answers)
    return describe_reason(reason) + (f" ({calls})" if calls else "")


def say_hints(session: Session, reasons: Iterable[Reason | None]) -> None:
    """Say of every limit that ended something, once, how far it reaches and where to look."""
    from contracts.wording import find_hint

    hints = dict.fromkeys(find_hint(reason) for reason in reasons if reason is not None)
    for hint in filter(None, hints):
        session.out.say(f"hint: {hint}")


def say_lacking(session: Session, text: str, reasons: Iterable[Reason | None], do: str) -> None:
    """Say what the contract asked of its terms, if they lack it, and what to do. text: of the contract."""
    from contracts.source.asked import find_terms_lines
    from contracts.wording import find_lacking

    lacking = find_lacking(reasons, find_terms_lines(text))
    if lacking is not None:
        session.out.say(f"hint: {do}: the contract asks for terms[{lacking}]")


def lacking_terms(terms: Path | None) -> str:
    """What to do where a contract asks for what the terms of that file lack."""
    return "give --terms FILE" if terms is None else f"write it into {terms}"


@contextmanager
def open_engine(session: Session) -> Iterator[Engine]:
    """The engine. Raises: as it does; a contract that is stopped while it is loaded is told by which limit."""
    from contracts.engine import ContractNotRunnable, Engine, Reason
    from contracts.wording import find_hint

    try:
        with Engine(tell=session.out.say) as engine:
            yield engine
    except ContractNotRunnable as wrong:
        trap = Reason(kind="trap", message=str(wrong.fields["reason"]))
        wrong.hint = find_hint(trap, is_loading=True) or wrong.hint
        raise


# --- inside -------------------------------------------------------------------------


def _library() -> Path:
    import contracts

    return Path(contracts.__path__[0]) / "library"


def _templates() -> dict[str, str]:
    """Name -> title."""
    from contracts.source import read_source

    paths = sorted(path for path in _library().glob("*.py") if not path.name.startswith("_"))
    return {path.stem: read_source(path.read_text(encoding="utf-8")).title for path in paths}


def _list(session: Session, titles: Mapping[str, str]) -> None:
    if session.as_json:
        session.out.emit([{"name": name, "title": title} for name, title in titles.items()])
    else:
        session.out.table(["template", "title"], titles.items())


def _copy(template: str, name: str) -> list[Path]:
    from ledger.jsontext import members

    found = {Path(name + part): (_library() / (template + part)).read_bytes() for part in _PARTS}
    terms = members(found[Path(name + CASES)]).get("terms", b"{}")
    if terms != b"{}":  # those of its worked example, to be changed
        found[Path(name + TERMS)] = terms + b"\n"
    for path in (*found, Path(name + TERMS)):
        if path.exists() or path.is_symlink():
            raise FileThere(path=path)
    for path, content in found.items():
        with path.open("xb") as file:
            file.write(content)
    return list(found)


def _tell_case(session: Session, name: str, failures: list[Failure], answers: Mapping[str, int]) -> None:
    from contracts.wording import describe_calls

    session.out.line(f"{'FAILED' if failures else 'ok    '}  {name}")
    for failure in failures:
        calls = describe_calls(failure.reason, failure.function, answers) if failure.reason else ""
        session.out.line(f"        {failure.where}: expected {failure.expected}")
        session.out.line(f"        {' ' * len(failure.where)}       got {failure.got}{f' ({calls})' if calls else ''}")


def _document(results: list[tuple[str, list[Failure]]], linted: Linted) -> dict[str, Any]:
    from contracts.wording import reason_document

    failed = sum(bool(failures) for _, failures in results)
    return {
        "ok": len(results) - failed,
        "failed": failed,
        "cases": [
            {
                "name": name,
                "ok": not failures,
                "failures": [
                    {
                        "where": failure.where,
                        "expected": failure.expected,
                        "got": failure.got,
                        "function": failure.function,
                        "reason": reason_document(failure.reason),
                    }
                    for failure in failures
                ],
            }
            for name, failures in results
        ],
        "doubts": linted.document(),
    }
