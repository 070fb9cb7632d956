"""Accepting connections in turns: each goes to a process that has the fewest.

All processes wait at the same socket. Left to themselves, the first one awake takes every connection that waits, and a
client with sixteen keeps one process busy while the others rest.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from service.processes.board import Board

PATIENCE_S = 0.002
"""How long a connection is left to a process that has fewer, before it is taken after all."""
BACKLOG = 2048
"""Connections that may wait."""


class Accepting:
    """The listening end of one process. To uvicorn it is one of its servers."""

    def __init__(
        self,
        listening: Sequence[socket.socket],
        board: Board,
        number: int,
        connections: Callable[[], int],
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """Begin to accept, in the running event loop.

        Args:
            listening: bound; shared with the other processes.
            board: where all write how many connections they have.
            number: of this process.
            connections: how many it has now.
            protocol: makes the protocol of a new one.
        """
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._board = board
        self._number = number
        self._connections = connections
        self._protocol = protocol
        self._opening: set[asyncio.Task[object]] = set()
        self._closed = False
        for one in listening:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._watch(one)

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        for one in self._listening:
            self._loop.remove_reader(one)

    async def wait_closed(self) -> None:
        """Wait for connections that are being opened."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _watch(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening, self._wanted, listening)

    def _wanted(self, listening: socket.socket) -> None:
        """Somebody waits: take one connection, or leave it to others for a moment."""
        self._tell()
        if self._board.has_fewest(self._number):
            self._take(listening)
        else:
            self._loop.remove_reader(listening)
            self._loop.call_later(PATIENCE_S, self._take_late, listening)

    def _take_late(self, listening: socket.socket) -> None:
        if not self._closed:
            self._take(listening)
            self._watch(listening)

    def _take(self, listening: socket.socket) -> None:
        with suppress(OSError):  # another process was quicker, or the client has gone
            connection, _ = listening.accept()
            connection.setblocking(False)
            opening = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
            self._tell()

    def _tell(self) -> None:
        self._board.put_connections(self._number, self._connections() + len(self._opening))
