"""PFRec's hyper-parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from training.loop import Schedule


class PfrecConfig(BaseModel):
    """Hyper-parameters of the prompts. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["pfrec"] = "pfrec"
    prompts: PositiveInt = 10
    """Vectors put before a history, in every block anew."""
    user_prompts: bool = False
    """Put vectors of the user's own attribute values there too, as the paper does. Then every answer protects all
    attributes (`always_protected`), no other mask is trained, and only mode `reproduce` has the labels for it."""
    masks: tuple[tuple[str, ...], ...] = ()
    """Masks to train and support, each the attributes it protects; () for those that a card measures."""
    bottleneck: PositiveInt = 16
    """Width of the two adapters."""
    adversary_weight: NonNegativeFloat = 1.0
    """λ, the price of leaking a protected attribute."""
    adversary_steps: PositiveInt = 2
    """Discriminator updates per batch."""
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-8
    batch: PositiveInt = 256
    """Moments of histories in a step, all under one mask."""
    moments: PositiveInt = 2
    """Steps see this many moments of histories an epoch for each user: in `reproduce` drawn from all moments, so that
    heavy users count more, in `strict` that many of each user."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=Schedule)
