"""DifFaiRec's hyper-parameters."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from bundle.manifest import Size
from training.loop import Schedule


class DiffairecConfig(BaseModel):
    """Hyper-parameters of the conditioned denoiser. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["diffairec"] = "diffairec"
    attribute: str
    """Whose classes are the groups."""
    condition: Literal["posterior", "own"] = "posterior"
    """`own`: a user's condition is what the users of all classes but the own one like, as published. The own label
    chooses it, so every answer protects the attribute (`always_protected`), and only users whose label is known are
    served. `posterior`: the mean of these conditions over the classes, weighed by what the history says of them. No
    label is needed, and nothing is protected: such lists are for groups to fare alike, and show the attribute."""
    taste: Literal["mean", "component"] = "mean"
    """What users like: `mean`, their mean row (DifFaiRec1), or `component`, the first principal component of their rows
    (DifFaiRec2)."""
    width: Size = 256
    """w: of value and query of the attention."""
    tokens: Size = 16
    """n: value and query are so many tokens each."""
    condition_hidden: Size = 64
    """g: width of the layer between condition and query."""
    dropout: float = Field(default=0.5, ge=0, le=0.9)
    """Share of the entries of a row that are hidden while it learns."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 256
    """Users in a step."""
    weight_decay: NonNegativeFloat = 0.0
    """L2, through Adam."""
    schedule: Schedule = Field(default_factory=Schedule)

    @model_validator(mode="after")
    def _tokens_fit(self) -> Self:
        if self.width % self.tokens:
            raise ValueError(f"{self.tokens} tokens do not divide a width of {self.width}")
        return self
