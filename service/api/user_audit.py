"""Routes on single users: a search for users, and one user's lists under every mask side by side."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import MaxLen
from fastapi import APIRouter, Request, Response
from pydantic import Field

from service.api.access import caller_of
from service.api.answer import json_response
from service.api.list_requests import BalanceWeightField
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import COMMA_SEPARATED, Count, Name, Parameters, check_length, openapi_parameters, parse
from service.api.request_context import new_request_id
from service.api.schemas_user_audit import UserPage, UsersPage, user_page
from service.api.state import state_of
from service.audit.people import Logged, find_users, masks_of, side_by_side
from service.balance import AskedBalance
from service.errors import (
    BalanceRevealsError,
    DeadlineError,
    InvalidQueryError,
    NoAuditDataError,
    OutdatedError,
    PinnedRequirementError,
    QueryTooLongError,
    QueueFullError,
    StoppingError,
    UnknownAttributeError,
    UnknownUserError,
    UnsupportedRequirementError,
)
from service.model.active import ServedModel
from service.recommend.queries import UserQuery
from service.recommend.recommender import Asker
from service.store import Purpose, StoreUnavailableError, UnstorableError

router = APIRouter(tags=["audits"], generate_unique_id_function=lambda route: route.name)

QUERY = (InvalidQueryError, QueryTooLongError)
PROTECTED = (UnknownAttributeError, UnsupportedRequirementError, PinnedRequirementError, BalanceRevealsError)
BUSY = (QueueFullError, DeadlineError, OutdatedError, StoppingError, StoreUnavailableError)


class UsersParameters(Parameters):
    """The query parameters of GET /audit/users."""

    prefix: Annotated[str, Field(max_length=256, description="How their ids begin.", examples=["4"])] = ""
    limit: Annotated[int, Field(ge=1, le=1000, description="How many users.")] = 20


class UserParameters(Parameters):
    """The query parameters of GET /audit/users/{user}."""

    k: Count = 10
    sensitive: Annotated[
        Annotated[tuple[Name, ...], MaxLen(64)] | None,
        COMMA_SEPARATED,
        Field(
            description="Attributes to protect, comma-separated; a repeated parameter is joined. Only this list and "
            "the one that protects least are made. Absent: every list that the user could get.",
            examples=[["gender"]],
        ),
    ] = None
    balance: Annotated[
        AskedBalance | None,
        Field(
            description="Only two lists are made, with `sensitive` protected: one that is not balanced, and one that "
            "is balanced so. Absent: lists of all masks, with the operator's default.",
            examples=["uniform"],
        ),
    ] = None
    balance_weight: BalanceWeightField = None
    purpose: Annotated[
        Literal["audit", "ui"], Field(description="How the lists are logged. Neither counts as shown to the user.")
    ] = "audit"


@router.get(
    "/audit/users",
    response_model=UsersPage,
    responses=problems(*QUERY),
    openapi_extra={"parameters": openapi_parameters(UsersParameters)},
)
async def audited_users(request: Request) -> Response:
    """List users of the active bundle whose ids begin so, and say how many there are. Erased ones are left out."""
    asked = parse(UsersParameters, request.scope["query_string"])
    state = state_of(request)
    erased = frozenset(user for user, known in state.runtime.store.known.users() if known.suppressed)
    ids = state.runtime.recommender.model.bundle.users.ids
    users, total = await asyncio.to_thread(find_users, ids, asked.prefix, asked.limit, erased)
    page: UsersPage = {"users": users, "total": total}
    return json_response(page)


@router.get(
    "/audit/users/{user}",
    response_model=UserPage,
    responses=problems(*QUERY, UnstorableError, *PROTECTED, UnknownUserError, NoAuditDataError, *BUSY),
    openapi_extra={
        "parameters": openapi_path(user="User id; a slash in it is sent as `%2F`.") + openapi_parameters(UserParameters)
    },
)
async def audited_user(request: Request) -> Response:
    """Make a user's list under every mask that the user could get, and compare each with the least protected one.

    Up to four attributes that is every combination; beyond, none, each alone, each pair and all. What the user, the
    operator or the bundle always protects is protected here too, and combinations that the bundle has no list for are
    left out. With `balance`, there is one mask, without it and with it. Each list counts as a request of the API key,
    and is logged for an audit or for the web page. All come from the version that answers this user.
    """
    asked = parse(UserParameters, request.scope["query_string"])
    user, state, caller = path_id(request, "user"), state_of(request), caller_of(request)
    check_length(asked.k, state.max_k)
    served = state.runtime.serving.arms.of(user)
    if served.model.bundle.audit is None:
        raise NoAuditDataError(served.model.version)
    queries = _queries(user, asked, served, state.runtime.store.known.user(user).requirement)
    await state.runtime.gate.count(caller, len(queries) - 1)
    purpose = Purpose[asked.purpose.upper()]

    async def ask(query: UserQuery) -> Logged:
        asker = Asker(new_request_id(), purpose, caller.key_id)
        return Logged(asker.request_id, await state.runtime.recommender.recommend(query, asker))

    lists = await side_by_side(queries, ask)
    return json_response(user_page(user, asked.k, lists))


def _queries(user: str, asked: UserParameters, served: ServedModel, stored: tuple[str, ...] | None) -> list[UserQuery]:
    """The lists to set side by side, the one that the others are compared with first."""
    if asked.balance is None:
        masks, weight = masks_of(served, stored, asked.sensitive), asked.balance_weight
        return [UserQuery(user, sensitive=mask, k=asked.k, balance_weight=weight) for mask in masks]
    plain = UserQuery(user, sensitive=asked.sensitive, k=asked.k, balance="none")
    return [plain, replace(plain, balance=asked.balance, balance_weight=asked.balance_weight)]
