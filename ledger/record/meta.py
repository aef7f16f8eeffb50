"""Section 0: what every reader of a record learns first: type, contract, role, audiences, links.

Spec: docs/spec/record.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ledger import limits
from ledger.errors import EncodingError, TooLarge
from ledger.jsontext import decode_canonical, encode_canonical
from ledger.names import Digest, decode_b64, encode_b64
from ledger.sealing import FieldText

_META: Final = ("type", "version", "contract", "role", "audience", "links")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A reference to another record: relation ("corrects", "answers", ...), its log, index and leaf hash."""

    relation: str
    origin: str
    index: int
    leaf: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Section 0. `audience[k]`: the roles or @members who read section k; empty for the author alone."""

    type: str
    contract: Digest | None
    role: str | None
    audience: tuple[tuple[str, ...], ...]
    links: tuple[Link, ...] = ()
    version: int = 1


def encode_meta(meta: Meta) -> list[FieldText]:
    """The fields of section 0, in their fixed order."""
    values: dict[str, object] = {
        "type": meta.type,
        "version": meta.version,
        "contract": None if meta.contract is None else encode_b64(meta.contract),
        "role": meta.role,
        "audience": [list(names) for names in meta.audience],
    }
    fields = [(name, encode_canonical(values[name])) for name in _META[:-1]]
    return [*fields, ("links", encode_links(meta.links))]


def encode_links(links: Sequence[Link]) -> bytes:
    if not links:
        return b"[]"
    if len(links) > limits.LINKS_MAX:
        raise TooLarge(what="record", got=len(links), limit=limits.LINKS_MAX, unit="links")
    return encode_canonical([[link.relation, link.origin, link.index, encode_b64(link.leaf)] for link in links])


@lru_cache(maxsize=1024)
def decode_meta(fields: tuple[FieldText, ...]) -> Meta:
    """Parse section 0: exactly the six fields in their order. Raises: EncodingError.

    Remembered: the records of one type under one contract say the same here, which is a third of opening one.
    """
    if tuple(name for name, _ in fields) != _META:
        raise EncodingError(field="section 0", reason="not the six fields that every record has")
    value = {name: decode_canonical(text) for name, text in fields}
    contract, role, audience = value["contract"], value["role"], value["audience"]
    if not isinstance(value["type"], str) or type(value["version"]) is not int:
        raise EncodingError(field="section 0", reason="type or version")
    if not (contract is None or isinstance(contract, str)) or not (role is None or isinstance(role, str)):
        raise EncodingError(field="section 0", reason="contract or role")
    if not isinstance(audience, list) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in audience
    ):
        raise EncodingError(field="section 0", reason="audience")
    return Meta(
        type=value["type"],
        version=value["version"],
        contract=None if contract is None else Digest(decode_b64(contract, length=32, field="contract")),
        role=role,
        audience=tuple(tuple(names) for names in audience),
        links=tuple(_decode_link(link) for link in _as_list(value["links"])),
    )


def _decode_link(value: Any) -> Link:
    match value:
        case [str(relation), str(origin), int(index), str(leaf)] if type(index) is int:
            digest = Digest(decode_b64(leaf, length=32, field="links"))
            return Link(relation=relation, origin=origin, index=index, leaf=digest)
    raise EncodingError(field="links", reason="a link is [relation, origin, index, leaf hash]")


def _as_list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > limits.LINKS_MAX:
        raise EncodingError(field="links", reason="not a list, or too long")
    return value
