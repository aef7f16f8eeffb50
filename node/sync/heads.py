"""What a peer says of the logs that it holds: hints, read strictly, that are a reason to ask and no more.

Spec: docs/spec/sync.md, "Heads".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ledger import limits

_Size = Annotated[int, msgspec.Meta(ge=0, le=limits.INTEGER_MAX)]


class HeadHint(msgspec.Struct, array_like=True):
    """A peer's hint about one log: never trusted, only a reason to ask.

    size, root: of the newest checkpoint it holds; root is its first 8 bytes in hex.
    cosigned: size of the largest checkpoint that the peer itself cosigned.
    """

    log: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: _Size
    root: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")]
    cosigned: _Size


class Heads(msgspec.Struct):
    """cursor: goes back to the peer in a query as it came, so it has no letter that means something there."""

    cursor: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~-]{1,100}\Z")]
    heads: Annotated[list[HeadHint], msgspec.Meta(max_length=4096)]
