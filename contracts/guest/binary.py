"""The binary format of WebAssembly, as much of it as linking needs: numbers, names, sections, offsets.

Strict: what is not known here is refused, and the error says what was met and where. Nothing is validated beyond
that; the tools that read the result do it.

Source: WebAssembly Core Specification, "Binary Format": "Values", "Types" (limits), "Instructions" (expressions),
"Modules" (sections). Component Model, Binary.md, "Component Definitions" (the preamble of a component).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

MODULE: Final = b"\0asm\1\0\0\0"
"""How a core module begins: magic, version 1."""

COMPONENT: Final = b"\0asm\r\0\1\0"
"""How a component begins: magic, version 13, layer 1."""

NUMBER_BYTES_MAX: Final = 5
"""Bytes of a number of 32 bits: ceil(32 / 7). Linkers fill theirs up to it."""

_U32: Final = 1 << 32
_CONST, _GLOBAL_GET, _ADD, _SUB, _END = 0x41, 0x23, 0x6A, 0x6B, 0x0B


class Section(IntEnum):
    """The sections of a core module."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


class Kind(IntEnum):
    """What a core module imports and exports; the sorts of core items in a component are the same."""

    FUNC = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


class Unreadable(Exception):
    """Bytes that are not understood here. where: the piece and the place in it; met: what stands there."""

    def __init__(self, *, where: str, met: str) -> None:
        super().__init__(f"{where}: {met}")
        self.where = where
        self.met = met


class Reader:
    """Reads a piece from its beginning to its end."""

    __slots__ = ("_content", "_where", "position")

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self.position = 0

    def unreadable(self, met: str) -> Unreadable:
        return Unreadable(where=f"{self._where}, before byte {self.position}", met=met)

    def has_more(self) -> bool:
        return self.position < len(self._content)

    def take(self, length: int) -> bytes:
        if length > len(self._content) - self.position:
            raise self.unreadable(f"{length} bytes are named, {len(self._content) - self.position} are left")
        self.position += length
        return self._content[self.position - length : self.position]

    def since(self, position: int) -> bytes:
        """What was read from `position` on."""
        return self._content[position : self.position]

    def byte(self) -> int:
        return self.take(1)[0]

    def expect(self, what: str, *allowed: int) -> int:
        """The next byte, which must be one of those."""
        found = self.byte()
        if found not in allowed:
            raise self.unreadable(f"{what} {found:#04x}, which is not known here")
        return found

    def unsigned(self) -> int:
        """A u32 in LEB128."""
        value, _ = self._leb128()
        if value >= _U32:
            raise self.unreadable(f"the number {value}, of more than 32 bits")
        return value

    def signed(self) -> int:
        """An s32 in LEB128."""
        value, bits = self._leb128()
        value -= (value >> (bits - 1)) << bits
        if not -_U32 // 2 <= value < _U32 // 2:
            raise self.unreadable(f"the number {value}, of more than 32 bits")
        return value

    def _leb128(self) -> tuple[int, int]:
        """-> value, how many bits it was given with."""
        value = 0
        for i in range(NUMBER_BYTES_MAX):
            found = self.byte()
            value |= (found & 0x7F) << 7 * i
            if found < 0x80:
                return value, 7 * i + 7
        raise self.unreadable(f"a number of more than {NUMBER_BYTES_MAX} bytes")

    def name(self) -> str:
        content = self.take(self.unsigned())
        try:
            return content.decode()
        except UnicodeDecodeError as cause:
            raise self.unreadable("a name that is not UTF-8") from cause

    def entries(self) -> Iterator[int]:
        """Counts the entries of a section that is one vector; it must end with the last."""
        yield from range(self.unsigned())
        if self.has_more():
            raise self.unreadable("bytes after the last entry")

    def limits(self) -> None:
        """Past the limits of a table or memory of 32 bits that is not shared."""
        flag = self.expect("limits", 0, 1)
        self.unsigned()
        if flag:
            self.unsigned()

    def offset(self, known: Sequence[int | None]) -> int:
        """The value of a constant expression of an i32. known: the globals before it; None: no constant."""
        stack: list[int] = []
        while (code := self.expect("instruction", _CONST, _GLOBAL_GET, _ADD, _SUB, _END)) != _END:
            if code == _CONST:
                stack.append(self.signed())
            elif code == _GLOBAL_GET:
                stack.append(self._known(known))
            elif len(stack) < 2:
                raise self.unreadable("a sum of fewer than two numbers")
            else:
                second, first = stack.pop(), stack.pop()
                stack.append(first + second if code == _ADD else first - second)
        if len(stack) != 1:
            raise self.unreadable(f"an expression with {len(stack)} results")
        return (stack[0] + _U32 // 2) % _U32 - _U32 // 2

    def _known(self, known: Sequence[int | None]) -> int:
        index = self.unsigned()
        value = known[index] if index < len(known) else None
        if value is None:
            raise self.unreadable(f"an expression with global {index}, which is no constant")
        return value


def encode_unsigned(value: int) -> bytes:
    """The shortest LEB128 of a number from 0."""
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def encode_signed(value: int) -> bytes:
    """The shortest signed LEB128."""
    content = bytearray()
    while not -0x40 <= value < 0x40:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value & 0x7F)
    return bytes(content)


def encode_name(text: str) -> bytes:
    content = text.encode()
    return encode_unsigned(len(content)) + content


def encode_offset(value: int) -> bytes:
    """The constant expression of an i32."""
    return bytes([_CONST]) + encode_signed(value) + bytes([_END])


def encode_vector(entries: Sequence[bytes]) -> bytes:
    return encode_unsigned(len(entries)) + b"".join(entries)


def encode_section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + encode_unsigned(len(content)) + content


def read_sections(content: bytes, *, start: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each section of a module or component, in order. start: `MODULE` or `COMPONENT`."""
    reader = Reader(content, where)
    if (found := reader.take(len(start))) != start:
        raise reader.unreadable(f"it begins with {found.hex()}, not with {start.hex()}")
    while reader.has_more():
        kind = reader.byte()
        yield kind, reader.take(reader.unsigned())
