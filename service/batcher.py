"""Concurrent requests computed together, in one worker thread, without a timer.

While one batch runs, the next one fills; a request that finds the worker idle is computed at once and alone. The
queue is bounded, waiting is bounded, and who has gone is not computed for. A row that fails does so alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from service.errors import DeadlineError, QueueFullError, StoppingError
from service.metrics import Metrics

BEAT_S = 1.0
"""How often an idle worker says that it lives."""
STALL_S = 5.0
"""A worker silent for longer is stuck: no batch takes that long."""
STOP_S = 10.0
"""How long a shutdown waits for the worker."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Computed(Generic[Answer]):
    """An answer, and how long it took."""

    answer: Answer
    queue_ms: float
    compute_ms: float
    """Time of the whole batch that this answer was part of."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[Task, Answer]):
    task: Task
    future: asyncio.Future[Computed[Answer]]
    queued: float


class Batcher(Generic[Task, Answer]):
    """Hands tasks from the event loop to one worker thread, batch by batch."""

    def __init__(
        self,
        compute: Callable[[Sequence[Task]], Sequence[Answer]],
        metrics: Metrics,
        *,
        prepare: Callable[[], None],
        max_batch: int,
        queue_size: int,
        deadline_s: float,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            compute: answers to tasks, in order; called in the worker thread.
            metrics: where batch sizes and waits are counted.
            prepare: called first in the worker thread.
            max_batch: tasks in one call of ``compute``.
            queue_size: tasks that may wait.
            deadline_s: how long one may take, waiting included.
        """
        self._compute = compute
        self._metrics = metrics
        self._prepare = prepare
        self._max_batch = max_batch
        self._queue_size = queue_size
        self._deadline_s = deadline_s
        self._jobs: queue.SimpleQueue[_Job[Task, Answer] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._beat = monotonic()
        self._stopping = False
        metrics.queue_depth.set_function(self._jobs.qsize)
        metrics.queue_limit.set(queue_size)

    def start(self) -> None:
        """Start the worker; from the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._worker.start()

    async def submit(self, task: Task) -> Computed[Answer]:
        """Wait for the answer to one task.

        Raises:
            QueueFullError: too many wait already.
            DeadlineError: no answer within the deadline.
            StoppingError: `close` was called.
        """
        if self._stopping:
            raise StoppingError("the service is shutting down")
        if self._jobs.qsize() >= self._queue_size:
            raise QueueFullError(f"{self._queue_size} requests are waiting already")
        future: asyncio.Future[Computed[Answer]] = self._loop.create_future()
        alarm = self._loop.call_later(self._deadline_s, self._give_up, future)
        self._jobs.put(_Job(task, future, monotonic()))
        try:
            return await future
        finally:
            alarm.cancel()

    @property
    def trouble(self) -> str | None:
        """What keeps the worker from answering; None where nothing does."""
        if not self._worker.is_alive():
            return "the worker thread is not running"
        silent_s = monotonic() - self._beat
        return f"the worker thread has been silent for {silent_s:.0f} s" if silent_s > STALL_S else None

    async def close(self) -> None:
        """Answer what waits, then end the worker."""
        self._stopping = True
        self._jobs.put(None)
        await asyncio.to_thread(self._worker.join, STOP_S)

    def _give_up(self, future: asyncio.Future[Computed[Answer]]) -> None:
        if not future.done():
            future.set_exception(DeadlineError(f"no answer within {self._deadline_s:g} s"))

    def _run(self) -> None:
        self._prepare()
        while True:
            self._beat = monotonic()
            batch = self._next_batch()
            # A future is only looked at here; every change to it is made in the event loop.
            waiting = [job for job in batch if job is not None and not job.future.done()]
            if waiting:
                self._count(waiting)
                self._answer(waiting)
            if None in batch:
                return

    def _next_batch(self) -> list[_Job[Task, Answer] | None]:
        """What waits, nothing after `BEAT_S` without a job; None among them is the call to end."""
        try:
            batch = [self._jobs.get(timeout=BEAT_S)]
        except queue.Empty:
            return []
        with suppress(queue.Empty):
            while len(batch) < self._max_batch:
                batch.append(self._jobs.get_nowait())
        return batch

    def _count(self, jobs: Sequence[_Job[Task, Answer]]) -> None:
        now = monotonic()
        self._metrics.batch_size.observe(len(jobs))
        for job in jobs:
            self._metrics.queue_seconds.observe(now - job.queued)

    def _answer(self, jobs: Sequence[_Job[Task, Answer]]) -> None:
        """Compute and deliver; where that fails, each alone, so that a failing row fails none of its neighbours."""
        started = monotonic()
        try:
            answers = self._compute([job.task for job in jobs])
        except Exception as error:  # whatever it is: it belongs to the request, and the worker lives on
            if len(jobs) == 1:
                self._loop.call_soon_threadsafe(_fail, jobs[0].future, error)
                return
            for job in jobs:
                self._answer([job])
            return
        took = monotonic() - started
        self._metrics.compute_seconds.observe(took)
        compute_ms = 1e3 * took
        done = [
            (job.future, Computed(answer, 1e3 * (started - job.queued), compute_ms))
            for job, answer in zip(jobs, answers, strict=True)
        ]
        self._loop.call_soon_threadsafe(_deliver, done)


def _deliver(done: Sequence[tuple[asyncio.Future[Computed[Answer]], Computed[Answer]]]) -> None:
    for future, answer in done:
        if not future.done():
            future.set_result(answer)


def _fail(future: asyncio.Future[Computed[Answer]], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
