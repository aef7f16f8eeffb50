"""Frozen results of contracts: the pinned engine comes to them on any machine, in any later version."""

from __future__ import annotations

import json
from typing import Any, Final

from contracts.engine import Engine, make_pin
from contracts.folding import hash_state, hash_states
from tests.source import ROOT
from tests.vectors.make_contracts import build

VECTORS: Final = json.loads((ROOT / "tests" / "vectors" / "contracts.json").read_text(encoding="utf-8"))


def test_the_vectors_are_of_the_pinned_engine() -> None:
    assert VECTORS["pin"] == make_pin(), "another pin: write the vectors anew, and see that only fuel has changed"


def test_the_engine_comes_to_states_hashes_reasons_and_fuel_of_the_vectors(engine: Engine) -> None:
    assert json.loads(json.dumps(build(engine))) == VECTORS


def test_the_hashes_of_the_vectors_are_of_their_states() -> None:
    for fold in VECTORS["folds"]:
        states = {case: state.encode() for case, state in fold["states"].items()}
        assert hash_states(states).hex() == fold["states_hash"]
        assert all(hash_state(state).hex() == digest for state, digest in _hashed(fold))


def _hashed(fold: dict[str, Any]) -> list[tuple[bytes, str]]:
    outcomes = [one["outcome"] for one in fold["inputs"]]
    return [(outcome["state"].encode(), outcome["hash"]) for outcome in outcomes if "state" in outcome]
