"""Disclosures: one field of a section, with its salt and its path to the committed root.

Spec: docs/spec/receipt.md, "Disclosures".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ledger import limits
from ledger.errors import EncodingError, FieldUnknown
from ledger.jsontext import check_strict
from ledger.merkle import prove_inclusion, root_of, verify_inclusion
from ledger.names import Digest
from ledger.sealing import FieldText, field_leaf, field_salt

SALT_BYTES = 16


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
    """Disclose those of `names` that are in this section; `fields` are all of its fields, in order."""
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
    """Check that the field is one of those under a section's root. Raises: ProofInvalid, EncodingError."""
    if len(disclosure.salt) != SALT_BYTES:
        raise EncodingError(field="salt", reason=f"{len(disclosure.salt)} bytes where {SALT_BYTES} are due")
    if disclosure.size > limits.FIELDS_MAX + limits.OWN_FIELDS_MAX:
        raise EncodingError(field="size", reason="more fields than a section has")
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
