"""`receipt`, `verify`: proofs of single records to hand out, and what others hand in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import typer

from ledger.errors import BadInput, TallyError
from node.cli.exits import ExitCode, UsageWrong
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from ledger.evidence import Finding
    from ledger.receipt import Proved
    from node.cli.trust import Trust


class ByteOrderMark(BadInput):
    code = "byte-order-mark"
    template = "it starts with a byte order mark, which a program put there: remove its first three bytes, EF BB BF"
    hint = "Receipts and evidence are exact bytes: copy them as files, or ask for the file as it was made."


class FieldWithoutSlash(UsageWrong):
    code = "field-without-slash"
    template = "--field {field} names no field: its name is a path into the body, /{field}"
    hint = "A name begins with a slash, as `records show --json` and the contract's patterns have it: --field /NAME."


def register(app: typer.Typer) -> None:
    command(app, "receipt", needs=Needs.NODE, panel="Prove")(receipt)
    command(app, "verify", needs=Needs.NOTHING, panel="Prove")(verify)


def receipt(
    session: Session,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id, or log/index such as fishery/12.")],
    *,
    field: Annotated[
        list[str] | None, typer.Option(help="A field to disclose, such as /quantity; may be given again.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it. Default: stdout.")] = None,
) -> None:
    """Make a receipt of a record, with the fields that it is to show: one file that anyone verifies offline.

    What is not named stays unseen, also to whoever gets the receipt.
    """
    from node.cli.records import place_of

    for name in field or ():
        if not name.startswith("/"):
            raise FieldWithoutSlash(field=name)
    with session.client() as client:
        log, index = place_of(client, record)
        content = client.get(f"/records/{log}/{index}/receipt", fields=field or None)
    _tell_missing(session, content)
    if output is None:
        session.out.raw(content)
        return
    output.write_bytes(content)
    if session.as_json:
        session.out.emit({"file": str(output), "bytes": len(content)})
        return
    session.out.line(f"Wrote {output}. Whoever gets it runs: tally verify {output} --trust FINGERPRINT")


def verify(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A receipt, or a piece of evidence.", exists=True, dir_okay=False)],
    *,
    trust: Annotated[
        str | None,
        typer.Option(metavar="CHARTER|FINGERPRINT", help="The network that you trust: its fingerprint or its file."),
    ] = None,
    witnesses: Annotated[int, typer.Option(min=0, help="Members other than the author that must have cosigned.")] = 1,
) -> ExitCode:
    """Prove a receipt or a piece of evidence, with nothing but this program.

    Exit code 0: proved. 1: invalid. 2: nothing is wrong and it is not proved, as no trusted network was given or too
    few others have cosigned. 3: the command line is wrong.
    """
    from ledger import limits
    from ledger.letters import BOM
    from node.cli.inputs import read_file
    from node.cli.trust import advise, read_trust

    trusted = None if trust is None else read_trust(trust)
    content = b""
    try:
        content = read_file(file, bytes_max=max(limits.RECEIPT_BYTES_MAX, limits.EVIDENCE_BYTES_MAX))
        if content.startswith(BOM):
            raise ByteOrderMark()
        # The first bytes tell them apart: both are canonical JSON, so their first member is known.
        if content.startswith(b"c2sp.org/tlog-proof@"):
            return _judge_bare_proof(session, content)
        if content.startswith(b'{"first":'):
            return _judge_evidence(session, content, trusted)
        return _judge_receipt(session, content, trusted, witnesses=witnesses)
    except TallyError as error:
        if isinstance(error, UsageWrong):
            raise
        hint = error.hint if isinstance(error, ByteOrderMark) else advise(content)
        if session.as_json:
            shown = {"code": error.code, "message": str(error), "hint": hint}
            session.out.emit({"result": "invalid", "error": shown})
        else:
            session.out.line(f"Invalid: {error}")
            session.out.say(f"  code: {error.code}")
            if hint:
                session.out.say(f"  hint: {hint}")
        return ExitCode.REFUSED


# --- receipts -----------------------------------------------------------------------


def _judge_receipt(session: Session, content: bytes, trusted: Trust | None, *, witnesses: int) -> ExitCode:
    from ledger.receipt import decode_receipt, verify_receipt

    network, held = (None, None) if trusted is None else (trusted.network, trusted.file)
    proved = verify_receipt(decode_receipt(content), trust=network, witnesses=witnesses, held=held)
    fields = {item.name: item.value for item in proved.disclosures}
    if session.as_json:
        # Put together as text, so that the numbers of the fields stay as their author wrote them.
        shown = b",".join(_encode(name) + b":" + value for name, value in fields.items())
        session.out.answer(_encode(_receipt_json(proved))[:-1] + b',"fields":{' + shown + b"}}")
    else:
        _show_receipt(session, proved, fields)
    return ExitCode.OK if proved.is_complete else ExitCode.INCOMPLETE


def _receipt_json(proved: Proved) -> dict[str, Any]:
    from ledger.names import encode_id, id_time_ms

    entry = proved.entry
    return {
        "result": "proved" if proved.is_complete else "incomplete",
        "missing": list(proved.missing),
        "network": str(entry.log.network),
        "fingerprint": proved.network.hex(),
        "charter": proved.charter,
        "author": proved.author,
        "log": str(entry.log),
        "index": entry.index,
        "id": encode_id(entry.id),
        "leaf": proved.leaf.hex(),
        "time_ms": id_time_ms(entry.id),
        "checkpoint": {"size": proved.checkpoint.size, "root": proved.checkpoint.root.hex()},
        "cosigners": dict(sorted(proved.cosigners.items())),
    }


def _show_receipt(session: Session, proved: Proved, fields: dict[str, bytes]) -> None:
    from ledger.names import encode_id, id_time_ms
    from node.cli.output import format_field, format_time

    out, entry = session.out, proved.entry
    if proved.is_complete:
        out.line(f"Proved: {proved.author} filed record {encode_id(entry.id)} as entry {entry.index} of {entry.log}.")
    else:
        out.line("Incomplete: nothing is wrong, and it is not proved.")
        for reason in proved.missing:
            out.line(f"  {reason}")
    out.line()
    out.pairs(
        {
            "network": f"{entry.log.network}, fingerprint {proved.network.hex()}",
            "members": f"by charter {proved.charter}, the newest one known here",
            "entry": f"{entry.log}#{entry.index}",
            "time": f"{format_time(id_time_ms(entry.id))} by its author's clock",
            "cosigned by": ", ".join(
                f"{name} ({format_time(seconds * 1000)})" for name, seconds in sorted(proved.cosigners.items())
            )
            or None,
        }
    )
    for name, value in fields.items():
        out.line(format_field(name, value.decode()))


def _judge_bare_proof(session: Session, content: bytes) -> ExitCode:
    """A proof without the charters and cards that make its keys checkable: well formed is all that can be said."""
    from ledger.proof import decode_proof

    index = decode_proof(content).index
    missing = "a bare tlog-proof names no network and no keys: ask for a receipt"
    if session.as_json:
        session.out.emit({"result": "incomplete", "missing": [missing], "index": index})
    else:
        session.out.line(f"Incomplete: {missing}.")
    return ExitCode.INCOMPLETE


def _tell_missing(session: Session, content: bytes) -> None:
    """Whoever hands out a receipt learns first that it proves too little as yet."""
    from ledger.receipt import decode_receipt, verify_receipt

    if not verify_receipt(decode_receipt(content), trust=None, witnesses=0).cosigners:
        session.out.say(
            "note: no other member has cosigned the log up to this record yet, so `tally verify` will answer "
            "incomplete; make the receipt again once one has"
        )


# --- evidence -----------------------------------------------------------------------


def _judge_evidence(session: Session, content: bytes, trusted: Trust | None) -> ExitCode:
    from ledger.evidence import decode_evidence, verify_evidence
    from ledger.network import verify_network_file

    evidence = decode_evidence(content)
    if trusted is None or trusted.file is None:
        missing = "evidence needs --trust with the network file: its cards say whose keys signed"
        if session.as_json:
            session.out.emit({"result": "incomplete", "missing": [missing], "kind": evidence.kind})
        else:
            session.out.line(f"Incomplete: {missing}.")
        return ExitCode.INCOMPLETE
    found = verify_evidence(evidence, verify_network_file(trusted.file))
    if session.as_json:
        session.out.emit(
            {
                "result": "proved",
                "missing": [],
                "kind": found.kind,
                "members": list(found.members),
                "log": None if found.log is None else str(found.log),
                "size": found.size,
                "version": found.version,
            }
        )
        return ExitCode.OK
    session.out.line(f"Proved: {', '.join(found.members)} {_accusation(found)}.")
    return ExitCode.OK


def _accusation(found: Finding) -> str:
    from ledger.evidence import EvidenceKind

    match found.kind:
        case EvidenceKind.FORK:
            return f"shows two histories of {found.log}, which part before size {found.size}"
        case EvidenceKind.REPEAT:
            return f"said in {found.log} a second time what may be said once (entry {found.size - 1})"
        case EvidenceKind.CHARTERS:
            return f"signed two charters of version {found.version}"
        case EvidenceKind.CARDS:
            return f"signed two cards of version {found.version}"
    assert_never(found.kind)


# --- inside -------------------------------------------------------------------------


def _encode(value: object) -> bytes:
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
