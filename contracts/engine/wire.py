"""Messages between the engine and its worker: MessagePack, each behind its length. Both ends are this program's."""

from __future__ import annotations

import os
import select
import struct
import time
from typing import Any, Final

import msgspec

_LENGTH: Final = struct.Struct(">I")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Closed(Exception):
    """The other end is gone."""


class Silent(Exception):
    """The other end said nothing for too long."""


def send(descriptor: int, message: Any, *, timeout_s: float | None = None) -> None:
    """Send a message. Raises: Closed; Silent, if a descriptor that does not block did not take it after `timeout_s`."""
    content = _encode(message)
    view = memoryview(_LENGTH.pack(len(content)) + content)
    end = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while view:
            _wait([], [descriptor], end)
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        raise Closed from None


def receive(descriptor: int, *, timeout_s: float | None = None) -> Any:
    """The next message. Raises: Closed; Silent, if it is not there whole after `timeout_s`."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size, end))
    return _decode(_read(descriptor, length, end))


def _wait(reading: list[int], writing: list[int], end: float | None) -> None:
    if end is not None:
        left = end - time.monotonic()
        if left <= 0 or not any(select.select(reading, writing, [], left)):
            raise Silent


def _read(descriptor: int, length: int, end: float | None) -> bytes:
    parts = []
    while length:
        _wait([descriptor], [], end)
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
