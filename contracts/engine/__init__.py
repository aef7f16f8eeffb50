"""The contract engine: plain Python, the same result on every machine, no way out.

`Engine` runs contracts in a worker process. What runs is CPython inside WebAssembly (`contracts/guest`): it has no
clock, file, network or entropy, and its instructions and memory are counted and bounded.

Spec: docs/spec/contract-engine.md.
"""

from contracts.engine.answers import AnswerWrong, Reason, canonical
from contracts.engine.errors import ContractNotRunnable, EngineFailed, EngineUnfit
from contracts.engine.lanes import Running, Work, start_in_lanes
from contracts.engine.outcomes import Answer, Lookup, Outcome
from contracts.engine.pin import make_pin
from contracts.engine.running import Engine

__all__ = [
    "Answer",
    "AnswerWrong",
    "ContractNotRunnable",
    "Engine",
    "EngineFailed",
    "EngineUnfit",
    "Lookup",
    "Outcome",
    "Reason",
    "Running",
    "Work",
    "canonical",
    "make_pin",
    "start_in_lanes",
]
