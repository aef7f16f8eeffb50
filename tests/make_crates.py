"""The contract of the guide, for tests that run contracts: deposits on crates; and its cases, inputs and terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts.source import Source, read_source
from tests.make_cli import Result, tally
from tests.source import ROOT

GUIDE: Final = ROOT / "docs" / "guide" / "write-a-contract.md"
_BLOCK: Final = re.compile(r"(?:([^\n]*)\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED: Final = re.compile(r"this as `([\w.]+)`:$")


def blocks() -> Iterator[tuple[str, str, str]]:
    """Of each block of the guide: the file that it is, if it is one; its language; its text."""
    for before, language, text in _BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        named = _NAMED.search(before)
        yield named[1] if named else "", language, text


FILES: Final = {name: text for name, _, text in blocks() if name}
TEXT: Final = FILES["crates.py"]
TERMS: Final = FILES["terms.json"].strip().encode()


def source() -> Source:
    return read_source(TEXT)


def changed() -> str:
    """The second version of the guide, made by its `diff` block."""
    (patch,) = [text for _, language, text in blocks() if language == "diff"]
    text = TEXT
    for part in patch.split("@@\n"):
        lines = part.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def write_all(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "crates_2.py").write_text(changed(), encoding="utf-8")


def run_crates(*words: str | Path) -> Result:
    """`tally contract run` with the files that `write_all` wrote into the current folder."""
    return tally("contract", "run", "crates.py", "--inputs", "crates.ndjson", "--terms", "terms.json", *words)


def lines(*bodies: str) -> list[tuple[int, bytes]]:
    """Lines of a stream: `sent A 10` or `returned A 4`."""
    made = []
    for number, body in enumerate(bodies, 1):
        kind, pool, crates = body.split()
        made.append(
            (number, b'{"type":"%b","body":{"pool":"%b","crates":%b}}' % tuple(map(str.encode, (kind, pool, crates))))
        )
    return made
