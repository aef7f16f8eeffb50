"""What `share` answers is believed only as far as it adds readers that the contract has."""

from __future__ import annotations

import pytest

from contracts import limits
from contracts.engine import Engine, Reason
from contracts.folding import Fold
from ledger.fields import audience_of
from tests.engines import HEAD, inputs


def _fold(engine: Engine, answer: str) -> Fold:
    return Fold(engine, HEAD + f"def share(record, terms):\n    return {answer}\n", b"{}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"/x": {"stranger"}}', "share names the role 'stranger', which ROLES does not have"),
        ('{"x": {"a"}}', "the pattern 'x'"),
        ('["/x"]', "share must answer with a dict"),
        ('{"/x": "a"}', "roles stand in a set, list or tuple"),
        ('{"/x": [1, "a"]}', "not supported between"),
        ('{"/x": [["a"]]}', "pattern -> roles"),
        ('{f"/x{n}": ["a"] for n in range(257)}', "share adds 257 patterns, the limit is 256"),
        ('{"/x": {"a"}}["y"]', "'y'"),
    ],
)
def test_what_share_answers_counts_only_if_it_adds_roles_of_the_contract(
    engine: Engine, answer: str, words: str
) -> None:
    fold = _fold(engine, answer)
    (said,) = fold.shares(inputs(HEAD, [{"x": 1}]))
    assert isinstance(said, Reason) and words in said.message, said
    (outcome,) = fold.add(inputs(HEAD, [{"x": 1}]))
    assert outcome.reason == said, "its author's node would not record it"


@pytest.mark.parametrize("answer", ["{}", '{"/x": []}', '{"/x": {"b"}}', '{"/secret": ()}'])
def test_share_takes_no_reader_away(engine: Engine, answer: str) -> None:
    (one,) = inputs(HEAD, [{"x": 1, "secret": 2}])
    found = _fold(engine, answer).readings(one)
    assert not isinstance(found, Reason), found
    assert dict(found) == {"/x": {"a", "b"}, "/secret": {"a"}}


def test_share_adds_a_reader_to_this_record_alone(engine: Engine) -> None:
    fold = _fold(engine, '{"/secret": {"b"}} if record["body"]["x"] > 8 else {}')
    cool, warm = inputs(HEAD, [{"x": 8, "secret": 1}, {"x": 9, "secret": 1}])
    assert dict(fold.readings(cool))["/secret"] == {"a"}  # type: ignore[arg-type]
    assert dict(fold.readings(warm))["/secret"] == {"a", "b"}  # type: ignore[arg-type]


def test_a_pattern_of_share_that_cannot_cut_the_record_refuses_it(engine: Engine) -> None:
    listed, plain = inputs(HEAD, [{"x": [1]}, {"x": {"0": 1}}])
    refused, taken = _fold(engine, '{"/x/0": {"a"}}').file([listed, plain])
    assert refused.outcome.reason is not None and "an element of an array" in refused.outcome.reason.message
    assert refused.outcome.reason.kind == "answer" and audience_of(refused.rules, "/x") == frozenset()
    assert taken.outcome.reason is None


@pytest.mark.parametrize("patterns", [limits.SHARE_PATTERNS_MAX, limits.SHARE_PATTERNS_MAX + 1])
def test_the_patterns_of_share_have_a_bound(engine: Engine, patterns: int) -> None:
    fold = _fold(engine, f'{{f"/x{{n}}": ["a"] for n in range({patterns})}}')
    (said,) = fold.shares(inputs(HEAD, [{"x": 1}]))
    assert isinstance(said, Reason) == (patterns > limits.SHARE_PATTERNS_MAX), said
