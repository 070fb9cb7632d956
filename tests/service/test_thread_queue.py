"""Work between the event loop and one thread: together, in order, bounded, and nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

from service.errors import QueueFullError
from service.thread_queue import Queued, ThreadQueue


class Piece:
    """Work that can be watched going."""


def a_queue(**limits):
    return ThreadQueue(**{"limit": 10, "deadline_s": 5.0, "late": TimeoutError} | limits)


def doubling(queue, groups):
    """A thread's life: note each group, answer with the double."""
    while not queue.ended:
        while group := queue.take(4, 0.05):
            groups.append([queued.work for queued in group])
            queue.settle(group, [2 * queued.work for queued in group])


def test_what_is_asked_in_one_turn_goes_over_together_and_comes_back_in_order():
    groups: list[list[int]] = []

    async def story() -> list[int]:
        queue = a_queue()
        queue.open()
        thread = threading.Thread(target=doubling, args=(queue, groups))
        thread.start()
        answers = await asyncio.gather(*(queue.ask(number) for number in range(6)))
        queue.end()
        await asyncio.to_thread(thread.join)
        queue.close(RuntimeError())
        return answers

    assert asyncio.run(story()) == [0, 2, 4, 6, 8, 10]
    assert groups == [[0, 1, 2, 3], [4, 5]]


def test_one_more_than_may_wait_is_refused_and_what_is_late_is_given_up():
    async def story() -> None:
        queue = a_queue(limit=2, deadline_s=0.01)
        queue.open()
        waiting = [asyncio.ensure_future(queue.ask(number)) for number in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(QueueFullError):
            await queue.ask(3)
        for each in waiting:
            with pytest.raises(TimeoutError):
                await each
        assert queue.take(4, 0) == []  # nobody waits for them any more
        queue.close(RuntimeError())

    asyncio.run(story())


def test_what_is_left_at_the_end_is_told_so():
    async def story() -> None:
        queue = a_queue()
        queue.open()
        waiting = asyncio.ensure_future(queue.ask(1))
        await asyncio.sleep(0)

        queue.close(RuntimeError("over"))

        with pytest.raises(RuntimeError, match="over"):
            await waiting

    asyncio.run(story())


def test_work_that_is_done_is_not_kept():
    async def story() -> None:
        queue = a_queue()
        queue.open()
        piece = Piece()
        gone = weakref.ref(piece)
        waiting = asyncio.ensure_future(queue.ask(piece))
        await asyncio.sleep(0.01)
        queue.settle(queue.take(1, 1.0), ["done"])
        assert await waiting == "done"

        del piece, waiting
        gc.collect()

        assert gone() is None
        queue.close(RuntimeError())

    asyncio.run(story())


def test_the_outcome_of_a_second_thread_comes_with_what_the_first_one_found():
    async def story() -> None:
        first, second = a_queue(), a_queue()
        for queue in (first, second):
            queue.open()
        waiting = [asyncio.ensure_future(first.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0.01)

        found = first.take(4, 1.0)
        for queued in found:
            queued.waiter.found = 10 * queued.work
        second.take_over([Queued(f"write {queued.work}", queued.waiter) for queued in found])
        assert (first.depth, second.depth) == (0, 2)
        one, other = second.take(4, 1.0)
        second.settle([one], [f"{one.work}: done"])
        second.settle([other], [OSError("lost")])

        assert await waiting[0] == (10, "write 1: done")
        with pytest.raises(OSError, match="lost"):
            await waiting[1]
        assert second.depth == 0
        for queue in (first, second):
            queue.close(RuntimeError())

    asyncio.run(story())


def test_the_second_thread_refuses_what_is_too_much_and_has_time_of_its_own():
    async def story() -> None:
        first = a_queue(deadline_s=0.15)
        second = a_queue(limit=1, deadline_s=0.3, late=lambda: OSError("no commit"))
        for queue in (first, second):
            queue.open()
        waiting = [asyncio.ensure_future(first.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0.01)

        second.take_over(first.take(4, 1.0))

        with pytest.raises(QueueFullError):
            await waiting[1]
        asked = time.monotonic()
        with pytest.raises(OSError, match="no commit"):
            await waiting[0]
        assert time.monotonic() - asked > 0.25
        assert second.take(4, 0) == []  # nobody waits for it any more
        for queue in (first, second):
            queue.close(RuntimeError())

    asyncio.run(story())
