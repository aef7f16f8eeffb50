"""`contract`: agree with others on what is shared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import authoring, comparing, documents, linting, running
from node.cli.inputs import decode_text, find_contract, parse_parties, read_file, read_text
from node.cli.output import clean_json
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
    command(contract, "lint", needs=Needs.NOTHING)(linting.lint_file)
    documents.register(contract)
    command(contract, "new", needs=Needs.NOTHING)(authoring.new)
    command(contract, "test", needs=Needs.NOTHING)(authoring.try_cases)
    command(contract, "run", needs=Needs.NOTHING)(running.run)
    command(contract, "compare", needs=Needs.NOTHING)(comparing.compare)


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

    text = decode_text(source, read_file(source, bytes_max=limits.CONTRACT_BYTES_MAX))
    terms_text = b"{}" if terms is None else read_text(terms, bytes_max=limits.BODY_BYTES_MAX).strip()
    check_strict(terms_text)
    parties = parse_parties(party)
    # Put together as text, so that the numbers of the terms stay as they are written.
    body = b'{"source":%b,"terms":%b,"parties":%b}' % (encode_string(text), terms_text, _encode(parties))
    with session.client() as client:
        _tell(session, client.post("/contracts", body), "Proposed")


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
        found = client.decode(content)
    if session.as_json:
        session.out.answer(content)
        return
    session.out.table(
        ["contract", "title", "status", "waits for", "proposed by"],
        [
            (row["id"][:16], row["title"], row["status"], ", ".join(row["waiting_for"]) or None, row["proposer"])
            for row in found["contracts"]
        ],
    )
    if found["passed_over"]:
        names = ", ".join(found["passed_over"])
        session.out.say(f"More proposals of {names} wait: accept or decline some, and the next are taken up.")


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
        session.out.answer(content)
        return
    if source:
        session.out.lines(found["source"].rstrip("\n"))
        return
    session.out.pairs(
        {
            "contract": found["id"],
            "title": found["title"],
            "status": found["status"] + (f" by {found['ended_by']}" if found["ended_by"] else ""),
            "proposed by": found["proposer"],
            "waits for": ", ".join(found["waiting_for"]) or None,
            "terms": _terms(content),
            **_warning(found),
        }
    )
    session.out.line()
    session.out.table(["role", "members"], [(role, ", ".join(names)) for role, names in found["parties"].items()])
    session.out.line()
    session.out.table(["type", "filed by", "part", "read by"], list(_readings(found)))


# --- inside -------------------------------------------------------------------------


def _answer(session: Session, contract: str, verb: str, done: str) -> None:
    with session.client() as client:
        _tell(session, client.post(f"/contracts/{find_contract(client, contract)}/{verb}", b""), done)


def _tell(session: Session, answer: bytes, done: str) -> None:
    """Say what became of the contract that the node's answer describes."""
    if session.as_json:
        session.out.answer(answer)
        return
    found = json.loads(answer)
    waiting, status = ", ".join(found["waiting_for"]), found["status"]
    standing = f" It waits for {waiting}." if waiting else f" It is {status} now." * (status != done.lower())
    session.out.line(f"{done} {found['id']}.{standing}")


def _terms(content: bytes) -> str:
    """The terms in one line, every number's text as their proposer wrote it."""
    import msgspec

    terms = bytes(msgspec.json.decode(content, type=dict[str, msgspec.Raw])["terms"])
    return clean_json(msgspec.json.format(terms, indent=0).decode())


def _warning(found: dict[str, Any]) -> dict[str, str]:
    if not found["functions"]:
        return {}
    functions = ", ".join(found["functions"])
    return {"warning": f"it has code ({functions}), and this version runs none: it is never active here"}


def _readings(found: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Who may file each type, and who reads which part of it."""
    for kind, patterns in found["shares"].items():
        for pattern, roles in patterns.items():
            # Escaped as in the source: letters of two alphabets may look alike.
            part = ascii(pattern)[1:-1]
            yield kind, ", ".join(found["authors"].get(kind, ())), part, ", ".join(roles) or "the author alone"


def _encode(parties: dict[str, list[str]]) -> bytes:
    import msgspec

    return msgspec.json.encode(parties)
