"""Windows of rate limits in memory that several processes share."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

PLACES = 65_536
"""Windows that there is room for. API keys whose ids are so far apart share one."""
_WINDOW = struct.Struct("dq")
"""When it ends, by the monotonic clock, which is the same for all processes of a machine; requests in it."""


class SharedWindows:
    """A window for each API key; made before the processes are forked."""

    def __init__(self) -> None:
        self._file = os.memfd_create("evenhand-windows")
        os.ftruncate(self._file, PLACES * _WINDOW.size)
        self._memory = mmap.mmap(self._file, PLACES * _WINDOW.size)

    def count(self, key: str, cost: int, window_s: int) -> tuple[int, float]:
        """As `OwnWindows.count`."""
        place = int(key) % PLACES
        with self._locked(place):
            until, used = _WINDOW.unpack_from(self._memory, place * _WINDOW.size)
            now = monotonic()
            if until <= now:
                until, used = now + window_s, 0
            _WINDOW.pack_into(self._memory, place * _WINDOW.size, until, used + cost)
        return used + cost, until - now

    @contextmanager
    def _locked(self, place: int) -> Iterator[None]:
        """Hold one window. The kernel frees it when its holder dies."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
