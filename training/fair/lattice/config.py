"""How much to withhold, and how it is fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bundle.manifest import Size

CHECKED_AT = 0.6
"""What ``leakage_at_most`` is where none is demanded, for attributes that can be checked."""
SHOWN_OF_EXCESS = 0.55
"""Of the excess over .5 that is demanded, how much select users may show. They are few and coordinates are chosen by
them, so they show .01 to .05 less than an audit finds (docs/results/strict-methods.md)."""

Strength = Annotated[int, Field(ge=0, le=8)]


class LatticeConfig(BaseModel):
    """Hyper-parameters of the lattice. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lattice"] = "lattice"
    strength: Strength = 1
    """How much accuracy to pay. n ≥ 1 withholds n score coordinates of each attribute, or more where it leaks more than
    ``leakage_at_most``; 0 takes away the mean given one, and moves no covariances."""
    leakage_at_most: float | None = Field(default=None, gt=0.5, le=1)
    """The leakage that an audit may find of an attribute, where it alone is protected and where all are. An attribute
    of which select users show too much gets more coordinates; 1 for never. A demand that they are too few to check is
    refused before training. None demands .6 of what can be checked; the rest is withheld by ``strength`` alone, which
    the log and the card say."""
    front: tuple[Strength, ...] = ()
    """Strengths to fit and measure on select users besides, for the card's accuracy-leakage front."""
    fitted_on: PositiveInt = 100_000
    """Users, at most, that everything is fitted on; of more of them, so many are taken, evenly spread."""
    bins: int = Field(default=8, ge=2, le=64)
    """Bins of a score coordinate, each with a transport of its own."""
    shrink: NonNegativeFloat = 1.0
    """Users of average spread, for each dimension of u, added to a bin's covariance."""
    sweeps: PositiveInt = 2
    """How often the transports go over all coordinates."""
    ridge: PositiveFloat = 5.0
    """Of the means given the scores."""
    mix_ridge: PositiveFloat = 20.0
    """Of the linear map back to u."""
    choice_ridge: PositiveFloat = 500.0
    """Of what that map changes to rank what users chose next, in users."""
    dither: float = Field(default=0.15, ge=0, le=1)
    """How large the pseudo-random shift of a fair vector is, another one for each mask, by how far user vectors are
    from their mean. It hides what masks together would give away; 0 for none. One attribute has one mask, and none."""
    hidden: Size = 128
    """Width of the score network."""
    folds: int = Field(default=5, ge=2, le=20)
    """Of the cross-fitted scores."""

    @property
    def demanded(self) -> float:
        """`leakage_at_most`, or what stands for none."""
        return CHECKED_AT if self.leakage_at_most is None else self.leakage_at_most

    @property
    def select_users_show_at_most(self) -> float:
        """Folded AUC above which select users call for more coordinates; 1 where nothing is demanded."""
        return 1.0 if self.demanded == 1 else 0.5 + SHOWN_OF_EXCESS * (self.demanded - 0.5)
