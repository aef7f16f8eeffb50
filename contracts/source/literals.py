"""The literals of a contract file, with the line of each: parsed, never run.

ROLES, SIGNERS, AUTHORS and SHARES are assigned once, at the top level, and hold only
sets and dictionaries of plain strings, so that a person, this reader and any other
one read the same. What they mean is checked in `contracts.source.reading`.

Spec: docs/spec/contract-source.md.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from contracts.source.bindings import find_bindings
from contracts.source.text import find_foreign, find_hidden
from contracts.source.versions import find_newer
from ledger import limits
from ledger.letters import BOM, has_hidden

LITERALS: Final = ("ROLES", "SIGNERS", "AUTHORS", "SHARES")
FUNCTIONS: Final = ("share", "key", "apply", "summary", "migrate")
SYNTAX: Final = (3, 11)
"""The oldest Python that nodes run: what one node can read, all can."""

# One quoted piece of ASCII that can be seen, no prefix, and only escapes that every reader knows.
_PLAIN_STRING: Final = re.compile(
    r""""(?:[ !#-\[\]-~]|\\(?:[\\'"nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))*"|"""
    r"""'(?:[ -&(-\[\]-~]|\\(?:[\\'"nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))*'"""
)
_STRING_BYTES_MAX: Final = 2 * limits.NAME_BYTES_MAX  # a pattern of the greatest length, with some escapes
_WORD: Final = re.compile(r"\w+|[^\w\s]")
_LINE_END: Final = re.compile("\r\n|\n")
_PARSING: Final = threading.Lock()
"""CPython (3.11) counts the depth of what it parses for all threads together: two at a time are a SystemError."""
_SET: Final = 'write a set of plain strings, {"buyer", "seller"}, or set() for nobody'

Names = dict[str, int]
"""Names in the order of the file -> the line of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong (`is_error`) or doubtful in a contract file, and what to write instead. Lines count from 1."""

    line: int
    code: str
    message: str
    instead: str
    is_error: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The value of one key of a dictionary: the line of the key, and the names in the set."""

    line: int
    names: Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The literals as they stand in the file. `lines`: name of a literal or function that could be read -> its line.

    idle: lines of the other statements at the top level, but for strings that say something to people.
    tree: the whole file.
    """

    title: str
    roles: Names
    signers: Names
    authors: dict[str, Row]
    shares: dict[str, dict[str, Row]]
    lines: dict[str, int]
    types: Names  # of SHARES
    tree: ast.Module = field(repr=False, compare=False)
    idle: tuple[int, ...] = ()


def format_finding(file: str, finding: Finding) -> str:
    return f"{file}:{finding.line}: {finding.message}; {finding.instead}"


def read_outline(text: str) -> tuple[Outline | None, list[Finding]]:
    """Parse `text`. There is no outline where it is no Python at all; there may be findings in any case."""
    finding = _check_text(text)
    if finding is not None:
        return None, [finding]
    tree = _parse(text)
    if isinstance(tree, Finding):
        return None, [tree]
    lines = [line.encode() for line in _LINE_END.split(text)]
    foreign = find_foreign(lines, tree)
    if foreign is not None:
        message = "a letter beyond ASCII stands outside of strings and comments"
        return None, [Finding(line=foreign, code="hidden-text", message=message, instead="use the letters a-z")]
    newer = [
        Finding(line=line, code="not-alike", message=message, instead=instead)
        for line, message, instead in find_newer(lines, tree)
    ]
    return (None, newer) if newer else _Reader(lines).read(tree)


# --- text to tree ------------------------------------------------------------------


def _check_text(text: str) -> Finding | None:
    try:
        length = len(text.encode())
    except UnicodeEncodeError as cause:
        line = len(_LINE_END.findall(text, 0, cause.start)) + 1
        return Finding(line=line, code="syntax", message="a lone surrogate is no text", instead="remove it")
    if length > limits.CONTRACT_BYTES_MAX:
        message = f"the file has {length} bytes, the limit is {limits.CONTRACT_BYTES_MAX}"
        return Finding(line=1, code="too-large", message=message, instead="shorten it")
    # Before it is parsed: the parser makes at most a few nodes of each, and all of them are walked.
    words = len(_WORD.findall(text))
    if words > limits.CONTRACT_WORDS_MAX:
        message = f"the file has {words} words and signs, the limit is {limits.CONTRACT_WORDS_MAX}"
        return Finding(line=1, code="too-many", message=message, instead="shorten it")
    hidden = find_hidden(text)
    if hidden == 0 and text.startswith(BOM.decode()):
        message = "the file begins with a byte order mark, three bytes that nobody sees"
        instead = "save it as UTF-8 without one (not as UTF-8 with BOM, or signature)"
        return Finding(line=1, code="hidden-text", message=message, instead=instead)
    if hidden is not None:
        line = len(_LINE_END.findall(text, 0, hidden)) + 1
        message = f"the character U+{ord(text[hidden]):04X} hides what the file says"
        return Finding(line=line, code="hidden-text", message=message, instead="remove it, or write it as an escape")
    return None


def _parse(text: str) -> ast.Module | Finding:
    try:
        with _PARSING, warnings.catch_warnings():
            # A doubtful escape in some function is a warning to Python, an error under -W error: not ours to judge.
            warnings.simplefilter("ignore")
            return ast.parse(text, feature_version=SYNTAX)
    except SyntaxError as cause:
        message = f"this is no Python: {cause.msg}"
        return Finding(line=cause.lineno or 1, code="syntax", message=message, instead="correct it")
    except (MemoryError, RecursionError):
        # The parser's own guards against running out of stack; the size limit bounds the rest.
        message = "the code is nested too deeply to be read"
        return Finding(line=1, code="syntax", message=message, instead="take it apart")
    except ValueError:
        return Finding(line=1, code="syntax", message="this is no Python text", instead="correct it")


def find_warnings(text: str) -> list[tuple[int, str]]:
    """What the parser warns of in a text that it can read: line and words. Most are escapes that there are not."""
    with _PARSING, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        ast.parse(text, "contract", feature_version=SYNTAX)
    return [(one.lineno, str(one.message)) for one in found if one.filename == "contract"]


# --- tree to outline ---------------------------------------------------------------


class _Reader:
    """Reads the literals of one file and gathers what is wrong with them."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.findings: list[Finding] = []
        self._unread: set[str] = set()  # sets of which not every name could be read: what lacks there is told once
        self._lines = lines

    def read(self, tree: ast.Module) -> tuple[Outline, list[Finding]]:
        values: dict[str, ast.expr] = {}
        bound: dict[str, ast.Name | ast.FunctionDef] = {}
        for statement in tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name) as target], value=value):
                    if name in LITERALS and name not in bound:
                        values[name], bound[name] = value, target
                case ast.FunctionDef(name=name) if name in FUNCTIONS and name not in bound:
                    bound[name] = statement
        title = self._title(tree)
        self._check_bindings(tree, bound)
        for name in LITERALS:
            if name not in bound:
                self._find(1, "literal-missing", f"{name} is missing", f"assign it once at the top level: {name} = ...")
        shares = self._table("SHARES", values.get("SHARES"))
        outline = Outline(
            title=title,
            roles=self._names("ROLES", values.get("ROLES")),
            signers=self._names("SIGNERS", values.get("SIGNERS")),
            authors=self._rows("AUTHORS", self._table("AUTHORS", values.get("AUTHORS"))),
            shares={
                kind: self._rows(f"SHARES[{kind!a}]", self._table(f"SHARES[{kind!a}]", value))
                for kind, (_, value) in shares.items()
            },
            lines={name: node.lineno for name, node in bound.items() if name not in self._unread},
            types={kind: line for kind, (line, _) in shares.items()},
            tree=tree,
            idle=tuple(statement.lineno for statement in tree.body if not self._is_read(statement)),
        )
        return outline, self.findings

    def _is_read(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                return name in LITERALS
            case ast.FunctionDef(name=name):
                return name in FUNCTIONS
            case ast.Expr(value=ast.Constant(value=str())):
                return True
        return False

    def _find(self, line: int, code: str, message: str, instead: str) -> None:
        self.findings.append(Finding(line=line, code=code, message=message, instead=instead))

    def _title(self, tree: ast.Module) -> str:
        match tree.body:
            case [ast.Expr(value=ast.Constant(value=str(docstring))), *_] if docstring.strip():
                title = docstring.strip().splitlines()[0].rstrip()
                if len(title) <= limits.TITLE_LENGTH_MAX and not has_hidden(title):
                    return title
        message = f"the file has no title of at most {limits.TITLE_LENGTH_MAX} printable letters"
        self._find(1, "title-missing", message, "begin it with a docstring whose first line says what is agreed")
        return ""

    def _check_bindings(self, tree: ast.Module, bound: Mapping[str, ast.AST]) -> None:
        """Refuse whatever else could give one of the names another value than the one that was read."""
        for name, node, is_inner in find_bindings(tree, LITERALS):
            line = getattr(node, "lineno", 1)
            if name == "*":
                self._find(line, "name-rebound", "an import of * can change any name", "import names one by one")
            elif bound.get(name) is node or (is_inner and name in FUNCTIONS):
                continue
            elif name in LITERALS:
                instead = "assign it once, at the top level, and change it nowhere"
                self._find(line, "name-rebound", f"{name} gets a value here that is not read", instead)
            elif name in FUNCTIONS:
                instead = "define it once, with def, at the top level"
                self._find(line, "name-rebound", f"{name} gets a value here that is not seen", instead)

    def _names(self, what: str, node: ast.expr | None) -> Names:
        match node:
            case None | ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
                return {}  # the only way to write the empty set
        if not isinstance(node, ast.Set):
            self._unread.add(what)
            self._find(node.lineno, "literal-malformed", f"{what} is no literal set", _SET)
            return {}
        found: Names = {}
        for element in node.elts:
            name = self._string(what, element)
            if name is None:
                self._unread.add(what)
            elif name in found:
                self._find(element.lineno, "duplicate", f"{what} has {name!a} twice", "remove one of the two")
            else:
                found[name] = element.lineno
        return found

    def _table(self, what: str, node: ast.expr | None) -> dict[str, tuple[int, ast.expr]]:
        if node is None:
            return {}
        if not isinstance(node, ast.Dict):
            instead = 'write it so: AUTHORS = {"order": {"buyer"}}, SHARES = {"order": {"/*": {"buyer"}}}'
            self._find(node.lineno, "literal-malformed", f"{what} is no literal dictionary", instead)
            return {}
        found: dict[str, tuple[int, ast.expr]] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                message = f"{what} takes in another dictionary with **"
                self._find(value.lineno, "literal-malformed", message, "write its members out")
                continue
            name = self._string(what, key)
            if name in found:
                message = f"{what} has {name!a} twice, and it is open which one counts"
                self._find(key.lineno, "duplicate", message, "merge the two")
            elif name is not None:
                found[name] = key.lineno, value
        return found

    def _rows(self, what: str, table: dict[str, tuple[int, ast.expr]]) -> dict[str, Row]:
        return {
            name: Row(line=line, names=self._names(f"{what}[{name!a}]", value)) for name, (line, value) in table.items()
        }

    def _string(self, what: str, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno == node.end_lineno:
            raw = self._lines[node.lineno - 1][node.col_offset : node.end_col_offset]
            # Against the text itself, for the tree does not show that `"buyer" "seller"` lacks a comma.
            if len(raw) <= _STRING_BYTES_MAX and _PLAIN_STRING.fullmatch(raw.decode()):
                return node.value
        instead = "write one short string of ASCII in one pair of quotes, without prefix, and a comma after it"
        self._find(node.lineno, "literal-malformed", f"{what} holds something that is no plain string", instead)
        return None
