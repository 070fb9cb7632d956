"""The request log over HTTP: in pages, or whole as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Len, MaxLen
from fastapi import APIRouter, Request, Response
from pydantic import Field, StringConstraints
from starlette.responses import StreamingResponse
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.answer import json_response
from service.api.problems import problems
from service.api.query import COMMA_SEPARATED, Id, Name, openapi_parameters, parse
from service.api.schemas_request_log import LoggedList, as_csv, as_lines, csv_head, logged_lists
from service.api.state import State, state_of
from service.api.times import as_text
from service.api.window import Window
from service.errors import InvalidQueryError, QueryTooLongError, StaleCursorError
from service.index import Position
from service.recommend.cursor import Bound
from service.store import LogFilter, Purpose, StoreUnavailableError, UnstorableError, log_page, now_us

router = APIRouter(tags=["audits"], generate_unique_id_function=lambda route: route.name)

CHUNK = 500
"""Rows in one piece of a stream."""
PurposeName = Literal["recommend", "batch", "session", "popular", "similar", "ui", "audit", "probe"]
MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8; header=present"}


class LogParameters(Window):
    """The query parameters of GET /audit/requests."""

    user: Annotated[Id | None, Field(description="Lists of this user.", examples=["42"])] = None
    version: Annotated[
        Annotated[str, Field(min_length=1, max_length=100)] | None,
        Field(description="Lists of this version of the bundle.", examples=["2026-01-31"]),
    ] = None
    attribute: Annotated[Name | None, Field(description="Lists that protect this attribute.", examples=["gender"])] = (
        None
    )
    purpose: Annotated[
        Annotated[tuple[PurposeName, ...], Len(1, len(Purpose))] | None,
        COMMA_SEPARATED,
        Field(
            description="What the lists were made for, comma-separated; a repeated parameter is joined. Lists for the "
            "web page, audits and probes were shown to nobody.",
            examples=[["recommend", "batch"]],
        ),
    ] = None
    request_id: Annotated[
        Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] | None,
        Field(description="The list of this request: `request_id` of its answer."),
    ] = None
    format: Annotated[
        Literal["json", "ndjson", "csv"],
        Field(description="`json`: a page, newest first. `ndjson`, `csv`: everything that matches, oldest first."),
    ] = "json"
    limit: Annotated[int, Field(ge=1, le=1000, description="Lists on a page; streams have no pages.")] = 100
    cursor: Annotated[
        Annotated[str, MaxLen(256)] | None,
        Field(description="`next_cursor` of the page before, with every other parameter but `limit` as it was."),
    ] = None


class LogPage(TypedDict):
    """Answer of GET /audit/requests."""

    requests: list[LoggedList]
    next_cursor: str | None


@router.get(
    "/audit/requests",
    response_model=LogPage,
    responses=problems(InvalidQueryError, QueryTooLongError, StaleCursorError, UnstorableError, StoreUnavailableError)
    | {
        200: {
            "description": "A page, or the whole as a file.",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        }
    },
    openapi_extra={"parameters": openapi_parameters(LogParameters)},
)
async def requests(request: Request) -> Response:
    """List the lists that were answered, as the request log has them: to whom, for what, protected how, which items.

    A page is newest first, and no list is on two pages whatever is logged in between. On PostgreSQL a replica may
    finish a moment later what it began earlier: for what must be whole, ask `until` some seconds ago.
    """
    asked = parse(LogParameters, request.scope["query_string"])
    state = state_of(request)
    wanted = _wanted(asked, state)
    if asked.format != "json":
        return await _stream(wanted, asked.format, state)
    bound = Bound(["/audit/requests", *_facts(wanted)])
    after = None if asked.cursor is None else state.runtime.cursors.read(asked.cursor, bound).row
    store = state.runtime.store
    rows = await store.read(log_page, wanted, store.pseudonyms, limit=asked.limit + 1, after=after)
    shown, more = rows[: asked.limit], len(rows) > asked.limit
    page: LogPage = {
        "requests": await logged_lists(shown, state.runtime.catalogues),
        "next_cursor": state.runtime.cursors.make(Position(shown[-1].position, 0), bound) if more else None,
    }
    return json_response(page)


def _wanted(asked: LogParameters, state: State) -> LogFilter:
    """The filter. A value that no list could match is refused: a misspelled one must not look like an empty log."""
    active, models = state.runtime.recommender.model, state.runtime.store.known.models.values()
    attributes = [*active.bundle.description.attribute_names, *(name for model in models for name in model.attributes)]
    _check("attribute", asked.attribute, attributes, "no version that was served has it")
    _check("version", asked.version, [active.version, *(model.version for model in models)], "was never served")
    if asked.format != "json":
        for field in sorted({"limit", "cursor"} & asked.model_fields_set):
            raise _invalid(field, str(getattr(asked, field)), "a stream has everything that matches", "format=json")
    since, until = asked.bounds_us()
    purposes = None if asked.purpose is None else tuple(Purpose[name.upper()] for name in asked.purpose)
    return LogFilter(asked.user, since, until, asked.version, asked.attribute, purposes, asked.request_id)


def _facts(wanted: LogFilter) -> list[object]:
    """All that a cursor is bound to."""
    purposes = None if wanted.purposes is None else sorted({int(purpose) for purpose in wanted.purposes})
    times = (wanted.since_us, wanted.until_us)
    return [wanted.user, *times, wanted.version, wanted.attribute, purposes, wanted.request_id]


def _check(field: str, value: str | None, known: Iterable[str], reason: str) -> None:
    allowed = list(dict.fromkeys(known))
    if value is not None and value not in allowed:
        raise _invalid(field, value, reason, allowed[:100])


def _invalid(field: str, value: str, reason: str, allowed: object) -> InvalidQueryError:
    return InvalidQueryError([{"field": field, "value": value, "reason": reason, "allowed": allowed}])


async def _stream(wanted: LogFilter, form: Literal["ndjson", "csv"], state: State) -> Response:
    """Everything that matches and is logged by now, oldest first."""
    now = now_us()
    ends = replace(wanted, until_us=now if wanted.until_us is None else wanted.until_us)
    pieces = _pieces(ends, form, state)
    first = await anext(pieces, b"")  # a database that is lost is a problem document, not half an answer

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    name = f"evenhand-requests-{as_text(now)[:19].replace(':', '')}Z.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(whole(), headers=headers, media_type=MEDIA_TYPES[form])


async def _pieces(wanted: LogFilter, form: Literal["ndjson", "csv"], state: State) -> AsyncIterator[bytes]:
    head, written = (csv_head(), as_csv) if form == "csv" else (b"", as_lines)
    async for rows in state.runtime.store.export_log(wanted, CHUNK):
        yield head + written(await logged_lists(rows, state.runtime.catalogues))
        head = b""
    if head:
        yield head
