"""The engine: what a contract is given, what it may answer, the trap rule, and the same result everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import limits
from contracts.engine import ContractNotRunnable, Engine, make_pin, pin
from contracts.engine.cache import read_artifact
from contracts.folding import Fold, hash_states
from contracts.inputs import decode_input, encode_record
from contracts.source import read_source
from ledger.jsontext import parse
from tests.engines import COUNTS, HEAD, contract, inputs, record, result, run
from tests.source import ROOT

SPIN = contract('while record["body"].get("spin"):\n    pass\nreturn {"n": (state or {"n": 0})["n"] + 1}')


# --- what is given -----------------------------------------------------------------


def test_a_contract_sees_what_all_signers_read_and_nothing_else() -> None:
    source = read_source(COUNTS)
    (one,) = inputs(COUNTS, [{"x": 1, "secret": "of a"}])
    assert json.loads(encode_record(source, one))["body"] == {"x": 1}


def test_numbers_come_in_with_their_text(engine: Engine) -> None:
    line = b'{"type":"note","body":{"x":[26.0, 1e3, -0, 12.50, 7]}}'
    one = decode_input(line, read_source(COUNTS), position=0)
    fold = Fold(
        engine, contract('return {"x": record["body"]["x"], "as": [str(v) for v in record["body"]["x"]]}'), b"{}"
    )
    fold.add([one])
    assert fold.states["one"] == b'{"as":["26.0","1E+3","0","12.50","7"],"x":[26.0,1000,0,12.50,7]}'


def test_what_an_input_changes_in_terms_and_module_is_gone_with_it(engine: Engine) -> None:
    source = (
        HEAD
        + "SEEN = []\n\n\ndef apply(state, record, terms):\n    SEEN.append(1)\n    terms['n'] += 1\n"
        + ("    return {'seen': len(SEEN), 'terms': terms['n']}\n")
    )
    outcomes = engine.run(source, b'{"n":1}', [record(0), record(1)], lambda cases: [None for _ in cases])
    assert [outcome.state for outcome in outcomes] == [b'{"seen":1,"terms":2}'] * 2


def test_the_state_of_a_case_goes_from_input_to_input(engine: Engine) -> None:
    outcomes = run(engine, COUNTS, record(0, case="x"), record(1, case="y"), record(2, case="x"))
    assert [json.loads(outcome.state or b"")["n"] for outcome in outcomes] == [1, 1, 2]


def test_divide_rounds_once_and_by_the_name_given(engine: Engine) -> None:
    said = result(
        engine,
        'return {"a": divide(1, 3, 2), "b": divide(5, 2, 0), "c": divide(5, 2, 0, "ROUND_HALF_EVEN"),'
        ' "d": divide(Decimal("0.044999999999999999999999999999999999999999"), 1, 2), "e": divide(-1, 8, 2)}',
    )
    assert said.state == b'{"a":0.33,"b":3,"c":2,"d":0.04,"e":-0.13}'


def test_divide_rounds_to_tens_and_to_as_many_decimals_as_numbers_have(engine: Engine) -> None:
    said = result(engine, 'return {"a": divide(123, 1, -1), "b": divide(1, 3, 30), "c": divide(7, 1, Decimal(1))}')
    assert said.state == b'{"a":120,"b":0.333333333333333333333333333333,"c":7.0}'


# --- what comes back ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ('raise Reject("too late")', "Reject", "too late"),
        ('return {}["a"]', "KeyError", "'a'"),
        ("return [1]", "TypeError", "the answer must be a dict, not a list"),
        ('return {"a": {1}}', "TypeError", "the answer holds a set at /a; it may hold"),
        ('return {"a": [{}, {"b": ({1},)}]}', "TypeError", "the answer holds a set at /a/1/b/0; it may hold"),
        ('return {"a": 2 ** -1}', "answer", "the answer holds 0.5, a float"),
        ('return {1: "a"}', "TypeError", "a key that is no text"),
        ('return {None: "a"}', "TypeError", "a key that is no text; write str(key)"),
        ('return {"a": [{}, {"b": {"c": 1, 2: 3}}]}', "TypeError", "a key that is no text at /a/1/b; write str(key)"),
        ('return {"a": Decimal("NaN")}', "answer", "a number that is none"),
        ('return {"a": Decimal("1E+200")}', "answer", "a number of more than 80 digits"),
        ('return {"a": 10 ** 90}', "answer", "a number of more than 80 digits"),
        ("x = {}\nfor _ in range(40):\n    x = {'a': x}\nreturn x", "answer", "nested deeper than 32"),
        ("x = []\nx.append(x)\nreturn {'x': x}", "ValueError", "nested deeper than 32"),
        ('return {"a": "x" * 300000}', "answer", "the limit is 262144"),
        ('return {"a": chr(0xd800)}', "answer", "half of a surrogate pair"),
        ("def f(n):\n    return f(n + 1)\nreturn f(0)", "RecursionError", "maximum recursion depth"),
        ("import os", "ImportError", "contracts have no module 'os'"),
        ("import datetime\nreturn {'a': str(datetime.datetime.now())}", "trap", "it asked for something"),
        ("return {'a': [0] * 10 ** 9}", "MemoryError", "more memory was asked for than any instance has"),
        ("return {'a': [0] * 10 ** 8}", "trap", "it used up the memory"),
        ("while True:\n    pass", "trap", "it used up the instructions"),
    ],
)
def test_what_is_no_state_rejects_the_input_and_says_why(engine: Engine, body: str, kind: str, words: str) -> None:
    said = result(engine, body)
    assert said.state is None and said.reason is not None
    assert (said.reason.kind, words in said.reason.message) == (kind, True), said.reason


def test_an_error_names_the_calls_inside_the_contract(engine: Engine) -> None:
    said = result(engine, 'def inner(x):\n    return x["gone"]\nreturn inner({})')
    assert said.reason is not None
    assert said.reason.calls == (("apply", 16), ("inner", 15))


@pytest.mark.parametrize("line", ["x = 0.1", "x = 1 / 3", "x /= 2", "x = 1j", "x = ("])
def test_floats_are_refused_with_their_line_when_a_contract_is_loaded(engine: Engine, line: str) -> None:
    with pytest.raises(ContractNotRunnable, match="line 14: SyntaxError"):
        engine.load(contract(line))


def test_a_case_that_cannot_be_seen_is_refused(engine: Engine) -> None:
    for case in ("", "a\u200bb", "x" * 201, 7):
        said = run(engine, COUNTS, record(case=case))[0]
        assert (said.case, said.reason is None) == (None, False), case


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**70), 10**70)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30).filter(
        lambda number: len(f"{number:f}") <= limits.NUMBER_LETTERS_MAX
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), _VALUES, max_size=4))
def test_any_value_comes_back_as_it_went_in(engine: Engine, value: dict[str, Any]) -> None:
    text = _write(value)
    said = run(engine, contract("return state"), record(), states={"one": text})[0]
    assert said.state is not None, said.reason
    assert _same(parse(said.state), parse(text)), (said.state, text)


# --- the trap rule -----------------------------------------------------------------


def test_an_input_that_traps_takes_no_neighbour_down(engine: Engine) -> None:
    batch = [record(0), record(1), record(2, spin=1), record(3), record(4, spin=1), record(5)]
    outcomes = run(engine, SPIN, *batch)
    assert [outcome.reason and outcome.reason.kind for outcome in outcomes] == [None, None, "trap", None, "trap", None]
    assert outcomes[-1].state == b'{"n":4}'


def test_an_input_that_traps_in_its_key_takes_no_neighbour_down(engine: Engine) -> None:
    source = SPIN.replace(
        "    return record", '    while record["body"].get("stop"):\n        pass\n    return record', 1
    )
    outcomes = run(engine, source, record(0), record(1, stop=1), record(2))
    assert [outcome.state for outcome in outcomes] == [b'{"n":1}', None, b'{"n":2}']


def test_memory_that_neighbours_took_is_there_again(engine: Engine) -> None:
    body = (
        'import decimal\ndecimal.kept = getattr(decimal, "kept", [])\n'
        'decimal.kept.append("x" * (30 << 20))\nreturn {"n": 1}'
    )
    outcomes = run(engine, contract(body), *[record(n) for n in range(8)])
    assert [outcome.state for outcome in outcomes] == [b'{"n":1}'] * 8


CALM: Final = """class Calm:
    def __enter__(self):
        pass
    def __exit__(self, *_):
        return True
with Calm():
    KEEP
if len(decimal.kept) == had:
    return {"n": "caught"}"""


@pytest.mark.parametrize(
    "take",
    [
        'try:\n    KEEP\nexcept MemoryError:\n    return {"n": "caught"}',
        'try:\n    KEEP\nexcept:\n    return {"n": "caught"}',
        CALM,
    ],
    ids=["named", "bare", "exit"],
)
def test_memory_that_neighbours_took_is_not_seen_by_who_catches_the_error(engine: Engine, take: str) -> None:
    had = 'import decimal\ndecimal.kept = getattr(decimal, "kept", [])\nhad = len(decimal.kept)\n'
    source = contract(had + take.replace("KEEP", 'decimal.kept.append("x" * (30 << 20))') + '\nreturn {"n": 1}')
    assert [outcome.state for outcome in run(engine, source, *[record(n) for n in range(8)])] == [b'{"n":1}'] * 8


@pytest.mark.parametrize("less", [18, 20_000, 70_000, 5_000_000])
def test_size_that_no_instance_has_ends_it_whatever_neighbours_left(engine: Engine, less: int) -> None:
    """The C library refuses the largest sizes by asking for memory, or without, as much lies free at the end."""
    body = (
        'import decimal\ndecimal.kept = getattr(decimal, "kept", []) + ["x" * (5 << 20)]\n'
        f'try:\n    bytes(2**31 - {less})\nexcept MemoryError:\n    return {{"n": "caught"}}'
    )
    reasons = [outcome.reason for outcome in run(engine, contract(body), *[record(n) for n in range(4)])]
    assert [reason and reason.kind for reason in reasons] == ["trap"] * 4


def test_pattern_that_a_neighbour_compiled_is_compiled_again(engine: Engine) -> None:
    """Else an input would be spared what the first of a batch pays for, and could pass where it would trap alone."""
    body = 'import re\nre.compile("|".join(f"a{n}b{n}" for n in range(100)))\nreturn {"n": 1}'
    first, second = run(engine, contract(body), record(0), record(1))
    assert second.fuel > 0.95 * first.fuel


def test_flags_of_what_a_neighbour_reckoned_are_not_seen(engine: Engine) -> None:
    """Else a state would depend on what else was in the batch."""
    flags = "[str(flag) for flag, is_set in decimal.getcontext().flags.items() if is_set]"
    body = f'import decimal\nseen = {flags}\ndivide(1, 3, 2)\nDecimal(2).exp()\nreturn {{"seen": seen}}'
    first, second = run(engine, contract(body), record(0), record(1))
    assert first.state == second.state == b'{"seen":[]}'


def test_a_date_is_written_as_it_is_told_or_refused(engine: Engine) -> None:
    """The C library makes an empty text of what it does not know."""
    form = 'import datetime\nreturn {"n": datetime.date(2026, 1, 2).strftime("%s")}'
    assert result(engine, form % "%d.%m.%Y, 5 %% off").state == b'{"n":"02.01.2026, 5 % off"}'
    reason = result(engine, form % "%d.%m.%Y, 5 % off").reason
    assert reason is not None and "write %% for a percent sign" in reason.message


def test_a_trap_comes_out_the_same_in_any_batch(engine: Engine) -> None:
    alone = run(engine, SPIN, record(0, spin=1))[0]
    among = run(engine, SPIN, *[record(n, case="other") for n in range(70)], record(0, spin=1))[-1]
    assert alone.reason == among.reason and alone.fuel == among.fuel


# --- the same everywhere -----------------------------------------------------------


def test_the_same_batch_gives_the_same_fuel_whatever_ran_before(engine: Engine) -> None:
    batch = [record(n, case=f"c{n % 3}", x=n) for n in range(20)]
    first = run(engine, COUNTS, *batch)
    run(engine, SPIN, record(0, spin=1))
    assert run(engine, COUNTS, *batch) == first


def test_inputs_cut_into_other_batches_give_the_same_states(engine: Engine) -> None:
    given_inputs = inputs(COUNTS, [{"case": f"c{n % 7}", "x": n} for n in range(100)])
    found = set()
    for size in (1, 7, 64, 256):
        fold = Fold(engine, COUNTS, b"{}", batch_inputs=size)
        fold.add(given_inputs)
        found.add(fold.states_hash())
    assert len(found) == 1


_OTHER = """
import json, sys
from contracts.engine import Engine
from tests.engines import COUNTS, record
with Engine() as engine:
    batch = [record(n, case=f"c{n % 3}", x=n) for n in range(20)]
    outcomes = engine.run(COUNTS, b"{}", batch, lambda cases: [None for _ in cases])
    print(json.dumps([[o.case, o.state.decode(), o.fuel] for o in outcomes]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "4711"])
def test_another_process_with_another_hash_seed_comes_to_the_same(engine: Engine, seed: str) -> None:
    batch = [record(n, case=f"c{n % 3}", x=n) for n in range(20)]
    here = [[o.case, (o.state or b"").decode(), o.fuel] for o in run(engine, COUNTS, *batch)]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", _OTHER], capture_output=True, check=True, cwd=ROOT, env=environment, text=True
    )
    assert json.loads(done.stdout) == here


@pytest.mark.slow
def test_a_guest_that_is_compiled_anew_comes_to_the_same(engine: Engine, tmp_path: Path) -> None:
    batch = [record(n, case=f"c{n % 3}", x=n) for n in range(20)]
    with Engine(folder=tmp_path / "cache") as other:
        assert run(other, COUNTS, *batch) == run(engine, COUNTS, *batch)


def test_the_states_hash_does_not_depend_on_the_order_of_cases() -> None:
    assert hash_states({"a": b"{}", "b": b"{}"}) == hash_states({"b": b"{}", "a": b"{}"})
    assert hash_states({"a": b"{}"}) != hash_states({"b": b"{}"})


# --- the pin -----------------------------------------------------------------------


def test_the_artifact_is_the_one_that_is_pinned() -> None:
    wasm = read_artifact()
    assert hashlib.sha256(wasm).hexdigest() == make_pin()["artifact"] == pin.ARTIFACT


def test_guest_and_host_know_the_same_bounds() -> None:
    folder = ROOT / "contracts" / "guest"
    app, problems, values = ((folder / f"{name}.py").read_text() for name in ("app", "problems", "values"))
    assert "DEPTH = 32 " in values
    assert f"\nRECURSION = {limits.CALLS_INSIDE_MAX}\n" in app and "sys.setrecursionlimit(RECURSION)" in app
    assert f"MESSAGE = {limits.REASON_LETTERS_MAX} " in problems and f"CALLS = {limits.REASON_CALLS_MAX} " in problems


def _write(value: Any) -> bytes:
    """JSON with Decimals as they are."""
    match value:
        case Decimal():
            return f"{value:f}".encode()
        case dict():
            rows = [json.dumps(key).encode() + b":" + _write(inner) for key, inner in value.items()]
            return b"{" + b",".join(rows) + b"}"
        case list():
            return b"[" + b",".join(map(_write, value)) + b"]"
    return json.dumps(value).encode()


def _same(a: Any, b: Any) -> bool:
    """Equal, and of the same types: 1 is not 1.0 here. Zero has no sign."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and (str(a).lstrip("-") == str(b).lstrip("-") if not a else a == b)
