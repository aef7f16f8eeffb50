"""Receipts: one file that proves offline that a member filed a record, with chosen fields of it disclosed.

A receipt holds the entry with its inclusion proof and a cosigned checkpoint, the
manifest, the disclosures, and the charters and cards that make every key checkable.
Who verifies brings one thing: the fingerprint of the network it trusts.

Spec: docs/spec/receipt.md.
"""

from ledger.receipt.disclosure import Disclosure, make_disclosures, verify_disclosure
from ledger.receipt.document import Receipt, decode_receipt, encode_receipt
from ledger.receipt.verify import Proved, verify_receipt

__all__ = [
    "Disclosure",
    "Proved",
    "Receipt",
    "decode_receipt",
    "encode_receipt",
    "make_disclosures",
    "verify_disclosure",
    "verify_receipt",
]
