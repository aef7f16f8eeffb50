"""Makes the objects in the image immortal: their counts of references are never written again.

Python counts references in the objects themselves, so whoever only reads the image writes all over it, and the host
copies each page that an instance writes to. What is immortal is not counted. Objects that lie in the image live as
long as an instance in any case; so the guest lists them (`_tell_objects` in `app.py`), and their counts are set here.

Source: Include/refcount.h of CPython 3.14, for pointers of 32 bits.
"""

from __future__ import annotations

from typing import Final

from contracts.guest.binary import (
    MODULE,
    Reader,
    Section,
    Unreadable,
    encode_offset,
    encode_section,
    encode_unsigned,
    encode_vector,
    read_sections,
)

MARK: Final = b"objects and their types: "
"""What stands before the list, once in the image. Then: how many (u32), and for each its address and its type's."""

COUNT: Final = 5 << 28
"""_Py_IMMORTAL_INITIAL_REFCNT; whoever adds or takes one leaves it above the least that is immortal, 1 << 30."""

_MORTAL_END: Final = 1 << 30
_WORD: Final = 4


def make_immortal(module: bytes) -> bytes:
    """The module, with the counts of all objects set that its image lists. Raises: Unreadable."""
    content = bytearray(MODULE)
    for kind, section in read_sections(module, start=MODULE, where="merged module"):
        if kind == Section.DATA:
            image = _read_image(Reader(section, "data of the merged module"))
            _set_counts(image)
            # In one piece: wasm-opt leaves out the zeros.
            section = encode_vector([b"\0" + encode_offset(0) + encode_unsigned(len(image)) + image])
        elif kind == Section.DATA_COUNT:
            section = encode_unsigned(1)
        content += encode_section(kind, section)
    return bytes(content)


def _read_image(reader: Reader) -> bytearray:
    """The memory from address 0 to the end of the last segment. Segments of later modules may write over earlier."""
    image = bytearray()
    for _ in reader.entries():
        reader.expect("form of data", 0)  # active, in memory 0
        start = reader.offset(())
        content = reader.take(reader.unsigned())
        image += bytes(max(0, start + len(content) - len(image)))
        image[start : start + len(content)] = content
    return image


def _set_counts(image: bytearray) -> None:
    if image.count(MARK) != 1:
        raise Unreadable(where="the image", met=f"{image.count(MARK)} lists of objects, not one")
    place = image.find(MARK) + len(MARK)
    rows = range(place + _WORD, place + _WORD + _word(image, place) * 2 * _WORD, 2 * _WORD)
    for row in rows:
        address, kind = _word(image, row), _word(image, row + _WORD)
        count, met = _word(image, address), _word(image, address + _WORD)
        if met != kind or not count:
            raise Unreadable(where=f"the object at {address:#x}", met=f"type {met:#x}, not {kind:#x}; count {count}")
        if count < _MORTAL_END:
            image[address : address + _WORD] = COUNT.to_bytes(_WORD, "little")
    image[place : rows.stop] = bytes(rows.stop - place)  # it has served


def _word(image: bytearray, address: int) -> int:
    return int.from_bytes(image[address : address + _WORD], "little")
