"""Statements: the `tally/*` records by which members propose, accept, decline and end contracts."""

from __future__ import annotations

from ledger.errors import BadInput
from node import agreements as agree
from node.agreements import Agreements
from node.reader import ReadRecord


def take_statement(agreements: Agreements, record: ReadRecord) -> None:
    """Take in what a readable record says of a contract; what says nothing of one changes nothing."""
    if record.meta is None or record.id is None:
        return
    author = record.origin.member
    told = agree.told_alike(record.meta, author)
    try:
        if record.meta.type == agree.PROPOSE:
            contract = agree.decode_proposal(
                record.body, contract_id=record.leaf, record=record.id,
                log=str(record.origin), index=record.index, proposer=author,
            )  # fmt: skip
            # Else its parties could have read, and accepted, different contracts under one id.
            if told.issuperset(contract.members):
                agreements.propose(contract)
        elif record.meta.type in (agree.ACCEPT, agree.DECLINE, agree.END):
            place = (record.origin.epoch, record.index)
            agreements.state(agree.named_contract(record.body), record.meta.type, author, told=told, place=place)
    except BadInput:
        return  # a malformed statement of another member binds nobody; it stays readable as a record
