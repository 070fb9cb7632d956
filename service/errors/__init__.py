"""What the service refuses, and what it says when it does.

    ServiceError
    ├── InvalidQueryError             422  the query string is not one this route takes
    ├── QueryTooLongError             414  nor is it read beyond a limit
    ├── UnknownAttributeError         422  the bundle was not trained on that attribute
    ├── UnsupportedRequirementError   422  the bundle has no list for exactly these attributes
    ├── BalanceRevealsError           422  the balance would put back what is withheld
    │   └── RerankRevealsError             so would a re-ranker by groups of users (`python -m service lists`)
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
    ├── ShareRefusedError             409  it cannot answer a share of the users beside the active one
    ├── ActivationRunningError        409  one at a time
    ├── NoAuditDataError              409  the bundle came without what audits need
    ├── UnknownRunError               404  no audit run with that id
    ├── RunNotDoneError               409  it has no result
    ├── TooManyRunsError              409  as many are queued as may be
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

from service.errors.audits import NoAuditDataError, RunNotDoneError, TooManyRunsError, UnknownRunError
from service.errors.base import ServiceError, first_line, said
from service.errors.keys import InvalidKeyError, MissingKeyError, MissingScopeError, RateLimitedError
from service.errors.lists import (
    BalanceRevealsError,
    NoHistoryError,
    PinnedRequirementError,
    RerankRevealsError,
    SessionsUnsupportedError,
    StaleCursorError,
    UnknownAttributeError,
    UnknownGroupError,
    UnknownItemError,
    UnknownUserError,
    UnsupportedRequirementError,
    UserSuppressedError,
)
from service.errors.models import (
    ActivationRunningError,
    ModelRefusedError,
    RequirementsUnmetError,
    ShareRefusedError,
    UnknownModelError,
)
from service.errors.requests import (
    BodyTooLargeError,
    InvalidBodyError,
    InvalidHeaderError,
    InvalidQueryError,
    MediaTypeError,
    MethodNotAllowedError,
    NotFoundError,
    QueryTooLongError,
)
from service.errors.running import (
    DeadlineError,
    InternalError,
    NotReadyError,
    OutdatedError,
    QueueFullError,
    StartError,
    StoppingError,
    UnavailableError,
)

__all__ = [
    "ActivationRunningError",
    "BalanceRevealsError",
    "BodyTooLargeError",
    "DeadlineError",
    "InternalError",
    "InvalidBodyError",
    "InvalidHeaderError",
    "InvalidKeyError",
    "InvalidQueryError",
    "MediaTypeError",
    "MethodNotAllowedError",
    "MissingKeyError",
    "MissingScopeError",
    "ModelRefusedError",
    "NoAuditDataError",
    "NoHistoryError",
    "NotFoundError",
    "NotReadyError",
    "OutdatedError",
    "PinnedRequirementError",
    "QueryTooLongError",
    "QueueFullError",
    "RateLimitedError",
    "RequirementsUnmetError",
    "RerankRevealsError",
    "RunNotDoneError",
    "ServiceError",
    "SessionsUnsupportedError",
    "ShareRefusedError",
    "StaleCursorError",
    "StartError",
    "StoppingError",
    "TooManyRunsError",
    "UnavailableError",
    "UnknownAttributeError",
    "UnknownGroupError",
    "UnknownItemError",
    "UnknownModelError",
    "UnknownRunError",
    "UnknownUserError",
    "UnsupportedRequirementError",
    "UserSuppressedError",
    "first_line",
    "said",
]
