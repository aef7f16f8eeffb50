"""Long streams are run by two workers, and come to what one would have made of them, whatever goes wrong."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from contracts import limits
from contracts.engine import Engine, EngineFailed
from contracts.engine.lanes import lane_of
from contracts.folding import Fold
from tests.engines import HEAD, contract, inputs

_LONG: Final = limits.LANES_INPUTS_MAX + limits.LANES_INPUTS_MIN
_AT_ONCE_S: Final = 6.0
"""Far more than it takes to end two workers, and less than either would take for the rest of its batch."""

_KEY_SPINS: Final = HEAD.replace(
    "def key(record):\n", 'def key(record):\n    while record["body"]["add"] == 8:\n        pass\n'
)

_MIXED: Final = contract(
    'n = (state or {"n": 0})["n"] + record["body"]["add"]\n'
    'if record["body"]["add"] == 7:\n'
    '    raise Reject(f"seven after {n}")\n'
    'while record["body"]["add"] == 9:\n'
    "    pass\n"
    'return {"n": n, "at": record["sequence"]["position"]}',
    head=_KEY_SPINS,
)
"""Some inputs are refused by `key`, some by `apply`, and few trap in either."""


def _bodies(seed: int, count: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    bodies = [{"case": f"c{draw.randrange(40)}", "add": draw.randrange(8)} for _ in range(count)]
    for at in draw.sample(range(count), 20):
        bodies[at] = draw.choice([{"case": 5, "add": 1}, {"case": "", "add": 1}, {"case": "c1", "add": None}])
    for at in draw.sample(range(count), 3):
        bodies[at] = {"case": f"c{at % 3}", "add": draw.choice([8, 9])}
    return bodies


def _one_worker(engine: Engine, source: str, bodies: list[dict[str, Any]]) -> tuple[Fold, list[Any]]:
    fold, given = Fold(engine, source, b"{}"), inputs(source, bodies)
    size = limits.LANES_INPUTS_MIN - 1
    outcomes = [one for at in range(0, len(given), size) for one in fold.add(given[at : at + size])]
    return fold, [(one.case, one.state, one.reason) for one in outcomes]


@pytest.mark.parametrize("batch", [limits.BATCH_INPUTS_MAX, 50])
def test_a_long_stream_comes_to_the_same_as_in_one_worker(engine: Engine, seed: int, batch: int) -> None:
    bodies = _bodies(seed, _LONG)
    fold, said = _one_worker(engine, _MIXED, bodies)
    shared = Fold(engine, _MIXED, b"{}", batch_inputs=batch)
    outcomes = shared.add(inputs(_MIXED, bodies))
    assert [(one.case, one.state, one.reason) for one in outcomes] == said
    assert (shared.states, shared.recorded) == (fold.states, fold.recorded)
    assert {one.reason.kind for one in outcomes if one.reason} == {"Reject", "TypeError", "answer", "trap"}


def test_a_case_has_the_same_worker_on_every_machine() -> None:
    assert [lane_of(case) for case in ("PO-1", "PO-2", "a", "b", "é", None)] == [0, 0, 1, 1, 0, 0]


def test_it_costs_the_same_fuel_each_time(engine: Engine, seed: int) -> None:
    given = inputs(_MIXED, _bodies(seed, limits.LANES_INPUTS_MIN))
    fuels = [[one.fuel for one in Fold(engine, _MIXED, b"{}").add(given)] for _ in range(2)]
    assert fuels[0] == fuels[1]


def test_a_contract_whose_cases_hang_on_what_was_asked_before_is_run_by_one_worker(engine: Engine) -> None:
    """It counts its calls in a module that lives as long as an instance, so no two runs share cases in the same way."""
    calls = 'json.calls = getattr(json, "calls", 0) + 1\n    return f"c{json.calls % 60}"'
    head = HEAD.replace('return record["body"].get("case", "one")', calls).replace(
        "\n\nROLES", "\n\nimport json\n\nROLES"
    )
    source = contract('return {"n": (state or {"n": 0})["n"] + 1}', head=head)
    bodies = [{"x": n} for n in range(limits.LANES_INPUTS_MAX)]
    shared, alone = Fold(engine, source, b"{}"), Fold(engine, source, b"{}")
    shared.add(inputs(source, bodies))
    given = inputs(source, bodies)
    for at in range(0, len(given), limits.BATCH_INPUTS_MAX):
        alone.add(given[at : at + limits.BATCH_INPUTS_MAX])
    assert shared.states == alone.states and len(alone.states) > 1


def test_a_worker_that_dies_leaves_the_states_as_they_were(seed: int) -> None:
    given = inputs(_MIXED, _bodies(seed, _LONG))
    with Engine() as engine:
        fold = Fold(engine, _MIXED, b"{}")
        fold.add(given[:600])
        before = dict(fold.states)
        is_over = threading.Event()
        killing = threading.Thread(target=_kill_again_and_again, args=(engine.beside(), is_over))
        killing.start()
        with pytest.raises(EngineFailed, match="signal 9"):
            fold.add(given)
        is_over.set()
        killing.join()
        assert fold.states == before
        fold.add(given[:600])
        assert fold.states != before


def test_an_engine_that_was_interrupted_while_it_had_nothing_to_do_is_of_use_at_once() -> None:
    with Engine() as engine:
        for _ in range(10):
            engine.start()
            engine.interrupt()
            assert Fold(engine, _MIXED, b"{}").add(inputs(_MIXED, [{"add": 1}]))[0].state == b'{"at":0,"n":1}'


@pytest.fixture
def _is_interrupted_by_sigint() -> Iterator[None]:
    """As at a terminal: what a shell starts in the background is told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_is_interrupted_by_sigint")
def test_who_waits_may_be_interrupted_and_the_engine_is_free_at_once() -> None:
    """Each of these spins until its fuel is used up, twice: half a minute and more, all together."""
    spins = contract("while True:\n    pass")
    given = inputs(spins, [{"case": str(n)} for n in range(limits.LANES_INPUTS_MAX)])
    struck_s: list[float] = []
    with Engine() as engine:
        engine.load(spins)
        fold = Fold(engine, spins, b"{}")
        main = threading.main_thread().ident
        assert main is not None

        def strike() -> None:
            struck_s.append(time.monotonic())
            signal.pthread_kill(main, signal.SIGINT)

        threading.Timer(3, strike).start()
        with pytest.raises(KeyboardInterrupt):
            fold.add(given)
        assert time.monotonic() - struck_s[0] < _AT_ONCE_S
        assert Fold(engine, _MIXED, b"{}").add(inputs(_MIXED, [{"add": 1}]))[0].state == b'{"at":0,"n":1}'


def _kill_again_and_again(engine: Engine, is_over: threading.Event) -> None:
    while not is_over.wait(0.05):
        pid = engine.worker_pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
