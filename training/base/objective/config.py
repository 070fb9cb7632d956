"""What a configuration may say about the objective of a table base: one frozen model for each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bundle.manifest import Size


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"a name stands twice in {list(names)}")
    return names


Names = Annotated[tuple[str, ...], AfterValidator(_each_once)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BprConfig(_Frozen):
    """The mean over all rows, whoever they are of."""

    kind: Literal["bpr"] = "bpr"
    temperature: PositiveFloat | None = None
    """τ: a score is the cosine over τ, as ITFR has it; absent: the inner product."""


class Grouped(_Frozen):
    """Groups are user classes times item groups; in `strict` the labels are those of train users alone."""

    users: Names = Field(min_length=1)
    """Attributes; where there are several, their classes are crossed."""
    items: Names = ()
    """Item groups. An item in exactly one of them is in it, others are in none; absent: all items are one group."""


class ItemGrouped(_Frozen):
    """Groups of items alone: no label of any user is looked at."""

    items: Names = Field(min_length=2)
    """Item groups. An item in exactly one of them is in it, others are in none."""


class ItfrConfig(Grouped):
    """Intersectional two-sided fairness."""

    kind: Literal["itfr"] = "itfr"
    temperature: PositiveFloat = 0.2
    """τ: a score is the cosine over τ."""
    radius: NonNegativeFloat = 0.02
    """ρ, how far uphill a group's loss is looked at; 0 looks where the weights are."""
    weight_rate: NonNegativeFloat = 0.05
    """η, how fast groups' weights move; 0 keeps them equal."""
    focus: NonNegativeFloat = 0.5
    """γ, how much more it counts to help a group with a large loss."""


class GroupDroConfig(Grouped):
    """Distributionally robust over groups."""

    kind: Literal["group_dro"] = "group_dro"
    weight_rate: NonNegativeFloat = 0.01
    """η."""


class StreamDroConfig(Grouped):
    """The same by running means of the losses."""

    kind: Literal["stream_dro"] = "stream_dro"
    weight_rate: NonNegativeFloat = 0.01
    """η."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of a running mean that a step keeps."""


class DprConfig(ItemGrouped):
    """An adversary tells the group of a positive by its score alone, and is misled."""

    kind: Literal["dpr"] = "dpr"
    adversary_weight: NonNegativeFloat = 0.1
    """Price of being told apart."""
    normal_weight: NonNegativeFloat = 0.01
    """Price of a user's scores being unlike a standard normal distribution."""
    adversary_rate: PositiveFloat = 5e-3
    """Learning rate of the adversary."""
    hidden: Size = 32
    """Width of the adversary's two layers."""


class FairNegConfig(ItemGrouped):
    """Groups whose positives rank low are drawn less as negatives."""

    kind: Literal["fairneg"] = "fairneg"
    rate: NonNegativeFloat = 0.1
    """How far an epoch moves the groups' shares of the negatives."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of the last move that is made again."""
    hard: float = Field(default=0.5, ge=0, le=1)
    """Share of negatives that are drawn by score instead."""
    candidates: PositiveInt = 5
    """Uniform draws that one of those is chosen from, by the softmax of their scores."""


class MultiFrConfig(Grouped):
    """Accuracy, users and providers as one direction that makes none of them worse."""

    kind: Literal["multifr"] = "multifr"
    items: Names = Field(min_length=2)
    """Item groups, the providers. An item in exactly one of them is in it, others are in none."""
    lists: PositiveInt = 64
    """Users of a batch whose whole ranking is looked at."""
    temperature: PositiveFloat = 0.5
    """Of the smooth ranks and the ranking policy."""


class InUcdsConfig(_Frozen):
    """Users with few positives follow active ones; no attribute is looked at."""

    kind: Literal["in_ucds"] = "in_ucds"
    sets: Literal["paper", "released"] = "paper"
    """How a user's neighbours are found: `paper` by constrained dominant sets; `released` as the public code does it,
    where the constraint has no weight, which looks at held-out positives too in `reproduce`."""
    constraint: float = Field(default=1.1, ge=1.001, le=1000)
    """α of a constrained dominant set, relative to the eigenvalue that it must be above. The larger it is, the more are
    neighbours those most like the user; near 1 they are those most like each other. `released` does not read it."""
    pairs: Literal["batch", "all"] = "batch"
    """Which users are pulled in a step: those of the batch, or everybody, as published, at the price of all users."""
    active: float = Field(default=0.05, gt=0, le=0.5)
    """Share of the users, those with most training positives; at most 2,000 of them."""
    neighbours: PositiveInt = 3
    """Active users that each other one is pulled to, at most."""
    weight: NonNegativeFloat = 1e-5
    """Price of the squared distance to one neighbour."""


ObjectiveConfig = Annotated[
    BprConfig
    | ItfrConfig
    | GroupDroConfig
    | StreamDroConfig
    | DprConfig
    | FairNegConfig
    | MultiFrConfig
    | InUcdsConfig,
    Field(discriminator="kind"),
]
