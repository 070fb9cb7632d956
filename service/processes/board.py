"""Which models each process of a service serves, and to how many connections, in memory that all share."""

from __future__ import annotations

import mmap
import struct

_PLACE = struct.Struct("qq")
"""The revision of the models that answer; connections."""
STARTING = 0
"""In place of a revision while a process is not ready: it will serve what was activated last."""


class Board:
    """A place for each process, which that process alone writes; made before they are forked."""

    def __init__(self, processes: int) -> None:
        self._size = processes * _PLACE.size
        self._memory = mmap.mmap(-1, self._size)

    def clear(self, number: int) -> None:
        """Write that a process has ended: the next one with its number will be starting."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, STARTING, 0)

    def put_models(self, number: int, revision: int) -> None:
        """Write the revision of the models that a process answers from, from now on."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, revision, self._places()[number][1])

    def put_connections(self, number: int, connections: int) -> None:
        """Write how many connections a process has by now."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, self._places()[number][0], connections)

    def all_serve(self, revision: int) -> bool:
        """Whether no process answers from other models, or with another share."""
        return {each for each, _ in self._places()} <= {revision, STARTING}

    def has_fewest(self, number: int) -> bool:
        """Whether no process that is ready has fewer connections than this one."""
        places = self._places()
        return places[number][1] <= min((count for revision, count in places if revision != STARTING), default=0)

    def _places(self) -> list[tuple[int, int]]:
        return list(_PLACE.iter_unpack(self._memory[: self._size]))
