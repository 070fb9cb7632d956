"""How often one API key may ask: so many requests in a window that its first request opens.

Counted in Redis for all replicas while it is there, on this machine while it is not: then each replica allows the whole
limit, but none is ever without one. The processes of one service count together either way. Windows end by clocks that
do not go back: this machine's monotonic one, and how long a key of Redis lives. A wall clock that is set back an hour
would lock API keys out for an hour.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage

from service.errors import RateLimitedError, StartError
from service.redis_client import RedisClient, RedisLostError

MAX_WINDOW_S = 86_400
_RATE = re.compile(r"[1-9][0-9]{0,6}/([1-9][0-9]{0,4} )?(second|minute|hour|day)s?")


@dataclass(frozen=True, slots=True)
class Allowance:
    """The rest of the allowance after a request that may pass."""

    limit: int
    remaining: int
    window_s: int


class Windows(Protocol):
    """Where requests are counted."""

    def count(self, key: str, cost: int, window_s: int) -> tuple[int, float]:
        """Count a request in the window of an API key; one that is over is begun anew.

        Returns:
            How many requests are in it by now, and the seconds until it ends.
        """
        ...


class OwnWindows:
    """Windows of one process: API key → when it ends by the monotonic clock, and the requests in it."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, key: str, cost: int, window_s: int) -> tuple[int, float]:
        """As `Windows` says."""
        now = monotonic()
        until, used = self._windows.get(key, (now, 0))
        if until <= now:
            until, used = now + window_s, 0
        self._windows[key] = until, used + cost
        return used + cost, until - now


def parse_rate(text: str) -> RateLimitItem | None:
    """EVENHAND_RATE_LIMIT: ``600/minute``, ``100/10 seconds``; None for ``off``.

    Raises:
        StartError: it is none of these.
    """
    if text == "off":
        return None
    # The library reads more than this, such as several limits at once, and 0 seconds as 1.
    rate = parse(text) if _RATE.fullmatch(text) else None
    if rate is None or rate.get_expiry() > MAX_WINDOW_S:
        raise StartError(
            f"EVENHAND_RATE_LIMIT is {text!r:.100}: 'off', or a number below 10,000,000 and a window up to a day, "
            "like '600/minute' or '100/10 seconds'"
        )
    return rate


class RateLimits:
    """One limit, counted for each API key."""

    def __init__(
        self, rate: RateLimitItem, link: RedisClient | None, *, prefix: str, windows: Windows | None = None
    ) -> None:
        """Count in Redis where a link is given (started and closed by the caller), under names with this prefix.

        ``windows`` are counted in where it is not there; by default those of this process.
        """
        self._rate = rate
        self._link = link
        self._windows = OwnWindows() if windows is None else windows
        self._prefix = f"{prefix}limit"
        self._shared: RedisStorage | None = None
        if link is not None:
            pool = link.client.connection_pool
            options = {"implementation": "redispy", "key_prefix": self._prefix, "connection_pool": pool}
            self._shared = RedisStorage("async+redis://", **options)  # type: ignore[arg-type]
        self._refused_until: dict[str, float] = {}
        """Keys that need not be counted before that moment: whoever is over the limit costs no round trip."""

    @property
    def trouble(self) -> str | None:
        """Why replicas count each on its own although they should not; None where they do not."""
        return None if self._link is None else self._link.trouble

    async def take(self, key: str, cost: int = 1) -> Allowance:
        """Count a request of an API key.

        Args:
            key: the API key's id, never its secret: Redis sees it.
            cost: how many requests this one counts as.

        Raises:
            RateLimitedError: over the limit. Refused requests count as well: a key that never pauses opens a new
                window only when this one ends.
        """
        if (until := self._refused_until.get(key)) is not None:
            if (rest := until - monotonic()) > 0:
                raise self._refusal(rest)
            del self._refused_until[key]
        limit = self._rate.amount
        window_s = self._rate.get_expiry()
        left: float | None = None
        used = await self._shared_count(key, cost)
        if used is None:
            used, left = self._windows.count(key, cost, window_s)
        if used <= limit:
            return Allowance(limit, limit - used, window_s)
        left = await self._shared_left_s(key) if left is None else left
        self._refused_until[key] = monotonic() + left
        raise self._refusal(left)

    async def _shared_count(self, key: str, cost: int) -> int | None:
        """How many requests all replicas counted in this window; None where Redis does not say."""
        if self._link is None or (shared := self._shared) is None:
            return None
        name, window_s = self._rate.key_for(key), self._rate.get_expiry()
        try:
            return await self._link.run(lambda: shared.incr(name, window_s, cost))
        except RedisLostError:
            return None

    async def _shared_left_s(self, key: str) -> float:
        """Seconds until that window ends, by Redis's clock."""
        assert self._link is not None  # noqa: S101  it has counted
        link, name = self._link, f"{self._prefix}:{self._rate.key_for(key)}"
        try:
            return max(0.0, await link.run(lambda: link.client.pttl(name)) / 1e3)
        except RedisLostError:
            return 1.0

    def _refusal(self, left_s: float) -> RateLimitedError:
        return RateLimitedError(self._rate.amount, self._rate.get_expiry(), max(1, math.ceil(left_s)))
