"""LightGCN: vectors are means over the neighbourhoods of the graph of interactions, trained by BPR.

Specified in docs/algorithms/lightgcn.md. Source: He et al., SIGIR 2020.

Letters: U users, I items, E training positives, d dimensions, K layers.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag

from bundle.manifest import Size
from training.base.contract import Base, softplus_loss
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
        ones = np.ones(len(indices), np.float32)
        by_user = csr_matrix((ones, indices, indptr), (len(indptr) - 1, items))
        degrees = [np.maximum(np.asarray(by_user.sum(axis)).ravel(), 1) for axis in (1, 0)]
        by_user.data = (1 / np.sqrt(np.repeat(degrees[0], np.diff(indptr)) * degrees[1][indices])).astype(np.float32)
        self._layers = layers
        self._of_users, self._of_items = (_bags(each, device) for each in (by_user, by_user.T.tocsr()))

    def propagated(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the layers 0 … K: (U, d) and (I, d) → the same; linear, and its own transpose."""
        totals = users.clone(), items.clone()
        for _ in range(self._layers):
            users, items = _sums(items, self._of_users), _sums(users, self._of_items)
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


class Lightgcn(nn.Module):
    """Two tables, and what the graph makes of them; a score is the inner product of what it makes."""

    def __init__(self, graph: Graph, users: int, items: int, config: GraphConfig, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self._graph = graph
        self.users = nn.Parameter(torch.empty(users, config.dimensions))
        self.items = nn.Parameter(torch.empty(items, config.dimensions))
        with torch.no_grad():
            self.users.normal_(0, config.initial_deviation, generator=rng)
            self.items.normal_(0, config.initial_deviation, generator=rng)

    def epoch_begins(self, rng: torch.Generator) -> None:
        """Do what is done once an epoch: nothing here."""

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""
        found: tuple[Tensor, Tensor] = _Propagation.apply(  # type: ignore[no-untyped-call]
            self._graph, self.users, self.items
        )
        return found

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """BPR of (B,) rows."""
        u, v = self.propagated()
        difference = embedding(positives, v) - embedding(negatives, v)
        return softplus_loss((embedding(users, u) * difference).sum(-1))

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d) vectors, on the CPU."""
        with torch.no_grad():
            users, items = self.propagated()
        return users.cpu().numpy(), items.cpu().numpy()


class LightgcnStage:
    """Trains it; one epoch visits every training positive once, in `steps` batches."""

    name = "base"

    def __init__(self, model: Lightgcn, config: GraphConfig, experiment: Experiment) -> None:
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


def train_lightgcn(experiment: Experiment, config: LightgcnConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train to the best epoch; the propagated vectors are what is served, so a user's is a row like any other's."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    graph = Graph(experiment.train, items, config.layers, device)
    model = Lightgcn(graph, users, items, config, experiment.seed).to(device)
    result = fit(LightgcnStage(model, config, experiment), config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s" if experiment.held_out.shares is None else "base: validation %s", result)
    return inner_product_base("lightgcn", *model.vectors(), experiment)


def _bags(edges: csr_matrix, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours of every row, where each row begins, and the weights: as `embedding_bag` takes them."""
    numbers = (edges.indices.astype(np.int64), edges.indptr[:-1].astype(np.int64), edges.data)
    found = tuple(torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in numbers)
    return found[0], found[1], found[2]


def _sums(table: Tensor, bags: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The weighted sum of each row's neighbours: on a CPU a fifth of the time of torch's own sparse product (2.13)."""
    neighbours, begins, weights = bags
    return embedding_bag(neighbours, table, begins, mode="sum", per_sample_weights=weights)
