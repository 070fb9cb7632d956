"""PMF as AFRL uses it: matrix factorisation without biases, trained by BPR.

Source: methods named PMF in Zhu et al., SIGIR 2024; the ranking loss is Rendle et al., UAI 2009 (one negative a row).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import nn

from training.base.contract import Base, Contexts, softplus_loss
from training.base.foldin import fit_fold_in
from training.base.validation import validation_ndcg
from training.checkpoint import State, pack, unpack
from training.data.split import SELECT
from training.experiment import Experiment
from training.loop import Schedule, fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


class PmfConfig(BaseModel):
    """Hyper-parameters of the base model. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["pmf"] = "pmf"
    dimensions: PositiveInt = 64
    """d."""
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 1024
    """Interaction rows in a step."""
    weight_decay: NonNegativeFloat = 1e-8
    """L2 on both tables, through Adam."""
    initial_deviation: PositiveFloat = 0.01
    schedule: Schedule = Field(default_factory=Schedule)


class Pmf(nn.Module):
    """User and item tables; a score is their inner product."""

    def __init__(self, users: int, items: int, config: PmfConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.items = nn.Parameter(torch.empty(items, config.dimensions))
        with torch.no_grad():
            self.users.normal_(0, config.initial_deviation, generator=rng)
            self.items.normal_(0, config.initial_deviation, generator=rng)


class PmfStage:
    """Trains a PMF; one epoch visits every training positive once."""

    name = "base"

    def __init__(
        self,
        model: Pmf,
        config: PmfConfig,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        negatives: NegativeSampler,
        validate: Callable[[NDArray[np.float32], NDArray[np.float32]], float],
    ) -> None:
        device = model.users.device
        self._model = model
        self._batch = config.batch
        self._users = torch.from_numpy(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))).to(device)
        self._items = torch.from_numpy(indices.astype(np.int64)).to(device)
        self._negatives = negatives
        self._validate = validate
        self._adam = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        order = torch.randperm(len(self._users), generator=rng, device=self._users.device)
        negatives = self._negatives.draw(self._users, rng)
        for rows in torch.split(order, self._batch):
            u = self._model.users[self._users[rows]]
            difference = self._model.items[self._items[rows]] - self._model.items[negatives[rows]]
            loss = softplus_loss((u * difference).sum(-1))
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
        return len(order)

    def validate(self) -> float:
        """Whatever the run selects the base by: sampled N@10 on the validation positives."""
        return self._validate(self._model.users.detach().cpu().numpy(), self._model.items.detach().cpu().numpy())

    def state(self) -> State:
        """Tables and optimiser."""
        return pack({"model": self._model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {"adam": self._adam})


def train_pmf(experiment: Experiment, config: PmfConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train the tables; folded-in users take no part, their vector comes from their history as it would in serving."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    model = Pmf(users, items, config, experiment.seed).to(device)
    sampler = NegativeSampler(*experiment.no_negatives, items, device)
    stage = PmfStage(model, config, *experiment.train, sampler, partial(validation_ndcg, experiment))
    result = fit(stage, config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s", result)

    user_vectors, item_vectors = model.users.detach().cpu().numpy().copy(), model.items.detach().cpu().numpy()
    select = np.flatnonzero(experiment.user_split == SELECT)
    history = fit_fold_in(user_vectors, item_vectors, *experiment.train, select)
    new = np.flatnonzero(experiment.folded_in).tolist()
    user_vectors[new] = history.user_vectors([experiment.held_out.history(row) for row in new], item_vectors)
    contexts = Contexts(user_vectors, np.arange(users), *experiment.train)
    return Base("pmf", user_vectors, user_vectors, item_vectors, contexts, history)
