"""API keys: a key opens the routes of its scopes, at a bounded rate.

Until the first key is made, everyone has every scope and no limit, and the service listens on loopback only. From then
on it is closed to callers without a key, also after the last key is revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from service.errors import InvalidKeyError, MissingKeyError, MissingScopeError
from service.rate_limits import RateLimits
from service.store import StateCache, find_key, now_us

Scope = Literal["recommend", "requirement", "feedback", "admin", "audit"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request."""

    key_id: int | None
    """None where there are no keys."""
    name: str
    scopes: frozenset[str]


EVERYONE = Caller(None, "", frozenset(SCOPES))


class Gate:
    """Admits callers by the present keys."""

    def __init__(self, known: StateCache, limits: RateLimits | None = None) -> None:
        """Take the keys' cache and the limits; without limits no key has one."""
        self._known = known
        self._limits = limits

    @property
    def is_open(self) -> bool:
        """Whether there are no keys, so that everyone may ask."""
        return not self._known.keys

    def recognise(self, authorization: Sequence[bytes]) -> Caller:
        """The caller with these credentials.

        Args:
            authorization: every ``Authorization`` header of the request.

        Raises:
            MissingKeyError: there is none.
            InvalidKeyError: it is no key of this service, or one that is revoked or expired.
        """
        if self.is_open:
            return EVERYONE
        if not authorization:
            raise MissingKeyError
        kind, _, secret = authorization[0].partition(b" ")
        if len(authorization) > 1 or kind.lower() != b"bearer":
            raise InvalidKeyError
        key = find_key(self._known.keys, secret.strip(b" ").decode("latin-1"), now_us())
        if key is None:
            raise InvalidKeyError
        return Caller(key.id, key.name, key.scopes)

    def check(self, caller: Caller, needed: Scope) -> None:
        """Let a request through that needs a scope.

        Raises:
            MissingScopeError: the key does not have it.
        """
        if needed not in caller.scopes:
            raise MissingScopeError(needed)

    async def count(self, caller: Caller, requests: int = 1) -> None:
        """Count requests against the rate limit of a key; without one nothing is counted.

        Raises:
            RateLimitedError: the key has asked too often.
        """
        if requests and caller.key_id is not None and self._limits is not None:
            await self._limits.take(str(caller.key_id), requests)
