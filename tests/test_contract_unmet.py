"""Patterns that no input met: each is told once the inputs are over, with what was nearly it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.inputs import decode_input
from contracts.source import read_source
from contracts.unmet import Meeting
from tests.make_cli import tally
from tests.make_crates import TEXT, run_crates

_TWO = (
    '"""T."""\nROLES = {{"a"}}\nSIGNERS = {{"a"}}\nAUTHORS = {{"t": {{"a"}}, "u": {{"a"}}}}\n'
    'SHARES = {{"t": {0}, "u": {0}}}\n'
)


def unmet(patterns: str, *bodies: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Patterns of the type `t` that none of the bodies met, each with what is nearly it."""
    text = _TWO.format("{" + ", ".join(f'"{pattern}": set()' for pattern in patterns.split()) + "}")
    source, meeting = read_source(text), Meeting(text)
    for body in bodies:
        line = json.dumps({"type": "t", "body": body}).encode()
        meeting.add([decode_input(line, source, position=0)])
    found = meeting.unmet()
    assert {one.type for one in found} <= {"t"}
    return [(one.pattern, one.close) for one in found]


def test_pattern_that_a_part_of_any_body_met_is_not_told() -> None:
    bodies = {"a": {"b": 1}}, {"lines": [{"c": 2}, {"d": None}]}, {"n": 1e300}
    assert unmet("/* /a /a/b /lines/*/c /lines/*/d /n", *bodies) == []
    assert unmet("/x /x/y", *bodies[:1], {"x": {"y": []}}) == unmet("/* /*/b", *bodies) == []


@pytest.mark.parametrize(
    ("pattern", "body", "close"),
    [
        ("/crate", {"crates": 1}, "/crates"),
        ("/Deliver/City", {"Delivery": {"City": "x"}}, "/Delivery/City"),
        ("/lines/*/prise", {"lines": [{"price": 1}]}, "/lines/*/price"),
        ("/lines/price", {"lines": [{"price": 1}]}, None),
        ("/lines/*", {"lines": []}, None),
        ("/total", {"note": 1}, None),
        ("/a~1d", {"a/b": 1}, "/a~1b"),
    ],
)
def test_pattern_that_nothing_met_is_told_with_what_is_nearly_it(pattern: str, body: Any, close: str | None) -> None:
    assert unmet(f"/* {pattern}", body) == [(pattern, close)]


def test_name_that_another_pattern_means_is_not_taken_for_a_misspelt_one() -> None:
    assert unmet("/price /prices", {"price": 1}) == [("/prices", None)]


def test_keys_that_are_no_names_are_not_compared_with_patterns() -> None:
    few = {f"order_{n}": 1 for n in range(256)}
    assert unmet("/order_x", few) == [("/order_x", "/order_9")]
    assert unmet("/order_x", {**few, "order_256": 1}) == [("/order_x", None)]


def test_types_of_which_no_input_came_are_not_told_of() -> None:
    assert unmet("/x") == []


def test_run_tells_what_no_input_met_with_its_line(guide: Path) -> None:
    (guide / "crates.py").write_text(TEXT.replace('"/crates": {"packer"', '"/crate": {"packer"', 1))
    said = run_crates()
    assert said.code == 0
    assert said.err.splitlines()[-3:] == [
        "2 patterns of SHARES met no field of these inputs:",
        "  crates.py:13: sent /crate: perhaps /crates is meant, which was seen",
        "  crates.py:14: sent /stock_number",
    ]
    assert run_crates("--json").json["unmet"] == [
        {"type": "sent", "pattern": "/crate", "line": 13, "close": "/crates"},
        {"type": "sent", "pattern": "/stock_number", "line": 14, "close": None},
    ]


def test_cases_tell_it_too(guide: Path) -> None:
    assert "SHARES" not in tally("contract", "test", "crates.py").err
    (guide / "crates.py").write_text(TEXT.replace('"/stock_number"', '"/stock_nr"'))
    said = tally("contract", "test", "crates.py")
    assert said.err.splitlines()[-2:] == [
        "1 pattern of SHARES met no field of these cases:",
        "  crates.py:14: sent /stock_nr: perhaps /stock_number is meant, which was seen",
    ]
    assert [row["close"] for row in tally("contract", "test", "crates.py", "--json").json["unmet"]] == ["/stock_number"]


def test_of_many_patterns_those_that_may_be_misspelt_are_listed(guide: Path) -> None:
    more = "".join(f'        "/other{n}": set(),\n' for n in range(30))
    text = TEXT.replace('        "/stock_number": set(),\n', more)
    (guide / "crates.py").write_text(text.replace('"/crates": {"packer"', '"/crate": {"packer"', 1))
    said = run_crates().err.splitlines()
    assert said[-7:-5] == [
        "31 patterns of SHARES met no field of these inputs:",
        "  crates.py:13: sent /crate: perhaps /crates is meant, which was seen",
    ]
    assert said[-1] == "  ... and 26 more; --json lists all"
