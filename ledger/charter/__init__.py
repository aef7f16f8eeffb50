"""Charters: who the members of a network are, which root keys speak for them, and what they agreed on.

`document` holds the text, `roots` the keys of one member in it, `rules` who must
have signed. Fetching, storing and choosing what to trust is the caller's.

Spec: docs/spec/charter.md.
"""

from ledger.charter.document import (
    Charter,
    Council,
    Expulsion,
    NetworkLimits,
    decode_charter,
    encode_charter,
    make_charter,
)
from ledger.charter.fingerprint import decode_fingerprint, fingerprint, read_fingerprint
from ledger.charter.roots import CharterMember, root_key_name
from ledger.charter.rules import (
    sign_charter,
    signed_members,
    verify_charter,
    verify_charter_chain,
)

__all__ = [
    "Charter",
    "CharterMember",
    "Council",
    "Expulsion",
    "NetworkLimits",
    "decode_charter",
    "decode_fingerprint",
    "encode_charter",
    "fingerprint",
    "make_charter",
    "read_fingerprint",
    "root_key_name",
    "sign_charter",
    "signed_members",
    "verify_charter",
    "verify_charter_chain",
]
