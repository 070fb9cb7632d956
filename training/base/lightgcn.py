"""LightGCN: vectors are means over the neighbourhoods of the graph of interactions, trained by BPR.

Specified in docs/algorithms/lightgcn.md. Source: He et al., SIGIR 2020.

Letters: U users, I items, E training positives, d dimensions, K layers.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle.manifest import Size
from training.base.contract import Base, softplus_loss
from training.base.sparse import bag_sums, bags, interactions
from training.base.tables import inner_product_base
from training.base.triples import Triples
from training.base.validation import choosing_ndcg
from training.checkpoint import State, pack, unpack
from training.data.split import Csr
from training.experiment import Experiment
from training.loop import Schedule, fit

log = logging.getLogger(__name__)


class GraphConfig(BaseModel):
    """Hyper-parameters of every base that propagates along the graph of interactions. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: Size = 64
    """d."""
    layers: int = Field(default=2, ge=1, le=8)
    """K: how many steps along the graph a vector hears of."""
    steps: PositiveInt = 64
    """Steps of an epoch. Each goes over the whole graph, so a fixed number keeps the cost of an epoch linear in the
    interactions."""
    learning_rate: PositiveFloat = 5e-3
    weight_decay: NonNegativeFloat = 1e-6
    """L2 on both tables, through Adam."""
    initial_deviation: PositiveFloat = 0.1
    schedule: Schedule = Field(default_factory=Schedule)


class LightgcnConfig(GraphConfig):
    """LightGCN itself."""

    model: Literal["lightgcn"] = "lightgcn"


class Graph:
    """Users and items joined by training positives, an edge weighing 1 / √(degree of its user · degree of its item)."""

    def __init__(self, positives: Csr, items: int, layers: int, device: torch.device) -> None:
        """Take it.

        Args:
            positives: of U users, as CSR.
            items: I.
            layers: K.
            device: where the products are made.
        """
        indptr, indices = positives
        by_user = interactions(positives, items)
        degrees = [np.maximum(np.asarray(by_user.sum(axis)).ravel(), 1) for axis in (1, 0)]
        by_user.data = (1 / np.sqrt(np.repeat(degrees[0], np.diff(indptr)) * degrees[1][indices])).astype(np.float32)
        self._layers = layers
        self._of_users, self._of_items = (bags(each, device) for each in (by_user, by_user.T.tocsr()))

    def __call__(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Give what `propagated` does, with its gradient."""
        found: tuple[Tensor, Tensor] = _Propagation.apply(self, users, items)  # type: ignore[no-untyped-call]
        return found

    def propagated(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the layers 0 … K: (U, d) and (I, d) → the same; linear, and its own transpose."""
        totals = users.clone(), items.clone()
        for _ in range(self._layers):
            users, items = bag_sums(items, self._of_users), bag_sums(users, self._of_items)
            totals[0].add_(users)
            totals[1].add_(items)
        return totals[0] / (1 + self._layers), totals[1] / (1 + self._layers)


class _Propagation(torch.autograd.Function):
    """`Graph.propagated` with its gradient: no layer between is kept."""

    @staticmethod
    def forward(ctx: Any, graph: Graph, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        ctx.graph = graph
        return graph.propagated(users, items)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        return (None, *ctx.graph.propagated(*gradients))


class GraphModel(nn.Module, ABC):
    """User and item vectors that come of a graph of interactions; a score is their inner product."""

    users: nn.Parameter
    """A table with a row for each user."""

    def epoch_begins(self, rng: torch.Generator) -> None:
        """Do what is done once an epoch: nothing, where a model has no more to say."""

    @abstractmethod
    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """BPR of (B,) rows."""
        u, v = self.propagated()
        difference = embedding(positives, v) - embedding(negatives, v)
        return softplus_loss((embedding(users, u) * difference).sum(-1))

    @torch.no_grad()
    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d) vectors, on the CPU."""
        users, items = self.propagated()
        return users.cpu().numpy(), items.cpu().numpy()

    def cold_vectors(self) -> NDArray[np.float32] | None:
        """(C, d) vectors of cold items, where the model makes them itself; asked for after ``vectors``."""
        return None


def drawn(rows: int, config: GraphConfig, rng: torch.Generator) -> nn.Parameter:
    """(rows, d) normal numbers of the configured deviation."""
    return nn.Parameter(torch.empty(rows, config.dimensions).normal_(0, config.initial_deviation, generator=rng))


class Lightgcn(GraphModel):
    """Two tables, and what the graph makes of them."""

    def __init__(self, graph: Graph, users: int, items: int, config: GraphConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self._graph = graph
        self.users, self.items = drawn(users, config, rng), drawn(items, config, rng)

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""
        return self._graph(self.users, self.items)


class LightgcnStage:
    """Trains such a model; one epoch visits every training positive once, in `steps` batches."""

    name = "base"

    def __init__(self, model: GraphModel, config: GraphConfig, experiment: Experiment) -> None:
        self._model, self._experiment = model, experiment
        self._triples = Triples(experiment, model.users.device)
        self._batch = max(1, -(-len(self._triples) // config.steps))
        self._adam = torch.optim.Adam(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the positives in random order, a fresh negative for each."""
        self._model.epoch_begins(rng)
        for batch in self._triples.batches(self._batch, rng):
            loss = self._model(*batch)
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
        return len(self._triples)

    def validate(self) -> float:
        """The number that selects the base, as for every model of tables."""
        return choosing_ndcg(self._experiment, *self._model.vectors())

    def state(self) -> State:
        """Tables and optimiser."""
        return pack({"model": self._model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self._model}, {"adam": self._adam})


def train_graph(
    name: str, model: GraphModel, config: GraphConfig, experiment: Experiment, checkpoint: Path, device: torch.device
) -> Base:
    """Train to the best epoch; the propagated vectors are what is served, so a user's is a row like any other's."""
    stage = LightgcnStage(model.to(device), config, experiment)
    result = fit(stage, config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s" if experiment.held_out.shares is None else "base: validation %s", result)
    users, items = model.vectors()
    cold = model.cold_vectors() if experiment.dataset.cold.ids else None
    return inner_product_base(name, users, items, experiment, cold=cold)


def train_lightgcn(experiment: Experiment, config: LightgcnConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train the two tables."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    graph = Graph(experiment.train, items, config.layers, device)
    model = Lightgcn(graph, users, items, config, experiment.seed)
    return train_graph("lightgcn", model, config, experiment, checkpoint, device)
