"""Problems: where another member's record is not what its contract says.

The author's node seals each field exactly to whom the contract gives it. Every reader's node compares what it
got with the same rules, as far as it can see. A record with problems is kept and shown like any other, and
marked: it stands in a log that cannot be unsaid, and it may be all that its reader will ever get.
(A signed complaint about it, a claim, comes with a later version; it names the record and these codes.)

Spec: docs/spec/agreements.md, "What a reader's node compares".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ledger import limits
from ledger.errors import BadInput, Missing
from ledger.fields import Rules, audience_of, cut_parts, is_flat, join
from ledger.names import Digest, MemberName
from ledger.record import Meta
from node.contract import Contract, Place, is_statement
from node.reader import ReadRecord

CODES: Final[Mapping[str, str]] = {
    "contract-missing": "shared with others outside any contract",
    "contract-unknown": "under a contract that this node does not know, or not yet",
    "contract-not-active": "under a contract that its author is no party to, had not accepted yet, or had ended, there",
    "acceptance-not-seen": "under a contract of which this member has not seen these parties' acceptances, or not yet",
    "type-unknown": "of a type that SHARES of the contract does not have",
    "role-not-held": "filed in a role that its author does not have in the contract",
    "role-not-author": "filed in a role that AUTHORS does not give the type",
    "audience-wider": "a part is shared with roles that the contract does not give it to",
    "audience-narrower": "a part is kept from roles that the contract gives it to",
    "audience-foreign": "a section that this member cannot read has an audience that no rule of the contract gives",
    "section-owed": "a section is for this member, by what section 0 says, and it was not given it",
    "section-not-mine": "this member was given a section that, by what section 0 says, is for others",
}
"""Stable code of each problem, and what the record is then."""

PASSING: Final = ("contract-unknown", "contract-not-active", "acceptance-not-seen")
"""Those that a statement which arrives later can take away."""

_SHAPES_MAX: Final = 1000
_REMEMBERED_LETTERS: Final = 4096  # of names in one shape: a hostile author's long ones would fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding; of one kind only the first in a section is told. who: the roles, or @members, that it is about."""

    code: str
    section: int | None = None
    field: str | None = None
    who: tuple[str, ...] = ()


_Named = tuple[tuple[int, tuple[str, ...]], ...]
"""The names of the fields that were opened, by section."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What holds of all records of one shape. deep: (section, place of the field) of parts that have to be cut."""

    problems: tuple[Problem, ...]
    deep: tuple[tuple[int, int], ...]


class Judge:
    """Finds the problems of records. Safe to use from several threads.

    Records of one shape under one contract are judged once: most of them look alike.
    """

    def __init__(self, find: Callable[[Digest], Contract], member: MemberName) -> None:
        """find: a contract by its id; raises Missing."""
        self._find = find
        self._member = member
        self._shapes: dict[tuple[object, ...], _Verdict] = {}

    def find_problems(self, record: ReadRecord) -> tuple[Problem, ...]:
        """What is wrong with a record of another member, as far as this one reads it; nothing of one's own."""
        meta, author = record.meta, record.origin.member
        if record.opened is None or meta is None or author == self._member:
            return ()
        if meta.contract is None:
            # Any other type, and any other member of a statement, would be a way to share what no contract gives.
            is_let_off = not meta.audience[0] or is_statement(meta, record.body)
            return () if is_let_off else (Problem(code="contract-missing", who=meta.audience[0]),)
        try:
            contract = self._find(meta.contract)
        except Missing:
            return (Problem(code="contract-unknown"),)
        verdict = self._judge_shape(record, meta, contract)
        found = _judge_time(contract, author, (record.origin.epoch, record.index))
        found += verdict.problems
        if verdict.deep:
            found += _judge_parts(record, meta, contract, verdict.deep)
        return tuple(_first_of_each(found))

    def _judge_shape(self, record: ReadRecord, meta: Meta, contract: Contract) -> _Verdict:
        assert record.opened is not None, "closed records are not judged"
        named: _Named = tuple(
            [
                (number, tuple([name for name, _ in fields]))
                for number, fields in record.opened.sections.items()
                if number
            ]
        )
        key = (contract.id, record.origin.member, meta.type, meta.role, meta.audience, record.given, named)
        known = self._shapes.get(key)
        if known is not None:
            return known
        verdict = _judge(meta, contract, author=record.origin.member, named=named)
        given = tuple(_check_given(meta, contract, self._member, record.given))
        verdict = _Verdict((*verdict.problems, *given), verdict.deep)
        if sum(map(len, chain.from_iterable((*meta.audience, *[names for _, names in named])))) <= _REMEMBERED_LETTERS:
            if len(self._shapes) >= _SHAPES_MAX:
                self._shapes.clear()
            self._shapes[key] = verdict  # of all that may change about a contract, nothing is in it
        return verdict


def _judge_time(contract: Contract, author: MemberName, place: Place) -> list[Problem]:
    """Whether the contract was one for its author there, by what the author says itself.

    Whose acceptance this member does not see may have shown it to the author: that is held against who accepted so.
    """
    if contract.binds(author, place):
        return []
    missing = tuple(member for member in contract.members if member not in contract.accepted)
    since, until = contract.since.get(author, place), contract.until.get(author, place)
    if missing and author not in missing and since <= place <= until:
        return [Problem(code="acceptance-not-seen", who=tuple(f"@{member}" for member in missing))]
    return [Problem(code="contract-not-active")]


def _judge(meta: Meta, contract: Contract, *, author: MemberName, named: _Named) -> _Verdict:
    """What the names alone tell: type, role, and the audience of every field and section."""
    rules = contract.rules.get(meta.type)
    if rules is None:
        return _Verdict((Problem(code="type-unknown"),), ())
    found: list[Problem] = []
    role = meta.role or ""
    if author not in contract.parties.get(role, ()):
        found.append(Problem(code="role-not-held", who=(role,) if role else ()))
    elif role not in contract.source.authors.get(meta.type, frozenset()):
        found.append(Problem(code="role-not-author", who=(role,)))
    deep: list[tuple[int, int]] = []
    for number, names in named:
        for name in names:
            found += _compare(meta, contract, number, name=name, due=audience_of(rules, name))
        if not is_flat(rules):
            deep += [(number, place) for place in range(len(names))]
    if not contract.source.has_share:
        possible = {frozenset(roles) for roles in contract.source.shares[meta.type].values()}
        opened = {number for number, _ in named}
        for number, audience in enumerate(meta.audience[:-1]):
            if number and number not in opened and frozenset(audience) not in possible:
                found.append(Problem(code="audience-foreign", section=number, who=audience))
    return _Verdict(tuple(_first_of_each(found)), tuple(deep))


def _compare(meta: Meta, contract: Contract, number: int, *, name: str, due: frozenset[str]) -> Iterator[Problem]:
    """Problems of one part, in section `number`, that the rules give to `due`."""
    audience = frozenset(meta.audience[number])
    if audience == due:
        return
    # What `share` adds is known only to who runs it.
    if audience - due and not contract.source.has_share:
        yield Problem(code="audience-wider", section=number, field=name, who=tuple(sorted(audience - due)))
    if due - audience:
        yield Problem(code="audience-narrower", section=number, field=name, who=tuple(sorted(due - audience)))


def _judge_parts(
    record: ReadRecord, meta: Meta, contract: Contract, deep: tuple[tuple[int, int], ...]
) -> Iterator[Problem]:
    """Parts that the rules share apart from what stands around them, and that their author left in it."""
    assert record.opened is not None, "closed records are not judged"
    rules: Rules = contract.rules[meta.type]
    for number, place in deep:
        name, text = record.opened.sections[number][place]
        if text[:1] not in (b"{", b"["):
            continue
        try:
            parts = cut_parts(join([(name, text)]), rules)
        except BadInput:
            # A part for which the contract lets nobody file the record at all: who reads it was not the contract's say.
            yield Problem(code="audience-wider", section=number, field=name, who=meta.audience[number])
            continue
        for part, _, due in parts:
            if part.startswith(name + "/"):
                yield from _compare(meta, contract, number, name=part, due=due)


def _check_given(meta: Meta, contract: Contract, member: MemberName, given: bytes) -> Iterator[Problem]:
    """Sections that the wrap left out or gave too many, by the roles that the contract gives this member."""
    mine = {f"@{member}", *contract.roles_of(member)}
    for number, audience in enumerate(meta.audience[:-1]):
        if number and bool(mine & set(audience)) != (number in given):
            code = "section-not-mine" if number in given else "section-owed"
            yield Problem(code=code, section=number, who=audience)


def _first_of_each(found: list[Problem]) -> list[Problem]:
    """The first problem of each kind in each section, at most so many as a record may have."""
    first = {(problem.code, problem.section): problem for problem in reversed(found)}
    kept = sorted(first.values(), key=lambda problem: list(CODES).index(problem.code))
    return kept[: limits.RECORD_PROBLEMS_MAX]
