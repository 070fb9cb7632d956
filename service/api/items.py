"""Routes on items that must not be recommended: out of stock, withdrawn."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.answer import json_response
from service.api.paths import openapi_path, path_id
from service.api.problems import problems
from service.api.query import NoParameters, parse
from service.api.state import state_of
from service.errors import InvalidQueryError, QueryTooLongError, QueueFullError, StoppingError
from service.store import StoreUnavailableError, UnstorableError, hide_item

router = APIRouter(tags=["items"], generate_unique_id_function=lambda route: route.name)

ITEM = {"parameters": openapi_path(item="Item id; a slash in it is sent as `%2F`. The bundle need not know it.")}
ERRORS = (InvalidQueryError, QueryTooLongError, UnstorableError, StoreUnavailableError, QueueFullError, StoppingError)


class HiddenPage(TypedDict):
    """Whether an item is hidden."""

    item: str
    hidden: bool
    changed: bool
    """False where it was so already."""


@router.put("/items/{item}/hidden", response_model=HiddenPage, responses=problems(*ERRORS), openapi_extra=ITEM)
async def hide(request: Request) -> Response:
    """Recommend an item to nobody, from the very next list on, on every replica."""
    return await _set(request, hidden=True)


@router.delete("/items/{item}/hidden", response_model=HiddenPage, responses=problems(*ERRORS), openapi_extra=ITEM)
async def show(request: Request) -> Response:
    """Recommend an item again."""
    return await _set(request, hidden=False)


async def _set(request: Request, *, hidden: bool) -> Response:
    parse(NoParameters, request.scope["query_string"])
    item = path_id(request, "item")
    changed = await state_of(request).runtime.store.change(hide_item, item, hidden=hidden)
    page: HiddenPage = {"item": item, "hidden": hidden, "changed": changed}
    return json_response(page)
