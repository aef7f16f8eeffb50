"""The documentation is in order, and the program that checks it notices what is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import docs_check
from tests.docs_check import CHECKS, anchors, link_faults, links
from tests.make_reference import pages, written_part
from tests.source import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_docs_are_in_order(check: Callable[[], Iterator[str]]) -> None:
    assert list(check()) == []


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a page the only one there is."""

    def write(text: str) -> Path:
        (tmp_path / "docs" / "spec").mkdir(parents=True, exist_ok=True)
        made = tmp_path / "docs" / "index.md"
        made.write_text(text, encoding="utf-8")
        monkeypatch.setattr(docs_check, "ROOT", tmp_path)
        monkeypatch.setattr(docs_check, "INDEX", made)
        monkeypatch.setattr(docs_check, "all_pages", lambda: sorted((tmp_path / "docs").rglob("*.md")))
        return made

    return write


def test_links_are_found_in_prose_alone() -> None:
    text = "[a](x.md) `[b](y.md)` [c](https://x.example/z.md)\n```\n[d](w.md)\n```\n[e](#here)\n"
    assert links(text) == ["x.md", "#here"]


def test_anchors_are_those_of_the_headings() -> None:
    text = "# One Two\n## `code` of *x*, y\n```\n# none\n```\n## One Two\n## [Linked](x.md) here\n"
    assert anchors(text) == {"one-two", "code-of-x-y", "one-two-1", "here"}


@pytest.mark.parametrize("target", ["none.md", "#no-such", "index.md#no-such", "../../etc/passwd", "spec"])
def test_broken_link_is_noticed(page: Callable[[str], Path], target: str) -> None:
    made = page("# Here\n")
    assert (list(link_faults(made, target)) == []) is (target == "spec")
    assert list(link_faults(made, "#here")) == []


@pytest.mark.parametrize(
    ("cited", "missing"),
    [
        ('docs/index.md, "Here"', []),
        ('docs/index.md, "Here", "In bold" and\n"A `word` of ours".', []),
        ('docs/index.md, "There"', ["There"]),
        ('docs/index.md, "Here" and "Code"; docs/none.md, "Here"', ["Code", "Here"]),
        ('docs/index.md. Source: "There"', []),
    ],
)
def test_heading_that_is_not_there_is_noticed(page: Callable[[str], Path], cited: str, missing: list[str]) -> None:
    page("# Here\n## A `word` of ours\n**In bold.** A paragraph.\n```\n# Code\n```\n")
    faults = list(docs_check.heading_faults(f"Spec: {cited}"))
    assert [fault.rsplit("no heading ")[1] for fault in faults] == missing


def test_page_that_no_link_leads_to_is_noticed(page: Callable[[str], Path]) -> None:
    made = page("# Index\n[one](one.md)\n")
    for name in ("one", "two"):
        (made.parent / f"{name}.md").write_text("# Page\n")
    assert [text for text in docs_check.check_reachable() if "two.md" in text]
    assert not [text for text in docs_check.check_reachable() if "one.md" in text]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "text"),
    [
        (docs_check.check_cited_paths, "see `ledger/nothing.py`"),
        (docs_check.check_cited_paths, "see `tests/test_docs.py::test_that_never_was`"),
        (docs_check.check_commands, "`tally frobnicate now`"),
        (docs_check.check_commands, "```\ntally verify x --frobnicate\n```\n"),
        (docs_check.check_machine_paths, "in /" + "home/somebody/x"),
        (docs_check.check_placeholders, "```\n@example\n```\n"),
    ],
)
def test_fault_is_noticed(page: Callable[[str], Path], check: Callable[[], Iterator[str]], text: str) -> None:
    page(f"# Page\n\n{text}\n")
    assert len(list(check())) == 1
    page("# Page\n\nsound\n")
    assert list(check()) == []


@pytest.mark.parametrize("part", ["Question.", "Evidence.", "Choice.", "Given up.", "Look again"])
def test_decision_that_lacks_a_part_is_noticed(page: Callable[[str], Path], part: str) -> None:
    folder = page("# Index\n").parent / "decisions"
    folder.mkdir()
    sound = "**Question.** Why?\n\n**Evidence.** Be\n\n**Choice.** cause\n\n**Given up.** it\n\n**Look again** then.\n"
    (folder / "one.md").write_text(sound)
    assert list(docs_check.check_decisions()) == []
    (folder / "one.md").write_text(sound.replace(f"**{part}** ", ""))
    assert [text for text in docs_check.check_decisions() if "one.md" in text]
    (folder / "one.md").write_text(f"{sound}\n**{part}** Once more.\n")
    assert [text for text in docs_check.check_decisions() if "one.md" in text]


def test_table_that_is_not_as_the_code_has_it_is_noticed(tmp_path: Path) -> None:
    path, text = next(iter(pages().items()))
    copy = tmp_path / path.name
    copy.write_text(path.read_text(encoding="utf-8").replace("Name of the network.", "Name."), encoding="utf-8")
    assert written_part(path) == text
    assert written_part(copy) != text


@pytest.mark.slow
def test_every_code_setting_limit_and_route_is_listed_by_something() -> None:
    """The lists that pages are compared with are not empty, so that the comparison means something."""
    found = docs_check.listed()
    assert {path.name: len(names) > 5 for path, names in found.items()} == dict.fromkeys((p.name for p in found), True)
    assert "disk-full" in docs_check.error_codes()
    assert "/records/{log}/{index}/receipt" in docs_check.api_paths()
    assert "/logs/{log}/bodies/{bundle}" in docs_check.peer_paths()
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) >= 10
