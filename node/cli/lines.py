"""NDJSON files in parts: where a part ends depends on nothing but the file, so that a re-run sends the same parts.

Each part has an idempotency key made of the file's hash and the line it begins at; the node
adds the number of each line in it. What was durable before a break is thus recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ledger import limits
from ledger.errors import TooLarge
from ledger.letters import BOM

# Frozen: with other parts a file would have other keys, and be recorded again where it was before.
PART_LINES: Final = 5000
PART_BYTES: Final = 4 << 20
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a file, without the blank ones. `numbers`: the line of the file (from 1) of each."""

    numbers: list[int]
    lines: list[bytes]

    def key(self, digest: str) -> str:
        """The idempotency key of this part of the file with that hash."""
        return f"tally-capture-{digest}-{self.numbers[0]}"


def hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_lines(file: Path) -> bool:
    """True if the file holds records, one a line: by its first line, else by its name."""
    with file.open("rb") as stream:
        first = stream.readline(limits.LINE_BYTES_MAX + 1).removeprefix(BOM)
        while first and not first.strip():
            first = stream.readline(limits.LINE_BYTES_MAX + 1)
    found = read_members(first)
    if found is None:
        return file.suffix in (".ndjson", ".jsonl")
    return "type" in found and "body" in found


def read_parts(stream: BinaryIO) -> Iterator[Part]:
    """The lines of a file in parts. A line that is too long comes cut, one byte above the limit."""
    numbers: list[int] = []
    lines: list[bytes] = []
    length = 0
    for number, line in enumerate(_bounded_lines(stream), 1):
        line = (line.removeprefix(BOM) if number == 1 else line).strip()
        if not line:
            continue
        if lines and (len(lines) == PART_LINES or length + len(line) > PART_BYTES):
            yield Part(numbers, lines)
            numbers, lines, length = [], [], 0
        numbers.append(number)
        lines.append(line)
        length += len(line)
    if lines:
        yield Part(numbers, lines)


def fill_in(line: bytes, *, contract: str | None, role: str | None) -> bytes:
    """The record with contract and role of the command line where it names none; every other byte stays.

    Raises: TooLarge. What is malformed stays as it is: the node says best what is wrong.
    """
    if len(line) > limits.LINE_BYTES_MAX:
        raise TooLarge(what="the line", got=len(line), limit=limits.LINE_BYTES_MAX, unit="bytes or more")
    if contract is None and role is None:
        return line
    found = read_members(line)
    if not found:
        return line
    wanted = {"contract": contract, "role": role}
    added = {name: text for name, text in wanted.items() if text is not None and name not in found}
    return msgspec.json.encode(added)[:-1] + b"," + line[1:] if added else line


def read_members(line: bytes) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object; None if `line` is none."""
    try:
        return _members(line)
    except (msgspec.DecodeError, RecursionError):
        return None


def _bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with a byte more than is allowed at most, so that a file without line ends costs no memory."""
    while line := stream.readline(limits.LINE_BYTES_MAX + 1):
        if not line.endswith(b"\n"):
            while (rest := stream.readline(limits.LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line
