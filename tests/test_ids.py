"""Record ids ascend within a log, also when the clock steps back or stands still."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.names import decode_id, encode_id, id_time_ms, make_id
from node.ids import IdMaker

NOW_MS = 1_763_680_000_000


def test_ids_are_uuids_of_version_7_with_the_time_of_the_clock() -> None:
    for record_id in IdMaker().make(NOW_MS, 100):
        assert decode_id(encode_id(record_id)) == record_id
        assert id_time_ms(record_id) == NOW_MS


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 40)), max_size=8))
def test_ids_ascend_whatever_the_clock_does(steps: list[tuple[int, int]]) -> None:
    maker, now_ms = IdMaker(), NOW_MS
    made = []
    for step, count in steps:
        now_ms += step
        found = maker.make(now_ms, count)
        assert len(found) == count
        made += found
    assert all(first < second for first, second in pairwise(made))


def test_ids_go_on_above_the_last_one_of_the_log() -> None:
    ahead = make_id(NOW_MS + 3_600_000, b"\xff" * 10)
    first = IdMaker(ahead).make(NOW_MS, 3)
    assert all(record_id > ahead for record_id in first)
    assert first == sorted(first)
    assert IdMaker(first[-1]).make(NOW_MS, 1)[0] > first[-1]


def test_millisecond_whose_tail_is_used_up_gives_way_to_the_next() -> None:
    last = make_id(NOW_MS, b"\xff" * 10)
    (found,) = IdMaker(last).make(NOW_MS, 1)
    assert found > last
    assert id_time_ms(found) == NOW_MS + 1


def test_ids_of_two_nodes_do_not_meet() -> None:
    assert not set(IdMaker().make(NOW_MS, 500)) & set(IdMaker().make(NOW_MS, 500))


def test_ids_of_one_millisecond_cannot_be_counted_from_one_of_them() -> None:
    # A partner that reads two ids of one batch learns neither how many lie between nor which.
    made = [int.from_bytes(record_id, "big") for record_id in IdMaker().make(NOW_MS, 50)]
    assert len({second - first for first, second in pairwise(made)}) > 40


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_as_many_ids_as_asked(count: int) -> None:
    assert len(set(IdMaker().make(NOW_MS, count))) == count
