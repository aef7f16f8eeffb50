"""Statements: the `tally/*` records by which members propose, accept, decline and end contracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

import structlog

from ledger.errors import BadInput, TallyError
from ledger.names import Digest, MemberName, RecordId
from node import agreements as agree
from node.agreements import Agreements, Place
from node.contract import VERSION
from node.reader import Reader, ReadRecord
from node.storage import logs, sidecars
from node.storage.store import Tx

_PAGE: Final = 100  # statements listed at a time


_log = structlog.get_logger("tally.statements")

_Stated = tuple[int, int, str]
"""Log number, index and type of a statement."""


def take_all(
    agreements: Agreements, reader: Reader, tx: Tx, stated: Sequence[_Stated], *, is_strict: bool = True
) -> None:
    """Take in statements of any logs, and of those that had no room before the ones that have it now.

    The own member's words come first, as what it answered is taken in whatever there is besides; the words of
    others last, as of a contract that is known they take no room. is_strict: what is damaged raises, and what has no
    room is logged; else both are passed over, as another reads the same.
    """
    taking = _Taking(agreements, reader, tx, () if is_strict else (TallyError, LookupError))
    lost, passed, awaited = agreements.lost_words(), agreements.passed_over(), agreements.awaited()
    for one in sorted(stated, key=taking.rank):
        taking.take(one)
    taking.take_passed(agreements.awaited() - awaited)
    taking.take_lost()
    if is_strict:
        for author in agreements.passed_over().keys() - passed.keys():
            _log.warning("proposals are not taken up: too many of this member are not answered", member=author)
        for author in agreements.lost_words().keys() - lost.keys():
            _log.warning("words on unknown contracts are passed over: too many of this member", member=author)


class _Taking:
    """One reading of statements under one transaction."""

    def __init__(self, agreements: Agreements, reader: Reader, tx: Tx, faults: tuple[type[Exception], ...]) -> None:
        self._agreements = agreements
        self._reader = reader
        self._tx = tx
        self._faults = faults
        self._logs = {log.number: log for log in logs.list_logs(tx)}
        self.own = {number for number, log in self._logs.items() if log.origin.member == reader.member}

    def rank(self, one: _Stated) -> int:
        return 1 if one[2] == agree.PROPOSE else 0 if one[0] in self.own else 2

    def take(self, one: _Stated) -> None:
        number, index, type_name = one
        log = self._logs[number]
        with suppress(*self._faults):
            if type_name == agree.PROPOSE:
                # Before it is read: to open and parse them is most of the work that a flood of proposals makes.
                leaf = logs.read_packed(self._tx, number, index, index + 1)[0].leaf
                if not self._agreements.has_room(log.origin.member, leaf, 0, place=(log.origin.epoch, index)):
                    return
            take_statement(self._agreements, self._reader.read(self._tx, log, index))

    def take_passed(self, named: AbstractSet[Digest]) -> None:
        """Offer again what was passed over, as far as there is room, and these that the own member spoke of."""
        for author, place in self._agreements.passed_over().items():
            self._agreements.look_again(author)
            for one in self._list_since(author, place):
                if one[2] == agree.PROPOSE:
                    self.take(one)
                if author in self._agreements.passed_over() and named.isdisjoint(self._agreements.awaited()):
                    break  # there is no more room for those behind it

    def take_lost(self) -> None:
        """Offer words again: the contracts of those before them may be known by now, and take no room."""
        for author, place in self._agreements.lost_words().items():
            self._agreements.hear_again(author)
            for one in self._list_since(author, place):
                if one[2] != agree.PROPOSE:
                    self.take(one)
                if author in self._agreements.lost_words():
                    break

    def _list_since(self, author: MemberName, place: Place) -> Iterator[_Stated]:
        """The author's statements from a place of its logs on."""
        for number, log in self._logs.items():
            if log.origin.member == author and log.origin.epoch >= place[0]:
                start = place[1] if log.origin.epoch == place[0] else 0
                while some := sidecars.list_statements(self._tx, log=number, start=start, most=_PAGE):
                    yield from some
                    start = some[-1][1] + 1


def take_statement(agreements: Agreements, record: ReadRecord) -> None:
    """Take in what a readable record says of a contract; what says nothing of one changes nothing."""
    if record.meta is None or record.id is None or record.meta.version != VERSION:
        return
    author = record.origin.member
    told = agree.told_alike(record.meta, author)
    place = (record.origin.epoch, record.index)
    try:
        if record.meta.type == agree.PROPOSE:
            if agreements.has_room(author, record.leaf, len(record.body), place=place):
                _take_proposal(agreements, record, record.id, told)
        elif record.meta.type in (agree.ACCEPT, agree.DECLINE, agree.END):
            named = agree.named_contract(record.body, record.meta.type)
            agreements.state(named, record.meta.type, author, told=told, place=place)
    except BadInput:
        return  # a malformed statement of another member binds nobody; it stays readable as a record


def _take_proposal(
    agreements: Agreements, record: ReadRecord, record_id: RecordId, told: frozenset[MemberName]
) -> None:
    """Raises: ProposalBroken."""
    author = record.origin.member
    try:
        contract = agree.decode_proposal(
            record.body, contract_id=record.leaf, record=record_id,
            log=str(record.origin), index=record.index, proposer=author,
        )  # fmt: skip
    except agree.ProposalBroken:
        # It cost as much to read as a good one; without number, they would keep every start busy.
        agreements.refuse(author, record.leaf, len(record.body))
        raise
    # Else its parties could have read, and accepted, different contracts under one id.
    if told.issuperset(contract.members):
        agreements.propose(contract, length=len(record.body))
    else:
        agreements.refuse(author, record.leaf, len(record.body))
