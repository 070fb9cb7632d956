"""What the process itself cannot do: now, at all, or because of a bug."""

from __future__ import annotations

from collections.abc import Mapping

from service.errors.base import ServiceError


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
    exit_status = 2
    """Of the command that it ends."""
