"""What the service refuses, and what it says when it does.

    ServiceError
    ├── InvalidQueryError             422  the query string is not one this route takes
    ├── QueryTooLongError             414  nor is it read beyond a limit
    ├── UnknownAttributeError         422  the bundle was not trained on that attribute
    ├── UnsupportedRequirementError   422  the bundle has no list for exactly these attributes
    ├── UnknownUserError              404  the bundle does not know that user
    ├── UnknownItemError              404  nor that item
    ├── UnknownGroupError             422  nor that group of items
    ├── NoHistoryError                422  nor any item of the history
    ├── SessionsUnsupportedError      422  the bundle cannot make lists from a history
    ├── NotFoundError                 404  no such path
    ├── MethodNotAllowedError         405  no such method on that path
    ├── StaleCursorError              409  the list that a cursor continues is no longer this one
    ├── MissingKeyError               401  keys are defined and the request brings none
    ├── InvalidKeyError               401  its key is unknown, revoked or expired
    ├── MissingScopeError             403  its key does not open this route
    ├── InvalidBodyError              422  the body is not what this route takes
    ├── InvalidHeaderError            422  a header is not what this route takes
    ├── BodyTooLargeError             413  nor is it read beyond a limit
    ├── MediaTypeError                415  it is not JSON
    ├── PinnedRequirementError        422  the operator alone says what is protected
    ├── UserSuppressedError           409  the user is erased: nothing is stored until that is lifted
    ├── UnknownModelError             404  no such version in the models folder
    ├── ModelRefusedError             422  that version is damaged, or cannot do what is demanded here
    ├── RequirementsUnmetError        409  it cannot meet requirements that users have stored
    ├── ActivationRunningError        409  one at a time
    ├── RateLimitedError              429  too many requests of this API key; carries Retry-After
    ├── UnavailableError              503  not now; carries Retry-After
    │   ├── NotReadyError
    │   ├── QueueFullError
    │   ├── DeadlineError
    │   ├── OutdatedError
    │   └── StoppingError
    ├── InternalError                 500  a bug; says nothing of the inside
    └── StartError                    the process does not start (`python -m service` prints the line, exit status 2)

``str(error)`` is a problem's ``detail``; an error's public fields are its facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal


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

    def __init__(self, name: str, known: Sequence[str], field: str = "sensitive") -> None:
        super().__init__(f"cannot protect {name!r}; this bundle knows {', '.join(known) or 'no attribute'}")
        self.field = field
        self.value = name
        self.allowed = list(known)


class UnsupportedRequirementError(ServiceError):
    """The attributes to protect are known, but not as this combination. Nothing is widened or narrowed silently."""

    status = 422
    code = "unsupported_requirement"

    def __init__(
        self, applied: Sequence[Mapping[str, str]], supported_masks: Mapping[str, Any], field: str = "sensitive"
    ) -> None:
        wanted = ", ".join(f"{row['attribute']} ({row['source']})" for row in applied) or "nothing"
        super().__init__(f"this bundle has no list that protects exactly: {wanted}")
        self.field = field
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


class UnknownItemError(ServiceError):
    """The bundle does not know this item."""

    status = 404
    code = "unknown_item"

    def __init__(self, item: str) -> None:
        super().__init__(f"no item {item!r} in this bundle")
        self.field = "item"
        self.value = item


class UnknownGroupError(ServiceError):
    """No item of this bundle is in that group. `allowed` lists up to 100 groups."""

    status = 422
    code = "unknown_group"

    def __init__(self, group: str, known: Sequence[str]) -> None:
        super().__init__(f"no item is in group {group!r}; this bundle has {len(known)} groups")
        self.field = "group"
        self.value = group
        self.allowed = list(known[:100])


class NoHistoryError(ServiceError):
    """The history names no item of this bundle, so that there is nothing to make a list from."""

    status = 422
    code = "no_history"

    def __init__(self, unknown: Sequence[str]) -> None:
        super().__init__("no item of the history is in this bundle; fallback=popular would give the popular list")
        self.field = "history"
        self.unknown_items = list(unknown[:100])


class SessionsUnsupportedError(ServiceError):
    """This bundle holds finished fair vectors: it cannot make one from a history."""

    status = 422
    code = "sessions_unsupported"

    def __init__(self) -> None:
        super().__init__("this bundle has no parts that could be made from a history; it serves its own users only")


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


class StaleCursorError(ServiceError):
    """The cursor was good once: it has expired, another bundle serves, or another requirement applies by now."""

    status = 409
    code = "stale_cursor"

    def __init__(self, reason: Literal["expired", "bundle", "requirement"]) -> None:
        why = {
            "expired": "it has expired",
            "bundle": "the list is made from something else by now: another bundle, or a longer history",
            "requirement": "what must be protected has changed",
        }
        super().__init__(f"this cursor cannot be continued: {why[reason]}; start again without one")
        self.field = "cursor"
        self.reason = reason


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
    """The body does not say that it is JSON."""

    status = 415
    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("the body must be JSON, and say so: `Content-Type: application/json`")
        self.field = "content-type"
        self.allowed = ["application/json"]


class PinnedRequirementError(ServiceError):
    """The operator alone says what is protected here, and the request asks for something else."""

    status = 422
    code = "requirement_pinned"

    def __init__(self, asked: Sequence[str], pinned: Sequence[str]) -> None:
        names = ", ".join(pinned) or "nothing"
        super().__init__(f"this service protects {names} in every answer; a request cannot choose anything else")
        self.field = "sensitive"
        self.value = list(asked)
        self.allowed = list(pinned)


class UserSuppressedError(ServiceError):
    """The user is erased: nothing of them is stored until that is lifted."""

    status = 409
    code = "user_suppressed"

    def __init__(self) -> None:
        super().__init__("this user is erased, so nothing is stored; DELETE /users/{user}/suppression lifts that")
        self.field = "user"


class UnknownModelError(ServiceError):
    """No version of that name is in the models folder."""

    status = 404
    code = "unknown_model"

    def __init__(self, version: str, known: Sequence[str]) -> None:
        super().__init__(f"no version {version!r} in the models folder; it has {', '.join(known) or 'none'}")
        self.field = "version"
        self.value = version
        self.allowed = list(known)


class ModelRefusedError(ServiceError):
    """That version is damaged, or cannot do what is demanded here. The active one serves on."""

    status = 422
    code = "model_refused"

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(f"version {version!r} is refused: {reason}")
        self.field = "version"
        self.value = version
        self.reason = reason


class RequirementsUnmetError(ServiceError):
    """That version cannot meet requirements that users have stored; `force=true` activates it all the same."""

    status = 409
    code = "requirements_unmet"

    def __init__(self, version: str, users: int, combinations: Sequence[Sequence[str]]) -> None:
        super().__init__(
            f"version {version!r} cannot meet the stored requirements of {users} users, whose requests it would refuse "
            "with unsupported_requirement; force=true activates it all the same"
        )
        self.value = version
        self.users = users
        self.combinations = [list(names) for names in combinations]


class ActivationRunningError(ServiceError):
    """Another activation is running on this replica."""

    status = 409
    code = "activation_running"

    def __init__(self, version: str) -> None:
        super().__init__(f"the activation of {version!r} is running; one at a time")
        self.value = version


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

    def __init__(self, detail: str, components: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.components = dict(components or {})


class QueueFullError(UnavailableError):
    """More requests wait than the operator allows."""

    code = "queue_full"


class DeadlineError(UnavailableError):
    """The request waited longer than the operator allows."""

    code = "deadline_exceeded"


class OutdatedError(UnavailableError):
    """What the answer depends on kept changing while it was made."""

    code = "outdated"


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
