"""The heads of the logs: what a row says of its log beside the tree, and where a catch-up is to lead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ledger.checkpoint import open_checkpoint
from ledger.errors import TallyError
from ledger.evidence import EvidenceKind
from ledger.keys import VerifyKey
from ledger.names import Origin
from node.fsck.report import Report, Walked
from node.membership import Membership
from node.storage import facts, logs, places, sidecars
from node.storage.store import Tx

_FROZEN: Final = re.compile(
    r"two histories from entry \d+ on or before|two histories; the first \d+ entries are common to both"
)
_Convicted = Mapping[tuple[str, str], int]
"""Size that the kept evidence of a kind is about, by kind and log."""


def check_heads(tx: Tx, membership: Membership, report: Report, *, walked: Sequence[Walked], own: str | None) -> None:
    """Every column of every head, as far as something else in the store says the same."""
    chains = membership.documents.cards.values()
    keys = {origin: [card.log_key for card in chain] for chain in chains for origin in {card.origin for card in chain}}
    convicted = {(row.kind, row.log): row.place for row in facts.list_evidence_rows(tx)}
    halves = logs.list_half_repeats(tx)
    for one in walked:
        log = one.log
        if log.origin not in keys:
            report.add("log", "no card names it", log=str(log.origin))
            continue
        targets = list(_check_targets(tx, log, report, keys=keys[log.origin]))
        faults = [
            *_checkpoint_faults(log, targets),
            *_bodies_faults(tx, log, is_own=str(log.origin) == own),
            *_verdict_faults(tx, one, convicted),
            *(["of its repeat one entry alone is kept"] if log.number in halves else []),
        ]
        for reason in faults:
            report.add("head", reason, log=str(log.origin))
    _check_named(membership, report, {one.log.origin for one in walked})


def _check_named(membership: Membership, report: Report, held: set[Origin]) -> None:
    for member in membership.names:
        chain = membership.network.cards.get(member, ())
        if chain and chain[-1].origin not in held:
            report.add("log", f"that of {member} is not here", log=str(chain[-1].origin))


def _check_targets(tx: Tx, log: logs.StoredLog, report: Report, *, keys: Iterable[VerifyKey]) -> Iterator[int]:
    """The sizes of the targets of a log, each signed by a key that a card of its member named, some time."""
    for size, note in logs.list_targets(tx, log.number):
        fault: object = "no key of its log signed it"
        for key in keys:
            try:
                found = open_checkpoint(note, origin=log.origin, key=key).size
            except (TallyError, ValueError) as cause:
                fault = cause
                continue
            fault = "" if found == size else f"the note is of size {found}"
            break
        if fault:
            report.add("target", f"of size {size}: {fault}", log=str(log.origin))
        yield size


def _checkpoint_faults(log: logs.StoredLog, targets: Sequence[int]) -> Iterator[str]:
    if (log.checkpoint is None) != (log.checkpoint_size == 0) or log.checkpoint_size > log.size:
        yield f"it has a checkpoint of size {log.checkpoint_size}, or none, and {log.size} entries"
    elif log.checkpoint_size < log.size and max(targets, default=0) <= log.size:
        yield f"{log.size} entries, of which the checkpoint covers {log.checkpoint_size}, and no target leads on"


def _bodies_faults(tx: Tx, log: logs.StoredLog, *, is_own: bool) -> Iterator[str]:
    """Of another's log, what is held or missing has been asked for; of the own, nothing is."""
    least = 0 if is_own else sidecars.end_of_bodies(tx, log.number)
    most = 0 if is_own else log.checkpoint_size
    if not least <= log.bodies_size <= most:
        yield f"its bodies were asked for up to entry {log.bodies_size}, and that is at least {least}, at most {most}"


def _verdict_faults(tx: Tx, walked: Walked, convicted: _Convicted) -> Iterator[str]:
    log = walked.log
    has_forked = (EvidenceKind.FORK, str(log.origin)) in convicted
    if (log.frozen is not None) != has_forked:
        yield "it is frozen, and no evidence of a fork is kept" if log.frozen else "it forked, and is not frozen"
    elif log.frozen is not None and not _FROZEN.fullmatch(log.frozen):
        yield f"it is frozen for a reason that there is not: {log.frozen[:80]}"
    proven = convicted.get((EvidenceKind.REPEAT, str(log.origin)))
    known = [] if walked.repeat is None else [walked.repeat + 1]
    least = min([*known, *([] if proven is None else [proven])], default=None)
    # Of a repeat that was proven by a piece that has made place for another, an earlier one may be known.
    is_right = log.no_cosign_from == least or (proven is not None and 0 < (log.no_cosign_from or 0) <= (least or 0))
    if not is_right:
        yield f"it is not cosigned from size {log.no_cosign_from}; what repeats says {least}"
    if log.repeat is None:
        if known and proven is None:
            yield "an id or slot is there twice, which is neither proven nor to be proven"
    elif not _is_repeat(tx, log, *log.repeat):
        yield f"entries {log.repeat[0]} and {log.repeat[1]} have neither id nor slot in common"


def _is_repeat(tx: Tx, log: logs.StoredLog, first: int, second: int | None) -> bool:
    try:
        names = [places.names_of(logs.read_row(tx, log.number, index)) for index in (first, second or 0)]
    except (TallyError, TypeError):
        return False
    return first < (second or 0) < log.size and any(a is not None and a == b for a, b in zip(*names, strict=True))
