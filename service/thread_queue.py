"""Work from the event loop to one thread, and the outcomes back: one wake-up each way for all that is there.

Waking a thread costs more than most of what it is woken for. So what coroutines ask in one turn of the loop goes over
together, and so does what the thread has done of it. There is no timer: an idle thread gets its work at the end of the
turn in which it was asked. Waiting is bounded in number and in time.

Work may pass through two threads: the first one hands on to the second what it has found, and the loop hears of both
at once.
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
"""How often the loop looks for what has waited too long."""

Work = TypeVar("Work")
Outcome = Any
"""A result, or the exception to raise."""


@dataclass(slots=True)
class Waiter:
    """Who waits. Threads only look at the future; every change to it is made in the event loop."""

    future: asyncio.Future[Any]
    since: float
    """`monotonic` time at which it was asked."""
    until: float
    """`monotonic` time until which it waits; a second thread gives it time of its own."""
    late: Callable[[], Exception]
    """What is raised then; says what was waited for."""
    found: Any = None
    """What the first of two threads made of it."""

    def tell(self, outcome: Outcome) -> None:
        """In the event loop: of the outcome, together with what was found before; nothing to who has gone."""
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome if self.found is None else (self.found, outcome))


class Handed(NamedTuple, Generic[Work]):
    """One piece of work, and who waits for it."""

    work: Work
    waiter: Waiter


class Handover(Generic[Work]):
    """To one thread, from the event loop that opened it and perhaps from one other thread."""

    def __init__(self, *, limit: int, deadline_s: float, late: Callable[[], Exception]) -> None:
        """Nothing runs before `open`.

        Args:
            limit: pieces of work that may wait for the thread.
            deadline_s: how long one may take, waiting included, from when it came here.
            late: what is raised where one took longer.
        """
        self._limit = limit
        self._deadline_s = deadline_s
        self._late = late
        self._queue: queue.SimpleQueue[Sequence[Handed[Work]] | None] = queue.SimpleQueue()
        self._arriving: list[Handed[Work]] = []
        self._unsettled: list[Waiter] = []  # without the work, which may be large
        self._given = 0  # counted by the loop alone
        self._relayed = 0  # counted by the thread before alone
        self._taken = 0  # counted by the thread alone
        self._left: deque[Handed[Work]] = deque()
        self.ended = False
        """Whether the thread has taken everything, and no more will come."""

    @property
    def depth(self) -> int:
        """Pieces of work that wait for the thread."""
        return self._given + self._relayed - self._taken

    # In the event loop.

    def open(self) -> None:
        """Begin; from the loop that will ask."""
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def ask(self, work: Work) -> Any:
        """Wait for the outcome of one piece of work.

        Raises:
            QueueFullError: too many wait already.
            Exception: the outcome, where it is one; ``late()`` after the deadline.
        """
        if self.depth >= self._limit:
            raise self._full()
        now = monotonic()
        waiter = Waiter(self._loop.create_future(), now, now + self._deadline_s, self._late)
        self._given += 1
        self._unsettled.append(waiter)
        if not self._arriving:
            self._loop.call_soon(self._send)
        self._arriving.append(Handed(work, waiter))
        return await waiter.future

    def wake(self) -> None:
        """Make the thread look, with nothing to do for it."""
        if not self.depth:  # else it will anyhow
            self._queue.put(())

    def end(self) -> None:
        """Let the thread end once it has done what waits."""
        self._send()
        self._queue.put(None)

    async def settled(self, most_s: float) -> None:
        """Wait until all that was asked here has its outcome, from whichever thread; so long at most."""
        if waiting := [waiter.future for waiter in self._unsettled if not waiter.future.done()]:
            await asyncio.wait(waiting, timeout=most_s)

    def close(self, error: Exception) -> None:
        """Fail what is left, once the thread has ended or was waited for long enough."""
        self._sweeper.cancel()
        for waiter in self._unsettled:
            waiter.tell(error)

    def _send(self) -> None:
        if self._arriving:
            together, self._arriving = self._arriving, []
            self._queue.put(together)

    def _sweep(self) -> None:
        """Forget what is done, give up what is late."""
        now = monotonic()
        self._unsettled = [waiter for waiter in self._unsettled if not waiter.future.done()]
        for waiter in self._unsettled:
            if waiter.until <= now:
                waiter.tell(waiter.late())
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    # In the thread before, where there is one.

    def relay(self, together: Sequence[Handed[Work]]) -> None:
        """Take work for those who wait already; from now on they wait for this thread."""
        room = max(0, self._limit - self.depth)
        until = monotonic() + self._deadline_s
        for handed in together:
            handed.waiter.until, handed.waiter.late = until, self._late
        self._relayed += len(together[:room])
        self._queue.put(together[:room])
        self.settle(together[room:], [self._full()] * len(together[room:]))

    # In the thread.

    def take(self, most: int, wait_s: float) -> list[Handed[Work]]:
        """What waits, up to ``most``, without what nobody waits for any more; nothing after ``wait_s`` without work."""
        with suppress(queue.Empty):
            if not self._left and not self.ended:
                self._receive(self._queue.get(timeout=wait_s))
            while len(self._left) < most:
                self._receive(self._queue.get_nowait())
        together = [self._left.popleft() for _ in range(min(most, len(self._left)))]
        self._taken += len(together)
        return [handed for handed in together if not handed.waiter.future.done()]

    def settle(self, handed: Sequence[Handed[Any]], outcomes: Sequence[Outcome]) -> None:
        """Tell who waits, in one turn of the loop."""
        if handed:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle_all, handed, outcomes)

    def _receive(self, together: Sequence[Handed[Work]] | None) -> None:
        if together is None:
            self.ended = True
        else:
            self._left.extend(together)

    def _full(self) -> QueueFullError:
        return QueueFullError(f"{self._limit} are waiting already")


def _settle_all(handed: Sequence[Handed[Any]], outcomes: Sequence[Outcome]) -> None:
    for each, outcome in zip(handed, outcomes, strict=True):
        each.waiter.tell(outcome)
