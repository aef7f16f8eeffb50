"""Run the benchmarks.

Usage: python -m tests.bench [--json] [--full] [--only NAME]... [--quick]; --only takes the name of a row or a scene.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench import appending, copying, evaluating, idling, posting, reading, replaying
from tests.bench.rows import Row, encode_rows, show_rows
from tests.bench.stage import QUICK, USUAL, Stage

Scene = tuple[tuple[str, ...], Callable[[Stage], Iterator[Row]]]

_SCENES: Final[dict[str, Scene]] = {
    "appending": (appending.NAMES, appending.measure),
    "posting": (posting.NAMES, posting.measure),
    "copying": (copying.NAMES, copying.measure),
    "replaying": (replaying.NAMES, replaying.measure),
    "reading": (reading.NAMES, reading.measure),
    "evaluating": (evaluating.NAMES, evaluating.measure),
}
_IDLING: Final = "idling"


def main(words: Sequence[str] | None = None) -> int:
    options = _parse(words)
    console = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tally-bench-")))
        stage = Stage(
            folder, QUICK if options.quick else USUAL, options.full, lambda text: console.print(f"[dim]{text}[/]")
        )
        opened.enter_context(closing(stage))
        wanted = _wanted(options.only)
        idle = opened.enter_context(idling.Idle(stage)) if _IDLING in wanted else None
        for name, (_, measure) in _SCENES.items():
            if name in wanted:
                rows += measure(stage)
        stage.close()
        if idle is not None:
            rows += idle.measure()
    if options.only:
        scenes = {*_SCENES, _IDLING}
        rows = [row for row in rows if row.name in options.only or scenes.intersection(options.only)]
    if options.json:
        sys.stdout.write(encode_rows(rows) + "\n")
    else:
        show_rows(rows, Console(highlight=False))
    return 0


def names() -> dict[str, tuple[str, ...]]:
    """The rows of each scene."""
    return {scene: found for scene, (found, _) in _SCENES.items()} | {_IDLING: idling.NAMES}


def _wanted(only: Sequence[str]) -> set[str]:
    """The scenes that the chosen rows belong to; all of them where none was chosen."""
    if not only:
        return set(names())
    return {scene for scene, found in names().items() if {scene, *found}.intersection(only)}


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    known = sorted({*names(), *(name for found in names().values() for name in found)})
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON (schema.json), nothing else, on stdout")
    parser.add_argument("--full", action="store_true", help="measure append at 5 million records, too")
    parser.add_argument("--only", action="append", default=[], choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="a few records only: tries the flow, measures nothing")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
