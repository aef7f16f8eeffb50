"""What one version of Python reads and another does not, or reads otherwise: refused by all alike.

Nodes run different versions, and what one of them takes for a contract all must. The parser is told to keep to the
syntax of 3.11, and does so but for what its tokeniser decides: formatted strings may hold more since 3.12 (PEP 701).
How deep it reads depends on the version too, and the names in `\\N{...}` on its Unicode.

Spec: docs/spec/contract-source.md, "One reading".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from contracts.source.walking import children
from ledger import limits

_PREFIX: Final = re.compile(r"(?i:[bfu]|r[bf]?|[bf]r)?(?=['\"])")
_PIECE: Final = {quote: re.compile(rf"{quote}(?:[^\\]|\\.)*?{quote}", re.DOTALL) for quote in ("'''", '"""', "'", '"')}
_BETWEEN: Final = re.compile(r"(?:\s|\\\n|#[^\n]*)*")


def find_newer(lines: Sequence[bytes], tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, what stands there, and what to write instead."""
    for number, text in enumerate(lines, 1):
        if b"\\N{" in text:
            yield (
                number,
                "a letter is named by \\N{...}, which not every version of Python knows",
                "write it as \\uXXXX",
            )
    # Level by level, and not by recursion: a tree is as deep as its author likes.
    level: list[tuple[ast.AST, bool]] = [(tree, False)]
    for _ in range(limits.CONTRACT_DEPTH_MAX):
        for node, is_inside in level:
            if isinstance(node, ast.JoinedStr) and not is_inside and not reads_alike(_segment(lines, node)):
                what = "a formatted string holds its own quotes, a backslash or a # inside its braces"
                yield node.lineno, what, "compute the part before it, and format the name"
        level = [
            (child, is_inside or isinstance(node, ast.JoinedStr))
            for node, is_inside in level
            for child in children(node)
        ]
        if not level:
            return
    line = next((node.lineno for node, _ in level if isinstance(node, ast.expr | ast.stmt)), 1)
    yield line, f"the code is nested deeper than {limits.CONTRACT_DEPTH_MAX} levels", "take it apart"


def reads_alike(text: str) -> bool:
    """Whether every version of Python ends the strings in `text`, one behind the other, where they end.

    `text` is a formatted string as one version read it, with what it is joined with.
    """
    at = 0
    while at < len(text):
        prefix = _PREFIX.match(text, at)
        if prefix is None:
            return False
        quote = next(quote for quote in _PIECE if text.startswith(quote, prefix.end()))
        piece = _PIECE[quote].match(text, prefix.end())
        if piece is None or ("f" in prefix[0].lower() and not _is_old(piece[0][len(quote) : -len(quote)])):
            return False
        between = _BETWEEN.match(text, piece.end())
        assert between is not None, "it matches nothing, too"
        at = between.end()
    return True


def _is_old(content: str) -> bool:
    """No backslash and no # in the expressions of a formatted string, as 3.11 refuses both; and braces that match.

    Stricter than 3.11 where a quoted bracket stands in an expression.
    """
    depth, at, is_format = 0, 0, False
    while at < len(content):
        letter = content[at]
        if depth == 0 and content[at : at + 2] in ("{{", "}}"):
            at += 1
        elif letter in "{[(":
            depth, is_format = depth + 1, False
        elif letter in "}])":
            depth, is_format = depth - 1, False
        elif letter == ":" and depth == 1:
            is_format = True
        elif letter in "\\#" and depth > 0 and not is_format:
            return False
        at += 1
    return depth == 0


def _segment(lines: Sequence[bytes], node: ast.JoinedStr) -> str:
    assert node.end_lineno is not None and node.end_col_offset is not None, "the parser tells where it ends"
    found = list(lines[node.lineno - 1 : node.end_lineno])
    found[-1] = found[-1][: node.end_col_offset]
    found[0] = found[0][node.col_offset :]
    return b"\n".join(found).decode()
