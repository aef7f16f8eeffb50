"""The frozen vectors of charters, cards and their keys, and the examples of the pages that cite them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from ledger import limits
from ledger.card import Card, decode_card, encode_card, log_key_at, verify_card, verify_card_chain
from ledger.charter import (
    Charter,
    decode_charter,
    decode_fingerprint,
    encode_charter,
    fingerprint,
    verify_charter,
    verify_charter_chain,
)
from ledger.errors import TallyError, WeakKey
from ledger.keys import decode_sealing_key, decode_vkey, make_opening_key, make_signing_key
from ledger.network import decode_member_file, decode_network_file, verify_member_file, verify_network_file
from ledger.note import decode_note
from tests.source import ROOT
from tests.vectors.make_membership import build

VECTORS: Final = json.loads((Path(__file__).parent / "vectors" / "membership.json").read_text())


def charters() -> tuple[Charter, ...]:
    return verify_charter_chain([item["note"].encode() for item in VECTORS["charters"]])


def cards() -> tuple[Card, ...]:
    return verify_card_chain([item["note"].encode() for item in VECTORS["cards"]], charters=charters())


def example(page: str) -> list[str]:
    """The lines of the indented and fenced blocks of a page of the spec."""
    text = (ROOT / "docs" / "spec" / page).read_text()
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)).splitlines()


def test_vectors_are_what_fixed_seeds_give() -> None:
    # A change here is a new version of the format, not a new file.
    assert build() == VECTORS


@pytest.mark.parametrize("item", VECTORS["keys"], ids=lambda item: item["label"])
def test_signing_key_of_a_seed(item: dict[str, str]) -> None:
    key = decode_vkey(item["vkey"])
    assert make_signing_key(key.name, key.algorithm, seed=bytes.fromhex(item["seed"])).public == key
    assert (str(key), key.id) == (item["vkey"], item["id"])


def test_sealing_key_of_a_seed() -> None:
    for item in VECTORS["sealing_keys"]:
        key = decode_sealing_key(item["key"])
        assert make_opening_key(seed=bytes.fromhex(item["seed"])).public == key
        assert key.id == item["id"]


def test_weak_keys_are_refused() -> None:
    for item in VECTORS["weak_keys"]:
        with pytest.raises(WeakKey):
            decode_vkey(item["vkey"])


def test_charters_are_verified_one_after_the_other() -> None:
    for charter, item in zip(charters(), VECTORS["charters"], strict=True):
        assert charter.hash.hex() == item["hash"]
        assert charter.required_answers == item["required_answers"]
        assert decode_charter(encode_charter(charter)) == charter
    assert fingerprint(charters()) == decode_fingerprint(VECTORS["fingerprint"])


def test_cards_are_verified_one_after_the_other() -> None:
    for card, item in zip(cards(), VECTORS["cards"], strict=True):
        assert (card.hash.hex(), str(card.origin)) == (item["hash"], item["origin"])
        assert decode_card(encode_card(card)) == card
    for item in VECTORS["log_keys"]:
        assert str(log_key_at(cards(), item["size"])) == item["key"]


def test_files_that_people_hand_around_are_verified() -> None:
    network = verify_network_file(decode_network_file(VECTORS["network_file"].encode()))
    assert network.charters == charters()
    assert network.cards[cards()[0].member] == cards()
    assert verify_member_file(decode_member_file(VECTORS["member_file"].encode())) == network.card("bank")


@pytest.mark.parametrize("item", VECTORS["refused_charters"], ids=lambda item: item["why"])
def test_charter_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(TallyError) as caught:
        verify_charter(item["note"].encode(), previous=charters()[item["after"] - 1] if item["after"] else None)
    assert caught.value.code == item["code"]


@pytest.mark.parametrize("item", VECTORS["refused_cards"], ids=lambda item: item["why"])
def test_card_is_refused(item: dict[str, Any]) -> None:
    previous = cards()[item["after"] - 1] if item["after"] else None
    with pytest.raises(TallyError) as caught:
        verify_card(item["note"].encode(), charter=charters()[0], previous=previous)
    assert caught.value.code == item["code"]


@pytest.mark.parametrize(
    ("page", "notes"), [("charter.md", VECTORS["charters"][:1]), ("card.md", VECTORS["cards"][:1])]
)
def test_example_of_the_page_is_a_vector(page: str, notes: list[dict[str, str]]) -> None:
    lines = example(page)
    for item in notes:
        note = decode_note(item["note"].encode())
        assert note.text.removesuffix("\n") in lines
        assert set(item["note"].splitlines()) - {""} <= set(lines)
    assert VECTORS["fingerprint"] in lines or page == "card.md"


def test_keys_of_the_page_are_vectors() -> None:
    known = {item["vkey"] for item in VECTORS["keys"]} | {item["key"] for item in VECTORS["sealing_keys"]}
    shown = [line for line in example("keys.md") if line]
    assert shown
    assert set(shown) <= known


@pytest.mark.parametrize(
    ("page", "bounds"),
    [
        (
            "charter.md",
            [
                limits.NOTE_BYTES_MAX,
                limits.NOTE_SIGNATURES_MAX,
                limits.CHARTER_SIGNATURES_MAX,
                limits.CHARTER_BYTES_MAX,
                limits.MEMBERS_MAX,
                limits.KEYS_MAX,
                limits.EXPELLED_MAX,
                limits.ENGINES_MAX,
                limits.BLOB_BYTES_MAX,
                limits.BODY_BYTES_MIN,
                limits.BODY_BYTES_MAX,
                limits.FIELDS_MIN,
                limits.FIELDS_MAX,
                limits.READERS_MIN,
                limits.READERS_MAX,
                limits.SECTIONS_MIN,
                limits.SECTIONS_MAX,
                limits.NETWORK_FILE_BYTES_MAX,
            ],
        ),
        ("card.md", [limits.NOTE_BYTES_MAX, limits.KEYS_MAX, limits.ENDPOINTS_MAX, limits.ENDPOINT_BYTES_MAX]),
        ("keys.md", [limits.KEYS_MAX]),
    ],
)
def test_limits_of_the_page_are_those_of_the_code(page: str, bounds: list[int]) -> None:
    section = (ROOT / "docs" / "spec" / page).read_text().split("## Limits", 1)[1].split("\n## ", 1)[0]
    shown = {number.replace(",", "") for number in re.findall(r"[0-9][0-9,]*", section)}
    assert {str(bound) for bound in bounds} <= shown
