"""Routes that answer with lists. They only translate."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from service.access import Caller
from service.api.access import caller_of
from service.api.answer import json_response
from service.api.body import openapi_body, read_body
from service.api.list_requests import (
    BATCH_BODY,
    SESSION_BODY,
    PopularParameters,
    RecommendationParameters,
    SimilarParameters,
    UserBody,
)
from service.api.problems import problem_members, problems
from service.api.query import NoParameters, check_length, openapi_parameters, parse
from service.api.request_context import RequestContext, context_of, new_request_id
from service.api.schemas import (
    BatchPage,
    PopularPage,
    RecommendationPage,
    SessionPage,
    SimilarPage,
    popular_page,
    recommendation_page,
    session_page,
    similar_page,
)
from service.api.state import State, state_of
from service.errors import (
    BalanceRevealsError,
    BodyTooLargeError,
    DeadlineError,
    InternalError,
    InvalidBodyError,
    InvalidQueryError,
    MediaTypeError,
    NoHistoryError,
    OutdatedError,
    PinnedRequirementError,
    QueryTooLongError,
    QueueFullError,
    ServiceError,
    SessionsUnsupportedError,
    StaleCursorError,
    StoppingError,
    UnknownAttributeError,
    UnknownGroupError,
    UnknownItemError,
    UnknownUserError,
    UnsupportedRequirementError,
)
from service.recommend.queries import AnyQuery, PopularQuery, SimilarQuery
from service.recommend.recommender import Asker, Recommendation
from service.store import Purpose, StoreUnavailableError, UnstorableError

router = APIRouter(tags=["recommendations"], generate_unique_id_function=lambda route: route.name)

ANY = (InvalidQueryError, QueryTooLongError, UnstorableError)
BUSY = (QueueFullError, DeadlineError, OutdatedError, StoppingError, StoreUnavailableError)
PROTECTED = (
    UnknownAttributeError,
    UnsupportedRequirementError,
    PinnedRequirementError,
    BalanceRevealsError,
    UnknownGroupError,
)
BODY = (InvalidBodyError, MediaTypeError, BodyTooLargeError)
TOGETHER = 64
"""Requests of one batch that are under way at once, so that a batch fills nobody's queue."""


@router.get(
    "/recommend",
    response_model=RecommendationPage,
    responses=problems(*ANY, *PROTECTED, UnknownUserError, StaleCursorError, *BUSY),
    openapi_extra={"parameters": openapi_parameters(RecommendationParameters)},
)
async def recommend(request: Request) -> Response:
    """Recommend items to one user while withholding the attributes that the caller protects.

    `sensitive.applied` says what was protected and why: never less than `sensitive.requested`. `balance` says what the
    list was balanced towards, and how far it is from that (KL, in nats) before and after.
    """
    query = parse(RecommendationParameters, request.scope["query_string"]).query()
    made, with_scores = await _made(request, query, Purpose.RECOMMEND)
    return json_response(recommendation_page(context_of(request).request_id, made, with_scores=with_scores))


@router.post(
    "/recommend/batch",
    response_model=BatchPage,
    responses=problems(InvalidQueryError, QueryTooLongError, *BODY),
    openapi_extra={"requestBody": openapi_body(BATCH_BODY)},
)
async def recommend_batch(request: Request) -> Response:
    """Answer up to 256 requests, each as GET /recommend would: a list, or a problem in its place.

    Every list has a `request_id` of its own, and a row of its own in the request log.
    """
    parse(NoParameters, request.scope["query_string"])
    body, _ = await read_body(request, BATCH_BODY)
    state, caller = state_of(request), caller_of(request)
    await state.runtime.gate.count(caller, len(body.rows) - 1)
    places = asyncio.Semaphore(TOGETHER)

    async def answer(row: UserBody | InvalidBodyError) -> dict[str, Any]:
        async with places:
            return await _row(state, caller, row)

    results = await asyncio.gather(*map(answer, body.rows))
    return json_response({"results": results})


@router.post(
    "/recommend/session",
    response_model=SessionPage,
    responses=problems(*ANY, *BODY, *PROTECTED, NoHistoryError, SessionsUnsupportedError, StaleCursorError, *BUSY),
    openapi_extra={"requestBody": openapi_body(SESSION_BODY)},
)
async def recommend_session(request: Request) -> Response:
    """Recommend items to somebody of whom only a history is known, as for a user with that history.

    Nothing of it is stored. `unknown_items` are those of the history that the bundle does not have.
    """
    parse(NoParameters, request.scope["query_string"])
    body, _ = await read_body(request, SESSION_BODY)
    made, with_scores = await _made(request, body.query(), Purpose.SESSION)
    return json_response(session_page(context_of(request).request_id, made, with_scores=with_scores))


@router.get(
    "/similar",
    response_model=SimilarPage,
    responses=problems(*ANY, UnknownItemError, *BUSY),
    openapi_extra={"parameters": openapi_parameters(SimilarParameters)},
)
async def similar(request: Request) -> Response:
    """List the items most like an item, by the cosine of their vectors. The same for everybody."""
    asked = parse(SimilarParameters, request.scope["query_string"])
    made, with_scores = await _made(request, SimilarQuery(asked.item, asked.k), Purpose.SIMILAR)
    return json_response(similar_page(context_of(request).request_id, asked.item, made, with_scores=with_scores))


@router.get(
    "/popular",
    response_model=PopularPage,
    responses=problems(*ANY, UnknownGroupError, *BUSY),
    openapi_extra={"parameters": openapi_parameters(PopularParameters)},
)
async def popular(request: Request) -> Response:
    """List the items that most users liked when the bundle was trained. The same for everybody."""
    asked = parse(PopularParameters, request.scope["query_string"])
    made, with_scores = await _made(request, PopularQuery(asked.k, asked.group), Purpose.POPULAR)
    return json_response(popular_page(context_of(request).request_id, made, with_scores=with_scores))


async def _made(request: Request, query: AnyQuery, purpose: Purpose) -> tuple[Recommendation, bool]:
    """The list, and whether this caller may see scores."""
    state, context, caller = state_of(request), context_of(request), caller_of(request)
    purpose = purpose if context.shows else Purpose.PROBE
    made = await _counted(state, query, Asker(context.request_id, purpose, caller.key_id))
    _note(context, made)
    return made, _sees_scores(state, caller)


async def _row(state: State, caller: Caller, row: UserBody | InvalidBodyError) -> dict[str, Any]:
    """One answer of a batch: a list, or a problem."""
    request_id = new_request_id()
    try:
        if isinstance(row, InvalidBodyError):
            raise row
        made = await _counted(state, row.query(), Asker(request_id, Purpose.BATCH, caller.key_id))
    except ServiceError as error:
        return _refused(state, error, request_id)
    except Exception:  # whatever it is: it belongs to this row, and its neighbours are answered
        state.log.exception("request failed", request_id=request_id, route="/recommend/batch")
        return _refused(state, InternalError(), request_id)
    return {**recommendation_page(request_id, made, with_scores=_sees_scores(state, caller))}


def _refused(state: State, error: ServiceError, request_id: str) -> dict[str, Any]:
    state.runtime.metrics.refused.labels(error.code).inc()
    return problem_members(error, request_id)


async def _counted(state: State, query: AnyQuery, asker: Asker) -> Recommendation:
    """The list; refused where it would be longer than the operator allows."""
    check_length(query.k, state.max_k)
    made = await state.runtime.recommender.recommend(query, asker)
    state.runtime.metrics.recommendations.labels(len(made.requirement.sources), made.model.version).inc()
    return made


def _note(context: RequestContext, made: Recommendation) -> None:
    context.protected = tuple(made.requirement.sources)
    context.bundle = f"{made.model.name}/{made.model.version}"
    context.made = made


def _sees_scores(state: State, caller: Caller) -> bool:
    return state.with_scores and "audit" in caller.scopes
