"""Routes on a user's stored data: the requirement, the export, the erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import StreamingResponse
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.answer import json_response
from service.api.body import openapi_body, read_body
from service.api.export import user_export
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import Name, NoParameters, parse
from service.api.state import State, state_of
from service.api.times import as_text
from service.errors import (
    BodyTooLargeError,
    InvalidBodyError,
    InvalidQueryError,
    MediaTypeError,
    QueryTooLongError,
    QueueFullError,
    StoppingError,
    UnknownAttributeError,
    UnsupportedRequirementError,
    UserSuppressedError,
)
from service.requirement import check_storable
from service.store import (
    StoreUnavailableError,
    UnstorableError,
    erase_user,
    lift_erasure,
    put_requirement,
    stored_requirement,
)

router = APIRouter(tags=["users"], generate_unique_id_function=lambda route: route.name)

USER = {"parameters": openapi_path(user="User id; a slash in it is sent as `%2F`. The bundle need not know it.")}
READ = (InvalidQueryError, QueryTooLongError, StoreUnavailableError)
WRITE = (*READ, UnstorableError, QueueFullError, StoppingError)
BODY = (InvalidBodyError, MediaTypeError, BodyTooLargeError)


class RequirementBody(BaseModel):
    """What PUT takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attributes: Annotated[
        tuple[Name, ...],
        Field(
            max_length=64,
            description="Protected in every answer to this user, with what else is.",
            examples=[["gender"]],
        ),
    ]


class RequirementPage(TypedDict):
    """A user's stored requirement."""

    user: str
    attributes: list[str]
    """Empty where none is stored."""
    stored: bool
    changed: str | None


class ErasurePage(TypedDict):
    """What an erasure removed."""

    user: str
    requirement: bool
    interactions: int
    requests: int
    suppressed: bool


class SuppressionPage(TypedDict):
    """Whether anything is stored of a user from now on."""

    user: str
    suppressed: bool
    lifted: bool


_BODY: TypeAdapter[RequirementBody] = TypeAdapter(RequirementBody)


@router.get("/users/{user}/requirement", response_model=RequirementPage, responses=problems(*READ), openapi_extra=USER)
async def get_requirement(request: Request) -> Response:
    """Tell what is protected in every answer to a user by their own requirement."""
    user, state = _asked(request)
    return await _requirement_page(state, user)


@router.put(
    "/users/{user}/requirement",
    response_model=RequirementPage,
    responses=problems(*WRITE, *BODY, UnknownAttributeError, UnsupportedRequirementError, UserSuppressedError),
    openapi_extra=USER | {"requestBody": openapi_body(_BODY)},
)
async def store_requirement(request: Request) -> Response:
    """Store what is to be protected in every answer to a user, from the very next one on, on every replica.

    A combination that no list of the active bundle could meet is refused; of two that answer, each must be able to.
    """
    user, state = _asked(request)
    body, _ = await read_body(request, _BODY)
    arms = state.runtime.serving.arms
    for served in arms.models:
        check_storable(served.model.bundle.description, served.policy, body.attributes)
    names = arms.active.model.bundle.description.attribute_names
    kept = tuple(name for name in names if name in body.attributes)
    if not await state.runtime.store.change(put_requirement, user, kept):
        raise UserSuppressedError
    return await _requirement_page(state, user)


@router.delete(
    "/users/{user}/requirement", response_model=RequirementPage, responses=problems(*WRITE), openapi_extra=USER
)
async def remove_requirement(request: Request) -> Response:
    """Remove a user's stored requirement. What the operator and the bundle protect stays protected."""
    user, state = _asked(request)
    await state.runtime.store.change(put_requirement, user, None)
    return await _requirement_page(state, user)


@router.get(
    "/users/{user}/data",
    response_class=Response,
    responses=problems(*READ)
    | {200: {"description": "Everything.", "content": {"application/json": {"schema": {"type": "object"}}}}},
    openapi_extra=USER,
)
async def export_user(request: Request) -> Response:
    """Give everything that is stored of a user: requirement, interactions since export, every logged list."""
    user, state = _asked(request)
    pieces = user_export(state.runtime.store, state.runtime.catalogues, user)
    first = await anext(pieces)  # a database that is lost is a problem document, not half an answer

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(rest(), media_type="application/json")


@router.delete("/users/{user}", response_model=ErasurePage, responses=problems(*WRITE), openapi_extra=USER)
async def erase(request: Request) -> Response:
    """Delete everything that is stored of a user, rows of the request log included, and store nothing more.

    May be repeated. What training wrote into a bundle leaves with the next bundle that is trained without the user.
    """
    user, state = _asked(request)
    done = await state.runtime.store.change(erase_user, user, state.runtime.store.pseudonyms)
    page: ErasurePage = {
        "user": user,
        "requirement": done.requirement,
        "interactions": done.interactions,
        "requests": done.requests,
        "suppressed": True,
    }
    return json_response(page)


@router.delete(
    "/users/{user}/suppression", response_model=SuppressionPage, responses=problems(*WRITE), openapi_extra=USER
)
async def lift_suppression(request: Request) -> Response:
    """Store things of an erased user again from now on. What was erased stays gone."""
    user, state = _asked(request)
    lifted = await state.runtime.store.change(lift_erasure, user)
    page: SuppressionPage = {"user": user, "suppressed": False, "lifted": lifted}
    return json_response(page)


def _asked(request: Request) -> tuple[str, State]:
    parse(NoParameters, request.scope["query_string"])
    return path_id(request, "user"), state_of(request)


async def _requirement_page(state: State, user: str) -> Response:
    stored = await state.runtime.store.read(stored_requirement, user)
    page: RequirementPage = {
        "user": user,
        "attributes": [] if stored is None else list(stored[0]),
        "stored": stored is not None,
        "changed": None if stored is None else as_text(stored[1]),
    }
    return json_response(page)
