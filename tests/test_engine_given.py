"""What the engine is given was read strictly before; what was not is a fault of ours, said before a worker sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from contracts import limits
from contracts.engine import ContractNotRunnable, Engine
from tests.engines import COUNTS, record, run

HALF: Final = '{"x":"\ud800"}'
LATIN: Final = b'["\xe9"]'
MANY: Final = [record()] * (limits.BATCH_INPUTS_MAX + 1)

WRONG: Final[dict[str, tuple[Callable[[Engine], object], str]]] = {
    "half of a pair in a record": (lambda engine: run(engine, COUNTS, HALF), "records are text"),
    "half of a pair in a record for its case": (lambda engine: engine.find_cases(COUNTS, b"{}", [HALF]), "are text"),
    "bytes for a record": (lambda engine: run(engine, COUNTS, b"{}"), "records are text"),  # type: ignore[arg-type]
    "a record too many": (lambda engine: run(engine, COUNTS, *MANY), "a batch has a bound"),
    "terms in Latin-1": (lambda engine: engine.run(COUNTS, LATIN, [record()], lambda cases: [None]), "is UTF-8"),
    "arguments in Latin-1": (lambda engine: engine.ask(COUNTS, b"{}", "summary", [LATIN]), "is UTF-8"),
    "a state in Latin-1": (lambda engine: engine.run(COUNTS, b"{}", [record()], lambda cases: [LATIN]), "is UTF-8"),
    "another function": (lambda engine: engine.ask(COUNTS, b"{}", "apply", [b"[]"]), "share, summary or migrate"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_input_is_a_fault_of_ours_and_the_next_call_works(engine: Engine, what: str) -> None:
    give, words = WRONG[what]
    with pytest.raises(AssertionError, match=words):
        give(engine)
    assert run(engine, COUNTS, record())[0].state == b'{"last":null,"n":1}'


def test_contract_with_half_of_a_surrogate_pair_is_not_loaded(engine: Engine) -> None:
    with pytest.raises(ContractNotRunnable, match="half of a surrogate pair"):
        engine.load(COUNTS + "# \ud800\n")
