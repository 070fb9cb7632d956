"""From a request to the function that answers it: by a table where the path is fixed, else by the router.

FastAPI makes the published schema of these functions. Its own way to them (dependencies, validation, exit stacks, four
layers of middleware) would cost a request as much as everything that is done for it, and do nothing: every one of them
takes the request, reads it itself, and gives a response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import answer_router_error, answer_service_error
from service.api.request_context import context_of
from service.errors import ServiceError


def asgi(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A function that answers requests, as an ASGI app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


class Dispatch:
    """Pure ASGI, innermost. A refusal becomes a problem here, so that no outer layer sees an exception."""

    def __init__(self, router: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        """Take the router, for paths with parameters and for refusals, and the routes that it has."""
        self._router = router
        self._fixed = {
            (method, route.path): route
            for route in routes
            if isinstance(route, Route) and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; start and stop pass through."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await self._head(scope, receive, send)
            return
        try:
            route = self._fixed.get((scope["method"], scope["path"]))
            if route is None:
                await self._router(scope, receive, send)
            else:
                scope["route"] = route
                await route.app(scope, receive, send)
        except ServiceError as error:
            await self._refuse(answer_service_error, error, scope, receive, send)
        except HTTPException as error:
            await self._refuse(answer_router_error, error, scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What GET answers, without its body: RFC 9110, 9.3.2. Its list is logged as a probe."""
        context_of(Request(scope)).shows = False

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        asked = {**scope, "method": "GET"}
        try:
            await self(asked, receive, send_head)
        finally:
            scope["route"] = asked.get("route")

    async def _refuse(
        self,
        answer: Callable[[Request, Exception], Response],
        error: Exception,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        request = Request(scope, receive, send)
        if context_of(request).status is not None:  # too late for another answer
            raise error
        await answer(request, error)(scope, receive, send)
