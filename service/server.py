"""The web server, and how it ends: not ready → a pause for load balancers → no new requests → the last answers.

A second signal ends the process at once. Nothing that was answered is lost by that: no answer leaves before its record
is durable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import FrameType

import uvicorn

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
