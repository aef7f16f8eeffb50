"""Folding: what a call of the engine that fails leaves behind, and how wide a summary may be."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from contracts import limits
from contracts.engine import Engine, EngineFailed, Lookup, Outcome, Reason
from contracts.folding import Fold
from tests.engines import COUNTS, inputs


class _Dying(Engine):
    """Its worker is killed in the middle of the second batch, as a machine without memory would."""

    batches = 0

    def run(self, source: str, terms: bytes, records: Sequence[str], lookup: Lookup) -> list[Outcome]:
        self.batches += 1

        def dying(cases: Sequence[str]) -> Sequence[bytes | None]:
            assert self.worker_pid is not None, "it runs this batch"
            os.kill(self.worker_pid, signal.SIGKILL)
            return lookup(cases)

        return super().run(source, terms, records, dying if self.batches == 2 else lookup)


def test_a_batch_that_fails_leaves_the_states_as_they_were_before_the_call() -> None:
    with _Dying() as engine:
        fold = Fold(engine, COUNTS, b"{}", batch_inputs=1)
        with pytest.raises(EngineFailed):
            fold.add(inputs(COUNTS, [{"x": 1}, {"x": 2}]))
        assert fold.states == {}
        fold.add(inputs(COUNTS, [{"x": 1}, {"x": 2}]))
        assert fold.states == {"one": b'{"last":2,"n":2}'}


@pytest.mark.parametrize("columns", [limits.SUMMARY_COLUMNS_MAX, limits.SUMMARY_COLUMNS_MAX + 1])
def test_the_columns_of_a_summary_have_a_bound(engine: Engine, columns: int) -> None:
    text = COUNTS + f'def summary(state):\n    return {{f"c{{n}}": n for n in range({columns})}}\n'
    fold = Fold(engine, text, b"{}")
    fold.add(inputs(text, [{"x": 1}]))
    said = fold.summaries(["one"])["one"]
    assert isinstance(said, Reason) == (columns > limits.SUMMARY_COLUMNS_MAX), said
