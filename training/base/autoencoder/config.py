"""Hyper-parameters of the autoencoder bases."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from bundle import Network
from bundle.manifest import Size
from training.loop import Schedule


class AutoencoderConfig(BaseModel):
    """The fields that they share. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["autorec", "multvae", "diffrec", "fairgan"]
    dimensions: Size = 64
    """d: width of the last hidden layer."""
    item_biases: bool = True
    """Whether the decoder has biases. They become a constant dimension, with which only some fair methods can go."""
    dropout: float = Field(default=0.5, ge=0, le=0.9)
    """Share of the entries of a row that are hidden from the encoder while it learns."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 256
    """Users in a step."""
    weight_decay: NonNegativeFloat = 0.0
    """L2, through Adam."""
    schedule: Schedule = Field(default_factory=Schedule)

    @property
    def constants(self) -> int:
        """Dimensions that are 1 for everybody."""
        return int(self.item_biases)


class AutorecConfig(AutoencoderConfig):
    """Sedhain et al., WWW 2015, over users."""

    model: Literal["autorec"] = "autorec"

    def network(self, items: int) -> Network:
        """How a manifest names the trained encoder."""
        return Network(kind=self.model, sizes={"layers": [items, self.dimensions]})


class MultvaeConfig(AutoencoderConfig):
    """Liang et al., WWW 2018."""

    model: Literal["multvae"] = "multvae"
    hidden: Size = 256
    """Width of the encoder's layer."""
    code: Size = 64
    """Of z."""
    divergence_weight: NonNegativeFloat = 0.2
    """Of the distance of the code from a standard normal, once it has grown to it: β."""
    growing_steps: NonNegativeInt = 2000
    """Steps in which that weight grows from 0."""

    def network(self, items: int) -> Network:
        """How a manifest names the trained encoder."""
        return Network(kind=self.model, sizes={"layers": [items, self.hidden, self.code, self.dimensions]})


class DiffrecConfig(AutoencoderConfig):
    """Wang et al., SIGIR 2023, over the row itself (not L-DiffRec or T-DiffRec)."""

    model: Literal["diffrec"] = "diffrec"
    hidden: Size = 256
    """Width of the denoiser's first layer."""
    steps: int = Field(default=5, ge=1, le=1000)
    """T."""
    least_noise: float = Field(default=0.005, gt=0, lt=1)
    """Variance of the noise after the first step, of entries that are 0 or 1."""
    most_noise: float = Field(default=0.02, gt=0, lt=1)
    """After the last."""

    @model_validator(mode="after")
    def _noise_rises(self) -> Self:
        if self.steps > 1 and self.least_noise >= self.most_noise:
            raise ValueError(f"least_noise {self.least_noise} is not below most_noise {self.most_noise}")
        return self

    def network(self, items: int) -> Network:
        """How a manifest names the trained encoder."""
        return Network(kind=self.model, sizes={"layers": [items, self.hidden, self.dimensions], "steps": [self.steps]})


class FairganConfig(AutoencoderConfig):
    """Li et al., WWW 2022, a variant (docs/algorithms/fairgan.md); `learning_rate` is the generator's."""

    model: Literal["fairgan"] = "fairgan"
    hidden: Size = 128
    """Width of the hidden layer of both critics and of the controller; none of them is exported."""
    fairness_weight: NonNegativeFloat = 3.0
    """Price of uneven exposure of items: α. 0: the ranker alone, and no controller is trained."""
    penalty_weight: PositiveFloat = 10.0
    """Of slopes of a critic that are not 1: λ."""
    masked: bool = False
    """Whether an answer is compared on a row's own items alone, as in the public code: then all ones are best."""
    critic_learning_rate: PositiveFloat = 1e-3
    """Of both critics."""
    controller_learning_rate: PositiveFloat = 1e-3

    def network(self, items: int) -> Network:
        """How a manifest names the trained encoder: AutoRec's."""
        return Network(kind="autorec", sizes={"layers": [items, self.dimensions]})
