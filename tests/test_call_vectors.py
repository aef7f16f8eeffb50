"""Signed calls and heads as others would write them (docs/spec/calls.md, sync.md): the vectors, both ways."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

from ledger.errors import EncodingError
from ledger.keys import decode_vkey
from ledger.names import MemberName
from node.config import Settings
from node.sync import signing
from node.sync.client import PeerClient, make_http_client
from node.sync.heads import Heads
from node.sync.signing import TAG, CallSigner, CallVerifier, Message
from tests.make_membership import firm
from tests.source import ROOT
from tests.vectors import make_calls, make_heads

FOLDER: Final = Path(__file__).parent / "vectors"
CALLS: Final[dict[str, Any]] = json.loads((FOLDER / "calls.json").read_text())
HEADS: Final[dict[str, Any]] = json.loads((FOLDER / "heads.json").read_text())
KEY: Final = decode_vkey(CALLS["key"])
ENDPOINT: Final = f"https://{make_calls.HOST}"
each_call = pytest.mark.parametrize("item", CALLS["calls"], ids=lambda item: f"{item['method']} {item['target']}"[:40])


def message(item: dict[str, Any]) -> Message:
    return Message(item["method"], ENDPOINT + item["target"], dict(item["headers"]))


def test_vectors_are_what_the_pages_say() -> None:
    # A change here is a new version of the format, not a new file.
    assert make_calls.render() == (FOLDER / "calls.json").read_text()
    assert make_heads.render() == (FOLDER / "heads.json").read_text()


# --- calls ----------------------------------------------------------------------------------


@each_call
def test_call_of_a_vector_is_taken(item: dict[str, Any]) -> None:
    verifier = CallVerifier(
        endpoints=lambda: (ENDPOINT,),
        find_key=lambda member, key_id: {f"fishery/{KEY.id}": KEY}[f"{member}/{key_id}"],
        clock=lambda: item["created"] * 1000,
        skew_s=60,
    )
    assert verifier.verify(message(item), item["body"].encode()) == "fishery"


@each_call
def test_call_of_a_vector_is_taken_by_the_library_alone(item: dict[str, Any]) -> None:
    class Keys(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> Any:
            assert key_id == f"fishery/{KEY.id}"
            return Ed25519PublicKey.from_public_bytes(KEY.raw)

        def resolve_private_key(self, key_id: str) -> Any:
            raise AssertionError("nothing is signed here")

    class Verifier(HTTPMessageVerifier):
        def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
            """The vectors are of one moment."""

    verifier = Verifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    found = verifier.verify(message(item), max_age=None, expect_tag=TAG)
    assert [result.parameters["nonce"] for result in found] == [item["nonce"]]
    signature = base64.b64decode(item["headers"]["Signature"].removeprefix("pyhms=:").removesuffix(":"))
    Ed25519PublicKey.from_public_bytes(KEY.raw).verify(signature, item["base"].encode())


@each_call
def test_call_is_signed_as_in_the_vector(item: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    key = firm("fishery").transport_key()
    assert (key.seed.hex(), key.public) == (CALLS["seed"], KEY)
    monkeypatch.setattr(signing, "entropy", lambda length: bytes.fromhex(item["nonce"])[:length])
    signer = CallSigner(MemberName("fishery"), key, lambda: item["created"] * 1000)
    headers = signer.sign(item["method"], ENDPOINT + item["target"], item["body"].encode())
    assert {**headers, "Host": make_calls.HOST} == item["headers"]


def test_examples_of_the_page_are_vectors() -> None:
    page = (ROOT / "docs" / "spec" / "calls.md").read_text()
    first, _, last = CALLS["calls"]
    for item in (first, last):
        assert f"{item['method']} {item['target']} HTTP/1.1" in page
        for name, value in item["headers"].items():
            assert f"{name}: {value}\n" in page
    assert f"```\n{first['base']}\n```" in page
    assert f"```\n{CALLS['key']}\n```" in page


# --- heads ----------------------------------------------------------------------------------


def heads_of(text: str) -> Heads:
    """What a node makes of that answer."""
    settings = Settings(network="cold-chain.example", member="fishery", endpoints=[ENDPOINT])
    signer = CallSigner(MemberName("fishery"), firm("fishery").transport_key(), lambda: make_calls.CREATED * 1000)

    async def ask() -> Heads:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(text.encode())))
        async with make_http_client(settings, transport=transport) as http:
            client = PeerClient(MemberName("retailer"), ENDPOINT, http=http, signer=signer, timeout_s=60)
            return await client.heads("", 0)

    return asyncio.run(ask())


@pytest.mark.parametrize("item", HEADS["heads"], ids=lambda item: item["why"])
def test_heads_of_a_vector(item: dict[str, Any]) -> None:
    found = heads_of(item["text"])
    assert found.cursor == item["cursor"]
    shown = [[head.log, head.size, head.root, head.cosigned] for head in found.heads]
    assert shown == [head[:4] for head in item["heads"]]


@pytest.mark.parametrize("item", HEADS["refused"], ids=lambda item: item["why"])
def test_what_are_no_heads_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        heads_of(item["text"])


def test_heads_of_the_page_are_a_vector() -> None:
    page = (ROOT / "docs" / "spec" / "sync.md").read_text()
    shown = re.search(r'^\{"cursor":"4c1f.*\}$', page, re.MULTILINE)
    assert shown is not None
    assert shown[0] == HEADS["heads"][0]["text"]
