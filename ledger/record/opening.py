"""Opening records: what one reader can read, each section compared with its hash and root.

Nothing of a record is believed before it was compared with what the author committed
to: ciphertext with the manifest, opened fields with the root, the number of sections
with section 0. What the fields say is looked at where a body is made of them.

Spec: docs/spec/record.md, "Opening".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ledger.errors import SealBroken
from ledger.manifest import Manifest
from ledger.names import sha256
from ledger.record.meta import OWN_NAMES, Meta, decode_meta
from ledger.sealing import SEED_BYTES, Contexts, FieldText, Wrap, Wrapper, decode_fields, open_section, unseal_section

_REMEMBERED_BYTES: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What one reader can read of a record. `sections`: number -> its fields in order.

    seeds: number -> seed, for disclosures, and for a holder that wraps a section again. As secret as the fields.
    """

    meta: Meta
    sections: Mapping[int, list[FieldText]]
    seeds: Mapping[int, bytes]

    @property
    def fields(self) -> list[FieldText]:
        """Every readable field of the body: all but section 0, and `by` and `flags` in the author's own section.

        A name that is no pointer stays among them, so that whoever joins them to a body refuses the record:
        a field that is passed over without a word could be disclosed to somebody else as part of it.
        """
        own = len(self.meta.audience) - 1
        return [
            field
            for number, fields in self.sections.items()
            if number
            for at, field in enumerate(fields)
            if number != own or field[0] not in OWN_NAMES[at : at + 1]
        ]


def open_record(
    wrap: Wrap,
    ciphertexts: Mapping[int, bytes],
    *,
    wrapper: Wrapper,
    contexts: Contexts,
    record_id: bytes,
    manifest: Manifest,
    manifest_hash: bytes,
) -> Opened:
    """Open the sections of `wrap` that are held; each is compared with its hash and root in the manifest.

    manifest_hash: the `body` of the entry, which the caller has compared with the manifest's bytes.
    ciphertexts: by section; what the wrap does not name is not looked at, what is missing is left out.
    Raises: SealBroken; what `decode_meta` raises for a malformed section 0.
    """
    seeds = wrapper.unwrap(wrap.sealed, record_id=record_id, manifest_hash=manifest_hash, sections=wrap.sections)
    opened: dict[int, list[FieldText]] = {}
    kept: dict[int, bytes] = {}
    for at, number in enumerate(wrap.sections):
        if number >= len(manifest.sections):
            raise SealBroken(section=number, reason="the manifest has no such section")
        ciphertext = ciphertexts.get(number)
        if ciphertext is None:
            continue
        entry = manifest.sections[number]
        check_ciphertext(ciphertext, manifest, number)
        # The seed is that of the section's place in the wrap's own list, not of its number: others are left out there.
        seed = seeds[SEED_BYTES * at : SEED_BYTES * at + SEED_BYTES]
        context = contexts.of(record_id, number)
        opened[number] = open_section(ciphertext, entry.root, seed=seed, context=context, section=number)
        kept[number] = seed
    if 0 not in opened:
        raise SealBroken(section=0, reason="section 0 is missing")
    meta = decode_meta(tuple(opened[0]))
    # Else there were sections of which nobody was told who reads them.
    if len(meta.audience) != len(manifest.sections):
        raise SealBroken(section=0, reason="the audience list does not match the manifest")
    _check_sections(meta, wrap.sections, wrapper)
    return Opened(meta=meta, sections=opened, seeds=kept)


def glance_record(
    wrap: Wrap,
    ciphertexts: Mapping[int, bytes],
    *,
    wrapper: Wrapper,
    contexts: Contexts,
    record_id: bytes,
    manifest_hash: bytes,
    is_wanted: Callable[[Meta], bool],
) -> Opened:
    """What `open_record` gives, for records that were sealed or opened here before: nothing is compared again.

    For views, which are no proof of anything. Only sections 0 and the last of the wrap are opened where the
    record `is_wanted` for nothing more. Raises: as `open_record`.
    """
    seeds = wrapper.unwrap(wrap.sealed, record_id=record_id, manifest_hash=manifest_hash, sections=wrap.sections)
    opened: dict[int, list[FieldText]] = {}
    meta: Meta | None = None
    last = len(wrap.sections) - 1
    for at, number in enumerate(wrap.sections):
        if number not in ciphertexts or (meta is not None and at != last and not is_wanted(meta)):
            continue
        seed = seeds[SEED_BYTES * at : SEED_BYTES * at + SEED_BYTES]
        context = contexts.of(record_id, number)
        plain = unseal_section(ciphertexts[number], seed=seed, context=context, section=number)
        if number == 0:
            opened[number], meta = _read_meta(plain) if len(plain) <= _REMEMBERED_BYTES else _decode_section0(plain)
        else:
            opened[number] = decode_fields(plain, number)
    if meta is None:
        raise SealBroken(section=0, reason="section 0 is missing")
    _check_sections(meta, wrap.sections, wrapper)
    return Opened(meta=meta, sections=opened, seeds={})


def _decode_section0(plain: bytes) -> tuple[list[FieldText], Meta]:
    fields = decode_fields(plain, 0)
    return fields, decode_meta(tuple(fields))


_read_meta: Final = lru_cache(maxsize=512)(_decode_section0)  # records of one shape say the same there, byte for byte


def check_ciphertext(ciphertext: bytes, manifest: Manifest, number: int) -> None:
    """Raise SealBroken unless `ciphertext` is what the manifest says of section `number`.

    Anyone can check this, also whoever only passes ciphertexts on.
    """
    entry = manifest.sections[number]
    if len(ciphertext) != entry.size or sha256(ciphertext) != entry.hash:
        raise SealBroken(section=number, reason="the sealed bytes are not those of the manifest")


def _check_sections(meta: Meta, sections: bytes, wrapper: Wrapper) -> None:
    """Refuse a wrap that gives its reader other sections than section 0 says.

    Else an author could tell each reader something else in one record: in its own section, or by leaving one out.
    Roles are resolved by the contract, which is not known here, and may come later than the record: what a wrap gives
    to those behind them is compared by whoever knows it, and marked, not refused. Members that are named are known.
    """
    if wrapper.reader == wrapper.author:
        return
    name, last = f"@{wrapper.reader}", len(meta.audience) - 1
    for number, audience in enumerate(meta.audience):
        names_members = all([other[:1] == "@" for other in audience])
        if names_members and (number in sections) != (name in audience):
            raise SealBroken(section=number, reason="it is not given to those whom section 0 names")
    if last in sections:
        raise SealBroken(section=last, reason="the author's own section is nobody else's")
