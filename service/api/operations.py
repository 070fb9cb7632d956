"""Routes that machines ask: probes, metrics, the schema. They do not look at the query string."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.api.answer import json_response
from service.api.problems import problems
from service.api.schemas import Health, Readiness
from service.api.state import state_of
from service.errors import NotFoundError, NotReadyError

router = APIRouter(tags=["operations"], generate_unique_id_function=lambda route: route.name)


@router.get("/health/live", response_model=Health)
async def live(_: Request) -> Response:
    """Tell that the process answers. A restart helps where it does not."""
    return json_response({"status": "alive"})


@router.get("/health/ready", response_model=Readiness, responses=problems(NotReadyError))
async def ready(request: Request) -> Response:
    """Tell that a recommendation would be answered: the bundle is loaded and proven, the worker and the database alive.

    What the service can do without is no reason to send it no requests: `degraded` says what it goes without,
    and the log what is wrong with it.
    """
    runtime = state_of(request).runtime
    runtime.health.log_troubles()
    runtime.health.check_ready()
    ready: Readiness = {"status": "ready", "components": runtime.health.components}
    if degraded := runtime.health.degraded:
        ready["degraded"] = degraded
    return json_response(ready)


@router.get(
    "/metrics",
    response_class=Response,
    responses=problems(NotFoundError)
    | {200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus; every name starts `evenhand_`. Not here where they have a port of their own."""
    if state_of(request).metrics_elsewhere:
        raise NotFoundError
    text = await asyncio.to_thread(generate_latest, state_of(request).runtime.scraped)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Give this schema."""
    return json_response(state_of(request).schema)
