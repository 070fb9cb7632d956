"""LEGO's hyper-parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bundle.manifest import Size
from training.loop import Schedule


class LegoConfig(BaseModel):
    """Hyper-parameters of calibration and combination. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lego"] = "lego"
    hidden: Size = 128
    """Width of a calibrator."""
    information_weight: NonNegativeFloat = 1.0
    """λ, the price of a nat of mutual information with a protected attribute, beside a ranking loss that is a mean over
    pairs."""
    estimator_steps: PositiveInt = 3
    """Updates of the estimators per batch."""
    learning_rate: PositiveFloat = 1e-3
    """Of all networks."""
    weight_decay: NonNegativeFloat = 1e-8
    batch: PositiveInt = 512
    """User vectors in a step: in `reproduce` as often as they have positives, in `strict` one of each user."""
    pairs: PositiveInt = 32
    """(positive, negative) pairs that each of them brings into a step."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: the price of a leaked AUC point of select users, in kept accuracy, in choosing the epoch."""
    schedule: Schedule = Field(default_factory=Schedule)
