"""Prints receipt.json: python -m tests.vectors.make_receipt. What is proved, what is refused, what is incomplete.

Written with `tests.formats`, from the pages of the spec: nothing of `ledger` is used, so that the vectors can
contradict it. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tests import formats
from tests.formats import Field, Signer, b64, sha
from tests.make_records import (
    AUTHOR,
    COSIGNED_S,
    FINGERPRINT,
    INDEX,
    NETWORK_NAME,
    ORIGIN,
    RECORD,
    SIZE,
    Evidence,
    key_seed,
    log_key,
    random,
    witness_key,
)


def build() -> dict[str, Any]:
    log = Evidence()
    good = log.receipt("type", "/quantity", "/note")
    unshared = ("version", "contract", "role", "audience", "links", "by", "flags")
    return {
        "fingerprint": FINGERPRINT.hex(),
        "receipts": [
            _proved("two cosigners, a field each of three sections", good, ["carrier", "processor"]),
            _proved("nothing disclosed", log.receipt(), ["carrier", "processor"]),
            _proved("all that is no field of the body", log.receipt("type", *unshared), ["carrier", "processor"]),
            _proved("nobody cosigned", log.receipt("/quantity", witnesses=()), []),
            _proved("the author's own cosignature does not count", log.receipt(witnesses=("fishery",)), []),
        ],
        "refused": [*_bad_receipts(log, json.loads(good)), *_misplaced(), *_untaken()],
        "incomplete": _uncounted(log),
    }


def _proved(why: str, text: str, cosigners: Sequence[str]) -> dict[str, Any]:
    value = json.loads(text)
    return {
        "why": why,
        "index": INDEX,
        "size": SIZE,
        "disclosed": {item["name"]: item["value"] for item in value["disclosures"]},
        "cosigners": {member: COSIGNED_S[member] for member in cosigners},
        "receipt": text,
    }


def _bad_receipts(log: Evidence, good: dict[str, Any]) -> list[dict[str, Any]]:
    """Each as the members of the first good receipt that are other ones."""
    quantity = good["disclosures"][1]

    def disclosed(**change: object) -> dict[str, Any]:
        return {"disclosures": [{**quantity, **change}]}

    def proof(note: str, index: int = INDEX, entry: bytes | None = None) -> dict[str, str]:
        path = formats.tree_path(index, log.leaves)
        return {"proof": formats.tlog_proof(entry or log.entries[index], index, path, note)}

    other_text = formats.checkpoint(ORIGIN, SIZE, random("root"))
    forged = log.note() + witness_key("carrier").cosignature(other_text, 5)
    other_body = _entry(log, ORIGIN, random("body"))
    other_log = _entry(log, f"{NETWORK_NAME}/carrier", sha(log.manifest))
    nobodys = _entry(log, f"{NETWORK_NAME}/stranger", sha(log.manifest))
    foreign = _entry(log, "dry-chain.example/fishery", sha(log.manifest))
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("another value", "proof-invalid", disclosed(value="26.1")),
        ("the same value in another text", "proof-invalid", disclosed(value="26")),
        ("another name", "proof-invalid", disclosed(name="/Quantity")),
        ("another salt", "proof-invalid", disclosed(salt=b64(bytes(16)))),
        ("another index", "proof-invalid", disclosed(index=0)),
        ("an index beyond the section", "proof-invalid", disclosed(index=2)),
        ("an index beyond all sections", "proof-invalid", disclosed(index=2**53 - 1, size=2**53 - 1)),
        ("another size", "proof-invalid", disclosed(size=3)),
        ("another section", "proof-invalid", disclosed(section=2)),
        ("a section that is not there", "proof-invalid", disclosed(section=4)),
        ("no path", "proof-invalid", disclosed(path=[])),
        ("a path too long", "proof-invalid", disclosed(path=quantity["path"] * 2)),
        ("a field twice", "proof-invalid", {"disclosures": [quantity, quantity]}),
        ("a value of two", "json-malformed", disclosed(value='26.0,"x":1')),
        ("a short salt", "encoding", disclosed(salt=b64(bytes(15)))),
        ("a name of 1,025 bytes", "encoding", disclosed(name="/" + "n" * 1024)),
        ("a manifest of another record", "proof-invalid", {"manifest": good["manifest"].replace("[", "[0", 1)}),
        ("an entry of another place", "proof-invalid", proof(log.note("carrier"), entry=log.entries[5])),
        ("an entry that is not there", "proof-invalid", proof(log.note("carrier"), entry=other_body)),
        ("an entry of another log", "foreign-origin", proof(log.note("carrier"), entry=other_log)),
        ("an entry of no member", "unknown-member", proof(log.note("carrier"), entry=nobodys)),
        ("an entry of another network", "foreign-network", proof(log.note("carrier"), entry=foreign)),
        ("no entry", "encoding", {"proof": log.proof("carrier").replace(f"extra {b64(log.entries[INDEX])}\n", "")}),
        ("another root", "proof-invalid", proof(log.note(root=random("root")))),
        ("a checkpoint that its witness signed", "missing-signature", proof(log.note(signer=witness_key(AUTHOR)))),
        ("a checkpoint that another member signed", "missing-signature", proof(log.note(signer=log_key("carrier")))),
        ("a cosignature that was made up", "bad-signature", proof(forged)),
        ("no charter", "encoding", {"charters": []}),
        ("no card of the author", "not-found", {"cards": [c for c in good["cards"] if '"member":"fishery"' not in c]}),
        ("a card of another member twice", "version-gap", {"cards": [*good["cards"], good["cards"][0]]}),
    ]  # fmt: skip
    return [{"why": why, "code": code, "change": change} for why, code, change in cases]


def _misplaced() -> list[dict[str, Any]]:
    """Names where no reader takes them: the author committed to each, and every path and hash is right."""
    invoice: Field = ("type", b'"invoice"')
    other: Field = ("contract", f'"{b64(random("other"))}"'.encode())
    cases: list[tuple[str, str, int, Field]] = [
        ("a type in a section of the body", "proof-invalid", 1, invoice),
        ("a type in the author's own section", "proof-invalid", 3, invoice),
        ("a second type in section 0", "proof-invalid", 0, invoice),
        ("a contract in the author's own section", "proof-invalid", 3, other),
        ("a role in the author's own section", "proof-invalid", 3, ("role", b'"buyer"')),
        ("an audience in the author's own section", "proof-invalid", 3, ("audience", b'[["@bank"],["@bank"],[]]')),
        ("a field of the body in section 0", "proof-invalid", 0, ("/price", b"1")),
        ("by in a section of the body", "proof-invalid", 1, ("by", b'"somebody"')),
        ("flags in a section of the body", "proof-invalid", 2, ("flags", b"[]")),
        ("a second by in the author's own section", "proof-invalid", 3, ("by", b'"somebody"')),
        ("an empty name", "proof-invalid", 3, ("", b"1")),
        ("a name without a slash that nothing has", "proof-invalid", 2, ("price", b"1")),
        ("a name that is no pointer", "encoding", 2, ("/a~2", b"1")),
    ]  # fmt: skip
    found = []
    for why, code, section, field in cases:
        log = Evidence({section: [field]})
        change = {
            "disclosures": [log.disclose_at(section, len(log.record[section]) - 1)],
            "manifest": log.manifest.decode(),
            "proof": log.proof("carrier", "processor"),
        }
        found.append({"why": why, "code": code, "change": change})
    return found


def _untaken() -> list[dict[str, Any]]:
    """Values that no reader takes, alone or together: the author committed to each, and every hash is right."""
    amount: Field = ("/price/amount", b'"9.99"')
    spaced: Field = ("/weight", b" 1")
    cases: list[tuple[str, str, Evidence, list[str]]] = [
        ("a field beside a parent that has it too", "proof-invalid", Evidence({2: [amount]}), ["/price", amount[0]]),
        ("a field beside a parent that is a string", "proof-invalid", Evidence(), ["/note", "/note/x"]),
        ("a field with white space around it", "encoding", Evidence({2: [spaced]}), [spaced[0]]),
    ]
    values = [
        ("type", "an object", b'{"any":1}'),
        ("type", "in another text", b'"\\u0073hipment"'),
        ("version", "below 1", b"-7"),
        ("contract", "too short", b'"AA=="'),
        ("role", "a number", b"1"),
        ("audience", "of fewer sections", b'[["buyer"],["buyer"],[]]'),
        ("audience", "in another order", b'[["buyer","seller"],["seller"],["buyer"],[]]'),
        ("links", "no list", b"{}"),
    ]
    for name, what, text in values:
        changed = [(field, text if field == name else value) for field, value in RECORD[0]]
        cases.append((f"a value of section 0, {name}, {what}", "encoding", Evidence(first=changed), [name]))
    return [
        {
            "why": why,
            "code": code,
            "change": {
                "disclosures": [log.disclose(name) for name in names],
                "manifest": log.manifest.decode(),
                "proof": log.proof("carrier", "processor"),
            },
        }
        for why, code, log, names in cases
    ]


def _uncounted(log: Evidence) -> list[dict[str, Any]]:
    """Cosignatures that are nobody's: without another one the receipt is incomplete."""
    text = formats.checkpoint(ORIGIN, SIZE, formats.tree_hash(log.leaves))
    carrier, processor = (f"{NETWORK_NAME}/{member}" for member in ("carrier", "processor"))
    relabelled = Signer(processor, key_seed(f"{carrier} COSIGNATURE 1"), 0x04)
    stranger = Signer(f"{NETWORK_NAME}/stranger", random("stranger"), 0x04)
    cases = [
        ("the name of another member", log.note("carrier").replace(f"{carrier} ", f"{processor} ")),
        ("the name of another member, and a key id to go with it", log.note() + relabelled.cosignature(text, 5)),
        ("of a stranger", log.note() + stranger.cosignature(text, 5)),
        ("of the author alone", log.note("fishery")),
    ]
    path = formats.tree_path(INDEX, log.leaves)
    return [
        {"why": why, "change": {"proof": formats.tlog_proof(log.entries[INDEX], INDEX, path, note)}}
        for why, note in cases
    ]


def _entry(log: Evidence, origin: str, body: bytes) -> bytes:
    """An entry where the shipment stands, of another log or body."""
    return formats.header(log=origin, index=INDEX, prev=log.leaves[INDEX - 1], record_id=log.id, body=body)


def render() -> str:
    """What receipt.json holds."""
    source = "tests/vectors/make_receipt.py, from the pages of docs/spec by way of tests/formats.py"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
