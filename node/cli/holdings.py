"""`fsck`, `backup`, `evidence`: whether a whole store holds together, a copy of it, and who was caught lying."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from node.cli.exits import ExitCode, UsageWrong
from node.cli.output import format_time
from node.cli.session import Needs, Session, command

if TYPE_CHECKING:
    from node.fsck import Report

_COPIED: Final = ("tally.toml", "member.json")
_SECRET: Final = ("keys", "admin-token")


def register(app: typer.Typer) -> None:
    command(app, "fsck", needs=Needs.FOLDER, panel="Prove")(fsck)
    command(app, "backup", needs=Needs.FOLDER, panel="Node")(backup)
    evidence = typer.Typer(help="See who was caught signing two things that contradict each other.")
    app.add_typer(evidence, name="evidence", rich_help_panel="Prove")
    command(evidence, "list", needs=Needs.NODE)(list_evidence)
    command(evidence, "show", needs=Needs.NODE)(show_evidence)


def fsck(
    session: Session,
    *,
    offline: Annotated[
        Path | None,
        typer.Option(help="Another folder, or a copy of a ledger.db, in place of this node's.", exists=True),
    ] = None,
) -> ExitCode:
    """Prove a store again: every link, leaf, root, signature, manifest, section and wrap.

    And what stands beside them, as far as something signed or another row tells it: docs/reference/fsck.md lists what
    nothing tells. It only reads, also while the node runs. With the private keys that lie beside the store, or those of
    this node if the store is its own, it opens what that member may open.
    """
    from node.config import DATABASE_NAME
    from node.fsck import check_store

    path = offline or session.folder
    if not path.is_file() and not (path / DATABASE_NAME).is_file():
        raise UsageWrong(reason=f"there is no {DATABASE_NAME} in {path}")
    session.out.say(f"checking {path} ...")
    report = check_store(path, **_opening(session, path))
    if session.as_json:
        session.out.emit({"sound": report.is_sound, **asdict(report)})
    else:
        _show_report(session, report)
    if not report.is_sound:
        return ExitCode.REFUSED
    return ExitCode.INCOMPLETE if report.gaps else ExitCode.OK


def _opening(session: Session, path: Path) -> dict[str, Any]:
    """The keys that open what a member may read: those beside the store, else this node's if the store is its own."""
    from ledger.names import MemberName
    from node.config import CONFIG_NAME, load_settings
    from node.founding import open_keyring
    from node.fsck import read_owner
    from node.keyring import KEYS_FOLDER

    owner = read_owner(path)
    for folder in (path if path.is_dir() else path.parent, session.folder):
        if not (folder / CONFIG_NAME).is_file() or not (folder / KEYS_FOLDER).is_dir():
            continue
        settings = load_settings(folder)
        # Another member's keys open nothing of it, and would make every sealed thing look broken.
        if owner is None or (owner.network, owner.member) == (settings.network, settings.member):
            return {"keyring": open_keyring(folder), "member": MemberName(settings.member)}
    session.out.say("note: no private keys here, so sealed bytes are checked but not opened")
    return {}


def _show_report(session: Session, report: Report) -> None:
    for fault in report.faults:
        place = "" if fault.log is None else f" in {fault.log}" + ("" if fault.index is None else f"#{fault.index}")
        session.out.line(f"fault: {fault.what}{place}: {fault.reason}")
    for gap in report.missing:
        session.out.line(f"missing: body of {gap.log}#{gap.index}: {gap.reason}")
    counts = asdict(report)
    del counts["faults"], counts["missing"]
    session.out.pairs(counts)
    verdict = "sound" if report.is_sound else f"{len(report.faults)} faults"
    session.out.line(
        f"{verdict}" + (f"; {report.gaps} bodies are missing and nobody could give them" if report.gaps else "")
    )


def backup(
    session: Session,
    target: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    *,
    keys: Annotated[bool, typer.Option(help="Copy the private keys and the admin token as well.")] = True,
) -> None:
    """Copy a node's folder, also while the node runs; `tally fsck --offline` proves the copy.

    The files high-water and cosigned stay behind on purpose: a restored database is to be noticed. What can be
    rebuilt stays behind, too.
    """
    from node.config import DATABASE_NAME
    from node.founding import FolderTaken
    from node.storage.copies import copy_database

    session.settings()
    if target.exists():
        raise FolderTaken(path=target)
    target.mkdir(mode=0o700, parents=True)
    copy_database(session.folder / DATABASE_NAME, target / DATABASE_NAME)
    (target / DATABASE_NAME).chmod(0o600)
    names = [*_COPIED, *(_SECRET if keys else ())]
    for source in (session.folder / name for name in names):
        if source.is_dir():
            shutil.copytree(source, target / source.name)
        elif source.exists():
            shutil.copy2(source, target)
    if session.as_json:
        session.out.emit({"folder": str(target), "keys": keys})
        return
    session.out.line(f"Copied {session.folder} to {target}. Prove the copy: tally fsck --offline {target}")


def list_evidence(session: Session) -> None:
    """List the evidence that this node holds."""
    with session.client() as client:
        content = client.get("/evidence")
        rows = client.decode(content)["evidence"]
    if session.as_json:
        session.out.answer(content)
        return
    session.out.table(
        ["id", "kind", "member", "found"],
        [(row["id"][:16], row["kind"], row["member"], format_time(row["found_ms"])) for row in rows],
    )


def show_evidence(
    session: Session,
    evidence: Annotated[str, typer.Argument(metavar="ID", help="As in `evidence list`; the first digits will do.")],
) -> None:
    """Print one piece of evidence, as it goes to whoever is to check it with `tally verify`."""
    with session.client() as client:
        rows = [row for row in client.get_json("/evidence")["evidence"] if row["id"].startswith(evidence)]
    if len(rows) != 1:
        raise UsageWrong(reason=f"{len(rows)} pieces of evidence have an id that begins with {evidence}")
    # The very text that was signed and hashed, without a byte more.
    session.out.raw(rows[0]["document"].encode())
