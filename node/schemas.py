"""What is wrong with the schema of a contract's terms, for lint: before any terms are checked by it.

Spec: docs/spec/contract-cases.md, "Terms".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from contracts.source import Finding
from contracts.source.asked import Asked, find_asked
from contracts.source.spelling import find_close
from node.terms import SchemaSlow, SchemaWrong, check_schema

_AT_LINE: Final = re.compile(r"line (\d+) column")
_OPEN: Final = frozenset(("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties"))
"""Words of the whole by which further members may be allowed."""


def lint_schema(schema: bytes, contract: str, *, name: str) -> list[Finding]:
    """Findings of the file `name`, which lies beside a contract. contract: its text."""
    try:
        wanted = check_schema(schema, name=name)
    except (SchemaWrong, SchemaSlow) as cause:
        reason = str(cause.fields["reason"]) if isinstance(cause, SchemaWrong) else str(cause)
        found = _AT_LINE.search(reason)
        message = f"this is no JSON Schema: {reason}" if isinstance(cause, SchemaWrong) else reason
        line = int(found[1]) if found else 1
        return [Finding(line=line, code=cause.code, message=message, instead=cause.hint[:1].lower() + cause.hint[1:])]
    asked = find_asked(contract)
    return [] if asked is None else sorted(_compare(schema, wanted, asked), key=lambda finding: finding.line)


def _compare(schema: bytes, wanted: Any, asked: Asked) -> Iterator[Finding]:
    """Members that one of the two has alone; nothing where it cannot be told what they have."""
    if not isinstance(wanted, dict) or _OPEN & wanted.keys() or not isinstance(wanted.get("properties"), dict):
        return
    known = wanted["properties"]
    for member in known.keys() - asked.texts if asked.is_whole else ():
        line = _find_line(schema, member)
        message = f"the contract never asks for terms[{member[:80]!a}]"
        yield _doubt(line, "term-unasked", message, "leave it out, or use it")
    if wanted.get("additionalProperties") is False:
        for member, line in asked.members.items():
            if member not in known:
                message = f"line {line} of the contract asks for terms[{member[:80]!a}], which is not allowed here"
                close = find_close(member, known)
                instead = (
                    "add it to properties" if close is None else f"ask for {close!a} there, or add it to properties"
                )
                yield _doubt(1, "term-unknown", message, instead)


def _find_line(schema: bytes, member: str) -> int:
    """Of the first place at which its name stands as a key."""
    found = re.search(rb'"%b"\s*:' % re.escape(member.encode()), schema)
    return 1 if found is None else schema.count(b"\n", 0, found.start()) + 1


def _doubt(line: int, code: str, message: str, instead: str) -> Finding:
    return Finding(line=line, code=code, message=message, instead=instead, is_error=False)
