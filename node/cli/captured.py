"""What became of a captured file, and how it is told: counts, refusals, and what to do next."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from node.cli.session import Session

SHOWN: Final = 20  # refusals that are told on stderr; --errors has all
_HOPELESS: Final = ("too-large", "too-deep")
_WHOLE: Final = re.compile(r"(.*/eventList/[0-9]+)?\Z", re.DOTALL)  # the path of a whole file, or a whole event


@dataclass(slots=True)
class Tally:
    """What became of a file's events or records.

    refused: one JSON object each, as --errors writes them. more: refusals of which the node told the number alone.
    events_refused: of a document, whose one event may be refused for several reasons. documents: (recorded, repeated),
    of the records that hold what stands around the events. answer: the node's own report on a document.
    """

    recorded: int = 0
    repeated: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0
    events_refused: int = 0
    documents: tuple[int, int] = (0, 0)
    answer: bytes | None = None


def report(session: Session, found: Tally, errors: Path | None, *, dry_run: bool) -> None:
    """Tell the counts and the first refusals, and write all refusals to the file `errors`."""
    refused = len(found.refused) + found.more
    _tell_counts(session, found, refused, "would be recorded" if dry_run else "recorded")
    for row in found.refused[:SHOWN]:
        place = f"line {row['line']}" if "line" in row else row["path"]
        session.out.say(f"  {place}: {row['reason']} ({row['code']})")
    if refused > SHOWN:
        all_ = f"the first {len(found.refused)}" if found.more else "all"
        session.out.say(f"  ... and {refused - SHOWN} more" + ("" if errors else f"; --errors has {all_}"))
    if errors is not None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.refused)
        text += json.dumps({"refused_more": found.more}) + "\n" if found.more else ""
        errors.write_bytes(text.encode("utf-8", "backslashreplace"))


def tell_interruption(session: Session, done: int, *, has_lines: bool) -> None:
    """Say how to go on. done: lines of which the node answered that they are durable; it may hold more."""
    if has_lines:
        session.out.say(f"interrupted; at least {done} recorded; run again with --resume")
    else:
        session.out.say("interrupted; run it again: nothing is recorded twice")


def breaks_standard(row: dict[str, Any]) -> bool:
    """Whether --accept-invalid lifts this refusal: what no record holds, or a contract refuses, stays refused."""
    from node.epcis.checks import CODES

    is_no_object = row["code"] == "wrong-type" and _WHOLE.match(row["path"])
    return row["code"] in CODES and row["code"] not in _HOPELESS and not is_no_object


def _tell_counts(session: Session, found: Tally, refused: int, verb: str) -> None:
    """Records as they are; of a document events, and apart from them the document and the complaints."""
    if found.answer is None:
        session.out.say(f"{found.recorded} {verb}, {found.repeated} were there already, {refused} refused")
        return
    complaints = f" ({refused} complaints)" if refused else ""
    counts = f"{found.recorded} {verb}, {found.repeated} were there already, {found.events_refused} refused"
    session.out.say(f"events: {counts}{complaints}")
    if any(found.documents):
        new, old = found.documents
        session.out.say(f"the document around them: {new} {verb}, {old} were there already")
