"""Lint: everything that is wrong with a contract file, and what is allowed but hardly meant.

Spec: docs/spec/contract-source.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from contracts.source.literals import FUNCTIONS, Finding, Outline
from contracts.source.reading import examine
from ledger import limits


def lint(text: str) -> list[Finding]:
    """The findings of a contract file in order of lines; errors are what no node of this version proposes or accepts.

    They are what `read_source` refuses, and code: that can be read, and is not run.
    """
    _, outline, findings = examine(text)
    if outline is not None and not any(finding.is_error for finding in findings):
        findings = [*findings, *_code(outline), *_doubts(outline)]
    return sorted(findings, key=lambda finding: finding.line)[: limits.CONTRACT_FINDINGS_MAX]


def _code(outline: Outline) -> Iterator[Finding]:
    """One finding for all functions: a sharing agreement without them may be what is wanted."""
    defined = sorted((line, name) for name, line in outline.lines.items() if name in FUNCTIONS)
    if defined:
        message = f"it defines {', '.join(name for _, name in defined)}, and this version runs no contract code"
        instead = "take the functions out, or wait for a version that runs them"
        yield Finding(line=defined[0][0], code="code-not-run", message=message, instead=instead)


def _doubts(outline: Outline) -> Iterator[Finding]:
    yield from _doubtful_roles(outline)
    yield from _doubtful_types(outline)
    for line in outline.idle if not outline.lines.keys() & set(FUNCTIONS) else ():
        message = "this statement has no effect: no contract code runs in this version"
        yield _doubt(line, "no-effect", message, "remove it")


def _doubtful_roles(outline: Outline) -> Iterator[Finding]:
    filing = {role for row in outline.authors.values() for role in row.names}
    reading = {role for rows in outline.shares.values() for row in rows.values() for role in row.names}
    for role, line in outline.roles.items():
        if role not in filing and role not in reading and role not in outline.signers:
            yield _doubt(line, "role-unused", f"the role {role!r} is used nowhere", "remove it, or give it something")
        elif role not in reading:
            message = f"the role {role!r} can read nothing that others file"
            yield _doubt(line, "role-blind", message, "name it in SHARES, or remove it")


def _doubtful_types(outline: Outline) -> Iterator[Finding]:
    for kind, row in outline.authors.items():
        if kind not in outline.shares:
            message = f"SHARES does not know the type {kind!r}: its records are refused"
            yield _doubt(row.line, "type-unshared", message, "give it patterns in SHARES, or remove it from AUTHORS")
        elif not row.names:
            message = f"nobody may file the type {kind!r}"
            yield _doubt(row.line, "type-unauthored", message, "name its authors, or remove it")
    for kind, line in outline.types.items():
        if kind not in outline.authors:
            message = f"AUTHORS does not know the type {kind!r}: nobody may file it"
            yield _doubt(line, "type-unauthored", message, "name its authors, or remove it")
        rows = outline.shares[kind].values()
        runs = any(name in outline.lines for name in FUNCTIONS)
        if runs and not any(outline.signers.keys() <= row.names.keys() for row in rows):
            message = f"no part of the type {kind!r} is shared with all SIGNERS, so the contract's functions see none"
            yield _doubt(line, "type-unseen", message, "share what they need with every signer")


def _doubt(line: int, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line, code=code, message=message, instead=instead, is_error=False)
