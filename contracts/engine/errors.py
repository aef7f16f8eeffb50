"""Errors of the engine. What a contract does wrong is no error of the engine: it is the outcome of an input."""

from __future__ import annotations

from ledger.errors import BadInput, Unavailable


class ContractNotRunnable(BadInput):
    code = "contract-not-runnable"
    template = "the contract cannot be loaded: {reason}"
    hint = "`tally contract lint FILE` says more."


class EngineUnfit(Unavailable):
    code = "engine-unfit"
    template = "this machine cannot run contracts: {reason}"
    hint = "Nothing was recorded; mend it and try again."


class EngineFailed(Unavailable):
    """The host side failed: no memory, a killed worker. Never the outcome of an input."""

    code = "engine-failed"
    template = "the process that runs contracts {reason}"
    hint = "Nothing was recorded. It is started again with the next call; if this repeats, the machine lacks memory."
