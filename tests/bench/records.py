"""The record of every row: a delivery of exactly 1,024 bytes of JSON, seeded, shared whole with three firms."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Final

BODY_BYTES: Final = 1024
TYPE: Final = "delivery"
AUTHOR: Final = "seller"
READERS: Final = ("buyer", "carrier", "bank")
STRANGER: Final = "stranger"
FIRMS: Final = (AUTHOR, *READERS, STRANGER)
"""The stranger is a member of the network and no party: it mirrors the log and reads nothing."""
AGREEMENT: Final = '''"""Deliveries, shared whole among four firms."""

ROLES = {"seller", "buyer", "carrier", "bank"}
SIGNERS = set()
AUTHORS = {"delivery": {"seller"}}
SHARES = {"delivery": {"/*": {"seller", "buyer", "carrier", "bank"}}}
'''


def bodies(count: int, seed: int = 20260314) -> Iterator[bytes]:
    """Deliveries of eleven members each."""
    draw = random.Random(seed)
    for _ in range(count):
        delivery = _delivery(draw)
        room = BODY_BYTES - len(_encode(delivery)) - len(',"remark":""')
        yield _encode(delivery | {"remark": f"{draw.getrandbits(4 * room):0{room}x}"})


def envelope(body: bytes, contract: str) -> bytes:
    """What a partner's system sends to have `body` recorded."""
    return b'{"type":"%b","contract":"%b","body":%b}' % (TYPE.encode(), contract.encode(), body)


def _delivery(draw: random.Random) -> dict[str, Any]:
    return {
        "deliveryId": f"DN-{draw.randrange(10**8):08d}",
        "orderId": f"PO-2026-{draw.randrange(10**6):06d}",
        "dispatchedAt": f"2026-03-{draw.randint(1, 28):02d}T{draw.randrange(24):02d}:{draw.randrange(60):02d}:00.000Z",
        "shipFrom": f"urn:epc:id:sgln:4012345.{draw.randrange(10**5):05d}.0",
        "shipTo": f"urn:epc:id:sgln:4098765.{draw.randrange(10**5):05d}.0",
        "pallets": [f"urn:epc:id:sscc:4012345.{draw.randrange(10**10):010d}" for _ in range(5)],
        "lines": [
            {
                "gtin": f"0401234{draw.randrange(10**7):07d}",
                "lot": f"L{draw.randrange(10**6)}",
                "quantity": draw.randint(1, 900),
                "unit": "KGM",
                "price": f"{draw.randrange(10**5) / 100:.2f}",
            }
            for _ in range(3)
        ],
        "temperature": {"value": draw.randrange(-250, 80) / 10, "unit": "CEL"},
        "vehicle": f"HH-TR {draw.randrange(10**4)}",
        "incoterms": "DAP",
    }


def _encode(delivery: dict[str, Any]) -> bytes:
    return json.dumps(delivery, separators=(",", ":")).encode()
