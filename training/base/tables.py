"""Base models with a table of users: their training (BPR, one negative a row) and their exported tables."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from measure.split import SELECT
from training.base.contract import Base, Contexts
from training.base.foldin import fit_fold_in
from training.checkpoint import State, pack, unpack
from training.experiment import Experiment
from training.loop import Schedule, fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


class TableConfig(Protocol):
    """The fields of a configuration that training such a model reads."""

    @property
    def learning_rate(self) -> float:
        """Of Adam."""
        ...

    @property
    def weight_decay(self) -> float:
        """L2, through Adam."""
        ...

    @property
    def batch(self) -> int:
        """Interaction rows in a step."""
        ...

    @property
    def schedule(self) -> Schedule:
        """How long."""
        ...


class TableModel(nn.Module, ABC):
    """User vectors (U, d) in a table; item vectors (I, d) whose inner products with them score or propose."""

    users: nn.Parameter
    items: nn.Parameter

    @abstractmethod
    def loss(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> Tensor:
        """The loss of (B,) user rows, positive and negative item rows; ``rng`` makes all random draws."""


class TableStage:
    """Trains such a model; one epoch visits every training positive once."""

    name = "base"

    def __init__(
        self, model: TableModel, config: TableConfig, experiment: Experiment, validate: Callable[[], float]
    ) -> None:
        device = model.users.device
        indptr, indices = experiment.train
        self._model, self._batch, self._validate = model, config.batch, validate
        self._users = torch.from_numpy(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))).to(device)
        self._items = torch.from_numpy(indices.astype(np.int64)).to(device)
        self._negatives = NegativeSampler(*experiment.no_negatives, len(experiment.dataset.items), device)
        self._adam = torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        order = torch.randperm(len(self._users), generator=rng, device=self._users.device)
        negatives = self._negatives.draw(self._users, rng)
        for rows in torch.split(order, self._batch):
            loss = self._model.loss(self._users[rows], self._items[rows], negatives[rows], rng)
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
        return len(order)

    def validate(self) -> float:
        """The number that selects the base: sampled N@10 on the validation positives."""
        return self._validate()

    def state(self) -> State:
        """Weights and optimiser."""
        return pack({"model": self._model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {"adam": self._adam})


def train_tables(
    name: str,
    model: TableModel,
    config: TableConfig,
    experiment: Experiment,
    validate: Callable[[], float],
    checkpoint: Path,
) -> Base:
    """Train to the best epoch, and leave the model frozen and on the CPU.

    Folded-in users take no part, their vector comes from their history as in serving.

    Returns:
        The base as an inner-product model.
    """
    stage = TableStage(model, config, experiment, validate)
    result = fit(stage, config.schedule, experiment.seed, checkpoint, model.users.device)
    log.info("base: validation N@10 %s", result)
    model.zero_grad()
    model.cpu().requires_grad_(False).eval()

    users, items = table(model.users).copy(), table(model.items)
    history = fit_fold_in(users, items, *experiment.train, np.flatnonzero(experiment.user_split == SELECT))
    new = np.flatnonzero(experiment.folded_in).tolist()
    users[new] = history.user_vectors([experiment.held_out.history(row) for row in new], items)
    contexts = Contexts(users, np.arange(len(users)), *experiment.train)
    return Base(name, users, users, items, contexts, history)


def table(parameter: nn.Parameter) -> NDArray[np.float32]:
    """A table's values, on the CPU."""
    return parameter.detach().cpu().numpy()
