"""Routes that answer users' requests. They only translate."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from service.api.problems import problems
from service.api.query import NoParameters, RecommendationParameters, openapi_parameters, parse
from service.api.schemas import AttributesPage, RecommendationPage, recommendation_page
from service.api.state import state_of
from service.api.trace import trace_of
from service.errors import (
    DeadlineError,
    InvalidQueryError,
    QueryTooLongError,
    QueueFullError,
    StoppingError,
    UnknownAttributeError,
    UnknownUserError,
    UnsupportedRequirementError,
)
from service.recommend import Query

router = APIRouter(tags=["recommendations"], generate_unique_id_function=lambda route: route.name)


@router.get(
    "/recommend",
    response_model=RecommendationPage,
    responses=problems(
        InvalidQueryError,
        UnknownAttributeError,
        UnsupportedRequirementError,
        UnknownUserError,
        QueryTooLongError,
        QueueFullError,
        DeadlineError,
        StoppingError,
    ),
    openapi_extra={"parameters": openapi_parameters(RecommendationParameters)},
)
async def recommend(request: Request) -> Response:
    """Recommend items to one user while withholding the attributes that the caller protects.

    `sensitive.applied` says what was protected and why: never less than `sensitive.requested`.
    """
    asked = parse(RecommendationParameters, request.scope["query_string"])
    state, trace = state_of(request), trace_of(request)
    query = Query(asked.user, asked.sensitive, asked.k, asked.exclude_seen, asked.exclude)
    made = await state.recommender.recommend(query)
    trace.protected = tuple(made.requirement.sources)
    trace.bundle = f"{made.model.name}/{made.model.version}"
    trace.queue_ms, trace.compute_ms = made.queue_ms, made.compute_ms
    state.metrics.recommendations.labels(len(trace.protected)).inc()
    return _json(recommendation_page(trace.request_id, made, with_scores=state.with_scores))


@router.get("/attributes", response_model=AttributesPage, responses=problems(InvalidQueryError, QueryTooLongError))
async def attributes(request: Request) -> Response:
    """List what can be protected, in which combinations, and what is protected whether asked for or not."""
    parse(NoParameters, request.scope["query_string"])
    recommender = state_of(request).recommender
    description, policy = recommender.model.bundle.description, recommender.policy
    page: AttributesPage = {
        "attributes": [{"name": one.name, "classes": one.classes} for one in description.attributes],
        "supported_masks": {"kind": description.supported_masks.kind, "masks": description.supported_masks.masks},
        "always_protected": description.always_protected,
        "required": list(policy.required),
        "default": list(policy.default),
    }
    return _json(page)


def _json(page: RecommendationPage | AttributesPage) -> Response:
    return Response(to_json(page), media_type="application/json")
