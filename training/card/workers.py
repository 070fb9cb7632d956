"""Many independent computations side by side: the same results in the same order for any number of processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from training.errors import EvaluationError

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
        if count > 1:
            fresh = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch and BLAS
            self._pool = ProcessPoolExecutor(count, mp_context=fresh, initializer=_leave_interrupts_to_the_parent)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(
        self, function: Callable[[Argument], Result], arguments: Iterable[Argument], total: int, title: str
    ) -> list[Result]:
        """Apply ``function``, a module's own, to every argument.

        Args:
            function: what it takes and gives is pickled where there are several processes.
            arguments: taken one by one, while earlier ones are being worked on.
            total: how many there are, for the progress bar.
            title: of the progress bar.

        Raises:
            EvaluationError: a process died.
        """
        with tqdm(total=total, desc=title, unit="row", disable=None) as bar:
            if self._pool is None:
                results = []
                for argument in arguments:
                    results.append(_one_thread(function, argument))
                    bar.update()
                return results

            def submit(pool: ProcessPoolExecutor, argument: Argument) -> Future[Result]:
                future = pool.submit(_one_thread, function, argument)
                future.add_done_callback(lambda _: bar.update())
                return future

            try:
                return [future.result() for future in [submit(self._pool, argument) for argument in arguments]]
            except BrokenProcessPool:
                raise EvaluationError("a worker process died, perhaps for lack of memory: use fewer workers") from None


def _one_thread(function: Callable[[Argument], Result], argument: Argument) -> Result:
    with threadpool_limits(1):
        return function(argument)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
