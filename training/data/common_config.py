"""What a configuration may say about any data: which attributes and positives are wanted, and what is held out."""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from bundle.limits import FEWEST_CLASSES
from training.data.dataset import NAME_ALLOWED, can_name
from training.data.frozen import Frozen
from training.data.modality_config import Modalities

ClassName = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[PositiveInt, Field(strict=True)]
"""At least 1; `true` is none."""


class AttributeConfig(Frozen):
    """Where an attribute is read, and how its values become classes."""

    column: str | None = None
    """Column of the users table; the attribute's own name where absent."""

    edges: tuple[FiniteFloat, ...] = ()
    """Ascending numbers that cut a numeric column into classes: [18, 25] gives 'under 18', '18-24', '25+'."""

    counts: Literal["interactions"] | None = None
    """In place of a column: how many interactions a user has, where nothing else is known of users."""

    ordered: Literal[False] | tuple[str, ...] | None = None
    """The classes from low to high. Absent: numbers and ranges, like 17, 18-24 and 56+, stand in their order, other
    classes in none; false: numbers are codes, and stand in none either."""

    merged: dict[ClassName, Annotated[tuple[ClassName, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Class → the values, or the ranges that `edges` cut, that are this class together."""

    classes_at_least: Count | None = None
    """Absent: `classes_at_least` of all attributes."""

    @field_validator("ordered", mode="before")
    @classmethod
    def _low_to_high(cls, value: object) -> object:
        names = list(value) if isinstance(value, list | tuple) else []
        listed = len(names) >= FEWEST_CLASSES and all(isinstance(name, str) for name in names)
        if not (value is None or value is False or (listed and len(set(names)) == len(names))):
            allowed = "false, or two or more classes from low to high, each once"
            raise ValueError(f"ordered is {value!r}; allowed: {allowed}")
        return value

    @model_validator(mode="after")
    def _edges_order(self) -> Self:
        if self.edges and self.ordered is not None:
            raise ValueError("edges put classes in order, so `ordered` has nothing to say beside them")
        return self

    @model_validator(mode="after")
    def _each_value_once(self) -> Self:
        values = [value for of in self.merged.values() for value in of]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"merged has {twice[0]!r} in two classes, or twice in one; allowed: each value once")
        if both := [name for name, of in self.merged.items() if name in values and name not in of]:
            raise ValueError(f"merged puts the class {both[0]!r} into another one; allowed: its values there instead")
        return self

    @model_validator(mode="after")
    def _counts_are_cut(self) -> Self:
        if self.counts and (self.column is not None or not self.edges):
            raise ValueError("an attribute that counts needs edges and has no column")
        return self

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges must be strictly ascending, got {list(self.edges)}")
        return self


def _names_alone(value: object) -> object:
    """Let `attributes = ["gender", "age"]` stand for tables without options."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        if len(set(value)) != len(value):
            raise ValueError(f"an attribute is named twice in {list(value)}")
        return {name: {} for name in value}
    return value


def _attribute_name(name: str) -> str:
    if not can_name(name):
        raise ValueError(f"{name!r} cannot name an attribute; allowed: {NAME_ALLOWED}")
    return name


AttributeName = Annotated[str, AfterValidator(_attribute_name)]
Attributes = Annotated[dict[AttributeName, AttributeConfig], BeforeValidator(_names_alone)]
"""None at all where nothing is known of users: such data can be read and described, and not be trained on."""


class HeldOutShares(Frozen):
    """How much of each user's positives is held out, drawn at random; at least one for each, and one to train on."""

    validation: float = Field(default=0.1, gt=0, le=0.4)

    test: float = Field(default=0.2, gt=0, le=0.4)


class CommonConfig(Frozen):
    """What every reader's `[data]` table may say."""

    positive_at_least: FiniteFloat | None = None
    """Rating from which an interaction is a positive; absent: every interaction is one."""

    min_positives: Count = 1
    """Users with fewer positives are left out."""

    only_groups: tuple[str, ...] = ()
    """Items in exactly one of these groups are kept, and are then in that one alone; absent: all items."""

    core: Count = 1
    """Users and items with fewer positives are left out, in turns, until all have as many."""

    classes_at_least: Count = 1
    """Train users that a class of an attribute needs; absent: none are merged. Ordered classes with fewer are merged
    with a neighbour, others into one class of the rest, which may still have fewer. Where that would leave no two
    classes, each stays."""

    modalities: Modalities = Field(default_factory=dict)
    """Item features by name; none where absent."""

    cold: Literal["keep", "drop"] = "keep"
    """What becomes of items that have features and that nobody has touched: `keep` gives them a vector made of their
    features and serves them; `drop` leaves them out."""

    held_out: HeldOutShares | None = None
    """Absent: the last positive of a user tests, the one before it validates."""

    @model_validator(mode="after")
    def _each_group_once(self) -> Self:
        if len(set(self.only_groups)) != len(self.only_groups):
            raise ValueError(f"only_groups names a group twice in {list(self.only_groups)}")
        return self
