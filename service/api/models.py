"""Routes on the bundles: which there are, which one serves, and another one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.access import caller_of
from service.api.answer import json_response
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import NoParameters, Parameters, openapi_parameters, parse
from service.api.state import state_of
from service.api.times import as_text
from service.errors import (
    ActivationRunningError,
    InvalidQueryError,
    ModelRefusedError,
    QueryTooLongError,
    QueueFullError,
    RequirementsUnmetError,
    StoppingError,
    UnknownModelError,
)
from service.model.folder import Found
from service.model.loaded import Model
from service.store import StoredModel, StoreUnavailableError

router = APIRouter(tags=["models"], generate_unique_id_function=lambda route: route.name)


class ActivationParameters(Parameters):
    """What POST /models/{version}/activate takes."""

    force: Annotated[
        bool,
        Field(
            description="Activate it also where it cannot meet requirements that users have stored. Their requests are "
            "refused while it serves; nobody is protected less."
        ),
    ] = False


class ActiveModelPage(TypedDict):
    """The bundle that answers on this replica."""

    name: str
    version: str
    content_hash: str
    activated: str | None
    """None where it serves because the service started with it."""
    activated_by: str | None
    """Name of the API key."""


class FoundModelPage(TypedDict):
    """A version in the models folder."""

    version: str
    name: str | None
    created: str | None
    method: str | None
    content_hash: str | None
    active: bool
    refused: str | None
    """The fault of its manifest."""


class ModelsPage(TypedDict):
    """Answer of GET /models."""

    active: ActiveModelPage
    models: list[FoundModelPage]
    card: Mapping[str, Any]
    """Accuracy and leakage of the active bundle as training measured them."""
    trouble: str | None
    """Why this replica does not serve the version that was activated last."""


class ComparedPage(TypedDict):
    """What changed with the bundle."""

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
    previous: dict[str, str]
    compared: ComparedPage


@router.get(
    "/models",
    response_model=ModelsPage,
    responses=problems(InvalidQueryError, QueryTooLongError),
)
async def models(request: Request) -> Response:
    """List the versions that could be activated, the active one, and what was measured on it."""
    parse(NoParameters, request.scope["query_string"])
    state = state_of(request)
    serving = state.runtime.recommender.model
    found = await asyncio.to_thread(state.runtime.activations.models.versions)
    page: ModelsPage = {
        "active": _active(serving, state.runtime.store.known.active),
        "models": [_found(one, serving) for one in found],
        "card": serving.bundle.card,
        "trouble": state.runtime.activations.trouble,
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
        ActivationRunningError,
        StoreUnavailableError,
        QueueFullError,
        StoppingError,
    ),
    openapi_extra={
        "parameters": openapi_path(version="A version in the models folder.") + openapi_parameters(ActivationParameters)
    },
)
async def activate(request: Request) -> Response:
    """Load, verify, warm and compare a version, then serve it, here and on every replica, and after every restart.

    No request is dropped or waits for it; the bundle before answers what it has begun. Rollback is the same call.
    """
    asked = parse(ActivationParameters, request.scope["query_string"])
    version, state = path_id(request, "version"), state_of(request)
    done = await state.runtime.activations.activate(version, force=asked.force, by=caller_of(request).name or None)
    name, before = done.previous
    compared = done.compared
    page: ActivationPage = {
        "active": _active(state.runtime.recommender.model, done.model),
        "previous": {"name": name, "version": before},
        "compared": {
            "attributes_added": list(compared.attributes_added),
            "attributes_removed": list(compared.attributes_removed),
            "users_added": compared.users_added,
            "users_removed": compared.users_removed,
            "items_added": compared.items_added,
            "items_removed": compared.items_removed,
            "users_unmet": compared.users_unmet,
        },
    }
    return json_response(page)


def _active(serving: Model, stored: StoredModel | None) -> ActiveModelPage:
    recorded = stored if stored is not None and stored.content_hash == serving.content_hash else None
    activated_us = None if recorded is None else recorded.activated_us
    return {
        "name": serving.name,
        "version": serving.version,
        "content_hash": serving.content_hash,
        "activated": None if activated_us is None else as_text(activated_us),
        "activated_by": None if recorded is None else recorded.activated_by,
    }


def _found(found: Found, serving: Model) -> FoundModelPage:
    manifest = found.manifest
    if manifest is None:
        nothing: FoundModelPage = {
            "version": found.version,
            "name": None,
            "created": None,
            "method": None,
            "content_hash": None,
            "active": False,
            "refused": found.refused,
        }
        return nothing
    return {
        "version": found.version,
        "name": manifest.name,
        "created": manifest.created.isoformat(),
        "method": manifest.method,
        "content_hash": manifest.content_hash,
        "active": (manifest.version, manifest.content_hash) == (serving.version, serving.content_hash),
        "refused": None,
    }
