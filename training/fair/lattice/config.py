"""How much to withhold, and how it is fitted."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

CHECKED_AT = 0.6
"""What ``leakage_at_most`` is where none is demanded, for attributes that can be checked."""


class LatticeConfig(BaseModel):
    """Hyper-parameters of the lattice. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lattice"] = "lattice"
    strength: int = Field(default=1, ge=0, le=8)
    """How much accuracy to pay. n ≥ 1 withholds n score coordinates of each attribute, or more where it leaks more than
    ``leakage_at_most``; 0 erases one, only linearly."""
    leakage_at_most: float | None = Field(default=None, gt=0.5, le=1)
    """An attribute of which select users leak more, where it alone is protected, gets more coordinates; 1 for never. A
    demand that the select users are too few to check is refused before training. None demands .6 of what can be
    checked; the rest is withheld by ``strength`` alone, which the log and the card say."""
    front: tuple[int, ...] = ()
    """Strengths to fit and measure on select users besides, for the card's accuracy-leakage front."""
    fitted_on: PositiveInt = 100_000
    """Users, at most, that everything is fitted on; of more of them, so many are taken, evenly spread."""
    items_compared: PositiveInt = 4_096
    """Items, at most, over which a step of the utility fit compares the rankings; of more, as many are drawn anew for
    each step."""
    bins: int = Field(default=5, ge=2, le=64)
    """Bins of a score coordinate, each with a transport of its own."""
    shrink: NonNegativeFloat = 8.0
    """Users of average spread, for each dimension of u, added to a bin's covariance."""
    pairs_above: NonNegativeFloat = 0.1
    """Correlation of two attributes' scores from which the pair gets a part of its own."""
    hidden: PositiveInt = 128
    """Width of the score network."""
    folds: int = Field(default=5, ge=2, le=20)
    """Of the cross-fitted scores."""
    epochs: PositiveInt = 8
    """Of the utility fit."""
    learning_rate: PositiveFloat = 2e-3
    """Of the utility fit."""
    batch: PositiveInt = 512
    """Users in a step of the utility fit."""
    ridge: PositiveFloat = 1.0
    """Of the linear start of the utility fit."""
