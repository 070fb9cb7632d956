"""Messages between replicas over Redis: the database has changes, up to a revision.

Best effort: a message only makes the others look sooner than they would have. It names no user, because a revision is
enough: whoever hears of one reads all changes since its own from the database.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from service.redis_client import FIRST_WAIT_S, LAST_WAIT_S, REACH_S, RedisClient, RedisLostError

BEAT_S = 0.5
"""Silence after which the connection is pinged."""
SILENT_S = 1.5
"""Silence after which it counts as lost."""


MISSED = 0
"""Never sent. Stands for any change, after a time without listening."""


class ReplicaEvents:
    """Publishes the changes of this process, and receives those of others."""

    def __init__(self, link: RedisClient, *, prefix: str, on_change: Callable[[int], None]) -> None:
        """Nothing runs before `start`.

        Args:
            link: Redis, started and closed by the caller.
            prefix: of the channel's name.
            on_change: told of the database's revision after changes by other processes, or `MISSED`; in the event
                loop, and must be quick. What it raises is lost.
        """
        self._link = link
        self._channel = f"{prefix}changes:1"
        self._on_change = on_change
        self._sender = secrets.token_hex(8)
        self._waiting = 0
        """The revision to send next; 0 for none."""
        self._sending: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._heard = False

    @property
    def trouble(self) -> str | None:
        """Why changes of other replicas arrive late; None where they do not."""
        return None if self._heard else self._link.trouble or "not subscribed to the changes of other replicas"

    def start(self) -> None:
        """Begin to listen. Call it in the event loop."""
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening, and send the waiting revision."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._sending is not None:
            await asyncio.wait([self._sending])

    def publish(self, revision: int) -> None:
        """Tell the others soon, if possible. Of several waiting revisions, the last one is sent."""
        if not self._link.is_up:
            return
        self._waiting = max(revision, self._waiting)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                message, self._waiting = f"{self._sender} {self._waiting}", 0
                await self._link.run(lambda message=message: self._link.client.publish(self._channel, message))  # type: ignore[misc]
        except RedisLostError:
            self._waiting = 0
        finally:
            self._sending = None

    async def _listen(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            with suppress(Exception):  # of any kind: the connection is gone, and the next one catches up
                if self._link.is_up:
                    await self._subscribe()
            wait_s = FIRST_WAIT_S if self._heard else min(2 * wait_s, LAST_WAIT_S)
            self._heard = False
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))

    async def _subscribe(self) -> None:
        """Receive messages on a separate connection until it fails."""
        async with self._link.client.pubsub() as channel:
            async with asyncio.timeout(REACH_S):
                await channel.subscribe(self._channel)
            last = monotonic()
            while monotonic() - last < SILENT_S:
                message = await channel.get_message(timeout=BEAT_S)
                if message is None:
                    async with asyncio.timeout(REACH_S):
                        await channel.ping()
                    continue
                last = monotonic()
                if message["type"] == "subscribe":
                    self._heard = True
                    self._tell(MISSED)
                elif message["type"] == "message" and (revision := self._read(message["data"])):
                    self._tell(revision)

    def _read(self, message: bytes) -> int | None:
        """The revision; None for a message of this process, or of another service."""
        found = re.fullmatch(rb"([0-9a-f]{16}) ([0-9]{1,18})", message)
        return None if found is None or found[1].decode() == self._sender else int(found[2])

    def _tell(self, revision: int) -> None:
        with suppress(Exception):  # the writer looks at the database anyway, only later
            self._on_change(revision)
