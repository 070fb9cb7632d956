"""Feedback: interactions since the bundle was made. The next list drops their items, the next training uses them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from service.api.access import caller_of
from service.api.answer import json_response
from service.api.body import openapi_body, read_body
from service.api.paths import StoredId
from service.api.problems import problems
from service.api.query import NoParameters, parse
from service.api.state import state_of
from service.api.times import as_us
from service.errors import (
    BodyTooLargeError,
    InvalidBodyError,
    InvalidHeaderError,
    InvalidQueryError,
    MediaTypeError,
    QueryTooLongError,
    QueueFullError,
    StoppingError,
)
from service.store import (
    Idempotency,
    IdempotencyConflictError,
    Interaction,
    StoreUnavailableError,
    UnstorableError,
    add_interactions,
    now_us,
)

router = APIRouter(tags=["feedback"], generate_unique_id_function=lambda route: route.name)

MAX_KEY = 255
"""Characters of an Idempotency-Key."""


class InteractionBody(BaseModel):
    """A user met an item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Annotated[StoredId, Field(description="User id. The bundle need not know it.", examples=["42"])]
    item: Annotated[
        StoredId, Field(description="Item id. One that the bundle does not know is kept for the next.", examples=["50"])
    ]
    time: Annotated[
        AwareDatetime | None,
        Field(description="RFC 3339, with offset; now where absent.", examples=["2026-01-31T12:00:00Z"]),
    ] = None
    rating: Annotated[float | None, Field(allow_inf_nan=False, examples=[4.5])] = None


class TakenPage(TypedDict):
    """What became of posted interactions."""

    taken: int
    suppressed: int
    """Not taken, because their users are erased."""


Posted = InteractionBody | Annotated[list[InteractionBody], Field(min_length=1, max_length=1000)]
_BODY: TypeAdapter[InteractionBody | list[InteractionBody]] = TypeAdapter(Posted)
_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request: sent again with the same body within a day, it is answered as it was the first "
    "time, with `Idempotent-Replayed: true`, and nothing is taken twice.",
    "example": "2f1c7a5e-order-1001",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}


@router.post(
    "/interactions",
    response_model=TakenPage,
    responses=problems(
        InvalidQueryError,
        QueryTooLongError,
        InvalidBodyError,
        InvalidHeaderError,
        MediaTypeError,
        BodyTooLargeError,
        UnstorableError,
        IdempotencyConflictError,
        StoreUnavailableError,
        QueueFullError,
        StoppingError,
    ),
    openapi_extra={"parameters": [_HEADER], "requestBody": openapi_body(_BODY)},
)
async def post_interactions(request: Request) -> Response:
    """Take one interaction, or a list of up to 1000: all of them or none.

    The items count as seen at once, on every replica; vectors move at the next training.
    """
    parse(NoParameters, request.scope["query_string"])
    state, key = state_of(request), _idempotency_key(request)
    body, raw = await read_body(request, _BODY)
    now = now_us()
    posted = [
        Interaction(one.user, one.item, now if one.time is None else as_us(one.time), one.rating)
        for one in (body if isinstance(body, list) else [body])
    ]
    repeatable = None if key is None else Idempotency.of(caller_of(request).name, key, raw)
    taken = await state.runtime.store.change(add_interactions, posted, repeatable)
    page: TakenPage = {"taken": taken.taken, "suppressed": taken.suppressed}
    headers = {"idempotent-replayed": "true"} if taken.repeated else None
    return json_response(page, headers=headers)


def _idempotency_key(request: Request) -> str | None:
    """The name that the client gave the request.

    Raises:
        InvalidHeaderError: repeated, too long, or not visible ASCII.
    """
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidHeaderError("Idempotency-Key", "given more than once")
    (key,) = values
    if not 1 <= len(key) <= MAX_KEY or not all("!" <= letter <= "~" for letter in key):
        raise InvalidHeaderError("Idempotency-Key", f"must be 1 to {MAX_KEY} visible ASCII characters")
    return key
