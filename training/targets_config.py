"""What a configuration may say of personal targets over item groups, and the target of the whole that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, field_validator

from balance.shares import UNGROUPED, ItemShares
from balance.targets import TargetError, catalogue, named, uniform
from training.errors import ConfigError


class BalanceConfig(BaseModel):
    """What users' targets are to be on average, and what each user's own shares are made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Literal["uniform", "catalogue"] | dict[str, FiniteFloat]
    """Every item group alike, as in the catalogue, or shares by name; groups that are not named get nothing."""
    depth: PositiveInt = Field(default=100, le=1000)
    """Items of a user's own ranking that the user's shares are made from; all items where there are fewer."""
    users: PositiveInt = 10_000
    """Users that tilts are solved over, at most; drawn by the seed."""

    @field_validator("target")
    @classmethod
    def _shares(cls, value: object) -> object:
        if isinstance(value, Mapping) and (min(value.values(), default=0) < 0 or not sum(value.values()) > 0):
            raise ValueError("target needs shares of 0 or more, and more than 0 together")
        return value


def system_target(config: BalanceConfig, shares: ItemShares) -> NDArray[np.float64]:
    """The target of the whole, (G,).

    Raises:
        ConfigError: a group that no item is in, or no shares; or the items have no groups.
    """
    if set(shares.names) <= {UNGROUPED}:
        raise ConfigError("balance", "needs items with groups, and these have none")
    if not isinstance(config.target, Mapping):
        return {"uniform": uniform, "catalogue": catalogue}[config.target](shares)
    try:
        return named(shares, config.target)
    except TargetError as error:
        raise ConfigError("balance.target", str(error)) from None
