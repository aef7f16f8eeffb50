"""Drafts: what a node seals of a body, for its author alone, for members by name, or for whom a contract gives it.

Spec: docs/spec/agreements.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.fields import cut_parts
from ledger.jsontext import members
from ledger.names import MemberName, encode_b64
from ledger.record import Draft, Link, Statement
from node.contract import Contract


def draft_private(type_name: str, body: bytes, *, by: bytes, links: Sequence[Link] = (), flags: bytes = b"") -> Draft:
    """A record outside any contract: sealed to its author alone."""
    fields = [("/" + _escape(name), text, frozenset[str]()) for name, text in members(body).items()]
    return Draft(_private(type_name), by, fields, tuple(links), flags)


def draft_addressed(
    type_name: str, body: bytes, *, by: bytes, to: Sequence[MemberName], links: Sequence[Link] = ()
) -> Draft:
    """A record whose every field goes to the named members: proposals and what answers them."""
    audience = frozenset(f"@{member}" for member in to)
    fields = [("/" + _escape(name), text, audience) for name, text in members(body).items()]
    readers = {f"@{member}": (member,) for member in to}
    return Draft(Statement(type=type_name, contract=None, role=None, readers=readers), by, fields, tuple(links))


def draft_under(
    contract: Contract, statement: Statement, body: bytes, *, by: bytes, links: Sequence[Link] = (), flags: bytes = b""
) -> Draft:
    """A record under a contract: each field goes exactly to whom the contract gives it."""
    return Draft(statement, by, cut_parts(body, contract.rules[statement.type]), tuple(links), flags)


def answer_body(contract: Contract) -> bytes:
    return b'{"contract":"' + encode_b64(contract.id).encode() + b'"}'


_PRIVATE: dict[str, Statement] = {}


def _private(type_name: str) -> Statement:
    if len(_PRIVATE) > 1000:
        _PRIVATE.clear()
    return _PRIVATE.setdefault(type_name, Statement(type=type_name, contract=None, role=None, readers={}))


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
