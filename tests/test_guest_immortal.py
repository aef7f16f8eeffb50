"""Objects in the guest's image are immortal: set while it is linked, refused where the list of them is wrong."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from contracts.engine import Engine
from contracts.guest.binary import (
    MODULE,
    Section,
    Unreadable,
    encode_offset,
    encode_section,
    encode_unsigned,
    read_sections,
)
from contracts.guest.binary import encode_vector as vector
from contracts.guest.immortal import COUNT, MARK, make_immortal
from tests.engines import result

START: Final = 1 << 16
TYPE: Final = 0x2040
STATIC: Final = 7 << 28


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def module(*segments: tuple[int, bytes]) -> bytes:
    """A module with nothing but these segments of data, and how many they are."""
    rows = [b"\0" + encode_offset(start) + encode_unsigned(len(content)) + content for start, content in segments]
    counted = encode_section(Section.DATA_COUNT, encode_unsigned(len(rows)))
    return MODULE + counted + encode_section(Section.DATA, vector(rows))


def listed(*objects: tuple[int, int]) -> bytes:
    return MARK + words(len(objects), *[word for pair in objects for word in pair])


def image(made: bytes) -> bytes:
    """The bytes from `START` on, of the one segment that there is."""
    sections = dict(read_sections(made, start=MODULE, where="test"))
    assert sections[Section.DATA_COUNT] == b"\1"
    content = sections[Section.DATA]
    return content[content.index(MARK) - len(OBJECTS) :]


OBJECTS: Final = words(3, TYPE, 11, 12) + words(STATIC, TYPE, 1 << 30, TYPE) + bytes(224)
"""At `START` an object that is counted, at 16 one that Python made immortal itself, at 24 one that is so just now."""


def test_objects_that_are_listed_are_immortal_and_the_list_is_gone() -> None:
    rows = listed((START, TYPE), (START + 16, TYPE), (START + 24, TYPE))
    found = image(make_immortal(module((START, OBJECTS + rows + b"rest"))))
    assert found[:32] == words(COUNT, TYPE, 11, 12, STATIC, TYPE, 1 << 30, TYPE)
    assert found[len(OBJECTS) :] == MARK + bytes(len(rows) - len(MARK)) + b"rest"


def test_object_that_lies_in_two_segments_is_found() -> None:
    """Zeros between segments are left out, in the middle of a word as well."""
    parts = module((START, OBJECTS[:1]), (START + 4, OBJECTS[4:] + listed((START, TYPE))))
    assert image(make_immortal(parts))[:8] == words(COUNT, TYPE)


@pytest.mark.parametrize(
    ("content", "words_of"),
    [
        (OBJECTS, "0 lists of objects"),
        (OBJECTS + listed() + listed(), "2 lists of objects"),
        (OBJECTS + listed((START, TYPE + 4)), "the object at 0x10000: type 0x2040, not 0x2044"),
        (OBJECTS + listed((START + 64, 0)), "the object at 0x10040: type 0x0, not 0x0; count 0"),
    ],
)
def test_list_that_is_wrong_is_refused(content: bytes, words_of: str) -> None:
    """A count that is written where no object lies would break the guest."""
    with pytest.raises(Unreadable, match=words_of):
        make_immortal(module((START, content)))


@pytest.mark.parametrize("one", ["re.compile", "Decimal", "key.__class__", "re.enum.sys.modules", "re.enum.__name__"])
def test_what_the_guest_is_made_of_is_not_counted(engine: Engine, one: str) -> None:
    said = result(engine, f"import re\nreturn {{'count': re.enum.sys.getrefcount({one}) >> 30}}")
    assert said.state == b'{"count":1}', said
