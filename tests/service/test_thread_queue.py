"""Work between the event loop and one thread: together, in order, bounded, and nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

from service.errors import QueueFullError
from service.thread_queue import Handed, Handover


class Piece:
    """Work that can be watched going."""


def a_handover(**limits):
    return Handover(**{"limit": 10, "deadline_s": 5.0, "late": TimeoutError} | limits)


def doubling(handover, groups):
    """A thread's life: note each group, answer with the double."""
    while not handover.ended:
        while group := handover.take(4, 0.05):
            groups.append([handed.work for handed in group])
            handover.settle(group, [2 * handed.work for handed in group])


def test_what_is_asked_in_one_turn_goes_over_together_and_comes_back_in_order():
    groups: list[list[int]] = []

    async def story() -> list[int]:
        handover = a_handover()
        handover.open()
        thread = threading.Thread(target=doubling, args=(handover, groups))
        thread.start()
        answers = await asyncio.gather(*(handover.ask(number) for number in range(6)))
        handover.end()
        await asyncio.to_thread(thread.join)
        handover.close(RuntimeError())
        return answers

    assert asyncio.run(story()) == [0, 2, 4, 6, 8, 10]
    assert groups == [[0, 1, 2, 3], [4, 5]]


def test_one_more_than_may_wait_is_refused_and_what_is_late_is_given_up():
    async def story() -> None:
        handover = a_handover(limit=2, deadline_s=0.01)
        handover.open()
        waiting = [asyncio.create_task(handover.ask(number)) for number in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(QueueFullError):
            await handover.ask(3)
        for each in waiting:
            with pytest.raises(TimeoutError):
                await each
        assert handover.take(4, 0) == []  # nobody waits for them any more
        handover.close(RuntimeError())

    asyncio.run(story())


def test_what_is_left_at_the_end_is_told_so():
    async def story() -> None:
        handover = a_handover()
        handover.open()
        waiting = asyncio.create_task(handover.ask(1))
        await asyncio.sleep(0)

        handover.close(RuntimeError("over"))

        with pytest.raises(RuntimeError, match="over"):
            await waiting

    asyncio.run(story())


def test_work_that_is_done_is_not_kept():
    async def story() -> None:
        handover = a_handover()
        handover.open()
        piece = Piece()
        gone = weakref.ref(piece)
        waiting = asyncio.create_task(handover.ask(piece))
        await asyncio.sleep(0.01)
        handover.settle(handover.take(1, 1.0), ["done"])
        assert await waiting == "done"

        del piece, waiting
        gc.collect()

        assert gone() is None
        handover.close(RuntimeError())

    asyncio.run(story())


def test_the_outcome_of_a_second_thread_comes_with_what_the_first_one_found():
    async def story() -> None:
        first, second = a_handover(), a_handover()
        for handover in (first, second):
            handover.open()
        waiting = [asyncio.create_task(first.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0.01)

        found = first.take(4, 1.0)
        for handed in found:
            handed.waiter.found = 10 * handed.work
        second.relay([Handed(f"write {handed.work}", handed.waiter) for handed in found])
        assert (first.depth, second.depth) == (0, 2)
        one, other = second.take(4, 1.0)
        second.settle([one], [f"{one.work}: done"])
        second.settle([other], [OSError("lost")])

        assert await waiting[0] == (10, "write 1: done")
        with pytest.raises(OSError, match="lost"):
            await waiting[1]
        assert second.depth == 0
        for handover in (first, second):
            handover.close(RuntimeError())

    asyncio.run(story())


def test_the_second_thread_refuses_what_is_too_much_and_has_time_of_its_own():
    async def story() -> None:
        first = a_handover(deadline_s=0.15)
        second = a_handover(limit=1, deadline_s=0.3, late=lambda: OSError("no commit"))
        for handover in (first, second):
            handover.open()
        waiting = [asyncio.create_task(first.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0.01)

        second.relay(first.take(4, 1.0))

        with pytest.raises(QueueFullError):
            await waiting[1]
        asked = time.monotonic()
        with pytest.raises(OSError, match="no commit"):
            await waiting[0]
        assert time.monotonic() - asked > 0.25
        assert second.take(4, 0) == []  # nobody waits for it any more
        for handover in (first, second):
            handover.close(RuntimeError())

    asyncio.run(story())
