"""FFVAE's hyper-parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bundle.manifest import Size
from training.loop import Schedule


class FfvaeConfig(BaseModel):
    """Hyper-parameters of the autoencoder. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["ffvae"] = "ffvae"
    shared: PositiveInt = 64
    """Numbers in z, at most d."""
    block: PositiveInt = 4
    """Numbers in each b_i, at most d."""
    hidden: Size = 256
    """Width of encoder, decoder and density-ratio discriminator."""
    noise: PositiveFloat = 0.1
    """Variance of p(x | z, b) in every standardised dimension: the smaller, the more is kept of u."""
    attribute_weight: NonNegativeFloat = 10.0
    """α, how much b_i must say of attribute i."""
    correlation_weight: NonNegativeFloat = 10.0
    """γ, the price of z and the b_i depending on each other."""
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-8
    batch: PositiveInt = 512
    """User vectors in a step."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=Schedule)
