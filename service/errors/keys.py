"""Callers who may not, or not so often."""

from __future__ import annotations

from service.errors.base import ServiceError


class MissingKeyError(ServiceError):
    """This service has API keys and the request brings none."""

    status = 401
    code = "key_missing"

    def __init__(self) -> None:
        super().__init__("an API key is needed: send it as `Authorization: Bearer KEY`")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750, 3."""
        return {"www-authenticate": 'Bearer realm="evenhand"'}


class InvalidKeyError(ServiceError):
    """The API key is unknown, revoked or expired; which of these is not said."""

    status = 401
    code = "key_invalid"

    def __init__(self) -> None:
        super().__init__("this API key is not valid: unknown, revoked or expired, or not sent as `Bearer KEY`")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750, 3.1."""
        return {"www-authenticate": 'Bearer realm="evenhand", error="invalid_token"'}


class MissingScopeError(ServiceError):
    """The API key is valid but does not open this route."""

    status = 403
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this API key does not have the scope {scope!r}")
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750, 3.1."""
        return {"www-authenticate": f'Bearer realm="evenhand", error="insufficient_scope", scope="{self.scope}"'}


class RateLimitedError(ServiceError):
    """The API key has made more requests than the operator allows."""

    status = 429
    code = "rate_limited"

    def __init__(self, limit: int, window_s: int, retry_after_s: int) -> None:
        super().__init__(f"at most {limit} requests in {window_s} s are allowed; try again in {retry_after_s} s")
        self.limit = limit
        self.remaining = 0
        self.window_s = window_s
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """When the window ends, in seconds."""
        return {"retry-after": str(self.retry_after_s)}
