"""Cursors say where a list continues. They are opaque, signed, and valid for one request, one bundle and a while.

A cursor holds the row of the last item shown and hashes of the request, bundle and mask; no score, no user id. The
meaning of a position after items were hidden or seen between two pages is in docs/decisions/.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from service.errors import InvalidQueryError, StaleCursorError
from service.index import Position
from service.secret import derive_key

MAX_ECHO = 100
"""Characters of a wrong cursor that are sent back."""
REMEMBERED = 4096
"""How many hashes of bundles and of masks are kept; there are few of either."""
TAG_BYTES = 16
_BODY = struct.Struct("<IQI15s8s8s")
"""Expiry in seconds since the epoch; row and items shown of the position; hashes of request, bundle and mask."""
_TEXT = re.compile(r"[A-Za-z0-9_-]{84}")
"""63 bytes in base64url leave no bit unused, so that two different texts are never the same cursor."""


class Bound(NamedTuple):
    """The request, bundle and mask that a cursor is valid for."""

    request: Sequence[object]
    """Route, user and every parameter as asked for (the requested ``sensitive``, not the resolved one), without the
    cursor: texts, numbers, flags, None, and lists of them; always in the same order."""
    bundle: str = ""
    """Content hash; empty where the list is not made from a bundle."""
    mask: Sequence[bool] = ()
    """The resolved requirement."""


class Cursors:
    """Makes cursors, and reads its own."""

    def __init__(self, secret: str | None, *, ttl_s: int, clock: Callable[[], float] = time.time) -> None:
        """Sign with EVENHAND_SECRET; without one, cursors are valid only in this process.

        Raises:
            StartError: the secret is too short.
        """
        self._key = derive_key(secret, "cursor 2") or secrets.token_bytes(32)
        self._ttl_s = ttl_s
        self._clock = clock
        self._bundle_hash = lru_cache(REMEMBERED)(self._hash_of_bundle)
        self._mask_hash = lru_cache(REMEMBERED)(self._hash_of_mask)

    def make(self, position: Position, bound: Bound) -> str:
        """84 characters of base64url."""
        expires = int(self._clock()) + self._ttl_s
        body = _BODY.pack(expires, position.row, position.shown, *self._hashes(bound))
        return base64.urlsafe_b64encode(body + self._tag(body)).decode()

    def read(self, text: str, bound: Bound) -> Position:
        """The position that a cursor stands for.

        Raises:
            InvalidQueryError: not a cursor, not one of ours, or one of another request.
            StaleCursorError: it has expired, the bundle has changed, or the resolved requirement has.
        """
        raw = base64.urlsafe_b64decode(text) if _TEXT.fullmatch(text) else b""
        body, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
        if not raw or not hmac.compare_digest(self._tag(body), tag):
            raise _invalid(text, "not a cursor of this service, or damaged")
        expires, row, shown, *hashes = _BODY.unpack(body)
        request, bundle, mask = (hmac.compare_digest(*pair) for pair in zip(hashes, self._hashes(bound), strict=True))
        if not request:
            raise _invalid(text, "belongs to a request with another user or other parameters")
        if self._clock() >= expires:
            raise StaleCursorError("expired")
        if not bundle:
            raise StaleCursorError("bundle")
        if not mask:
            raise StaleCursorError("requirement")
        return Position(row, shown)

    def _hashes(self, bound: Bound) -> tuple[bytes, bytes, bytes]:
        request = ascii(bound.request).encode()  # different parameters never give the same text
        return (
            blake2b(request, digest_size=15, key=self._key, person=b"request").digest(),
            self._bundle_hash(bound.bundle),
            self._mask_hash(tuple(bound.mask)),
        )

    def _hash_of_bundle(self, made_of: str) -> bytes:
        return blake2b(made_of.encode(), digest_size=8, key=self._key, person=b"bundle").digest()

    def _hash_of_mask(self, mask: tuple[bool, ...]) -> bytes:
        return blake2b(bytes(mask), digest_size=8, key=self._key, person=b"mask").digest()

    def _tag(self, body: bytes) -> bytes:
        # Keyed BLAKE2b (RFC 7693) is a MAC by itself. The library's HMAC releases the interpreter lock on every call,
        # and would wait for it behind the worker threads at every answer.
        return blake2b(body, digest_size=TAG_BYTES, key=self._key, person=b"cursor tag").digest()


def _invalid(text: str, reason: str) -> InvalidQueryError:
    short = text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "…"
    allowed = "the next_cursor of a page of the same request"
    return InvalidQueryError([{"field": "cursor", "value": short, "reason": reason, "allowed": allowed}])
