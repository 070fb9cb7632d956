"""What a configuration may say about AFRL."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from training.loop import Schedule


class AfrlConfig(BaseModel):
    """Hyper-parameters of the fair encoder. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["afrl"] = "afrl"
    alignment_weight: NonNegativeFloat = 0.1
    """β, the price of keeping anything besides the attribute itself."""
    adversary_weight: NonNegativeFloat = 0.1
    """λ, the price of leaking an attribute through the shared part."""
    adversary_steps: PositiveInt = 1
    """Discriminator updates per batch."""
    without: Literal["none", "shared", "attributes"] = "none"
    """An ablation: the fair vector without the shared part z_0, or without the attribute parts z_i."""
    learning_rate: PositiveFloat = 5e-5
    """Of Adam, at its highest."""
    adversary_learning_rate: PositiveFloat | None = None
    """The discriminators' own; None for the same."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the rates rise from zero."""
    decay: Literal["none", "cosine"] = "none"
    """Whether the rates fall to zero over the schedule's epochs."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the moving average of the encoder's weights that is validated and exported; 0 for the last weights."""
    weight_decay: NonNegativeFloat = 1e-8
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products in training; weights, losses and everything exported stay float32."""
    batch: PositiveInt = 256
    """Contexts in a step."""
    pairs: PositiveInt = 1
    """(positive, negative) pairs that each context brings into a step."""
    row_masks: bool = False
    """`reproduce` only: a mask for each row instead of one for the whole batch; `strict` always does so."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=Schedule)

    def rate(self, done: float) -> float:
        """Factor on the learning rates where a share ``done`` in [0, 1] of the schedule's steps has been made."""
        if done < self.warmup:
            return done / self.warmup
        return 1.0 if self.decay == "none" else 0.5 + 0.5 * math.cos(math.pi * min(done, 1.0))
