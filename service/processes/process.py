"""One of the processes of a service, and what it shares with the others."""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.processes.accepting import Accepting
from service.processes.board import Board
from service.processes.scrape import Scrape
from service.processes.windows import SharedWindows
from service.rate_limits import OwnWindows, Windows
from service.store import ProcessLock


@dataclass(frozen=True, slots=True)
class Process:
    """This process. By default the only one."""

    number: int = 0
    """Counted from 0. The first one also does what must be done once: audit runs, upkeep, the metrics' own port."""
    windows: Windows = field(default_factory=OwnWindows)
    """Where requests of each API key are counted."""
    lock: ProcessLock | None = None
    """The lock of the SQLite file, where the supervisor holds it for all."""
    scrape: Scrape | None = None
    """The metrics of all processes in one; None where there is one process."""
    board: Board = field(default_factory=lambda: Board(1))
    """Which model each process serves."""
    cursor_secret: str | None = None
    """Signs cursors where EVENHAND_SECRET is not set, so that each process knows those of the others."""
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of audit runs: a process that is started again is known by it."""
    ready: Callable[[str], None] | None = None
    """Tells the supervisor that requests are answered, and by which kind of index."""

    @property
    def accept(self) -> Callable[..., Accepting] | None:
        """What accepts connections in turns with the others; None where there is one process."""
        if self.scrape is None:
            return None
        return lambda listening, *how: Accepting(listening, self.board, self.number, *how)

    @property
    def is_first(self) -> bool:
        """Whether this one does what must be done once."""
        return self.number == 0


@contextmanager
def shared_by(number: int, database: Path | None) -> Iterator[list[Process]]:
    """What so many processes share, to be made before they are forked; let go at the end.

    Args:
        number: how many.
        database: a SQLite file, whose lock is taken for all.

    Raises:
        StoreStartError: another service has it.
    """
    with ExitStack() as held:
        lock = None
        if database is not None:
            lock = ProcessLock(database)
            held.callback(lock.release)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="evenhand-")))
        listening = []
        for each in range(number):
            listening.append(held.enter_context(socket.socket(socket.AF_UNIX)))
            listening[each].bind(str(folder / f"{each}.metrics"))
            listening[each].listen()
        common = Process(
            windows=SharedWindows(), lock=lock, board=Board(number), cursor_secret=secrets.token_urlsafe(32)
        )
        yield [replace(common, number=each, scrape=Scrape(each, listening)) for each in range(number)]
