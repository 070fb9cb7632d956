"""The ASGI app, assembled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from service.api import operations, recommendations
from service.api.middleware import RequestMiddleware
from service.api.problems import PROBLEM_SCHEMA, answer_router_error, answer_service_error
from service.api.state import State
from service.errors import ServiceError
from service.logs import make_logger
from service.metrics import Metrics
from service.model import Model
from service.recommend import Recommender
from service.requirement import Policy
from service.settings import Settings

API_VERSION = "0.1.0"


def create_app(settings: Settings, model: Model) -> FastAPI:
    """One service around one model; several may live in a process.

    Raises:
        StartError: the bundle cannot do what the settings demand.
    """
    log = make_logger(settings.log_level)
    metrics = Metrics()
    metrics.bundle.info({"name": model.name, "version": model.version, "content_hash": model.content_hash})
    recommender = Recommender(
        model,
        Policy(settings.default, settings.required),
        metrics,
        max_batch=settings.max_batch,
        queue_size=settings.queue_size,
        deadline_s=settings.deadline_s,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        started = perf_counter()
        try:
            await recommender.start()
            timings = {**model.loading_ms, "canary_ms": 1e3 * (perf_counter() - started)}
            rounded = {name: round(value, 1) for name, value in timings.items()}
            log.info("ready", bundle=f"{model.name}/{model.version}", device=model.index.device, **rounded)
            yield
        finally:
            await recommender.close()
            log.info("stopped")
            await asyncio.sleep(0)  # one turn more, which writes that line

    app = _routed(lifespan=lifespan)
    app.add_middleware(RequestMiddleware, metrics=metrics, log=log)
    # With no API key defined every caller has every scope, the audit scope included.
    app.state.evenhand = State(recommender, metrics, settings.scores == "audit", published_schema())
    if model.device_note:
        log.info("index is on the CPU", reason=model.device_note)
    return app


def published_schema() -> dict[str, Any]:
    """The OpenAPI document; it depends on no setting and no bundle."""
    schema = _routed().openapi()
    schema["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
    return schema


def _routed(**options: Any) -> FastAPI:
    """Routes and handlers. Routes are given, not included: an included router is matched twice per request."""
    app = FastAPI(
        title="Evenhand",
        version=API_VERSION,
        summary="Recommendations in which the attributes that a request names are withheld.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=[*recommendations.router.routes, *operations.router.routes],
        openapi_url=None,
        redirect_slashes=False,
        **options,
    )
    app.add_exception_handler(ServiceError, answer_service_error)
    app.add_exception_handler(HTTPException, answer_router_error)
    return app
