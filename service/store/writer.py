"""Group commit: one thread makes every SQL write of the process, and many writes share one transaction.

While one transaction commits, the next group fills; there is no timer. A group is one transaction: the changes in it
(each behind a savepoint of its own), then a look at what others have changed in the database since the last group,
then the records of those answers that are not stale by now. Waiters hear of success after the commit and never before.

While the database is lost or full, all waiting and all new writes fail at once, and the thread tries by itself, at
the intervals `BACKOFF_S`, until it can write again. A commit with an unknown outcome is reported as failed and
is not repeated: the log may then hold a list that nobody got, but each answered list is in the log, and none twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from service.errors import StoppingError
from service.store.database import Database, Transaction, complaint, is_unstorable, is_wrong_row
from service.store.errors import StoreUnavailableError, UnstorableError
from service.store.group_commit import GroupCommit, Turn, Write
from service.store.pseudonym import Pseudonyms
from service.store.record import LogRecord
from service.store.state_cache import StateCache
from service.thread_queue import Outcome, Queued, ThreadQueue

BEAT_S = 0.5
"""Interval at which an idle writer looks for others' changes, and reports that it is alive."""
STALL_S = 2.0
"""A writer silent for longer is stuck, and nothing new is given to it."""
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits between attempts to write again; the last one repeats."""
STOP_S = 15.0
"""How long a shutdown waits for the queued writes."""

Result = TypeVar("Result")


class Writer:
    """Gives writes to one thread, group by group; they come from the event loop and from the recommender's worker."""

    def __init__(
        self,
        database: Database,
        known: StateCache,
        pseudonyms: Pseudonyms,
        *,
        queue_size: int,
        deadline_s: float,
        max_group: int,
        observe: Callable[[int, float], None] | None = None,
        turn: Turn = nullcontext,
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
            turn: held by one process at a time while it writes.
        """
        self._group = GroupCommit(database, known, pseudonyms, turn)
        self._max_group = max_group
        self.observe = observe
        self._queue: ThreadQueue[Write] = ThreadQueue(
            limit=queue_size,
            deadline_s=deadline_s,
            late=lambda: StoreUnavailableError(f"no commit within {deadline_s:g} s"),
        )
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._stop = threading.Event()
        self._stopping = False
        self._problem: str | None = None
        self._beat = monotonic()

    def start(self) -> None:
        """Start the thread. Call it in the event loop that will submit."""
        self._queue.open()
        self._thread.start()

    async def log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        """Make records of answers durable, all in one transaction.

        Returns:
            Places in ``records`` of those that were *not* written, because their user's state or the hidden items have
            changed since; `StateCache` has the present state by now, so compute these again. Empty: all are durable.

        Raises:
            StoreUnavailableError: the database is lost or full, or took too long.
            QueueFullError: too many writes wait already.
            StoppingError: `close` was called.
            UnstorableError: a record holds a text that cannot be stored.
        """
        stale: frozenset[int] = await self._submit(Write(records=records))
        return stale

    def log_from_worker(self, records: Sequence[Queued[LogRecord]]) -> None:
        """Queue records from the recommender's worker thread; resolve each waiter as `log` does."""
        if (refusal := self._refusal()) is not None:
            self._queue.settle(records, [refusal] * len(records))
        else:
            self._queue.take_over([Queued(Write(records=(queued.work,)), queued.waiter) for queued in records])

    async def change(self, change: Callable[[Transaction], Result]) -> Result:
        """Make one change durable; `StateCache` has it when this returns.

        Raises:
            StoreUnavailableError, QueueFullError, StoppingError, UnstorableError: as `log` does.
            Exception: raised by ``change``; nothing of it is written then.
        """
        result: Result = await self._submit(Write(change=change))
        return result

    def wake(self) -> None:
        """Look for others' changes now and not at the next beat. Call it in the event loop."""
        self._queue.wake()

    @property
    def trouble(self) -> str | None:
        """Why writes cannot become durable; None where they can."""
        silent_s = monotonic() - self._beat
        if silent_s > BEAT_S and not self._thread.is_alive():  # a look at the thread costs as much as a write
            return "the store's writer is not running"
        return self._problem or (f"the database has not answered for {silent_s:.0f} s" if silent_s > STALL_S else None)

    @property
    def depth(self) -> int:
        """Writes that wait."""
        return self._queue.depth

    async def close(self) -> None:
        """Write the waiting writes, then end the thread."""
        self._stopping = True
        self._stop.set()
        self._queue.end()
        await asyncio.to_thread(self._thread.join, STOP_S)
        self._queue.close(StoppingError("the service is shutting down"))

    async def _submit(self, write: Write) -> Any:
        if (refusal := self._refusal()) is not None:
            raise refusal
        return await self._queue.ask(write)

    def _refusal(self) -> Exception | None:
        """Why no write is accepted at this moment; None where it is."""
        if self._stopping:
            return StoppingError("the service is shutting down")
        return None if (trouble := self.trouble) is None else StoreUnavailableError(trouble)

    # In the writer's thread.

    def _run(self) -> None:
        try:
            while not self._queue.ended:
                self._beat = monotonic()
                # An empty group looks for others' changes.
                self._write(self._queue.take(self._max_group, BEAT_S))
                if self._problem is not None:
                    self._recover()
            while rest := self._queue.take(self._max_group, 0):
                self._write(rest)
        finally:
            self._group.close()

    def _write(self, group: Sequence[Queued[Write]]) -> None:
        """Write a group and tell its waiters; where one row is to blame, write each write by itself."""
        started = monotonic()
        try:
            outcomes = self._group.commit([queued.work for queued in group])
        except Exception as error:  # of any kind: it belongs to the waiters, and the thread lives on
            if not is_wrong_row(error):
                self._problem = complaint(error)
                self._queue.settle(group, [StoreUnavailableError(self._problem)] * len(group))
            elif len(group) > 1:
                for queued in group:
                    self._write([queued])
            else:
                self._queue.settle(group, [UnstorableError() if is_unstorable(error) else error] * len(group))
            return
        if self.observe is not None and group:
            self.observe(len(group), monotonic() - started)
        self._queue.settle(group, outcomes)

    def _recover(self) -> None:
        """Fail all waiting writes until a write succeeds again."""
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
        while waiting := self._queue.take(self._max_group, 0):
            refused: list[Outcome] = [StoreUnavailableError(self._problem or "the database is lost")] * len(waiting)
            self._queue.settle(waiting, refused)
