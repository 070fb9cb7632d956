"""Base models with a table of users: their training by an objective, one negative a row, and their exported tables."""

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

from measure.scoring import to_unit
from measure.split import SELECT
from training.base.contract import Base, Contexts
from training.base.foldin import fit_fold_in
from training.base.lazy_adam import LazyAdam
from training.base.objective.bpr import Bpr
from training.base.objective.contract import Batch, Objective
from training.base.triples import Triples
from training.checkpoint import Optimiser, State, pack, unpack
from training.experiment import Experiment
from training.loop import Schedule, fit

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
        self._triples = Triples(experiment, device)
        weights = dict(model.named_parameters())
        tables = {name: weights.pop(name).detach() for name in ("users", *model.by_item)}
        rate, decay = config.learning_rate, config.weight_decay
        self._tables = LazyAdam(tables, rate, decay)
        self._optimisers: dict[str, Optimiser] = {"tables": self._tables}
        if weights:
            self._optimisers["layers"] = torch.optim.Adam(weights.values(), rate, weight_decay=decay, fused=True)

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        for batch in self._triples.batches(
            self._batch, rng, lambda sampler, users: self._objective.negatives(sampler, users, self._model, rng)
        ):
            self.step(*batch, rng)
        self._tables.settle()
        self._objective.epoch_ends()
        return len(self._triples)

    def step(self, users: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator) -> None:
        """Adam on the rows that a batch, or its objective, touches: to the model they are small tables."""
        also = self._objective.also_users
        looked_at = users if also is None else torch.cat([users, also])
        user_rows, own = torch.unique(looked_at, return_inverse=True)
        item_rows, pairs = torch.unique(torch.stack([positives, negatives]), return_inverse=True)
        rows = {"users": user_rows, **dict.fromkeys(self._model.by_item, item_rows)}
        taken = self._tables.take(rows)
        known = {name: self._model.get_buffer(name).index_select(0, item_rows) for name in self._model.constant_by_item}
        batch = Batch(
            self._model, taken | known, rows, users, positives, negatives, own[: len(users)], pairs[0], pairs[1], rng
        )
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
    cold = model.cold_vectors()
    return inner_product_base(name, users, items, experiment, constants=model.constants, cosine=cosine, cold=cold)


def inner_product_base(
    name: str,
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    experiment: Experiment,
    *,
    constants: int = 0,
    cosine: bool = False,
    cold: NDArray[np.float32] | None = None,
) -> Base:
    """A base of trained vectors, with a fold-in fitted to them; folded-in users get theirs from it.

    Args:
        name: of the model.
        users: (U, d), changed in the rows of folded-in users.
        items: (I, d).
        experiment: what they were trained on.
        constants: as in `Base`, like the two that follow.
        cosine: whether only directions count.
        cold: (C, d) or None.
    """
    varying = users.shape[1] - constants
    u, v = users[:, :varying], items[:, :varying]
    history = fit_fold_in(u, v, *experiment.train, np.flatnonzero(experiment.user_split == SELECT))
    new = np.flatnonzero(experiment.folded_in).tolist()
    u[new] = history.user_vectors([experiment.held_out.history(row) for row in new], v)
    contexts = Contexts(users, np.arange(len(users)), *experiment.train)
    return Base(name, users, users, items, contexts, history, constants, cosine=cosine, cold=cold)


def table(parameter: nn.Parameter) -> NDArray[np.float32]:
    """A table's values, on the CPU."""
    return parameter.detach().cpu().numpy()
