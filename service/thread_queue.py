"""A queue between the event loop and one thread: work goes in, outcomes come back, both in groups.

Waking a thread costs more than most pieces of work. So all work of one turn of the loop goes to the thread together,
and the outcomes of a group come back together. There is no timer: an idle thread gets its work at the end of the turn
in which it came. The number of waiting pieces and the time that they wait are bounded.

Work may pass through two threads: the first one passes its result on to the second one's queue, and the coroutine gets
both results at once.
"""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import QueueFullError

SWEEP_S = 0.1
"""Interval at which the loop looks for waiters that are late."""

Work = TypeVar("Work")
Outcome = Any
"""A result, or the exception to raise."""


@dataclass(slots=True)
class Waiter:
    """A waiting coroutine. Threads only look at the future; the event loop makes every change to it."""

    future: asyncio.Future[Any]
    since: float
    """`monotonic` time at which the work came."""
    until: float
    """`monotonic` time until which it waits; a second queue sets a new one."""
    late: Callable[[], Exception]
    """Makes the exception that is raised at that time."""
    found: Any = None
    """The result of the first of two threads."""

    def tell(self, outcome: Outcome) -> None:
        """Resolve the future, in the event loop: with the outcome, or with the pair (found, outcome) after two threads.

        A coroutine that was cancelled is told nothing.
        """
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome if self.found is None else (self.found, outcome))


class Queued(NamedTuple, Generic[Work]):
    """One piece of work and its waiter."""

    work: Work
    waiter: Waiter


class ThreadQueue(Generic[Work]):
    """Takes work from the event loop that opened it, and from one other thread where there is one."""

    def __init__(self, *, limit: int, deadline_s: float, late: Callable[[], Exception]) -> None:
        """Nothing runs before `open`.

        Args:
            limit: pieces of work that may wait for the thread.
            deadline_s: how long one may take, waiting included, from when it came here.
            late: makes the exception that is raised where one took longer.
        """
        self._limit = limit
        self._deadline_s = deadline_s
        self._late = late
        self._queue: queue.SimpleQueue[Sequence[Queued[Work]] | None] = queue.SimpleQueue()
        self._arriving: list[Queued[Work]] = []
        self._unsettled: list[Waiter] = []  # without the work, which may be large
        self._given = 0  # counted by the loop alone
        self._taken_over = 0  # counted by the thread before alone
        self._taken = 0  # counted by the thread alone
        self._left: deque[Queued[Work]] = deque()
        self.ended = False
        """Whether the thread has taken everything, and no more will come."""

    @property
    def depth(self) -> int:
        """Pieces of work that wait for the thread."""
        return self._given + self._taken_over - self._taken

    # In the event loop.

    def open(self) -> None:
        """Begin. Call it in the loop that will ask."""
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def ask(self, work: Work) -> asyncio.Future[Any]:
        """The outcome of one piece of work, to be awaited; ``late()`` is raised there after the deadline.

        Raises:
            QueueFullError: too many wait already.
        """
        if self.depth >= self._limit:
            raise self._full()
        now = monotonic()
        waiter = Waiter(self._loop.create_future(), now, now + self._deadline_s, self._late)
        self._given += 1
        self._unsettled.append(waiter)
        if not self._arriving:
            self._loop.call_soon(self._send)
        self._arriving.append(Queued(work, waiter))
        return waiter.future

    def wake(self) -> None:
        """Wake the thread although there is no work for it."""
        if not self.depth:  # else work wakes it
            self._queue.put(())

    def end(self) -> None:
        """Let the thread end after the waiting work."""
        self._send()
        self._queue.put(None)

    async def settled(self, most_s: float) -> None:
        """Wait, ``most_s`` seconds at most, until all work that was asked here has its outcome, from either thread."""
        if waiting := [waiter.future for waiter in self._unsettled if not waiter.future.done()]:
            await asyncio.wait(waiting, timeout=most_s)

    def close(self, error: Exception) -> None:
        """Fail the remaining work. Call it after the thread has ended, or after the longest wait for that."""
        self._sweeper.cancel()
        for waiter in self._unsettled:
            waiter.tell(error)

    def _send(self) -> None:
        if self._arriving:
            together, self._arriving = self._arriving, []
            self._queue.put(together)

    def _sweep(self) -> None:
        """Forget waiters that have their outcome; tell the late ones so."""
        now = monotonic()
        self._unsettled = [waiter for waiter in self._unsettled if not waiter.future.done()]
        for waiter in self._unsettled:
            if waiter.until <= now:
                waiter.tell(waiter.late())
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    # In the thread before, where there is one.

    def take_over(self, together: Sequence[Queued[Work]]) -> None:
        """Take work whose waiters are waiting already; from now on they wait for this queue's thread."""
        room = max(0, self._limit - self.depth)
        until = monotonic() + self._deadline_s
        for queued in together:
            queued.waiter.until, queued.waiter.late = until, self._late
        self._taken_over += len(together[:room])
        self._queue.put(together[:room])
        self.settle(together[room:], [self._full()] * len(together[room:]))

    # In the thread.

    def take(self, most: int, wait_s: float) -> list[Queued[Work]]:
        """Take up to ``most`` items, skipping cancelled ones; returns none after ``wait_s`` seconds without work."""
        with suppress(queue.Empty):
            if not self._left and not self.ended:
                self._receive(self._queue.get(timeout=wait_s))
            while len(self._left) < most:
                self._receive(self._queue.get_nowait())
        together = [self._left.popleft() for _ in range(min(most, len(self._left)))]
        self._taken += len(together)
        return [queued for queued in together if not queued.waiter.future.done()]

    def settle(self, queued: Sequence[Queued[Any]], outcomes: Sequence[Outcome]) -> None:
        """Send the waiters their outcomes, all in one turn of the loop."""
        if queued:
            with suppress(RuntimeError):  # the loop is closed, and no coroutine is left in it
                self._loop.call_soon_threadsafe(_settle_all, queued, outcomes)

    def _receive(self, together: Sequence[Queued[Work]] | None) -> None:
        if together is None:
            self.ended = True
        else:
            self._left.extend(together)

    def _full(self) -> QueueFullError:
        return QueueFullError(f"{self._limit} are waiting already")


def _settle_all(queued: Sequence[Queued[Any]], outcomes: Sequence[Outcome]) -> None:
    for each, outcome in zip(queued, outcomes, strict=True):
        each.waiter.tell(outcome)
