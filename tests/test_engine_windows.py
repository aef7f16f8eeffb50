"""Windows of a batch: how many inputs are begun before the first of them goes on, and what is asked for each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts import limits
from contracts.engine import Engine
from tests.engines import COUNTS, record


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([0] * limits.WINDOW_INPUTS, [64]),
        ([0] * (2 * limits.WINDOW_INPUTS + 1), [64, 64, 1]),
        ([limits.WINDOW_BYTES] * 3, [1, 1, 1]),
        ([limits.WINDOW_BYTES, 0, 0], [1, 2]),
    ],
    ids=("one full", "three", "of giants", "behind a giant"),
)
def test_a_window_has_a_bound_in_inputs_and_in_bytes(engine: Engine, sizes: list[int], expected: list[int]) -> None:
    asked = []

    def lookup(cases: Sequence[str]) -> list[None]:
        asked.append(len(cases))
        return [None for _ in cases]

    records = [record(n, case=f"c{n}", filler="x" * size) for n, size in enumerate(sizes)]
    outcomes = engine.run(COUNTS, b"{}", records, lookup)
    assert asked == expected
    assert {one.state for one in outcomes} == {b'{"last":null,"n":1}'}


def test_a_case_is_asked_for_once_in_a_batch(engine: Engine) -> None:
    asked: list[str] = []

    def lookup(cases: Sequence[str]) -> list[bytes]:
        asked.extend(cases)
        return [b'{"n":10}' for _ in cases]

    outcomes = engine.run(COUNTS, b"{}", [record(n, case=f"c{n % 2}") for n in range(130)], lookup)
    assert asked == ["c0", "c1"]
    assert [one.state for one in outcomes[-2:]] == [b'{"last":null,"n":75}'] * 2


def test_a_question_that_traps_is_asked_again_alone_and_takes_no_neighbour_down(engine: Engine) -> None:
    text = COUNTS + (
        "def summary(state):\n"
        "    if state['kind'] == 'hoards':\n"
        "        held = [bytearray(45_000_000)]\n"
        "        held.append(held)\n"
        "    while state['kind'] == 'spins':\n"
        "        pass\n"
        "    return {'bytes': len(bytearray(state['bytes']))}\n"
    )
    asked = [("hoards", 1), ("hoards", 2), ("asks", 50_000_000), ("spins", 0), ("asks", 3)]
    arguments = [b'[{"kind":"%b","bytes":%d}]' % (kind.encode(), size) for kind, size in asked]
    _, hoards, asks, spins, last = engine.ask(text, b"{}", "summary", arguments)
    assert (hoards.content, asks.content, last.content) == (b'{"bytes":2}', b'{"bytes":50000000}', b'{"bytes":3}')
    assert spins.reason is not None and spins.reason.kind == "trap" and spins.content is None


def test_an_input_that_traps_when_its_keys_are_looked_at_pays_for_all_it_had(engine: Engine) -> None:
    text = COUNTS.replace("def apply", "import itertools\n\n\ndef honest") + (
        "class Odd(dict):\n"
        "    seen = False\n"
        "    def items(self):\n"
        "        type(self).seen = True\n"
        "        return [('1', 1)]\n"
        "    def __iter__(self, forever=itertools.repeat):\n"
        "        return forever('1') if type(self).seen else iter(['1'])\n\n\n"
        "def apply(state, record, terms):\n"
        "    return {'1': Odd(a=1)}\n"
    )
    (one,) = engine.run(text, b"{}", [record()], lambda cases: [None for _ in cases])
    assert one.reason is not None and one.reason.kind == "trap"
    assert one.fuel == limits.FUEL_INPUT + limits.FUEL_BYTE * len(record() + "null")
