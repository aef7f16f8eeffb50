"""Agreements: contracts as this node knows them, from the `tally/*` statements in the logs.

A contract is active when every party named in its proposal accepted it; the proposal is its
proposer's acceptance. It ends by the notice of any party, and a decline, whenever it was made,
is such a notice too. What it comes to thus depends on what was said, and not on the order in
which logs happened to arrive: all parties come to the same.

This module keeps that state in memory (it is rebuilt from the logs at start) and answers what
a record may be and who reads it.

Spec: docs/spec/agreements.md.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from ledger.errors import BadInput, Missing, NotAllowed
from ledger.fields import cut_parts
from ledger.jsontext import members
from ledger.names import Digest, MemberName, encode_b64
from ledger.record import Draft, Link, Statement
from node.contract import (
    ACCEPT,
    DECLINE,
    END,
    PROPOSE,
    Contract,
    Place,
    ProposalBroken,
    Status,
    Word,
    decode_proposal,
    named_contract,
    settle,
    told_alike,
)

__all__ = [
    "ACCEPT",
    "DECLINE",
    "END",
    "PROPOSE",
    "RESERVED",
    "Agreements",
    "Contract",
    "ContractNotActive",
    "Place",
    "ProposalBroken",
    "RoleNotAllowed",
    "Status",
    "TypeUnknown",
    "answer_body",
    "decode_proposal",
    "draft_addressed",
    "draft_private",
    "draft_under",
    "named_contract",
    "told_alike",
]

RESERVED: Final = "tally/"


class ContractNotActive(NotAllowed):
    code = "contract-not-active"
    template = "contract {contract} is {status}"
    hint = "Every party must accept it first: `tally contract show` says who has not."


class RoleNotAllowed(NotAllowed):
    code = "role-not-allowed"
    template = "{member} may not file {type!r} under contract {contract}: {reason}"
    hint = "`tally contract show` lists who may file what."


class TypeUnknown(BadInput):
    code = "type-unknown"
    template = "contract {contract} does not know the record type {type!r}"
    hint = "SHARES of the contract must name the type; what it does not name is never shared."


class Agreements:
    """Every contract this node is a party to. Statements may come in any order, early, and more than once."""

    def __init__(self) -> None:
        self._contracts: dict[Digest, Contract] = {}
        self._words: dict[Digest, dict[Word, Place | None]] = {}
        self._statements: dict[tuple[Digest | None, str, str | None], Statement] = {}
        self._lock = threading.Lock()  # guards all three

    def propose(self, contract: Contract) -> None:
        with self._lock:
            if contract.id not in self._contracts:
                self._settle(contract)

    def state(
        self,
        contract_id: Digest,
        type_name: str,
        member: MemberName,
        *,
        told: frozenset[MemberName] | None = None,
        place: Place | None = None,
    ) -> None:
        """Take in an accept, decline or end by `member`; one of no party changes nothing.

        told: who was given this very statement; None for all parties. place: where it stands, as far as that is known.
        """
        with self._lock:
            words, word = self._words.setdefault(contract_id, {}), (type_name, member, told)
            known = words.get(word)
            words[word] = place if known is None or (place is not None and place < known) else known
            if contract_id in self._contracts:
                self._settle(self._contracts[contract_id])

    def _settle(self, contract: Contract) -> None:
        self._contracts[contract.id] = settle(contract, self._words.get(contract.id, {}))
        self._statements = {k: v for k, v in self._statements.items() if k[0] != contract.id}

    def list(self) -> list[Contract]:
        with self._lock:
            return sorted(self._contracts.values(), key=lambda c: (c.log, c.index))

    def get(self, contract_id: bytes) -> Contract:
        """Raises: Missing."""
        with self._lock:
            found = self._contracts.get(Digest(contract_id))
        if found is None:
            raise Missing(what="contract", name=bytes(contract_id).hex())
        return found

    def statement(self, contract: Contract, type_name: str, role: str | None, *, author: MemberName) -> Statement:
        """What the author's records of one type say of themselves; the same object each time.

        Raises: ContractNotActive, TypeUnknown, RoleNotAllowed.
        """
        known = self._statements.get((contract.id, type_name, role))
        if known is not None:
            return known
        shown = contract.id.hex()
        if contract.status is not Status.ACTIVE:
            raise ContractNotActive(contract=shown, status=contract.status.value)
        if type_name not in contract.source.shares:
            raise TypeUnknown(contract=shown, type=type_name)
        mine = contract.roles_of(author)
        allowed = sorted(contract.source.authors.get(type_name, frozenset()) & set(mine))
        if role is not None and role not in allowed:
            raise RoleNotAllowed(member=author, type=type_name, contract=shown, reason=f"role {role!r} may not")
        if not allowed:
            raise RoleNotAllowed(
                member=author, type=type_name, contract=shown, reason=f"as {', '.join(mine) or 'no party'} it may not"
            )
        statement = Statement(
            type=type_name, contract=contract.id, role=role or allowed[0], readers=dict(contract.parties)
        )
        self._statements[contract.id, type_name, role] = statement
        return statement


# --- drafts ------------------------------------------------------------------------


def draft_private(type_name: str, body: bytes, *, by: bytes, links: Sequence[Link] = (), flags: bytes = b"") -> Draft:
    """A record outside any contract: sealed to its author alone."""
    fields = [("/" + _escape(name), text, frozenset[str]()) for name, text in members(body).items()]
    return Draft(_private(type_name), by, fields, tuple(links), flags)


def draft_addressed(
    type_name: str, body: bytes, *, by: bytes, to: Sequence[MemberName], links: Sequence[Link] = ()
) -> Draft:
    """A record whose every field goes to the named members: proposals and what answers them."""
    audience = frozenset(f"@{member}" for member in to)
    fields = [("/" + _escape(name), text, audience) for name, text in members(body).items()]
    readers = {f"@{member}": (member,) for member in to}
    return Draft(Statement(type=type_name, contract=None, role=None, readers=readers), by, fields, tuple(links))


def draft_under(
    contract: Contract, statement: Statement, body: bytes, *, by: bytes, links: Sequence[Link] = (), flags: bytes = b""
) -> Draft:
    """A record under a contract: each field goes exactly to whom the contract gives it."""
    return Draft(statement, by, cut_parts(body, contract.rules[statement.type]), tuple(links), flags)


def answer_body(contract: Contract) -> bytes:
    return b'{"contract":"' + encode_b64(contract.id).encode() + b'"}'


_PRIVATE: dict[str, Statement] = {}


def _private(type_name: str) -> Statement:
    if len(_PRIVATE) > 1000:
        _PRIVATE.clear()
    return _PRIVATE.setdefault(type_name, Statement(type=type_name, contract=None, role=None, readers={}))


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
