"""Contracts: what an input costs in batches and alone, what the engine costs to compile, to load, and to keep.

The contract is the one by which the design's prototype was measured (`realistic.contract`): a receipt of goods of
1 KB, record and state together, that gives a state of 2 KB.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from contracts import limits
from contracts.engine import Engine, Lookup
from contracts.engine.cache import default_folder, open_compiled
from contracts.engine.machine import Instance, load_component, make_engine
from contracts.folding import Fold
from contracts.inputs import decode_input, encode_record
from contracts.source import read_source
from node.documents.lines import encode_lines
from node.documents.wwi import read_purchases
from tests import samples
from tests.bench.meters import own_cpu_s, pss_bytes
from tests.bench.rows import Row, at_least, at_most, make_row, median_ratio
from tests.bench.stage import Stage
from tests.source import ROOT

NAMES: Final = (
    "evaluate", "evaluate-plain", "evaluate-alone", "fold-purchases",
    "engine-compile", "engine-load", "engine-start", "engine-idle",
)  # fmt: skip
SOURCE: Final = (Path(__file__).parent / "realistic.contract").read_text(encoding="utf-8")
TERMS: Final = b'{"roles":["carrier","buyer","auditor"]}'
_ROUNDS: Final = 5
_LINES: Final = 12


def measure(stage: Stage) -> Iterator[Row]:
    batch = limits.BATCH_INPUTS_MAX
    with Engine(tell=stage.say) as engine:
        engine.start()
        lookup, records = _receipts(engine, batch)
        rates: dict[int, list[float]] = {1: [], batch: []}
        for number in range(_ROUNDS):
            for size, found in rates.items():
                stage.say(f"evaluate, round {number + 1} of {_ROUNDS}: batches of {size}")
                found.append(_rate(engine, records[:size], lookup, stage.sizes.evaluate_s))
        plain = [_plain_rate(records, lookup, stage.sizes.evaluate_s) for _ in range(_ROUNDS)]
        ratio = median_ratio(rates[batch], plain)
        yield at_least(2_500)(make_row("evaluate", rates[batch], "inputs/s per core", ratio=ratio))
        yield make_row("evaluate-plain", plain, "inputs/s per core")
        yield at_least(350)(make_row("evaluate-alone", rates[1], "inputs/s per core"))
        yield from _fold_purchases(stage, engine)
    with Engine() as engine:
        engine.start()
        idle = pss_bytes(_worker(engine)) / 1e6
    yield at_most(10)(make_row("engine-compile", [_compile(stage)], "s"))
    yield at_most(50)(make_row("engine-load", [_load() for _ in range(_ROUNDS)], "ms"))
    yield make_row("engine-start", [_start() for _ in range(_ROUNDS)], "ms")
    yield at_most(120)(make_row("engine-idle", [idle], "MB"))


# --- inputs ------------------------------------------------------------------------


def _receipts(engine: Engine, count: int) -> tuple[Lookup, list[str]]:
    """A receipt of goods for each of `count` orders, and the lookup of their states before it."""
    lines = ",".join(f'{{"sku":"SKU-{n:03d}","qty":{10 + n},"price":{19 + n}.{99 - n}}}' for n in range(_LINES))
    order = f'"type":"po","po":"PO-1","lines":[{lines}],"promised":"2026-02-27","max_temp":8.0'
    state: bytes | None = None
    for position, body in enumerate((order, '"type":"ship","po":"PO-1","date":"2026-02-28"')):
        known = state
        (outcome,) = engine.run(SOURCE, TERMS, [_record(body, position)], lambda _: [known])  # noqa: B023
        assert outcome.state is not None, outcome.reason
        state = _orders_of(outcome.state)
    assert state is not None, "two inputs gave a state"
    before = {f"PO-{n}": state.replace(b'"PO-1"', b'"PO-%d"' % n) for n in range(count)}
    quantities = ",".join(f'"SKU-{n:03d}":{10 + n}' for n in range(_LINES))
    rest = f'"qty":{{{quantities}}},"temps":[4.1,5.5,6.2,7.9,8.8]'
    bodies = [f'"type":"receive","po":"PO-{n}","date":"2026-03-{1 + n % 28:02d}",{rest}' for n in range(count)]
    return lambda cases: [before[case] for case in cases], [_record(body, n) for n, body in enumerate(bodies)]


def _record(members: str, position: int) -> str:
    body = "{" + members + "}"
    line = f'{{"type":"{json.loads(body)["type"]}","author":"acme.example","body":{body}}}'.encode()
    return encode_record(read_source(SOURCE), decode_input(line, read_source(SOURCE), position=position))


def _orders_of(state: bytes) -> bytes:
    """The part of the state that the next input needs: the rest is made anew."""
    start = state.index(b'"orders":')
    return b"{" + state[start : state.index(b',"views":')] + b"}"


# --- figures -----------------------------------------------------------------------


def _rate(engine: Engine, records: Sequence[str], lookup: Lookup, seconds: float) -> float:
    """Inputs for each CPU-second of the worker and of this process, which hands it its work."""
    worker, here = _worker(engine), os.getpid()
    before, done, end = own_cpu_s(worker) + own_cpu_s(here), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        outcomes = engine.run(SOURCE, TERMS, records, lookup)
        done += len(outcomes)
        assert all(outcome.state is not None for outcome in outcomes), "none is rejected"
    return done / (own_cpu_s(worker) + own_cpu_s(here) - before)


def _plain_rate(records: Sequence[str], lookup: Lookup, seconds: float) -> float:
    """The same contract in this Python, without any wall: what the sandbox is compared with (`ratio` of evaluate)."""
    names: dict[str, Any] = {"Decimal": Decimal, "Reject": ValueError}
    exec(compile(SOURCE, "realistic.contract", "exec"), names)
    states = [(state or b"null").decode() for state in lookup([f"PO-{n}" for n in range(len(records))])]
    terms = json.loads(TERMS)
    before, done, end = time.process_time(), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for record, state in zip(records, states, strict=True):
            read = json.loads(record, parse_float=Decimal)
            names["key"](read)
            json.dumps(names["apply"](json.loads(state, parse_float=Decimal), read, terms), default=str)
        done += len(records)
    return done / (time.process_time() - before)


def _fold_purchases(stage: Stage, engine: Engine) -> Iterator[Row]:
    """The purchases of the sample database through the contract `purchase`, from its tables to the last state."""
    folder = samples.FOLDER / "datasets" / "wwi"
    if not folder.is_dir():
        stage.say(f"fold-purchases: there is no {folder} (TALLY_SAMPLES)")
        return
    text = (ROOT / "contracts" / "library" / "purchase.py").read_text(encoding="utf-8")
    engine.load(text)
    stage.say("fold-purchases: the purchases of a sample database")
    start = time.perf_counter()
    fold = Fold(engine, text, b"{}")
    source, after, inputs = fold.source, None, []
    for position, line in enumerate(encode_lines(read_purchases(folder))):
        one = decode_input(line, source, position=position, after=after)
        after = one.ordered
        inputs.append(one)
    outcomes = fold.add(inputs[: stage.sizes.purchases])
    seconds = time.perf_counter() - start
    assert all(outcome.state is not None for outcome in outcomes), "none is rejected"
    yield at_most(10)(make_row("fold-purchases", [seconds], "s"))


def _worker(engine: Engine) -> int:
    assert engine.worker_pid is not None, "it was started"
    return engine.worker_pid


def _compile(stage: Stage) -> float:
    start = time.perf_counter()
    open_compiled(stage.folder / "engine", stage.say).close()
    return time.perf_counter() - start


def _load() -> float:
    """From the cached file to an instance: checked, mapped, made."""
    engine = make_engine()
    start = time.perf_counter()
    with open_compiled(default_folder(), lambda line: None) as code:
        Instance(engine, load_component(engine, code)).close()
    return (time.perf_counter() - start) * 1e3


def _start() -> float:
    """A worker, from nothing to ready: a Python of its own, too."""
    start = time.perf_counter()
    with Engine() as engine:
        engine.start()
        return (time.perf_counter() - start) * 1e3
