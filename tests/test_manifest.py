"""Manifests: one spelling, and sizes that a reader can bear. Spec: docs/spec/record.md, "Manifest"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadInput, EncodingError, TooLarge
from ledger.jsontext import encode_canonical
from ledger.manifest import Blob, Manifest, Section, decode_manifest, encode_manifest
from ledger.names import Digest, sha256
from tests import formats

VECTORS: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "record.json").read_text())

digests = st.binary(min_size=32, max_size=32).map(Digest)
sections = st.builds(Section, st.integers(0, limits.SECTION_BYTES_MAX), digests, digests)
blobs = st.builds(Blob, st.integers(0, limits.INTEGER_MAX), digests)
manifests = st.builds(
    Manifest,
    st.lists(sections, min_size=1, max_size=5).map(tuple),
    st.lists(blobs, max_size=3).map(tuple),
)
ONE: Final = Section(18, Digest(bytes(32)), Digest(bytes(32)))


@pytest.mark.parametrize("text", [*VECTORS["manifests"], VECTORS["manifest"]], ids=len)
def test_manifest_of_a_vector(text: str) -> None:
    assert encode_manifest(decode_manifest(text.encode())) == text.encode()


def test_manifest_of_the_record_says_what_is_beside_it() -> None:
    found = decode_manifest(VECTORS["manifest"].encode())
    ciphertexts = [bytes.fromhex(text) for text in VECTORS["ciphertexts"]]
    assert [(s.size, s.hash) for s in found.sections] == [(len(text), sha256(text)) for text in ciphertexts]
    assert sha256(VECTORS["manifest"].encode()).hex() == VECTORS["manifest_hash"]


@pytest.mark.parametrize("item", VECTORS["refused_manifests"], ids=lambda item: item["why"])
def test_what_is_no_manifest_is_refused(item: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        decode_manifest(item["manifest"].encode())


@given(manifests)
def test_round_trip_and_agreement_with_the_page(manifest: Manifest) -> None:
    text = encode_manifest(manifest)
    assert decode_manifest(text) == manifest
    assert text == encode_canonical(json.loads(text))
    assert text == formats.manifest(
        [(s.size, s.root, s.hash) for s in manifest.sections], [(b.size, b.hash) for b in manifest.blobs]
    )


@given(manifests, st.data())
def test_changed_bytes_are_another_manifest_or_none(manifest: Manifest, data: st.DataObject) -> None:
    text = encode_manifest(manifest)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 4, len(text))))
    changed = (
        text[:start] + data.draw(st.binary(max_size=3) | st.sampled_from([b"0", b"=", b",", b"[", b"]"])) + text[end:]
    )
    try:
        found = decode_manifest(changed)
    except BadInput:
        return
    assert encode_manifest(found) == changed


def test_counts_and_sizes_end_at_their_limits() -> None:
    blob = Blob(limits.INTEGER_MAX, Digest(bytes(32)))
    largest = Section(limits.SECTION_BYTES_MAX, Digest(b"\xff" * 32), Digest(b"\xff" * 32))
    full = Manifest((largest,) * limits.SECTIONS_MAX, (blob,) * limits.BLOBS_MAX)
    assert decode_manifest(encode_manifest(full)) == full
    for beyond in (
        Manifest((ONE,) * (limits.SECTIONS_MAX + 1)),
        Manifest((ONE,), (blob,) * (limits.BLOBS_MAX + 1)),
        Manifest((Section(limits.SECTION_BYTES_MAX + 1, ONE.root, ONE.hash),)),
        Manifest((ONE,), (Blob(limits.INTEGER_MAX + 1, blob.hash),)),
        Manifest(()),
    ):
        with pytest.raises(EncodingError):
            decode_manifest(encode_manifest(beyond))


def test_length_ends_at_the_limit() -> None:
    for length in (limits.MANIFEST_BYTES_MAX, limits.MANIFEST_BYTES_MAX + 1):
        with pytest.raises(TooLarge if length > limits.MANIFEST_BYTES_MAX else EncodingError):
            decode_manifest(b" " * length)


def test_no_text_makes_the_reader_go_back() -> None:
    text = encode_manifest(Manifest((ONE,) * 64, (Blob(1, Digest(bytes(32))),) * 64))
    for hostile in (text[:-1], text[: len(text) // 2], text[:-8] + b"," * 2000, text.replace(b'"],[', b'"] ,[', 1)):
        with pytest.raises(EncodingError):
            decode_manifest(hostile)
