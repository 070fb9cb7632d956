"""SM's hyper-parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from training.loop import Schedule


class SmConfig(BaseModel):
    """Hyper-parameters of the filters. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["sm"] = "sm"
    variant: Literal["separate", "combine"] = "separate"
    """`separate`: a filter for each mask, 2^M - 1 of them. `combine`: one for each attribute, averaged."""
    adversary_weight: NonNegativeFloat = 0.1
    """λ, the price of leaking a protected attribute, beside a ranking loss that is a mean over pairs."""
    adversary_steps: PositiveInt = 10
    """Discriminator updates per batch."""
    adversary_rows: PositiveInt = 256
    """Rows of the batch that the discriminators see, drawn anew for each of their updates."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Of the discriminators."""
    learning_rate: PositiveFloat = 1e-3
    """Of filters, discriminators, and the base's tables where they train along."""
    weight_decay: NonNegativeFloat = 1e-8
    batch: PositiveInt = 512
    """User vectors in a step: in `reproduce` as often as they have positives, in `strict` one of each user."""
    pairs: PositiveInt = 32
    """(positive, negative) pairs that each of them brings into a step."""
    row_masks: bool = False
    """`reproduce` only: a mask for each row instead of one for the whole batch; `strict` always does so."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=Schedule)
