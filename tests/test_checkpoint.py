from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import limits
from ledger.checkpoint import (
    TIME_MAX,
    Checkpoint,
    cosign,
    decode_checkpoint,
    distinct_cosigners,
    encode_checkpoint,
    open_checkpoint,
    sign_checkpoint,
    verified_cosigners,
    verify_cosignature,
)
from ledger.errors import (
    BadSignature,
    EncodingError,
    ForeignOrigin,
    MissingSignature,
    ProofInvalid,
    TallyError,
    TooLarge,
)
from ledger.keys import Algorithm, SigningKey, decode_vkey, make_signing_key
from ledger.merkle import leaf_hash, prove_inclusion, root_of
from ledger.names import Digest, MemberName, NetworkName, Origin, decode_b64, decode_origin
from ledger.note import Note, add_signature, decode_note, encode_note, sign_note
from ledger.proof import TlogProof, decode_path, decode_proof, encode_path, encode_proof, verify_proof
from tests.make_tree import flip, leaves, reader

VECTOR: Final[dict[str, Any]] = json.loads(
    (Path(__file__).with_name("vectors") / "log" / "checkpoint.json").read_text()
)
ORIGIN: Final = decode_origin(VECTOR["origin"])
LOG: Final = make_signing_key(VECTOR["origin"], seed=bytes.fromhex(VECTOR["log"]["seed"]))
WITNESS: Final = make_signing_key(
    "cold-chain.example/carrier", Algorithm.COSIGNATURE, seed=bytes.fromhex(VECTOR["witness"]["seed"])
)
LEAVES: Final = leaves(700)
CHECKPOINT: Final = Checkpoint(origin=ORIGIN, size=700, root=root_of(LEAVES))
TEXT: Final[str] = VECTOR["text"]
TIME_S: Final[int] = VECTOR["witness"]["time_s"]
PROOF: Final[bytes] = VECTOR["proof"].encode()

names: Final = st.from_regex(r"\A[a-z0-9.-]{1,63}\Z")
origins: Final = st.builds(
    Origin, names.map(NetworkName), names.map(MemberName), st.just(1) | st.integers(1, limits.INTEGER_MAX)
)
digests: Final = st.binary(min_size=32, max_size=32).map(Digest)
sizes: Final = st.integers(0, limits.INTEGER_MAX)


def verify_all(raw: bytes, entry: bytes = b"entry 543") -> None:
    """What a reader of a proof does: the log's signature, one cosignature, the path."""
    proof = decode_proof(raw)
    verify_proof(proof, leaf_hash(entry), origin=ORIGIN, key=LOG.public)
    if list(verified_cosigners(decode_note(proof.note), [WITNESS.public])) != [WITNESS.public]:
        raise MissingSignature(what="proof", needed=1, who="the witness", got=0)


# --- vectors ------------------------------------------------------------------


def test_the_pages_show_the_vectors() -> None:
    pages = Path(__file__).resolve().parent.parent / "docs" / "spec"
    page = (pages / "checkpoint.md").read_text()
    assert f"```\n{VECTOR['cosigned']}```\n" in page
    assert f"```\n{VECTOR['log']['vkey']}\n{VECTOR['witness']['vkey']}\n```\n" in page
    assert f"```\ncosignature/v1\ntime {TIME_S}\n{TEXT}```\n" in page
    assert f"```\n{VECTOR['proof']}```\n" in (pages / "proofs-log.md").read_text()


def test_keys_are_those_of_the_vectors() -> None:
    assert str(LOG.public) == VECTOR["log"]["vkey"]
    assert decode_vkey(VECTOR["log"]["vkey"]) == LOG.public
    assert str(WITNESS.public) == VECTOR["witness"]["vkey"]
    assert decode_vkey(VECTOR["witness"]["vkey"]) == WITNESS.public


def test_checkpoint_and_cosignature_are_the_bytes_of_the_vectors() -> None:
    signed = sign_checkpoint(CHECKPOINT, LOG)
    assert signed == VECTOR["signed"].encode()
    note = decode_note(signed)
    cosigned = Note(note.text, (*note.signatures, cosign(note.text, WITNESS, TIME_S)))
    assert encode_note(cosigned) == VECTOR["cosigned"].encode()


@pytest.mark.parametrize("name", ["signed", "cosigned"])
def test_checkpoints_of_the_vectors_open(name: str) -> None:
    assert open_checkpoint(VECTOR[name].encode(), origin=ORIGIN, key=LOG.public) == CHECKPOINT


def test_cosignature_of_the_vectors_verifies() -> None:
    note = decode_note(VECTOR["cosigned"].encode())
    assert verified_cosigners(note, [WITNESS.public]) == {WITNESS.public: TIME_S}


@pytest.mark.parametrize(("name", "extra"), [("proof", None), ("proof_with_extra", b"a hint")])
def test_proofs_of_the_vectors_verify_and_come_back(name: str, extra: bytes | None) -> None:
    raw = VECTOR[name].encode()
    proof = decode_proof(raw)
    path = prove_inclusion(543, 700, reader(LEAVES))
    assert proof == TlogProof(index=543, path=tuple(path), note=VECTOR["cosigned"].encode(), extra=extra)
    assert encode_proof(proof) == raw
    assert verify_proof(proof, leaf_hash(VECTOR["entry"].encode()), origin=ORIGIN, key=LOG.public) == CHECKPOINT


# --- checkpoint text ------------------------------------------------------------


@given(st.builds(Checkpoint, origin=origins, size=sizes, root=digests))
def test_checkpoints_come_back_as_they_went(checkpoint: Checkpoint) -> None:
    assert decode_checkpoint(encode_checkpoint(checkpoint)) == checkpoint


@given(st.data())
def test_only_checkpoints_that_we_write_are_read(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    end = data.draw(st.integers(start, min(len(TEXT), start + 2)))
    text = TEXT[:start] + data.draw(st.text(max_size=2) | st.sampled_from(["0", "\n", "+", "=", "/2"])) + TEXT[end:]
    try:
        found = decode_checkpoint(text)
    except EncodingError:
        return
    assert encode_checkpoint(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "an extension line\n",
        TEXT.replace("\n", "\r\n"),
        "\n" + TEXT,
        TEXT.replace("\n700\n", "\n0700\n"),
        TEXT.replace("\n700\n", "\n+700\n"),
        TEXT.replace("\n700\n", "\n 700\n"),
        TEXT.replace("\n700\n", "\n-1\n"),
        TEXT.replace("\n700\n", "\n7_00\n"),
        TEXT.replace("\n700\n", "\n\u0667\u0660\u0660\n"),
        TEXT.replace("\n700\n", "\n\n"),
        TEXT.replace("\n700\n", f"\n{2**53}\n"),
        TEXT.replace("\n700\n", f"\n{'9' * 5000}\n"),
        TEXT.replace("=\n", "\n"),
        TEXT.replace("JAc=", "JAd="),
        TEXT.replace("fishery", "Fishery"),
        TEXT.replace("fishery", "fishery/1"),
        TEXT.replace("fishery", "fishery/02"),
        TEXT.replace("fishery", "fishery/"),
        TEXT.replace("/fishery", ""),
        "\n".join([VECTOR["origin"], "700", "x" * 43 + "=", ""]),
        "\n".join([VECTOR["origin"], "700", "AAAA", ""]),
    ],
)
def test_checkpoints_in_any_other_form_are_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        decode_checkpoint(text)


@pytest.mark.parametrize(
    ("size", "root"),
    [(-1, CHECKPOINT.root), (limits.INTEGER_MAX + 1, CHECKPOINT.root), (1, Digest(b"x" * 31)), (1, Digest(b"x" * 33))],
)
def test_checkpoints_that_could_not_be_read_are_not_written(size: int, root: Digest) -> None:
    with pytest.raises(EncodingError):
        encode_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root))


def test_the_largest_checkpoint_is_read() -> None:
    largest = replace(CHECKPOINT, size=limits.INTEGER_MAX)
    assert open_checkpoint(sign_checkpoint(largest, LOG), origin=ORIGIN, key=LOG.public) == largest


# --- the log's signature ----------------------------------------------------------


def test_every_changed_byte_voids_a_checkpoint() -> None:
    raw = sign_checkpoint(CHECKPOINT, LOG)
    for i in range(len(raw)):
        for bits in (1, 4, 0x80):
            with pytest.raises(TallyError):
                open_checkpoint(flip(raw, i, bits), origin=ORIGIN, key=LOG.public)


def test_a_checkpoint_of_another_log_is_foreign() -> None:
    other = decode_origin("cold-chain.example/carrier")
    theirs = make_signing_key(str(other), seed=b"\3" * 32)
    with pytest.raises(ForeignOrigin):
        open_checkpoint(sign_checkpoint(replace(CHECKPOINT, origin=other), theirs), origin=ORIGIN, key=LOG.public)


def test_a_key_signs_and_opens_for_its_own_log_alone() -> None:
    second = replace(ORIGIN, epoch=2)
    with pytest.raises(ForeignOrigin):
        sign_checkpoint(replace(CHECKPOINT, origin=second), LOG)
    with pytest.raises(ForeignOrigin):
        open_checkpoint(VECTOR["signed"].encode(), origin=second, key=LOG.public)
    other = make_signing_key("cold-chain.example/carrier", seed=LOG.seed)
    with pytest.raises(ForeignOrigin):
        open_checkpoint(encode_note(sign_note(TEXT, [other])), origin=ORIGIN, key=other.public)


def test_a_checkpoint_signed_by_an_unknown_key_is_refused() -> None:
    stranger = make_signing_key(VECTOR["origin"], seed=b"\4" * 32)
    with pytest.raises(MissingSignature):
        open_checkpoint(sign_checkpoint(CHECKPOINT, stranger), origin=ORIGIN, key=LOG.public)


def test_a_false_signature_of_the_log_is_refused() -> None:
    other = decode_note(sign_checkpoint(replace(CHECKPOINT, size=701), LOG))
    with pytest.raises(BadSignature):
        open_checkpoint(encode_note(Note(TEXT, other.signatures)), origin=ORIGIN, key=LOG.public)


def test_a_cosignature_does_not_stand_for_the_logs_signature() -> None:
    own = make_signing_key(VECTOR["origin"], Algorithm.COSIGNATURE, seed=LOG.seed)
    raw = encode_note(Note(TEXT, (cosign(TEXT, own, TIME_S),)))
    with pytest.raises(MissingSignature):
        open_checkpoint(raw, origin=ORIGIN, key=LOG.public)
    with pytest.raises(EncodingError):
        open_checkpoint(raw, origin=ORIGIN, key=own.public)
    with pytest.raises(EncodingError):
        sign_checkpoint(CHECKPOINT, own)


# --- cosignatures of others ---------------------------------------------------------


@given(st.integers(0, TIME_MAX))
def test_cosignatures_tell_their_time(time_s: int) -> None:
    assert verify_cosignature(TEXT, cosign(TEXT, WITNESS, time_s), WITNESS.public) == time_s


@pytest.mark.parametrize("time_s", [-1, TIME_MAX + 1])
def test_no_cosignature_is_made_for_an_impossible_time(time_s: int) -> None:
    with pytest.raises(EncodingError):
        cosign(TEXT, WITNESS, time_s)


def test_a_cosignature_of_an_impossible_time_is_refused_though_it_verifies() -> None:
    time_s = TIME_MAX + 1
    blob = time_s.to_bytes(8, "big") + WITNESS.sign(f"cosignature/v1\ntime {time_s}\n{TEXT}".encode())
    with pytest.raises(BadSignature):
        verify_cosignature(TEXT, replace(cosign(TEXT, WITNESS, 0), blob=blob), WITNESS.public)


def test_every_changed_byte_voids_a_cosignature() -> None:
    signature = cosign(TEXT, WITNESS, TIME_S)
    changed = [replace(signature, blob=flip(signature.blob, i)) for i in range(72)]
    changed += [replace(signature, blob=signature.blob[:-1]), replace(signature, blob=signature.blob + b"\0")]
    changed += [replace(signature, blob=signature.blob[8:]), replace(signature, blob=signature.blob[:4])]
    changed += [replace(signature, name="cold-chain.example/retailer"), replace(signature, key_hash=b"1234")]
    for each in changed:
        with pytest.raises(BadSignature):
            verify_cosignature(TEXT, each, WITNESS.public)
    with pytest.raises(BadSignature):
        verify_cosignature(encode_checkpoint(replace(CHECKPOINT, size=701)), signature, WITNESS.public)


def test_only_checkpoints_are_cosigned_and_only_by_keys_for_it() -> None:
    with pytest.raises(EncodingError):
        cosign("a charter, say\n", WITNESS, TIME_S)
    with pytest.raises(EncodingError):
        cosign(TEXT, LOG, TIME_S)
    with pytest.raises(EncodingError):
        verify_cosignature(TEXT, cosign(TEXT, WITNESS, TIME_S), LOG.public)
    for signed in (sign_note(TEXT, [LOG]), Note(TEXT, (cosign(TEXT, WITNESS, TIME_S),))):
        with pytest.raises(EncodingError):
            verified_cosigners(signed, [LOG.public])


def test_a_plain_signature_does_not_stand_for_a_cosignature() -> None:
    plain = make_signing_key(WITNESS.public.name, seed=WITNESS.seed)
    signature = replace(sign_note(TEXT, [plain]).signatures[0], key_hash=WITNESS.public.hash)
    with pytest.raises(BadSignature):
        verified_cosigners(Note(TEXT, (signature,)), [WITNESS.public])


def test_cosigners_are_those_asked_about_and_a_false_one_is_an_error() -> None:
    others = [make_signing_key(f"cold-chain.example/m{i}", Algorithm.COSIGNATURE, seed=bytes([i]) * 32) for i in (5, 6)]
    note = sign_note(TEXT, [LOG])
    note = Note(TEXT, (*note.signatures, *(cosign(TEXT, each, 10) for each in (WITNESS, *others))))
    assert verified_cosigners(note, [others[1].public, WITNESS.public]) == {others[1].public: 10, WITNESS.public: 10}
    false = replace(note.signatures[2], blob=cosign(TEXT, others[0], 11).blob[:-1] + b"\0")
    spoiled = Note(TEXT, (*note.signatures[:2], false, note.signatures[3]))
    assert verified_cosigners(spoiled, [WITNESS.public]) == {WITNESS.public: 10}
    with pytest.raises(BadSignature):
        verified_cosigners(spoiled, [WITNESS.public, others[0].public])


# --- tlog-proof -----------------------------------------------------------------------


@given(
    st.integers(0, 699),
    st.lists(digests, max_size=limits.PROOF_HASHES_MAX),
    st.none() | st.binary(min_size=1, max_size=90),
)
def test_proofs_come_back_as_they_went(index: int, path: list[Digest], extra: bytes | None) -> None:
    proof = TlogProof(index=index, path=tuple(path), note=VECTOR["cosigned"].encode(), extra=extra)
    assert decode_proof(encode_proof(proof)) == proof


@given(st.data())
def test_only_proofs_that_we_write_are_read(data: st.DataObject) -> None:
    raw = VECTOR[data.draw(st.sampled_from(["proof", "proof_with_extra"]))].encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 3)))
    put = st.binary(max_size=3) | st.sampled_from([b"\n", b"\n\n", b"extra ", b"extra AA==\n", b"index ", b"0", b"="])
    changed = raw[:start] + data.draw(put) + raw[end:]
    try:
        found = decode_proof(changed)
    except TallyError:
        return
    assert encode_proof(found) == changed


@pytest.mark.slow
def test_every_changed_byte_voids_a_proof() -> None:
    verify_all(PROOF)
    for i in range(len(PROOF)):
        for bits in (1, 4, 0x80):
            with pytest.raises(TallyError):
                verify_all(flip(PROOF, i, bits))


def test_every_byte_left_out_or_doubled_voids_a_proof() -> None:
    for i in range(len(PROOF)):
        for changed in (PROOF[:i] + PROOF[i + 1 :], PROOF[: i + 1] + PROOF[i:]):
            with pytest.raises(TallyError):
                verify_all(changed)


def test_a_proof_of_one_entry_proves_no_other() -> None:
    for entry in (b"entry 542", b"entry 543 ", b""):
        with pytest.raises(ProofInvalid):
            verify_all(PROOF, entry)


_HEAD, _NOTE = PROOF.split(b"\n\n", 1)
_LINES: Final = _HEAD.split(b"\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        _HEAD,
        _HEAD + b"\n",
        _HEAD + b"\n\n",
        b"\n" + PROOF,
        PROOF + b"\n",
        PROOF.replace(b"\n", b"\r\n"),
        PROOF.replace(b"@v1", b"@v2"),
        PROOF.replace(b"index 543", b"index 0543"),
        PROOF.replace(b"index 543", b"index -1"),
        PROOF.replace(b"index 543", b"index +543"),
        PROOF.replace(b"index 543", b"index  543"),
        PROOF.replace(b"index 543", b"index 700"),
        PROOF.replace(b"index 543\n", b""),
        PROOF.replace(b"index 543", b"extra \nindex 543"),
        PROOF.replace(b"index 543", b"extra\nindex 543"),
        PROOF.replace(b"index 543", b"extra AA==\nextra AA==\nindex 543"),
        PROOF.replace(b"index 543", b"extra AB==\nindex 543"),
        PROOF.replace(b"index 543", b"index 543\nextra AA=="),
        b"\n".join([*_LINES[:3], b"AAAA", *_LINES[3:]]) + b"\n\n" + _NOTE,
        b"\n".join([*_LINES[:3], "\u00e9".encode(), *_LINES[3:]]) + b"\n\n" + _NOTE,
        PROOF.replace(b"\n700\n", b"\n700\nnot a checkpoint\n"),
        b"c2sp.org/tlog-proof@v1\n\n" + _NOTE,
        b"c2sp.org/tlog-proof@v1\nextra AA==\n\n" + _NOTE,
    ],
)
def test_proofs_in_any_other_form_are_refused(raw: bytes) -> None:
    with pytest.raises(EncodingError):
        decode_proof(raw)


def test_a_proof_has_at_most_so_many_hashes() -> None:
    hashes = tuple([LEAVES[0]] * (limits.PROOF_HASHES_MAX + 1))
    proof = TlogProof(index=0, path=hashes[:-1], note=VECTOR["signed"].encode())
    raw = encode_proof(proof)
    assert decode_proof(raw) == proof
    line = f"{encode_path(hashes[:1])[0]}\n".encode()
    with pytest.raises(TooLarge):
        decode_proof(raw.replace(line, line * 2, 1))
    with pytest.raises(TooLarge):
        encode_proof(replace(proof, path=hashes))


def test_a_proof_has_at_most_so_many_bytes_of_extra() -> None:
    longest = b"x" * limits.PROOF_EXTRA_BYTES_MAX
    proof = TlogProof(
        index=0, path=tuple([LEAVES[0]] * limits.PROOF_HASHES_MAX), note=VECTOR["signed"].encode(), extra=longest
    )
    assert decode_proof(encode_proof(proof)) == proof
    for extra in (longest + b"x", b""):
        with pytest.raises(EncodingError):
            encode_proof(replace(proof, extra=extra))
    for padding in (b"eHh4", b"eHh4" * 100_000):
        with pytest.raises(EncodingError):
            decode_proof(encode_proof(proof).replace(b"extra ", b"extra " + padding))


@pytest.mark.parametrize("index", [-1, 700])
def test_a_proof_for_an_entry_outside_its_checkpoint_is_not_written(index: int) -> None:
    with pytest.raises(EncodingError):
        encode_proof(TlogProof(index=index, path=(), note=VECTOR["signed"].encode()))


def test_a_log_of_one_entry_has_a_proof_without_hashes() -> None:
    leaf = leaf_hash(b"the only one")
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=1, root=leaf), LOG)
    raw = encode_proof(TlogProof(index=0, path=(), note=note))
    assert raw.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\ncold-chain.example/fishery\n1\n")
    assert verify_proof(decode_proof(raw), leaf, origin=ORIGIN, key=LOG.public).size == 1


@given(st.lists(digests, max_size=limits.PROOF_HASHES_MAX))
def test_paths_come_back_as_they_went(path: list[Digest]) -> None:
    assert list(decode_path(encode_path(path))) == path


@pytest.mark.parametrize(
    "spoil",
    [lambda text: text[:-1], lambda text: text + "\n", lambda text: " " + text, lambda text: text[:40] + "===="],
)
def test_paths_in_any_other_form_are_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(EncodingError):
        decode_path([spoil(encode_path(LEAVES[:1])[0])])
    with pytest.raises(EncodingError):
        encode_proof(TlogProof(index=0, path=(Digest(b"short"),), note=VECTOR["signed"].encode()))
    with pytest.raises(TooLarge):
        decode_path(["not base64"] * (limits.PROOF_HASHES_MAX + 1))


def test_a_cosigned_checkpoint_takes_signatures_in_any_order() -> None:
    note = decode_note(VECTOR["cosigned"].encode())
    turned = Note(note.text, note.signatures[::-1])
    assert open_checkpoint(encode_note(turned), origin=ORIGIN, key=LOG.public) == CHECKPOINT
    assert verified_cosigners(turned, [WITNESS.public]) == {WITNESS.public: TIME_S}
    assert add_signature(turned, SigningKey(LOG.public, LOG.seed)) == turned


def test_the_root_in_the_vectors_is_that_of_the_entries() -> None:
    assert decode_b64(VECTOR["root"], length=32) == CHECKPOINT.root


# --- who cosigned, where keys are shared ----------------------------------------------


@given(st.lists(st.sets(st.integers(0, 4), max_size=3), max_size=5))
def test_each_member_is_counted_by_a_key_that_counts_for_no_other_and_nobody_is_left_out(lists: list[set[int]]) -> None:
    members = [MemberName(f"member-{i}") for i in range(len(lists))]
    points = [make_signing_key("name", Algorithm.COSIGNATURE, seed=bytes([i]) * 32).public.raw for i in range(5)]
    found = {
        member: {replace(WITNESS.public, name=f"cold-chain.example/{member}", raw=points[i]): 10 + i for i in listed}
        for member, listed in zip(members, lists, strict=True)
    }
    choices = product(*[[None, *listed] for listed in lists])
    good = [[i for i in choice if i is not None] for choice in choices]
    most = max(len(chosen) for chosen in good if len(set(chosen)) == len(chosen))
    counted = distinct_cosigners(found)
    assert len(counted) == most
    assert all(time in found[member].values() for member, time in counted.items())
    assert len(set(counted.values())) == len(counted), "each by a key of its own"
