"""The cache of one process; drops the least recently used answer first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from service.cache.key import AnswerKey
from service.cache.value import CachedAnswer, pack, unpack

OVERHEAD_BYTES = 320
"""Bytes of an entry besides its packed answer: digest, time, dictionary slot (measured: 270, with 50,000 entries)."""


class MemoryCache:
    """Bounded by number, memory and time."""

    keeps = True
    trouble = None

    def __init__(
        self, *, ttl_s: float, max_entries: int, max_bytes: int, observe: Callable[..., None] = lambda _: None
    ) -> None:
        """Args as of `open_cache`."""
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._observe = observe
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self.size_bytes = 0
        """Bytes of all entries, overhead included."""

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: AnswerKey) -> CachedAnswer | None:
        """The answer; None where there is none, or it is too old."""
        digest = key.digest()
        found = self._entries.get(digest)
        if found is not None and found[0] <= monotonic():
            self._remove(digest)
            found = None
        if found is None:
            self._observe("miss")
            return None
        self._entries.move_to_end(digest)
        self._observe("hit")
        return unpack(found[1])

    def put(self, key: AnswerKey, answer: CachedAnswer) -> None:
        """Store an answer in place of the least recently used ones; one larger than the whole limit is dropped."""
        digest, body = key.digest(), pack(answer)
        if digest in self._entries:
            self._remove(digest)
        if len(body) + OVERHEAD_BYTES > self._max_bytes:
            self._observe("dropped")
            return
        self._entries[digest] = (monotonic() + self._ttl_s, body)
        self.size_bytes += len(body) + OVERHEAD_BYTES
        while len(self._entries) > self._max_entries or self.size_bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))
        self._observe("stored")

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size_bytes = 0

    def _remove(self, digest: bytes) -> None:
        _, body = self._entries.pop(digest)
        self.size_bytes -= len(body) + OVERHEAD_BYTES
