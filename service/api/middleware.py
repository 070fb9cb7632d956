"""Around every request: its own id, its metrics, its log line, its trace, and a problem after an unexpected error."""

from __future__ import annotations

from asyncio import get_running_loop
from logging import DEBUG, ERROR, INFO, WARNING
from time import monotonic
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from service.api.paths import keep_slashes
from service.api.problems import problem_response
from service.api.request_context import RequestContext, new_request_id, put_context
from service.errors import InternalError
from service.metrics import Metrics
from service.stages import Answered

if TYPE_CHECKING:
    from service.spans import Place, Traces

QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Asked every few seconds by machines; logged at debug."""
SECURE = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""Default headers of responses: no caching, no guessing of types, no frames, no referrer. A response is data: a browser
that shows it runs and loads nothing."""
CLIENT_GONE = 499
"""Status in logs and metrics of a request that was cancelled before its answer began."""


class RequestMiddleware:
    """Pure ASGI. The id is always ours: one that a client sends could repeat or forge a line of the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: FilteringBoundLogger, traces: Traces | None) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log
        self._traces = traces
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = monotonic()
        context = RequestContext(new_request_id())
        put_context(scope, context)
        keep_slashes(scope)
        self._in_flight += 1
        request_id = (b"x-request-id", context.request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], request_id, *(one for one in SECURE if one[0] not in own)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            self._log.exception("request failed", request_id=context.request_id, route=_route(scope))
            if context.status is not None:  # too late for another answer
                raise
            error = InternalError()
            context.refused = error.code
            await problem_response(error, context.request_id)(scope, receive, send_with_id)
        finally:
            self._in_flight -= 1
            ended = monotonic()
            self._record(context, _route(scope), scope["method"], ended - began)
            if self._traces is not None and (place := self._traces.place(scope["headers"])) is not None:
                # in the next turn, when the answers of this one are out
                get_running_loop().call_soon(_trace, self._traces, place, scope, context, began, ended)

    def _record(self, context: RequestContext, route: str, method: str, seconds: float) -> None:
        status = context.status or CLIENT_GONE
        self._metrics.requests.labels(route, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        if context.refused is not None:
            self._metrics.refused.labels(context.refused).inc()
        level = ERROR if status == 500 else WARNING if status > 500 else DEBUG if route in QUIET_ROUTES else INFO
        if not self._log.is_enabled_for(level):
            return
        done = None if context.made is None else context.made.computed
        self._log.log(
            level,
            "request",
            request_id=context.request_id,
            method=method,
            route=route,
            status=status,
            refused=context.refused,
            key=context.key,
            protected=context.protected,
            bundle=context.bundle,
            total_ms=round(1e3 * seconds, 3),
            queue_ms=done and round(done.queue_ms, 3),
            compute_ms=done and round(done.compute_ms, 3),
        )


def _trace(traces: Traces, place: Place, scope: Scope, context: RequestContext, began: float, ended: float) -> None:
    """Tell of a request, unless it is a probe. Attributes are counted, as in metrics, and not named."""
    if _route(scope) in QUIET_ROUTES:
        return
    facts: dict[str, str | int | bool] = {"evenhand.request_id": context.request_id}
    if (made := context.made) is not None:
        facts["evenhand.bundle"] = context.bundle or ""
        facts["evenhand.protected"] = len(context.protected or ())
        facts["evenhand.cached"] = made.cached
    route, status = getattr(scope.get("route"), "path", None), context.status or CLIENT_GONE
    answered = Answered(scope["method"], route, status, began, ended, context.refused, facts)
    traces.request(place, answered, made.stages if made is not None else ())


def _route(scope: Scope) -> str:
    """The route's template; paths that no route has share one, so that nobody can invent labels."""
    return getattr(scope.get("route"), "path", "unmatched")
