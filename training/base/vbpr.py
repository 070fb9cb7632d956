"""VBPR: matrix factorisation beside a learned map of item features, trained by BPR.

Specified in docs/algorithms/vbpr.md. Source: He and McAuley, AAAI 2016, for any features in place of pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle.limits import LARGEST_SIZE
from bundle.manifest import Size
from training.base.cold import described
from training.base.contract import Base, softplus_loss
from training.base.tables import TableModel, table, train_tables
from training.base.validation import choosing_ndcg
from training.experiment import Experiment
from training.loop import Schedule


class VbprConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["vbpr"] = "vbpr"
    dimensions: int = Field(default=64, ge=2, le=LARGEST_SIZE)
    """d: of the id factors and of the feature factors together."""
    feature_dimensions: Size = 32
    """Of these, how many meet the mapped features."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 1024
    """Interaction rows in a step."""
    weight_decay: NonNegativeFloat = 1e-8
    """L2 on tables and map, through Adam."""
    initial_deviation: PositiveFloat = 0.01
    schedule: Schedule = Field(default_factory=Schedule)

    @model_validator(mode="after")
    def _some_of_each(self) -> Self:
        if self.feature_dimensions >= self.dimensions:
            allowed = f"below dimensions, which is {self.dimensions}"
            raise ValueError(f"feature_dimensions is {self.feature_dimensions}; allowed: {allowed}")
        return self


class Vbpr(TableModel):
    """s(u, i) = b_i + β·x_i + γ_u·γ_i + θ_u·(E x_i), x_i the item's features (V1)."""

    constant_by_item = ("features",)
    constants = 1
    features: Tensor

    def __init__(self, users: int, features: Tensor, cold: Tensor, config: VbprConfig, seed: int) -> None:
        """Begin at random.

        Args:
            users: how many.
            features: (I, p) x of the items.
            cold: (C, p) x of cold items.
            config: sizes.
            seed: of the first values.
        """
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self._ids = config.dimensions - config.feature_dimensions
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.items = nn.Parameter(torch.empty(len(features), self._ids + 1))
        self.map = nn.Parameter(torch.empty(features.shape[1], config.feature_dimensions))
        self.bias = nn.Parameter(torch.zeros(features.shape[1], 1))
        self.register_buffer("features", features, persistent=False)
        self._cold = cold
        with torch.no_grad():
            for parameter in (self.users, self.items, self.map):
                parameter.normal_(0, config.initial_deviation, generator=rng)
            self.items[:, -1] = 0

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> Tensor:
        """BPR of (B,) rows."""
        difference = embedding(positives, self.items) - embedding(negatives, self.items)
        x = embedding(positives, self.features) - embedding(negatives, self.features)
        factors = torch.cat([difference[:, :-1], x @ self.map], dim=1)
        biases = difference[:, -1] + (x @ self.bias)[:, 0]
        return softplus_loss((embedding(users, self.users) * factors).sum(-1) + biases)

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Users [γ_u, θ_u, 1], items [γ_i, E x_i, b_i + β·x_i] (V2)."""
        users = table(self.users)
        items = self._items(table(self.items), self.features.cpu().numpy())
        return np.hstack([users, np.ones((len(users), 1), np.float32)]), items

    def cold_vectors(self) -> NDArray[np.float32]:
        """As items, the means of γ and b in place of their own (V3)."""
        usual = table(self.items).mean(axis=0, keepdims=True)
        return self._items(np.repeat(usual, len(self._cold), axis=0), self._cold.numpy())

    def _items(self, own: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack([own[:, :-1], x @ table(self.map), own[:, -1:] + x @ table(self.bias)])


def train_vbpr(experiment: Experiment, config: VbprConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train tables and map."""
    count = len(experiment.dataset.items)
    x = torch.from_numpy(described(experiment, np.arange(count)).astype(np.float32))
    model = Vbpr(len(experiment.dataset.users), x[:count], x[count:], config, experiment.seed).to(device)

    def validate() -> float:
        return choosing_ndcg(experiment, *model.vectors())

    return train_tables("vbpr", model, config, experiment, validate, checkpoint)
