"""The high-water file: a mark that only rises, and that a kill leaves whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import limits
from ledger.errors import TallyError
from ledger.names import Digest, MemberName, NetworkName, Origin, sha256
from node.highwater import HighWater, HighWaterBroken, HighWaterFile, read_high_water

ORIGIN: Final = Origin(NetworkName("cold-chain.example"), MemberName("fishery"))


def mark(size: int = 7, origin: Origin = ORIGIN) -> HighWater:
    return HighWater(origin, size, sha256(b"root %d" % size))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "high-water"


@pytest.fixture
def file(path: Path) -> Iterator[HighWaterFile]:
    made = HighWaterFile(path)
    yield made
    made.close()


def test_mark_is_read_back(path: Path, file: HighWaterFile) -> None:
    file.begin_at(None)
    for size in (1, 7, limits.INTEGER_MAX):
        file.rise(mark(size))
        assert read_high_water(path) == file.read() == mark(size)


def test_longest_names_fit(path: Path, file: HighWaterFile) -> None:
    name = "n" * limits.MEMBER_NAME_MAX
    longest = mark(limits.INTEGER_MAX, Origin(NetworkName(name), MemberName(name), limits.INTEGER_MAX))
    file.begin_at(None)
    file.rise(longest)
    assert file.read() == longest


def test_mark_only_rises(file: HighWaterFile) -> None:
    file.begin_at(mark(7))
    file.rise(mark(7))
    file.rise(mark(3))
    assert file.read() is None
    file.rise(mark(8))
    file.rise(mark(7))
    assert file.read() == mark(8)


def test_nothing_is_written_before_the_old_mark_was_looked_at(file: HighWaterFile) -> None:
    file.rise(mark(7))
    assert file.read() is None


def test_shorter_mark_leaves_nothing_of_the_longer_one(path: Path, file: HighWaterFile) -> None:
    file.begin_at(None)
    file.rise(mark(5, Origin(ORIGIN.network, MemberName("m" * 60), 1000)))
    file.begin_at(None)
    file.rise(mark(4))
    assert read_high_water(path) == mark(4)


def test_every_mark_is_one_write_of_one_length(path: Path, file: HighWaterFile) -> None:
    file.begin_at(None)
    lengths = set()
    for size in (1, 10, 10**15):
        file.rise(mark(size))
        lengths.add(path.stat().st_size)
    assert len(lengths) == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_and_a_file_without_a_mark_tell_that_nothing_was_signed(path: Path) -> None:
    assert read_high_water(path) is None
    for content in (b"", b" " * 320, b"\n"):
        path.write_bytes(content)
        assert read_high_water(path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"a/b\n1\n",
        b"a/b\n1\nAAAA\n",
        b"a/b\n-1\n" + b"A" * 43 + b"=\n",
        b"a/b\n01\n" + b"A" * 43 + b"=\n",
        b"a\n1\n" + b"A" * 43 + b"=\n",
        b"a/b\n1\n" + b"A" * 43 + b"=\nmore",
        b"a/b\n1\n" + b"A" * 43 + b"=\n\n",
        b"\xff\xfe\n1\n",
        b"\x00" * 320,
        "a/b\n\u0661\n".encode() + b"A" * 43 + b"=\n",
    ],
    ids=repr,
)
def test_damaged_file_is_told_and_not_taken_for_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(HighWaterBroken, match="high-water"):
        read_high_water(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 319), st.binary(min_size=1, max_size=1))
def test_changed_byte_is_told_or_is_another_mark(tmp_path: Path, at: int, byte: bytes) -> None:
    path = tmp_path / "high-water"
    path.unlink(missing_ok=True)
    file = HighWaterFile(path)
    file.begin_at(None)
    file.rise(mark())
    file.close()
    content = path.read_bytes()
    path.write_bytes(content[:at] + byte + content[at + 1 :])
    try:
        found = read_high_water(path)
    except TallyError:
        return
    assert found is not None
    text = f"{found.origin}\n{found.size}\n".encode()
    assert path.read_bytes().startswith(text)


def test_marks_of_several_threads_leave_the_largest(file: HighWaterFile) -> None:
    file.begin_at(None)
    threads = [threading.Thread(target=file.rise, args=(mark(size),)) for size in range(1, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read() == mark(59)


def test_root_is_a_digest(file: HighWaterFile) -> None:
    file.begin_at(None)
    file.rise(mark())
    found = file.read()
    assert found is not None
    assert found.root == Digest(sha256(b"root 7"))
