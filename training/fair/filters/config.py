"""Hyper-parameters of the four methods."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bundle.manifest import Size
from training.loop import Schedule


class FiltersConfig(BaseModel):
    """What all of them have. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: Size = 64
    """Of a filter."""
    user_weight: NonNegativeFloat = 0.1
    """λ, the price of leaking an attribute through the user's fair vector, beside a ranking loss that is a mean."""
    adversary_steps: PositiveInt = 10
    """Discriminator updates per batch."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Of the discriminators."""
    learning_rate: PositiveFloat = 1e-3
    """Of filters and discriminators."""
    weight_decay: NonNegativeFloat = 0.0
    batch: PositiveInt = 512
    """User vectors in a step: in `reproduce` as often as they have positives, in `strict` one of each user."""
    pairs: PositiveInt = 32
    """(positive, negative) pairs that each of them brings into a step."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=lambda: Schedule(epochs=100, validate_every=5, patience=20))


class CalConfig(FiltersConfig):
    """CAL: a filter for each attribute, averaged over those that are protected. Every mask."""

    method: Literal["cal"] = "cal"


class AlConfig(FiltersConfig):
    """AL: one filter for one mask."""

    method: Literal["al"] = "al"
    protect: tuple[str, ...] = ()
    """The mask that the filter is for; () for all attributes. The bundle supports it, and nothing protected."""


class FairgoConfig(FiltersConfig):
    """FairGo as FMMRec compares with it: filters on users and items, for one mask."""

    method: Literal["fairgo"] = "fairgo"
    protect: tuple[str, ...] = ()
    """The mask that both sides are filtered for; () for all attributes. A bundle has one item table: no other mask."""
    item_weight: NonNegativeFloat = 0.05
    """λ, the price of leaking an attribute through the mean of the user's filtered items."""


class FmmrecConfig(FairgoConfig):
    """FMMRec: FairGo over vectors that are moved by what modalities give away."""

    method: Literal["fmmrec"] = "fmmrec"  # type: ignore[assignment]
    neighbours: int = Field(default=10, ge=2)
    """k of the user graphs, in each modality; a user is one of their own."""
    graph_users: int = Field(default=10_000, ge=100)
    """The bundle finds the neighbours of new users among these; spread evenly over all where there are more."""
    shift: NonNegativeFloat = 0.1
    """λ_h: how far a user vector moves from neighbours in what is biased to neighbours in what is not."""
    modal_weight: NonNegativeFloat = 0.1
    """λ_m0: the price of attributes in the filtered means of a modality, and of their absence from the biased ones."""
    apart_weight: NonNegativeFloat = 0.1
    """λ_m1: the price of biased and filtered means being alike."""
    modal_epochs: PositiveInt = 100
    """Passes over the users in which the means are learned."""
