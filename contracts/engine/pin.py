"""The pin: what an engine must be for its results to be those of all others.

Parties agree on it with the contract; a signer whose engine differs in one of these does not accept.

Spec: docs/spec/contract-engine.md, "The pin".
"""

from __future__ import annotations

import hashlib
from typing import Final

from contracts import limits
from ledger.jsontext import encode_canonical

ARTIFACT: Final = "a242c0e112b517b822658c36aa59662cb5207e35a014eab56c7774248a68b034"
"""SHA-256 of the guest, uncompressed, as hexadecimal digits."""

ARTIFACT_BYTES: Final = 17_665_085

WASMTIME: Final = "50.0.1"
"""The exact version: how much fuel an instruction costs and how deep the stack reaches is its own affair."""

TARGET: Final = "x86_64-unknown-linux-gnu"
"""Naming it keeps wasmtime from using what this machine's CPU has beyond `BASELINE`."""

BASELINE: Final = "x86-64"


_DECIDING: Final = (
    "ANSWER_BYTES_MAX", "BATCH_INPUTS_MAX", "CASE_LETTERS_MAX", "FUEL_LOAD", "FUEL_TRANSLATE", "NUMBER_LETTERS_MAX",
    "REASON_CALLS_MAX", "REASON_LETTERS_MAX", "SHARE_PATTERNS_MAX", "STATE_BYTES_MAX", "SUMMARY_COLUMNS_MAX",
    "WINDOW_BYTES", "WINDOW_INPUTS",
)  # fmt: skip
"""Further bounds on which it depends what an input comes to, or with how much fuel."""


def make_pin() -> dict[str, str | int]:
    """The pin as a document of our own: text and integers."""
    return {
        "artifact": ARTIFACT,
        "baseline": BASELINE,
        "bounds": hash_bounds(),
        "fuel_byte": limits.FUEL_BYTE,
        "fuel_input": limits.FUEL_INPUT,
        "memory_bytes": limits.MEMORY_BYTES,
        "stack_bytes": limits.STACK_BYTES,
        "target": TARGET,
        "v": 1,
        "wasmtime": WASMTIME,
    }


def hash_bounds() -> str:
    bounds: dict[str, int] = {name: getattr(limits, name) for name in _DECIDING}
    return hashlib.sha256(encode_canonical(bounds)).hexdigest()
