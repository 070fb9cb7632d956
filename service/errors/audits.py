"""Audits that cannot be made, or not be asked for now."""

from __future__ import annotations

from service.errors.base import ServiceError


class NoAuditDataError(ServiceError):
    """The bundle came without audit/: there are no labels and no held-out items to audit with."""

    status = 409
    code = "no_audit_data"

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version!r} came without audit/, so there are no labels and held-out items")
        self.value = version


class UnknownRunError(ServiceError):
    """There is no audit run with this id."""

    status = 404
    code = "unknown_run"

    def __init__(self, run: str, field: str = "id") -> None:
        super().__init__(f"no audit run {run!r:.80}; GET /audit/runs lists them")
        self.field = field
        self.value = run


class RunNotDoneError(ServiceError):
    """The audit run has no result: it is queued or running, or it failed or was cancelled."""

    status = 409
    code = "run_not_done"

    def __init__(self, run: str, status: str, error: str | None) -> None:
        why = f": {error}" if error else ""
        super().__init__(f"audit run {run!r} is {status}{why}; only one that is done has a result")
        self.value = run
        self.run_status = status


class TooManyRunsError(ServiceError):
    """As many audit runs are queued or running as may be."""

    status = 409
    code = "too_many_runs"

    def __init__(self, allowed: int) -> None:
        super().__init__(f"{allowed} audit runs are queued or running already; wait for one, or cancel one")
        self.allowed = allowed
