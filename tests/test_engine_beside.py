"""A contract that spins holds up nobody but those who wait for its own engine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Final

import pytest

from contracts import limits
from contracts.engine import Engine, EngineFailed
from tests.engines import COUNTS, contract, record, run

_SPINS: Final = contract("while True:\n    pass")
_PATIENCE_S: Final = 120.0
_BATCHES: Final = 100


@pytest.mark.slow
def test_others_are_served_while_a_batch_spins(engine: Engine) -> None:
    """The batch spins for as long as all its inputs have fuel, which is longer by far than the others take."""
    begun, errors = threading.Event(), []

    def look_up(cases: Sequence[str]) -> list[None]:
        begun.set()
        return [None for _ in cases]

    def spin(spinner: Engine) -> None:
        records = [record(position) for position in range(limits.BATCH_INPUTS_MAX)]
        try:
            spinner.run(_SPINS, b"{}", records, look_up)
        except EngineFailed as cause:
            errors.append(cause)

    engine.start()
    with Engine() as spinner:
        spinning = threading.Thread(target=spin, args=(spinner,))
        spinning.start()
        try:
            assert begun.wait(_PATIENCE_S), "the batch spins"
            states = [run(engine, COUNTS, record(position, x=position))[0].state for position in range(_BATCHES)]
            assert states == [b'{"last":%d,"n":1}' % position for position in range(_BATCHES)]
            assert spinning.is_alive() and errors == []
        finally:
            if spinner.worker_pid is not None:
                os.kill(spinner.worker_pid, signal.SIGKILL)  # it has spun for long enough
            spinning.join(_PATIENCE_S)
    assert [error.fields["reason"] for error in errors] == ["was ended by signal 9"]
