"""Whether contracts could run on this machine, for those who ask before they run any.

Spec: docs/spec/contract-engine.md, "The worker" and "The cache".
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from contracts.engine import children
from contracts.engine.cache import default_folder, is_compiled, read_artifact
from contracts.engine.errors import EngineUnfit
from contracts.engine.host import check_host
from contracts.engine.machine import make_engine
from contracts.engine.running import Engine

_CHECKED_S: Final = 60.0
"""Seconds until the check must have ended: it compiles nothing."""


def check_engine(folder: Path | None = None) -> bool:
    """True if contracts can run at once, False if the guest is compiled first; compiles nothing.

    folder: where the compiled guest is kept; the user's own unless it is given. Raises: EngineUnfit, EngineFailed.
    """
    folder = default_folder() if folder is None else folder
    if is_compiled(folder):
        with Engine(folder=folder) as engine:
            engine.start()
        return True
    # In a process of its own, as to look at the limits of one lifts them.
    code, said = children.finish("contracts.engine.checking", timeout_s=_CHECKED_S)
    if code != 0:
        raise EngineUnfit(reason=said[:300] or f"the check ended with code {code}")
    return False


def main() -> None:
    try:
        check_host()
        make_engine()
        read_artifact()
    except EngineUnfit as cause:
        sys.stdout.write(str(cause.fields["reason"]))
        sys.exit(1)


if __name__ == "__main__":
    main()
