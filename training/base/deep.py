"""DeepModel as AFRL uses it: a perceptron over user ⊕ item vector, trained by BPR, and tables that propose items.

Its score is no inner product, so a second item table w is trained along: u·w, over the same user table, proposes the
candidates that the perceptron then orders.

Source: the model named DeepModel in Zhu et al., SIGIR 2024; the candidate table is ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle import ExactReranker, MlpReranker, Reranker
from bundle.limits import LARGEST_SIZE
from training.base.contract import Base, softplus_loss
from training.base.tables import TableModel, table, train_tables
from training.base.validation import validation_ndcg
from training.experiment import Experiment
from training.loop import Schedule


class DeepConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["deep"] = "deep"
    dimensions: int = Field(default=64, ge=4, le=LARGEST_SIZE)
    """d; the layers are 2d → d → d/2 → d/4 → 1."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Before every layer but the last, in training."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 1024
    """Interaction rows in a step."""
    weight_decay: NonNegativeFloat = 1e-8
    """L2 on tables and layers, through Adam."""
    initial_deviation: PositiveFloat = 0.01
    """Of the tables."""
    candidates: PositiveInt = 200
    """How many items the inner product proposes to the perceptron in serving."""
    schedule: Schedule = Field(default_factory=Schedule)

    @property
    def layers(self) -> list[int]:
        """Widths, input first."""
        d = self.dimensions
        return [2 * d, d, d // 2, d // 4, 1]


class Deep(TableModel):
    """A user table, the perceptron with its item table, and the item table of the candidates."""

    by_item = ("items", "reranker.items")

    def __init__(self, users: int, items: int, config: DeepConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        spec = Reranker(kind="mlp", sizes={"layers": config.layers}, candidates=config.candidates)
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.items = nn.Parameter(torch.empty(items, config.dimensions))
        self._dropout = config.dropout
        self.reranker = MlpReranker(spec, config.dimensions, items)
        with torch.no_grad():
            for table in (self.users, self.items, self.reranker.items):
                table.normal_(0, config.initial_deviation, generator=rng)
            for name, parameter in self.reranker.layers.named_parameters():
                if name.endswith("weight"):
                    bound = (3 / parameter.shape[1]) ** 0.5  # kaiming_uniform with the reference's gain of 1
                    parameter.uniform_(-bound, bound, generator=rng)
                else:
                    parameter.zero_()

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> Tensor:
        """BPR of (B,) rows, twice: of the perceptron's scores, and of the inner products that propose to it."""
        u, pairs = embedding(users, self.users), torch.stack([positives, negatives], dim=1)
        own = self.reranker(u, pairs, lambda x: self._drop(x, rng))
        proposed = (u[:, None] * embedding(pairs, self.items)).sum(-1)
        return softplus_loss(own[:, 0] - own[:, 1]) + softplus_loss(proposed[:, 0] - proposed[:, 1])

    def _drop(self, x: Tensor, rng: torch.Generator) -> Tensor:
        kept = torch.rand(x.shape, generator=rng, device=x.device) >= self._dropout
        return x * kept / (1 - self._dropout)


def train_deep(experiment: Experiment, config: DeepConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train tables and layers."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    model = Deep(users, items, config, experiment.seed).to(device)

    def validate() -> float:
        return validation_ndcg(experiment, table(model.users), table(model.items), ExactReranker(model.reranker))

    base = train_tables("deep", model, config, experiment, validate, checkpoint)
    return replace(base, reranker=model.reranker)
