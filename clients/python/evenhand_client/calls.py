"""What can be asked, as values: a request, whether it may be repeated, how its answer is read. Nothing is sent here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from evenhand_client.answers import (
    Activation,
    Attributes,
    Erasure,
    Items,
    Models,
    Recommendations,
    Requirement,
    Taken,
)
from evenhand_client.errors import Problem

Answer = TypeVar("Answer")
Fallback = Literal["popular"]
BalanceTarget = Literal["none", "uniform", "catalogue", "target", "quotas", "history"]
LONGEST_QUERY = 2_000
"""Characters of ids in a query string; services and the proxies before them read a few KiB."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request."""

    method: str
    path: str
    read: Callable[[Any], Answer]
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether doing it twice is as good as once: it may be sent again where nobody knows whether it was done."""


class WholeListOptions(TypedDict, total=False):
    """The options of a list that is read to its end; their defaults are those of `Ask`."""

    sensitive: Sequence[str] | None
    """Attributes to protect. None: the operator's default. Empty: nothing but what is always protected."""
    k: int
    exclude_seen: bool
    exclude: Sequence[str]
    group: Sequence[str]
    fallback: Fallback | None
    balance: BalanceTarget | None
    """What to balance the list towards. None: the operator's default; ``none`` switches that off."""
    balance_weight: float | None
    """How much that counts, 0 to 1. None: the operator's."""


class ListOptions(WholeListOptions, total=False):
    """The options of one page of a list."""

    cursor: str | None


@dataclass(frozen=True, slots=True)
class Ask:
    """A list for a user, with the meanings of GET /recommend and of `ListOptions`."""

    user: str
    sensitive: Sequence[str] | None = None
    k: int = 10
    exclude_seen: bool = True
    exclude: Sequence[str] = ()
    group: Sequence[str] = ()
    fallback: Fallback | None = None
    cursor: str | None = None
    balance: BalanceTarget | None = None
    balance_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """A user met an item."""

    user: str
    item: str
    time: datetime | None = None
    """With its offset; now where None."""
    rating: float | None = None


def recommend(ask: Ask) -> Call[Recommendations]:
    """GET /recommend; in a batch of one where a query string cannot say it: an id has a comma, or they are too many."""
    named = [*ask.exclude, *ask.group]
    if any("," in one for one in named) or sum(map(len, named)) > LONGEST_QUERY:
        return Call("POST", "/recommend/batch", _only, body={"requests": [_body(ask)]})
    parameters = {"user": ask.user, "k": str(ask.k), "exclude_seen": str(ask.exclude_seen).lower()}
    if ask.sensitive is not None:
        parameters["sensitive"] = ",".join(ask.sensitive)
    for name, ids in (("exclude", ask.exclude), ("group", ask.group)):
        if ids:
            parameters[name] = ",".join(ids)
    rest = {name: getattr(ask, name) for name in ("fallback", "cursor", "balance", "balance_weight")}
    parameters |= {name: str(value) for name, value in rest.items() if value is not None}
    return Call("GET", "/recommend", Recommendations.of, parameters)


def batch(asks: Iterable[Ask]) -> Call[list[Recommendations | Problem]]:
    """POST /recommend/batch."""
    return Call("POST", "/recommend/batch", _results, body={"requests": [_body(ask) for ask in asks]})


def session(history: Sequence[str], **options: Unpack[ListOptions]) -> Call[Recommendations]:
    """POST /recommend/session."""
    body = _body(Ask("", **options))
    del body["user"]
    return Call("POST", "/recommend/session", Recommendations.of, body=body | {"history": list(history)})


def similar(item: str, k: int) -> Call[Items]:
    """GET /similar."""
    return Call("GET", "/similar", Items.of, {"item": item, "k": str(k)})


def popular(k: int, group: Sequence[str]) -> Call[Items]:
    """GET /popular."""
    return Call("GET", "/popular", Items.of, {"k": str(k)} | ({"group": ",".join(group)} if group else {}))


def attributes() -> Call[Attributes]:
    """GET /attributes."""
    return Call("GET", "/attributes", Attributes.of)


def requirement(user: str) -> Call[Requirement]:
    """GET /users/{user}/requirement."""
    return Call("GET", _path("users", user, "requirement"), Requirement.of)


def put_requirement(user: str, protected: Iterable[str]) -> Call[Requirement]:
    """PUT /users/{user}/requirement."""
    return Call("PUT", _path("users", user, "requirement"), Requirement.of, body={"attributes": list(protected)})


def delete_requirement(user: str) -> Call[Requirement]:
    """DELETE /users/{user}/requirement."""
    return Call("DELETE", _path("users", user, "requirement"), Requirement.of)


def post_interactions(interactions: Iterable[Interaction], idempotency_key: str | None) -> Call[Taken]:
    """POST /interactions. The key makes it repeatable; where none is given it gets one."""
    body = [
        {
            "user": one.user,
            "item": one.item,
            "time": None if one.time is None else one.time.isoformat(),
            "rating": one.rating,
        }
        for one in interactions
    ]
    headers = {"idempotency-key": idempotency_key or str(uuid.uuid4())}
    return Call("POST", "/interactions", Taken.of, body=body, headers=headers)


def user_data(user: str) -> Call[dict[str, Any]]:
    """GET /users/{user}/data."""
    return Call("GET", _path("users", user, "data"), dict)


def erase(user: str) -> Call[Erasure]:
    """DELETE /users/{user}. Its counts are those of the last time it was sent."""
    return Call("DELETE", _path("users", user), Erasure.of)


def lift_suppression(user: str) -> Call[bool]:
    """DELETE /users/{user}/suppression."""
    return Call("DELETE", _path("users", user, "suppression"), lambda page: bool(page["lifted"]))


def hide(item: str) -> Call[bool]:
    """PUT /items/{item}/hidden."""
    return Call("PUT", _path("items", item, "hidden"), lambda page: bool(page["changed"]))


def show(item: str) -> Call[bool]:
    """DELETE /items/{item}/hidden."""
    return Call("DELETE", _path("items", item, "hidden"), lambda page: bool(page["changed"]))


def models() -> Call[Models]:
    """GET /models."""
    return Call("GET", "/models", Models.of)


def activate(version: str, force: bool, share: float) -> Call[Activation]:
    """POST /models/{version}/activate. Sent twice it could undo what somebody else activated in between."""
    parameters = {"force": "true"} if force else {}
    body = {"share": share}
    return Call("POST", _path("models", version, "activate"), Activation.of, parameters, body, repeatable=False)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _body(ask: Ask) -> dict[str, Any]:
    return {
        "user": ask.user,
        "sensitive": None if ask.sensitive is None else list(ask.sensitive),
        "k": ask.k,
        "exclude_seen": ask.exclude_seen,
        "exclude": list(ask.exclude),
        "group": list(ask.group),
        "fallback": ask.fallback,
        "cursor": ask.cursor,
        "balance": ask.balance,
        "balance_weight": ask.balance_weight,
    }


def _results(page: Any) -> list[Recommendations | Problem]:
    return [Recommendations.of(one) if "items" in one else Problem(one) for one in page["results"]]


def _only(page: Any) -> Recommendations:
    (result,) = _results(page)
    if isinstance(result, Problem):
        raise result
    return result
