"""Answers on lists that were really served, as clients see them. A number that could not be computed is null."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import NotRequired, cast

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from measure.fairness.clients import Clients
from measure.fairness.estimate import Gap
from measure.fairness.groups import Withheld
from measure.labels import RARE_BELOW
from service.api.answer import finite_or_none
from service.api.schemas import DivergencePage, ModelName
from service.api.times import as_text
from service.audit.count import Exposure
from service.audit.requirements import RequirementUse
from service.store import BalanceCount

# Written as calls where a key is no name in Python: class, global.
GroupPage = TypedDict(
    "GroupPage",
    {"class": str | None, "users": int, "lists": int, "shares": Mapping[str, float], "cold": float | None},
)
"""Exposure of one class of users, or of a version's lists (name/version), null for everybody: item group → share, and
the share of cold items, which nobody had touched; null where nothing was shown."""


class GapPage(TypedDict):
    """The largest difference between two groups of users."""

    value: float
    ci95: NotRequired[list[float]]
    item_group: NotRequired[str]
    between: list[str]
    permutation95: NotRequired[float]
    """The 95 % point of a difference where groups are shuffled."""


class LocalPage(TypedDict):
    """The gaps of the clients; null where none has users enough."""

    max: float | None
    mean: float | None


class ClientPage(TypedDict):
    """The gap of one client."""

    client: str | None
    """Name of the API key; null for no key."""
    users: int
    value: float


ClientsPage = TypedDict(
    "ClientsPage", {"item_group": str, "global": float | None, "local": LocalPage, "by_client": list[ClientPage]}
)
"""The gap of the item group that `parity` names, over everybody and inside each client (API key)."""


class WithheldPage(TypedDict):
    """Classes of an attribute, or clients, without a number of their own."""

    attribute: str
    classes: list[str]
    reason: str


class NotCountedPage(TypedDict):
    """Served lists that are in no number."""

    model: ModelName | None
    lists: int
    reason: str


class BalanceUsePage(TypedDict):
    """Lists that were balanced towards the same target with the same weight, and what that did to them."""

    target: str
    weight: float
    lists: int
    divergence: DivergencePage | None
    """Means over these lists; null where none of them shows anything."""


class ExposurePage(TypedDict):
    """Answer of GET /audit/exposure."""

    by: str | None
    since: str | None
    until: str
    lists: int
    users: int
    item_groups: list[str]
    groups: list[GroupPage]
    total_variation: GapPage | None
    parity: GapPage | None
    cold: GapPage | None
    """In the share of items that nobody had touched; null where none of them was shown."""
    clients: ClientsPage | None
    balances: list[BalanceUsePage]
    """Of all lists that were shown: those of nobody, and of users that the active bundle lacks, are in these and in no
    other number, so they may add up to more than `lists`."""
    withheld: list[WithheldPage]
    not_counted: list[NotCountedPage]


class RequirementUsePage(TypedDict):
    """Lists that protected exactly these attributes."""

    applied: list[str]
    lists: int
    share: float


class AttributePage(TypedDict):
    """What became of one attribute."""

    attribute: str
    requested: int
    """Lists whose request named it."""
    lists: int
    """Lists that it was protected in."""
    by_source: Mapping[str, int]
    """The same by who asked."""


class RequirementsPage(TypedDict):
    """Answer of GET /audit/requirements."""

    since: str | None
    until: str
    lists: int
    requirements: list[RequirementUsePage]
    attributes: list[AttributePage]


def exposure_page(by: str | None, since_us: int | None, until_us: int, found: Exposure) -> ExposurePage:
    """What was shown to whom."""
    shares = found.shares
    return {
        "by": by,
        "since": None if since_us is None else as_text(since_us),
        "until": as_text(until_us),
        "lists": found.lists,
        "users": found.users,
        "item_groups": list(shares.item_groups),
        "groups": [
            {
                "class": one.name,
                "users": one.users,
                "lists": one.lists,
                "shares": _numbers(one.shares),
                "cold": finite_or_none(one.cold),
            }
            for one in shares.groups
        ],
        "total_variation": _gap(shares.total_variation),
        "parity": _gap(shares.parity),
        "cold": _gap(shares.cold),
        "clients": _clients(shares.clients, shares.parity),
        "balances": [_balance(one) for one in found.balances],
        "withheld": [_withheld(one) for one in shares.withheld] + _small_clients(shares.clients),
        "not_counted": [
            {
                "model": None if one.model is None else {"name": one.model.name, "version": one.model.version},
                "lists": one.lists,
                "reason": one.reason,
            }
            for one in found.not_counted
        ],
    }


def requirements_page(since_us: int | None, until_us: int, found: RequirementUse) -> RequirementsPage:
    """What was asked for and applied."""
    return {
        "since": None if since_us is None else as_text(since_us),
        "until": as_text(until_us),
        "lists": found.lists,
        "requirements": [
            {"applied": list(mask), "lists": lists, "share": lists / found.lists}
            for mask, lists in found.requirements.items()
        ],
        "attributes": [
            {"attribute": name, "requested": use.requested, "lists": use.lists, "by_source": use.by_source}
            for name, use in found.attributes.items()
        ],
    }


def _numbers(shares: Mapping[str, float]) -> dict[str, float]:
    """Nothing for a group whose lists are all empty: it was shown nothing, and has no shares."""
    return {name: share for name, share in shares.items() if isfinite(share)}


def _gap(gap: Gap | None) -> GapPage | None:
    return cast(GapPage, gap.as_row()) if gap is not None and gap.estimate.known else None


def _clients(found: Clients | None, parity: Gap | None) -> ClientsPage | None:
    if found is None or parity is None or parity.item_group is None:
        return None
    return {
        "item_group": parity.item_group,
        "global": finite_or_none(found.overall),
        "local": {"max": finite_or_none(found.highest), "mean": finite_or_none(found.mean)},
        "by_client": [
            {"client": name or None, "users": users, "value": value} for name, (users, value) in found.by_client.items()
        ],
    }


def _balance(one: BalanceCount) -> BalanceUsePage:
    known = one.before is not None and one.after is not None
    told = cast(DivergencePage, {"before": one.before, "after": one.after}) if known else None
    return {"target": one.target, "weight": one.weight, "lists": one.lists, "divergence": told}


def _withheld(one: Withheld) -> WithheldPage:
    return {"attribute": one.attribute, "classes": list(one.classes), "reason": one.reason}


def _small_clients(found: Clients | None) -> list[WithheldPage]:
    if found is None or not found.withheld:
        return []
    reason = f"fewer than {RARE_BELOW} users, or too few of them in two of the classes: not compared inside"
    return [{"attribute": "client", "classes": [name or "(no key)" for name in found.withheld], "reason": reason}]
