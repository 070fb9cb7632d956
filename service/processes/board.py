"""Which model each process of a service serves, and to how many connections, in memory that all share."""

from __future__ import annotations

import mmap
import struct

_PLACE = struct.Struct("qq")
"""The id of a model; connections."""
STARTING = 0
"""In place of a model while a process is not ready: it will serve what was activated last."""


class Board:
    """A place for each process, which that process alone writes; made before they are forked."""

    def __init__(self, processes: int) -> None:
        self._size = processes * _PLACE.size
        self._memory = mmap.mmap(-1, self._size)

    def begin(self, number: int) -> None:
        """Write that a process is starting."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, STARTING, 0)

    def put_model(self, number: int, model: int) -> None:
        """Write the id of the model that a process serves from now on."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, model, self._places()[number][1])

    def put_connections(self, number: int, connections: int) -> None:
        """Write how many connections a process has by now."""
        _PLACE.pack_into(self._memory, number * _PLACE.size, self._places()[number][0], connections)

    def all_serve(self, model: int) -> bool:
        """Whether no process serves another model."""
        return {each for each, _ in self._places()} <= {model, STARTING}

    def has_fewest(self, number: int) -> bool:
        """Whether no process that is ready has fewer connections than this one."""
        places = self._places()
        return places[number][1] <= min((count for model, count in places if model != STARTING), default=0)

    def _places(self) -> list[tuple[int, int]]:
        return list(_PLACE.iter_unpack(self._memory[: self._size]))
