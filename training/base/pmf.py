"""PMF as AFRL uses it: matrix factorisation without biases, trained by BPR.

Source: methods named PMF in Zhu et al., SIGIR 2024; the ranking loss is Rendle et al., UAI 2009 (one negative a row).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle.manifest import Size
from measure.scoring import to_unit
from training.base.contract import Base, softplus_loss
from training.base.objective.config import BprConfig, ObjectiveConfig
from training.base.objective.make import objective_of
from training.base.tables import TableModel, table, train_tables
from training.base.validation import choosing_ndcg
from training.experiment import Experiment
from training.loop import Schedule


class PmfConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["pmf"] = "pmf"
    dimensions: Size = 64
    """d."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 1024
    """Interaction rows in a step."""
    weight_decay: NonNegativeFloat = 1e-8
    """L2 on both tables, through Adam."""
    initial_deviation: PositiveFloat = 0.01
    objective: ObjectiveConfig = Field(default_factory=BprConfig)
    """What the tables are trained for."""
    schedule: Schedule = Field(default_factory=Schedule)


class Pmf(TableModel):
    """User and item tables; a score is their inner product."""

    def __init__(self, users: int, items: int, config: PmfConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.items = nn.Parameter(torch.empty(items, config.dimensions))
        with torch.no_grad():
            self.users.normal_(0, config.initial_deviation, generator=rng)
            self.items.normal_(0, config.initial_deviation, generator=rng)

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> Tensor:
        """BPR of (B,) rows."""
        difference = embedding(positives, self.items) - embedding(negatives, self.items)
        return softplus_loss((embedding(users, self.users) * difference).sum(-1))


def train_pmf(experiment: Experiment, config: PmfConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train the tables."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    model = Pmf(users, items, config, experiment.seed).to(device)
    objective = objective_of(experiment, config.objective, config.dimensions, device)

    def validate() -> float:
        of_items = table(model.items)
        return choosing_ndcg(experiment, table(model.users), to_unit(of_items) if objective.unit_length else of_items)

    return train_tables("pmf", model, config, experiment, validate, checkpoint, objective)
