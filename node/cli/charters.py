"""`charter`: found a network, and see who is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.exits import ExitCode, UsageWrong
from node.cli.inputs import read_network, read_text
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from ledger.charter import Charter
    from ledger.network import NetworkFile

_InputFile = Annotated[Path, typer.Argument(help="Network file.", exists=True, dir_okay=False)]
_InputFiles = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]
_OutputFile = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the network file.")]
_Trust = Annotated[str | None, typer.Option(metavar="CHARTER|FINGERPRINT", help="The network that it must be.")]


def register(app: typer.Typer) -> None:
    charter = typer.Typer(help="Found a network and see who is in it.", no_args_is_help=False)
    app.add_typer(charter, name="charter", rich_help_panel="Network")
    command(charter, "new", needs=Needs.FOLDER)(new)
    command(charter, "sign", needs=Needs.FOLDER)(sign)
    command(charter, "adopt", needs=Needs.NODE)(adopt)
    command(charter, "show", needs=Needs.NODE)(show)
    command(charter, "verify", needs=Needs.NOTHING)(verify)


def new(
    session: Session,
    member_files: _InputFiles,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the network file.")] = Path(
        "network.json"
    ),
    f: Annotated[
        int | None, typer.Option("--f", min=0, help="Members that may stay away when a node asks if it is behind.")
    ] = None,
    council: Annotated[
        list[str] | None, typer.Option(help="A member of the council; may be given again. Default: all.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, help="Council members that a later charter needs. Default: half and one.")
    ] = None,
) -> None:
    """Draw up charter 1 from the member files of all firms, and sign it for the member of this folder."""
    from ledger import limits
    from ledger.charter import Council
    from ledger.names import MemberName
    from ledger.network import decode_member_file, encode_network_file
    from node.files import write_durably
    from node.founding import draw_up

    members = [decode_member_file(read_text(path, bytes_max=limits.NOTE_BYTES_MAX)) for path in member_files]
    chosen = None
    if council or threshold is not None:
        names = council or [member.member.name for member in members]
        chosen = Council(
            members=tuple(map(MemberName, names)),
            threshold=len(names) // 2 + 1 if threshold is None else threshold,
        )
    file = draw_up(members, session.root_key(), f=f, council=chosen)
    if output.exists():
        raise UsageWrong(reason=f"{output} exists; name another file with --output")
    write_durably(output, encode_network_file(file), mode=0o644)
    _tell(session, file, output)


def sign(
    session: Session,
    files: _InputFiles,
    *,
    output: _OutputFile = None,
    trust: _Trust = None,
) -> None:
    """Sign the newest charter of a network file for the member of this folder.

    Read what it says first (`tally charter show --file FILE`). Given several copies, it puts their signatures together.
    The first file is written anew, unless --output names another.
    """
    from ledger.network import encode_network_file
    from node.files import write_durably
    from node.founding import merge_files, sign_file

    merged = merge_files([read_network(path) for path in files])
    _check_trust(merged, trust)
    signed = sign_file(merged, session.root_key())
    target = output or files[0]
    write_durably(target, encode_network_file(signed), mode=0o644)
    _tell(session, signed, target)


def adopt(session: Session, file: _InputFile, *, trust: _Trust = None) -> None:
    """Let the running node join the network of a file that all members signed."""
    from ledger.network import encode_network_file, verify_network_file

    network = read_network(file)
    # Verified here as well: what is missing is then told without a round through the node.
    verify_network_file(network)
    _check_trust(network, trust)
    with session.client() as client:
        client.post("/network", encode_network_file(network))
    if session.as_json:
        session.out.emit({"network": _newest(network).network, "fingerprint": _fingerprint(network)})
        return
    session.out.line(f"Joined {_newest(network).network}, fingerprint {_fingerprint(network)}.")


def show(
    session: Session,
    *,
    file: Annotated[
        Path | None, typer.Option(help="A network file, in place of the running node's.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Show the newest charter: members, council, fingerprint, who has signed."""
    from node.founding import missing_members

    network = read_network(file) if file else session.network_file()
    charter, missing = _newest(network), missing_members(network)
    if session.as_json:
        session.out.emit(_charter_json(network))
        return
    session.out.pairs(
        {
            "network": charter.network,
            "fingerprint": _fingerprint(network),
            "version": charter.version,
            "council": f"{charter.council.threshold} of {', '.join(charter.council.members)}",
            "f": charter.f,
        }
    )
    session.out.line()
    rows = [
        (m.name, "no" if m.name in missing else "yes", f"{m.threshold} of {len(m.keys)}", ", ".join(map(str, m.keys)))
        for m in charter.members
    ]
    session.out.table(["member", "signed", "needs", "root keys"], rows)


def verify(session: Session, file: _InputFile, *, trust: _Trust = None) -> ExitCode:
    """Check every signature of a network file, without a node.

    Proved if all is signed and the fingerprint is the one given with --trust; compare that with the other members by
    another way than the file came.
    """
    from ledger.network import verify_network_file
    from node.founding import missing_members

    network = read_network(file)
    missing = missing_members(network)
    lacking = [f"the signature of {name}" for name in missing]
    if not missing:
        verify_network_file(network)
    _check_trust(network, trust)
    if trust is None:
        lacking.append("a fingerprint to trust (--trust)")
    if session.as_json:
        session.out.emit(_charter_json(network) | {"verified": not lacking, "lacking": lacking})
    elif lacking:
        session.out.line(f"Incomplete: it lacks {', '.join(lacking)}.")
        session.out.line(f"fingerprint {_fingerprint(network)}")
    else:
        session.out.line(f"Proved: {_newest(network).network}, {len(_newest(network).members)} members, all signed.")
    return ExitCode.INCOMPLETE if lacking else ExitCode.OK


# --- inside -------------------------------------------------------------------------


def _newest(file: NetworkFile) -> Charter:
    from node.founding import newest_charter

    return newest_charter(file)


def _fingerprint(file: NetworkFile) -> str:
    from ledger.charter import decode_charter
    from ledger.note import decode_note

    return decode_charter(decode_note(file.charters[0]).text).hash.hex()


def _check_trust(file: NetworkFile, trust: str | None) -> None:
    from ledger.errors import UntrustedNetwork
    from node.cli.trust import read_trust

    expected = None if trust is None else read_trust(trust).network.hex()
    if expected not in (None, _fingerprint(file)):
        raise UntrustedNetwork(expected=expected, got=_fingerprint(file))


def _tell(session: Session, file: NetworkFile, path: Path) -> None:
    """Say what was written, and who has still to sign it."""
    from node.founding import missing_members

    missing = missing_members(file)
    if session.as_json:
        session.out.emit(_charter_json(file) | {"file": str(path)})
        return
    session.out.line(f"Wrote {path}, fingerprint {_fingerprint(file)}.")
    if missing:
        session.out.line(f"Next: {', '.join(missing)} must sign it (`tally charter sign {path}`).")
    else:
        session.out.line(f"All have signed. Next: every member adopts it (`tally charter adopt {path}`).")


def _charter_json(file: NetworkFile) -> dict[str, Any]:
    from node.founding import missing_members

    charter, missing = _newest(file), missing_members(file)
    return {
        "network": charter.network,
        "fingerprint": _fingerprint(file),
        "version": charter.version,
        "council": {"members": list(charter.council.members), "threshold": charter.council.threshold},
        "f": charter.f,
        "members": [
            {
                "name": member.name,
                "signed": member.name not in missing,
                "threshold": member.threshold,
                "keys": [str(key) for key in member.keys],
            }
            for member in charter.members
        ],
    }
