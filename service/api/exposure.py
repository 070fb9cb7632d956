"""Routes on lists that were really served, counted from the request log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from service.api.answer import json_response
from service.api.problems import problems
from service.api.query import COMMA_SEPARATED, Id, Name, openapi_parameters, parse
from service.api.schemas_exposure import ExposurePage, RequirementsPage, exposure_page, requirements_page
from service.api.state import state_of
from service.api.window import Window
from service.errors import InvalidQueryError, NoAuditDataError, QueryTooLongError, QueueFullError, UnknownGroupError
from service.store import StoreUnavailableError, now_us

router = APIRouter(tags=["audits"], generate_unique_id_function=lambda route: route.name)

READ = (InvalidQueryError, QueryTooLongError, QueueFullError, StoreUnavailableError)


class ExposureParameters(Window):
    """The query parameters of GET /audit/exposure."""

    by: Annotated[
        Name | None,
        Field(
            description="Attribute whose classes are compared; or `model`: the versions that answered, each over its "
            "own lists. Everybody together where absent.",
            examples=["gender"],
        ),
    ] = None
    group: Annotated[
        tuple[Id, ...],
        COMMA_SEPARATED,
        Field(
            max_length=64,
            description="Item groups to report, comma-separated; a repeated parameter is joined. All where absent.",
            examples=[["Drama", "Comedy"]],
        ),
    ] = ()


@router.get(
    "/audit/exposure",
    response_model=ExposurePage,
    responses=problems(*READ, UnknownGroupError, NoAuditDataError),
    openapi_extra={"parameters": openapi_parameters(ExposureParameters)},
)
async def exposure(request: Request) -> Response:
    """Tell how much of which item groups was really shown to which users, in answers to requests.

    Exposure falls with the rank in the answer, 1 / log2(1 + rank); items of several groups share theirs. Lists made for
    the web page, audits and probes do not count, nor do those of nobody and of users that the active bundle lacks:
    `not_counted` says how many there are. Classes of few users are merged, or nothing is compared; `withheld` says so.
    `cold` is the share of exposure of items that nobody had touched when the bundle was made, and the gap in it.
    With `by=model` each version is there, and those that answered few users are not compared; `users` of several
    versions may add up to more than there are, where the version that answers somebody has changed.
    `balances` has all lists that were balanced, by target and weight, with their mean divergence (KL, nats) before and
    after; those of nobody and of unknown users are among them, and may make them more than `lists`.

    The log is counted for one request at a time, in seconds for a million lists; others wait for their turn.
    """
    asked = parse(ExposureParameters, request.scope["query_string"])
    since, until = _bounds_us(asked)
    found = await state_of(request).runtime.log_statistics.exposure(asked.by, asked.group, since, until)
    return json_response(exposure_page(asked.by, since, until, found))


@router.get(
    "/audit/requirements",
    response_model=RequirementsPage,
    responses=problems(*READ),
    openapi_extra={"parameters": openapi_parameters(Window)},
)
async def requirements(request: Request) -> Response:
    """Tell how often which attributes were asked for and protected, and by whom, in lists that were made for somebody.

    Similar and popular items are the same for everybody and do not count; nor do lists made for the web page, audits
    and probes.
    """
    since, until = _bounds_us(parse(Window, request.scope["query_string"]))
    found = await state_of(request).runtime.log_statistics.requirements(since, until)
    return json_response(requirements_page(since, until, found))


def _bounds_us(asked: Window) -> tuple[int | None, int]:
    """The log grows: where no end is given it is now, and the answer says so."""
    since, until = asked.bounds_us()
    return since, now_us() if until is None else until
