"""Folding: a stream of inputs through a contract, batch by batch, into one state for each case.

Here is no order to agree on and nobody to agree with: inputs come in the order in which they are given. Nodes that
agree on order and state fold in the same way.

Spec: docs/spec/contract-engine.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from contracts import limits
from contracts.engine import Answer, AnswerWrong, Engine, Outcome, Reason, Running, Work, start_in_lanes
from contracts.inputs import NOBODY, Input, encode_unplaced, place, readings
from contracts.source import Source, read_source
from ledger.errors import BadInput
from ledger.fields import Rules, compile_rules, cut, unite
from ledger.jsontext import check_strict, parse
from ledger.names import Digest

_STATE_TAG: Final = b"tally/state/v1\n"
_STATES_TAG: Final = b"tally/states/v1\n"

Columns = Mapping[str, str | int | Decimal | bool | None]
Added = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What became of an input, and by which rules it is read: by nobody where it would not be recorded at all.

    What `apply` rejects is recorded, and is read.
    """

    outcome: Outcome
    rules: Rules


class Fold:
    """The states of one contract. `states`: case -> canonical JSON.

    text: the contract. terms: a strict JSON object. batch_inputs: inputs that share an instance; the states depend on
    it only where a contract keeps something between inputs, as it should not. Raises: ContractMalformed.
    """

    def __init__(self, engine: Engine, text: str, terms: bytes, *, batch_inputs: int = limits.BATCH_INPUTS_MAX) -> None:
        check_strict(terms)
        self.states: dict[str, bytes] = {}
        self.recorded = 0  # inputs that a node would have recorded: the sequence counts no others
        self.source: Source = read_source(text)
        self._engine = engine
        self._text = text
        self._terms = terms
        self._batch_inputs = batch_inputs

    def add(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Fold further inputs; what each came to, in their order.

        Raises: ContractNotRunnable, EngineFailed, EngineUnfit; then the states are those before this call.
        """
        return [filed.outcome for filed in self.file(inputs)]

    def file(self, inputs: Sequence[Input]) -> list[Filed]:
        """The same, with the rules by which each is read. Raises: as `add`."""
        states, recorded = dict(self.states), self.recorded
        filed: list[Filed] = []
        size, start = self._batch_inputs, self._run
        if len(inputs) >= limits.LANES_INPUTS_MIN:
            size, start = limits.LANES_INPUTS_MAX, self._start
        rules: list[Rules | Reason] = []
        running: Running | _Done = _Done([])
        try:
            for at in range(0, len(inputs), size):
                found, texts = self._prepare(inputs[at : at + size], recorded)
                recorded += len(texts)
                filed += _settle(rules, running.outcomes(), states)  # of those before, which ran meanwhile
                rules, running = found, start(texts, states)
            filed += _settle(rules, running.outcomes(), states)
        finally:
            running.stop()
        self.states, self.recorded = states, recorded
        return filed

    def summaries(self, cases: Iterable[str]) -> dict[str, Columns | Reason]:
        """What `summary` says of each case, or why it says nothing."""
        wanted = list(cases)
        arguments = [b"[%b]" % self.states[case] for case in wanted]
        answers = self._engine.ask(self._text, self._terms, "summary", arguments)
        return {case: _columns(answer) for case, answer in zip(wanted, answers, strict=True)}

    def shares(self, inputs: Sequence[Input]) -> list[Added | Reason]:
        """What `share` adds for each record: pattern -> roles, checked; nothing where the contract has no `share`."""
        return self._shares([encode_unplaced(self.source, one) for one in inputs])

    def readings(self, one: Input) -> list[tuple[str, frozenset[str]]] | Reason:
        """Every field of a record with the roles that read it, `share` included."""
        (added,) = self.shares([one])
        return added if isinstance(added, Reason) else readings(self.source, one, added)

    def states_hash(self) -> Digest:
        return hash_states(self.states)

    # --- inside ---

    def _prepare(self, inputs: Sequence[Input], recorded: int) -> tuple[list[Rules | Reason], list[str]]:
        """By which rules each is read, or why it is not recorded; and the records of those that are, in their places.

        recorded: how many inputs were recorded before these.
        """
        records = [_encode(self.source, one) for one in inputs]
        rules = self._rules(inputs, records)
        texts: list[str] = []
        for one, record, found in zip(inputs, records, rules, strict=True):
            if isinstance(record, str) and not isinstance(found, Reason):
                texts.append(place(record, one, recorded + len(texts)))
        return rules, texts

    def _rules(self, inputs: Sequence[Input], records: Sequence[str | Reason]) -> list[Rules | Reason]:
        """By which rules each is read, or why the author's node would not record it: by the literals, or by `share`."""
        found: list[Rules | Reason] = [
            record if isinstance(record, Reason) else self.source.rules[one.type]
            for one, record in zip(inputs, records, strict=True)
        ]
        if self.source.has_share:
            asked = {at: record for at, record in enumerate(records) if isinstance(record, str)}
            for at, added in zip(asked, self._shares(list(asked.values())), strict=True):
                found[at] = _united(self.source, inputs[at], added)
        return found

    def _shares(self, records: Sequence[str]) -> list[Added | Reason]:
        if not self.source.has_share:
            return [{} for _ in records]
        arguments = [b"[%b,%b]" % (record.encode(), self._terms) for record in records]
        answers = self._engine.ask(self._text, self._terms, "share", arguments)
        return [_added(answer, self.source.roles) for answer in answers]

    def _run(self, records: Sequence[str], states: Mapping[str, bytes]) -> Running | _Done:
        if "apply" not in self.source.functions:
            return _Done([Outcome(case=None) for _ in records])
        return _Done(
            self._engine.run(self._text, self._terms, records, lambda cases: [states.get(case) for case in cases])
        )

    def _start(self, records: Sequence[str], states: Mapping[str, bytes]) -> Running | _Done:
        """The same by two workers, in the background."""
        if "apply" not in self.source.functions:
            return self._run(records, states)
        work = Work(
            source=self._text, terms=self._terms, records=records, states=states, batch_inputs=self._batch_inputs
        )
        return start_in_lanes(self._engine, work)


def hash_state(state: bytes) -> Digest:
    return Digest(hashlib.sha256(_STATE_TAG + state).digest())


def hash_states(states: Mapping[str, bytes]) -> Digest:
    """Of all cases of a contract, whatever the order in which they came."""
    made = hashlib.sha256(_STATES_TAG)
    for name, state in sorted((case.encode(), state) for case, state in states.items()):
        made.update(len(name).to_bytes(2, "big") + name + hash_state(state))
    return Digest(made.digest())


# --- inside ------------------------------------------------------------------------


class _Done:
    """What `Running` is, where nothing goes on any more."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes

    def outcomes(self) -> list[Outcome]:
        return self._outcomes

    def stop(self) -> None:
        """There is nothing to stop."""


def _settle(rules: Sequence[Rules | Reason], outcomes: Sequence[Outcome], states: dict[str, bytes]) -> list[Filed]:
    """What became of inputs by these rules: those that are recorded have an outcome each, which changes `states`."""
    done = iter(outcomes)
    filed = [
        Filed(outcome=Outcome(case=None, reason=found), rules=NOBODY)
        if isinstance(found, Reason)
        else Filed(outcome=next(done), rules=found)
        for found in rules
    ]
    for outcome in (one.outcome for one in filed):
        if outcome.case is not None and outcome.state is not None:
            states[outcome.case] = outcome.state
    return filed


def _encode(source: Source, one: Input) -> str | Reason:
    """The record as it is passed, or why a node would not have recorded it at all."""
    if one.type not in source.rules:
        return Reason(kind="not-allowed", message=f"SHARES does not know the type {one.type!r}")
    if one.role not in source.authors.get(one.type, frozenset()):
        return Reason(kind="not-allowed", message=f"the role {one.role!r} may not file the type {one.type!r}")
    try:
        return encode_unplaced(source, one)
    except BadInput as cause:  # a pattern that lands on an element of an array, or too many fields
        return Reason(kind="not-allowed", message=str(cause))


def _united(source: Source, one: Input, added: Added | Reason) -> Rules | Reason:
    """The rules of the type, and what `share` adds for this record."""
    if isinstance(added, Reason) or not added:
        return added if isinstance(added, Reason) else source.rules[one.type]
    try:
        rules = unite(source.rules[one.type], added)
        cut(one.body, rules)
    except BadInput as cause:
        return Reason(kind="answer", message=str(cause))
    return rules


def _columns(answer: Answer) -> Columns | Reason:
    try:
        columns = _object(answer)
    except _Refused as cause:
        return cause.reason
    if len(columns) > limits.SUMMARY_COLUMNS_MAX:
        message = f"the summary has {len(columns)} columns, the limit is {limits.SUMMARY_COLUMNS_MAX}"
        return Reason(kind="answer", message=message)
    deep = next((name for name, value in columns.items() if isinstance(value, dict | list)), None)
    if deep is not None:
        return Reason(kind="answer", message=f"the column {deep[:80]!r} of the summary is no plain value")
    return columns


def _added(answer: Answer, known: frozenset[str]) -> Added | Reason:
    """What `share` answered, believed only as far as it adds roles of the contract."""
    try:
        rows = _object(answer)
        if len(rows) > limits.SHARE_PATTERNS_MAX:
            raise AnswerWrong(f"share adds {len(rows)} patterns, the limit is {limits.SHARE_PATTERNS_MAX}")
        added = {pattern: frozenset(roles) for pattern, roles in rows.items()}
        unknown = sorted({role for roles in added.values() for role in roles} - known)
        if unknown:
            raise AnswerWrong(f"share names the role {unknown[0][:80]!r}, which ROLES does not have")
        compile_rules(added)
    except _Refused as cause:
        return cause.reason
    except (AnswerWrong, BadInput) as cause:
        return Reason(kind="answer", message=str(cause))
    except TypeError:
        return Reason(kind="answer", message="share answers with something else than pattern -> roles")
    return added


class _Refused(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _object(answer: Answer) -> dict[str, Any]:
    if answer.content is None:
        assert answer.reason is not None, "there is an answer or a reason"
        raise _Refused(answer.reason)
    value = parse(answer.content)
    assert isinstance(value, dict), "the engine answers with objects only"
    return value
