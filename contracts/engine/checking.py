"""Whether contracts could run on this machine, for those who ask before they run any.

Spec: docs/spec/contract-engine.md, "The worker" and "The cache".
"""

from __future__ import annotations

from pathlib import Path

from contracts.engine.cache import default_folder, is_compiled, read_artifact
from contracts.engine.machine import make_engine
from contracts.engine.running import Engine
from contracts.engine.worker import check_host


def check_engine(folder: Path | None = None) -> bool:
    """True if contracts can run at once, False if the guest is compiled first; compiles nothing.

    folder: where the compiled guest is kept; the user's own unless it is given. Raises: EngineUnfit, EngineFailed.
    """
    folder = default_folder() if folder is None else folder
    if is_compiled(folder):
        with Engine(folder=folder) as engine:
            engine.start()
        return True
    check_host(is_lifting=False)
    make_engine()
    read_artifact()
    return False
