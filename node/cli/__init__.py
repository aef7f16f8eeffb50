"""The command line `tally`: exit codes, errors as people and scripts read them, and nothing else.

The commands stand in the modules beside; each imports what it needs when it runs, so that
`tally --help` and `tally verify` start quickly.

Reference: docs/reference/cli.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from ledger.errors import TallyError
from node.cli.exits import ExitCode, UsageWrong, exit_code_of
from node.cli.output import Output


def main() -> None:
    """Run the command of this process's arguments and exit with its code."""
    _open_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    # Read here and not from the parsed options, as they hold also for a command line that does not parse.
    out = Output(as_json="--json" in arguments)
    try:
        from node.cli.tree import app

        return int(app(list(arguments) or ["--help"], prog_name="tally", standalone_mode=False) or ExitCode.OK)
    except typer.TyperException as error:
        out.error(UsageWrong(reason=" ".join(error.format_message().split())))
        return ExitCode.USAGE
    except TallyError as error:
        if "--debug" in arguments:
            _show_trace()
        out.error(error)
        return exit_code_of(error)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except OSError as error:
        out.error(FileUnusable(path=error.filename or "a file", reason=error.strerror or error))
        return ExitCode.USAGE
    except Exception as error:  # the outermost door: nobody should meet a traceback
        if "--debug" in arguments:
            _show_trace()
        out.error(InternalFault(reason=f"{type(error).__name__}: {error}"[:300]))
        return ExitCode.INTERNAL


def _open_streams() -> None:
    """A stream that the caller closed (`2>&-`) leads nowhere; else a file or a pipe would be given its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            assert found == number, "those below it are open"
            setattr(sys, name, os.fdopen(found, "w" if number else "r", encoding="utf-8"))


class FileUnusable(TallyError):
    code = "file-unusable"
    template = "{path}: {reason}"
    hint = "Check the path, its permissions and the free space."


class InternalFault(TallyError):
    code = "unexpected"
    template = "a fault of this program: {reason}"
    hint = "Run the same command with --debug and report what it prints."


def _show_trace() -> None:
    import traceback

    traceback.print_exc()
