"""What one request leaves behind for its log line; carried in the ASGI scope. No user ids, no attribute values."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

_KEY = "evenhand.trace"


@dataclass(slots=True)
class Trace:
    """Filled in while the request is answered."""

    request_id: str
    status: int | None = None
    """None until the answer begins."""
    refused: str | None = None
    """Code of the problem."""
    protected: tuple[str, ...] | None = None
    bundle: str | None = None
    queue_ms: float | None = None
    compute_ms: float | None = None


def put_trace(scope: MutableMapping[str, Any], trace: Trace) -> None:
    """Attach a trace to a request."""
    scope[_KEY] = trace


def trace_of(request: Request) -> Trace:
    """The trace of a request."""
    trace: Trace = request.scope[_KEY]
    return trace
