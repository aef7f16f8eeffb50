"""Checks of the documentation that a program can make; `python -m tests.docs_check` prints what is wrong.

Links and anchors resolve, every page can be reached from the index, cited files and tests exist, commands are those of
the program, what can be listed is listed, decisions have all their parts, and no page names a path of the machine it
was written on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from contracts import limits as contract_limits
from ledger import limits
from tests.make_cli_reference import commands
from tests.make_reference import constants, pages, written_part
from tests.source import ROOT, docstrings, functions, modules
from tests.test_cli_docs import command_lines, complaint

DOCS: Final = ROOT / "docs"
INDEX: Final = DOCS / "index.md"
FOLDERS: Final = ("ledger", "contracts", "node", "tests", "docs", ".ci")
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_BOLD: Final = re.compile(r"^\*\*(.+?)[.:]?\*\*", re.MULTILINE)
_CITED_HEADINGS: Final = re.compile(r'(docs/[\w/-]+\.md)((?:(?:,|\s+and|,\s+and)\s+"[^"]+")+)')
_MACHINE: Final = re.compile(r"(?<![\w.])/(?:home|root|Users|work|tmp|mnt|private|builds?)/\w")
_PARTS: Final = ("Question.", "Evidence.", "Choice.", "Given up.", "Look again")
_PART: Final = re.compile(r"^\*\*([A-Z][a-z ]+\.?)\*\* \S", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"^@\w+$", re.MULTILINE)


# --- pages --------------------------------------------------------------------------------


def all_pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def prose(text: str) -> str:
    """A page without its code blocks, lines kept."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def links(text: str) -> list[str]:
    """Targets of the relative links of a page."""
    found = _LINK.findall(_SPAN.sub("", prose(text)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Names of a page's headings as they stand in links: lower case, hyphens, a number for repeats."""
    found: dict[str, int] = {}
    names = set()
    for heading in _HEADING.findall(prose(text)):
        plain = re.sub(r"[^\w\- ]", "", _LINK.sub("", heading).replace("`", "").lower())
        name = plain.strip().replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


# --- checks -------------------------------------------------------------------------------


def check_links() -> Iterator[str]:
    for page in all_pages():
        for target in links(page.read_text(encoding="utf-8")):
            yield from (f"{_name(page)}: {fault}" for fault in link_faults(page, target))


def link_faults(page: Path, target: str) -> Iterator[str]:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.is_relative_to(ROOT) or not file.exists():
        yield f"the link {target} leads nowhere"
    elif anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text(encoding="utf-8"))):
        yield f"the link {target} names no heading of that page"


def check_reachable() -> Iterator[str]:
    """Every page is a few links from the index."""
    seen, waiting = set[Path](), [INDEX]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        for target in links(page.read_text(encoding="utf-8")):
            waiting.append((page.parent / target.partition("#")[0]).resolve())
    yield from (f"{_name(page)}: no link leads here from docs/index.md" for page in all_pages() if page not in seen)


def check_cited_paths() -> Iterator[str]:
    """`ledger/limits.py` and `tests/test_x.py::test_y` in code spans are there."""
    tests = {f"{module.path}::{name}" for module in modules("tests") for name, _ in functions(module)}
    for page in all_pages():
        for span in _SPAN.findall(prose(page.read_text(encoding="utf-8"))):
            path, _, test = span.partition("::")
            if not re.fullmatch(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", path):
                continue
            if not (ROOT / path).exists() or (test and span not in tests):
                yield f"{_name(page)}: there is no {span}"


def check_cited_headings() -> Iterator[str]:
    """A heading quoted in a docstring after a path is one of that page, or the bold beginning of a paragraph there."""
    for module in modules("ledger", "contracts", "node", "tests"):
        for text in docstrings(module):
            yield from (f"{module.path}: {fault}" for fault in heading_faults(text))


def heading_faults(text: str) -> Iterator[str]:
    for path, quoted in _CITED_HEADINGS.findall(text):
        page = ROOT / path
        found = page.read_text(encoding="utf-8") if page.exists() else ""
        known = {
            heading.replace("`", "") for heading in (*_HEADING.findall(prose(found)), *_BOLD.findall(prose(found)))
        }
        for heading in re.findall(r'"([^"]+)"', quoted):
            if " ".join(heading.replace("`", "").split()).rstrip(",.") not in known:
                yield f"{path} has no heading {heading}"


def check_commands() -> Iterator[str]:
    """Every `tally ...` in a block or span is one that the program takes."""
    for page in all_pages():
        for words in command_lines(page):
            fault = complaint(words)
            if fault:
                yield f"{_name(page)}: `{' '.join(words)}`: {fault}"


def check_lists() -> Iterator[str]:
    """What a program can list stands in the page that is to list it."""
    for path, text in pages().items():
        if written_part(path) != text:
            yield f"{_name(path)}: not as the code has it; run `python -m tests.make_reference`"
    for page, names in listed().items():
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        yield from (f"{_name(page)}: does not list {name}" for name in names if name not in text)
    for module in (limits, contract_limits):
        yield from (f"{module.__name__}: {name} does not say why" for name, _, note in constants(module) if not note)


def listed() -> dict[Path, list[str]]:
    """Page -> texts that must be in it."""
    reference = DOCS / "reference"
    pages_of = sorted(path.name for path in (DOCS / "spec").glob("*.md") if path.name != "README.md")
    return {
        reference / "cli.md": [f"## {name}\n" for name, _ in commands()],
        reference / "errors.md": [f"| `{code}` |" for code in error_codes()],
        reference / "api.md": [f"/api/v1{path}" for path in api_paths()],
        DOCS / "spec" / "sync.md": [f" /v1{_plain(path).replace('{log}', '{oh}')}" for path in peer_paths()],
        DOCS / "spec" / "README.md": [f"({name})" for name in pages_of],
    }


def error_codes() -> list[str]:
    """The codes of every class in the tree below `TallyError` of the packages."""
    found = set()
    for module in modules("ledger", "contracts", "node"):
        found |= set(re.findall(r'^    code(?:: [^=]+)? = "([a-z0-9-]+)"$', module.text, re.MULTILINE))
    return sorted(found - {"error"})


def api_paths() -> list[str]:
    found = set()
    for module in modules("node/api"):
        found |= set(re.findall(r'routes\.add\(\s*"[A-Z]+",\s*"([^"]+)"', module.text))
    return sorted(_plain(path) for path in found)


def peer_paths() -> list[str]:
    text = (ROOT / "node" / "sync" / "routes.py").read_text(encoding="utf-8")
    return re.findall(r'^ +\("(/[^"]+)", doors', text, re.MULTILINE)


def check_machine_paths() -> Iterator[str]:
    for page in all_pages():
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if _MACHINE.search(line):
                yield f"{_name(page)}:{number}: a path of one machine"


def check_placeholders() -> Iterator[str]:
    """Examples that a script is to fill in were filled in."""
    for page in all_pages():
        if any(_PLACEHOLDER.search(block) for block in _FENCE.findall(page.read_text(encoding="utf-8"))):
            yield f"{_name(page)}: an example was not filled in"


def check_decisions() -> Iterator[str]:
    """Every decision has the parts that docs/index.md promises, in that order, and none twice."""
    for page in all_pages():
        found = _PART.findall(prose(page.read_text(encoding="utf-8")))
        if page.parent == INDEX.parent / "decisions" and found != [*_PARTS]:
            yield f"{_name(page)}: has the parts {', '.join(found)}, and not {', '.join(_PARTS)}"


CHECKS: Final[tuple[Callable[[], Iterator[str]], ...]] = (
    check_links,
    check_reachable,
    check_cited_paths,
    check_cited_headings,
    check_commands,
    check_lists,
    check_machine_paths,
    check_placeholders,
    check_decisions,
)


def complaints() -> list[str]:
    return [complaint for check in CHECKS for complaint in check()]


def _plain(path: str) -> str:
    """A route's path without the kinds of its parameters."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else str(page)


if __name__ == "__main__":
    found = complaints()
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(bool(found))
