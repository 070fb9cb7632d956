"""The web server, and how it ends: not ready → a pause for load balancers → no new requests → the last answers.

A second signal ends the process at once. Nothing that was answered is lost by that: no answer leaves before its record
is durable.

An answer leaves in one write: uvicorn hands head and body to the transport one after the other, and uvloop sends each
at once. Two system calls cost more than most of what a request does in Python, so both are joined first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TICK_S = 0.1


class Server(uvicorn.Server):
    """uvicorn with a pause before it stops taking requests."""

    def __init__(self, config: uvicorn.Config, *, drain_s: float, on_stop: Callable[[], None]) -> None:
        """Say what to do first when the process is told to end, and how long to answer on after that."""
        super().__init__(config)
        self._drain_s = drain_s
        self._on_stop = on_stop

    async def main_loop(self) -> None:
        """Answer until a signal, then tell so, and answer a little longer."""
        await super().main_loop()
        self._on_stop()
        for tick in range(round(self._drain_s / TICK_S)):
            await asyncio.sleep(TICK_S)
            await self.on_tick(tick)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in good order; on the second signal at once."""
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)


class JoinedWrites:
    """A transport that sends at the end of the loop's turn what was written in it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it for the end of the turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the transport of a new connection."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
