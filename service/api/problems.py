"""Every refusal as an RFC 9457 problem document, and the refusals of a route in the schema."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.request_context import context_of
from service.errors import InternalError, MethodNotAllowedError, NotFoundError, ServiceError

MEDIA_TYPE = "application/problem+json"
EXAMPLE_ID = "01a2055b7e527219f4aa209bf47e51d6"


class Problem(TypedDict):
    """A refusal (RFC 9457). `code` is stable; more members tell what was asked and what is allowed."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    type: Annotated[str, Field(description="urn:evenhand:problem: and the code.")]
    title: str
    status: int
    detail: str
    code: str
    request_id: str


PROBLEM_SCHEMA = TypeAdapter(Problem).json_schema()


def problem_response(error: ServiceError, request_id: str) -> Response:
    """The error as the client sees it."""
    return Response(to_json(problem_members(error, request_id)), error.status, error.headers, MEDIA_TYPE)


def problem_members(error: ServiceError, request_id: str) -> dict[str, Any]:
    """The error as JSON will have it."""
    return {
        "type": f"urn:evenhand:problem:{error.code}",
        "title": _title(error),
        "status": error.status,
        "detail": str(error),
        "code": error.code,
        **error.facts,
        "request_id": request_id,
    }


def answer_service_error(request: Request, error: Exception) -> Response:
    """Handler of every `ServiceError`."""
    assert isinstance(error, ServiceError)  # noqa: S101  what it is registered for
    context = context_of(request)
    context.refused = error.code
    return problem_response(error, context.request_id)


def answer_router_error(request: Request, error: Exception) -> Response:
    """Handles refusals of the router itself."""
    assert isinstance(error, HTTPException)  # noqa: S101  what it is registered for
    if error.status_code == 405:
        return answer_service_error(request, MethodNotAllowedError(request.method, _possible_methods(request)))
    return answer_service_error(request, NotFoundError() if error.status_code == 404 else InternalError())


def _possible_methods(request: Request) -> list[str]:
    """Of all routes with this path; the router names those of the first alone."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in routes for method in route.methods}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def problems(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """These errors as a route declares them: for each status the codes it may carry, and why."""
    declared: dict[int | str, dict[str, Any]] = {}
    every: list[type[ServiceError]] = [*errors, InternalError]
    for status in sorted({error.status for error in every}):
        found = [error for error in every if error.status == status]
        schema = {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "properties": {"code": {"enum": [error.code for error in found]}},
        }
        declared[status] = {
            "description": "\n\n".join(f"`{error.code}`: {(error.__doc__ or '').splitlines()[0]}" for error in found),
            "content": {MEDIA_TYPE: {"schema": schema, "examples": {error.code: _example(error) for error in found}}},
        }
    return declared


def _example(error: type[ServiceError]) -> dict[str, Any]:
    """The members that every document with this code has; most have more."""
    detail = (error.__doc__ or "").splitlines()[0]
    members = {"type": f"urn:evenhand:problem:{error.code}", "title": _title(error), "status": error.status}
    return {"value": {**members, "detail": detail, "code": error.code, "request_id": EXAMPLE_ID}}


def _title(error: ServiceError | type[ServiceError]) -> str:
    return error.code.replace("_", " ").capitalize()
