"""Fingerprints: the network id as people read, compare and type it.

Spec: docs/spec/charter.md, "Fingerprint".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.charter.document import Charter
from ledger.names import NetworkId, decode_hex


def fingerprint(charters: Sequence[Charter]) -> NetworkId:
    """The id of the network whose chain of charters, from version 1 on, this is."""
    assert charters and charters[0].version == 1, "a chain of charters begins with version 1"
    return NetworkId(charters[0].hash)


def decode_fingerprint(text: str) -> NetworkId:
    """Parse 64 lower-case hexadecimal digits, what `NetworkId.hex` writes. Raises: EncodingError."""
    return NetworkId(decode_hex(text, length=32, field="fingerprint"))


def read_fingerprint(text: str) -> NetworkId:
    """Read what a person typed or pasted: upper case, spaces, colons and hyphens are forgiven, nothing else.

    Not for formats: those take `decode_fingerprint`.
    Raises: EncodingError.
    """
    return decode_fingerprint(re.sub(r"[\s:-]", "", text).lower())
