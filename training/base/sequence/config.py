"""Hyper-parameters of the sequential base models."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bundle import Network
from bundle.manifest import Size
from training.base.sequence.prism_config import PrismConfig
from training.loop import Schedule


class SequenceConfig(BaseModel):
    """The fields of both kinds. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_deviation: ClassVar[float]
    position_deviation: ClassVar[float]
    """Of the initial item vectors and positions."""

    model: Literal["sasrec", "bert4rec"]
    dimensions: Size = 64
    """d."""
    length: int = Field(default=100, ge=2, le=4096)
    """Positions; BERT4Rec's mask token takes one of them."""
    blocks: int = Field(default=1, ge=1, le=64)
    heads: PositiveInt = 1
    """Divides d."""
    hidden: Size = 64
    """Width of the network at each position."""
    dropout: float = Field(default=0.2, ge=0, le=0.9)
    """Of the input and of the output of each sublayer."""
    loss: Literal["positions", "binary", "last"] = "positions"
    """``positions``: softmax over the item and sampled others, wherever the model answers in a window (SASRec: at every
    position; BERT4Rec: at every mask). ``binary``: there, SASRec's binary cross-entropy with one negative. ``last``:
    AFRL's reference, BPR with one negative at the end of every prefix of every history; a hundred times the work."""
    negatives: PositiveInt = 256
    """Sampled others of ``positions``, shared by a batch."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 128
    """Windows in a step; with ``last``, prefixes."""
    contexts_per_user: NonNegativeInt = 32
    """Moments of a history, evenly spread, that a fair model learns from; 0 for all."""
    schedule: Schedule = Field(default_factory=Schedule)
    prism: PrismConfig | None = None
    """What modalities say of a history's items is read along (PRISM); absent: the model alone."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.dimensions % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.dimensions} dimensions")
        return self

    @property
    def kind(self) -> str:
        """What a manifest calls the trained encoder, and the base."""
        return self.model if self.prism is None else f"prism_{self.model}"

    def network(self, experts: int = 0) -> Network:
        """How a manifest describes it, with so many experts of PRISM."""
        sizes = {"blocks": self.blocks, "heads": self.heads, "hidden": self.hidden, "length": self.length}
        if self.prism is not None:
            sizes |= {"experts": experts, "gate": self.prism.gate_hidden}
        return Network(kind=self.kind, sizes={name: [size] for name, size in sizes.items()})


class SasrecConfig(SequenceConfig):
    """Kang and McAuley, ICDM 2018."""

    item_deviation: ClassVar[float] = 0.02
    position_deviation: ClassVar[float] = 0.02

    model: Literal["sasrec"] = "sasrec"


class Bert4recConfig(SequenceConfig):
    """Sun et al., CIKM 2019."""

    item_deviation: ClassVar[float] = 0.05
    position_deviation: ClassVar[float] = 0.4
    """√d times an item's: a mask token knows by its position alone which items are its neighbours."""

    model: Literal["bert4rec"] = "bert4rec"
    masked: float = Field(default=0.2, ge=0, lt=1)
    """Share of a window's items that are masked, besides the last, which always is: that is where serving asks."""
