"""What the store refuses.

UnavailableError (503)
└── StoreUnavailableError         the database is lost, full, or took too long; nothing was acknowledged
StartError
└── StoreStartError               another process has the file, the schema is not ours, the secret is another one
ServiceError
├── UnstorableError          422  a text that the database cannot hold
├── KeyNameTakenError        409
├── IdempotencyConflictError 422  the same Idempotency-Key with another body
└── RunConflictError         409  the audit run is not in a state that allows this
"""

from __future__ import annotations

from service.errors import ServiceError, StartError, UnavailableError


class StoreUnavailableError(UnavailableError):
    """The database is lost, full, or took too long. What was asked is not acknowledged, and never half-written."""

    code = "store_unavailable"


class StoreStartError(StartError):
    """The database is not one that this process may serve from."""


class UnstorableError(ServiceError):
    """A text holds characters that the database cannot."""

    status = 422
    code = "unstorable"

    def __init__(self) -> None:
        super().__init__("a text in this request holds characters that cannot be stored, such as NUL")


class KeyNameTakenError(ServiceError):
    """Names of keys are used once, also after the key is revoked: the request log names them."""

    status = 409
    code = "key_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a key {name!r} already, perhaps a revoked one")
        self.value = name


class IdempotencyConflictError(ServiceError):
    """The Idempotency-Key was used before, for something else."""

    status = 422
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used before with another request body")


class RunConflictError(ServiceError):
    """The audit run is not in a state that allows this."""

    status = 409
    code = "run_conflict"

    def __init__(self, run: str, status: str, wanted: str) -> None:
        super().__init__(f"audit run {run} is {status}; {wanted}")
        self.value = run
        self.run_status = status
