"""Which terms the code asks for, and in which lines.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.source.literals import FUNCTIONS, read_outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """members: `terms["name"]` and `terms.get("name")` -> the line. texts: every text in the code.

    is_whole: no name of a member is put together while it runs, so that `texts` has all that can be asked for.
    """

    members: Mapping[str, int]
    texts: frozenset[str]
    is_whole: bool


def find_asked(text: str) -> Asked | None:
    """Of a contract's text; None where it is no contract, has no functions, or calls something else `terms`, too."""
    outline, _ = read_outline(text)
    if outline is None or not outline.lines.keys() & set(FUNCTIONS):
        return None
    members: dict[str, int] = {}
    texts: set[str] = set()
    functions = [one for one in outline.tree.body if isinstance(one, ast.FunctionDef)]
    parameters = {one.name: [given.arg for given in one.args.args] for one in functions}
    asking: set[ast.AST] = set()  # names `terms` of which a member is asked by a text
    others: list[ast.Name] = []
    for node in ast.walk(outline.tree):  # what is around a name comes before it
        match node:
            case ast.Constant(value=str(found)):
                texts.add(found)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="terms") as name, attr="get"), args=[asked, *_]) | (
                ast.Subscript(value=ast.Name(id="terms") as name, slice=asked)
            ):
                if isinstance(asked, ast.Constant) and isinstance(asked.value, str):
                    members.setdefault(asked.value, node.lineno)
                    asking.add(name)
            case ast.Call(func=ast.Name(id=called), args=arguments):
                # Under another name it is not followed: nobody sees here what is asked of it there.
                pairs = zip(arguments, parameters.get(called, ()), strict=False)
                asking.update(one for one, name_there in pairs if name_there == "terms")
            case ast.Name(id="terms") if node not in asking:
                others.append(node)
    if any(isinstance(name.ctx, ast.Store) for name in others):
        return None
    return Asked(members=members, texts=frozenset(texts), is_whole=not others)


def find_terms_lines(text: str) -> frozenset[int]:
    """Lines with `terms[...]`, of a file that `read_source` took: a KeyError there may be of the terms."""
    outline, _ = read_outline(text)
    assert outline is not None, "the contract was read before"
    return frozenset(
        node.lineno
        for node in ast.walk(outline.tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "terms"
    )
