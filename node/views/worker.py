"""The view worker: `python -m node.views.worker FOLDER`, a process of its own beside the node.

It reads the ledger of the node in FOLDER and fills `views.db`. A byte on stdin says that
something changed; the end of stdin says that the node is gone, and the worker goes as well.
It may be killed at any time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Final

from ledger.errors import TallyError
from ledger.names import MemberName
from node.config import DATABASE_NAME, load_settings
from node.keyring import load_opening_keys
from node.storage.viewsource import open_ledger
from node.storage.viewstore import VIEWS_NAME, ViewsDamaged, ViewStore, discard
from node.views.projecting import Projector

IDLE_S: Final = 10.0
"""A look at the ledger without having been told: for commits that nobody announces."""
_PAUSE_S: Final = 0.05
"""From one look that found little to the next: under load, many commits then share what any look costs."""
_NICENESS: Final = 10  # the node's own work goes first


def run(folder: Path, nudges: int) -> None:
    """Fill the view until `nudges` (a file descriptor) ends. Raises: ConfigBroken, KeyFileBroken."""
    projector = open_projector(folder)
    rest_s = 0.0
    while _wait(nudges, rest_s):
        began_s = time.monotonic()
        try:
            rest_s = 0.0 if projector.run_round() else projector.rest_s(IDLE_S)
        except ViewsDamaged:
            projector.close()
            discard(folder / VIEWS_NAME)
            projector = open_projector(folder)
            rest_s = 0.0
        took_s = time.monotonic() - began_s
        if took_s < _PAUSE_S / 4:
            time.sleep(_PAUSE_S - took_s)


def open_projector(folder: Path) -> Projector:
    """What fills the view of the node in `folder`. Raises: ConfigBroken, KeyFileBroken."""
    settings = load_settings(folder)
    passphrase = settings.passphrase_file.read_text().rstrip("\n") if settings.passphrase_file else None
    opening = load_opening_keys(folder, passphrase)
    ledger, views = open_ledger(folder / DATABASE_NAME), ViewStore.open(folder / VIEWS_NAME)
    return Projector(ledger, views, member=MemberName(settings.member), opening=opening)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m node.views.worker FOLDER\n")
        return 3
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the node too, which then ends our stdin
    os.nice(_NICENESS)
    sys.excepthook = _tell_fault
    os.umask(0o077)  # of what it makes, views are bodies in clear
    try:
        run(Path(sys.argv[1]), sys.stdin.fileno())
    except TallyError as cause:
        sys.stderr.write(f"view worker: {cause}\n")
        return 1
    return 0


def _tell_fault(kind: type[BaseException], fault: BaseException, traceback: TracebackType | None) -> None:
    """Say what ended the worker and where: stderr is the log of the node, and a message may hold what a record says."""
    code = getattr(getattr(fault, "orig", fault), "sqlite_errorname", None) or getattr(fault, "errno", None)
    where = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in walk_tb(traceback)]
    sys.stderr.write(f"view worker: {kind.__qualname__} {code or 'without a code'} at {' '.join(where)}\n")


def _wait(nudges: int, seconds: float) -> bool:
    """Until there is a nudge or the time is over; False once the other end is closed."""
    ready, _, _ = select.select([nudges], [], [], seconds)
    return not ready or os.read(nudges, 1 << 16) != b""


if __name__ == "__main__":
    sys.exit(main())
