"""Lint of code: each thing that it finds, with its line, and what is allowed. Spec: docs/spec/contract-source.md."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from types import ModuleType
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.source import Finding, format_finding, lint, read_source
from contracts.source.allowed import MODULES
from ledger import limits
from tests.lint_cases import IN_APPLY, Pair, contract
from tests.lint_cases_file import IN_FILE
from tests.source import ROOT

DOUBTS: Final = {
    "builtin-replaced", "dataclass-used", "float-parsed", "function-long", "function-unused", "key-missing",
    "limit-caught", "module-work", "power-open", "reason-missing", "regex-slow", "text-unsteady", "ties-open",
}  # fmt: skip
PAIRS: Final = [
    *[(pair, contract(pair.wrong), contract(pair.fine)) for pair in IN_APPLY],
    *[(pair, contract(more=pair.wrong), contract(more=pair.fine)) for pair in IN_FILE],
]


def shown(text: str) -> list[str]:
    return [f"{finding.code} {format_finding('x.py', finding)}" for finding in lint(text)]


@pytest.mark.parametrize(
    ("pair", "wrong", "fine"), PAIRS, ids=lambda value: value.code if isinstance(value, Pair) else ""
)
def test_what_is_found_is_named_with_its_line_and_the_other_way_is_allowed(pair: Pair, wrong: str, fine: str) -> None:
    line = next(at for at, text in enumerate(wrong.split("\n"), 1) if text.endswith("# here"))
    found = [finding for finding in lint(wrong) if finding.code == pair.code]
    assert [(one.line, one.is_error) for one in found] == [(line, pair.code not in DOUBTS)] * len(found), shown(wrong)
    assert found, shown(wrong)
    assert all(one.message and one.instead for one in found)
    assert shown(fine) == []
    read_source(wrong)  # what code does is known when it runs: nodes judge the literals


def test_the_page_lists_what_may_be_imported() -> None:
    page = (ROOT / "docs" / "spec" / "contract-source.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| (`\w+`(?:, `\w+`)*) \|$", page, re.MULTILINE)
    listed = {module: frozenset(re.findall(r"\w+", members)) for module, members in rows if module in MODULES}
    assert listed == MODULES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_may_be_imported_is_there_and_no_module(module: str) -> None:
    there = importlib.import_module(module)
    assert all(not isinstance(getattr(there, name), ModuleType) for name in MODULES[module])


# --- which files, and what of them -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("apply", "def apply(state, record, terms): return {}"),
        ("key", "def key(record): return 'a'"),
        ("summary", "def summary(state): return {}"),
        ("migrate", "def migrate(state, terms): return {}"),
    ],
)
def test_a_function_that_nothing_would_call_is_named(name: str, there: str) -> None:
    literals = contract().partition("def key")[0]
    (found,) = lint(literals + there)
    assert (found.code, found.is_error) == ("function-missing", True)
    assert found.message.startswith(f"{name} is defined")
    assert lint(literals + "def share(record, terms): return {}") == []


def test_code_that_nothing_runs_is_not_judged() -> None:
    text = contract().partition("def key")[0] + "import os\nx = 1 / 2\n"
    assert [finding.code for finding in lint(text)] == ["no-effect", "no-effect"]


def test_code_is_read_also_where_the_literals_are_wrong() -> None:
    text = contract("return {'a': 0.5, 'b': record['type'] == 'x'}").replace(
        '{"order": {"buyer"}', '{"order": ["buyer"]'
    )
    assert [finding.code for finding in lint(text)] == ["literal-malformed", "float-used"]


def test_a_role_that_share_may_let_read_is_not_called_blind() -> None:
    text = contract(more="def share(record, terms):\n    return {'/x': {'carrier'}}\n").replace(
        '"bank"}', '"bank", "carrier"}', 1
    )
    assert shown(text) == []
    assert [finding.code for finding in lint(text.replace("def share", "def other"))] == [
        "role-unused",
        "function-unused",
    ]


def test_a_line_that_is_wrong_once_is_named_once_and_says_what_to_write() -> None:
    text = contract("return {'a': 1 / 2 / 3, 'b': record['type'] == 'ordr', 'c': record['body']['price']}")
    division, kind, field = shown(text)
    assert division == (
        "division-used x.py:19: / leaves open how the result is rounded; "
        "write divide(a, b, places), or // for whole numbers"
    )
    assert (
        kind == "type-unknown x.py:19: the contract has no type 'ordr'; write 'order', or add it to SHARES and AUTHORS"
    )
    assert field == (
        "field-unseen x.py:19: no record shows '/price' to the code, as it is kept from buyer, seller; "
        "share it with all SIGNERS, or do without it"
    )


def test_the_contracts_of_the_library_have_nothing_to_be_found() -> None:
    library = sorted((ROOT / "contracts" / "library").glob("*.py"))
    assert library
    assert {path.name: shown(path.read_text()) for path in library} == {path.name: [] for path in library}


# --- hostile files ---------------------------------------------------------------------------

_HOSTILE: Final = {
    "lambdas": "x=" + "lambda a,b:" * 3000 + "1",
    "names": "\n".join(f"x{i}=y{i}" for i in range(7000)),
    "one name": "x=set()\n" + "x=x\n" * 7000,
    "calls of the next": "\n".join(f"def f{i}(): f{i + 1}()" for i in range(2500)),
    "calls of all": "\n".join(f"def f{i}(): raise" for i in range(2000)) + "".join(f"\nf{i}()" for i in range(2000)),
    "aliases": "x0=record\n" + "\n".join(f"x{i}=x{i - 1}['a']" for i in range(1, 3000)),
    "in a circle": "x=y['a']\ny=x['b']\n" + "x['c']\n" * 3000,
    "union": "x={1}" + "|x" * 2500,
    "attributes": "x=record" + ".b" * 2500 + ".append(1)",
    "parts": "record" + '["a"]' * 800 + "=1",
    "choices": "x=" + "1 if record['type']=='a' else " * 800 + "1",
    "branches": "if 1: return 1\n" + "elif 1: return 1\n" * 900,
    "loops": "while 1:\n while 1:\n  while 1: break\n" * 900,
    "comprehension": "x=[a " + "for a in {1} " * 4000 + "]",
    "regex": "import re\nre.match('" + "(a+)" * 2000 + "',1)",
    "fields": "b=record['body']\n" + "\n".join(f"b['{i}']" for i in range(3000)),
    "types": "record['type'] in (" + ",".join(f"'{'t' * 20}{i}'" for i in range(6000)) + ")",
    "formats": "'" + "{0" * 5000 + "'.format(1)",
    "handlers": "try: pass\nexcept (" + "Exception," * 8000 + "): pass",
    "tests": "if " + "record['type']=='x' and " * 1200 + "1: pass",
    "long names": "import " + "x" * 100_000 + "\nrecord." + "y" * 100_000 + "=z" + "z" * 20_000,
}


@pytest.mark.slow
def test_no_code_brings_lint_down() -> None:
    # In a process of its own: what this is about would take the whole test run with it.
    program = (
        "from contracts.source import format_finding, lint\n"
        "from tests.test_lint_code import _HOSTILE, contract\n"
        "for name, text in _HOSTILE.items():\n"
        "    found = lint(contract(text))\n"
        "    assert found, name\n"
        "    assert all(len(format_finding('x', one)) < 1000 for one in found), name\n"
        "    print(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:-1] == [*_HOSTILE]


@pytest.mark.parametrize(
    ("depth", "codes"), [(limits.CONTRACT_SCOPES_MAX, []), (limits.CONTRACT_SCOPES_MAX + 1, ["too-many"])]
)
def test_functions_stand_in_each_other_so_deeply_and_no_more(depth: int, codes: list[str]) -> None:
    assert [finding.code for finding in lint(contract(more="X = " + "lambda: " * depth + "1"))] == codes


WORDS: Final = re.findall(r"\w+|[^\w\s]|\n *", "\n".join(text for _, wrong, fine in PAIRS for text in (wrong, fine)))


def check(text: str) -> list[Finding]:
    found = lint(text)
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert all(one.line >= 1 and one.message and one.instead for one in found)
    return found


@given(st.lists(st.sampled_from(sorted(set(WORDS))), max_size=30), st.data())
def test_any_change_of_a_contract_is_read_or_refused(words: list[str], data: st.DataObject) -> None:
    """Words of other contracts in place of some of one: mostly no Python, and often code that nobody would write."""
    _, text, _ = data.draw(st.sampled_from(PAIRS))
    start = data.draw(st.integers(0, len(text)))
    check(text[:start] + " ".join(words) + text[data.draw(st.integers(start, len(text))) :])


@given(st.lists(st.sampled_from(IN_APPLY), min_size=2, max_size=6))
def test_faults_do_not_hide_each_other(pairs: list[Pair]) -> None:
    bodies = ["if state:\n" + "".join(f"    {line}\n" for line in pair.wrong.split("\n")) for pair in pairs]
    codes = {finding.code for finding in check(contract("\n".join(bodies) + "\nreturn {}"))}
    # A name that one of them gives a value is known, and no set any more, to the others.
    sure = {"float-used", "division-used", "except-broad", "import-refused", "finally-return", "endless"}
    assert {pair.code for pair in pairs} & sure <= codes


# --- functions that end without an answer ---------------------------------------------------

FALLS_THROUGH: Final = {
    "no return": "if state:\n    raise Reject('no')",
    "one branch": "if state:\n    return {}",
    "no else": "if state:\n    return {}\nelif terms:\n    raise Reject('no')",
    "loop over nothing": "for one in terms:\n    return {}",
    "loop that is left": "while True:\n    if state:\n        break\n    return {}",
    "condition": "while state:\n    return {}",
    "caught": "try:\n    return {'a': terms['b']}\nexcept KeyError:\n    state = {}",
    "match": "match record['type']:\n    case 'order':\n        return {}\n    case 'invoice':\n        return {}",
    "helper that checks": "def check(a):\n    if a:\n        raise Reject('no')\ncheck(state)",
    "helper that checks each": "def check(a):\n    for one in a:\n        raise Reject('no')\ncheck(state)",
    "helper that checks by another": (
        "def refuse(a):\n    if a:\n        raise Reject('no')\ndef check(a):\n    refuse(a)\ncheck(state)"
    ),
    "helper that yields": "def check(a):\n    yield a\n    raise Reject('no')\ncheck(state)",
    "helpers in a circle": "def f(a):\n    g(a)\ndef g(a):\n    f(a)\nf(state)",
    "helper that may answer": "def check(a):\n    if a:\n        return\n    raise Reject('no')\ncheck(state)",
}
ENDS: Final = {
    "all branches": "if state:\n    return {}\nelif terms:\n    raise Reject('no')\nelse:\n    return {'a': 1}",
    "loop": "while True:\n    if state:\n        return {}\n    state = terms",
    "inner loop is left": "while True:\n    for one in terms:\n        break\n    return {'a': one}",
    "else of a loop": "for one in terms:\n    state = one\nelse:\n    return {}",
    "caught": "try:\n    return {'a': terms['b']}\nexcept KeyError:\n    raise Reject('no') from None",
    "finally": "try:\n    state = {'a': terms['b']}\nfinally:\n    raise Reject('no')\nreturn {}",
    "match": "match record['type']:\n    case 'order':\n        return {}\n    case _:\n        raise Reject('no')",
    "helper that raises": "def refuse(why):\n    raise Reject(why)\nif state:\n    return {}\nrefuse('no')",
    "helper that raises by others": (
        "def f(a):\n    if a:\n        raise Reject('no')\n    g(a)\n"
        "def g(a):\n    while True:\n        refuse(a)\ndef refuse(a):\n    raise Reject(a)\nf('no')"
    ),
    "helper that checks": "def check(a):\n    if a:\n        raise Reject('no')\ncheck(state)\nreturn {}",
    "with": "from decimal import localcontext\nwith localcontext():\n    return {}",
    "refuses all": "raise Reject('no')",
    "assertion": "if state:\n    return {}\nassert False, 'no'",
}


@pytest.mark.parametrize("body", FALLS_THROUGH.values(), ids=FALLS_THROUGH)
def test_apply_that_can_end_without_a_state_is_found(body: str) -> None:
    (found,) = [one for one in lint(contract(body)) if one.code == "function-wrong"]
    assert found.is_error and ("without a return" in found.message or found.message == "apply returns nothing")


@pytest.mark.parametrize("body", ENDS.values(), ids=ENDS)
def test_apply_that_answers_on_every_way_is_allowed(body: str) -> None:
    assert [one for one in lint(contract(body)) if one.code == "function-wrong"] == []


def test_byte_order_mark_is_refused_with_what_to_save_instead() -> None:
    (found,) = lint("\ufeff" + contract())
    assert (found.line, found.code) == (1, "hidden-text")
    assert "byte order mark" in found.message and "UTF-8 without one" in found.instead


def test_file_whose_functions_are_all_misspelt_is_not_taken_for_one_without_any() -> None:
    text = contract().replace("def key(", "def Key(").replace("def apply(", "def aply(")
    found = [finding for finding in lint(text) if finding.is_error]
    assert [finding.code for finding in found] == ["function-misspelt"] * 2
    assert [finding.instead[: len("write apply")] for finding in found] == ["write key, ", "write apply"]
