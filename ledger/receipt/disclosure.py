"""Disclosures: one field of a section, with its salt and its path to the committed root.

A disclosure proves that the author committed to this name and this value, text for text,
in this record, and nothing about any other field: the digests of its path are of salted
leaves. It does tell which field of the section this one is, and how many there are
(`size`), without which a path of RFC 9162 cannot be checked. The number is told, not
proved: the root of a tree does not commit to its size, and some paths fit several.

Spec: docs/spec/receipt.md, "Disclosures".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ledger import limits
from ledger.errors import EncodingError, FieldUnknown, ProofInvalid
from ledger.jsontext import check_strict
from ledger.merkle import prove_inclusion, root_of, verify_inclusion
from ledger.names import Digest
from ledger.sealing import FIELDS_MAX, SALT_BYTES, FieldText, field_leaf, field_salt


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Field `index` of the `size` fields of a section; `value` is its exact JSON text.

    path: sibling digests up to the section's root, leaf side first.
    """

    section: int
    index: int
    size: int
    name: str
    salt: bytes
    value: bytes
    path: tuple[Digest, ...]


def make_disclosures(
    fields: Sequence[FieldText], names: Collection[str], *, section: int, seed: bytes, context: bytes
) -> list[Disclosure]:
    """Disclose those of `names` that are in this section; `fields` are all of its fields, in order.

    Any reader of the section can, not its author alone: what it was given, it can prove. All leaves are made anew,
    as their siblings are needed; a path holds digests of subtrees and no salt but the field's own.
    """
    salts = [field_salt(seed, context, i) for i in range(len(fields))]
    leaves = [
        field_leaf(context, index=i, salt=salts[i], name=name, text=text) for i, (name, text) in enumerate(fields)
    ]

    def read(level: int, index: int) -> Digest:
        return root_of(leaves[index << level : (index + 1) << level])

    return [
        Disclosure(
            section=section,
            index=i,
            size=len(fields),
            name=name,
            salt=salts[i],
            value=text,
            path=tuple(prove_inclusion(i, len(fields), read)),
        )
        for i, (name, text) in enumerate(fields)
        if name in names
    ]


def verify_disclosure(disclosure: Disclosure, *, root: Digest, context: bytes) -> None:
    """Check that the field is one of those under a section's root.

    root: from a manifest that the author's entry names. context: the `ctx` of that section of that record.
    Raises: ProofInvalid, EncodingError, and what strict JSON raises for the value.
    """
    if len(disclosure.salt) != SALT_BYTES:
        raise EncodingError(field="salt", reason=f"{len(disclosure.salt)} bytes where {SALT_BYTES} are due")
    # Before anything is hashed: an index or name that does not fit its length prefix has no leaf.
    if not 0 <= disclosure.index < disclosure.size <= FIELDS_MAX:
        raise ProofInvalid(what="disclosure", reason="a section has no such field, or not as many")
    if len(disclosure.name.encode()) > limits.NAME_BYTES_MAX:
        raise EncodingError(field="name", reason=f"longer than {limits.NAME_BYTES_MAX} bytes")
    # An author can commit to any bytes. Text that is two values, or none, would show what the record does not say.
    check_strict(disclosure.value)
    leaf = field_leaf(
        context, index=disclosure.index, salt=disclosure.salt, name=disclosure.name, text=disclosure.value
    )
    verify_inclusion(leaf, index=disclosure.index, size=disclosure.size, root=root, path=disclosure.path)


def check_names(names: Collection[str], found: Sequence[Disclosure]) -> None:
    """Raise FieldUnknown for the first of `names` that was not disclosed."""
    missing = sorted(set(names) - {disclosure.name for disclosure in found})
    if missing:
        raise FieldUnknown(what="the readable part of the record", name=missing[0])
