"""Many independent computations side by side: the same results in the same order for any number of processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TypeVar

from threadpoolctl import threadpool_limits

from measure.errors import WorkerDiedError

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def available() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Processes of one thread each; a single one is this process itself.

    The numeric libraries are held to one thread in either case: with another number they may add up in another order.
    """

    def __init__(self, count: int) -> None:
        """Take how many processes to use; they start with the first work."""
        self._pool: ProcessPoolExecutor | None = None
        self._ahead = 2 * count
        if count > 1:
            fresh = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch and BLAS
            self._pool = ProcessPoolExecutor(count, mp_context=fresh, initializer=_begin)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(
        self,
        function: Callable[[Argument], Result],
        arguments: Iterable[Argument],
        step: Callable[[], None] = lambda: None,
    ) -> list[Result]:
        """Apply ``function``, a module's own, to every argument.

        Args:
            function: what it takes and gives is pickled where there are several processes.
            arguments: taken one by one, while earlier ones are being worked on.
            step: called after each, in order.

        Raises:
            WorkerDiedError: a process died.
        """
        results: list[Result] = []
        try:
            for done in self._done(function, arguments):
                results.append(done)
                step()
        except BrokenProcessPool:
            raise WorkerDiedError from None
        return results

    def _done(self, function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """Results in order; so many arguments are made ahead that no process waits for one."""
        if self._pool is None:
            yield from (_one_thread(function, argument) for argument in arguments)
            return
        waiting: deque[Future[Result]] = deque()
        for argument in arguments:
            waiting.append(self._pool.submit(_one_thread, function, argument))
            if len(waiting) > self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _one_thread(function: Callable[[Argument], Result], argument: Argument) -> Result:
    with threadpool_limits(1):
        return function(argument)


def _begin() -> None:
    """Called first in each process: ignore SIGINT, which the parent handles; end when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)
