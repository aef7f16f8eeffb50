"""The binary format of WebAssembly: what is written is read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.guest.binary import (
    COMPONENT,
    MODULE,
    Reader,
    Unreadable,
    encode_name,
    encode_offset,
    encode_section,
    encode_signed,
    encode_unsigned,
    read_sections,
)


def reader(content: bytes) -> Reader:
    return Reader(content, "piece")


# --- numbers and names -------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_any_u32_is_read_as_it_was_written(value: int) -> None:
    read = reader(encode_unsigned(value))
    assert (read.unsigned(), read.has_more()) == (value, False)


@given(st.integers(-(2**31), 2**31 - 1))
def test_any_s32_is_read_as_it_was_written(value: int) -> None:
    read = reader(encode_signed(value))
    assert (read.signed(), read.has_more()) == (value, False)


def test_numbers_are_written_as_the_standard_says() -> None:
    # The examples of DWARF 4, 7.6.
    unsigned = {2: "02", 127: "7f", 128: "8001", 129: "8101", 130: "8201", 12857: "b964"}
    signed = {2: "02", -2: "7e", 127: "ff00", -127: "817f", 128: "8001", -128: "807f", 129: "8101", -129: "ff7e"}
    assert {value: encode_unsigned(value).hex() for value in unsigned} == unsigned
    assert {value: encode_signed(value).hex() for value in signed} == signed


def test_numbers_that_a_linker_filled_up_are_read() -> None:
    assert reader(bytes.fromhex("8380808000")).unsigned() == 3
    assert reader(bytes.fromhex("fdffffff7f")).signed() == -3


@pytest.mark.parametrize("content", ["", "80", "808080808000", "ffffffff1f", "8080808010"])
def test_what_is_no_u32_is_refused(content: str) -> None:
    with pytest.raises(Unreadable, match="piece"):
        reader(bytes.fromhex(content)).unsigned()


@pytest.mark.parametrize("content", ["", "ff", "ffffffffff7f", "8080808008", "ffffffff77"])
def test_what_is_no_s32_is_refused(content: str) -> None:
    with pytest.raises(Unreadable, match="piece"):
        reader(bytes.fromhex(content)).signed()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_is_read_as_it_was_written(text: str) -> None:
    assert reader(encode_name(text)).name() == text


@pytest.mark.parametrize("content", ["0561", "02c328"])
def test_a_name_cut_short_or_not_utf_8_is_refused(content: str) -> None:
    with pytest.raises(Unreadable):
        reader(bytes.fromhex(content)).name()


# --- offsets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("41080b", 8),
        ("23000b", 4096),
        ("230041026a0b", 4098),
        ("410141026b0b", -1),
        ("41ffffffff0741016a0b", -(2**31)),
    ],
)
def test_an_offset_is_worked_out_in_32_bits(content: str, value: int) -> None:
    read = reader(bytes.fromhex(content))
    assert (read.offset([4096]), read.has_more()) == (value, False)
    assert reader(encode_offset(value)).offset([]) == value


@pytest.mark.parametrize(
    ("content", "met"),
    [
        ("42000b", "instruction 0x42, which is not known here"),
        ("d0700b", "instruction 0xd0, which is not known here"),
        ("23000b", "global 0, which is no constant"),
        ("23010b", "global 1, which is no constant"),
        ("41016a0b", "fewer than two"),
        ("410141010b", "2 results"),
        ("0b", "0 results"),
        ("4101", "1 bytes are named, 0 are left"),
    ],
)
def test_an_offset_that_is_not_known_is_refused(content: str, met: str) -> None:
    with pytest.raises(Unreadable, match=met):
        reader(bytes.fromhex(content)).offset([None])


# --- sections ----------------------------------------------------------------------


def test_sections_are_read_as_they_were_written() -> None:
    assert list(read_sections(MODULE + encode_section(1, b"a") + encode_section(3, b""), start=MODULE, where="x")) == [
        (1, b"a"),
        (3, b""),
    ]


@pytest.mark.parametrize("content", [b"", COMPONENT, MODULE + b"\1", MODULE + b"\1\5abc"])
def test_what_is_no_module_is_refused(content: bytes) -> None:
    with pytest.raises(Unreadable):
        list(read_sections(content, start=MODULE, where="x"))
