"""What the process says of itself, and what it answers to those who err: never a body, a key or a token.

Two real nodes log all that they can; their callers do everything wrong, each time with a word in the
place of a value that must come back from nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from ledger.names import encode_b64
from node.tokens import token_id_of
from tests.make_wire import Companies, Company, agree, companies

pytestmark = pytest.mark.slow

WORD: Final = "zq81vault77word"
NUMBER: Final = "90210733415926535"
SOURCE: Final = '''"""Share."""
ROLES = {"seller", "buyer"}
SIGNERS = set()
AUTHORS = {"sale": {"seller"}}
SHARES = {"sale": {"/*": {"seller", "buyer"}, "/lines/*": {"seller"}}}
'''
JSON_TYPE: Final = {"content-type": "application/json"}
LINES_TYPE: Final = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    with companies(tmp_path_factory.mktemp("secrecy"), "buyer", "seller", settings={"log_level": "debug"}) as net:
        yield net


@pytest.fixture(scope="module")
def contract(pair: Companies) -> str:
    return agree(pair, SOURCE, {"seller": ["seller"], "buyer": ["buyer"]})


def _bodies() -> Iterator[str]:
    """Record bodies that are refused, or that make what reads them fail."""
    word = f'"{WORD}"'
    yield f'{{"a":{word},"a":{word}}}'
    yield f'{{"a":{word}'
    yield f'{{"a":{word}}} {word}'
    yield f'{{"a":{word},}}'
    yield f'{{"a":"{WORD}\\ud800"}}'
    yield f'{{"a":"{WORD}\\x"}}'
    yield f'{{"a":"{WORD}\x01"}}'
    yield f'{{"a":NaN,"b":{word}}}'
    yield f'{{"a":{"[" * 40}{word}{"]" * 40}}}'
    yield f'{{"lines":[{word}]}}'
    yield f"[{word}]"
    yield word
    yield f'{{"a":{NUMBER}e99999999999999999999999,"b":{word}}}'
    yield f'{{"a":1e{NUMBER}}}'


def _wrong_records(contract: str) -> Iterator[bytes]:
    for body in _bodies():
        yield f'{{"type":"sale","contract":"{contract}","body":{body}}}'.encode()
    whole: dict[str, Any] = {"type": "sale", "contract": contract, "body": {"a": WORD}}
    for name, value in (("type", 7), ("type", "offer"), ("contract", "0" * 64), ("role", "buyer"), ("links", WORD)):
        yield json.dumps({**whole, name: value}).encode()
    yield json.dumps({**whole, "audience": [WORD]}).encode()
    yield json.dumps({**whole, "links": [["answers", WORD, 0, WORD]]}).encode()
    yield json.dumps(whole).encode().replace(WORD.encode(), WORD.encode() + b"\xff")
    yield json.dumps({**whole, "body": {"a": WORD + "x" * (1 << 20)}}).encode()


def _errors(company: Company, contract: str) -> Iterator[httpx.Response]:
    """The answers to everything that can be got wrong."""
    for record in _wrong_records(contract):
        yield company.api("POST", "/records", content=record, headers=JSON_TYPE)
        yield company.api("POST", "/records", content=record.replace(b"\n", b" "), headers=LINES_TYPE)
    for body in _bodies():
        for path in ("/captures", "/contracts", "/tokens", "/network"):
            yield company.api("POST", path, content=body.encode(), headers=JSON_TYPE)
        terms = f'{{"source":{json.dumps(SOURCE)},"parties":{{"seller":["seller"],"buyer":["buyer"]}},"terms":{body}}}'
        yield company.api("POST", "/contracts", content=terms.encode(), headers=JSON_TYPE)
    for parties in ({"seller": [[WORD]]}, {"seller": {"a": WORD}}, {"seller": [7], "buyer": [WORD]}, [WORD], WORD):
        yield company.api("POST", "/contracts", json={"source": SOURCE, "parties": parties, "terms": {"a": WORD}})
    for headers in ({"content-type": "text/plain"}, {}, {**JSON_TYPE, "content-encoding": "gzip"}):
        yield company.api("POST", "/records", content=f'"{WORD}"'.encode(), headers=headers)


def _peer_errors(asker: Company, at: Company) -> Iterator[httpx.Response]:
    for document in (
        f'{{"first":"{WORD}"}}',
        WORD,
        f'{{"first":"{WORD}","kind":"fork","path":[],"second":"","v":1}}\n',
    ):
        yield asker.ask(at, "/v1/evidence", method="POST", content=document.encode())
    yield asker.ask(at, "/v1/heads", headers={"signature": f"pyhms=:{encode_b64(WORD.encode())}:"})


def _is_said(text: str) -> bool:
    return WORD in text or NUMBER in text


def test_error_messages_repeat_no_value_key_or_token(pair: Companies, contract: str) -> None:
    refused = 0
    for answer in [*_errors(pair["seller"], contract), *_peer_errors(pair["buyer"], pair["seller"])]:
        is_error = answer.status_code >= 400 or '"status":4' in answer.text
        assert answer.status_code != 500, answer.text
        assert not (is_error and _is_said(answer.text)), answer.text
        refused += is_error
    assert refused > 100


def test_refused_event_is_told_to_its_sender_with_the_beginning_of_what_is_wrong(pair: Companies) -> None:
    event = {"type": "ObjectEvent", "eventTime": WORD + "x" * 200, "eventTimeZoneOffset": "+00:00", "action": WORD}
    answer = pair["seller"].api("POST", "/captures", json=event)
    assert answer.status_code == 200
    said = " ".join(fault["message"] for fault in answer.json()["refused"])
    assert WORD in said
    assert "x" * (61 - len(WORD)) not in said
    assert WORD not in pair["seller"].log.read_text()


def test_errors_about_tokens_do_not_repeat_them(pair: Companies) -> None:
    seller = pair["seller"]
    made = seller.post("/tokens", {"name": "spare", "scopes": ["read"]})["token"]
    changed = made[:-4] + ("AAAA" if made[-4:] != "AAAA" else "BBBB")
    secrets = [made.removeprefix(f"tally_{token_id_of(made)}_"), changed[-40:], seller.token()[-40:]]
    answers = [
        seller.api("GET", "/status", token=changed),
        seller.api("GET", "/status", token=made + "A"),
        seller.api("GET", "/status", headers={"authorization": f"Basic {made}"}),
        seller.api("POST", "/records", token=made, json={}),
        seller.api("DELETE", f"/tokens/{made}"),
        seller.api("DELETE", f"/tokens/{changed}"),
        seller.api("POST", "/tokens", json={"name": made, "scopes": ["read"]}),
        seller.api("POST", "/tokens", json={"name": "x", "scopes": [made]}),
        seller.api("GET", "/tokens"),
    ]
    for answer in answers:
        assert not any(secret in answer.text for secret in secrets), answer.text


def test_process_log_holds_no_body_key_or_token(pair: Companies, contract: str) -> None:
    seller = pair["seller"]
    seller.post("/records", {"type": "sale", "contract": contract, "body": {"price": WORD}})
    for answer in _errors(seller, contract):
        answer.close()
    seller.api("GET", "/status", token="tally_" + "0" * 16 + "_" + WORD.ljust(43, "A"))
    pair.sync()
    for company in pair.all:
        said = company.log.read_text()
        assert '"event"' in said, "the log was looked at, and something was in it"
        assert not _is_said(said)
        ring = company.keyring()
        signing = (ring.root, ring.log, ring.witness, ring.transport)
        seeds = [*(key.seed for key in signing), *(key.seed for key in ring.opening.values())]
        for seed in seeds:
            assert seed.hex() not in said
            assert encode_b64(seed) not in said
        assert company.token() not in said
        assert "tally_" not in said


def test_keys_do_not_print_their_secrets(pair: Companies) -> None:
    ring = pair["seller"].keyring()
    shown = f"{ring!r} {ring}"
    signing = (ring.root, ring.log, ring.witness, ring.transport)
    for seed in (*(key.seed for key in signing), *(key.seed for key in ring.opening.values())):
        for form in (seed.hex(), encode_b64(seed), repr(seed), repr(seed)[2:-1]):
            assert form not in shown
