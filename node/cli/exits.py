"""Exit codes: one table, for scripts. docs/reference/cli.md shows it, a test compares the two."""

from __future__ import annotations

import signal
from enum import IntEnum
from types import FrameType
from typing import Final

from ledger.errors import TallyError, Unavailable
from node.documents.faults import RulesEngineMissing, RulesUnusable


class ExitCode(IntEnum):
    OK = 0
    REFUSED = 1
    INCOMPLETE = 2
    USAGE = 3
    UNREACHABLE = 4
    INTERNAL = 5
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done; for `verify`, `charter verify` and `fsck`: proved",
    ExitCode.REFUSED: "refused or invalid: the input, the proof or the store is not good, or the node said no; for "
    "`contract test`: a case failed; for `contract compare`: there are differences",
    ExitCode.INCOMPLETE: "incomplete: nothing is wrong, but something is missing for an answer (a trusted "
    "fingerprint, signatures, cosignatures, entries)",
    ExitCode.USAGE: "the command line is wrong, or a file or token that it needs is not there",
    ExitCode.UNREACHABLE: "the node does not answer, or cannot serve yet, or contracts cannot run here now; "
    "the same command may succeed later",
    ExitCode.INTERNAL: "a fault of this program; `--debug` shows where",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
}


class UsageWrong(TallyError):
    """What was asked for cannot be meant."""

    code = "usage"
    template = "{reason}"
    hint = "`--help` after any command lists what it takes."


def end_as_by_interrupt() -> None:
    """From here on SIGTERM does what Ctrl-C does: an exception leaves time to close and remove what is open."""
    signal.signal(signal.SIGTERM, _interrupt)


def exit_code_of(error: TallyError) -> ExitCode:
    """The exit code of an error that reached the command line."""
    if isinstance(error, UsageWrong | RulesUnusable | RulesEngineMissing):
        return ExitCode.USAGE
    return ExitCode.UNREACHABLE if isinstance(error, Unavailable) else ExitCode.REFUSED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
