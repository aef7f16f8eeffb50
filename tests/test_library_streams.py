"""Random streams through the ready contracts, in the real engine: the same in any batches, any process, plain Python.

Each has hundreds of inputs of many cases, most of them applied and many refused (`tests/make_streams.py`).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from contracts import limits
from contracts.engine import Engine, Reason
from contracts.folding import Fold
from ledger.jsontext import parse
from tests.make_streams import INPUTS, draw_stream
from tests.plain_fold import Folded, Object, decode_inputs, encode, fold, fold_in_engine, library, results
from tests.source import ROOT

pytestmark = pytest.mark.slow

FOLDING: Final = ("cold_chain", "custody", "purchase", "receivable")
NAMES: Final = (*FOLDING, "data_sharing")
APPLIED_MIN: Final = INPUTS // 8
"""Of a stream: it is a quarter at the least and mostly half; one that is refused whole would show nothing."""
REFUSED_MIN: Final = 10
CASES_MIN: Final = 15


class Stream(NamedTuple):
    """Drawn inputs, their terms, and what they come to when as many as may be share an instance."""

    inputs: list[dict[str, Any]]
    terms: Object
    whole: Folded


@pytest.fixture(scope="module")
def streams(engine: Engine) -> Mapping[str, Stream]:
    found = {}
    for name in NAMES:
        inputs, terms = draw_stream(name, _draw(name))
        found[name] = Stream(inputs, terms, fold_in_engine(engine, inputs, library(name), terms))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_random_stream_is_applied_in_part_and_refused_in_part(streams: Mapping[str, Stream], name: str) -> None:
    refused = len(streams[name].whole.rejected)
    assert INPUTS - refused >= APPLIED_MIN and refused >= REFUSED_MIN, f"{refused} of {INPUTS} were refused"
    assert len(streams[name].whole.states) >= (CASES_MIN if name in FOLDING else 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_random_stream_cut_into_any_batches_comes_to_the_same(
    engine: Engine, streams: Mapping[str, Stream], name: str
) -> None:
    inputs, terms, whole = streams[name]
    draw = _draw(f"cuts of {name}")
    for size in (draw.randint(3, 12), draw.randint(13, 255)):
        cut = fold_in_engine(engine, inputs, library(name), terms, batch_inputs=size)
        assert results(cut) == results(whole), f"batches of {size}"
        assert cut.reasons == whole.reasons, f"batches of {size}: each refused with the same words at the same lines"


@pytest.mark.parametrize("name", FOLDING)
def test_a_random_stream_added_in_pieces_comes_to_the_same(
    engine: Engine, streams: Mapping[str, Stream], name: str
) -> None:
    inputs, terms, whole = streams[name]
    draw, folding = _draw(f"pieces of {name}"), Fold(engine, library(name), encode(terms))
    left = decode_inputs(inputs, folding.source)
    reasons: list[Reason | None] = []
    while left:
        size = draw.choice((1, 2, 40, 100))
        reasons += [outcome.reason for outcome in folding.add(left[:size])]
        left = left[size:]
    assert reasons == whole.reasons
    assert {case: parse(state) for case, state in folding.states.items()} == whole.states


@pytest.mark.parametrize("name", NAMES)
def test_random_streams_that_two_workers_share_come_to_the_same(
    engine: Engine, streams: Mapping[str, Stream], name: str
) -> None:
    inputs, terms, _ = streams[name]
    shared, alone = (Fold(engine, library(name), encode(terms)) for _ in range(2))
    given = decode_inputs([*inputs, *draw_stream(name, _draw(f"more of {name}"))[0]], shared.source)
    assert len(given) >= limits.LANES_INPUTS_MIN
    said = [outcome for at in range(0, len(given), 100) for outcome in alone.add(given[at : at + 100])]
    assert [one.reason for one in shared.add(given)] == [one.reason for one in said]
    assert shared.states == alone.states


@pytest.mark.parametrize("name", NAMES)
def test_a_random_stream_comes_to_the_same_in_plain_python(streams: Mapping[str, Stream], name: str) -> None:
    inputs, terms, whole = streams[name]
    assert results(fold(inputs, library(name), terms)) == results(whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_random_stream_comes_to_the_same_fuel_in_a_process_with_another_hash_seed(
    engine: Engine, name: str, tmp_path: Path
) -> None:
    assert _elsewhere(name, tmp_path) == told(engine, name)


def told(engine: Engine, name: str) -> str:
    """All outcomes of the stream of this run, fuel and all, as one line."""
    inputs, terms = draw_stream(name, _draw(name))
    folding = Fold(engine, library(name), encode(terms))
    outcomes = folding.add(decode_inputs(inputs, folding.source))
    return f"{folding.states_hash().hex()} {outcomes}"


def _draw(of: str) -> random.Random:
    return random.Random(f"{os.environ['TALLY_SEED']} {of}")


def _elsewhere(name: str, folder: Path) -> str:
    program = (
        "from contracts.engine import Engine; from tests.test_library_streams import told\n"
        f"with Engine() as engine: print(told(engine, {name!r}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=folder, env=environment, text=True
    )
    return done.stdout.strip()
