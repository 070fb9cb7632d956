"""PoT-AU's hyper-parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from training.loop import Schedule


class PotAuConfig(BaseModel):
    """Hyper-parameters of the update. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["pot_au"] = "pot_au"
    protect: tuple[str, ...] = ()
    """Attributes to take out of the vectors; () for all. Every answer of the bundle protects these
    (`always_protected`), and no other mask is served."""
    distance: Literal["d2d", "u2u"] = "d2d"
    """What classes are made alike by: `d2d` the distributions of their vectors, `u2u` the distances between users."""
    order_weight: NonNegativeFloat = 0.01
    """Price of a user's best items in another order."""
    order_items: int = Field(default=20, ge=2, le=1000)
    """How many of them: the best that the user has not met in training."""
    order_margin: NonNegativeFloat = 0.05
    """How far each should stay ahead of the next, in standard deviations of a user's scores."""
    original_weight: NonNegativeFloat = 0.0
    """Price of the squared distance to the vector that a user had, in the vectors' own mean square."""
    learning_rate: PositiveFloat = 1e-3
    """Of Adam, in root mean squares of the vectors' numbers: one step moves none of them further."""
    batch: PositiveInt = 1024
    """Users that are compared with each other at a time, about; memory grows with its square. A step is over all users
    whatever it is."""
    schedule: Schedule = Field(default_factory=lambda: Schedule(epochs=500, validate_every=10, patience=50))
    """An epoch is one step over all users; what is kept is the state with the lowest price, not the most accurate."""
