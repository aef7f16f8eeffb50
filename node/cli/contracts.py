"""`contract`: agree with others on what is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import find_contract, list_contracts, parse_parties, read_file
from node.cli.session import Needs, Session, command

_Id = Annotated[str, typer.Argument(metavar="CONTRACT", help="Its id, or the first digits of it.")]
_Source = Annotated[Path, typer.Argument(help="Contract file (Python).", exists=True, dir_okay=False)]


def register(app: typer.Typer) -> None:
    contract = typer.Typer(help="Agree with other members on what is shared.")
    app.add_typer(contract, name="contract", rich_help_panel="Share")
    command(contract, "propose", needs=Needs.NODE)(propose)
    command(contract, "accept", needs=Needs.NODE)(accept)
    command(contract, "decline", needs=Needs.NODE)(decline)
    command(contract, "end", needs=Needs.NODE)(end)
    command(contract, "list", needs=Needs.NODE)(list_all)
    command(contract, "show", needs=Needs.NODE)(show)
    command(contract, "lint", needs=Needs.NOTHING)(lint_file)


def propose(
    session: Session,
    source: _Source,
    *,
    party: Annotated[list[str], typer.Option(help="role=member[,member]; once for every role.")],
    terms: Annotated[
        Path | None, typer.Option(help="JSON file with the terms. Default: none.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Propose a contract to its parties; it is active once all have accepted."""
    from ledger import limits
    from ledger.jsontext import check_strict, encode_string

    text = _decode(source, read_file(source, bytes_max=limits.CONTRACT_BYTES_MAX))
    terms_text = b"{}" if terms is None else read_file(terms, bytes_max=limits.BODY_BYTES_MAX).strip()
    check_strict(terms_text)
    parties = parse_parties(party)
    # Put together as text, so that the numbers of the terms stay as they are written.
    body = b'{"source":%b,"terms":%b,"parties":%b}' % (encode_string(text), terms_text, _encode(parties))
    with session.client() as client:
        answer = client.post("/contracts", body)
        _tell(session, answer, "Proposed", client.decode(answer))


def accept(session: Session, contract: _Id) -> None:
    """Accept a contract that another member proposed. Read it first (`tally contract show`)."""
    _answer(session, contract, "accept", "Accepted")


def decline(session: Session, contract: _Id) -> None:
    """Decline a proposed contract."""
    _answer(session, contract, "decline", "Declined")


def end(session: Session, contract: _Id) -> None:
    """End a contract by notice: nothing more is shared under it, what was shared stays."""
    _answer(session, contract, "end", "Ended")


def list_all(session: Session) -> None:
    """List the contracts that this member is a party to."""
    with session.client() as client:
        content = client.get("/contracts")
        if session.as_json:
            session.out.raw(content.rstrip(b"\n") + b"\n")
            return
        rows = list_contracts(client)
    session.out.table(
        ["contract", "title", "status", "waits for", "proposed by"],
        [
            (
                row["id"][:16],
                row.get("title"),
                row.get("status"),
                ", ".join(row.get("waiting_for") or ()),
                row.get("proposer"),
            )
            for row in rows
        ],
    )


def show(
    session: Session,
    contract: _Id,
    *,
    source: Annotated[bool, typer.Option("--source", help="Print the contract's source alone.")] = False,
) -> None:
    """Show a contract: parties, who has accepted, who reads what."""
    with session.client() as client:
        content = client.get(f"/contracts/{find_contract(client, contract)}")
        found = client.decode(content)
    if session.as_json:
        session.out.raw(content.rstrip(b"\n") + b"\n")
        return
    if source:
        session.out.line(found["source"].rstrip("\n"))
        return
    session.out.pairs(
        {
            "contract": found["id"],
            "title": found.get("title"),
            "status": found.get("status"),
            "proposed by": found.get("proposer"),
            "waits for": ", ".join(found.get("waiting_for") or ()) or None,
        }
    )
    session.out.line()
    session.out.table(["role", "members"], [(r, ", ".join(m)) for r, m in found.get("parties", {}).items()])
    _show_readings(session, found["source"])


def lint_file(session: Session, source: _Source) -> ExitCode:
    """Check a contract file: what is refused, and what is allowed but hardly meant. Runs nothing of it."""
    from contracts.source import format_finding, lint
    from ledger import limits

    findings = lint(_decode(source, read_file(source, bytes_max=limits.CONTRACT_BYTES_MAX)))
    if session.as_json:
        session.out.emit(
            [
                {
                    "line": finding.line,
                    "code": finding.code,
                    "message": finding.message,
                    "instead": finding.instead,
                    "is_error": finding.is_error,
                }
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            session.out.line(f"{source}: {format_finding(finding)}")
        session.out.say(f"{sum(f.is_error for f in findings)} errors, {sum(not f.is_error for f in findings)} doubts")
    return ExitCode.REFUSED if any(finding.is_error for finding in findings) else ExitCode.OK


# --- inside -------------------------------------------------------------------------


def _answer(session: Session, contract: str, verb: str, done: str) -> None:
    with session.client() as client:
        contract_id = find_contract(client, contract)
        answer = client.post(f"/contracts/{contract_id}/{verb}", b"")
        _tell(session, answer, done, {"id": contract_id, **(client.decode(answer) if answer else {})})


def _tell(session: Session, answer: bytes, done: str, found: dict[str, Any]) -> None:
    if session.as_json:
        session.out.raw((answer or b"{}").rstrip(b"\n") + b"\n")
        return
    waiting = ", ".join(found.get("waiting_for") or ())
    session.out.line(f"{done} {found.get('contract') or found['id']}." + (f" It waits for {waiting}." if waiting else ""))


def _show_readings(session: Session, source_text: str) -> None:
    """Who may file each type, and which parts of it each role reads."""
    from contracts.source import read_source

    source = read_source(source_text)
    session.out.line()
    session.out.table(
        ["type", "filed by", "part", "read by"],
        [
            (kind, ", ".join(sorted(source.authors.get(kind, ()))), pattern, ", ".join(sorted(roles)) or "the author")
            for kind, patterns in sorted(source.shares.items())
            for pattern, roles in patterns.items()
        ],
    )


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        raise UsageWrong(reason=f"{path} is not UTF-8") from cause


def _encode(parties: dict[str, list[str]]) -> bytes:
    import msgspec

    return msgspec.json.encode(parties)
