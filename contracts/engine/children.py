"""How the engine starts processes of its own: with the code that runs here, and nothing of where it was called.

`python -m` looks for modules in the current folder first, and in what the environment names. Both may be another's.

Spec: docs/spec/contract-engine.md, "The worker".
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from contracts.engine.errors import EngineFailed

_ROOT: Final = Path(__file__).parent.parent.parent


def start(
    module: str, *arguments: str, stdin: int, stderr: int | None = None, keep: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a module of this program, with a pipe from its standard output. Raises: EngineFailed.

    Paths among the arguments are absolute. stdin, stderr: as in subprocess. keep: descriptors that
    it gets, by the same numbers.
    """
    # Nothing of the node's environment is of use to it, and some of it is secret.
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment["PYTHONPATH"] = str(_ROOT)
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env=environment,
            cwd="/",
            pass_fds=keep,
        )
    except OSError as cause:
        raise EngineFailed(reason=f"cannot be started: {cause.strerror}") from cause


def finish(module: str, *arguments: str, timeout_s: float, keep: Collection[int] = ()) -> tuple[int, str]:
    """Run a module to its end: its code, and the last line that it said. Raises: EngineFailed."""
    with start(module, *arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, keep=keep) as child:
        try:
            out, err = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise EngineFailed(reason=f"did not end within {timeout_s:.0f} seconds, and was stopped") from None
        finally:
            child.kill()  # also where this one is interrupted; no harm to one that ended
    return child.returncode, (out or err).decode(errors="replace").strip().rpartition("\n")[2]
