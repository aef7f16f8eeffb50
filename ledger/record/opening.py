"""Opening records: what one reader can read, each section compared with its hash and root.

Spec: docs/spec/record.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.errors import SealBroken
from ledger.manifest import Manifest
from ledger.names import sha256
from ledger.record.meta import Meta, decode_meta
from ledger.sealing import SEED_BYTES, Contexts, FieldText, Wrap, Wrapper, open_section


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What one reader can read of a record. `sections`: number -> its fields in order."""

    meta: Meta
    sections: Mapping[int, list[FieldText]]
    seeds: Mapping[int, bytes]

    @property
    def fields(self) -> list[FieldText]:
        """Every readable field of the body (names that begin with a slash, or the empty one)."""
        return [f for number, fields in self.sections.items() if number for f in fields if f[0][:1] in ("/", "")]


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
    """Open every section of `wrap`; each is compared with its hash and root in the manifest.

    Raises: SealBroken; EncodingError for a malformed section 0.
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
        seed = seeds[SEED_BYTES * at : SEED_BYTES * at + SEED_BYTES]
        context = contexts.of(record_id, number)
        opened[number] = open_section(ciphertext, entry.root, seed=seed, context=context, section=number)
        kept[number] = seed
    if 0 not in opened:
        raise SealBroken(section=0, reason="section 0 is missing")
    meta = decode_meta(tuple(opened[0]))
    if len(meta.audience) != len(manifest.sections):
        raise SealBroken(section=0, reason="the audience list does not match the manifest")
    return Opened(meta=meta, sections=opened, seeds=kept)


def check_ciphertext(ciphertext: bytes, manifest: Manifest, number: int) -> None:
    """Raise SealBroken unless `ciphertext` is what the manifest says of section `number`."""
    entry = manifest.sections[number]
    if len(ciphertext) != entry.size or sha256(ciphertext) != entry.hash:
        raise SealBroken(section=number, reason="the sealed bytes are not those of the manifest")
