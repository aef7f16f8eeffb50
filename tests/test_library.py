"""Ready contracts: each is clean, with schema, cases and page, and comes to the same in any batch and any process."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from contracts.casefile import Case, read_cases
from contracts.cases import run_case
from contracts.engine import Engine, Outcome
from contracts.folding import Fold
from contracts.inputs import Input
from contracts.source import Source, lint, read_source
from node.terms import check_terms
from tests.plain_fold import LIBRARY, Folded, cases, fold, fold_in_engine, library, write
from tests.source import ROOT

RUNNING: Final = ("cold_chain", "custody", "data_sharing", "purchase", "receivable")
FOLDING: Final = tuple(name for name in RUNNING if name != "data_sharing")


def _cases(name: str) -> tuple[Case, ...]:
    return read_cases((LIBRARY / f"{name}.cases.json").read_bytes(), read_source(library(name)))


def _ids() -> list[tuple[str, str]]:
    return [(name, case.name) for name in RUNNING for case in _cases(name)]


def test_every_contract_of_the_library_is_tested_here() -> None:
    assert {path.stem for path in LIBRARY.glob("*.py")} == {*RUNNING, "seafood_sharing"}


@pytest.mark.parametrize("name", RUNNING)
def test_a_contract_is_clean_and_complete(name: str) -> None:
    assert lint(library(name)) == []
    schema = (LIBRARY / f"{name}.schema.json").read_bytes()
    for case in _cases(name):
        check_terms(case.terms, schema)
    assert (ROOT / "docs" / "guide" / "contracts" / f"{name}.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), _ids())
def test_every_case_comes_out_as_its_file_says(engine: Engine, name: str, case: str) -> None:
    (wanted,) = [one for one in _cases(name) if one.name == case]
    assert run_case(engine, library(name), wanted) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNING)
def test_plain_python_and_the_engine_come_to_the_same(engine: Engine, name: str) -> None:
    file = cases(name)
    for case in file["cases"]:
        given = (case["steps"], library(name), case.get("terms", file["terms"]))
        assert _results(fold(*given)) == _results(fold_in_engine(engine, *given)), case["name"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNING)
def test_plain_python_and_the_engine_refuse_the_same(engine: Engine, name: str, seed: int) -> None:
    draw, file = random.Random(f"{seed} {name}"), cases(name)
    said = read_source(library(name))
    kinds = set()
    for case in draw.sample(file["cases"], 8):
        steps = [{**case["steps"][0], "role": role} for role in sorted(said.roles)]
        steps += [_mistaken(draw, step, said) for step in case["steps"]]
        given = (steps, library(name), case.get("terms", file["terms"]))
        plain = fold(*given)
        assert _results(plain) == _results(fold_in_engine(engine, *given)), case["name"]
        kinds |= {reason.kind for reason in plain.reasons if reason}
    assert "not-allowed" in kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDING)
def test_inputs_in_any_order_and_any_batch_come_to_the_same_states(engine: Engine, name: str, seed: int) -> None:
    draw = random.Random(f"{seed} {name}")
    for case in draw.sample(_cases(name), 6):
        inputs = _shuffled(draw, [step.one for step in case.steps])
        whole, cut = _fold(engine, name, case, inputs, 256), _fold(engine, name, case, inputs, draw.randint(1, 4))
        assert whole.states_hash() == cut.states_hash(), case.name


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDING)
def test_two_processes_with_other_hash_seeds_come_to_the_same_fuel(engine: Engine, name: str, tmp_path: Path) -> None:
    found = {_elsewhere(name, seed, tmp_path) for seed in ("1", "99")}
    assert found == {json.dumps(outcomes_of(engine, name))}


def _results(folded: Folded) -> list[object]:
    """All that came of it, every number by its digits. What Python itself says of an error is no promise."""
    reasons = [reason and (reason.kind, reason.message * (reason.kind == "Reject")) for reason in folded.reasons]
    fields = [folded.fields(i) for i in range(len(folded.inputs))]
    return [reasons, fields, write(folded.states), write(folded.summaries)]


def _mistaken(draw: random.Random, step: dict[str, Any], said: Source) -> dict[str, Any]:
    """Most steps as they are; some by another role, of another type, or without a member of the body."""
    body = {name: value for name, value in step["body"].items() if draw.random() < 0.95}
    role = draw.choice(sorted(said.roles)) if draw.random() < 0.2 else step.get("role")
    kind = draw.choice([*sorted(said.authors), "unknown"]) if draw.random() < 0.1 else step["type"]
    return {**step, "body": body, "type": kind} | ({"role": role} if role else {})


def outcomes_of(engine: Engine, name: str) -> list[list[object]]:
    """What the first three cases come to, fuel and all."""
    told = []
    for case in _cases(name)[:3]:
        fold = Fold(engine, library(name), case.terms)
        told += [_told(outcome) for outcome in fold.add([step.one for step in case.steps])]
    return told


def _told(outcome: Outcome) -> list[object]:
    reason = outcome.reason and [outcome.reason.kind, outcome.reason.message]
    return [outcome.case, (outcome.state or b"").decode(), reason, outcome.fuel]


def _elsewhere(name: str, seed: str, folder: Path) -> str:
    program = (
        "import json; from contracts.engine import Engine; from tests.test_library import outcomes_of\n"
        f"with Engine() as engine: print(json.dumps(outcomes_of(engine, {name!r})))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=folder, env=environment, text=True
    )
    return done.stdout.strip()


def _fold(engine: Engine, name: str, case: Case, inputs: Sequence[Input], size: int) -> Fold:
    fold = Fold(engine, library(name), case.terms, batch_inputs=size)
    fold.add(inputs)
    return fold


def _shuffled(draw: random.Random, inputs: list[Input]) -> list[Input]:
    """Some left out, some twice, two exchanged: most of it is rejected, and must be so everywhere."""
    found = [one for one in inputs for _ in range(draw.choice((0, 1, 1, 1, 2)))]
    if len(found) > 1:
        a, b = draw.randrange(len(found)), draw.randrange(len(found))
        found[a], found[b] = found[b], found[a]
    return found
