"""Requests that cannot be read: path, method, query, headers, body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors.base import ServiceError


class InvalidQueryError(ServiceError):
    """A query parameter is unknown, missing, repeated or out of bounds."""

    status = 422
    code = "invalid_query"

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['reason']}" for error in errors))
        self.errors = list(errors)


class QueryTooLongError(ServiceError):
    """The query string is longer than any sensible request."""

    status = 414
    code = "query_too_long"

    def __init__(self, length: int, allowed: int) -> None:
        super().__init__(f"the query string has {length} bytes; at most {allowed} are read")
        self.value = length
        self.allowed = allowed


class NotFoundError(ServiceError):
    """No route has this path."""

    status = 404
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("no such path; see /openapi.json")


class MethodNotAllowedError(ServiceError):
    """The path exists, the method on it does not."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not possible here; {', '.join(allowed)} is")
        self.value = method
        self.allowed = list(allowed)

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110, 15.5.6: a 405 names the methods that are possible."""
        return {"allow": ", ".join(self.allowed)}


class InvalidBodyError(ServiceError):
    """The body is not JSON, or a field of it is unknown, missing, repeated or out of bounds."""

    status = 422
    code = "invalid_body"

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['reason']}" for error in errors))
        self.errors = list(errors)


class InvalidHeaderError(ServiceError):
    """A header is repeated or out of bounds."""

    status = 422
    code = "invalid_header"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class BodyTooLargeError(ServiceError):
    """The body is larger than the operator allows."""

    status = 413
    code = "body_too_large"

    def __init__(self, allowed: int) -> None:
        super().__init__(f"at most {allowed} bytes are read")
        self.allowed = allowed


class MediaTypeError(ServiceError):
    """The body does not say that it is JSON, or is compressed."""

    status = 415
    code = "unsupported_media_type"

    def __init__(self, encoding: str | None = None) -> None:
        """Of the body's type, or of the encoding that it has."""
        if encoding is None:
            super().__init__("the body must be JSON, and say so: `Content-Type: application/json`")
            self.field, self.allowed = "content-type", ["application/json"]
        else:
            super().__init__(f"the body has `Content-Encoding: {encoding:.40}`; send it as it is")
            self.field, self.allowed = "content-encoding", ["identity"]

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110, 12.5.3: a refused encoding names those that are read."""
        return {"accept-encoding": "identity"} if self.field == "content-encoding" else {}
