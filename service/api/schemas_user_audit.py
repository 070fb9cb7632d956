"""Answers on single users, as clients see them: lists side by side, with their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from bundle import Items
from service.api.answer import finite_or_none
from service.api.schemas import AppliedAttribute, BalancePage, ModelName, balance_page
from service.audit.people import ListComparison
from service.audit.sentences import sentence, sentences


class UsersPage(TypedDict):
    """Answer of GET /audit/users."""

    users: list[str]
    """In the bundle's order."""
    total: int
    """How many there are."""


class Titled(TypedDict):
    """A title, where the bundle has one."""

    title: NotRequired[str]


class ComparedItem(Titled):
    """One item of a list."""

    item: str
    rank: int
    was: int | None
    """Its rank in the reference; null for an item that is not there."""


class LeftItem(Titled):
    """An item of the reference that a list does not have."""

    item: str
    was: int


class OverlapPage(TypedDict):
    """How alike a list and the reference are; null where both are empty."""

    jaccard: float | None
    rbo: float | None


class ComparedList(TypedDict):
    """One list beside the reference."""

    request_id: str
    sensitive: list[str]
    """The attributes protected in it."""
    applied: list[AppliedAttribute]
    balance: BalancePage | None
    items: list[ComparedItem]
    left: list[LeftItem]
    overlap: OverlapPage
    sentence: str | None
    """The changes from the additional protection, against the reference; null for the reference."""


class AttributeSentence(TypedDict):
    """What protecting one attribute changes."""

    attribute: str
    sentence: str


class UserPage(TypedDict):
    """Answer of GET /audit/users/{user}."""

    user: str
    model: ModelName
    k: int
    reference: list[str]
    """The attributes protected in the reference list: as few as possible."""
    lists: list[ComparedList]
    """The reference first, then by how many attributes are protected."""
    attributes: list[AttributeSentence]


def user_page(user: str, k: int, lists: Sequence[ListComparison]) -> UserPage:
    """The lists of one user, each beside the first."""
    reference = lists[0]
    model = reference.made.model
    told = sentences(model.bundle.description.attribute_names, lists)
    return {
        "user": user,
        "model": {"name": model.name, "version": model.version},
        "k": k,
        "reference": list(reference.protected),
        "lists": [_list(reference, one) for one in lists],
        "attributes": [{"attribute": name, "sentence": text} for name, text in told.items()],
    }


def _list(reference: ListComparison, one: ListComparison) -> ComparedList:
    items, rows = one.made.model.bundle.items, one.made.ranking.rows.tolist()
    added = [name for name in one.protected if name not in reference.protected]
    return {
        "request_id": one.request_id,
        "sensitive": list(one.protected),
        "applied": [
            {"attribute": attribute, "source": source} for attribute, source in one.made.requirement.sources.items()
        ],
        "balance": balance_page(one.made),
        "items": [
            {"item": items.ids[row], "rank": rank, **_titled(items, row), "was": was}
            for rank, (row, was) in enumerate(zip(rows, one.was, strict=True), 1)
        ],
        "left": [{"item": items.ids[left.row], **_titled(items, left.row), "was": left.was} for left in one.left],
        "overlap": {"jaccard": finite_or_none(round(one.jaccard, 6)), "rbo": finite_or_none(round(one.rbo, 6))},
        "sentence": sentence(added, reference, one) if added else None,
    }


def _titled(items: Items, row: int) -> Titled:
    return {"title": items.titles[row]} if items.titles[row] else {}
