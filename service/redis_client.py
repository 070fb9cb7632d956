"""The one door to Redis: every call has a time budget, and while Redis is lost no call is made.

A call that fails opens the circuit; one task alone then looks for Redis, at growing intervals with jitter, and closes
the circuit when it answers. Whoever calls gets `RedisLostError` and goes on without Redis:
`rate_limits` counts in this process, `cache.shared` finds nothing, `replica_events` leaves changes to the next look at
the database.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError

from service.errors import StartError

CONNECTIONS = 64
"""Calls in flight at most; one more waits, within its budget."""
PATIENCE = 3
"""Calls in a row that may run out of time before Redis counts as lost."""
REACH_S = 0.5
"""How long looking for Redis may take, connecting included."""
FIRST_WAIT_S = 0.05
LAST_WAIT_S = 1.0
"""Between two looks, doubled from the first to the last."""
REFUSED_S = 10.0
"""How long a refusal (out of memory, read-only) is reported after it happened."""
SCHEMES = ("redis://", "rediss://", "unix://")

Answer = TypeVar("Answer")


class RedisLostError(Exception):
    """Redis did not do it: lost, too slow, too busy or unwilling."""


class RedisClient:
    """Connections to one Redis, and whether it can be asked at this moment."""

    def __init__(self, url: str, *, budget_s: float = 0.02) -> None:
        """Nothing connects before `start`.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and database where needed.
            budget_s: how long one call may take.

        Raises:
            StartError: no such URL can be. It may hold a password, so the message does not repeat it.
        """
        if not url.startswith(SCHEMES):
            raise StartError(f"EVENHAND_REDIS_URL does not start with {', '.join(SCHEMES)}")
        options: dict[str, Any] = {
            # RESP2 and no CLIENT SETINFO: nothing but a socket to set up, and servers older than 6 will do.
            "protocol": 2,
            "driver_info": None,
            "socket_timeout": None,
            "socket_connect_timeout": REACH_S,
            "retry": Retry(NoBackoff(), 0),
        }
        try:
            self._pool = ConnectionPool.from_url(url, **options)
            self._pool.make_connection()  # type: ignore[no-untyped-call]
        except Exception as error:  # redis-py raises what comes: ValueError, TypeError, RedisError
            raise StartError(f"EVENHAND_REDIS_URL cannot be used: {type(error).__name__}") from None
        self.client: Redis = Redis(connection_pool=self._pool)
        """For use in calls given to `run`, and by listeners with connections of their own."""
        self._budget_s = budget_s
        self._lost: str | None = "not reached yet"
        self._epoch = 0
        """Counts losses: a call of an earlier epoch that fails late says nothing of now."""
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._slow = 0
        self._refused = ("", -REFUSED_S)
        self._loss = asyncio.Event()
        self._looked = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look for Redis once, then keep looking whenever it is lost. Never fails."""
        self._keeper = asyncio.create_task(self._keep())
        await self._looked.wait()

    async def close(self) -> None:
        """Let go of every connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._lost = "closed"
        await self._drop()

    @property
    def is_up(self) -> bool:
        """Whether a call would be made."""
        return self._lost is None

    @property
    def trouble(self) -> str | None:
        """The fault of Redis; None where there is none. Holds no password."""
        if self._lost is not None:
            return f"Redis is lost: {self._lost}"
        text, at = self._refused
        return f"Redis refuses: {text}" if monotonic() - at < REFUSED_S else None

    async def run(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call within the budget.

        Raises:
            RedisLostError: there is no answer, for whatever reason.
        """
        if self._lost is not None:
            raise RedisLostError(self._lost)
        epoch = self._epoch
        try:
            async with asyncio.timeout(self._budget_s), self._free:
                answer = await call()
        except TimeoutError:
            self._slow += 1
            if self._slow >= PATIENCE:
                self._lose(epoch, f"{self._slow} calls in a row took longer than {1e3 * self._budget_s:g} ms")
            raise RedisLostError("no answer in time") from None
        except RedisError as error:
            if isinstance(error, LostError):
                self._lose(epoch, _text(error))
            else:
                self._refused = (_text(error), monotonic())
            raise RedisLostError(_text(error)) from error
        except Exception as error:  # redis-py under a connection that another task has just closed: anything
            self._lose(epoch, _text(error))
            raise RedisLostError(_text(error)) from error
        self._slow = 0
        return answer

    def _lose(self, epoch: int, why: str) -> None:
        if epoch == self._epoch and self._lost is None:
            self._lost = why
            self._epoch += 1
            self._loss.set()

    async def _keep(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            self._lost = await self._look()
            self._looked.set()
            if self._lost is None:
                wait_s, self._slow = FIRST_WAIT_S, 0
                self._loss.clear()
                await self._loss.wait()
                await self._drop()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))
            wait_s = min(2 * wait_s, LAST_WAIT_S)

    async def _look(self) -> str | None:
        """Why Redis cannot be asked; None where it answers."""
        try:
            async with asyncio.timeout(REACH_S):
                await self.client.execute_command("PING")  # type: ignore[no-untyped-call]
        except TimeoutError:
            return f"no answer within {REACH_S:g} s"
        except Exception as error:  # as in `run`
            return _text(error)
        return None

    async def _drop(self) -> None:
        """Close all connections: those to a server that is gone would fail once each."""
        with suppress(Exception):  # the sockets are closed whatever it says
            async with asyncio.timeout(REACH_S):
                await self._pool.disconnect()


def _text(error: Exception) -> str:
    """The kind of error, Redis's own code, or what the system says of a connection that did not come about.

    Never what the library says of a call: that repeats the command with its key, and the first bytes of an answer.
    """
    cause = error.__cause__ or error.__context__
    code = re.match(r"[A-Z]{2,20}(?= )", str(error))  # WRONGTYPE, NOAUTH …, where Redis itself answered
    why = cause.strerror if isinstance(cause, OSError) else code and code[0]
    return f"{type(error).__name__}: {why}"[:200] if why else type(error).__name__
