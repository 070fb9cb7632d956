"""Concurrent requests computed together, in one worker thread, without a timer.

While one batch runs, the next one fills; a request that finds the worker idle is computed at once and alone. The
queue is bounded, waiting is bounded, and who has gone is not computed for. A row that fails does so alone. An answer
may go on to another thread from here, which saves a way through the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import DeadlineError, StoppingError
from service.metrics import Metrics
from service.thread_queue import Handed, Handover

BEAT_S = 1.0
"""How often an idle worker says that it lives."""
STALL_S = 5.0
"""A worker silent for longer is stuck: no batch takes that long."""
STOP_S = 10.0
"""How long a shutdown waits for the worker."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Computed(NamedTuple, Generic[Answer]):
    """An answer, and how long it took."""

    answer: Answer
    queue_ms: float
    compute_ms: float
    """Time of the whole batch that this answer was part of."""


class _Asked(NamedTuple, Generic[Task, Answer]):
    """A task, and what its answer means for the thread after this one."""

    task: Task
    then: Callable[[Answer], Any] | None


class Batcher(Generic[Task, Answer]):
    """Hands tasks from the event loop to one worker thread, batch by batch."""

    def __init__(
        self,
        compute: Callable[[Sequence[Task]], Sequence[Answer]],
        metrics: Metrics,
        *,
        prepare: Callable[[], None],
        onward: Callable[[Sequence[Handed[Any]]], None],
        max_batch: int,
        queue_size: int,
        deadline_s: float,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            compute: answers to tasks, in order; called in the worker thread.
            metrics: where batch sizes and waits are counted.
            prepare: called first in the worker thread.
            onward: called there with what `submit_through` makes of answers; tells who waits of the outcome.
            max_batch: tasks in one call of ``compute``.
            queue_size: tasks that may wait.
            deadline_s: how long one may take here, waiting included.
        """
        self._compute = compute
        self._metrics = metrics
        self._prepare = prepare
        self._onward = onward
        self._max_batch = max_batch
        self._handover: Handover[_Asked[Task, Answer]] = Handover(
            limit=queue_size,
            deadline_s=deadline_s,
            late=lambda: DeadlineError(f"no answer within {deadline_s:g} s"),
        )
        self._worker = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._beat = monotonic()
        self._stopping = False
        metrics.queue_depth.set_function(lambda: self._handover.depth)
        metrics.queue_limit.set(queue_size)

    def start(self) -> None:
        """Start the worker; from the event loop that will submit."""
        self._handover.open()
        self._worker.start()

    async def submit(self, task: Task) -> Computed[Answer]:
        """Wait for the answer to one task.

        Raises:
            QueueFullError: too many wait already.
            DeadlineError: no answer within the deadline.
            StoppingError: `close` was called.
        """
        computed: Computed[Answer] = await self._ask(_Asked(task, None))
        return computed

    async def submit_through(self, task: Task, then: Callable[[Answer], Any]) -> tuple[Computed[Answer], Any]:
        """Wait for the answer to one task, and for what ``onward`` does with what ``then`` makes of it there.

        Raises:
            QueueFullError, DeadlineError, StoppingError: as `submit`.
            Exception: what ``then`` raises, or ``onward`` tells of.
        """
        told: tuple[Computed[Answer], Any] = await self._ask(_Asked(task, then))
        return told

    @property
    def trouble(self) -> str | None:
        """What keeps the worker from answering; None where nothing does."""
        if not self._worker.is_alive():
            return "the worker thread is not running"
        silent_s = monotonic() - self._beat
        return f"the worker thread has been silent for {silent_s:.0f} s" if silent_s > STALL_S else None

    async def close(self) -> None:
        """Answer what waits, with what ``onward`` does for it, then end the worker."""
        self._stopping = True
        self._handover.end()
        await asyncio.to_thread(self._worker.join, STOP_S)
        await self._handover.settled(STOP_S)
        self._handover.close(StoppingError("the service is shutting down"))

    async def _ask(self, asked: _Asked[Task, Answer]) -> Any:
        if self._stopping:
            raise StoppingError("the service is shutting down")
        return await self._handover.ask(asked)

    # In the worker's thread.

    def _run(self) -> None:
        self._prepare()
        while not self._handover.ended:
            self._beat = monotonic()
            while batch := self._handover.take(self._max_batch, BEAT_S):
                self._beat = monotonic()
                self._count(batch)
                self._answer(batch)

    def _count(self, batch: Sequence[Handed[_Asked[Task, Answer]]]) -> None:
        now = monotonic()
        self._metrics.batch_size.observe(len(batch))
        for handed in batch:
            self._metrics.queue_seconds.observe(now - handed.waiter.since)

    def _answer(self, batch: Sequence[Handed[_Asked[Task, Answer]]]) -> None:
        """Compute and deliver; where that fails, each alone, so that a failing row fails none of its neighbours."""
        started = monotonic()
        try:
            answers = self._compute([handed.work.task for handed in batch])
            works = [
                handed.work.then and handed.work.then(answer) for handed, answer in zip(batch, answers, strict=True)
            ]
        except Exception as error:  # whatever it is: it belongs to the request, and the worker lives on
            if len(batch) == 1:
                self._handover.settle(batch, [error])
                return
            for handed in batch:
                self._answer([handed])
            return
        took = monotonic() - started
        self._metrics.compute_seconds.observe(took)
        compute_ms = 1e3 * took
        done = [
            Computed(answer, 1e3 * (started - handed.waiter.since), compute_ms)
            for handed, answer in zip(batch, answers, strict=True)
        ]
        self._deliver(batch, done, works)

    def _deliver(
        self, batch: Sequence[Handed[_Asked[Task, Answer]]], done: Sequence[Computed[Answer]], works: Sequence[Any]
    ) -> None:
        """To the thread after this one what goes there, the rest to who waits."""
        here, there = [], []
        for handed, computed, work in zip(batch, done, works, strict=True):
            if handed.work.then is None:
                here.append((handed, computed))
            else:
                handed.waiter.found = computed
                there.append(Handed(work, handed.waiter))
        self._handover.settle([handed for handed, _ in here], [computed for _, computed in here])
        if there:
            try:
                self._onward(there)
            except Exception as error:  # as above
                self._handover.settle(there, [error] * len(there))
