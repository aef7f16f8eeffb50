"""Lint: everything that is wrong with a contract file, and what is allowed but hardly meant.

Spec: docs/spec/contract-source.md.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from contracts.source.asking import Asking
from contracts.source.constructs import check_constructs
from contracts.source.doubtful import check_doubtful
from contracts.source.functions import check_functions
from contracts.source.keeping import check_keeping
from contracts.source.kinds import check_kinds
from contracts.source.literals import FUNCTIONS, Finding, Outline
from contracts.source.names import check_names
from contracts.source.reading import Source, examine
from contracts.source.scopes import Code, read_code
from contracts.source.sets import check_sets
from contracts.source.sharing import check_sharing
from contracts.source.spelling import find_close
from contracts.source.unseen import check_fields
from contracts.source.warned import check_warned
from ledger import limits

_CHECKS: Final[tuple[Callable[[Code], Iterator[Finding]], ...]] = (
    check_functions, check_names, check_constructs, check_keeping, check_sets, check_doubtful
)  # fmt: skip


def lint(text: str) -> list[Finding]:
    """The findings of a contract file in order of lines.

    Errors are what `read_source` refuses and, of a file with functions, code that computes something else than its
    author means, or fails when it is run.
    """
    source, outline, findings = examine(text)
    if outline is not None:
        if not any(finding.is_error for finding in findings):
            findings = [*findings, *_doubts(outline)]
        findings = [*findings, *_read_functions(text, outline, source)]
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.line)[: limits.CONTRACT_FINDINGS_MAX]


def _read_functions(text: str, outline: Outline, source: Source | None) -> list[Finding]:
    """What is to be said of the code; where none is run, whether it was meant to be. `source`: None if unsound."""
    runs = bool(outline.lines.keys() & set(FUNCTIONS))
    if not runs and not any(isinstance(statement, ast.FunctionDef) for statement in outline.tree.body):
        return []
    code = read_code(outline.tree)
    if isinstance(code, Finding):
        return [code] if runs else []
    if not runs:
        return list(islice(check_functions(code), limits.CONTRACT_FINDINGS_MAX))
    checks = [partial(check, code) for check in _CHECKS] + [partial(check_warned, text, code)]
    if source is not None:
        asking = Asking(code)
        checks += [partial(check_kinds, code, asking, outline), partial(check_fields, code, asking, source)]
        checks += [partial(check_sharing, code, outline)]
    # No check says more than is shown: some compare every name with every other.
    return [finding for check in checks for finding in islice(check(), limits.CONTRACT_FINDINGS_MAX)]


def _doubts(outline: Outline) -> Iterator[Finding]:
    yield from _doubtful_roles(outline)
    yield from _doubtful_types(outline)
    yield from _doubtful_patterns(outline)
    for line in outline.idle if not outline.lines.keys() & set(FUNCTIONS) else ():
        message = "this statement has no effect: the file defines no function that is run"
        yield _doubt(line, "no-effect", message, "remove it")


def _doubtful_roles(outline: Outline) -> Iterator[Finding]:
    filing = {role for row in outline.authors.values() for role in row.names}
    reading = {role for rows in outline.shares.values() for row in rows.values() for role in row.names}
    # What `share` adds is known only when it runs.
    for role, line in outline.roles.items() if "share" not in outline.lines else ():
        if role not in filing and role not in reading and role not in outline.signers:
            yield _doubt(line, "role-unused", f"the role {role!r} is used nowhere", "remove it, or give it something")
        elif role not in reading:
            message = f"the role {role!r} can read nothing that others file"
            yield _doubt(line, "role-blind", message, "name it in SHARES, or remove it")


def _doubtful_types(outline: Outline) -> Iterator[Finding]:
    unfiled, misspelt = outline.types.keys() - outline.authors.keys(), set[str]()
    for kind, row in outline.authors.items():
        if kind not in outline.shares:
            message = f"SHARES does not know the type {kind!r}: its records are refused"
            instead, close = "give it patterns in SHARES, or remove it from AUTHORS", find_close(kind, unfiled)
            if close is not None:  # the same fault from its other side, which is told once
                misspelt.add(close)
                instead = f"write {kind!a} there, too, or {close!a} in AUTHORS"
            yield _doubt(row.line, "type-unshared", message, instead)
        elif not row.names:
            message = f"nobody may file the type {kind!r}"
            yield _doubt(row.line, "type-unauthored", message, "name its authors, or remove it")
    for kind, line in outline.types.items():
        if kind in unfiled - misspelt:
            message = f"AUTHORS does not know the type {kind!r}: nobody may file it"
            yield _doubt(line, "type-unauthored", message, "name its authors, or remove it")
        rows = outline.shares[kind].values()
        runs = any(name in outline.lines for name in FUNCTIONS)
        if runs and not any(outline.signers.keys() <= row.names.keys() for row in rows):
            message = f"no part of the type {kind!r} is shared with all SIGNERS, so the contract's functions see none"
            yield _doubt(line, "type-unseen", message, "share what they need with every signer")


def _doubtful_patterns(outline: Outline) -> Iterator[Finding]:
    """Steps as other languages of paths have them: here they are names, of members that hardly any body has."""
    for rows in outline.shares.values():
        for pattern, row in rows.items():
            odd = next((step for step in pattern.split("/")[1:] if not step or "**" in step or "[" in step), None)
            if odd is not None:
                message = f"the pattern {pattern[:80]!a} means a member that is named {odd[:80]!a}"
                yield _doubt(
                    row.line, "pattern-odd", message, "one step is one name; * is any name, and any place of a list"
                )


def _doubt(line: int, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line, code=code, message=message, instead=instead, is_error=False)
