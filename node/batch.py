"""What is to be appended, what comes of it, and why it may not be; before and after any storing.

`flag_reused` looks up what a batch says again in other words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.charter import NetworkLimits
from ledger.errors import Conflict, TallyError, TooLarge, Unavailable
from ledger.jsontext import encode_canonical
from ledger.names import Digest, RecordId
from ledger.record import Draft, Measure
from node.storage import facts
from node.storage.store import Store

REUSED: Final = "event-id-reused"
"""Flag of a record whose subject, so far always an EPCIS event id, had been recorded with other bytes before."""

_ANSWERS: Final = frozenset({"tally/accept", "tally/decline", "tally/end"})
"""A charter that allows fewer readers than a contract has parties must not keep them in it."""


class IdempotencyConflict(Conflict):
    code = "idempotency-conflict"
    template = "this key was used for another request, which became entry {index}"
    hint = "Use a new Idempotency-Key for a new request."


class HeadMoved(Conflict):
    code = "head-moved"
    template = "another process appended to this log: expected size {expected}"
    hint = "Only one node process should write one database; stop the other one. Nothing was recorded; send it again."


class LogFrozen(Conflict):
    code = "log-frozen"
    template = "this node signs nothing more in its own log: {reason}"
    hint = "`tally doctor` shows the evidence. A log that forked is closed by a card that opens a new epoch."


class LogIncomplete(Unavailable):
    code = "log-incomplete"
    template = "this node holds {size} entries of its own log and has signed more"
    hint = "It fetches the rest from its peers. Nothing was recorded; send the request again."


class OverCharterLimit(TooLarge):
    code = "over-charter-limit"
    template = "the record has {got} {unit}, the charter's {name} is {limit}"
    hint = "Send less in one record, or have the council raise that limit in a new charter."


class NewRecord(NamedTuple):
    """One record to append. A repeat of `answer_key` with the same `request` (a keyed hash) is answered, not recorded.

    subject: key of what the record is about; a repeat of it with another `request` hash is recorded and flagged.
    """

    draft: Draft
    answer_key: bytes | None = None
    request: bytes = b""
    slot: bytes | None = None
    subject: bytes | None = None


class Appended(NamedTuple):
    """A durable record. `is_repeat`: it had been recorded before, by this key. flags: as they were recorded now."""

    index: int  # type: ignore[assignment]  # nobody searches one as a tuple
    id: RecordId
    leaf: Digest
    is_repeat: bool
    flags: bytes = b""


Outcome = Appended | TallyError


def check_body(body: bytes, bounds: NetworkLimits) -> None:
    """Raises: OverCharterLimit."""
    if len(body) > bounds.body_bytes:
        raise OverCharterLimit(name="body_bytes", got=len(body), unit="bytes of body", limit=bounds.body_bytes)


def check_measure(draft: Draft, measure: Measure, bounds: NetworkLimits) -> None:
    """Raise unless a draft of that measure is within the charter's limits; whoever wants out is heard all the same.

    Raises: OverCharterLimit.
    """
    if measure.fields > bounds.record_fields:
        raise OverCharterLimit(name="record_fields", got=measure.fields, unit="fields", limit=bounds.record_fields)
    if measure.sections > bounds.record_sections:
        limit = bounds.record_sections
        raise OverCharterLimit(name="record_sections", got=measure.sections, unit="sections", limit=limit)
    if measure.readers > bounds.record_readers and draft.statement.type not in _ANSWERS:
        raise OverCharterLimit(name="record_readers", got=measure.readers, unit="readers", limit=bounds.record_readers)


def flag_reused(store: Store, records: Sequence[NewRecord]) -> tuple[Sequence[NewRecord], dict[bytes, int]]:
    """The records, those flagged that speak of a known subject in other words; and new subjects by first position.

    For the writer thread alone: nobody else records a subject between this look and the commit.
    """
    named = [record.subject for record in records if record.subject is not None]
    if not named:
        return records, {}
    with store.read() as tx:
        known = {key: answer.request for key, answer in facts.find_answers(tx, named).items()}
    flagged, claims = list(records), dict[bytes, int]()
    for i, record in enumerate(records):
        if record.subject is None:
            continue
        if record.subject not in known:
            known[record.subject] = record.request
            claims[record.subject] = i
        elif known[record.subject] != record.request:
            flags = [*json.loads(record.draft.flags or b"[]"), REUSED]
            flagged[i] = record._replace(draft=record.draft._replace(flags=encode_canonical(flags)))
    return flagged, claims
