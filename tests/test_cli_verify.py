"""`receipt` and `verify`: proved, invalid, incomplete and wrong command lines, with nothing but files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.checkpoint import cosign
from ledger.evidence import Evidence, encode_evidence
from ledger.jsontext import encode_canonical
from ledger.letters import BOM
from ledger.network import encode_network_file
from ledger.note import Note, decode_note, encode_note
from ledger.proof import encode_proof
from ledger.receipt import Receipt, decode_receipt, encode_receipt
from node.founding import open_keyring
from tests import make_evidence, make_records
from tests.make import network as made_network
from tests.make_cli import found, tally
from tests.make_membership import FOUR, firms, network_file
from tests.make_running import free_port, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network file of three firms and a receipt of the fishery's, cosigned by the two others."""
    root = tmp_path_factory.mktemp("verify")
    file = found(root, "carrier", "fishery", "retailer")
    settings = root / "fishery" / "tally.toml"
    settings.write_text(settings.read_text().replace("7450", str(free_port())))
    (root / "fishery" / "network.json").write_bytes(file.read_bytes())
    (root / "one.ndjson").write_text('{"type":"ship","body":{"quantity":7.0,"price":"9.50"}}\n')
    with running(root / "fishery"):
        assert tally("capture", root / "one.ndjson", "--dir", root / "fishery").code == 0
        words = ("--field", "/quantity", "--dir", root / "fishery", "-o", root / "bare.json")
        assert tally("receipt", "fishery/1", *words).code == 0
    receipt = decode_receipt((root / "bare.json").read_bytes())
    for name in ("carrier", "retailer"):
        receipt = cosigned(receipt, root / name)
    (root / "receipt.json").write_bytes(encode_receipt(receipt))
    return root


def cosigned(receipt: Receipt, folder: Path) -> Receipt:
    note = decode_note(receipt.proof.note)
    line = cosign(note.text, open_keyring(folder).witness, 1_763_680_000)
    signed = encode_note(Note(note.text, (*note.signatures, line)))
    return replace(receipt, proof=replace(receipt.proof, note=signed))


def fingerprint(root: Path) -> str:
    return str(tally("charter", "show", "--file", root / "network.json", "--json").json["fingerprint"])


def test_a_field_without_a_slash_is_refused_with_the_name_that_is_meant(root: Path) -> None:
    done = tally("receipt", "fishery/1", "--field", "quantity", "--dir", root / "fishery")
    assert (done.code, "/quantity" in done.err, "--field /NAME" in done.err) == (3, True, True)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda root: b"", "is empty"),
        (lambda root: (root / "receipt.json").read_bytes()[:-40], "copy it again"),
        (lambda root: json.dumps(json.loads((root / "receipt.json").read_bytes()), indent=2).encode(), "formatter"),
        (lambda root: (root / "network.json").read_bytes(), "behind --trust"),
        (lambda root: (root / "one.ndjson").read_bytes() * 2, "tally capture"),
        (lambda root: (root / "one.ndjson").read_bytes(), "no receipt"),
    ],
    ids=["empty", "truncated", "formatted", "network file", "records", "record"],
)
def test_what_is_no_receipt_is_told_with_what_to_do(
    root: Path, tmp_path: Path, make: Callable[[Path], bytes], advice: str
) -> None:
    (tmp_path / "file").write_bytes(make(root))
    done = tally("verify", tmp_path / "file", "--trust", fingerprint(root))
    assert (done.code, done.err.count("  hint: "), advice in done.err) == (1, 1, True), done.err
    assert advice in tally("verify", tmp_path / "file", "--json").json["error"]["hint"]


def test_a_trusted_file_that_is_not_there_is_told_as_such(root: Path) -> None:
    done = tally("verify", root / "receipt.json", "--trust", "nofile.json")
    assert (done.code, "there is no such file" in done.err) == (3, True)
    assert "no such file" not in tally("verify", root / "receipt.json", "--trust", "ab" * 31).err


def test_whoever_makes_a_receipt_that_nobody_cosigned_is_told(root: Path, tmp_path: Path) -> None:
    with running(root / "fishery"):
        done = tally("receipt", "fishery/1", "--dir", root / "fishery", "-o", tmp_path / "receipt.json")
    assert (done.code, "no other member has cosigned" in done.err) == (0, True)


# --- byte order marks --------------------------------------------------------------------------


def test_a_byte_order_mark_before_a_network_file_is_dropped(root: Path, tmp_path: Path) -> None:
    marked = tmp_path / "network.json"
    marked.write_bytes(BOM + (root / "network.json").read_bytes())
    assert tally("verify", root / "receipt.json", "--trust", marked).code == 0
    for words in (["charter", "show", "--file"], ["card", "show", "--file"]):
        assert tally(*words, marked).code == 0
    assert tally("charter", "verify", marked, "--trust", fingerprint(root)).code == 0


@pytest.mark.parametrize("content", [b'{"charters":', b'{"first":', b"c2sp.org/tlog-proof@v1"])
def test_a_byte_order_mark_before_a_proof_is_named_with_what_to_do(root: Path, tmp_path: Path, content: bytes) -> None:
    """A receipt has one form: with three bytes more it is none, and whoever got it learns how that came about."""
    marked = tmp_path / "receipt.json"
    marked.write_bytes(BOM + content)
    done = tally("verify", marked, "--trust", fingerprint(root))
    assert (done.code, "byte order mark" in done.out, "byte-order-mark" in done.err) == (1, True, True)
    told = tally("verify", marked, "--trust", fingerprint(root), "--json").json
    assert told["error"]["code"] == "byte-order-mark"
    assert "first three bytes" in told["error"]["message"]


# --- receipts -------------------------------------------------------------------------------


def test_a_receipt_is_proved_by_the_fingerprint_alone(root: Path) -> None:
    done = tally("verify", root / "receipt.json", "--trust", fingerprint(root))
    assert done.code == 0
    assert done.out.startswith("Proved: fishery filed record ")
    assert "/quantity = 7.0" in done.out
    assert "9.50" not in done.out
    assert "carrier (2025-11-20T23:06:40Z), retailer" in done.out


def test_what_was_not_proved_is_not_printed_by_a_name(tmp_path: Path) -> None:
    """An author may commit to any pointer, and to any JSON between which there is room for line ends."""
    name = '/note = "ok"\n/price = 999999\ncosigned by  carrier (2026-11-20T10:00:00Z)\n/x'
    log = make_records.Evidence({2: [(name, b'"\xe2\x80\xa8a"')]})
    change = {"disclosures": [log.disclose_at(2, 1)], "manifest": log.manifest.decode(), "proof": log.proof("carrier")}
    (tmp_path / "receipt.json").write_bytes(encode_canonical(json.loads(log.receipt()) | change) + b"\n")
    done = tally("verify", tmp_path / "receipt.json", "--trust", make_records.FINGERPRINT.hex())
    assert done.code == 0, done.err
    assert not [line for line in done.out.splitlines() if line.startswith("/")]
    assert done.out.count("\ncosigned by") == 1
    assert done.out.splitlines()[-1] == f'{json.dumps(name)} = "\\u2028a"'
    told = tally("verify", tmp_path / "receipt.json", "--trust", make_records.FINGERPRINT.hex(), "--json").json
    assert told["fields"] == {name: "\u2028a"}


def test_a_receipt_is_proved_by_the_network_file(root: Path) -> None:
    done = tally("verify", root / "receipt.json", "--trust", root / "network.json", "--json")
    assert done.code == 0
    assert '"fields":{"/quantity":7.0}' in done.out
    told = done.json
    assert (told["result"], told["author"], told["index"], told["missing"]) == ("proved", "fishery", 1, [])
    assert sorted(told["cosigners"]) == ["carrier", "retailer"]
    assert told["fingerprint"] == fingerprint(root)
    assert told["charter"] == 1


@pytest.mark.parametrize(
    ("file", "words", "code"),
    [
        ("receipt.json", [], 2),
        ("receipt.json", ["--trust", "NETWORK", "--witnesses", "2"], 0),
        ("receipt.json", ["--trust", "NETWORK", "--witnesses", "3"], 2),
        ("bare.json", ["--trust", "NETWORK"], 2),
        ("bare.json", ["--trust", "NETWORK", "--witnesses", "0"], 0),
        ("bare.json", ["--witnesses", "0"], 2),
        ("receipt.json", ["--trust", "00" * 32], 1),
        ("receipt.json", ["--trust", "no-such-file"], 3),
        ("receipt.json", ["--trust", "NETWORK", "--witnesses", "-1"], 3),
        ("no-such-file", ["--trust", "NETWORK"], 3),
        ("one.ndjson", ["--trust", "NETWORK"], 1),
    ],
)
def test_each_outcome_has_its_exit_code(root: Path, file: str, words: list[str], code: int) -> None:
    given = [str(root / "network.json") if word == "NETWORK" else word for word in words]
    done = tally("verify", root / file, *given, "--json")
    assert done.code == code
    expected = {0: "proved", 1: "invalid", 2: "incomplete"}.get(code)
    assert done.json.get("result") == expected
    assert tally("verify", root / file, *given).code == code


@pytest.mark.parametrize("name", ["value", "salt", "name"])
def test_a_forged_disclosure_is_invalid(root: Path, tmp_path: Path, name: str) -> None:
    value = json.loads((root / "receipt.json").read_bytes())
    forged = {"value": "8.0", "salt": "A" * 22 + "==", "name": "/price"}
    value["disclosures"][0][name] = forged[name]
    (tmp_path / "forged").write_bytes(encode_canonical(value) + b"\n")
    done = tally("verify", tmp_path / "forged", "--trust", root / "network.json", "--json")
    assert (done.code, done.json["result"]) == (1, "invalid")


def test_any_changed_byte_of_a_receipt_is_noticed(root: Path, tmp_path: Path) -> None:
    good = (root / "receipt.json").read_bytes()
    for at in range(0, len(good), len(good) // 40):
        changed = bytearray(good)
        changed[at] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        done = tally("verify", tmp_path / "changed", "--trust", root / "network.json", "--witnesses", "2")
        assert done.code in (1, 2), at


def test_a_bare_proof_is_incomplete(root: Path, tmp_path: Path) -> None:
    proof = encode_proof(decode_receipt((root / "receipt.json").read_bytes()).proof)
    (tmp_path / "proof").write_bytes(proof)
    done = tally("verify", tmp_path / "proof", "--trust", root / "network.json", "--json")
    assert (done.code, done.json["result"]) == (2, "incomplete")
    (tmp_path / "proof").write_bytes(proof[:-9])
    assert tally("verify", tmp_path / "proof", "--trust", root / "network.json").code == 1


def test_a_receipt_goes_to_stdout_byte_for_byte(root: Path) -> None:
    with running(root / "fishery"):
        done = tally("receipt", "fishery/1", "--field", "/quantity", "--dir", root / "fishery")
        unknown = tally("receipt", "fishery/1", "--field", "/none", "--dir", root / "fishery")
    decode_receipt(done.out.encode())
    assert (unknown.code, "field-unknown" in unknown.err) == (1, True)


# --- evidence -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network file of the firms that the builders of evidence use."""
    file = tmp_path_factory.mktemp("evidence") / "network.json"
    file.write_bytes(encode_network_file(network_file(firms(*FOUR))))
    assert made_network().id.hex() == tally("charter", "show", "--file", file, "--json").json["fingerprint"]
    return file


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (make_evidence.forked(), "fishery shows two histories of cold-chain.example/fishery"),
        (make_evidence.repeated(slot=bytes(16))[1], "fishery said in cold-chain.example/fishery a second time"),
        (make_evidence.two_cards(), "fishery signed two cards of version 2"),
        (make_evidence.two_charters(), "carrier, fishery, processor signed two charters of version 2"),
    ],
)
def test_evidence_is_proved_against_the_network_file(
    network: Path, tmp_path: Path, evidence: Evidence, said: str
) -> None:
    file = tmp_path / "evidence"
    file.write_bytes(encode_evidence(evidence))
    done = tally("verify", file, "--trust", network)
    assert (done.code, done.out.startswith(f"Proved: {said}")) == (0, True), done.out
    told = tally("verify", file, "--trust", network, "--json").json
    assert (told["result"], told["kind"]) == ("proved", evidence.kind)


def test_evidence_without_the_cards_is_incomplete(network: Path, tmp_path: Path) -> None:
    file = tmp_path / "evidence"
    file.write_bytes(encode_evidence(make_evidence.forked()))
    fingerprint_alone = made_network().id.hex()
    assert tally("verify", file).code == 2
    assert tally("verify", file, "--trust", fingerprint_alone, "--json").json["result"] == "incomplete"


def test_evidence_that_convicts_nobody_is_invalid(root: Path, network: Path, tmp_path: Path) -> None:
    file = tmp_path / "evidence"
    file.write_bytes(encode_evidence(make_evidence.two_cards(signer=firms("carrier")[0])))
    assert tally("verify", file, "--trust", network).code == 1
    file.write_bytes(encode_evidence(make_evidence.forked()))
    assert tally("verify", file, "--trust", root / "network.json").code == 1


def test_a_file_without_an_end_is_refused(root: Path) -> None:
    done = tally("verify", "/dev/zero", "--trust", fingerprint(root))
    assert (done.code, "limit" in done.out) == (1, True), done
