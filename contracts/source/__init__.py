"""Contract source: what the ledger must know of a contract, read from its file without running it.

`read_source` gives the roles, signers, authors and sharing rules or raises; `lint`
lists everything that is wrong or doubtful.

Spec: docs/spec/contract-source.md.
"""

from contracts.source.lint import lint
from contracts.source.literals import Finding, format_finding
from contracts.source.reading import Source, read_source

__all__ = ["Finding", "Source", "format_finding", "lint", "read_source"]
