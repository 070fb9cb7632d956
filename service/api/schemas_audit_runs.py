"""Audit runs as clients see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from bundle import Manifest
from service.api.state import State
from service.api.times import as_text
from service.store import Run, StoredModel

Status = Literal["queued", "running", "done", "failed", "cancelled"]


class AuditedModel(TypedDict):
    """A bundle that was measured."""

    name: str
    version: str
    content_hash: str


class QueuedPage(TypedDict):
    """Answer of POST /audit/runs."""

    id: str
    status: Literal["queued"]


class RunPage(TypedDict):
    """One audit run, without what it found."""

    id: str
    status: Status
    progress: float
    """Share done, in [0, 1]."""
    doing: str | None
    request: Mapping[str, Any]
    """With everything decided that was left open."""
    created: str
    started: str | None
    ended: str | None
    error: str | None
    verdict: Literal["pass", "fail", "inconclusive", "not_judged"] | None
    """None until it is done."""
    model: AuditedModel | None
    """Fixed when the run was queued."""
    attempts: int
    """Times that it was begun."""


class ResultPage(RunPage):
    """Answer of GET /audit/runs/{id}."""

    result: Mapping[str, Any] | None
    """Bundle, request, time, card and verdict; None until it is done."""


class RunsPage(TypedDict):
    """Answer of GET /audit/runs."""

    runs: list[RunPage]


class EndedPage(TypedDict):
    """Answer of DELETE /audit/runs/{id}."""

    id: str
    status: Literal["cancelled", "deleted"]


class ComparisonPage(TypedDict):
    """Answer of GET /audit/runs/{id}/comparison: differences are second less first."""

    first: RunPage
    second: RunPage
    differs: list[Mapping[str, Any]]
    """Settings that differ between the two: profile, users, seed."""
    verdict: Mapping[str, Any]
    accuracy: list[Mapping[str, Any]]
    leakage: list[Mapping[str, Any]]
    fairness: list[Mapping[str, Any]]


class CardPage(TypedDict):
    """Answer of GET /audit/card."""

    model: AuditedModel
    card: Mapping[str, Any]


def run_page(state: State, run: Run) -> RunPage:
    """A run without its result."""
    model = state.runtime.store.known.models.get(run.model_id or 0)
    return {
        "id": run.id,
        "status": run.status,
        "progress": run.progress,
        "doing": run.doing,
        "request": run.request,
        "created": as_text(run.created_us),
        "started": _time(run.started_us),
        "ended": _time(run.ended_us),
        "error": run.error,
        "verdict": run.verdict,
        "model": None if model is None else named(model),
        "attempts": run.attempts,
    }


def named(model: StoredModel | Manifest) -> AuditedModel:
    """Which bundle."""
    return {"name": model.name, "version": model.version, "content_hash": model.content_hash}


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else as_text(time_us)
