"""Group commit: one thread makes every SQL write of the process, and many writes share one transaction.

While one transaction commits, the next group fills; there is no timer. A group is one transaction: the changes in it
(each behind a savepoint of its own), then what has changed in the database since this process last looked, then the
records of answers that this does not make stale. Whoever waits hears of success after the commit and at no other time.

Where the database is lost or full, everything that waits and everything new fails at once, and the thread tries by
itself, at least every `BACKOFF_S`, until it could write again. A commit whose outcome is unknown is reported as failed
and not repeated: the log may then hold a list that was not answered, never an answer that it does not hold, and none
twice.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from service.errors import QueueFullError, StoppingError
from service.store.database import Database, Transaction, complaint, is_unstorable, is_wrong_row
from service.store.errors import StoreUnavailableError, UnstorableError
from service.store.group import GroupCommit, Outcome, Write
from service.store.known import Known
from service.store.pseudonym import Pseudonyms
from service.store.record import LogRecord

BEAT_S = 0.5
"""How often an idle writer looks for what others changed, and says that it lives."""
STALL_S = 2.0
"""A writer silent for longer is stuck, and nothing new is given to it."""
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits between attempts to write again; the last one repeats."""
SWEEP_S = 0.1
"""How often the event loop looks for writes that take too long."""
STOP_S = 15.0
"""How long a shutdown waits for what is queued."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Job:
    """One write, and who waits for it."""

    future: asyncio.Future[Any]
    write: Write


class Writer:
    """Hands writes from the event loop to one thread, group by group."""

    def __init__(
        self,
        database: Database,
        known: Known,
        pseudonyms: Pseudonyms,
        *,
        queue_size: int,
        deadline_s: float,
        max_group: int,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            database: where to write.
            known: kept current.
            pseudonyms: how users are written in the log.
            queue_size: writes that may wait.
            deadline_s: how long one may take, waiting included.
            max_group: writes in one transaction.
            observe: told of every commit: writes in it, seconds it took.
        """
        self._group = GroupCommit(database, known, pseudonyms)
        self._queue_size = queue_size
        self._deadline_s = deadline_s
        self._max_group = max_group
        self.observe = observe
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._stop = threading.Event()
        self._stopping = False
        self._problem: str | None = None
        self._beat = monotonic()

    def start(self) -> None:
        """Start the thread; from the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._nothing = Job(self._loop.create_future(), Write())
        self._nothing.future.set_result(None)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self._thread.start()

    async def log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        """Make records of answers durable, all in one transaction.

        Returns:
            Places in ``records`` of those that were *not* written, because their user's state or the hidden items have
            changed since; `Known` has the present state by now, so compute those again. Empty: all are durable.

        Raises:
            StoreUnavailableError: the database is lost or full, or took too long.
            QueueFullError: too many writes wait already.
            StoppingError: `close` was called.
            UnstorableError: a record holds a text that cannot be stored.
        """
        stale: frozenset[int] = await self._submit(Write(records=records))
        return stale

    async def change(self, change: Callable[[Transaction], Result]) -> Result:
        """Make one change durable; by its return `Known` has it.

        Raises:
            StoreUnavailableError, QueueFullError, StoppingError, UnstorableError: as `log` does.
            Exception: what ``change`` raises; nothing of it is written then.
        """
        result: Result = await self._submit(Write(change=change))
        return result

    def wake(self) -> None:
        """Look now, and not at the next beat, for what others have changed; from the event loop."""
        if not self._jobs.qsize():  # whatever waits there looks as well
            self._jobs.put(self._nothing)

    @property
    def trouble(self) -> str | None:
        """What keeps writes from becoming durable; None where nothing does."""
        if not self._thread.is_alive():
            return "the store's writer is not running"
        silent_s = monotonic() - self._beat
        return self._problem or (f"the database has not answered for {silent_s:.0f} s" if silent_s > STALL_S else None)

    @property
    def depth(self) -> int:
        """Writes that wait."""
        return self._jobs.qsize()

    async def close(self) -> None:
        """Write what waits, then end the thread."""
        self._stopping = True
        self._stop.set()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, STOP_S)
        self._sweeper.cancel()
        for _, future in self._waiting:
            _settle(future, StoppingError("the service is shutting down"))

    # In the event loop.

    async def _submit(self, write: Write) -> Any:
        if self._stopping:
            raise StoppingError("the service is shutting down")
        if (trouble := self.trouble) is not None:
            raise StoreUnavailableError(trouble)
        if self._jobs.qsize() >= self._queue_size:
            raise QueueFullError(f"{self._queue_size} writes are waiting already")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._deadline_s, future))
        self._jobs.put(Job(future, write))
        return await future

    def _sweep(self) -> None:
        """Forget what is done, give up what is late. Oldest first: all have the same time."""
        now = self._loop.time()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _settle(self._waiting.popleft()[1], StoreUnavailableError(f"no commit within {self._deadline_s:g} s"))
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    # In the writer's thread.

    def _run(self) -> None:
        try:
            while True:
                self._beat = monotonic()
                group = self._next_group()
                # A future is only looked at here; every change to it is made in the event loop.
                self._write([job for job in group if job is not None and not job.future.done()])
                if None in group:
                    return
                if self._problem is not None:
                    self._recover()
        finally:
            self._group.close()

    def _next_group(self) -> list[Job | None]:
        """What waits; nothing after `BEAT_S` without a write; None among them is the call to end."""
        try:
            group = [self._jobs.get(timeout=BEAT_S)]
        except queue.Empty:
            return []
        with suppress(queue.Empty):
            while len(group) < self._max_group and group[-1] is not None:
                group.append(self._jobs.get_nowait())
        return group

    def _write(self, jobs: Sequence[Job]) -> None:
        """Write a group and say how it went; where one row is to blame, each job by itself."""
        started = monotonic()
        try:
            outcomes = self._group.commit([job.write for job in jobs])
        except Exception as error:  # whatever it is: it belongs to who waits, and the thread lives on
            if not is_wrong_row(error):
                self._problem = complaint(error)
                self._deliver(jobs, [StoreUnavailableError(self._problem)] * len(jobs))
            elif len(jobs) > 1:
                for job in jobs:
                    self._write([job])
            else:
                self._deliver(jobs, [UnstorableError() if is_unstorable(error) else error] * len(jobs))
            return
        if self.observe is not None and jobs:
            self.observe(len(jobs), monotonic() - started)
        self._deliver(jobs, outcomes)

    def _recover(self) -> None:
        """Fail what waits until something could be written again."""
        attempt = 0
        while not self._stop.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]):
            self._beat = monotonic()
            attempt += 1
            self._refuse_all()
            try:
                self._group.probe()
            except SQLAlchemyError as error:
                self._group.close()
                self._problem = complaint(error)
            else:
                self._problem = None
                return
        self._refuse_all()

    def _refuse_all(self) -> None:
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)
                    return
                self._deliver([job], [StoreUnavailableError(self._problem or "the database is lost")])

    def _deliver(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        if jobs:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle_all, jobs, outcomes)


def _settle_all(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        _settle(job.future, outcome)


def _settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
