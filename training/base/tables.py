"""Base models with a table of users: their training by an objective, one negative a row, and their exported tables."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from measure.scoring import to_unit
from measure.split import SELECT
from training.base.contract import Base, Contexts
from training.base.foldin import fit_fold_in
from training.base.lazy_adam import LazyAdam
from training.base.objective.bpr import Bpr
from training.base.objective.contract import Batch, Objective
from training.checkpoint import Optimiser, State, pack, unpack
from training.experiment import Experiment
from training.loop import Schedule, fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)

BATCHES = 64
"""How many are made ready at once: few calls, and little memory."""


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
    """User vectors (U, d) in a table; item vectors (I, d) whose inner products with them score or propose.

    A call gives the loss. It reads tables by `embedding` alone, so that rows of a batch can stand for a table.
    """

    users: nn.Parameter
    items: nn.Parameter
    by_item: tuple[str, ...] = ("items",)
    """Names of all tables with a row for each item."""
    constant_by_item: tuple[str, ...] = ()
    """Names of buffers with a row for each item: what is known of it, and not trained."""
    constants: int = 0
    """How many dimensions of exported users, the last ones, are 1 for everybody: items have biases there."""

    @abstractmethod
    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> Tensor:
        """The loss of (B,) user rows, positive and negative item rows; ``rng`` makes all random draws."""

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d) vectors whose inner products are the scores, on the CPU."""
        return table(self.users), table(self.items)

    def cold_vectors(self) -> NDArray[np.float32] | None:
        """(C, d) vectors of cold items, where the model makes them itself."""
        return None


class TableStage:
    """Trains such a model; one epoch visits every training positive once."""

    name = "base"

    def __init__(
        self,
        model: TableModel,
        config: TableConfig,
        experiment: Experiment,
        validate: Callable[[], float],
        objective: Objective | None = None,
    ) -> None:
        device = model.users.device
        self._objective = objective or Bpr()
        self._model, self._batch, self._validate = model, config.batch, validate
        self._indptr, self._items = (torch.from_numpy(part).to(device) for part in experiment.train)
        self._negatives = NegativeSampler(*experiment.no_negatives, len(experiment.dataset.items), device)
        weights = dict(model.named_parameters())
        tables = {name: weights.pop(name).detach() for name in ("users", *model.by_item)}
        rate, decay = config.learning_rate, config.weight_decay
        self._tables = LazyAdam(tables, rate, decay)
        self._optimisers: dict[str, Optimiser] = {"tables": self._tables}
        if weights:
            self._optimisers["layers"] = torch.optim.Adam(weights.values(), rate, weight_decay=decay, fused=True)

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        for batch in self.batches(rng):
            self.step(*batch, rng)
        self._tables.settle()
        self._objective.epoch_ends()
        return len(self._items)

    def batches(self, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """User rows, positive and negative item rows of an epoch, (B,) each."""
        count = len(self._items)
        numbers = torch.int32 if count <= torch.iinfo(torch.int32).max else torch.int64
        order = torch.randperm(count, generator=rng, device=self._items.device, dtype=numbers)
        for part in torch.split(order, BATCHES * self._batch):
            rows = part.long()
            users, positives = (
                torch.searchsorted(self._indptr, rows, right=True) - 1,
                self._items.gather(0, rows).long(),
            )
            negatives = self._objective.negatives(self._negatives, users, self._model, rng)
            yield from zip(*(torch.split(each, self._batch) for each in (users, positives, negatives)), strict=True)

    def step(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> None:
        """Adam on the rows that a batch touches: to the model they are small tables."""
        user_rows, own = torch.unique(users, return_inverse=True)
        item_rows, pairs = torch.unique(torch.stack([positives, negatives]), return_inverse=True)
        rows = {"users": user_rows, **dict.fromkeys(self._model.by_item, item_rows)}
        taken = self._tables.take(rows)
        known = {name: self._model.get_buffer(name).index_select(0, item_rows) for name in self._model.constant_by_item}
        batch = Batch(self._model, taken | known, rows, users, positives, negatives, own, pairs[0], pairs[1], rng)
        loss = self._objective.loss(batch)
        self._model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self._optimisers.values():
            optimiser.step()

    def validate(self) -> float:
        """The number that selects the base: sampled N@10 on the validation positives."""
        return self._validate()

    def state(self) -> State:
        """Weights and optimiser, and what the objective remembers."""
        return pack({"model": self._model}, {**self._optimisers, "objective": self._objective})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {**self._optimisers, "objective": self._objective})


def train_tables(
    name: str,
    model: TableModel,
    config: TableConfig,
    experiment: Experiment,
    validate: Callable[[], float],
    checkpoint: Path,
    objective: Objective | None = None,
) -> Base:
    """Train to the best epoch, and leave the model frozen and on the CPU.

    Folded-in users take no part, their vector comes from their history as in serving.

    Returns:
        The base as an inner-product model.
    """
    stage = TableStage(model, config, experiment, validate, objective)
    result = fit(stage, config.schedule, experiment.seed, checkpoint, model.users.device)
    log.info("base: validation N@10 %s" if experiment.held_out.shares is None else "base: validation %s", result)
    model.zero_grad()
    model.cpu().requires_grad_(False).eval()

    cosine = objective is not None and objective.unit_length
    users, items = ((to_unit if cosine else np.asarray)(each) for each in model.vectors())
    varying = users.shape[1] - model.constants
    u, v = users[:, :varying], items[:, :varying]
    history = fit_fold_in(u, v, *experiment.train, np.flatnonzero(experiment.user_split == SELECT))
    new = np.flatnonzero(experiment.folded_in).tolist()
    u[new] = history.user_vectors([experiment.held_out.history(row) for row in new], v)
    contexts = Contexts(users, np.arange(len(users)), *experiment.train)
    cold = model.cold_vectors()
    return Base(name, users, users, items, contexts, history, model.constants, cosine=cosine, cold=cold)


def table(parameter: nn.Parameter) -> NDArray[np.float32]:
    """A table's values, on the CPU."""
    return parameter.detach().cpu().numpy()
