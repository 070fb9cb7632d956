"""The ASGI app, assembled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api import (
    attributes,
    audits,
    exposure,
    interactions,
    items,
    models,
    operations,
    pages,
    recommendations,
    user_audit,
    users,
)
from service.api import log as request_log
from service.api.access import describe_access, guard
from service.api.dispatch import Dispatch
from service.api.middleware import RequestMiddleware
from service.api.problems import PROBLEM_SCHEMA
from service.api.state import State
from service.logs import make_logger
from service.model.loaded import Model
from service.processes.process import Process
from service.runtime import Runtime
from service.settings import Settings

API_VERSION = "0.1.0"
PARTS = (
    recommendations,
    attributes,
    users,
    interactions,
    items,
    models,
    user_audit,
    exposure,
    request_log,
    audits,
    operations,
    pages,
)
"""In the order that requests are matched: the most frequent routes first."""
CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
    "allow_headers": ["authorization", "content-type", "idempotency-key"],
    "expose_headers": ["x-request-id", "retry-after", "idempotent-replayed"],
    "max_age": 600,
}
"""The rights of pages of EVENHAND_CORS_ORIGINS; the pages send keys, never the browser by itself."""


def create_app(settings: Settings, model: Model, process: Process | None = None) -> FastAPI:
    """One service around one model; several may live in a process. ``process``: this one, where there are others.

    Raises:
        StartError: the bundle cannot do what the settings demand.
    """
    log = make_logger(settings.log_level)
    runtime = Runtime(settings, model, log, process)

    served = {"bundle": f"{model.name}/{model.version}", "device": model.index.device}
    log.info("index", bundle=served["bundle"], **model.index_facts())
    loading_ms = model.loading_ms  # and not the model: nothing of the app may hold one that does not serve any more

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        started = perf_counter()
        try:
            await runtime.start()
            timings = {**loading_ms, "canary_ms": 1e3 * (perf_counter() - started)}
            rounded = {name: round(value, 1) for name, value in timings.items()}
            log.info("ready", **served, **rounded)
            yield
        finally:
            await runtime.close()
            log.info("stopped")
            await asyncio.sleep(0)  # one turn more, which writes that line

    app = _routed(lifespan=lifespan)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CROSS_ORIGIN)
    app.add_middleware(RequestMiddleware, metrics=runtime.metrics, log=log, traces=runtime.traces)
    app.state.evenhand = State(
        runtime=runtime,
        log=log,
        with_scores=settings.scores == "audit",
        max_body_bytes=settings.max_body_kb << 10,
        max_k=settings.max_k,
        metrics_elsewhere=settings.metrics_port is not None,
        root_path=settings.root_path,
        schema=published_schema(settings.root_path),
    )
    return app


def published_schema(root_path: str = "") -> dict[str, Any]:
    """The OpenAPI document; it depends on no bundle, and of the settings on where a proxy shows the service."""
    return {**_schema(), "servers": [{"url": root_path}]} if root_path else _schema()


@cache
def _schema() -> dict[str, Any]:
    """Made once, however many apps live in a process: it takes longer than all the rest of an app."""
    schema = _routed().openapi()
    schema["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
    describe_access(schema)
    return schema


class _App(FastAPI):
    """FastAPI's schema, and the short way to the routes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; without FastAPI's look for tracers at every request."""
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Our middleware around our own dispatch, nothing else."""
        app: ASGIApp = Dispatch(self.router, self.routes)
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app


def _routed(**options: Any) -> _App:
    """Routes, given and not included: an included router is matched twice per request."""
    return _App(
        title="Evenhand",
        version=API_VERSION,
        summary="Recommendations in which the attributes that a request names are withheld.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=guard(route for part in PARTS for route in part.router.routes),
        openapi_url=None,
        redirect_slashes=False,
        **options,
    )
