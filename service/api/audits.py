"""Routes on audit runs: start, look, compare; and on the card of training."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter, create_model

from service.api.answer import json_response
from service.api.body import openapi_body, read_body
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import Id, NoParameters, Parameters, openapi_parameters, parse
from service.api.schemas_audit_runs import (
    CardPage,
    ComparisonPage,
    EndedPage,
    QueuedPage,
    ResultPage,
    RunsPage,
    named,
    run_page,
)
from service.api.state import State, state_of
from service.audit.request import AuditRequest
from service.errors import (
    BodyTooLargeError,
    InvalidBodyError,
    InvalidQueryError,
    MediaTypeError,
    ModelRefusedError,
    NoAuditDataError,
    QueryTooLongError,
    QueueFullError,
    RunNotDoneError,
    StoppingError,
    TooManyRunsError,
    UnknownAttributeError,
    UnknownModelError,
    UnknownRunError,
    UnsupportedRequirementError,
)
from service.store import Run, StoreUnavailableError, UnstorableError, get_run, list_runs

router = APIRouter(tags=["audits"], generate_unique_id_function=lambda route: route.name)

READ = (InvalidQueryError, QueryTooLongError, StoreUnavailableError)
WRITE = (*READ, UnstorableError, QueueFullError, StoppingError)
BODY = (InvalidBodyError, MediaTypeError, BodyTooLargeError)
RUN = {"parameters": openapi_path(id="Of an audit run.")}
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report has its style inside; it runs nothing and loads nothing."""


class RunsParameters(Parameters):
    """The query parameters of GET /audit/runs."""

    limit: Annotated[int, Field(ge=1, le=1000, description="How many, the newest first.")] = 20


class CardParameters(Parameters):
    """The query parameters of GET /audit/card."""

    version: Annotated[
        Annotated[str, Field(min_length=1, max_length=100)] | None,
        Field(description="In the models folder. Absent: the active one.", examples=["2026-01-31"]),
    ] = None


ComparisonParameters = create_model(
    "ComparisonParameters",
    __base__=Parameters,
    __doc__="What GET /audit/runs/{id}/comparison takes; `with` cannot be written as a field of a class.",
    **{"with": (Annotated[Id, Field(description="Id of the other run.", examples=["2f6d1c0a9b3e4d58"])], ...)},  # type: ignore[call-overload]
)


_BODY: TypeAdapter[AuditRequest] = TypeAdapter(AuditRequest)


@router.post(
    "/audit/runs",
    status_code=202,
    response_model=QueuedPage,
    responses=problems(
        *WRITE,
        *BODY,
        NoAuditDataError,
        UnknownModelError,
        ModelRefusedError,
        UnknownAttributeError,
        UnsupportedRequirementError,
        TooManyRunsError,
    ),
    openapi_extra={"requestBody": openapi_body(_BODY)},
)
async def queue_run(request: Request) -> Response:
    """Measure a served bundle again, through the code that serves it; `{}` is a quick look at all of it.

    Runs are done one after the other, with what requests leave over of the machine. They survive a restart.
    """
    parse(NoParameters, request.scope["query_string"])
    wanted, _ = await read_body(request, _BODY)
    run = await state_of(request).runtime.audits.queue(wanted)
    page: QueuedPage = {"id": run, "status": "queued"}
    return json_response(page, 202, {"location": f"{state_of(request).root_path}/audit/runs/{run}"})


@router.get(
    "/audit/runs",
    response_model=RunsPage,
    responses=problems(*READ),
    openapi_extra={"parameters": openapi_parameters(RunsParameters)},
)
async def runs(request: Request) -> Response:
    """List audit runs, the newest first, without what they found."""
    asked, state = parse(RunsParameters, request.scope["query_string"]), state_of(request)
    page: RunsPage = {"runs": [run_page(state, run) for run in await state.runtime.store.read(list_runs, asked.limit)]}
    return json_response(page)


@router.get(
    "/audit/runs/{id}", response_model=ResultPage, responses=problems(*READ, UnknownRunError), openapi_extra=RUN
)
async def run(request: Request) -> Response:
    """Tell how far an audit run is, and what it found."""
    parse(NoParameters, request.scope["query_string"])
    state = state_of(request)
    found = await _found(state, path_id(request, "id"))
    page: ResultPage = {**run_page(state, found), "result": found.result}
    return await asyncio.to_thread(json_response, page)


@router.delete(
    "/audit/runs/{id}", response_model=EndedPage, responses=problems(*WRITE, UnknownRunError), openapi_extra=RUN
)
async def end_run(request: Request) -> Response:
    """Cancel an audit run that is queued or running, which is kept as such; delete one that has ended."""
    parse(NoParameters, request.scope["query_string"])
    name = path_id(request, "id")
    page: EndedPage = {"id": name, "status": await state_of(request).runtime.audits.end(name)}
    return json_response(page)


@router.get(
    "/audit/runs/{id}/report",
    response_class=Response,
    responses=problems(*READ, UnknownRunError, RunNotDoneError)
    | {200: {"description": "One self-contained page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
    openapi_extra=RUN,
)
async def report(request: Request) -> Response:
    """Give what an audit run found as a page with plots, to read, print or keep."""
    parse(NoParameters, request.scope["query_string"])
    result = _result(await _found(state_of(request), path_id(request, "id")))
    page = await asyncio.to_thread(_rendered, result)
    return Response(page, media_type="text/html", headers={"content-security-policy": PAGE_POLICY})


@router.get(
    "/audit/runs/{id}/comparison",
    response_model=ComparisonPage,
    responses=problems(*READ, UnknownRunError, RunNotDoneError),
    openapi_extra={"parameters": RUN["parameters"] + openapi_parameters(ComparisonParameters)},
)
async def comparison(request: Request) -> Response:
    """Set two audit runs side by side: of two bundles, or of one before and after."""
    asked, state = parse(ComparisonParameters, request.scope["query_string"]), state_of(request)
    first = await _found(state, path_id(request, "id"))
    second = await _found(state, getattr(asked, "with"), "with")
    results = _result(first), _result(second)
    compared = await asyncio.to_thread(_compared, *results)
    page: ComparisonPage = {
        "first": run_page(state, first),
        "second": run_page(state, second),
        "differs": compared["differs"],
        "verdict": compared["verdict"],
        "accuracy": compared["accuracy"],
        "leakage": compared["leakage"],
        "fairness": compared["fairness"],
    }
    return json_response(page)


@router.get(
    "/audit/card",
    response_model=CardPage,
    responses=problems(InvalidQueryError, QueryTooLongError, UnknownModelError, ModelRefusedError),
    openapi_extra={"parameters": openapi_parameters(CardParameters)},
)
async def card(request: Request) -> Response:
    """Give accuracy and leakage of a bundle as training measured them."""
    asked = parse(CardParameters, request.scope["query_string"])
    manifest, measured = await asyncio.to_thread(state_of(request).runtime.versions.card, asked.version)
    page: CardPage = {"model": named(manifest), "card": measured}
    return json_response(page)


async def _found(state: State, name: str, field: str = "id") -> Run:
    found = await state.runtime.store.read(get_run, name)
    if found is None:
        raise UnknownRunError(name, field)
    return found


def _result(run: Run) -> Mapping[str, Any]:
    if run.result is None:
        raise RunNotDoneError(run.id, run.status, run.error)
    return run.result


def _rendered(result: Mapping[str, Any]) -> str:
    from measure.report import render_html  # with its template engine, which nobody else needs

    return render_html(result)


def _compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    from measure.compare import compare

    return compare(first, second)
