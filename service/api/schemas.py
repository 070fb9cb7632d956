"""Answers as clients see them.

Typed dictionaries: mypy checks them where they are built, so that no request pays for a second check.
A key that may be absent is `NotRequired`; every other one is always there.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.problems import Problem
from service.balance import BalanceSource, BalanceTarget
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


class DivergencePage(TypedDict):
    """How far the page's exposure is from the target: KL in nats, 0 to 4.61."""

    before: float
    """Of the same page of the ranking."""
    after: float


class BalancePage(TypedDict):
    """What the list was balanced towards."""

    target: BalanceTarget
    weight: float
    source: BalanceSource
    divergence: DivergencePage | None
    """Null where nothing is shown, and where there is no history to follow."""


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
    balance: BalancePage | None
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
    balance: BalancePage | None
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


class BalanceBounds(TypedDict):
    """What lists may be balanced towards."""

    target_from: Literal["operator", "bundle"] | None
    """Whose `target` is: shares that are the same for everybody, or a target for each user; null: there is none."""
    targets: list[BalanceTarget]
    default: BalanceTarget | None
    weight: float
    max_weight: float


class AttributesPage(TypedDict):
    """Answer of GET /attributes."""

    attributes: list[AttributeSchema]
    supported_masks: Masks
    always_protected: list[str]
    required: list[str]
    default: list[str]
    balance: BalanceBounds


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
        "balance": balance_page(made),
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
        "balance": balance_page(made),
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


def balance_page(made: Recommendation) -> BalancePage | None:
    """What a list was balanced towards; None where it was not."""
    balance, divergence = made.plan.balance, made.ranking.divergence
    if balance is None:
        return None
    return {
        "target": balance.target,
        "weight": balance.weight,
        "source": balance.source,
        "divergence": divergence and {"before": divergence.before, "after": divergence.after},
    }


def _items(made: Recommendation, with_scores: bool) -> list[RecommendedItem]:
    ids, titles = made.model.bundle.items.named(made.ranking.rows.tolist())
    shown: list[RecommendedItem] = [
        {"item": item, "rank": rank, "title": title} if title else {"item": item, "rank": rank}
        for rank, (item, title) in enumerate(zip(ids, titles, strict=True), made.plan.shown_before + 1)
    ]
    if with_scores:
        for item, score in zip(shown, made.ranking.scores.tolist(), strict=True):
            item["score"] = score
    return shown
