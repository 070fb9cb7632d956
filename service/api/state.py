"""The state that the routes share: set once when the app is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from structlog.typing import FilteringBoundLogger

from service.runtime import Runtime


@dataclass(frozen=True, slots=True)
class State:
    """Everything a route may need besides its request."""

    runtime: Runtime
    log: FilteringBoundLogger
    with_scores: bool
    max_body_bytes: int
    max_k: int
    metrics_elsewhere: bool
    root_path: str
    """What a proxy puts before every path; not there in the paths that arrive."""
    schema: dict[str, Any]


def state_of(request: Request) -> State:
    """The state of the app that answers this request."""
    state: State = request.app.state.evenhand
    return state
