"""Section 0: what every reader of a record learns first: type, contract, role, audiences, links.

It says who reads which section, also those that a reader cannot open: nobody is left
guessing whether something was kept from it, or from whom it was kept. It has one form.
Sections stand in the order of their audiences, each audience sorted and met once: where
an author could choose among forms, the choice itself would tell something, and two
sections for one audience would hide how many fields are meant for it.

Spec: docs/spec/record.md, "Section 0".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from ledger import limits, shape
from ledger.errors import EncodingError, TooLarge
from ledger.jsontext import decode_canonical, encode_canonical
from ledger.names import Digest, decode_b64, decode_name, decode_origin, encode_b64
from ledger.sealing import FieldText

_REMEMBERED_BYTES: Final = 2048
# Their order is part of the format, as the index of a field is in its leaf.
META_NAMES: Final = ("type", "version", "contract", "role", "audience", "links")
OWN_NAMES: Final = ("by", "flags")
"""What the author's own section, the last, begins with."""
_LEAST: Final = dict(zip(META_NAMES, (b'"x"', b"1", b"null", b"null", b"[[],[]]", b"[]"), strict=True))
_TYPE: Final = re.compile(rf"[A-Za-z0-9._-][A-Za-z0-9._/-]{{0,{limits.TYPE_LENGTH_MAX - 1}}}\Z")
_ROLE: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{limits.ROLE_LENGTH_MAX - 1}}}\Z")
_RELATION: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{limits.RELATION_LENGTH_MAX - 1}}}\Z")
_OTHER_NETWORK: Final = re.compile(r"[0-9a-f]{64}:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A reference to another record: relation ("corrects", "answers", ...), its log, index and leaf hash.

    origin: of a log of this network, or `networkid-hex:origin` of a log of another one.
    The leaf hash makes it a reference to these bytes, whatever that log says later.
    """

    relation: str
    origin: str
    index: int
    leaf: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Section 0. `audience[k]`: the roles or @members who read section k; empty for the author alone.

    contract: the leaf hash of the proposal. role: the one that the author files under.
    version: of what the type means; 1 until a contract says otherwise.
    """

    type: str
    contract: Digest | None
    role: str | None
    audience: tuple[tuple[str, ...], ...]
    links: tuple[Link, ...] = ()
    version: int = 1


def encode_meta(meta: Meta) -> list[FieldText]:
    """The fields of section 0, in their fixed order. Raises: EncodingError, TooLarge for what no reader would take."""
    _check(meta)
    values: dict[str, object] = {
        "type": meta.type,
        "version": meta.version,
        "contract": None if meta.contract is None else encode_b64(meta.contract),
        "role": meta.role,
        "audience": [list(names) for names in meta.audience],
    }
    fields = [(name, encode_canonical(values[name])) for name in META_NAMES[:-1]]
    return [*fields, ("links", encode_links(meta.links))]


def encode_links(links: Sequence[Link]) -> bytes:
    """The text of `links`, apart from the rest: it alone differs among records of one shape.

    Raises: EncodingError, TooLarge.
    """
    if not links:
        return b"[]"
    check_links(links)
    return encode_canonical([[link.relation, link.origin, link.index, encode_b64(link.leaf)] for link in links])


def decode_meta(fields: tuple[FieldText, ...]) -> Meta:
    """Parse section 0: exactly the six fields in their order, as `encode_meta` writes them.

    Raises: EncodingError, TooLarge, and what strict JSON raises.
    """
    # Remembered where it is short: the records of one type under one contract say the same here, which is a
    # third of opening one. A hostile author's long ones would fill the memory.
    if sum(len(text) for _, text in fields) <= _REMEMBERED_BYTES:
        return _remember_meta(fields)
    return _decode_meta(fields)


def check_meta_field(name: str, text: bytes, *, sections: int) -> None:
    """Raise unless the section 0 of a record of so many sections can have this text for its field `name`.

    No field of section 0 depends on another one, so each is refused alone that would have all of it refused.
    Raises: as `decode_meta`.
    """
    meta = _decode_meta(tuple((other, text if other == name else _LEAST[other]) for other in META_NAMES))
    if name == "audience" and len(meta.audience) != sections:
        raise EncodingError(field="audience", reason=f"{len(meta.audience)} lists of readers where {sections} are due")


def _decode_meta(fields: tuple[FieldText, ...]) -> Meta:
    if tuple(name for name, _ in fields) != META_NAMES:
        raise EncodingError(field="section 0", reason="not the six fields that every record has")
    value = {name: decode_canonical(text) for name, text in fields}
    contract = value["contract"]
    if contract is not None:
        contract = decode_b64(shape.take_string(contract, what="contract"), length=32, field="contract")
    audience = shape.take_list(value["audience"], what="audience", most=limits.SECTIONS_MAX)
    links = shape.take_list(value["links"], what="links", most=limits.LINKS_MAX)
    meta = Meta(
        type=shape.take_string(value["type"], what="type"),
        version=shape.take_integer(value["version"], what="version"),
        contract=None if contract is None else Digest(contract),
        role=None if value["role"] is None else shape.take_string(value["role"], what="role"),
        audience=tuple(_decode_names(names) for names in audience),
        links=tuple(_decode_link(link) for link in links),
    )
    _check(meta)
    return meta


_remember_meta: Final = lru_cache(maxsize=1024)(_decode_meta)


def _decode_names(value: object) -> tuple[str, ...]:
    """One audience; what names it may hold, and in which order, is looked at for all of them together."""
    names = shape.take_list(value, what="audience", most=limits.READERS_MAX)
    return tuple(shape.take_string(name, what="audience") for name in names)


def _decode_link(value: object) -> Link:
    """The four values of a link; whether there is such a record is nobody's to know here."""
    match value:
        case [str(relation), str(origin), index, str(leaf)]:
            digest = Digest(decode_b64(leaf, length=32, field="links"))
            return Link(relation=relation, origin=origin, index=shape.take_integer(index, what="links"), leaf=digest)
    raise EncodingError(field="links", reason="a link is [relation, origin, index, leaf hash]")


def is_type(text: str) -> bool:
    """Whether it is a name for a record type, be it the ledger's own."""
    return _TYPE.match(text) is not None


# --- what must hold in every section 0, written or read -----------------------------------


def _check(meta: Meta) -> None:
    """Names in narrow alphabets: they are shown, searched and compared by people, and must not be taken for others."""
    if not is_type(meta.type):
        raise EncodingError(field="type", reason=f"{meta.type[:80]!r} is no name for a record type")
    shape.check_range(meta.version, what="version", least=1)
    if meta.role is not None and not _ROLE.match(meta.role):
        raise EncodingError(field="role", reason=f"{meta.role[:80]!r} is no name for a role")
    _check_audience(meta.audience)
    check_links(meta.links)


def _check_audience(audience: Sequence[tuple[str, ...]]) -> None:
    """Section 0, one section per audience in ascending order, then the author's own.

    Readers of section 0 alone would learn of a record that no rule gives them a field of; a reader without
    section 0 could not tell what it reads. Both are refused.
    """
    if len(audience) < 2:
        raise EncodingError(field="audience", reason="a record has section 0 and one of its author's own")
    if len(audience) > limits.SECTIONS_MAX:
        raise TooLarge(what="record", got=len(audience), limit=limits.SECTIONS_MAX, unit="sections")
    everyone, *shared, own = audience
    if len(everyone) > limits.READERS_MAX:
        raise TooLarge(what="audience", got=len(everyone), limit=limits.READERS_MAX, unit="names")
    if own != () or () in shared or any(first >= second for first, second in pairwise(shared)):
        raise EncodingError(field="audience", reason="not one section per audience in order, the author's own last")
    for names in shared:
        shape.check_ascending(names, what="audience")
    if list(everyone) != sorted({name for names in shared for name in names}):
        raise EncodingError(field="audience", reason="section 0 goes to all readers of the others, and nobody else")
    for name in everyone:
        _check_reader(name)


def _check_reader(name: str) -> None:
    """A role, or `@` and a member."""
    if name.startswith("@"):
        decode_name(name[1:], "audience")
    elif not _ROLE.match(name):
        raise EncodingError(field="audience", reason=f"{name[:80]!r} is neither a role nor an @member")


def check_links(links: Sequence[Link]) -> None:
    """Raise unless every link is well formed, and there are not too many. Raises: EncodingError, TooLarge."""
    if len(links) > limits.LINKS_MAX:
        raise TooLarge(what="record", got=len(links), limit=limits.LINKS_MAX, unit="links")
    for link in links:
        if not _RELATION.match(link.relation):
            raise EncodingError(field="links", reason=f"{link.relation[:80]!r} is no name for a relation")
        decode_origin(_OTHER_NETWORK.sub("", link.origin, count=1) if ":" in link.origin else link.origin)
        shape.check_range(link.index, what="links", least=0)
        if len(link.leaf) != 32:
            raise EncodingError(field="links", reason="a leaf hash is 32 bytes")
