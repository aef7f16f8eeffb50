"""News inside one process: whoever waits hears of the next change, and of none that it knows."""

from __future__ import annotations

import asyncio
import threading

import pytest

from node.changes import EVIDENCE, Changes

LOG, OTHER = b"a log", b"another log"


def test_count_tells_what_moved_since() -> None:
    changes = Changes()
    assert changes.count == 0
    assert changes.moved(LOG, None)
    assert not changes.moved(LOG, 0)
    changes.bump(LOG)
    changes.bump(EVIDENCE)
    assert changes.count == 2
    assert [changes.moved(LOG, since) for since in (0, 1, 2)] == [True, False, False]
    assert [changes.moved(EVIDENCE, since) for since in (0, 1, 2)] == [True, True, False]
    assert not changes.moved(OTHER, 0)


def test_cursor_is_read_by_the_process_that_gave_it() -> None:
    changes = Changes()
    assert changes.parse_cursor(changes.cursor(12)) == 12
    assert Changes().parse_cursor(changes.cursor(12)) is None


@pytest.mark.parametrize("count", ["", "-1", "+1", " 1", "1_0", "\u0661", "1.0", "9" * 16, "x"])
def test_cursor_of_another_form_is_none(count: str) -> None:
    changes = Changes()
    assert changes.parse_cursor(changes.cursor(0)[:-1] + count) is None
    assert changes.parse_cursor(count) is None


def test_waiter_hears_of_a_change_by_another_thread() -> None:
    async def story() -> int:
        changes = Changes()
        threading.Timer(0.05, changes.bump, [LOG]).start()
        return await changes.wait(0, 30)

    assert asyncio.run(story()) == 1


def test_waiter_is_not_held_up_by_what_it_missed() -> None:
    async def story() -> tuple[int, int]:
        changes = Changes()
        changes.bump(LOG)
        return await changes.wait(0, 30), await changes.wait(1, 0.01)

    assert asyncio.run(story()) == (1, 1)


def test_many_waiters_are_woken_by_one_change_and_none_is_left() -> None:
    async def story() -> list[int]:
        changes = Changes()
        waiters = [asyncio.create_task(changes.wait(0, 30)) for _ in range(20)]
        await asyncio.sleep(0)
        waiters[3].cancel()
        await asyncio.sleep(0)
        changes.bump(LOG)
        found = await asyncio.gather(*waiters, return_exceptions=True)
        assert changes._waiters == {}
        return [count for count in found if isinstance(count, int)]

    assert asyncio.run(story()) == [1] * 19


def test_change_after_the_loop_has_gone_harms_nobody() -> None:
    changes = Changes()
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(changes.wait(0, 30))
    loop.run_until_complete(asyncio.sleep(0))
    kept = dict(changes._waiters)
    assert len(kept) == 1
    waiter.cancel()
    loop.run_until_complete(asyncio.gather(waiter, return_exceptions=True))
    loop.close()
    changes._waiters = kept  # as if the loop had been closed while somebody waited
    changes.bump(LOG)
    assert changes.count == 1
