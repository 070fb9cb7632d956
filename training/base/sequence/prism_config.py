"""Hyper-parameters of PRISM, an addition to a sequential base."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from bundle.history.prism import MOST_EXPERTS
from bundle.manifest import Size
from training.data.modality_config import ModalityName

MOST_MODALITIES = MOST_EXPERTS - 2
"""Each has an expert, and two more look at all."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} stands there twice; allowed: each modality once")
    return names


class PrismConfig(BaseModel):
    """What modalities say of a history's items, and how much of it counts. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: Annotated[tuple[ModalityName, ...], Field(max_length=MOST_MODALITIES), AfterValidator(_each_once)] = ()
    """Which of data.modalities; none named: all of them."""
    hidden: Size = 64
    """Width of an expert."""
    gate_hidden: Size = 64
    """Width of the network that weighs experts."""
    temperature: float = Field(default=0.7, ge=0.01, le=100)
    """τ of the weights: the lower, the more one expert counts alone."""
    uniqueness: NonNegativeFloat = 0.1
    """Price of an expert of one modality that hears of another."""
    synergy: NonNegativeFloat = 0.1
    """Price of the expert of all together that hardly hears when one is replaced."""
    redundancy: NonNegativeFloat = 0.1
    """Price of the expert of what any of them says that hears it."""
    margin: NonNegativeFloat = 1.0
    """Of uniqueness: so much further away replacing the modality itself should lead than replacing another."""
    perturbed: PositiveInt = 256
    """Items of a step, at most, whose modalities are replaced by noise one after another."""
