"""What a contract says, checked: roles, signers, who may file what, and who reads which part.

Everything here is known before anything runs, and equal on every node.

Spec: docs/spec/contract-source.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Final

from contracts.source.literals import FUNCTIONS, Finding, Outline, Row, read_outline
from contracts.source.spelling import suggest
from ledger import limits
from ledger.errors import ContractMalformed, PatternMalformed, PatternsAmbiguous
from ledger.fields import Rules, compile_rules, parse_pattern
from ledger.names import RESERVED

_ROLE: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{limits.ROLE_LENGTH_MAX - 1}}}\Z")
_TYPE: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._/-]{{0,{limits.TYPE_LENGTH_MAX - 1}}}\Z")

_CLOSE_ROLES_MAX: Final = 20
"""Unknown roles for which a known one is looked for that is nearly the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a contract file says without being run.

    authors: type -> roles that may file it. shares: type -> pattern -> roles that read what it matches.
    rules: `shares`, compiled. functions: which of share, key, apply, summary and migrate the file defines.
    answers: of each of them the line in which it answers: its only `return`, else its `def`.
    written: texts in `summary`, in the order in which they first stand there. The names of its columns are among them.
    """

    title: str
    roles: frozenset[str]
    signers: frozenset[str]
    authors: Mapping[str, frozenset[str]]
    shares: Mapping[str, Mapping[str, frozenset[str]]]
    functions: frozenset[str]
    rules: Mapping[str, Rules] = field(compare=False, repr=False)
    answers: Mapping[str, int] = field(compare=False, repr=False, default_factory=dict)
    written: tuple[str, ...] = field(compare=False, repr=False, default=())

    @property
    def has_share(self) -> bool:
        return "share" in self.functions


def read_source(text: str) -> Source:
    """Read a contract file. Raises: ContractMalformed, with the line and reason of the first fault."""
    source, _, findings = examine(text)
    faults = [finding for finding in findings if finding.is_error]
    if faults:
        first = min(faults, key=lambda finding: finding.line)
        raise ContractMalformed(line=first.line, reason=first.message)
    assert source is not None, "a file without faults has a source"
    return source


def examine(text: str) -> tuple[Source | None, Outline | None, list[Finding]]:
    """Read and check; a source is returned only where nothing is wrong."""
    outline, findings = read_outline(text)
    if outline is None:
        return None, None, findings
    findings += check_outline(outline)
    if any(finding.is_error for finding in findings):
        return None, outline, findings
    return _source(outline), outline, findings


def check_outline(outline: Outline) -> list[Finding]:
    """Everything that is wrong with the meaning of the literals."""
    return [
        *_check_roles(outline),
        *_check_types(outline),
        *_check_counts(outline),
        *[finding for kind, rows in outline.shares.items() for finding in _check_patterns(kind, rows)],
    ]


def _source(outline: Outline) -> Source:
    shares = {
        kind: {pattern: frozenset(row.names) for pattern, row in rows.items()} for kind, rows in outline.shares.items()
    }
    return Source(
        title=outline.title,
        roles=frozenset(outline.roles),
        signers=frozenset(outline.signers),
        authors={kind: frozenset(row.names) for kind, row in outline.authors.items()},
        shares=shares,
        functions=frozenset(outline.lines) & frozenset(FUNCTIONS),
        rules={kind: compile_rules(patterns) for kind, patterns in shares.items()},
        answers=dict(_answers(outline.tree)),
        written=tuple(_written(outline.tree)),
    )


def _answers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in FUNCTIONS:
            returns, waiting = list[int](), list[ast.AST](function.body)
            while waiting:
                node = waiting.pop()
                if isinstance(node, ast.Return):
                    returns.append(node.lineno)
                elif isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                    waiting += ast.iter_child_nodes(node)
                elif isinstance(node, ast.ExceptHandler | ast.match_case):
                    waiting += node.body
            yield function.name, returns[0] if len(returns) == 1 else function.lineno


def _written(tree: ast.Module) -> dict[str, None]:
    """The texts in `summary`, but for those by which something is read, as in `state["name"]`."""
    found: list[tuple[int, int, str]] = []
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == "summary":
            nodes = list(ast.walk(function))
            reading = {_read_by(node) for node in nodes}
            for node in nodes:
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in reading:
                    found.append((node.lineno, node.col_offset, node.value))
    return dict.fromkeys(text for _, _, text in sorted(found))


def _read_by(node: ast.AST) -> ast.expr | None:
    """What stands in `part[...]` or first in `part.get(...)`."""
    match node:
        case ast.Subscript(slice=name, ctx=ast.Load()):
            return name
        case ast.Call(func=ast.Attribute(attr="get"), args=[name, *_]):
            return name
    return None


def repair(pattern: str, cause: PatternMalformed) -> str:
    """What to write in place of a pattern that is none: the same from the root of the body, if that is one."""
    guess = "/" + (pattern.lstrip("#$./") or "*")
    try:
        parse_pattern(guess)
    except PatternMalformed:
        return cause.hint
    return f"write {guess!a}"


# --- checks ------------------------------------------------------------------------


def _check_roles(outline: Outline) -> Iterator[Finding]:
    for role, line in outline.roles.items():
        if not _ROLE.match(role):
            message = f"{role[:80]!a} is no name for a role"
            instead = f"use 1 to {limits.ROLE_LENGTH_MAX} letters a-z and A-Z, digits and _, no digit first"
            yield Finding(line=line, code="role-malformed", message=message, instead=instead)
    yield from _check_uses(outline) if "ROLES" in outline.lines and outline.roles else ()
    defined = [name for name in FUNCTIONS if name in outline.lines]
    if "SIGNERS" in outline.lines and defined and not outline.signers:
        # A function sees what all signers read; with no signers that would be everything.
        message = f"{defined[0]} is defined and SIGNERS is empty"
        instead = "name the roles whose agreement a state needs, or remove the function"
        yield Finding(line=outline.lines["SIGNERS"], code="signers-missing", message=message, instead=instead)
    if "ROLES" in outline.lines and not outline.roles:
        line = outline.lines["ROLES"]
        yield Finding(line=line, code="roles-missing", message="ROLES is empty", instead="name the parties' roles")


def _check_uses(outline: Outline) -> Iterator[Finding]:
    """Roles that ROLES does not have, each at the first place that names it: it is one fault, however often."""
    uses = [("SIGNERS", outline.signers)]
    uses += [(f"AUTHORS[{kind!a}]", row.names) for kind, row in outline.authors.items()]
    for kind, rows in outline.shares.items():
        uses += [(f"SHARES[{kind!a}][{pattern!a}]", row.names) for pattern, row in rows.items()]
    found: dict[str, list[tuple[int, str]]] = {}
    for what, names in uses:
        for role, line in names.items():
            if role not in outline.roles:
                found.setdefault(role, []).append((line, what))
    # Nodes read the files of others, too: what is looked for in each has an end.
    known = list(islice(outline.roles, limits.CONTRACT_ROLES_MAX))
    for number, (role, places) in enumerate(found.items()):
        (line, what), *more = sorted(places, key=itemgetter(0))
        others = f" ({len(more)} more of the kind, the next in line {more[0][0]})" if more else ""
        message = f"{what} names the role {role[:80]!a}, which ROLES does not have{others}"
        instead = suggest(role, known if number < _CLOSE_ROLES_MAX else (), "add it to ROLES")
        yield Finding(line=line, code="role-unknown", message=message, instead=instead)


def _check_types(outline: Outline) -> Iterator[Finding]:
    placed = [*outline.types.items(), *[(kind, row.line) for kind, row in outline.authors.items()]]
    for kind, line in dict(placed).items():
        if kind.startswith(RESERVED):
            message = f"the type {kind[:80]!a} is reserved for the ledger's own records"
            yield Finding(line=line, code="type-reserved", message=message, instead="choose another name")
        elif not _TYPE.match(kind):
            message = f"{kind[:80]!a} is no name for a type"
            instead = (
                f"use 1 to {limits.TYPE_LENGTH_MAX} of a-z, A-Z, 0-9, '.', '_', '/' and '-', a letter or digit first"
            )
            yield Finding(line=line, code="type-malformed", message=message, instead=instead)


def _check_counts(outline: Outline) -> Iterator[Finding]:
    patterns = sum(len(rows) for rows in outline.shares.values())
    counts = [
        ("ROLES", "roles", len(outline.roles), limits.CONTRACT_ROLES_MAX),
        ("SHARES", "types", len(outline.shares), limits.CONTRACT_TYPES_MAX),
        ("AUTHORS", "types", len(outline.authors), limits.CONTRACT_TYPES_MAX),
        ("SHARES", "patterns", patterns, limits.CONTRACT_PATTERNS_MAX),
    ]
    for name, unit, got, limit in counts:
        if got > limit:
            yield _too_many(outline.lines.get(name, 1), name, f"{got} {unit}", limit)
    for kind, rows in outline.shares.items():
        line = outline.types[kind]
        if len(rows) > limits.PATTERNS_MAX:
            yield _too_many(line, f"SHARES[{kind!a}]", f"{len(rows)} patterns", limits.PATTERNS_MAX)
        # Two sections of every record are spoken for: section 0, and what is the author's alone.
        audiences = {frozenset(row.names) for row in rows.values() if row.names}
        if len(audiences) > limits.SECTIONS_MAX - 2:
            yield _too_many(line, f"SHARES[{kind!a}]", f"{len(audiences)} audiences", limits.SECTIONS_MAX - 2)


def _too_many(line: int, what: str, count: str, limit: int) -> Finding:
    message = f"{what} has {count}, the limit is {limit}"
    return Finding(line=line, code="too-many", message=message, instead="use fewer")


def _check_patterns(kind: str, rows: Mapping[str, Row]) -> Iterator[Finding]:
    sound: dict[str, frozenset[str]] = {}
    for pattern, row in rows.items():
        try:
            parse_pattern(pattern)
        except PatternMalformed as cause:
            yield Finding(line=row.line, code=cause.code, message=str(cause), instead=repair(pattern, cause))
        else:
            sound[pattern] = frozenset(row.names)
    if len(sound) > limits.PATTERNS_MAX:
        return
    try:
        compile_rules(sound)
    except PatternsAmbiguous as cause:
        message = f"of {kind!a}, {cause}"
        instead = f"add the pattern {cause.fields['overlap']!a}, which then decides alone"
        line = rows[str(cause.fields["second"])].line
        yield Finding(line=line, code=cause.code, message=message, instead=instead)
