"""The text of a contract file: a person who reads it must see what a parser reads.

No letter hides, no line ends where only some programs end it, and outside of strings and comments all is
ASCII, so that no name of another alphabet can be taken for one of the four that are read.

Spec: docs/spec/contract-source.md, "Text".
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from contracts.source.walking import children
from ledger.letters import is_hidden

_NOT_ASCII: Final = re.compile("[^ -~\n\t]")


def find_hidden(text: str) -> int | None:
    """Where the first character stands that is not to be seen as what it is."""
    for found in _NOT_ASCII.finditer(text):
        if found[0] == "\r" and text[found.end() : found.end() + 1] == "\n":
            continue
        if is_hidden(found[0]):
            return found.start()
    return None


def find_foreign(lines: Sequence[bytes], tree: ast.Module) -> int | None:
    """The first of `lines`, from 1, with a letter beyond ASCII that is in no string and no comment."""
    if all(line.isascii() for line in lines):
        return None
    code = [bytearray(line) for line in lines]
    queue: deque[ast.AST] = deque([tree])
    while queue:
        node = queue.popleft()
        match node:
            case ast.JoinedStr() | ast.Constant(value=str()):
                _blot_out(code, node)
            case _:
                queue.extend(children(node))
    return next((at for at, line in enumerate(code, 1) if not line.partition(b"#")[0].isascii()), None)


def _blot_out(code: list[bytearray], node: ast.expr) -> None:
    """A string, over all of its lines; what is left of a `#` behind it is a comment."""
    assert node.end_lineno is not None and node.end_col_offset is not None, "the parser tells where it ends"
    for at in range(node.lineno, node.end_lineno + 1):
        line = code[at - 1]
        start = node.col_offset if at == node.lineno else 0
        stop = node.end_col_offset if at == node.end_lineno else len(line)
        line[start:stop] = b" " * (stop - start)
