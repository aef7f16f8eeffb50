"""Capture: an EPCIS file becomes records of this member, once each.

The same bytes again are a duplicate: reported, not recorded. An event id that comes again
with other bytes is recorded and flagged, as are error declarations and, where they are
wanted at all, events that break the standard. What stands around the events is recorded
with them, and not if all of them are refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ledger import limits
from ledger.errors import TallyError
from ledger.jsontext import encode_canonical
from ledger.names import MemberName, encode_id, lp
from ledger.record import Draft, Link, Sealer
from ledger.sealing import Wrapper
from node.agreements import Contract, ContractNotActive, RoleNotAllowed, Status, TypeUnknown
from node.append import Appended, NewRecord, Outcome
from node.batch import check_measure
from node.channels import PartyGone
from node.epcis.capture import DOCUMENT_TYPE, INVALID, UNTYPED, CapturedRecord, capture
from node.epcis.checks import Fault
from node.intake import EnvelopeBroken, may_file
from node.node import Node
from node.services.filing import find_answers
from node.services.gathering import Gathering
from node.views.rows import DOCUMENT

_GROUP: Final = 256  # records handed over at a time
_COMPLAINTS_MAX: Final = 20  # told in the flags of one record
_SUBJECT: Final = b"tally/event-id/v1\n"
_BYTES: Final = b"tally/capture/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done with a file. contract: under which the events are shared; None keeps them private."""

    contract: Contract | None
    role: str | None
    by: bytes
    accept_invalid: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Report:
    """What a file came to: rows of the answer, each in the order of the file.

    refused_more: refusals without a row; one event may have several. events: how many the file has.
    """

    recorded: list[dict[str, Any]] = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    refused_more: int = 0
    events: int = 0

    @property
    def events_refused(self) -> int:
        """Events that are in no log: the others are recorded, or were before."""
        taken = [row for rows in (self.recorded, self.duplicates) for row in rows if row["type"] != DOCUMENT_TYPE]
        return self.events - len(taken)

    def refuse(self, path: str, code: str, message: str) -> None:
        if len(self.refused) < limits.CAPTURE_REFUSED_MAX:
            self.refused.append({"path": path, "code": code, "message": message})
        else:
            self.refused_more += 1


_Item = tuple[CapturedRecord, NewRecord]


async def capture_file(node: Node, gathering: Gathering, file: bytes, order: Order) -> Report:
    """Record what a file holds. Raises: what strict JSON raises; ContractNotActive; what stops the first record."""
    if order.contract is not None and order.contract.status is not Status.ACTIVE:
        raise ContractNotActive(contract=order.contract.id.hex(), status=order.contract.status.value)
    items, report = await asyncio.to_thread(_prepare, node, file, order)
    if order.dry_run:
        await asyncio.to_thread(_foretell, node, items, report)
    elif items:
        await gathering.wait_until_ready()
        if items[0][0].type == DOCUMENT_TYPE:
            # Alone and first, as the events refer to its entry.
            document = await _record(gathering, items[:1], report)
            items = [_linked(item, items[0], document, str(node.joined.origin)) for item in items[1:]]
        await _record(gathering, items, report)
    return report


def _prepare(node: Node, file: bytes, order: Order) -> tuple[list[_Item], Report]:
    found, report = capture(file, accept_invalid=order.accept_invalid), Report()
    report.events = found.event_count
    items: list[_Item] = []
    check = _make_check(node, order.contract)
    if not order.accept_invalid:
        _refuse_all(report, found.document_faults)
    for refusal in found.refused:
        _refuse_all(report, refusal.faults)
    report.refused_more += found.untold_faults
    for record in found.records:
        try:
            new = _draft(node, record, order)
            check(new.draft)
            items.append((record, new))
        except TallyError as cause:
            report.refuse(record.source_path, cause.code, str(cause))
    if report.events and all(record.type == DOCUMENT_TYPE for record, _ in items):
        items.clear()
    return items, report


def _make_check(node: Node, contract: Contract | None) -> Callable[[Draft], None]:
    """What raises for a draft that the appender would refuse: the document goes first, and not for nothing."""
    parties = () if contract is None else contract.members
    gone = sorted(set(parties) - set(node.membership.names))
    # Nothing is sealed with it, so that it never looks at a channel.
    wrappers = cast("dict[MemberName, Wrapper]", dict.fromkeys((node.member, *parties)))
    sealer = Sealer(node.membership.network_id, node.joined.origin, author=node.member, wrappers=wrappers)

    def check(draft: Draft) -> None:
        if gone and draft.statement.contract is not None:
            raise PartyGone(member=gone[0])
        check_measure(draft, sealer.check(draft), node.membership.limits)

    return check


def _draft(node: Node, record: CapturedRecord, order: Order) -> NewRecord:
    type_name = record.type if may_file(record.type) else UNTYPED
    if type_name != record.type and INVALID not in record.flags:
        raise EnvelopeBroken(reason=f"type {record.type[:80]!r}")
    contract = None if order.contract is None else order.contract.id
    intake = node.joined.intake
    flags = _flags(record)
    try:
        draft = intake.draft(type_name, record.body, by=order.by, contract=contract, role=order.role, flags=flags)
    except (TypeUnknown, RoleNotAllowed):
        if record.type != DOCUMENT_TYPE:
            raise
        # The contract is about events; what stands around them is then nobody's business but the author's.
        draft, contract = intake.draft(type_name, record.body, by=order.by, flags=flags), None
    return NewRecord(
        draft,
        answer_key=intake.digest(_BYTES + (contract or b"") + lp(type_name) + record.body),
        request=intake.digest(record.body),
        subject=None if record.event_id is None else intake.digest(_SUBJECT + record.event_id.encode()),
    )


def _flags(record: CapturedRecord) -> bytes:
    """The flags of a record, then what was wrong with it, as one list of texts."""
    complaints = [
        f"{INVALID}: {fault.path.removeprefix(record.source_path)} {fault.message}"
        for fault in record.faults[:_COMPLAINTS_MAX]
    ]
    flags = [*record.flags, *complaints]
    return encode_canonical(flags) if flags else b""


def _linked(event: _Item, head: _Item, document: Appended | None, origin: str) -> _Item:
    """The event with a link to the record of its document, where its readers are those of that record.

    Else the link would tell them which events came in one file with others.
    """
    record, new = event
    if document is None or new.draft.statement.contract != head[1].draft.statement.contract:
        return event
    link = Link(relation=DOCUMENT, origin=origin, index=document.index, leaf=document.leaf)
    return record, new._replace(draft=new.draft._replace(links=(link,)))


async def _record(gathering: Gathering, items: Sequence[_Item], report: Report) -> Appended | None:
    """Hand the records over in groups; what a failed commit kept out is refused by name, if anything came before it.

    Returns where the last record is now.
    """
    last: Appended | None = None
    for at in range(0, len(items), _GROUP):
        group = items[at : at + _GROUP]
        try:
            outcomes: Sequence[Outcome] = await (await gathering.submit([new for _, new in group]))
        except TallyError as cause:
            if not report.recorded and not report.duplicates:
                raise
            for record, _ in items[at:]:
                report.refuse(record.source_path, cause.code, str(cause))
            return last
        for (record, _), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Appended):
                rows = report.duplicates if outcome.is_repeat else report.recorded
                rows.append(_row(record, outcome))
                last = outcome
            else:
                report.refuse(record.source_path, outcome.code, str(outcome))
    return last


def _foretell(node: Node, items: Sequence[_Item], report: Report) -> None:
    """What would be recorded, and what would be a duplicate."""
    keys = [new.answer_key for _, new in items if new.answer_key is not None]
    known = set(find_answers(node, keys))
    for record, new in items:
        assert new.answer_key is not None, "what is captured has a key of its bytes"
        rows = report.duplicates if new.answer_key in known else report.recorded
        rows.append(_row(record, None))
        known.add(new.answer_key)


def _row(record: CapturedRecord, outcome: Appended | None) -> dict[str, Any]:
    return {
        "index": None if outcome is None else outcome.index,
        "id": None if outcome is None else encode_id(outcome.id),
        "type": record.type,
        "event_id": record.event_id,
        "path": record.source_path,
        "flags": list(record.flags) if outcome is None or outcome.is_repeat else json.loads(outcome.flags or b"[]"),
    }


def _refuse_all(report: Report, faults: Sequence[Fault]) -> None:
    for fault in faults:
        report.refuse(fault.path, fault.code, fault.message)
