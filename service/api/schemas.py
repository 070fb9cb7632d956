"""Answers as clients see them.

Typed dictionaries: mypy checks them where they are built, so that no request pays for a second check.
A key that may be absent is `NotRequired`; every other one is always there.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.recommend import Recommendation
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


class AttributeSchema(TypedDict):
    """An attribute that a request may protect."""

    name: str
    classes: list[str]


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
    """Answer of the probes."""

    status: Literal["alive", "ready"]


def recommendation_page(request_id: str, made: Recommendation, *, with_scores: bool) -> RecommendationPage:
    """The list as its reader sees it."""
    items, rows = made.model.bundle.items, made.ranking.rows.tolist()
    shown: list[RecommendedItem] = [
        {"item": items.ids[row], "rank": rank, "title": items.titles[row]}
        if items.titles[row]
        else {"item": items.ids[row], "rank": rank}
        for rank, row in enumerate(rows, 1)
    ]
    if with_scores:
        for item, score in zip(shown, made.ranking.scores.tolist(), strict=True):
            item["score"] = score
    return {
        "request_id": request_id,
        "user": made.query.user,
        "model": {"name": made.model.name, "version": made.model.version},
        "sensitive": {
            "requested": list(dict.fromkeys(made.query.sensitive or ())),
            "applied": [
                {"attribute": attribute, "source": source} for attribute, source in made.requirement.sources.items()
            ],
        },
        "items": shown,
        "fallback": None,
        "next_cursor": None,
    }
