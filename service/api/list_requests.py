"""The requests for lists: query strings of the GET routes, bodies of the POST routes.

The fields of a personal list have the names of those in `service.recommend.queries`, and are handed on as they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Len, MaxLen
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler
from pydantic.functional_validators import WrapValidator

from service.api.body import refusal
from service.api.query import COMMA_SEPARATED, Count, Id, Name, Parameters
from service.balance import AskedBalance
from service.errors import InvalidBodyError
from service.recommend.queries import SessionQuery, UserQuery

MAX_ROWS = 256
MAX_HISTORY = 1000


Groups = Annotated[
    tuple[Id, ...],
    MaxLen(64),
    COMMA_SEPARATED,
    Field(
        description="Only items in one of these groups, comma-separated; a repeated parameter is joined.",
        examples=[["Drama", "Comedy"]],
    ),
]


BalanceField = Annotated[
    AskedBalance | None,
    Field(
        description="What the list is balanced towards, by item groups: each group alike (`uniform`), as in the "
        "catalogue, the operator's or the bundle's target, what was shown too little of by now (`quotas`), or the "
        "user's own history, which is refused while anything is protected: it would show what is withheld. Absent: "
        "the operator's default. `none` switches that off.",
        examples=["uniform"],
    ),
]
BalanceWeightField = Annotated[
    Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None,
    Field(
        description="How much the target counts: 0 is the ranking, 1 the target alone. Absent: the operator's.",
        examples=[0.5],
    ),
]


class RecommendationParameters(Parameters):
    """The query parameters of GET /recommend."""

    user: Annotated[Id, Field(description="User id.", examples=["42"])]
    sensitive: Annotated[
        Annotated[tuple[Name, ...], MaxLen(64)] | None,
        COMMA_SEPARATED,
        Field(
            description="Attributes to protect, comma-separated; a repeated parameter is joined. Absent: the "
            "operator's default is protected. Empty: nothing but what the operator or the bundle always protects.",
            examples=[["gender", "age"]],
        ),
    ] = None
    k: Count = 10
    exclude_seen: Annotated[bool, Field(description="Leave out what the user has interacted with.")] = True
    exclude: Annotated[
        tuple[Id, ...],
        MaxLen(1000),
        COMMA_SEPARATED,
        Field(
            description="Item ids never to show, comma-separated; a repeated parameter is joined. Unknown ids are "
            "accepted and change nothing. An id that contains a comma cannot be named.",
            examples=[["50", "181"]],
        ),
    ] = ()
    group: Groups = ()
    fallback: Annotated[
        Literal["popular"] | None, Field(description="What an unknown user gets instead of 404; the answer says so.")
    ] = None
    cursor: Annotated[
        Annotated[str, MaxLen(256)] | None,
        Field(description="`next_cursor` of the page before, with every other parameter as it was."),
    ] = None
    balance: BalanceField = None
    balance_weight: BalanceWeightField = None

    def query(self) -> UserQuery:
        """The parameters as the domain takes them."""
        return UserQuery(**vars(self))


class SimilarParameters(Parameters):
    """The query parameters of GET /similar."""

    item: Annotated[Id, Field(description="Item id.", examples=["50"])]
    k: Count = 10


class PopularParameters(Parameters):
    """The query parameters of GET /popular."""

    k: Count = 10
    group: Groups = ()


class _ListBody(BaseModel):
    """The fields of both bodies, with the meanings of GET /recommend."""

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
    balance: BalanceField = None
    balance_weight: BalanceWeightField = None

    def _facts(self) -> dict[str, Any]:
        """The fields as the domain takes them: lists as tuples."""
        return {name: tuple(value) if isinstance(value, list) else value for name, value in self}


class UserBody(_ListBody):
    """One request of a batch: GET /recommend as JSON."""

    user: Annotated[Id, Field(description="User id.", examples=["42"])]
    exclude_seen: Annotated[bool, Field(description="Leave out what the user has interacted with.")] = True

    def query(self) -> UserQuery:
        """The body as the domain takes it."""
        return UserQuery(**self._facts())


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
        """The body as the domain takes it."""
        return SessionQuery(**self._facts())


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
