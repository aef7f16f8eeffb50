"""Fields that the code asks for and never sees: `key`, `share` and `apply` see what all SIGNERS may read.

Spec: docs/spec/contract-source.md, "Code".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from contracts.source.asking import Asking, Path
from contracts.source.literals import Finding
from contracts.source.reading import Source
from contracts.source.scopes import Code, line_of
from ledger import limits
from ledger.errors import EncodingError
from ledger.fields import audience_of, encode_pointer, parse_pattern


def check_fields(code: Code, asking: Asking, source: Source) -> Iterator[Finding]:
    """At most as many findings as are reported of a file: each costs a look at every type."""
    fields = _Fields(source)
    seen: set[tuple[int, Path]] = set()
    made = {path for node in code.all(ast.Subscript) if isinstance(node.ctx, ast.Store) for path in asking.paths(node)}
    for node in (*code.all(ast.Subscript), *code.all(ast.Call), *code.all(ast.Compare)):
        kinds = asking.types(node)
        found = [fields.find_missing(path[1:], kinds) for path in sorted(_asked(asking, node))]
        missing, line = found[0] if found and None not in found else None, line_of(node)
        if missing is None or ("body", *missing) in made or (line, missing) in seen:
            continue
        seen.add((line, missing))
        yield fields.finding(line, missing, kinds)
        if len(seen) >= limits.CONTRACT_FINDINGS_MAX:
            return


def _asked(asking: Asking, node: ast.expr) -> frozenset[Path]:
    """The paths below a record that begin with `body` and go on; none if the node may be something else."""
    match node:
        case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()], comparators=[whole]):
            paths = asking.paths(whole, below=(name,))
        case ast.Compare():
            return frozenset()
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            return frozenset()
        case _:
            paths = asking.paths(node)
    return paths if all(path[0:1] == ("body",) and len(path) > 1 for path in paths) else frozenset()


class _Fields:
    """Which parts of which types all signers read, remembered."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[tuple[str, Path], bool] = {}
        self._patterns = {
            kind: [(parse_pattern(text).steps, roles) for text, roles in table.items()]
            for kind, table in source.shares.items()
        }

    def find_missing(self, path: Path, kinds: frozenset[str] | None) -> Path | None:
        """The first part on the way that no record of these types (None: of any) shows."""
        # Types that SHARES does not have are another finding.
        among = sorted(self._patterns if kinds is None else kinds & self._patterns.keys())
        for length in range(1, min(len(path), limits.JSON_DEPTH) + 1):
            part = path[:length]
            if among and not any(self._is_seen(kind, part) for kind in among):
                return part
        return None

    def finding(self, line: int, path: Path, kinds: frozenset[str] | None) -> Finding:
        name = encode_pointer(path)
        among = self._patterns.keys() if kinds is None else kinds & self._patterns.keys()
        blind = sorted({role for kind in among for role in self._source.signers - self._audience(kind, name)})
        records = "no record" if kinds is None else f"no {' or '.join(sorted(kinds))[:80]}"
        message = f"{records} shows {name[:80]!a} to the code, as it is kept from {', '.join(blind)[:80]}"
        instead = "share it with all SIGNERS, or do without it"
        return Finding(line=line, code="field-unseen", message=message, instead=instead)

    def _audience(self, kind: str, name: str) -> frozenset[str]:
        return audience_of(self._source.rules[kind], name)

    def _is_seen(self, kind: str, path: Path) -> bool:
        if (kind, path) not in self._known:
            self._known[kind, path] = self._look_up(kind, path)
        return self._known[kind, path]

    def _look_up(self, kind: str, path: Path) -> bool:
        try:
            if self._source.signers <= audience_of(self._source.rules[kind], encode_pointer(path)):
                return True
        except EncodingError:  # too long for a name, so no record has it
            return True
        # Where a part further down is seen, an object stands in for what is around it.
        return any(
            len(steps) > len(path)
            and self._source.signers <= roles
            and all(step in ("*", asked) for step, asked in zip(steps, path, strict=False))
            for steps, roles in self._patterns[kind]
        )
