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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from contracts.source import Source, read_source
from ledger.errors import BadInput, EncodingError, Missing, NotAllowed, TallyError
from ledger.fields import Rules, compile_rules, cut_parts
from ledger.jsontext import members, parse
from ledger.names import Digest, MemberName, RecordId, decode_b64, decode_name, encode_b64
from ledger.record import Draft, Link, Meta, Statement

PROPOSE: Final = "tally/propose"
ACCEPT: Final = "tally/accept"
DECLINE: Final = "tally/decline"
END: Final = "tally/end"
RESERVED: Final = "tally/"


class Status(StrEnum):
    PROPOSED = "proposed"
    ACTIVE = "active"
    DECLINED = "declined"
    ENDED = "ended"


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


class ProposalBroken(BadInput):
    code = "proposal-broken"
    template = "the proposal is refused: {reason}"
    hint = "`tally contract lint FILE` checks a contract before it is proposed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One contract. `id`: leaf hash of the proposal's entry. `parties`: role -> members."""

    id: Digest
    record: RecordId
    log: str
    index: int
    proposer: MemberName
    source_text: str
    source: Source
    terms: Any
    parties: Mapping[str, tuple[MemberName, ...]]
    secret: bytes
    accepted: frozenset[MemberName]
    status: Status = Status.PROPOSED
    ended_by: MemberName | None = None
    rules: Mapping[str, Rules] = field(default_factory=dict)

    @property
    def members(self) -> tuple[MemberName, ...]:
        return tuple(sorted({m for members in self.parties.values() for m in members}))

    @property
    def waiting_for(self) -> tuple[MemberName, ...]:
        return tuple(m for m in self.members if m not in self.accepted) if self.status is Status.PROPOSED else ()

    def roles_of(self, member: str) -> tuple[str, ...]:
        return tuple(sorted(role for role, members in self.parties.items() if member in members))


# --- what a member says -----------------------------------------------------------


def decode_proposal(
    body: bytes, *, contract_id: Digest, record: RecordId, log: str, index: int, proposer: MemberName
) -> Contract:
    """Read the body of a `tally/propose` record. Raises: ProposalBroken."""
    try:
        value = parse(body)
        source = read_source(value["source"])
        parties = {role: _take_names(names) for role, names in value["parties"].items()}
        secret = decode_b64(value["secret"], length=32, field="secret")
        rules = {name: compile_rules(patterns) for name, patterns in source.shares.items()}
    except (KeyError, TypeError, AttributeError, TallyError) as cause:
        raise ProposalBroken(reason=str(cause)) from cause
    if set(parties) != set(source.roles) or not all(parties.values()):
        raise ProposalBroken(reason="parties must fill exactly the roles of the contract")
    if proposer not in {m for members in parties.values() for m in members}:
        raise ProposalBroken(reason=f"{proposer} proposes a contract that it is no party to")
    contract = Contract(
        id=contract_id, record=record, log=log, index=index, proposer=proposer,
        source_text=value["source"], source=source, terms=value.get("terms"),
        parties=parties, secret=secret, accepted=frozenset({proposer}), rules=rules,
    )  # fmt: skip
    return _settled(contract, frozenset())


def named_contract(body: bytes) -> Digest:
    """The contract id that an accept, decline or end names. Raises: EncodingError."""
    value = parse(body)
    if not isinstance(value, dict) or not isinstance(value.get("contract"), str):
        raise EncodingError(field="contract", reason="an accept, decline or end names its contract")
    return Digest(decode_b64(value["contract"], length=32, field="contract"))


_Word = tuple[str, MemberName, frozenset[MemberName] | None]
"""A statement's type, who made it, and who was given it; see `Agreements.state`."""


class Agreements:
    """Every contract this node is a party to. Statements may come in any order, early, and more than once."""

    def __init__(self) -> None:
        self._contracts: dict[Digest, Contract] = {}
        self._words: dict[Digest, set[_Word]] = {}
        self._statements: dict[tuple[Digest | None, str, str | None], Statement] = {}
        self._lock = threading.Lock()  # guards all three

    def propose(self, contract: Contract) -> None:
        with self._lock:
            if contract.id not in self._contracts:
                self._settle(contract)

    def state(
        self, contract_id: Digest, type_name: str, member: MemberName, *, told: frozenset[MemberName] | None = None
    ) -> None:
        """Take in an accept, decline or end by `member`; one of no party changes nothing.

        told: who was given this very statement; None for all parties.
        """
        with self._lock:
            self._words.setdefault(contract_id, set()).add((type_name, member, told))
            if contract_id in self._contracts:
                self._settle(self._contracts[contract_id])

    def _settle(self, contract: Contract) -> None:
        self._contracts[contract.id] = _settled(contract, frozenset(self._words.get(contract.id, ())))
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


def told_alike(meta: Meta, author: MemberName) -> frozenset[MemberName]:
    """Whom a record tells all that it tells anybody, its author among them; nobody if it tells some more than others.

    A record may have sections for different readers, and so could say one thing to each.
    """
    shared = meta.audience[1:-1]
    if len(shared) != 1 or not all(name.startswith("@") for name in shared[0]):
        return frozenset()
    return frozenset({author, *(MemberName(name[1:]) for name in shared[0])})


def _settled(contract: Contract, words: frozenset[_Word]) -> Contract:
    """The contract as it stands after all that was said of it, in whatever order.

    An acceptance counts if all parties were told of it; a decline or end counts for whoever hears of it.
    """
    everyone = frozenset(contract.members)

    def counts(word: str, told: frozenset[MemberName] | None) -> bool:
        return word != ACCEPT or told is None or told >= everyone

    def who(type_name: str) -> list[MemberName]:
        said = {member for word, member, told in words if word == type_name and counts(word, told)}
        return [member for member in contract.members if member in said]

    accepted = frozenset({contract.proposer, *who(ACCEPT)})
    status = Status.ACTIVE if set(contract.members) <= accepted else Status.PROPOSED
    against = who(DECLINE) or who(END)
    if against:
        status = Status.DECLINED if who(DECLINE) else Status.ENDED
    return replace(contract, accepted=accepted, status=status, ended_by=against[0] if against else None)


def _take_names(value: object) -> tuple[MemberName, ...]:
    """The members in one role. Raises: EncodingError."""
    if not isinstance(value, list):
        raise EncodingError(field="parties", reason="a role is filled by a list of members")
    return tuple(MemberName(decode_name(name, "parties")) for name in value)


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
