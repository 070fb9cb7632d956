"""The web server. It ends in this order: not ready → a pause for load balancers → no new requests → the last answers.

A second signal ends the process at once. Nothing that was answered is lost by that: no answer leaves before its record
is durable.

How an answer is written is in `service.http_protocol`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn

from service.errors import StartError
from service.http_protocol import HttpProtocol

TICK_S = 0.1
Accept = Callable[[Sequence[socket.socket], Callable[[], int], Callable[[], asyncio.Protocol]], Any]


class AddressError(StartError):
    """The address cannot be listened on."""

    exit_status = 3


def bind(host: str, port: int) -> list[socket.socket]:
    """Take an address before anything is loaded for it; it is listened on later. A name may have several.

    Raises:
        AddressError: it is in use, is none of this machine's, or may not be taken; one line.
    """
    taken: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in sorted(
            set(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
        ):
            one = socket.socket(family, kind, protocol)
            taken.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
    except OSError as error:
        for one in taken:
            one.close()
        raise AddressError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return taken


class Server(uvicorn.Server):
    """uvicorn with a pause before it stops taking requests."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_s: float,
        on_start: Callable[[], None],
        on_stop: Callable[[], None],
        accept: Accept | None = None,
    ) -> None:
        """Take what belongs to a start and an end.

        Args:
            config: uvicorn's.
            drain_s: how long to answer on after being told to end.
            on_start: told once requests are taken.
            on_stop: told first of all when the process is to end.
            accept: accepts connections in place of uvicorn; called with the sockets, with what counts the connections,
                and with what makes a protocol for each.
        """
        super().__init__(config)
        self._accept = accept
        self._drain_s = drain_s
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests, then tell so."""
        await super().startup(sockets if self._accept is None else [])
        if not self.started:
            return
        self._on_start()
        if self._accept is not None:
            self.servers.append(self._accept(sockets or [], lambda: len(self.server_state.connections), self._protocol))

    def _protocol(self) -> asyncio.Protocol:
        return HttpProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

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
