"""Record ids: UUIDv7 that ascend within a log, also when the clock steps back."""

from __future__ import annotations

from typing import Final

from ledger.keys import entropy
from ledger.names import RecordId, id_time_ms

_TAIL_BITS: Final = 74  # the random bits of a UUIDv7
_TAIL_TOP: Final = 1 << _TAIL_BITS


class IdMaker:
    """Owned by the writer thread. Ids of one millisecond count upwards by random steps (RFC 9562, 6.2)."""

    def __init__(self, last: bytes | None = None) -> None:
        self._last_ms = id_time_ms(last) if last else 0
        self._tail = _tail_of(last) if last else 0

    def make(self, now_ms: int, count: int) -> list[RecordId]:
        """`count` new ids, each above all before it."""
        out: list[RecordId] = []
        steps = entropy(4 * count)
        for at in range(0, 4 * count, 4):
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._tail = int.from_bytes(entropy(9), "big") | (entropy(1)[0] & 1) << 72
            else:
                self._tail += 1 + int.from_bytes(steps[at : at + 4], "big")
                if self._tail >= _TAIL_TOP:
                    self._last_ms += 1
                    self._tail = int.from_bytes(entropy(9), "big")
            tail = self._tail
            out.append(
                RecordId(
                    (self._last_ms << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | (tail & ((1 << 62) - 1))).to_bytes(
                        16, "big"
                    )
                )
            )
        return out


def _tail_of(record_id: bytes) -> int:
    value = int.from_bytes(record_id, "big")
    return ((value >> 64) & 0xFFF) << 62 | value & ((1 << 62) - 1)
