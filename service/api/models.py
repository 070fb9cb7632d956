"""Routes on the bundles: which there are, which ones answer, and another one in their place or for a share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.access import caller_of
from service.api.answer import json_response
from service.api.body import openapi_body, read_body
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import NoParameters, Parameters, openapi_parameters, parse
from service.api.state import State, state_of
from service.api.times import as_text
from service.errors import (
    ActivationRunningError,
    BodyTooLargeError,
    InvalidBodyError,
    InvalidQueryError,
    MediaTypeError,
    ModelRefusedError,
    QueryTooLongError,
    QueueFullError,
    RequirementsUnmetError,
    ShareRefusedError,
    StoppingError,
    UnknownModelError,
)
from service.model.active import Arms, ServedModel
from service.model.folder import Found
from service.model.preparation import ModelChange
from service.store import StoreUnavailableError

router = APIRouter(tags=["models"], generate_unique_id_function=lambda route: route.name)


class ActivationParameters(Parameters):
    """What POST /models/{version}/activate takes."""

    force: Annotated[
        bool,
        Field(
            description="Activate it also where it cannot meet requirements that users have stored. Their requests are "
            "refused while it serves; nobody is protected less. Without effect on a `share` below 1."
        ),
    ] = False


class ActivationBody(BaseModel):
    """What its body says; no body says the same as an empty object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="Share of the users that it answers. 1: everybody. Less: some, by a keyed hash of their id, "
            "beside the active version, which answers the others. 0: nobody, as before there was a share.",
            examples=[0.1],
        ),
    ] = 1.0


class ActiveModelPage(TypedDict):
    """The bundle that answers on this replica; of two, the one for all whom no share gives the other."""

    name: str
    version: str
    content_hash: str
    activated: str | None
    """None where it serves because the service started with it."""
    activated_by: str | None
    """Name of the API key."""


class TrialPage(ActiveModelPage):
    """A second bundle that answers a share of the users."""

    share: float


class FoundModelPage(TypedDict):
    """A version in the models folder."""

    version: str
    name: str | None
    created: str | None
    method: str | None
    content_hash: str | None
    active: bool
    share: float
    """Of the users that it answers: 1 for the active one where there is no other, 0 for most."""
    refused: str | None
    """The fault of its manifest."""


class ModelsPage(TypedDict):
    """Answer of GET /models."""

    active: ActiveModelPage
    trial: TrialPage | None
    """The second one, while it answers a share of the users."""
    models: list[FoundModelPage]
    card: Mapping[str, Any]
    """Accuracy and leakage of the active bundle as training measured them."""
    trouble: str | None
    """Why this replica does not serve the version that was activated last."""


class ComparedPage(TypedDict):
    """The bundle beside the one that was active."""

    attributes_added: list[str]
    attributes_removed: list[str]
    users_added: int
    users_removed: int
    items_added: int
    items_removed: int
    users_unmet: int


class ActivationPage(TypedDict):
    """Answer of POST /models/{version}/activate."""

    active: ActiveModelPage
    trial: TrialPage | None
    previous: dict[str, str]
    """Name and version of the bundle that was active before."""
    compared: ComparedPage | None
    """Null where a share has ended."""


_BODY: TypeAdapter[ActivationBody] = TypeAdapter(ActivationBody)


@router.get(
    "/models",
    response_model=ModelsPage,
    responses=problems(InvalidQueryError, QueryTooLongError),
)
async def models(request: Request) -> Response:
    """List the versions that could be activated, those that answer, and what was measured on the active one."""
    parse(NoParameters, request.scope["query_string"])
    state = state_of(request)
    found = await asyncio.to_thread(state.runtime.activations.models.versions)
    arms = state.runtime.serving.arms
    page: ModelsPage = {
        "active": _active(arms.active, state),
        "trial": _trial(arms, state),
        "models": [_found(one, arms) for one in found],
        "card": arms.active.model.bundle.card,
        "trouble": state.runtime.follower.trouble,
    }
    return json_response(page)


@router.post(
    "/models/{version}/activate",
    response_model=ActivationPage,
    responses=problems(
        InvalidQueryError,
        QueryTooLongError,
        UnknownModelError,
        ModelRefusedError,
        RequirementsUnmetError,
        ShareRefusedError,
        InvalidBodyError,
        MediaTypeError,
        BodyTooLargeError,
        ActivationRunningError,
        StoreUnavailableError,
        QueueFullError,
        StoppingError,
    ),
    openapi_extra={
        "parameters": openapi_path(version="A version in the models folder.")
        + openapi_parameters(ActivationParameters),
        "requestBody": openapi_body(_BODY, required=False),
    },
)
async def activate(request: Request) -> Response:
    """Load, verify, warm and compare a version, then serve it, here and on every replica, and after every restart.

    No request is dropped or waits for it; the bundle before answers what it has begun. Rollback is the same call.
    With a `share` below 1 the version answers these users, and the active one the others: a user has the same version
    until the share changes, and a share that grows keeps the users whom it has. It is refused where a requirement that
    one of the two meets is not met by the other.
    """
    asked = parse(ActivationParameters, request.scope["query_string"])
    body, _ = await read_body(request, _BODY, absent=ActivationBody())
    version, state = path_id(request, "version"), state_of(request)
    by = caller_of(request).name or None
    done = await state.runtime.activations.activate(version, share=body.share, force=asked.force, by=by)
    name, before = done.previous
    arms = state.runtime.serving.arms
    page: ActivationPage = {
        "active": _active(arms.active, state),
        "trial": _trial(arms, state),
        "previous": {"name": name, "version": before},
        "compared": None if done.compared is None else _compared(done.compared),
    }
    return json_response(page)


def _compared(change: ModelChange) -> ComparedPage:
    return {
        "attributes_added": list(change.attributes_added),
        "attributes_removed": list(change.attributes_removed),
        "users_added": change.users_added,
        "users_removed": change.users_removed,
        "items_added": change.items_added,
        "items_removed": change.items_removed,
        "users_unmet": change.users_unmet,
    }


def _active(served: ServedModel, state: State) -> ActiveModelPage:
    model = served.model
    arms = state.runtime.store.known.arms
    recorded = next((one for one in arms if one is not None and one.id == served.id), None)
    activated_us = None if recorded is None else recorded.activated_us
    return {
        "name": model.name,
        "version": model.version,
        "content_hash": model.content_hash,
        "activated": None if activated_us is None else as_text(activated_us),
        "activated_by": None if recorded is None else recorded.activated_by,
    }


def _trial(arms: Arms, state: State) -> TrialPage | None:
    if arms.trial is None:
        return None
    return {**_active(arms.trial.served, state), "share": arms.trial.share.size}


def _found(found: Found, arms: Arms) -> FoundModelPage:
    manifest, serving = found.manifest, arms.active.model
    if manifest is None:
        nothing: FoundModelPage = {
            "version": found.version,
            "name": None,
            "created": None,
            "method": None,
            "content_hash": None,
            "active": False,
            "share": 0.0,
            "refused": found.refused,
        }
        return nothing
    version = (manifest.version, manifest.content_hash)
    shares = {(one.model.version, one.model.content_hash): share for one, share in arms.shares}
    return {
        "version": found.version,
        "name": manifest.name,
        "created": manifest.created.isoformat(),
        "method": manifest.method,
        "content_hash": manifest.content_hash,
        "active": version == (serving.version, serving.content_hash),
        "share": shares.get(version, 0.0),
        "refused": None,
    }
