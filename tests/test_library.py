"""Ready contracts: each is clean, with schema, cases and page, and its cases come out as their file says.

That random inputs come to the same in any batch and any process is in `tests/test_library_streams.py`.
"""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from contracts.casefile import Case, read_cases
from contracts.cases import run_case
from contracts.engine import Engine
from contracts.folding import Fold
from contracts.source import Source, lint, read_source
from contracts.streaming import summarise, tabulate
from node.terms import check_terms
from tests.plain_fold import LIBRARY, cases, decode_inputs, fold, fold_in_engine, library, results, write
from tests.source import ROOT

NAMES: Final = ("cold_chain", "custody", "data_sharing", "purchase", "receivable", "seafood_sharing")
LINES_MAX: Final = {"purchase": 960}
"""Above the bound of 300. A contract is one file, as it is pinned and signed as one, so this one cannot be split: it
holds ten kinds of documents and the match between them. It only shrinks: lower this with every line that goes."""


def _cases(name: str) -> tuple[Case, ...]:
    return read_cases((LIBRARY / f"{name}.cases.json").read_bytes(), read_source(library(name)))


def _ids() -> list[tuple[str, str]]:
    return [(name, case.name) for name in NAMES for case in _cases(name)]


def test_every_contract_of_the_library_is_tested_here() -> None:
    assert {path.stem for path in LIBRARY.glob("*.py")} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_contract_is_clean_and_complete(name: str) -> None:
    assert lint(library(name)) == []
    schema = (LIBRARY / f"{name}.schema.json").read_bytes()
    for case in _cases(name):
        check_terms(case.terms, schema)
    assert (ROOT / "docs" / "guide" / "contracts" / f"{name}.md").is_file()


@pytest.mark.parametrize("name", [path.stem for path in LIBRARY.glob("*.py")])
def test_a_contract_is_short_enough_to_be_read_by_who_signs_it(name: str) -> None:
    assert len(library(name).splitlines()) <= LINES_MAX.get(name, 300)


_HEADS: Final = {
    "cold_chain": "consignment verdict minutes_outside scheduled currency custodian liable delivered punctuality "
    "quantity unit value claimed",
    "custody": "epc status maker owner holder packed_in unit quantity changed pledged handover_to offer_to pledge_to",
    "purchase": "order status currency ordered received_value invoiced held_back discount penalty interest paid "
    "refund_announced payable_now outstanding due_date discount_until findings why",
    "receivable": "credited paid disputed owed billed paid_without_effect owed_to_seller owed_to_financiers order "
    "currency status due_date due_amount due_to",
}


@pytest.mark.parametrize("name", _HEADS)
def test_the_table_of_a_contract_has_its_columns_in_this_order(engine: Engine, name: str) -> None:
    file = cases(name)
    made = Fold(engine, library(name), write(file["cases"][0].get("terms", file["terms"])).encode())
    made.add(decode_inputs(file["cases"][0]["steps"], made.source))
    head, *rows = tabulate(made, summarise(made))
    assert head == ["case", *_HEADS[name].split(), "no summary because"] and rows


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), _ids())
def test_every_case_comes_out_as_its_file_says(engine: Engine, name: str, case: str) -> None:
    (wanted,) = [one for one in _cases(name) if one.name == case]
    assert run_case(engine, library(name), wanted) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_plain_python_and_the_engine_come_to_the_same(engine: Engine, name: str) -> None:
    file = cases(name)
    for case in file["cases"]:
        given = (case["steps"], library(name), case.get("terms", file["terms"]))
        assert results(fold(*given)) == results(fold_in_engine(engine, *given)), case["name"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_plain_python_and_the_engine_refuse_the_same(engine: Engine, name: str, seed: int) -> None:
    draw, file = random.Random(f"{seed} {name}"), cases(name)
    said = read_source(library(name))
    kinds = set()
    for case in draw.sample(file["cases"], 8):
        steps = [{**case["steps"][0], "role": role} for role in sorted(said.roles)]
        steps.append({**steps[0], "type": "unknown"})
        steps += [_mistaken(draw, step, said) for step in case["steps"]]
        given = (steps, library(name), case.get("terms", file["terms"]))
        plain = fold(*given)
        assert results(plain) == results(fold_in_engine(engine, *given)), case["name"]
        kinds |= {reason.kind for reason in plain.reasons if reason}
    assert "not-allowed" in kinds


def _mistaken(draw: random.Random, step: dict[str, Any], said: Source) -> dict[str, Any]:
    """Most steps as they are; some by another role, of another type, or without a member of the body."""
    body = {name: value for name, value in step["body"].items() if draw.random() < 0.95}
    role = draw.choice(sorted(said.roles)) if draw.random() < 0.2 else step.get("role")
    kind = draw.choice([*sorted(said.authors), "unknown"]) if draw.random() < 0.1 else step["type"]
    return {**step, "body": body, "type": kind} | ({"role": role} if role else {})
