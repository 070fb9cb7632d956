"""The cache of all replicas, in Redis. After any fault there, a lookup is a miss and a put is dropped.

A name in Redis is a hash of the key. A value is a packed answer after a checksum over name and answer, so that a
damaged value, or one of another name, is not taken for an answer. EVENHAND_SECRET keys both hashes.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import cast

from service.cache.key import AnswerKey
from service.cache.value import CachedAnswer, pack, unpack
from service.redis_client import RedisClient, RedisLostError
from service.secret import derive_key

CHECK_BYTES = 16
MAX_WAITING = 1024
"""Answers that may wait to be written; one more is dropped."""
MAX_TOGETHER = 32
"""Answers written in one round trip."""


class RedisCache:
    """Makes one round trip for a lookup; writes puts later, several together, while no request waits."""

    keeps = True

    def __init__(
        self,
        link: RedisClient,
        *,
        prefix: str,
        secret: str | None,
        ttl_s: float,
        observe: Callable[..., None] = lambda _: None,
    ) -> None:
        """Args as of `open_cache`."""
        self._link = link
        self._prefix = f"{prefix}answer:1:".encode()
        self._name_secret = derive_key(secret, "cache names") or b""
        self._check_secret = derive_key(secret, "cache values") or b""
        self._ttl_ms = int(1e3 * ttl_s)
        self._observe = observe
        self._waiting: dict[bytes, bytes] = {}
        self._writing: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """The fault of Redis; None where there is none."""
        return self._link.trouble

    async def get(self, key: AnswerKey) -> CachedAnswer | None:
        """The answer, if Redis has it and answers in time."""
        name = self._name(key)
        try:
            value = cast(bytes | None, await self._link.run(lambda: self._link.client.get(name)))
        except RedisLostError:
            self._observe("error")
            return None
        if value is None:
            self._observe("miss")
            return None
        body = value[CHECK_BYTES:]
        answer = unpack(body) if hmac.compare_digest(self._check(name, body), value[:CHECK_BYTES]) else None
        self._observe("damaged" if answer is None else "hit")
        return answer

    def put(self, key: AnswerKey, answer: CachedAnswer) -> None:
        """Queue the answer to be written."""
        if not self._link.is_up or len(self._waiting) >= MAX_WAITING:
            self._observe("dropped")
            return
        name, body = self._name(key), pack(answer)
        self._waiting[name] = self._check(name, body) + body
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write the waiting answers; the owner of the link closes it."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        try:
            while self._waiting:
                few = {name: self._waiting.pop(name) for name in [*islice(self._waiting, MAX_TOGETHER)]}
                try:
                    await self._link.run(lambda few=few: self._set(few))  # type: ignore[misc]
                    outcome = "stored"
                except RedisLostError:
                    outcome = "dropped"
                for _ in few:
                    self._observe(outcome)
        finally:
            self._writing = None

    async def _set(self, values: dict[bytes, bytes]) -> None:
        async with self._link.client.pipeline(transaction=False) as pipe:
            for name, value in values.items():
                pipe.set(name, value, px=self._ttl_ms)
            await pipe.execute()

    def _name(self, key: AnswerKey) -> bytes:
        return self._prefix + key.digest(self._name_secret).hex().encode()

    def _check(self, name: bytes, body: bytes) -> bytes:
        return blake2b(name + body, digest_size=CHECK_BYTES, key=self._check_secret).digest()
