from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import BadSignature, EncodingError, MissingSignature, TallyError, TooLarge, WeakKey
from ledger.keys import Algorithm, SigningKey, VerifyKey, check_point, decode_vkey, make_signing_key
from ledger.names import encode_b64
from ledger.note import (
    Note,
    Signature,
    add_signature,
    decode_note,
    encode_note,
    sign_note,
    verified_signers,
    verify_blob,
    verify_note,
)
from tests.make_tree import flip

_FOLDER: Final = Path(__file__).with_name("vectors")
VECTORS: Final[dict[str, Any]] = json.loads((_FOLDER / "log" / "note.json").read_text())
ED25519: Final[dict[str, Any]] = json.loads((_FOLDER / "ed25519.json").read_text())


def key(name: str = "example.net/a", number: int = 1, algorithm: Algorithm = Algorithm.ED25519) -> SigningKey:
    return make_signing_key(name, algorithm, seed=bytes([number]) * 32)


A: Final = key()
B: Final = key("example.net/b", 2)
C: Final = key("example.net/c", 3)
TEXT: Final = "one\n\ntwo\n"

texts: Final = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(i) for i in range(32) if i != 10]), max_size=60
).map(lambda text: text + "\n")
names: Final = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1, max_size=20
)
signatures: Final = st.builds(Signature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
notes: Final = st.builds(
    lambda text, lines: Note(text, tuple(lines)),
    texts,
    st.lists(signatures, min_size=1, max_size=5, unique_by=lambda s: (s.name, s.key_hash)),
)


# --- vectors ------------------------------------------------------------------


@pytest.mark.parametrize("good", VECTORS["good"], ids=lambda good: good["what"])
def test_notes_of_the_vectors_verify_and_come_back(good: dict[str, str]) -> None:
    note = decode_note(good["note"].encode())
    assert note.text == good["text"]
    verify_note(note, decode_vkey(good["vkey"]))
    assert encode_note(note) == good["note"].encode()


@pytest.mark.parametrize(("what", "raw"), VECTORS["bad"], ids=[what for what, _ in VECTORS["bad"]])
def test_bad_notes_of_the_vectors_are_refused(what: str, raw: str) -> None:
    with pytest.raises(EncodingError):
        decode_note(bytes.fromhex(raw))


def test_signatures_are_those_of_the_vectors() -> None:
    good = VECTORS["good"][1]
    signer = make_signing_key("example.net/notes", seed=bytes.fromhex(VECTORS["seed"]))
    assert str(signer.public) == good["vkey"]
    assert encode_note(sign_note(good["text"], [signer])) == good["note"].encode()


@pytest.mark.parametrize("vector", ED25519["keys"], ids=lambda vector: vector["name"])
def test_keys_that_let_others_forge_are_refused(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["key"])
    try:
        assert check_point(raw, name="x") == raw
    except WeakKey:
        assert not vector["accepted"]
    else:
        assert vector["accepted"]


@pytest.mark.parametrize("vector", ED25519["signatures"], ids=lambda vector: vector["name"])
def test_signatures_on_which_verifiers_differ_are_judged_as_the_vectors_say(vector: dict[str, Any]) -> None:
    raw, message, blob = (bytes.fromhex(vector[part]) for part in ("key", "message", "signature"))
    try:
        public = VerifyKey("x", Algorithm.ED25519, check_point(raw, name="x"))
        verify_blob(blob, message, public, what="vector")
    except (WeakKey, BadSignature):
        assert not vector["accepted"]
    else:
        assert vector["accepted"]


# --- codec --------------------------------------------------------------------


@given(notes)
def test_notes_come_back_as_they_went(note: Note) -> None:
    assert decode_note(encode_note(note)) == note


@given(notes, st.data())
def test_only_notes_that_we_write_are_read(note: Note, data: st.DataObject) -> None:
    raw = encode_note(note)
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 3)))
    changed = raw[:start] + data.draw(st.binary(max_size=3) | st.sampled_from([b"\n", b"\n\n", b" ", b"="])) + raw[end:]
    try:
        found = decode_note(changed)
    except TallyError:
        return
    assert encode_note(found) == changed


@pytest.mark.parametrize(
    "note",
    [
        Note("", (Signature("a", b"1234", b"x"),)),
        Note("no newline", (Signature("a", b"1234", b"x"),)),
        Note("tab\t\n", (Signature("a", b"1234", b"x"),)),
        Note("return\r\n", (Signature("a", b"1234", b"x"),)),
        Note("surrogate \ud800\n", (Signature("a", b"1234", b"x"),)),
        Note(TEXT, ()),
        Note(TEXT, (Signature("", b"1234", b"x"),)),
        Note(TEXT, (Signature("a b", b"1234", b"x"),)),
        Note(TEXT, (Signature("a+b", b"1234", b"x"),)),
        Note(TEXT, (Signature("a\n", b"1234", b"x"),)),
        Note(TEXT, (Signature("a\u2028", b"1234", b"x"),)),
        Note(TEXT, (Signature("a\x00", b"1234", b"x"),)),
        Note(TEXT, (Signature("a", b"123", b"x"),)),
        Note(TEXT, (Signature("a", b"12345", b"x"),)),
        Note(TEXT, (Signature("a", b"1234", b""),)),
        Note(TEXT, (Signature("a", b"1234", b"x"), Signature("a", b"1234", b"y"))),
    ],
)
def test_what_could_not_be_read_is_not_written(note: Note) -> None:
    with pytest.raises(EncodingError):
        encode_note(note)


def test_a_note_has_at_most_so_many_signatures() -> None:
    lines = [Signature(f"n{i}", b"1234", b"x") for i in range(limits.NOTE_SIGNATURES_MAX + 1)]
    full = Note(TEXT, tuple(lines[:-1]))
    assert decode_note(encode_note(full)) == full
    with pytest.raises(EncodingError):
        encode_note(Note(TEXT, tuple(lines)))
    with pytest.raises(TooLarge):
        decode_note(encode_note(full) + "\u2014 more MTIzNHg=\n".encode())


def test_a_note_has_at_most_so_many_bytes() -> None:
    signed = encode_note(sign_note("\n", [A]))
    longest = "x" * (limits.NOTE_BYTES_MAX - len(signed)) + "\n"
    raw = encode_note(sign_note(longest, [A]))
    assert len(raw) == limits.NOTE_BYTES_MAX
    assert decode_note(raw).text == longest
    with pytest.raises(TooLarge):
        encode_note(sign_note("x" + longest, [A]))
    with pytest.raises(TooLarge):
        decode_note(b"x" + raw)


# --- who signed ---------------------------------------------------------------


def test_every_changed_byte_voids_a_note() -> None:
    raw = encode_note(sign_note(TEXT, [A]))
    for i in range(len(raw)):
        for bits in (1, 2, 0x20, 0x80, 0xFF):
            with pytest.raises(TallyError):
                verify_note(decode_note(flip(raw, i, bits)), A.public)


def test_every_byte_left_out_or_doubled_voids_a_note() -> None:
    raw = encode_note(sign_note(TEXT, [A]))
    for i in range(len(raw)):
        for changed in (raw[:i] + raw[i + 1 :], raw[: i + 1] + raw[i:]):
            with pytest.raises(TallyError):
                verify_note(decode_note(changed), A.public)


def test_signers_are_those_asked_about_that_signed() -> None:
    note = sign_note(TEXT, [A, C])
    assert verified_signers(note, [C.public, B.public, A.public]) == [C.public, A.public]
    assert verified_signers(note, [A.public, A.public]) == [A.public]
    assert verified_signers(note, []) == []


def test_a_note_without_the_signature_asked_for_is_refused() -> None:
    with pytest.raises(MissingSignature):
        verify_note(sign_note(TEXT, [A]), B.public)


@pytest.mark.parametrize("stranger", [key(number=9), key("example.net/z", 1)], ids=["same name", "same key material"])
def test_signatures_of_unknown_keys_are_carried_and_prove_nothing(stranger: SigningKey) -> None:
    note = sign_note(TEXT, [stranger, A])
    spoiled = replace(note, signatures=(replace(note.signatures[0], blob=b"nonsense"), note.signatures[1]))
    assert verified_signers(spoiled, [A.public, B.public]) == [A.public]
    assert decode_note(encode_note(spoiled)) == spoiled
    with pytest.raises(MissingSignature):
        verify_note(replace(note, signatures=note.signatures[:1]), A.public)


def test_a_false_signature_of_a_known_key_voids_the_note_whoever_else_signed() -> None:
    note = sign_note(TEXT, [A, B])
    forged = replace(note.signatures[1], blob=sign_note("other\n", [B]).signatures[0].blob)
    with pytest.raises(BadSignature):
        verified_signers(replace(note, signatures=(note.signatures[0], forged)), [A.public, B.public])


def test_a_signature_under_another_name_or_id_is_nobodys() -> None:
    signature = sign_note(TEXT, [A]).signatures[0]
    for other in (replace(signature, name="example.net/b"), replace(signature, key_hash=b"1234")):
        with pytest.raises(MissingSignature):
            verify_note(Note(TEXT, (other,)), A.public)


def test_the_tail_of_a_signature_cannot_stand_for_the_head_of_the_text() -> None:
    whole = sign_note("pay 100\nto B\n", [A]).signatures[0]
    head, tail = "pay 100\n", "to B\n"
    with pytest.raises(BadSignature):
        verify_note(Note(tail, (replace(whole, blob=whole.blob + head.encode()),)), A.public)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 72])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    blob = (sign_note(TEXT, [A]).signatures[0].blob + bytes(8))[:length]
    with pytest.raises(BadSignature):
        verify_blob(blob, TEXT.encode(), A.public, what="note")


def test_a_key_that_cosigns_neither_signs_nor_verifies_notes() -> None:
    cosigner = key(algorithm=Algorithm.COSIGNATURE)
    with pytest.raises(EncodingError):
        sign_note(TEXT, [cosigner])
    with pytest.raises(EncodingError):
        verify_note(sign_note(TEXT, [A]), cosigner.public)


def test_adding_a_signature_keeps_the_others_and_adds_once() -> None:
    note = sign_note(TEXT, [A])
    both = add_signature(note, B)
    assert both == sign_note(TEXT, [A, B])
    assert add_signature(both, A) == both


def test_a_false_signature_is_not_taken_for_ones_own() -> None:
    note = sign_note(TEXT, [A])
    with pytest.raises(BadSignature):
        add_signature(Note("other\n", note.signatures), A)


def test_one_key_material_has_one_id_per_name_and_type() -> None:
    public = [key().public, key("example.net/b").public, key(algorithm=Algorithm.COSIGNATURE).public]
    assert len({each.id for each in public}) == 3
    assert len({each.raw for each in public}) == 1


@given(st.lists(st.sampled_from([A, B, C]), min_size=1, unique=True), texts)
def test_whatever_is_signed_verifies_after_a_round_trip(keys: Sequence[SigningKey], text: str) -> None:
    note = decode_note(encode_note(sign_note(text, keys)))
    assert note.text == text
    assert verified_signers(note, [A.public, B.public, C.public]) == [k.public for k in (A, B, C) if k in keys]


def test_a_signature_line_is_the_exact_bytes_of_c2sp() -> None:
    signature = sign_note(TEXT, [A]).signatures[0]
    line = f"\u2014 example.net/a {encode_b64(A.public.hash + A.sign(TEXT.encode()))}\n"
    assert encode_note(Note(TEXT, (signature,))) == f"{TEXT}\n{line}".encode()
