"""What the routes share: set once when the app is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request

from service.metrics import Metrics
from service.recommend import Recommender


@dataclass(frozen=True, slots=True)
class State:
    """Everything a route may need besides its request."""

    recommender: Recommender
    metrics: Metrics
    with_scores: bool
    schema: dict[str, Any]


def state_of(request: Request) -> State:
    """The state of the app that answers this request."""
    state: State = request.app.state.evenhand
    return state
