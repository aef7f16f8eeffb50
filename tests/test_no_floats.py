"""Money never meets binary floating point: not in our code on its way, and not when a contract is run."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.engines import HEAD
from tests.make_cli import tally
from tests.source import ROOT

_COMMANDS: Final = (
    "authoring", "comparing", "contracts", "documents", "inputs", "lines", "linting", "running", "turning"
)  # fmt: skip
FILES: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / "contracts").glob("*.py"),
        *(ROOT / "contracts" / "engine").rglob("*.py"),
        *(ROOT / "contracts" / "library").rglob("*.py"),
        *(ROOT / "node" / "documents").rglob("*.py"),
        *(ROOT / "node" / "cli" / f"{name}.py" for name in _COMMANDS),
    )
)
"""All that a number passes between a document or an input and a table."""

ALLOWED: Final = {
    "contracts/engine/checking.py": {"60.0"},  # seconds, as the next four
    "contracts/engine/running.py": {"600.0"},
    "contracts/engine/worker.py": {"1.0"},
    "contracts/limits.py": {"120.0"},
    "contracts/inputs.py": {
        "(_FIRST_MS + position * _STEP_MS) / 1000",  # seconds of a time, rounded to milliseconds
        "datetime.fromisoformat(time).timestamp",
    },
    "node/cli/contracts.py": {"json.loads(answer)"},  # who is waited for: names and a status, and no number is shown
}
_PATHS: Final = frozenset({"Path", "_library", "folder", "path", "session", "target"})
"""What a `/` that joins paths begins with."""
_INEXACT: Final = frozenset({"from_float", "fsum", "sqrt", "timestamp", "total_seconds"})


def find_floats(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """What makes a binary fraction, or may: types that are only named are left out."""
    types = {inner for node in ast.walk(tree) for one in _annotations(node) for inner in ast.walk(one)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield node
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                if _begins_with(node) not in _PATHS:
                    yield node
            case ast.Name(id="float" | "complex" | "round") if node not in types:
                yield node
            case ast.Attribute(attr=name) if name in _INEXACT:
                yield node
            case ast.ImportFrom(module="json" | "msgspec" | "msgspec.json" | "math" | "statistics" | "random"):
                yield node
            case ast.Call() if not _reads_exactly(node):
                yield node


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.arg(annotation=ast.expr() as one) | ast.AnnAssign(annotation=one):
            yield one
        case ast.FunctionDef(returns=ast.expr() as one):
            yield one


def _begins_with(node: ast.AST) -> str:
    match node:
        case ast.BinOp(left=inner) | ast.IfExp(body=inner) | ast.Attribute(value=inner) | ast.Call(func=inner):
            return _begins_with(inner)
        case ast.Name(id=name):
            return name
    return ""


def _reads_exactly(call: ast.Call) -> bool:
    """Readers of JSON make floats unless they are told what else; those of `msgspec.Raw` make no number at all."""
    given = {one.arg: ast.unparse(one.value) for one in call.keywords}
    match ast.unparse(call.func):
        case "json.loads" | "json.load" | "json.JSONDecoder":
            return given.get("parse_float", "float") != "float"
        case "msgspec.json.decode" | "msgspec.json.Decoder" | "msgspec.convert":
            return given.get("float_hook", "float") != "float" or "msgspec.Raw" in ast.unparse(call)
    return True


@pytest.mark.parametrize("name", FILES)
def test_no_code_on_the_way_of_money_makes_a_float(name: str) -> None:
    found = {ast.unparse(node) for node in find_floats(ast.parse((ROOT / name).read_text(encoding="utf-8")))}
    assert found == ALLOWED.get(name, set())


def test_what_is_allowed_is_in_files_that_are_looked_at() -> None:
    assert ALLOWED.keys() <= set(FILES)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("a = b * 1.2", 1), ("a = b / 100", 1), ("a /= 100", 1), ("a = folder / 'x'", 0), ("a = float(b)", 1),
        ("a = map(float, b)", 1), ("def f(a: float) -> float: ...", 0), ("a = round(b, 2)", 1),
        ("a = json.loads(b)", 1), ("a = json.loads(b, parse_float=float)", 2),
        ("a = json.loads(b, parse_float=Decimal)", 0), ("from json import loads", 1),
        ("a = msgspec.json.decode(b, type=dict)", 1), ("a = msgspec.json.decode(b, type=msgspec.Raw)", 0),
        ("a = msgspec.json.Decoder(dict, float_hook=f).decode", 0), ("a = Decimal.from_float(b)", 1),
        ("a = b // 100", 0), ("a = Decimal('0.10') * 3", 0),
    ],
)  # fmt: skip
def test_the_sweep_sees_what_it_is_for(code: str, number: int) -> None:
    assert len(list(find_floats(ast.parse(code)))) == number


# --- a run ------------------------------------------------------------------------------------

AMOUNTS: Final = ("0.10", "1.005", "12345678901234567890.123456789", "0.30000000000000004", "100", "2.50")
_SUMS: Final = HEAD + (
    "def apply(state, record, terms):\n"
    '    amount = record["body"]["amount"]\n'
    '    if record["body"].get("refuse"):\n'
    '        raise Reject(f"refused {amount}")\n'
    '    return {"amount": amount, "thrice": amount * 3, "rate": terms["rate"]}\n\n\n'
    "def summary(state):\n"
    "    return state\n"
)
THRICE: Final = ("0.30", "3.015", "37037036703703703670.370370367", "0.90000000000000012", "300", "7.50")


@pytest.mark.slow
def test_numbers_come_out_by_their_digits(tmp_path: Path) -> None:
    """As inputs and terms they come in as text of JSON; they leave as a state, in a table, and in a reason."""
    contract, given, terms = tmp_path / "sums.py", tmp_path / "inputs.ndjson", tmp_path / "terms.json"
    states, table = tmp_path / "states.ndjson", tmp_path / "table.csv"
    contract.write_text(_SUMS)
    terms.write_text('{"rate": 0.070}')
    line = '{{"type": "note", "body": {{"case": "{}", "amount": {}{}}}}}\n'
    rows = list(enumerate(AMOUNTS))
    given.write_text("".join(line.format(at, one, "") + line.format(at, one, ', "refuse": true') for at, one in rows))
    options = ("--inputs", given, "--terms", terms, "--save", states, "--table", table, "--json")
    done = tally("contract", "run", contract, *options)

    assert (done.code, done.json["applied"]) == (0, len(AMOUNTS)), done.err
    assert [one["reason"]["message"] for one in done.json["rejected"]] == [f"refused {one}" for one in AMOUNTS]
    saved = [json.loads(one, parse_float=str, parse_int=str) for one in states.read_text().splitlines()]
    expected = [{"amount": a, "rate": "0.070", "thrice": b} for a, b in zip(AMOUNTS, THRICE, strict=True)]
    assert [one["state"] for one in saved] == [one["summary"] for one in saved] == expected
    with table.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [{name: row[name] for name in ("amount", "rate", "thrice")} for row in written] == expected
