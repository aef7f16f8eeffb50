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
from collections import Counter
from collections.abc import Iterable

from ledger import limits
from ledger.errors import BadInput, Missing, NotAllowed
from ledger.names import Digest, MemberName
from ledger.record import Statement
from node.contract import (
    ACCEPT,
    DECLINE,
    END,
    PROPOSE,
    CodeNotRun,
    Contract,
    Place,
    ProposalBroken,
    Status,
    Word,
    decode_contract_id,
    decode_proposal,
    keep_first,
    named_contract,
    settle,
    told_alike,
)
from node.drafts import answer_body, draft_addressed, draft_private, draft_under
from node.room import Room

__all__ = [
    "ACCEPT",
    "DECLINE",
    "END",
    "PROPOSE",
    "Agreements",
    "CodeNotRun",
    "Contract",
    "ContractNotActive",
    "Place",
    "ProposalBroken",
    "RoleNotAllowed",
    "Status",
    "TypeUnknown",
    "answer_body",
    "decode_contract_id",
    "decode_proposal",
    "draft_addressed",
    "draft_private",
    "draft_under",
    "named_contract",
    "told_alike",
]


class ContractNotActive(NotAllowed):
    code = "contract-not-active"
    template = "contract {contract} is {status}"
    hint = "`tally contract show` says how it stands: every party must accept it; once declined or ended, propose anew."


class RoleNotAllowed(NotAllowed):
    code = "role-not-allowed"
    template = "{member} may not file {type!r} under contract {contract}: {reason}"
    hint = "`tally contract show` lists who may file what."


class TypeUnknown(BadInput):
    code = "type-unknown"
    template = "contract {contract} does not know the record type {type!r}"
    hint = "SHARES of the contract must name the type; what it does not name is never shared."


class Agreements:
    """Every contract this node is a party to. Statements may come in any order, early, and more than once.

    What a member can fill it with is bounded, but for what `own` answered. Proposals that have no room are passed
    over, from the first on, until there is some (node/statements.py then offers them again).
    """

    def __init__(self, own: MemberName | None = None) -> None:
        self._own = own
        self._contracts: dict[Digest, Contract] = {}
        self._words: dict[Digest, dict[Word, Place | None]] = {}
        self._statements: dict[tuple[Digest | None, str, str | None], Statement] = {}
        self._room = Room()  # what proposals take that `own` has not answered
        self._awaited: set[Digest] = set()  # contracts that are not known and `own` spoke of
        self._early: Counter[MemberName] = Counter()  # words on contracts that are not known
        self._lost: dict[MemberName, Place] = {}  # the first word for which there was no room
        self._lock = threading.Lock()  # guards all of them

    def propose(self, contract: Contract, *, length: int = 0) -> None:
        """Take in a proposal, of a body of `length` bytes, for which there `has_room`."""
        with self._lock:
            if contract.id in self._contracts:
                return
            if not self._is_answered(contract.proposer, contract.id):
                self._room.take(contract.proposer, contract.id, length)
            self._awaited.discard(contract.id)
            early = self._words.pop(contract.id, {})
            self._early -= Counter(member for _, member, _ in early)
            self._words[contract.id] = {}
            for word, place in early.items():
                self._keep_word(contract, word, place)
            self._settle(contract)

    def has_room(self, proposer: MemberName, contract_id: Digest, length: int, *, place: Place) -> bool:
        """Whether a proposal may be taken in; if not, it is passed over, as are those behind it."""
        with self._lock:
            if contract_id in self._contracts or self._is_answered(proposer, contract_id):
                return True
            return self._room.admits(proposer, contract_id, length, place=place, forget=self._forget_ended)

    def refuse(self, proposer: MemberName, contract_id: Digest, length: int) -> None:
        """Remember that a proposal was read and is none: it counts like one, and is not read again."""
        with self._lock:
            if contract_id not in self._contracts:
                self._room.refuse(proposer, contract_id, length)

    def passed_over(self) -> dict[MemberName, Place]:
        """Of whom proposals are not taken up for lack of room, and the first of each."""
        with self._lock:
            return self._room.passed()

    def awaited(self) -> set[Digest]:
        """Contracts that the own member spoke of and that are not known: their proposals may have been passed over."""
        with self._lock:
            return set(self._awaited)

    def look_again(self, proposer: MemberName) -> None:
        """Forget what was passed over, as it is offered again now, in order."""
        with self._lock:
            self._room.look_again(proposer)

    def lost_words(self) -> dict[MemberName, Place]:
        """Whose words on unknown contracts had no room, and the first of each."""
        with self._lock:
            return dict(self._lost)

    def hear_again(self, member: MemberName) -> None:
        """Forget what was lost, as it is said again now, in order."""
        with self._lock:
            self._lost.pop(member, None)

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
        word: Word = (type_name, member, told if type_name == ACCEPT else None)
        with self._lock:
            contract = self._contracts.get(contract_id)
            if contract is None:
                self._keep_early(contract_id, word, place)
                return
            if member == self._own:
                self._room.leave(contract.proposer, contract_id)
            self._keep_word(contract, word, place)
            self._settle(contract)

    def _keep_word(self, contract: Contract, word: Word, place: Place | None) -> None:
        """At most three of each party: of a known contract it is known whether all parties were told."""
        type_name, member, told = word
        everyone = frozenset(contract.members)
        if member in everyone and (told is None or told >= everyone):
            keep_first(self._words[contract.id], (type_name, member, None), place)

    def _keep_early(self, contract_id: Digest, word: Word, place: Place | None) -> None:
        member = word[1]
        if word not in self._words.get(contract_id, {}):
            if member != self._own and self._early[member] >= limits.WORDS_EARLY_MAX:
                self._lost.setdefault(member, place or (0, 0))
                return
            self._early[member] += 1
            if member == self._own:
                self._awaited.add(contract_id)
        keep_first(self._words.setdefault(contract_id, {}), word, place)

    def _is_answered(self, proposer: MemberName, contract_id: Digest) -> bool:
        """Whether `own` proposed it, or has said anything of it: no other member decides that it is kept."""
        return self._own is not None and (
            proposer == self._own or any(member == self._own for _, member, _ in self._words.get(contract_id, ()))
        )

    def _forget_ended(self, among: Iterable[Digest]) -> Digest | None:
        """Of what the own member had not answered: nothing can come of it any more."""
        over = next((id_ for id_ in among if self._contracts[id_].ended_by is not None), None)
        if over is not None:
            del self._contracts[over], self._words[over]
        return over

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
        with self._lock:
            # As it stands now: it may have been ended since the caller looked.
            current = self._contracts.get(contract.id, contract)
            made = _make_statement(current, type_name, role, author=author)
            return self._statements.setdefault((contract.id, type_name, role), made)


def _make_statement(contract: Contract, type_name: str, role: str | None, *, author: MemberName) -> Statement:
    """Raises: as `Agreements.statement`."""
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
    return Statement(type=type_name, contract=contract.id, role=role or allowed[0], readers=dict(contract.parties))
