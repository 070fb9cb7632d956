"""What a configuration may say about generated data."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from training.data.common_config import AttributeName, CommonConfig
from training.data.frozen import Frozen


class GeneratedAttribute(Frozen):
    """An attribute of generated users."""

    classes: tuple[str, ...] = Field(min_length=2)

    shares: tuple[PositiveFloat, ...] = ()
    """How common each class is, up to a factor; equal where absent."""

    strength: NonNegativeFloat = 1.0
    """Size of the attribute's effect on taste; personal taste has size 1."""

    follows: str | None = None
    """An attribute named earlier whose class this one is correlated with."""

    unknown: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of users whose label is not known."""

    @model_validator(mode="after")
    def _one_share_per_class(self) -> Self:
        if self.shares and len(self.shares) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes need as many shares, got {len(self.shares)}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"a class is named twice in {list(self.classes)}")
        return self


def _generated_attributes() -> dict[str, GeneratedAttribute]:
    ages = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
    jobs = ("student", "service", "trade", "technical", "creative", "clerical", "managerial", "retired")
    return {
        "gender": GeneratedAttribute(classes=("F", "M"), shares=(0.35, 0.65), strength=0.28),
        "age": GeneratedAttribute(classes=ages, shares=(0.05, 0.18, 0.33, 0.19, 0.09, 0.09, 0.07), strength=1.0),
        "occupation": GeneratedAttribute(classes=jobs, strength=0.1, follows="age"),
    }


class GeneratedConfig(CommonConfig):
    """Synthetic users whose taste is mostly personal and partly planted by their attributes."""

    reader: Literal["generated"] = "generated"
    positive_at_least: FiniteFloat | None = 4.0
    min_positives: PositiveInt = 3
    users: int = Field(default=3000, ge=2, le=10_000_000)
    items: int = Field(default=500, ge=2, le=1_000_000)

    interactions_per_user: int = Field(default=60, ge=1)
    """Mean over users; at most half of the items."""

    cold_items: int = Field(default=0, ge=0, le=1_000_000)
    """Further items, which nobody meets."""

    featureless: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of all items that lack a modality, drawn for each."""

    popularity_skew: NonNegativeFloat = 0.7
    """How unequal items are before taste is looked at; 0 makes them equal."""

    pickiness: NonNegativeFloat = 1.5
    """How much taste decides, next to popularity and chance, what a user meets. With few interactions a user and no
    more than this, a list of what is popular is hardly worse than any model's."""

    seed: int = Field(default=2020, ge=0)
    attributes: dict[AttributeName, GeneratedAttribute] = Field(default_factory=_generated_attributes, min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 2 * self.interactions_per_user > self.items:
            raise ValueError(
                f"interactions_per_user is at most half of the {self.items} items, got {self.interactions_per_user}"
            )
        known: list[str] = []
        for name, attribute in self.attributes.items():
            if attribute.follows is not None and attribute.follows not in known:
                raise ValueError(f"{name} follows {attribute.follows!r}, which is not named before it")
            known.append(name)
        return self
