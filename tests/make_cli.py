"""Builders for the command line: run a command in this process, make folders and a signed network file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.cli import run

NETWORK: Final = "cold-chain.example"


@dataclass(frozen=True)
class Result:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value that stdout holds."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def tally(*words: str | Path) -> Result:
    """Run one command line. Its text is decoded as UTF-8, whatever the locale."""
    with _streams() as (out, err):
        code = run([str(word) for word in words])
    return Result(code, out.getvalue().decode(), err.getvalue().decode())


@contextmanager
def _streams() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8", "backslashreplace")
    try:
        yield out, err
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Detached, so that the wrappers do not close the bytes when they are collected.
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = kept


def make_folders(root: Path, *names: str) -> list[Path]:
    """A node's folder for each name, as `tally init` makes it."""
    folders = [root / name for name in names]
    for folder in folders:
        done = tally("init", folder, "--network", NETWORK, "--member", folder.name)
        assert done.code == 0, done.err
    return folders


def found(root: Path, *names: str) -> Path:
    """Folders, and the network file that all of them signed."""
    first, *others = make_folders(root, *names)
    file = root / "network.json"
    members = [folder / "member.json" for folder in (first, *others)]
    assert tally("charter", "new", *members, "--dir", first, "-o", file).code == 0
    for folder in others:
        assert tally("charter", "sign", file, "--dir", folder).code == 0
    return file
