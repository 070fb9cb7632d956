"""One service per SQLite file. The kernel holds the lock, so a process that dies in any way leaves none behind.

Forks of the process that took it hold it too: they are one service, and write in turns.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.errors import StoreStartError


class ProcessLock:
    """Held from construction to `release`, or to the end of the process."""

    def __init__(self, database: Path) -> None:
        """Take the lock of a SQLite file.

        Raises:
            StoreStartError: another process serves from it, or the folder cannot be written.
        """
        self.path = database.with_name(database.name + ".lock")
        try:
            database.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreStartError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            raise StoreStartError(
                f"process {holder or 'unknown'} serves from {database} already, and SQLite takes one: "
                "give each its own file, or set EVENHAND_DATABASE_URL to a PostgreSQL database"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Write while no other holder does. SQLite would wait by itself, but asleep, for up to a tenth of a second."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Free the file for another process. The lock file stays: another process may just have opened it."""
        os.close(self._file)
