"""Schemas of terms: what is no schema is named, and what would be checked without end is stopped."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any, Final

import pytest

from contracts import limits
from node.terms import SchemaSlow, SchemaWrong, TermsWrong, check_schema, check_terms


def doubling(word: str) -> dict[str, Any]:
    """40 definitions, of which each names the one before it twice."""
    inner = {f"d{n}": {word: [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)}
    return {"properties": {"a": {"$ref": "#/$defs/d39"}}, "$defs": {"d0": {"type": "integer"}, **inner}}


_SLOW: Final = {
    "pattern": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, "a" * 60 + "!"),
    "name": ({"patternProperties": {"^(a+)+$": {}}}, {}),
    "definitions that fit": (doubling("allOf"), 1),
    "definitions that do not": (doubling("anyOf"), "x"),
}


@pytest.mark.parametrize("name", _SLOW)
def test_schema_that_would_be_checked_without_end_is_stopped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TERMS_CHECK_S", 0.3)
    schema, value = _SLOW[name]
    terms = {"a" * 60 + "!": 1} if name == "name" else {"a": value}
    check_terms(b'{"b":1}', json.dumps(schema).encode())
    with pytest.raises(SchemaSlow, match=r"crates.schema.json: to check terms by it takes more than 0.3 seconds"):
        check_terms(json.dumps(terms).encode(), json.dumps(schema).encode(), schema_name="crates.schema.json")
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL


def test_terms_can_be_checked_beside_the_main_thread() -> None:
    wrong: list[Exception] = []

    def check() -> None:
        try:
            check_terms(b'{"a":"x"}', b'{"properties":{"a":{"type":"integer"}}}')
        except TermsWrong as cause:
            wrong.append(cause)

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert [str(one) for one in wrong] == ["terms at /a: 'x' is not of type 'integer'"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": "intger"}}}, "'intger' is not valid"),
        ({"properties": {"a": {"pattern": "("}}}, "'(' is not a 'regex' at /properties/a/pattern"),
        ([], "[] is not of type"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(schema: Any, said: str) -> None:
    with pytest.raises(SchemaWrong) as caught:
        check_schema(json.dumps(schema).encode(), name="a.schema.json")
    assert str(caught.value).startswith(f"a.schema.json is no JSON Schema: {said}")


def test_number_that_cannot_be_divided_is_no_fault_of_ours() -> None:
    with pytest.raises(TermsWrong, match="too many digits"):
        check_terms(b'{"a":1e400}', b'{"properties":{"a":{"multipleOf":0.01}}}')
