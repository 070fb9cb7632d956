"""Starts the processes of a service and starts them again.

The supervisor listens on the port and holds the lock of the SQLite file for all; its processes are forks, so that what
they have imported lies in memory once. The first one comes up alone: where it cannot, there is nothing to serve, and
the others take the kind of index that it has found the best. A connection waits in one queue that all take from, so
none is lost with a process that dies. uvicorn's own supervisor was left alone: it starts again what cannot come up,
without a pause, and its processes import everything anew.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType

from structlog.typing import FilteringBoundLogger

from service.errors import ServiceError, StartError
from service.processes.process import Process

BACKOFF_S = (0.1, 0.5, 2.0, 5.0, 15.0)
"""Pauses before a process that did not come up is started again; the last one repeats."""
TICK_S = 0.05
"""Interval of looks at the others while one waits to be started again."""
READY_BYTES = 64
"""Room for the word of a process that is ready: the kind of its index."""


@dataclass(slots=True)
class _Child:
    """One process, as long as it lives."""

    pid: int
    word: int
    """File that its word of being ready is read from."""
    came_up: bool = False
    """Whether that was read."""


class Supervisor:
    """Keeps so many processes running until it is told to end."""

    def __init__(
        self,
        processes: list[Process],
        run: Callable[[Process, str | None], int],
        log: FilteringBoundLogger,
    ) -> None:
        """Nothing runs before `serve`.

        Args:
            processes: what each is given; made in this process.
            run: what each does, until it is told to end; its exit status. Given the kind of index of the first one,
                which itself is given None.
            log: for operators.
        """
        self._processes = processes
        self._run = run
        self._log = log
        self._children: dict[int, _Child] = {}
        """By number."""
        self._failed = [0] * len(processes)
        """How often each has not come up, one time after the other."""
        self._due: dict[int, float] = {}
        """By number: when one that has ended is started again, by the monotonic clock. Nobody else waits for it."""
        self._kind: str | None = None
        self._stopping = False
        self._alive = os.pipe()
        """Its writing end is open as long as the supervisor lives; children read its end."""

    def serve(self) -> int:
        """Serve until SIGTERM or SIGINT, which is handed on to all; a second one as well.

        Returns:
            The exit status: that of the first process where it did not come up, else 0.
        """
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._hand_on)
        self._begin(0)
        if self._stopping and not self._children:
            return 0
        self._kind = self._word(0)
        if self._kind is None:
            return self._end_of(0)
        for number in range(1, len(self._processes)):
            self._begin(number)
        while self._children or (self._due and not self._stopping):
            self._begin_due()
            self._wait()
        return 0

    def _begin(self, number: int) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            if self._stopping:
                return
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                self._live(number, writing, blocked)
            os.close(writing)
            self._children[number] = _Child(pid, reading)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _begin_due(self) -> None:
        for number in [number for number, at in self._due.items() if at <= time.monotonic()]:
            del self._due[number]
            self._begin(number)

    def _wait(self) -> None:
        """Until a process has ended, or for a tick where one is to be started."""
        if self._due:
            time.sleep(TICK_S)
        if self._children:
            pid, status = os.waitpid(-1, os.WNOHANG if self._due else 0)
            if pid:
                self._ended(pid, os.waitstatus_to_exitcode(status))

    def _word(self, number: int) -> str | None:
        """Wait until a process is ready: the kind of its index; None where it has ended without."""
        child = self._children[number]
        kind = os.read(child.word, READY_BYTES).decode()
        child.came_up = child.came_up or bool(kind)
        return kind or None

    def _end_of(self, number: int) -> int:
        _, status = os.waitpid(self._children[number].pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _ended(self, pid: int, status: int) -> None:
        """Let a process that has ended be started again, unless all are to end."""
        number = next((number for number, child in self._children.items() if child.pid == pid), None)
        if number is None:
            return
        self._word(number)
        child = self._children.pop(number)
        os.close(child.word)
        self._processes[number].board.clear(number)
        if self._stopping:
            return
        self._failed[number] = 0 if child.came_up else self._failed[number] + 1
        wait_s = BACKOFF_S[min(self._failed[number], len(BACKOFF_S) - 1)]
        self._log.error("process ended", process=number, status=status, again_in_s=wait_s)
        self._due[number] = time.monotonic() + wait_s

    def _hand_on(self, sign: int, _: FrameType | None) -> None:
        self._stopping = True
        for child in self._children.values():
            os.kill(child.pid, sign)

    def _live(self, number: int, word: int, blocked: set[int | signal.Signals]) -> None:
        """Be one of the processes; never returns."""
        status: object = 1
        try:
            for sign in (signal.SIGTERM, signal.SIGINT):
                signal.signal(sign, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(self._alive[1])
            threading.Thread(target=_end_with, args=(self._alive[0],), name="parent", daemon=True).start()
            process = replace(self._processes[number], ready=lambda kind: _say(word, kind))
            status = self._run(process, self._kind)
        except SystemExit as end:
            status = end.code
        except ServiceError as error:
            sys.stderr.write(f"evenhand: {error}\n")
            status = error.exit_status if isinstance(error, StartError) else StartError.exit_status
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def _say(word: int, kind: str) -> None:
    os.write(word, kind.encode())


def _end_with(parent: int) -> None:
    """End at once when the supervisor is gone: whoever starts the service again needs the port and the database."""
    os.read(parent, 1)
    os._exit(1)
