"""Which scope each route needs: one table, which guards the routes and is written into the published schema.

A route that is not in the table cannot be served.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, cast

from fastapi import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from service.access import Caller, Scope
from service.api.dispatch import asgi
from service.api.problems import problems
from service.api.request_context import RequestContext
from service.api.state import State
from service.errors import BodyTooLargeError, InvalidKeyError, MissingKeyError, MissingScopeError, RateLimitedError

SCOPE_OF: Mapping[tuple[str, str], Scope | None] = {
    ("GET", "/recommend"): "recommend",
    ("POST", "/recommend/batch"): "recommend",
    ("POST", "/recommend/session"): "recommend",
    ("GET", "/similar"): "recommend",
    ("GET", "/popular"): "recommend",
    ("GET", "/attributes"): "recommend",
    ("GET", "/models"): "recommend",
    ("GET", "/users/{user}/requirement"): "recommend",
    ("PUT", "/users/{user}/requirement"): "requirement",
    ("DELETE", "/users/{user}/requirement"): "requirement",
    ("POST", "/interactions"): "feedback",
    ("GET", "/users/{user}/data"): "admin",
    ("DELETE", "/users/{user}"): "admin",
    ("DELETE", "/users/{user}/suppression"): "admin",
    ("PUT", "/items/{item}/hidden"): "admin",
    ("DELETE", "/items/{item}/hidden"): "admin",
    ("POST", "/models/{version}/activate"): "admin",
    ("POST", "/audit/runs"): "audit",
    ("GET", "/audit/runs"): "audit",
    ("GET", "/audit/runs/{id}"): "audit",
    ("DELETE", "/audit/runs/{id}"): "audit",
    ("GET", "/audit/runs/{id}/report"): "audit",
    ("GET", "/audit/runs/{id}/comparison"): "audit",
    ("GET", "/audit/card"): "audit",
    ("GET", "/audit/exposure"): "audit",
    ("GET", "/audit/requirements"): "audit",
    ("GET", "/audit/requests"): "audit",
    ("GET", "/audit/users"): "audit",
    ("GET", "/audit/users/{user}"): "audit",
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/"): None,
    ("GET", "/ui/audits"): None,
    ("GET", "/ui/models"): None,
    ("GET", "/ui/static/{file}"): None,
}
"""(method, path) → scope; None for routes that anyone may ask."""

UNREADABLE: Mapping[str, Any] = {
    "description": "What was sent is not HTTP, or its first line is longer than 64 KiB. No request id, no problem.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
"""The server's own refusal, before any route."""
_CALLER = "evenhand.caller"
_BODILESS = frozenset({"GET", "HEAD"})


def guard(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Copies of the routes that ask for a key first; several apps may be made of the same routes.

    Raises:
        KeyError: a route is not in `SCOPE_OF`.
    """
    guarded: list[BaseRoute] = []
    for route in routes:
        assert isinstance(route, Route)  # noqa: S101  nothing else can be guarded
        (needed,) = {SCOPE_OF[method, route.path] for method in route.methods or ()}
        mine = copy.copy(route)
        app = asgi(route.endpoint)
        mine.app = app if needed is None else _Guarded(app, needed)
        guarded.append(mine)
    return guarded


def caller_of(request: Request) -> Caller:
    """The caller of a guarded route."""
    return cast(Caller, request.scope[_CALLER])


def describe_access(schema: dict[str, Any]) -> None:
    """Write into an OpenAPI document which key each operation needs, and how it is refused."""
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key with the scope that the operation names. Where no key is defined, none is needed.",
    }
    schema.setdefault("components", {})["securitySchemes"] = {"key": scheme}
    refusals = problems(MissingKeyError, InvalidKeyError, MissingScopeError, RateLimitedError)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            operation["responses"]["400"] = UNREADABLE
            needed = SCOPE_OF[method.upper(), path]
            operation["security"] = [] if needed is None else [{"key": [needed]}]
            if needed is not None:
                for status in (MissingKeyError.status, MissingScopeError.status, RateLimitedError.status):
                    operation["responses"].setdefault(str(status), refusals[status])
            operation["responses"] = dict(sorted(operation["responses"].items()))


class _Guarded:
    """Pure ASGI, around one route."""

    def __init__(self, app: ASGIApp, needed: Scope) -> None:
        self._app = app
        self._needed = needed

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Let the request through, or raise why not."""
        state: State = scope["app"].state.evenhand
        caller = state.runtime.gate.recognise([value for name, value in scope["headers"] if name == b"authorization"])
        context: RequestContext = scope["evenhand.context"]
        context.key = caller.name or None
        state.runtime.gate.check(caller, self._needed)
        await state.runtime.gate.count(caller)
        scope[_CALLER] = caller
        if scope["method"] not in _BODILESS:
            receive = _bounded(scope, receive, state.max_body_bytes)
        await self._app(scope, receive, send)


def _bounded(scope: Connection, receive: Receive, allowed: int) -> Receive:
    """A body that ends in a refusal where it grows too large."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 12 or int(value) > allowed):
            raise BodyTooLargeError(allowed)
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > allowed:
            raise BodyTooLargeError(allowed)
        return message

    return bounded
