"""Computes concurrent requests in batches, in one worker thread, without a timer.

While one batch runs, the next one fills; a request that finds the worker idle is computed at once and alone. The queue
and the waiting time are bounded, and cancelled requests are not computed. A row that fails does not fail its batch. The
worker may pass the result of an answer on to another thread, which avoids a round trip through the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import DeadlineError, StoppingError
from service.metrics import Metrics
from service.stages import Stage
from service.thread_queue import Queued, ThreadQueue

BEAT_S = 1.0
"""How often an idle worker says that it lives."""
STALL_S = 5.0
"""A worker silent for longer is stuck: no batch takes that long."""
STOP_S = 10.0
"""How long a shutdown waits for the worker."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Computed(NamedTuple, Generic[Answer]):
    """An answer, and when it was made: `monotonic` seconds."""

    answer: Answer
    asked: float
    started: float
    """When the whole batch that this answer was part of left the queue."""
    ended: float
    stages: Sequence[Stage]
    """Of that batch."""

    @property
    def queue_ms(self) -> float:
        """Time that the task waited."""
        return 1e3 * (self.started - self.asked)

    @property
    def compute_ms(self) -> float:
        """Time of the whole batch."""
        return 1e3 * (self.ended - self.started)


class _Asked(NamedTuple, Generic[Task, Answer]):
    """A task, and the worker's next step after its answer."""

    task: Task
    then: Callable[[Answer], Any] | None
    """Makes the work that is passed on to the next thread; None where the answer goes back at once."""


class Batcher(Generic[Task, Answer]):
    """Gives tasks of the event loop to one worker thread, batch by batch."""

    def __init__(
        self,
        compute: Callable[[Sequence[Task], list[Stage]], Sequence[Answer]],
        metrics: Metrics,
        *,
        prepare: Callable[[], None],
        pass_on: Callable[[Sequence[Queued[Any]]], None],
        max_batch: int,
        queue_size: int,
        deadline_s: float,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            compute: answers to tasks, in order, and adds the stages that it went through; called in the worker thread.
            metrics: where batch sizes and waits are counted.
            prepare: called first in the worker thread.
            pass_on: called there with the results of `submit_then`; passes them to a thread that tells their waiters.
            max_batch: tasks in one call of ``compute``.
            queue_size: tasks that may wait.
            deadline_s: how long a task may take here, waiting included.
        """
        self._compute = compute
        self._metrics = metrics
        self._prepare = prepare
        self._pass_on = pass_on
        self._max_batch = max_batch
        self._queue: ThreadQueue[_Asked[Task, Answer]] = ThreadQueue(
            limit=queue_size,
            deadline_s=deadline_s,
            late=lambda: DeadlineError(f"no answer within {deadline_s:g} s"),
        )
        self._worker = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._beat = monotonic()
        self._stopping = False
        metrics.queue_depth.set_function(lambda: self._queue.depth)
        metrics.queue_limit.set(queue_size)

    def start(self) -> None:
        """Start the worker. Call it in the event loop that will submit."""
        self._queue.open()
        self._worker.start()

    def submit(self, task: Task) -> asyncio.Future[Computed[Answer]]:
        """The answer to one task, to be awaited.

        Raises:
            QueueFullError: too many wait already.
            DeadlineError: no answer within the deadline; where it is awaited.
            StoppingError: `close` was called.
        """
        return self._ask(_Asked(task, None))

    def submit_then(self, task: Task, then: Callable[[Answer], Any]) -> asyncio.Future[tuple[Computed[Answer], Any]]:
        """The answer to one task, and the outcome of the work that ``then`` makes of it, to be awaited.

        The worker calls ``then(answer)`` and passes the result on; the next thread reports the outcome.

        Raises:
            QueueFullError, DeadlineError, StoppingError: as `submit`.
            Exception: raised by ``then``, or the outcome; where it is awaited.
        """
        return self._ask(_Asked(task, then))

    @property
    def trouble(self) -> str | None:
        """Why the worker does not answer; None where it does."""
        if not self._worker.is_alive():
            return "the worker thread is not running"
        silent_s = monotonic() - self._beat
        return f"the worker thread has been silent for {silent_s:.0f} s" if silent_s > STALL_S else None

    async def close(self) -> None:
        """Answer the waiting tasks, the next thread's work included, then end the worker."""
        self._stopping = True
        self._queue.end()
        await asyncio.to_thread(self._worker.join, STOP_S)
        await self._queue.settled(STOP_S)
        self._queue.close(StoppingError("the service is shutting down"))

    def _ask(self, asked: _Asked[Task, Answer]) -> asyncio.Future[Any]:
        if self._stopping:
            raise StoppingError("the service is shutting down")
        return self._queue.ask(asked)

    # In the worker's thread.

    def _run(self) -> None:
        self._prepare()
        while not self._queue.ended:
            self._beat = monotonic()
            while batch := self._queue.take(self._max_batch, BEAT_S):
                self._beat = monotonic()
                self._count(batch)
                self._answer(batch)

    def _count(self, batch: Sequence[Queued[_Asked[Task, Answer]]]) -> None:
        now = monotonic()
        self._metrics.batch_size.observe(len(batch))
        for queued in batch:
            self._metrics.queue_seconds.observe(now - queued.waiter.since)

    def _answer(self, batch: Sequence[Queued[_Asked[Task, Answer]]]) -> None:
        """Compute and deliver a batch; after a failure each row alone, so that a failing row fails no other."""
        started = monotonic()
        stages: list[Stage] = []
        try:
            answers = self._compute([queued.work.task for queued in batch], stages)
            works = [
                queued.work.then and queued.work.then(answer) for queued, answer in zip(batch, answers, strict=True)
            ]
        except Exception as error:  # of any kind: it belongs to the request, and the worker lives on
            if len(batch) == 1:
                self._queue.settle(batch, [error])
                return
            for queued in batch:
                self._answer([queued])
            return
        ended = monotonic()
        self._metrics.compute_seconds.observe(ended - started)
        done = [
            Computed(answer, queued.waiter.since, started, ended, stages)
            for queued, answer in zip(batch, answers, strict=True)
        ]
        self._deliver(batch, done, works)

    def _deliver(
        self, batch: Sequence[Queued[_Asked[Task, Answer]]], done: Sequence[Computed[Answer]], works: Sequence[Any]
    ) -> None:
        """Pass the results of ``then`` on; resolve the other waiters here."""
        here, there = [], []
        for queued, computed, work in zip(batch, done, works, strict=True):
            if queued.work.then is None:
                here.append((queued, computed))
            else:
                queued.waiter.found = computed
                there.append(Queued(work, queued.waiter))
        self._queue.settle([queued for queued, _ in here], [computed for _, computed in here])
        if there:
            try:
                self._pass_on(there)
            except Exception as error:  # as above
                self._queue.settle(there, [error] * len(there))
