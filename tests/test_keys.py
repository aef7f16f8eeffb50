"""Keys: signatures of one length, names, and secrets that nobody prints. Spec: docs/spec/keys.md.

Vectors of points and signatures are in test_note.py, those of whole keys in test_membership_vectors.py.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadSignature, EncodingError, TallyError, WeakKey
from ledger.keys import (
    Algorithm,
    check_key_name,
    decode_sealing_key,
    decode_vkey,
    entropy,
    make_opening_key,
    make_signing_key,
    sealing_key_id,
)
from ledger.names import encode_b64
from tests import formats

KEY = make_signing_key("net/a", seed=bytes(range(32)))
MESSAGE = b"what was said"
P = 2**255 - 19

key_names = st.text(alphabet="az09./-", min_size=1, max_size=40)
seeds = st.binary(min_size=32, max_size=32)


def little(value: int) -> bytes:
    return value.to_bytes(32, "little")


# --- signatures ---------------------------------------------------------------------


@given(seeds, st.binary(max_size=200))
def test_signature_round_trip_and_agreement_with_another_library(seed: bytes, message: bytes) -> None:
    key = make_signing_key("net/a", seed=seed)
    signature = key.sign(message)
    key.public.verify(message, signature, what="it")
    other = formats.Signer("net/a", seed)
    assert (other.sign(message), other.key_hash) == (signature, key.public.hash)


@given(st.integers(0, 63), st.integers(0, 7))
def test_signature_with_one_bit_changed_is_refused(at: int, bit: int) -> None:
    signature = bytearray(KEY.sign(MESSAGE))
    signature[at] ^= 1 << bit
    with pytest.raises(BadSignature):
        KEY.public.verify(MESSAGE, bytes(signature), what="it")


def test_signature_of_another_message_or_key_is_refused() -> None:
    for message, signer in ((b"what was sait", KEY), (b"", KEY), (MESSAGE, make_signing_key("net/a"))):
        with pytest.raises(BadSignature):
            KEY.public.verify(message, signer.sign(MESSAGE), what="it")


@pytest.mark.parametrize("cut", [0, 1, 32, 63])
def test_signature_that_lends_bytes_to_the_message_is_refused(cut: int) -> None:
    # The library joins both before it looks: a short signature would begin the message, a long one end in it.
    signature = KEY.sign(MESSAGE)
    with pytest.raises(BadSignature):
        KEY.public.verify(signature[cut:] + MESSAGE, signature[:cut], what="it")
    with pytest.raises(BadSignature):
        KEY.public.verify(MESSAGE[cut + 1 :], signature + MESSAGE[: cut + 1], what="it")


# --- texts of keys --------------------------------------------------------------------


@given(key_names, st.sampled_from(Algorithm), seeds)
def test_vkey_round_trip(name: str, algorithm: Algorithm, seed: bytes) -> None:
    key = make_signing_key(name, algorithm, seed=seed).public
    assert decode_vkey(str(key)) == key
    assert key.id == key.hash.hex()


@given(st.data())
def test_vkey_is_taken_in_one_spelling(data: st.DataObject) -> None:
    text = str(KEY.public)
    at = data.draw(st.integers(0, len(text)))
    changed = (
        text[:at] + data.draw(st.text(alphabet="aA0+/= \n", max_size=2)) + text[data.draw(st.integers(at, len(text))) :]
    )
    try:
        key = decode_vkey(changed)
    except TallyError:
        return
    assert str(key) == changed


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "\u00e9", "a" * 256, "\x7f"])
def test_name_of_a_key_is_printable_ascii_without_a_plus(name: str) -> None:
    with pytest.raises(EncodingError):
        check_key_name(name)
    with pytest.raises(EncodingError):
        make_signing_key(name)


def test_name_of_a_key_ends_at_the_limit() -> None:
    assert check_key_name("a" * 255)


def test_vkey_of_an_unknown_algorithm_is_refused() -> None:
    raw = KEY.public.raw
    for kind in (0x00, 0x02, 0x05, 0xFF):
        key_id = formats.sha(b"net/a\n" + bytes([kind]) + raw)[:4].hex()
        with pytest.raises(EncodingError, match="signature type"):
            decode_vkey(f"net/a+{key_id}+{encode_b64(bytes([kind]) + raw)}")


@given(seeds)
def test_sealing_key_round_trip(seed: bytes) -> None:
    key = make_opening_key(seed=seed)
    assert decode_sealing_key(encode_b64(key.public.raw)) == key.public
    assert key.public.raw == formats.x25519_public(seed)
    assert key.public.id == sealing_key_id(key.public.raw) == formats.sealing_key_id(key.public.raw)


@pytest.mark.parametrize(
    "point",
    [
        0,
        1,
        P - 1,
        # Order 8, after Bernstein's list of points that give a shared secret of zero.
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    ],
)
def test_sealing_key_of_small_order_is_refused(point: int) -> None:
    with pytest.raises(WeakKey, match="small order"):
        decode_sealing_key(encode_b64(little(point)))


@pytest.mark.parametrize("point", [P, P + 1, P + 9, 2**255 - 1, 2**255 + 9, 2**256 - 1])
def test_sealing_key_that_is_not_reduced_is_refused(point: int) -> None:
    with pytest.raises(WeakKey, match="canonical"):
        decode_sealing_key(encode_b64(little(point)))


def test_sealing_key_of_another_length_is_refused() -> None:
    for length in (0, 31, 33):
        with pytest.raises(EncodingError):
            decode_sealing_key(encode_b64(b"\x09" * length))


# --- secrets --------------------------------------------------------------------------


def test_secrets_are_not_printed() -> None:
    opening = make_opening_key(seed=bytes(range(32)))
    for key, seed in ((KEY, KEY.seed), (opening, opening.seed)):
        for shown in (repr(key), str(key), f"{key}"):
            assert seed.hex() not in shown
            assert encode_b64(seed) not in shown
            assert repr(seed) not in shown


def test_keys_without_a_seed_are_all_different() -> None:
    assert len({make_signing_key("net/a").seed for _ in range(8)} | {make_opening_key().seed for _ in range(8)}) == 16
    assert len(entropy(7)) == 7
