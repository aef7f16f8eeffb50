"""Folding a stream of lines of any length: in batches, with what came of it counted.

Spec: docs/spec/contract-cases.md, "Inputs".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts import limits
from contracts.engine import Reason
from contracts.folding import Columns, Filed, Fold, hash_state
from contracts.inputs import Input, InputMalformed, decode_input
from contracts.source import Source
from contracts.wording import describe_reason, encode_value, find_function, reason_document
from ledger.errors import BadInput
from ledger.jsontext import encode_string

Line = tuple[int, bytes]
"""The number of a line in its file, from 1, and its text."""

_BEGUN: Final = ". This looks like a list, or JSON over several lines: write each input whole, on a line of its own"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in either width."""
_BEHIND: Final = re.compile(r'([;\t\r\n][ "]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])')
"""The same behind what other spreadsheets begin a cell at, whatever quotes are around it: those of many countries
split a file at `;`, and then do not see that a comma did."""


class SummaryMissing(BadInput):
    code = "summary-missing"
    template = "the contract has no `summary`, so there is no table of its cases"
    hint = "Give it a function summary(state) that answers with flat columns, or use --save."


_KIND_LETTERS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An input that was refused. case: None where it did not come as far as `key`'s answer.

    function: the one of the contract that was at work, None where none was.
    """

    line: int
    case: str | None
    reason: Reason
    function: str | None


class Lines:
    """Lines of one stream as inputs: each has its place, and the time of the one before it.

    sources: what is left out of a line is filled in by the first of them that can.
    """

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self.count = 0
        self._sources = sources
        self._name = name
        self._after: str | None = None

    def decode(self, lines: Iterable[Line]) -> list[tuple[int, Input]]:
        """Raises: InputMalformed, which names file and line."""
        return [(number, self._decode(number, line)) for number, line in lines]

    def _decode(self, number: int, line: bytes) -> Input:
        first: InputMalformed | None = None
        for source in self._sources:
            try:
                one = _decode(line, source, (self.count, self._after), f"{self._name}:{number}")
            except InputMalformed as cause:
                first = first or cause
            else:
                self.count += 1
                self._after = one.ordered
                return one
        assert first is not None, "there is a source"
        raise first


class Run:
    """One fold of a stream, and what came of it so far."""

    def __init__(self, fold: Fold, name: str) -> None:
        self.fold = fold
        self.applied = 0
        self.rejected: list[Rejected] = []
        self.fuel = 0
        self.fuel_most = 0
        self._lines = Lines([fold.source], name)

    def add(self, lines: Sequence[Line]) -> list[tuple[int, Input, Filed]]:
        """What became of each line. Raises: InputMalformed, ContractNotRunnable, EngineFailed, EngineUnfit."""
        rows = self._lines.decode(lines)
        filed = self.fold.file([one for _, one in rows])
        for (number, _), found in zip(rows, filed, strict=True):
            outcome = found.outcome
            self.fuel += outcome.fuel
            self.fuel_most = max(self.fuel_most, outcome.fuel)
            if outcome.reason is None:
                self.applied += 1
            else:
                function = find_function(found)
                self.rejected.append(Rejected(line=number, case=outcome.case, reason=outcome.reason, function=function))
        return [(number, one, found) for (number, one), found in zip(rows, filed, strict=True)]

    def reasons(self) -> list[tuple[str, int]]:
        """Kinds of rejections by how often: where in the contract, and the message of the first."""
        counts: Counter[tuple[str, tuple[tuple[str, int], ...]]] = Counter()
        first: dict[tuple[str, tuple[tuple[str, int], ...]], str] = {}
        for one in self.rejected:
            key = one.reason.kind, one.reason.calls[-1:]
            counts[key] += 1
            first.setdefault(key, describe_reason(one.reason)[:_KIND_LETTERS])
        return [(first[key], count) for key, count in counts.most_common()]


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in parts that are folded at once: as many as are worth sharing out, and no more bytes than fit."""
    part: list[Line] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line[1])
        if len(part) == limits.STREAM_INPUTS or size >= limits.STREAM_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def summarise(fold: Fold) -> dict[str, Columns | Reason]:
    """What `summary` says of each case, or why it says nothing, by name; empty where the contract has none."""
    found: dict[str, Columns | Reason] = {}
    cases = sorted(fold.states) if "summary" in fold.source.functions else []
    for start in range(0, len(cases), limits.BATCH_INPUTS_MAX):
        found.update(fold.summaries(cases[start : start + limits.BATCH_INPUTS_MAX]))
    return found


def encode_states(fold: Fold, summaries: Mapping[str, Columns | Reason]) -> Iterator[bytes]:
    """A line of JSON for each case, by name: case, hash, state, and the summary where the contract has one.

    Every number has the text that it has in the state. summaries: as of `summarise`.
    """
    for case, state in sorted(fold.states.items()):
        made = b'{"case":%b,"hash":"%b","state":%b' % (encode_string(case), _hex(state), state)
        yield made + _summary(summaries.get(case)) + b"}"


def tabulate(fold: Fold, summaries: Mapping[str, Columns | Reason]) -> Iterator[list[str]]:
    """The summaries as rows of a table: names of columns, then a row for each case, by name.

    Columns stand in the order in which `summary` writes their names; those that it does not write come last, by name.
    Numbers are plain digits. What a spreadsheet would take for a formula has a `'` in front, also within a text.
    Raises: SummaryMissing, if the contract has none.
    """
    if "summary" not in fold.source.functions:
        raise SummaryMissing
    answered = {name for row in summaries.values() if not isinstance(row, Reason) for name in row}
    first = [name for name in fold.source.written if name in answered]
    columns = [*first, *sorted(answered.difference(first))]
    yield ["case", *map(_cell, columns), "no summary because"]
    for case, row in summaries.items():
        if isinstance(row, Reason):
            yield [_cell(case), *["" for _ in columns], _cell(describe_reason(row))]
        else:
            yield [_cell(case), *[_cell(row.get(name)) for name in columns], ""]


# --- inside ------------------------------------------------------------------------


def _decode(line: bytes, source: Source, place: tuple[int, str | None], where: str) -> Input:
    try:
        return decode_input(line, source, position=place[0], after=place[1], where=where)
    except InputMalformed:
        raise
    except BadInput as cause:
        begun = _BEGUN if line.strip() in (b"{", b"[") or line.lstrip()[:1] == b"[" else ""
        raise InputMalformed(where=where, reason=f"{cause}{begun}") from cause


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return "'" * value.startswith(_FORMULA) + _BEHIND.sub(_guarded, value)
    return encode_value(value)


def _guarded(found: re.Match[str]) -> str:
    return f"{found[0]}'"


def _hex(state: bytes) -> bytes:
    return hash_state(state).hex().encode()


def _summary(found: Columns | Reason | None) -> bytes:
    if found is None:
        return b""
    if isinstance(found, Reason):
        return b',"summary":null,"summary_refused":' + encode_value(reason_document(found)).encode()
    return b',"summary":' + encode_value(found).encode()
