"""The bytes of a receipt: one canonical JSON document and a newline.

The parts keep the forms they have elsewhere, as texts inside the JSON: the proof is a
C2SP tlog-proof that other software reads, charters and cards are the notes that their
members signed. Copied out, each can be checked without anything of ours.

Spec: docs/spec/receipt.md, "Bytes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger import limits, shape
from ledger.errors import EncodingError, TooLarge
from ledger.names import decode_b64, encode_b64
from ledger.network import NetworkFile, take_notes
from ledger.proof import TlogProof, decode_path, decode_proof, encode_path, encode_proof
from ledger.receipt.disclosure import Disclosure
from ledger.sealing import FIELDS_MAX, SALT_BYTES

_MEMBERS: Final = ("cards", "charters", "disclosures", "manifest", "proof")
_DISCLOSURE: Final = ("index", "name", "path", "salt", "section", "size", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """proof: its `extra` is the entry. manifest: its exact bytes. network: from charter 1 and every card 1 on.

    Nothing in it is believed before it is verified.
    """

    proof: TlogProof
    manifest: bytes
    disclosures: tuple[Disclosure, ...]
    network: NetworkFile


def encode_receipt(receipt: Receipt) -> bytes:
    """One line. Raises: TooLarge, and what `encode_proof` raises, for what `decode_receipt` would not take."""
    raw = shape.encode_text(
        {
            "cards": [note.decode() for note in receipt.network.cards],
            "charters": [note.decode() for note in receipt.network.charters],
            "disclosures": [_encode_disclosure(item) for item in receipt.disclosures],
            "manifest": receipt.manifest.decode(),
            "proof": encode_proof(receipt.proof).decode(),
        }
    ).encode()
    if len(raw) > limits.RECEIPT_BYTES_MAX:
        raise TooLarge(what="receipt", got=len(raw), limit=limits.RECEIPT_BYTES_MAX, unit="bytes")
    return raw


def decode_receipt(raw: bytes) -> Receipt:
    """Parse a receipt; proves nothing. Raises: EncodingError, TooLarge, and what its parts raise.

    The manifest and the notes are texts still: each is parsed by the step that verifies it.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise EncodingError(field="receipt", reason="not UTF-8") from None
    found = shape.decode_text(text, _MEMBERS, what="receipt", bytes_max=limits.RECEIPT_BYTES_MAX - 1)
    items = shape.take_list(found["disclosures"], what="disclosures", most=FIELDS_MAX)
    return Receipt(
        proof=decode_proof(shape.take_string(found["proof"], what="proof").encode()),
        manifest=shape.take_string(found["manifest"], what="manifest").encode(),
        disclosures=tuple(_decode_disclosure(item) for item in items),
        network=NetworkFile(charters=take_notes(found["charters"]), cards=take_notes(found["cards"])),
    )


def _encode_disclosure(item: Disclosure) -> dict[str, object]:
    """The value goes in as a string that holds its text: as JSON in JSON it would be printed anew, and 26.0 be 26."""
    return {
        "index": item.index,
        "name": item.name,
        "path": encode_path(item.path),
        "salt": encode_b64(item.salt),
        "section": item.section,
        "size": item.size,
        "value": item.value.decode(),
    }


def _decode_disclosure(value: object) -> Disclosure:
    """The shape alone: numbers out of range, and a text that is no JSON, are found where the field is verified."""
    found = shape.take_object(value, _DISCLOSURE, what="disclosure")
    path = shape.take_list(found["path"], what="path", most=limits.PROOF_HASHES_MAX)
    return Disclosure(
        section=shape.take_integer(found["section"], what="section"),
        index=shape.take_integer(found["index"], what="index"),
        size=shape.take_integer(found["size"], what="size"),
        name=shape.take_string(found["name"], what="name"),
        salt=decode_b64(shape.take_string(found["salt"], what="salt"), length=SALT_BYTES, field="salt"),
        value=shape.take_string(found["value"], what="value").encode(),
        path=decode_path([shape.take_string(digest, what="path") for digest in path]),
    )
