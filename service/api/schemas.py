"""Answers as clients see them.

Typed dictionaries: mypy checks them where they are built, so that no request pays for a second check.
A key that may be absent is `NotRequired`; every other one is always there.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.problems import Problem
from service.recommend.queries import PersonalQuery, SessionQuery, UserQuery
from service.recommend.recommender import Recommendation
from service.requirement import Source


class ModelName(TypedDict):
    """Which bundle answered."""

    name: str
    version: str


class AppliedAttribute(TypedDict):
    """A protected attribute, and who asked for it."""

    attribute: str
    source: Source


class Sensitive(TypedDict):
    """What was asked for, and what was protected: always at least that."""

    requested: list[str]
    applied: list[AppliedAttribute]


class RecommendedItem(TypedDict):
    """One item of the list."""

    item: str
    rank: int
    title: NotRequired[str]
    score: NotRequired[float]


class RecommendationPage(TypedDict):
    """Answer of GET /recommend."""

    request_id: str
    user: str
    model: ModelName
    sensitive: Sensitive
    items: list[RecommendedItem]
    fallback: str | None
    next_cursor: str | None


class BatchPage(TypedDict):
    """Answer of POST /recommend/batch: for each request, in order, a list or a problem."""

    results: list[RecommendationPage | Problem]


class SessionPage(TypedDict):
    """Answer of POST /recommend/session."""

    request_id: str
    model: ModelName
    sensitive: Sensitive
    items: list[RecommendedItem]
    unknown_items: list[str]
    fallback: str | None
    next_cursor: str | None


class SimilarPage(TypedDict):
    """Answer of GET /similar."""

    request_id: str
    item: str
    model: ModelName
    items: list[RecommendedItem]


class PopularPage(TypedDict):
    """Answer of GET /popular."""

    request_id: str
    model: ModelName
    items: list[RecommendedItem]


class AttributeSchema(TypedDict):
    """An attribute that a request may protect."""

    name: str
    classes: list[str]
    merged: dict[str, list[str]]


class Masks(TypedDict):
    """Which combinations can be protected."""

    kind: Literal["all", "list", "fixed"]
    masks: list[list[str]]


class AttributesPage(TypedDict):
    """Answer of GET /attributes."""

    attributes: list[AttributeSchema]
    supported_masks: Masks
    always_protected: list[str]
    required: list[str]
    default: list[str]


class Health(TypedDict):
    """Answer of the liveness probe."""

    status: Literal["alive"]


class Readiness(TypedDict):
    """Answer of the readiness probe where the service is ready."""

    status: Literal["ready"]
    components: dict[str, str]
    """Each part of the service: `ok` or `trouble`."""
    degraded: NotRequired[dict[str, str]]
    """Parts that the service runs without: part → fault."""


def recommendation_page(request_id: str, made: Recommendation, *, with_scores: bool) -> RecommendationPage:
    """A user's list as its reader sees it."""
    query = made.plan.query
    assert isinstance(query, UserQuery)  # noqa: S101  the other routes have other pages
    return {
        "request_id": request_id,
        "user": query.user,
        "model": _model(made),
        "sensitive": _sensitive(query, made),
        "items": _items(made, with_scores),
        "fallback": made.plan.fallback,
        "next_cursor": made.next_cursor,
    }


def session_page(request_id: str, made: Recommendation, *, with_scores: bool) -> SessionPage:
    """A session's list as its reader sees it."""
    query = made.plan.query
    assert isinstance(query, SessionQuery)  # noqa: S101  the other routes have other pages
    return {
        "request_id": request_id,
        "model": _model(made),
        "sensitive": _sensitive(query, made),
        "items": _items(made, with_scores),
        "unknown_items": list(made.plan.unknown_items),
        "fallback": made.plan.fallback,
        "next_cursor": made.next_cursor,
    }


def similar_page(request_id: str, item: str, made: Recommendation, *, with_scores: bool) -> SimilarPage:
    """An item's neighbours as their reader sees them."""
    return {"request_id": request_id, "item": item, "model": _model(made), "items": _items(made, with_scores)}


def popular_page(request_id: str, made: Recommendation, *, with_scores: bool) -> PopularPage:
    """Popular items as their reader sees them."""
    return {"request_id": request_id, "model": _model(made), "items": _items(made, with_scores)}


def _model(made: Recommendation) -> ModelName:
    return {"name": made.model.name, "version": made.model.version}


def _sensitive(query: PersonalQuery, made: Recommendation) -> Sensitive:
    return {
        "requested": list(dict.fromkeys(query.sensitive or ())),
        "applied": [
            {"attribute": attribute, "source": source} for attribute, source in made.requirement.sources.items()
        ],
    }


def _items(made: Recommendation, with_scores: bool) -> list[RecommendedItem]:
    items, rows = made.model.bundle.items, made.ranking.rows.tolist()
    shown: list[RecommendedItem] = [
        {"item": items.ids[row], "rank": rank, "title": items.titles[row]}
        if items.titles[row]
        else {"item": items.ids[row], "rank": rank}
        for rank, row in enumerate(rows, made.shown_before + 1)
    ]
    if with_scores:
        for item, score in zip(shown, made.ranking.scores.tolist(), strict=True):
            item["score"] = score
    return shown
