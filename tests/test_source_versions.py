"""What versions of Python read differently is refused by all of them."""

from __future__ import annotations

import sys

import pytest

from contracts.source import lint
from contracts.source.versions import reads_alike
from ledger import limits
from tests.engines import HEAD


def _codes(line: str) -> set[str]:
    found = lint(HEAD + f"def apply(state, record, terms):\n    x = {line}\n    return {{'x': x}}\n")
    return {finding.code for finding in found if finding.is_error}


@pytest.mark.parametrize(
    "text",
    [
        "f'{x}'",
        """f"{d['a']}" """.strip(),
        "f'{{{x}}}'",
        "f'{x:>{w}}'",
        "f'{x:#x}'",
        "f'\\n{x}'",
        "rf'{x}' 'a' f\"{y}\"",
        "f'{x}' # note\n  f'{y}'",
        "f'''{x}\n'''",
        "f'{x:%d.%m.%Y}'",
    ],
)
def test_what_every_version_reads_is_taken(text: str) -> None:
    assert reads_alike(text)


@pytest.mark.parametrize(
    "text",
    [
        "f'{d['a']}'",
        "f'{d['f']}'",
        "f'{d['']}'",
        "f'{\"\\n\".join(x)}'",
        "f'{x # note\n}'",
        "f'{d[\"#\"]}'",
        "f'{f'{x}'}'",
        "f'{x:{d['w']}}'",
    ],
)
def test_what_only_newer_versions_read_is_refused(text: str) -> None:
    assert not reads_alike(text)


def test_newer_formatted_strings_are_refused_also_where_python_takes_them() -> None:
    assert _codes("f'{record['id']}'") == {"syntax" if sys.version_info < (3, 12) else "not-alike"}


def test_letters_by_name_are_refused() -> None:
    assert _codes('"\\N{BULLET}"') == {"not-alike"}


def test_nesting_ends_long_before_any_parser_gives_up() -> None:
    assert _codes("+".join(["1"] * (limits.CONTRACT_DEPTH_MAX + 1))) == {"not-alike"}
    assert _codes("+".join(["1"] * (limits.CONTRACT_DEPTH_MAX - 20))) == set()
