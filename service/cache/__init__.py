"""Keeps lists so that none is computed twice: in this process, or in Redis for all replicas.

The cache is never the authority. The caller resolves the requirement itself, and the key holds the revisions of the
user and of the hidden items; the request log's transaction checks them again before the answer leaves. A cached answer
is logged too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, get_args

from service.cache.key import AnswerKey, Option
from service.cache.memory import MemoryCache
from service.cache.shared import RedisCache
from service.cache.value import CachedAnswer
from service.errors import StartError
from service.redis_client import RedisClient

Outcome = Literal["hit", "miss", "error", "damaged", "stored", "dropped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Of a lookup: hit; miss; error: Redis lost or too slow; damaged: not the stored value. Of a put: stored; dropped."""


class AnswerCache(Protocol):
    """The interface of a cache for requests."""

    keeps: bool
    """Whether it ever has an answer; else nobody need make a key."""

    async def get(self, key: AnswerKey) -> CachedAnswer | None:
        """The answer, or None; raises nothing."""

    def put(self, key: AnswerKey, answer: CachedAnswer) -> None:
        """Store an answer soon, if possible; raises nothing and does not wait."""

    @property
    def trouble(self) -> str | None:
        """The present fault, for the detail of readiness; the service is ready nevertheless."""

    async def close(self) -> None:
        """Finish the writes under way."""


class NoCache:
    """Stores nothing."""

    keeps = False
    trouble = None

    async def get(self, key: AnswerKey) -> CachedAnswer | None:
        """Nothing."""

    def put(self, key: AnswerKey, answer: CachedAnswer) -> None:
        """Forget it."""

    async def close(self) -> None:
        """Nothing to do."""


def open_cache(
    kind: Literal["off", "memory", "redis"],
    *,
    link: RedisClient | None,
    prefix: str,
    secret: str | None,
    ttl_s: int,
    max_entries: int,
    max_bytes: int,
    observe: Callable[[Outcome], None],
) -> AnswerCache:
    """The cache that the settings ask for.

    Args:
        kind: EVENHAND_CACHE.
        link: Redis, where there is a URL; started and closed by the caller.
        prefix: of every key in Redis.
        secret: EVENHAND_SECRET, which keys the hashes in Redis.
        ttl_s: how long an answer is kept.
        max_entries: answers kept in memory.
        max_bytes: memory that these may take.
        observe: told of every outcome, in the event loop.

    Raises:
        StartError: the cache is to be in Redis, but no Redis is named; the secret is too short.
    """
    if kind == "off":
        return NoCache()
    if kind == "memory":
        return MemoryCache(ttl_s=ttl_s, max_entries=max_entries, max_bytes=max_bytes, observe=observe)
    if link is None:
        raise StartError("EVENHAND_CACHE is 'redis', but EVENHAND_REDIS_URL is not set")
    return RedisCache(link, prefix=prefix, secret=secret, ttl_s=ttl_s, observe=observe)


__all__ = [
    "AnswerCache",
    "AnswerKey",
    "CachedAnswer",
    "MemoryCache",
    "NoCache",
    "Option",
    "Outcome",
    "RedisCache",
    "open_cache",
]
