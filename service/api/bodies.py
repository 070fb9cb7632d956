"""What POST /recommend/batch and /recommend/session take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Len, MaxLen
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler
from pydantic.functional_validators import WrapValidator

from service.api.body import refusal
from service.api.query import Count, Id, Name
from service.errors import InvalidBodyError
from service.recommend.queries import Query, SessionQuery

MAX_ROWS = 256
MAX_HISTORY = 1000


class _ListBody(BaseModel):
    """What both have, with the meanings of GET /recommend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensitive: Annotated[
        Annotated[list[Name], MaxLen(64)] | None,
        Field(
            description="Attributes to protect. Absent or null: the operator's default. Empty: only what is always.",
            examples=[["gender", "age"]],
        ),
    ] = None
    k: Count = 10
    exclude: Annotated[list[Id], MaxLen(1000), Field(description="Item ids never to show.", examples=[["50"]])] = Field(
        default_factory=list
    )
    group: Annotated[list[Id], MaxLen(64), Field(description="Only items in one of these groups.")] = Field(
        default_factory=list
    )
    fallback: Annotated[
        Literal["popular"] | None, Field(description="What to answer where nothing is known; the answer says so.")
    ] = None
    cursor: Annotated[
        Annotated[str, MaxLen(256)] | None,
        Field(description="`next_cursor` of the page before, with every other field as it was."),
    ] = None

    def _facts(self) -> dict[str, Any]:
        return {
            "sensitive": None if self.sensitive is None else tuple(self.sensitive),
            "k": self.k,
            "exclude": tuple(self.exclude),
            "groups": tuple(self.group),
            "fallback": self.fallback,
            "cursor": self.cursor,
        }


class UserBody(_ListBody):
    """One request of a batch: GET /recommend as JSON."""

    user: Annotated[Id, Field(description="User id.", examples=["42"])]
    exclude_seen: Annotated[bool, Field(description="Leave out what the user has interacted with.")] = True

    def query(self) -> Query:
        """What the domain is asked."""
        return Query(self.user, exclude_seen=self.exclude_seen, **self._facts())


class SessionBody(_ListBody):
    """A request for somebody of whom only items are known."""

    history: Annotated[
        list[Id],
        MaxLen(MAX_HISTORY),
        Field(
            description="Item ids, oldest first. Unknown ones are left out; the answer says which.",
            examples=[["50", "181"]],
        ),
    ]
    exclude_seen: Annotated[bool, Field(description="Leave out the items of the history.")] = True

    def query(self) -> SessionQuery:
        """What the domain is asked."""
        return SessionQuery(tuple(self.history), exclude_seen=self.exclude_seen, **self._facts())


def _or_refusal(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """A request, or why it is none: a bad one fails none of its neighbours."""
    try:
        return read(value)
    except ValidationError as error:
        return refusal(error)


class BatchBody(BaseModel):
    """Requests that are answered together, each by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    requests: Annotated[list[Annotated[UserBody, WrapValidator(_or_refusal)]], Len(0, MAX_ROWS)]

    @property
    def rows(self) -> list[UserBody | InvalidBodyError]:
        """As `_or_refusal` made them."""
        return [*self.requests]


BATCH_BODY = TypeAdapter(BatchBody)
SESSION_BODY = TypeAdapter(SessionBody)
