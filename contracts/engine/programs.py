"""Compiling a contract and opening it: an instance of the guest with the contract in it.

Spec: docs/spec/contract-engine.md, "A batch".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts import limits
from contracts.engine.answers import Reason, read_reason
from contracts.engine.errors import ContractNotRunnable
from contracts.engine.machine import Instance, Trapped

TRAPS: Final = {
    "fuel": "it used up the instructions that it has",
    "stack": "it went deeper than the stack reaches",
    "memory": "it used up the memory that it has",
    "forbidden": "it asked for something that there is not in here, such as a clock, a file or chance",
    "fault": "it ended the instance that it ran in",
}
"""Why an instance ended, in words for the author of the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A contract, compiled, and its terms (JSON). `make` gives a fresh instance of the guest."""

    code: str
    terms: str
    make: Callable[[], Instance]

    def open(self) -> Instance:
        """A fresh instance with the contract in it. Raises: ContractNotRunnable."""
        instance = self.make()
        try:
            answer, _ = instance.call("load", self.code, self.terms, fuel=limits.FUEL_LOAD)
            if answer[:1] == "=":
                return instance
            reason = _sentence(read_told(instance, answer))
        except Trapped as cause:
            reason = TRAPS[cause.kind]
        # The error below would keep it alive, and three of them are all that the address space has room for.
        instance.close()
        raise ContractNotRunnable(reason=reason)


def translate(instance: Instance, source: str) -> str:
    """Compile a contract, in an instance made for it alone. Raises: ContractNotRunnable."""
    try:
        answer, _ = instance.call("translate", source, fuel=limits.FUEL_TRANSLATE)
    except Trapped as cause:
        raise ContractNotRunnable(reason=TRAPS[cause.kind]) from cause
    if answer[:1] != "=":
        raise ContractNotRunnable(reason=_sentence(read_told(instance, answer)))
    return answer[1:]


def read_told(instance: Instance, answer: str) -> Reason:
    """The error that the guest tells. Raises: EngineFailed, for a lack of memory that may be the host's."""
    reason = read_reason(answer[1:])
    if reason.kind == "MemoryError":
        instance.check_memory()
    return reason


# --- inside ------------------------------------------------------------------------


def _sentence(reason: Reason) -> str:
    line = f"line {reason.calls[-1][1]}: " if reason.calls else ""
    return f"{line}{reason.kind}: {reason.message}"
