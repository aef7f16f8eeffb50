"""Evaluating a batch: inputs in order, each with the state that the one before it left.

One fresh instance for the batch; for each input a fresh namespace. Inputs are begun in windows, so that the cases of
many are asked for at once, and then go on one by one.

**The trap rule.** An input that ends its instance (fuel, memory, stack, something forbidden) is run again alone in a
fresh instance; what comes of that counts. The rest of the batch goes on in another fresh instance. So no input is
rejected for what its neighbours did, and none takes them down.

Spec: docs/spec/contract-engine.md, "A batch".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from contracts import limits
from contracts.engine.answers import AnswerWrong, Reason, canonical, has_doubtful_keys, read_case, read_reason
from contracts.engine.machine import Instance, Trapped
from contracts.engine.outcomes import Answer, Lookup, Outcome
from contracts.engine.programs import TRAPS, Program

T = TypeVar("T")

Beat = Callable[[], None]
"""Called between any two calls of the guest: each is short, and a batch of the worst ones takes minutes."""


def evaluate(program: Program, records: Sequence[str], lookup: Lookup, beat: Beat) -> list[Outcome]:
    """The outcomes of a batch. records: JSON, checked and bounded by the caller. Raises: ContractNotRunnable."""
    assert len(records) <= limits.BATCH_INPUTS_MAX, "a batch has a bound"
    batch = _Batch(program, records, lookup, beat)
    try:
        while len(batch.outcomes) < len(records):
            batch.step()
    finally:
        batch.close()
    return batch.outcomes


def find_cases(program: Program, records: Sequence[str], beat: Beat) -> list[str | None]:
    """What `key` says of each input, None where it says nothing. No outcome: how inputs are shared out, no more."""
    # An instance keeps what was begun in it until it goes.
    return _each(
        program, records, beat, together=limits.WINDOW_INPUTS,
        call=lambda instance, record: _begin_one(instance, record).case, refuse=lambda cause: None,
    )  # fmt: skip


def ask(program: Program, name: str, arguments: Sequence[str], beat: Beat) -> list[Answer]:
    """Call `share`, `summary` or `migrate` once for each list of arguments (JSON), by the trap rule."""
    return _each(
        program, arguments, beat, together=limits.BATCH_INPUTS_MAX,
        call=lambda instance, one: _ask_one(instance, name, one),
        refuse=lambda cause: Answer(reason=_trap(cause.kind), fuel=cause.fuel),
    )  # fmt: skip


# --- inside ------------------------------------------------------------------------


def _each(
    program: Program, texts: Sequence[str], beat: Beat, *, together: int,
    call: Callable[[Instance, str], T], refuse: Callable[[Trapped], T],
) -> list[T]:  # fmt: skip
    """One call for each text, by the trap rule. together: how many of them may share an instance."""
    answers: list[T] = []
    instance: Instance | None = None
    called = 0  # of this instance
    while len(answers) < len(texts):
        beat()
        instance = instance or program.open()
        try:
            answers.append(call(instance, texts[len(answers)]))
            called += 1
            if called < together:
                continue
        except Trapped as cause:
            if not called:
                answers.append(refuse(cause))
        instance.close()
        instance, called = None, 0
    if instance is not None:
        instance.close()
    return answers


class _Begun:
    """An input that was begun: its case, or why there is none; fuel used so far."""

    __slots__ = ("case", "fuel", "reason")

    def __init__(self, case: str | None, reason: Reason | None, fuel: int) -> None:
        self.case = case
        self.reason = reason
        self.fuel = fuel


class _Batch:
    """One batch on its way. `outcomes`: of the inputs that are done; the next one is number `len(outcomes)`."""

    def __init__(self, program: Program, records: Sequence[str], lookup: Lookup, beat: Beat) -> None:
        self.outcomes: list[Outcome] = []
        self._beat = beat
        self._window = limits.WINDOW_INPUTS
        self._program = program
        self._records = records
        self._lookup = lookup
        self._states: dict[str, bytes | None] = {}
        self._instance: Instance | None = None
        self._trapped = -1  # the input that must be run alone, or must not be in a window any more

    def step(self) -> None:
        """Do the next window, or the one input that trapped."""
        at = len(self.outcomes)
        if at == self._trapped:
            self._run_alone(at)
            return
        begun = self._begin(at)
        if begun:
            self._know(begun)
            self._go_on(at, begun)
            self._window = min(2 * self._window, limits.WINDOW_INPUTS)

    def close(self) -> None:
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def _open(self) -> Instance:
        if self._instance is None:
            self._beat()
            self._instance = self._program.open()
        return self._instance

    def _begin(self, at: int) -> list[_Begun]:
        """Begin a window of inputs. Empty if one trapped: the window before it is begun once more without it."""
        begun: list[_Begun] = []
        self._forget()
        instance = self._open()
        for number in range(at, self._window_end(at)):
            self._beat()
            try:
                begun.append(_begin_one(instance, self._records[number]))
            except Trapped:
                self._trapped = number
                self.close()
                return []
        return begun

    def _window_end(self, at: int) -> int:
        """Where the window that begins at `at` ends: bounded in inputs and bytes, and before the one that traps."""
        end = min(len(self._records), at + self._window)
        if at < self._trapped:
            end = min(end, self._trapped)
        size = 0
        for number in range(at, end):
            size += _length(self._records[number])
            if number > at and size > limits.WINDOW_BYTES:
                return number
        return end

    def _forget(self) -> None:
        """Free what earlier windows left. A contract that tampered with the guest may make this fail."""
        if self._instance is not None:
            try:
                self._instance.call("forget", fuel=limits.FUEL_LOAD)
            except Trapped:
                self.close()

    def _know(self, begun: Iterable[_Begun]) -> None:
        cases = dict.fromkeys(one.case for one in begun if one.case is not None)
        unknown = [case for case in cases if case not in self._states]
        if unknown:
            self._states.update(zip(unknown, self._lookup(unknown), strict=True))

    def _go_on(self, at: int, begun: Sequence[_Begun]) -> None:
        """Apply what was begun. Stops at an input that traps."""
        for index, one in enumerate(begun):
            self._beat()
            try:
                outcome = self._apply(self._open(), index, at + index, one, careful=False)
            except Trapped:
                self._trapped = at + index
                self.close()
                return
            self._keep(outcome)

    def _run_alone(self, at: int) -> None:
        self.close()
        self._trapped = -1
        self._window = 1  # and doubled from here: else a row of traps would begin whole windows again for each
        one = _Begun(None, None, 0)
        try:
            instance = self._open()
            one = _begin_one(instance, self._records[at])
            self._beat()
            self._know([one])
            self._keep(self._apply(instance, 0, at, one, careful=True))
        except Trapped as cause:
            self.outcomes.append(Outcome(case=one.case, reason=_trap(cause.kind), fuel=one.fuel + cause.fuel))
        self.close()

    def _apply(self, instance: Instance, index: int, at: int, one: _Begun, *, careful: bool) -> Outcome:
        if one.case is None:
            return Outcome(case=None, reason=one.reason, fuel=one.fuel)
        state = self._states[one.case]
        text = "null" if state is None else state.decode()
        left = _fuel(self._records[at], text) - one.fuel
        answer, used = instance.call("advance", index, text, careful, fuel=left)
        if answer[:1] == "=" and len(answer) <= limits.ANSWER_BYTES_MAX and has_doubtful_keys(answer):
            try:
                looked, more = instance.call("look", fuel=left - used)
            except Trapped as cause:
                raise Trapped(cause.kind, used + cause.fuel) from None
            used += more
            if looked[:1] != "=":
                answer = looked
        return _settle(one, answer, used)

    def _keep(self, outcome: Outcome) -> None:
        if outcome.case is not None and outcome.state is not None:
            self._states[outcome.case] = outcome.state
        self.outcomes.append(outcome)


def _begin_one(instance: Instance, record: str) -> _Begun:
    answer, fuel = instance.call("begin", record, fuel=_fuel(record))
    if answer[:1] != "=":
        return _Begun(None, read_reason(answer[1:]), fuel)
    try:
        return _Begun(read_case(answer[1:]), None, fuel)
    except AnswerWrong as cause:
        return _Begun(None, Reason(kind="answer", message=str(cause)), fuel)


def _ask_one(instance: Instance, name: str, arguments: str) -> Answer:
    answer, fuel = instance.call("ask", name, arguments, fuel=_fuel(arguments))
    if answer[:1] != "=":
        return Answer(reason=read_reason(answer[1:]), fuel=fuel)
    try:
        return Answer(content=canonical(answer[1:]), fuel=fuel)
    except AnswerWrong as cause:
        return Answer(reason=Reason(kind="answer", message=str(cause)), fuel=fuel)


def _settle(one: _Begun, answer: str, used: int) -> Outcome:
    fuel = one.fuel + used
    if answer[:1] != "=":
        return Outcome(case=one.case, reason=read_reason(answer[1:]), fuel=fuel)
    try:
        return Outcome(case=one.case, state=canonical(answer[1:]), fuel=fuel)
    except AnswerWrong as cause:
        return Outcome(case=one.case, reason=Reason(kind="answer", message=str(cause)), fuel=fuel)


def _trap(kind: str) -> Reason:
    return Reason(kind="trap", message=TRAPS[kind])


def _fuel(*texts: str) -> int:
    return limits.FUEL_INPUT + limits.FUEL_BYTE * sum(map(_length, texts))


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
