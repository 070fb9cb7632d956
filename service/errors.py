"""What the service refuses, and what it says when it does.

    ServiceError
    ├── InvalidQueryError             422  the query string is not one this route takes
    ├── QueryTooLongError             414  nor is it read beyond a limit
    ├── UnknownAttributeError         422  the bundle was not trained on that attribute
    ├── UnsupportedRequirementError   422  the bundle has no list for exactly these attributes
    ├── UnknownUserError              404  the bundle does not know that user
    ├── NotFoundError                 404  no such path
    ├── MethodNotAllowedError         405  no such method on that path
    ├── UnavailableError              503  not now; carries Retry-After
    │   ├── NotReadyError
    │   ├── QueueFullError
    │   ├── DeadlineError
    │   └── StoppingError
    ├── InternalError                 500  a bug; says nothing of the inside
    └── StartError                    the process does not start (`python -m service` prints the line, exit status 2)

``str(error)`` is a problem's ``detail``; an error's public fields are its facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ServiceError(Exception):
    """A refusal with an HTTP status and a stable machine-readable code."""

    status = 500
    code = "internal_error"

    @property
    def facts(self) -> dict[str, Any]:
        """Fields of this error that a client may use."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that go with it."""
        return {}


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


class UnknownAttributeError(ServiceError):
    """The request protects an attribute that this bundle was not trained on."""

    status = 422
    code = "unknown_attribute"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"cannot protect {name!r}; this bundle knows {', '.join(known) or 'no attribute'}")
        self.field = "sensitive"
        self.value = name
        self.allowed = list(known)


class UnsupportedRequirementError(ServiceError):
    """The attributes to protect are known, but not as this combination. Nothing is widened or narrowed silently."""

    status = 422
    code = "unsupported_requirement"

    def __init__(self, applied: Sequence[Mapping[str, str]], supported_masks: Mapping[str, Any]) -> None:
        wanted = ", ".join(f"{row['attribute']} ({row['source']})" for row in applied) or "nothing"
        super().__init__(f"this bundle has no list that protects exactly: {wanted}")
        self.field = "sensitive"
        self.applied = list(applied)
        self.supported_masks = supported_masks


class UnknownUserError(ServiceError):
    """The bundle does not know this user."""

    status = 404
    code = "unknown_user"

    def __init__(self, user: str) -> None:
        super().__init__(f"no user {user!r} in this bundle")
        self.field = "user"
        self.value = user


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


class UnavailableError(ServiceError):
    """Not now. The same request may well be answered in a moment."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, in seconds."""
        return {"retry-after": str(self.retry_after_s)}


class NotReadyError(UnavailableError):
    """The service cannot answer recommendations at the moment."""

    code = "not_ready"


class QueueFullError(UnavailableError):
    """More requests wait than the operator allows."""

    code = "queue_full"


class DeadlineError(UnavailableError):
    """The request waited longer than the operator allows."""

    code = "deadline_exceeded"


class StoppingError(UnavailableError):
    """The service is shutting down."""

    code = "stopping"


class InternalError(ServiceError):
    """Something broke that should not. The log has the rest under the request id."""

    def __init__(self) -> None:
        super().__init__("the service failed on this request; its operator finds the cause by the request id")


class StartError(ServiceError):
    """The settings, the machine or the bundle do not allow a start."""

    code = "start_refused"
