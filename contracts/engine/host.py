"""What the host must give a worker: where it would refuse memory inside an instance, a contract would see it.

Looked at when a worker starts, and again whenever an instance was refused memory: that counts as an outcome only
where its own bound refused it.

Spec: docs/spec/contract-engine.md, "The worker".
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from wasmtime import Engine, Limits, Memory, MemoryType, Store, WasmtimeError

from contracts import limits
from contracts.engine.errors import EngineFailed, EngineUnfit

_PAGE_BYTES: Final = 1 << 16
_NEEDED: Final = (
    ("address space", resource.RLIMIT_AS, limits.WORKER_ADDRESS_BYTES),
    ("data", resource.RLIMIT_DATA, limits.WORKER_ADDRESS_BYTES),
    ("stack", resource.RLIMIT_STACK, limits.WORKER_STACK_BYTES),
)


def check_host() -> None:
    """Lift the limits of this process as far as it may, and see that they suffice. Raises: EngineUnfit."""
    for _, kind, _ in _NEEDED:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (hard, hard))
    lack = _find_lack()
    if lack is not None:
        raise EngineUnfit(reason=lack)


def check_memory(engine: Engine) -> None:
    """Raise if it may have been the host that refused memory to an instance. Raises: EngineFailed."""
    lack = _find_lack()
    if lack is None and not _can_grow(engine):
        lack = "there is no memory for an instance"
    if lack is not None:
        raise EngineFailed(reason=f"was refused memory by the host: {lack}")


# --- inside ------------------------------------------------------------------------


def _find_lack() -> str | None:
    for name, kind, needed in _NEEDED:
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY and soft < needed:
            return f"the limit of its {name} is {soft >> 20} MiB, below the {needed >> 20} it needs"
    try:
        mode = Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # Growing an instance could then fail with an error that the contract sees, on this machine and no other.
    return "vm.overcommit_memory is 2; set it to 0 or 1" if mode == "2" else None


def _can_grow(engine: Engine) -> bool:
    """Whether a memory as instances have it grows as far as theirs may."""
    store = Store(engine)
    try:
        Memory(store, MemoryType(Limits(0, None))).grow(store, limits.MEMORY_BYTES // _PAGE_BYTES)
    except WasmtimeError:
        return False
    finally:
        store.close()
    return True
