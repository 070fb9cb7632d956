"""Requests computed together: bounded, isolated, in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.errors import DeadlineError, QueueFullError, StoppingError
from service.metrics import Metrics
from service.recommend import batcher as module
from service.recommend.batcher import Batcher
from service.stages import Stage
from service.thread_queue import Queued, ThreadQueue


class Bench:
    """A batcher whose worker waits for `gate` and notes what it computes."""

    def __init__(self, **limits: Any) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []
        self.relayed: list[Queued[Any]] = []
        self.metrics = Metrics()
        options = {"max_batch": 64, "queue_size": 100, "deadline_s": 20.0, "prepare": lambda: None} | limits
        self.relay: Callable[[Sequence[Queued[Any]]], object] = self.relayed.extend
        options["pass_on"] = lambda queued: self.relay(queued)
        self.batcher: Batcher[int, int] = Batcher(self.compute, self.metrics, **options)

    def compute(self, tasks: Sequence[int], stages: list[Stage]) -> list[int]:
        self.gate.wait(10)
        self.batches.append(list(tasks))
        if 13 in tasks:
            raise ArithmeticError("thirteen")
        stages.append(Stage("square", 1.0, 2.0))
        return [task * task for task in tasks]

    async def answer(self, task: int) -> int:
        return (await self.batcher.submit(task)).answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        self.batcher.start()
        try:
            yield self
        finally:
            self.gate.set()
            await self.batcher.close()

    async def occupied(self) -> asyncio.Task[int]:
        """Make the worker busy with task 0."""
        first = asyncio.create_task(self.answer(0))
        while not self.busy:
            await asyncio.sleep(0.001)
        return first

    @property
    def busy(self) -> bool:
        return self.metrics.registry.get_sample_value("evenhand_batch_size_count") == 1


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_what_comes_while_one_batch_runs_is_the_next_batch():
    async def story() -> None:
        async with Bench().running() as bench:
            first = await bench.occupied()
            rest = [asyncio.create_task(bench.answer(task)) for task in (1, 2, 3)]
            await asyncio.sleep(0)
            bench.gate.set()

            assert await asyncio.gather(first, *rest) == [0, 1, 4, 9]
            assert bench.batches == [[0], [1, 2, 3]]

    run(story)


def test_a_batch_is_never_larger_than_allowed():
    async def story() -> None:
        async with Bench(max_batch=4).running() as bench:
            bench.gate.set()

            assert await asyncio.gather(*map(bench.answer, range(10))) == [task * task for task in range(10)]
            assert max(map(len, bench.batches)) <= 4

    run(story)


def test_one_request_more_than_the_queue_holds_is_refused():
    async def story() -> None:
        async with Bench(queue_size=2).running() as bench:
            first = await bench.occupied()
            waiting = [asyncio.create_task(bench.answer(task)) for task in (1, 2)]
            await asyncio.sleep(0)

            with pytest.raises(QueueFullError) as refused:
                await bench.answer(3)

            assert refused.value.headers == {"retry-after": "1"}
            bench.gate.set()
            assert await asyncio.gather(first, *waiting) == [0, 1, 4]

    run(story)


def test_who_waits_beyond_the_deadline_is_told_so_and_not_computed_for():
    async def story() -> None:
        async with Bench(deadline_s=0.05).running() as bench:
            first = await bench.occupied()
            with pytest.raises(DeadlineError, match=r"0\.05 s"):
                await bench.answer(1)
            with pytest.raises(DeadlineError):
                await first
            bench.gate.set()

            assert await bench.answer(2) == 4
            assert bench.batches == [[0], [2]]

    run(story)


def test_who_has_gone_is_not_computed_for():
    async def story() -> None:
        async with Bench().running() as bench:
            first = await bench.occupied()
            gone, stays = (asyncio.create_task(bench.answer(task)) for task in (1, 2))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
            bench.gate.set()

            assert await asyncio.gather(first, stays) == [0, 4]
            assert bench.batches == [[0], [2]]

    run(story)


def test_a_failing_row_fails_alone():
    async def story() -> None:
        async with Bench().running() as bench:
            first = await bench.occupied()
            rows = [asyncio.create_task(bench.answer(task)) for task in (1, 13, 3)]
            await asyncio.sleep(0)
            bench.gate.set()

            one, thirteen, three = await asyncio.gather(*rows, return_exceptions=True)

            assert (await first, one, three) == (0, 1, 9)
            assert isinstance(thirteen, ArithmeticError)
            assert bench.batcher.trouble is None

    run(story)


def test_a_worker_that_is_stuck_or_gone_is_noticed(monkeypatch):
    async def story() -> None:
        monkeypatch.setattr(module, "STALL_S", 0.05)
        bench = Bench()
        assert "not running" in str(bench.batcher.trouble)
        async with bench.running():
            first = await bench.occupied()
            await asyncio.sleep(0.1)
            assert "silent" in str(bench.batcher.trouble)
            bench.gate.set()
            await first
        assert "not running" in str(bench.batcher.trouble)

    run(story)


def test_an_idle_worker_keeps_saying_that_it_lives(monkeypatch):
    async def story() -> None:
        monkeypatch.setattr(module, "BEAT_S", 0.01)
        monkeypatch.setattr(module, "STALL_S", 1.0)
        async with Bench().running() as bench:
            await asyncio.sleep(1.2)
            assert bench.batcher.trouble is None

    run(story)


def test_closing_answers_what_waits_and_refuses_what_comes():
    async def story() -> None:
        bench = Bench()
        async with bench.running():
            first = await bench.occupied()
            waiting = asyncio.create_task(bench.answer(5))
            await asyncio.sleep(0)

        assert (await first, await waiting) == (0, 25)
        with pytest.raises(StoppingError):
            await bench.answer(6)

    run(story)


def test_an_answer_goes_on_to_the_next_thread_and_is_told_with_what_becomes_of_it():
    async def story() -> None:
        async with Bench().running() as bench:
            bench.gate.set()
            waiting = asyncio.ensure_future(bench.batcher.submit_then(5, lambda answer: f"record of {answer}"))
            while not bench.relayed:
                await asyncio.sleep(0.001)
            (queued,) = bench.relayed

            assert queued.work == "record of 25"
            assert not waiting.done()  # before the next thread has said what became of it
            queued.waiter.tell("written")

            computed, outcome = await waiting
            assert (computed.answer, outcome) == (25, "written")
            assert computed.stages == [Stage("square", 1.0, 2.0)]
            assert computed.asked <= computed.started <= computed.ended
            assert await bench.answer(3) == 9  # others go no further
            assert len(bench.relayed) == 1

    run(story)


def test_a_row_whose_answer_cannot_go_on_fails_alone():
    async def story() -> None:
        async with Bench().running() as bench:
            first = await bench.occupied()
            failing = asyncio.ensure_future(bench.batcher.submit_then(2, lambda answer: 1 // (answer - 4)))
            neighbour = asyncio.create_task(bench.answer(3))
            await asyncio.sleep(0)
            bench.gate.set()

            assert await asyncio.gather(first, neighbour) == [0, 9]
            with pytest.raises(ZeroDivisionError):
                await failing
            assert bench.relayed == []
            assert bench.batcher.trouble is None

    run(story)


def test_closing_waits_for_the_thread_that_answers_went_on_to():
    async def story() -> None:
        bench = Bench()
        loop = asyncio.get_running_loop()
        bench.relay = lambda queued: loop.call_soon_threadsafe(loop.call_later, 0.05, queued[0].waiter.tell, "written")
        async with bench.running():
            bench.gate.set()
            waiting = asyncio.ensure_future(bench.batcher.submit_then(5, str))
            await asyncio.sleep(0.01)

        assert (await waiting)[1] == "written"

    run(story)


def test_a_next_thread_that_takes_nothing_ends_no_worker():
    async def story() -> None:
        bench = Bench()

        def refuse(_: object) -> None:
            raise OSError("no room")

        bench.relay = refuse
        async with bench.running():
            bench.gate.set()
            refused, answer = await asyncio.gather(
                bench.batcher.submit_then(5, str), bench.batcher.submit(3), return_exceptions=True
            )

            assert isinstance(refused, OSError)
            assert answer.answer == 9
            assert await bench.answer(4) == 16

    run(story)


def test_who_has_gone_meanwhile_is_not_in_what_the_next_thread_takes():
    async def story() -> None:
        writer: ThreadQueue[str] = ThreadQueue(limit=10, deadline_s=5.0, late=TimeoutError)
        writer.open()
        bench = Bench()
        bench.relay = writer.take_over
        async with bench.running():
            bench.gate.set()
            gone, stays = (asyncio.ensure_future(bench.batcher.submit_then(task, str)) for task in (2, 3))
            while writer.depth < 2:
                await asyncio.sleep(0.001)
            gone.cancel()
            await asyncio.sleep(0)

            (queued,) = writer.take(4, 1.0)
            assert queued.work == "9"
            writer.settle([queued], ["written"])
            assert (await stays)[1] == "written"
        writer.close(RuntimeError())

    run(story)
