"""Writes membership.json: charters, cards and keys from fixed seeds, what is taken of them and what is refused.

Usage: python -m tests.vectors.make_membership (prints; the file beside it is frozen). The seed of a key is
SHA-256("membership test seed: " and the label given beside it).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ledger.card import Card, encode_card, sign_card
from ledger.charter import (
    Expulsion,
    encode_charter,
    fingerprint,
)
from ledger.keys import Algorithm, SigningKey, VerifyKey
from ledger.names import NetworkName, Origin, encode_b64
from ledger.network import NetworkFile, encode_member_file, encode_network_file
from ledger.note import decode_note, encode_note
from tests import make_membership as make

CARRIER, FISHERY, PROCESSOR, RETAILER = make.firms()
RENEWED = make.firm("fishery", generation=2)
BANK = make.firm("bank", roots=3, threshold=2)

FIRST = make.charter((CARRIER, FISHERY, PROCESSOR, RETAILER), f=1)
SECOND = make.charter((BANK, CARRIER, RENEWED, PROCESSOR, RETAILER), f=1, previous=FIRST, engines=[bytes(range(32))])
GONE = Expulsion(log=Origin(NetworkName(make.NETWORK), RETAILER.name), size=4096)
THIRD = make.charter(
    (BANK, CARRIER, RENEWED, PROCESSOR), f=0, previous=SECOND, council=["bank", "carrier", "processor"], expelled=[GONE]
)

CARD = FISHERY.card(endpoints=["https://fishery.example:8443", "http://127.0.0.1:8401"])
NEXT_CARD = FISHERY.card(log=2, log_from=1000, endpoints=["https://fishery.example:8443"], previous=CARD)


def build() -> dict[str, Any]:
    """All of membership.json."""
    charters = [
        make.signed(FIRST, (CARRIER, FISHERY, PROCESSOR, RETAILER)),
        make.signed(SECOND, (BANK, CARRIER, FISHERY, RENEWED, PROCESSOR)),
        make.signed(THIRD, (BANK, CARRIER, PROCESSOR)),
    ]
    cards = [FISHERY.signed(CARD), RENEWED.signed(NEXT_CARD)]
    others = [member.signed(member.card()) for member in (BANK, CARRIER, PROCESSOR, RETAILER)]
    file = NetworkFile(charters=tuple(charters), cards=(*others[:2], *cards, *others[2:]))
    return {
        "source": "python -m tests.vectors.make_membership; specified in docs/spec/charter.md, card.md and keys.md",
        "keys": [describe_key(key) for key in all_keys()],
        "sealing_keys": [describe_sealing_key()],
        "weak_keys": weak_keys(),
        "fingerprint": fingerprint([FIRST]).hex(),
        "charters": [
            {"note": note.decode(), "hash": document.hash.hex(), "required_answers": document.required_answers}
            for note, document in zip(charters, (FIRST, SECOND, THIRD), strict=True)
        ],
        "cards": [
            {"note": note.decode(), "hash": card.hash.hex(), "origin": str(card.origin)}
            for note, card in zip(cards, (CARD, NEXT_CARD), strict=True)
        ],
        "log_keys": [
            {"size": size, "key": str(card.log_key)}
            for size, card in ((0, CARD), (999, CARD), (1000, NEXT_CARD), (2**53 - 1, NEXT_CARD))
        ],
        "network_file": encode_network_file(file).decode(),
        "member_file": encode_member_file(make.member_file(BANK)).decode(),
        "refused_charters": refused_charters(),
        "refused_cards": refused_cards(),
    }


def all_keys() -> list[tuple[str, SigningKey]]:
    """Signing keys with the labels of their seeds."""
    roots = [key for member in (BANK, CARRIER, FISHERY, RENEWED, PROCESSOR, RETAILER) for key in member.root_keys]
    keys = [*roots, FISHERY.log_key(1), FISHERY.log_key(2), FISHERY.transport_key(), FISHERY.witness_key()]
    numbers = [100, 101, 102, 100, 100, 200, 100, 100, 1, 2, 1, 1]
    return [
        (f"{key.public.name} {key.public.algorithm.name} {number}", key)
        for key, number in zip(keys, numbers, strict=True)
    ]


def describe_key(labelled: tuple[str, SigningKey]) -> dict[str, str]:
    label, key = labelled
    assert make.seed(label) == key.seed, "the label is that of the seed"
    return {"label": label, "seed": key.seed.hex(), "vkey": str(key.public), "id": key.public.id}


def describe_sealing_key() -> dict[str, str]:
    label = f"{make.NETWORK}/fishery sealing 1"
    key = FISHERY.sealing_key()
    assert make.seed(label) == key.seed, "the label is that of the seed"
    return {"label": label, "seed": key.seed.hex(), "key": encode_b64(key.public.raw), "id": key.public.id}


def weak_keys() -> list[dict[str, str]]:
    name = FISHERY.root_keys[0].public.name
    points = [("order 1, 2, 4 or 8", point) for point in make.SMALL_ORDER]
    points.append(("y is not below 2**255 - 19", make.NON_CANONICAL))
    return [
        {"why": why, "vkey": str(VerifyKey(name, Algorithm.ED25519, bytes.fromhex(point)))} for why, point in points
    ]


def refused_charters() -> list[dict[str, Any]]:
    """Each with the version of the good charter that it claims to follow (0: none), and the code of the refusal."""
    everyone = (CARRIER, FISHERY, PROCESSOR, RETAILER)
    text = encode_charter(FIRST)
    stolen = make.charter((CARRIER, RENEWED, PROCESSOR, RETAILER), previous=FIRST)
    unlike = make.charter(everyone, f=0)
    dry = make.firms(network="dry-chain.example")
    half = text.replace('"threshold":3', '"threshold":2')
    mixed = replace(decode_note(make.signed(unlike, everyone)), text=text)
    quiet = make.charter((CARRIER, FISHERY, PROCESSOR), previous=FIRST)
    return [
        refusal("a listed member has not signed", make.signed(FIRST, everyone[:3]), 0, "missing-signature"),
        refusal("the signatures are of another text", encode_note(mixed), 0, "bad-signature"),
        refusal("half of the council is no majority", unsigned(half), 0, "encoding"),
        refusal("f of two among four", unsigned(text.replace('"f":1', '"f":2')), 0, "encoding"),
        refusal("a space", unsigned(text.replace('"f":1', '"f": 1')), 0, "encoding"),
        refusal("a member twice", unsigned(text.replace('"f":1', '"f":1,"f":1')), 0, "json-duplicate-key"),
        refusal(
            "charter 2 as the first", make.signed(make.charter(everyone, previous=FIRST), everyone), 0, "version-gap"
        ),
        refusal(
            "two of a council of four",
            make.signed(make.charter(everyone, previous=FIRST), everyone[:2]),
            1,
            "missing-signature",
        ),
        refusal(
            "root keys changed by the council",
            make.signed(stolen, (CARRIER, RENEWED, PROCESSOR, RETAILER)),
            1,
            "missing-signature",
        ),
        refusal(
            "a member joins without its signature",
            make.signed(make.charter((BANK, *everyone), previous=FIRST), everyone),
            1,
            "missing-signature",
        ),
        refusal("a member goes without a cut-off size", make.signed(quiet, everyone), 1, "charter-invalid"),
        refusal(
            "after another charter 1",
            make.signed(make.charter(everyone, previous=unlike), everyone),
            1,
            "previous-mismatch",
        ),
        refusal("of another network", make.signed(make.charter(dry, previous=FIRST), dry), 1, "foreign-network"),
        refusal("thresholds that add up to 513", unsigned(demanding()), 0, "too-large"),
    ]


def demanding() -> str:
    """The text of a charter 1 whose nine members take 57 signatures each: more than a note has room for twice."""
    text = encode_charter(make.charter([make.firm(name, network="x", roots=57) for name in "abcdefghi"]))
    return make.changed(text, lambda c: [member.update(threshold=57) for member in c["members"]])


def refused_cards() -> list[dict[str, Any]]:
    """As above, for cards of the fishery under charter 1."""
    weak = VerifyKey(CARD.log_key.name, Algorithm.ED25519, bytes.fromhex(make.SMALL_ORDER[0]))
    text = encode_card(CARD)
    poisoned = text.replace(str(CARD.log_key), str(weak)).replace(CARD.log_key.id, weak.id)
    stranger = make.firm("stranger")
    dry = make.firm("fishery", network="dry-chain.example")
    back = FISHERY.card(log=2, log_from=0, previous=CARD)
    return [
        refusal("signed by another member", sign_card(CARD, CARRIER.root_keys), 0, "missing-signature"),
        refusal("signed by its log key", sign_card(CARD, [FISHERY.log_key()]), 0, "missing-signature"),
        refusal("of no member", stranger.signed(stranger.card()), 0, "unknown-member"),
        refusal("of another network", dry.signed(dry.card()), 0, "foreign-network"),
        refusal("a log key of order 1", unsigned(poisoned), 0, "weak-key"),
        refusal("http to another machine", unsigned(text.replace("https:", "http:")), 0, "encoding"),
        refusal(
            "a wrong key id", unsigned(text.replace(f'"id":"{CARD.log_key.id}"', '"id":"00000000"')), 0, "encoding"
        ),
        refusal("a new log key from the same size", FISHERY.signed(back), 1, "card-invalid"),
        refusal("card 1 again", FISHERY.signed(CARD), 1, "version-gap"),
        refusal("after another card 1", FISHERY.signed(make_after(FISHERY.card())), 1, "previous-mismatch"),
    ]


def make_after(previous: Card) -> Card:
    return FISHERY.card(previous=previous)


def unsigned(text: str) -> bytes:
    """The text under signatures of another: it must be refused before anyone looks at them."""
    return encode_note(replace(decode_note(FISHERY.signed(CARD)), text=text))


def refusal(why: str, note: bytes, after: int, code: str) -> dict[str, Any]:
    return {"why": why, "after": after, "code": code, "note": note.decode()}


if __name__ == "__main__":
    print(json.dumps(build(), indent=1, ensure_ascii=False))
