"""A contract as its parties' statements make it: the proposal, and what all that was said of it comes to.

What it comes to depends on what was said, and not on the order in which logs happened to arrive.

Spec: docs/spec/agreements.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from contracts.source import Source, read_source
from ledger.errors import BadInput, EncodingError, NotAllowed, TallyError
from ledger.fields import Rules
from ledger.jsontext import parse
from ledger.names import Digest, MemberName, RecordId, decode_b64, decode_hex, decode_name, encode_b64
from ledger.record import Meta

PROPOSE: Final = "tally/propose"
ACCEPT: Final = "tally/accept"
DECLINE: Final = "tally/decline"
END: Final = "tally/end"

STATEMENTS: Final = frozenset({PROPOSE, ACCEPT, DECLINE, END})
"""What members say of contracts. Other types that begin with `tally/` say nothing of them."""

VERSION: Final = 1
"""Of what these types mean here: one of a later version may say more than this node would take from it."""

_MEMBERS: Final = ("source", "terms", "parties", "secret")


class Status(StrEnum):
    PROPOSED = "proposed"
    ACTIVE = "active"
    UNSUPPORTED = "unsupported"  # it has code, and this version runs none
    DECLINED = "declined"
    ENDED = "ended"


class CodeNotRun(NotAllowed):
    code = "code-not-run"
    template = "this version runs no contract code, and the contract defines {functions}"
    hint = "Take the functions out, or wait for a version that runs them."


class ProposalBroken(BadInput):
    code = "proposal-broken"
    template = "the proposal is refused: {reason}"
    hint = "`tally contract lint FILE` checks a contract before it is proposed."


Place = tuple[int, int]
"""Where a statement stands among all that its member says: epoch of the log, and index."""

Word = tuple[str, MemberName, frozenset[MemberName] | None]
"""A statement's type, who made it, and who was given it; see `Agreements.state`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One contract. `id`: leaf hash of the proposal's entry. `parties`: role -> members.

    is_agreed: every party accepted, whatever was said afterwards.
    since, until: where in its own log a party accepted, and where it declined or ended.
    """

    id: Digest
    record: RecordId
    log: str
    index: int
    proposer: MemberName
    source_text: str
    source: Source
    parties: Mapping[str, tuple[MemberName, ...]]
    secret: bytes
    accepted: frozenset[MemberName]
    status: Status = Status.PROPOSED
    ended_by: MemberName | None = None
    is_agreed: bool = False
    since: Mapping[MemberName, Place] = field(default_factory=dict)
    until: Mapping[MemberName, Place] = field(default_factory=dict)
    rules: Mapping[str, Rules] = field(default_factory=dict)

    @property
    def members(self) -> tuple[MemberName, ...]:
        return tuple(sorted({m for members in self.parties.values() for m in members}))

    @property
    def waiting_for(self) -> tuple[MemberName, ...]:
        return tuple(m for m in self.members if m not in self.accepted) if self.status is Status.PROPOSED else ()

    def binds(self, author: MemberName, place: Place) -> bool:
        """Whether a record of `author` at `place` in its log stands under this contract, once all accepted it.

        Known alike to all, whenever they ask: what others had said by then, and the author had heard, is not.
        """
        start, end = self.since.get(author, place), self.until.get(author, place)
        return self.is_agreed and start <= place <= end

    def roles_of(self, member: str) -> tuple[str, ...]:
        return tuple(sorted(role for role, members in self.parties.items() if member in members))


# --- what a member says -----------------------------------------------------------


def decode_proposal(
    body: bytes, *, contract_id: Digest, record: RecordId, log: str, index: int, proposer: MemberName
) -> Contract:
    """Read the body of a `tally/propose` record. Raises: ProposalBroken.

    What a further member means could be part of what its parties agree on, so there is none.
    """
    try:
        value = parse(body)
        source = read_source(value["source"])
        parties = {role: _take_names(names) for role, names in value["parties"].items()}
        secret = decode_b64(value["secret"], length=32, field="secret")
    except (KeyError, TypeError, AttributeError, TallyError) as cause:
        raise ProposalBroken(reason=str(cause)) from cause
    if value.keys() - {"terms"} != {"source", "parties", "secret"}:
        raise ProposalBroken(reason=f"it has the members {', '.join(_MEMBERS)}, and no others")
    _check_roles(source, parties)
    if proposer not in {m for members in parties.values() for m in members}:
        raise ProposalBroken(reason=f"{proposer} proposes a contract that it is no party to")
    contract = Contract(
        id=contract_id, record=record, log=log, index=index, proposer=proposer,
        source_text=value["source"], source=source,
        parties=parties, secret=secret, accepted=frozenset({proposer}), rules=source.rules,
    )  # fmt: skip
    return settle(contract, {})


def decode_contract_id(text: str) -> Digest:
    """A contract's id as people and programs write it. Raises: EncodingError."""
    try:
        return Digest(decode_hex(text, length=32, field="contract"))
    except EncodingError as cause:
        cause.hint = "Give the whole id, 64 digits: `tally contract show` and `GET /contracts` have it."
        raise


def named_contract(body: bytes, type_name: str) -> Digest:
    """The contract id that an accept, decline or end names. Raises: EncodingError.

    What an acceptance says besides could be a condition; a notice is heard whatever it says besides.
    """
    value = parse(body)
    if type_name == ACCEPT and isinstance(value, dict) and len(value) != 1:
        raise EncodingError(field="contract", reason="an acceptance names its contract, and says no more")
    if not isinstance(value, dict) or not isinstance(value.get("contract"), str):
        raise EncodingError(field="contract", reason="an accept, decline or end names its contract")
    return Digest(decode_b64(value["contract"], length=32, field="contract"))


def is_statement(meta: Meta, body: bytes) -> bool:
    """Whether a record has the form of a statement of this version, and tells nothing besides.

    Not whether it counts: what its source says, and who its parties are, is not looked at.
    """
    if meta.type not in STATEMENTS or (meta.version, meta.contract, meta.role) != (VERSION, None, None):
        return False
    try:
        value = parse(body)
        if meta.type != PROPOSE:
            return bool(value == {"contract": encode_b64(named_contract(body, meta.type))})
        decode_b64(value["secret"], length=32, field="secret")
        has_form = isinstance(value["source"], str) and isinstance(value["parties"], dict)
        return has_form and value.keys() - {"terms"} == {"source", "parties", "secret"}
    except (KeyError, TypeError, AttributeError, TallyError):
        return False


def told_alike(meta: Meta, author: MemberName) -> frozenset[MemberName]:
    """Whom a record tells all that it tells anybody, its author among them; nobody if it tells some more than others.

    A record may have sections for different readers, and so could say one thing to each.
    """
    shared = meta.audience[1:-1]
    if len(shared) != 1 or not all(name.startswith("@") for name in shared[0]):
        return frozenset()
    return frozenset({author, *(MemberName(name[1:]) for name in shared[0])})


def keep_first(words: dict[Word, Place | None], word: Word, place: Place | None) -> None:
    """Keep a word, and of its places the first that is known."""
    known = words.get(word)
    words[word] = place if known is None or (place is not None and place < known) else known


def settle(contract: Contract, words: Mapping[Word, Place | None]) -> Contract:
    """The contract as it stands after all that was said of it, in whatever order.

    words: where each stands, None where that is not known.
    An acceptance counts if all parties were told of it; a decline or end counts for whoever hears of it.
    """
    everyone = frozenset(contract.members)

    def counts(word: str, told: frozenset[MemberName] | None) -> bool:
        return word != ACCEPT or told is None or told >= everyone

    def who(type_name: str) -> list[MemberName]:
        said = {member for word, member, told in words if word == type_name and counts(word, told)}
        return [member for member in contract.members if member in said]

    accepted = frozenset({contract.proposer, *who(ACCEPT)})
    since: dict[MemberName, Place] = {}
    until: dict[MemberName, Place] = {}
    for (word, member, told), place in words.items():
        first = since if word == ACCEPT else until
        if place is not None and counts(word, told):
            first[member] = min(place, first.get(member, place))
    is_agreed = accepted >= everyone
    status = Status.ACTIVE if is_agreed else Status.PROPOSED
    if contract.source.functions:
        # Taken for a plain sharing agreement, it would share otherwise than at the parties that run its code.
        status = Status.UNSUPPORTED
    against = who(DECLINE) or who(END)
    if against:
        status = Status.DECLINED if who(DECLINE) else Status.ENDED
    ended_by = against[0] if against else None
    return replace(
        contract,
        accepted=accepted,
        status=status,
        ended_by=ended_by,
        is_agreed=is_agreed,
        since=since,
        until=until,
    )


def _check_roles(source: Source, parties: Mapping[str, Sequence[MemberName]]) -> None:
    """Raise ProposalBroken unless the parties fill exactly the roles of the contract."""
    told = []
    if empty := [role for role in sorted(source.roles) if not parties.get(role)]:
        told.append(f"no member for {', '.join(empty)}")
    if unknown := [ascii(role[:80]) for role in sorted(parties.keys() - source.roles)]:
        told.append(f"no role is called {', '.join(unknown[:9])}")
    if told:
        raise ProposalBroken(reason=f"parties must fill exactly the roles of the contract: {'; '.join(told)}")


def _take_names(value: object) -> tuple[MemberName, ...]:
    """The members in one role. Raises: EncodingError."""
    if not isinstance(value, list):
        raise EncodingError(field="parties", reason="a role is filled by a list of members")
    names = tuple(MemberName(decode_name(name, "parties")) for name in value)
    if len(set(names)) != len(names):
        raise EncodingError(field="parties", reason="a member is named twice in one role")
    return names
