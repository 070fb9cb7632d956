"""FREEDOM: LATTICE with a graph of items that stays as it is, and a graph of interactions that is thinned in training.

Specified in docs/algorithms/freedom.md. Source: Zhou and Shen, *A Tale of Two Graphs*, ACM MM 2023.

Letters: U users, I items, C cold ones, E training positives, n numbers of a modality, k neighbours, N all neighbours of
an item, M modalities, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from training.base.contract import Base
from training.base.item_graph import FrozenItemGraph, sums
from training.base.lightgcn import Graph, GraphConfig, Lightgcn, train_graph
from training.base.modal_inputs import modal_inputs
from training.data.split import Csr
from training.experiment import Experiment


class FreedomConfig(GraphConfig):
    """Hyper-parameters of the base model. Read once, never changed."""

    model: Literal["freedom"] = "freedom"
    item_layers: int = Field(default=1, ge=1, le=4)
    """How many steps along the graph of items a vector hears of."""
    neighbours: PositiveInt = 10
    """k, in each modality; an item is one of its own."""
    dropped: float = Field(default=0.8, ge=0, le=0.99)
    """ρ: the share of interactions that an epoch leaves out of its graph, those of the busy sooner."""
    feature_weight: NonNegativeFloat = 1e-3
    """λ: how much the ranking by mapped features alone counts, in each modality."""


class Thinned:
    """Draws graphs of some of the interactions, each with probability ∝ 1 / √(degree of user · degree of item) (F1)."""

    def __init__(self, positives: Csr, items: int, layers: int, dropped: float, device: torch.device) -> None:
        """Take the positives.

        Args:
            positives: of U users, as CSR.
            items: I.
            layers: of the graphs.
            dropped: ρ, the share of the E positives that is left out.
            device: of the graphs.
        """
        indptr, self._indices = positives
        counts = np.diff(indptr)
        self._users, self._owners = len(counts), np.repeat(np.arange(len(counts)), counts)
        degrees = counts[self._owners] * np.bincount(self._indices, minlength=items)[self._indices]
        self._rarity = torch.from_numpy(np.sqrt(degrees).astype(np.float32)).to(device)
        self._kept = max(1, round((1 - dropped) * len(self._indices)))
        self._items, self._layers, self._device = items, layers, device

    def draw(self, rng: torch.Generator) -> Graph:
        """One of them, its edges weighed by the degrees that are left.

        Source: weighted draws without replacement as a race of exponential clocks, Efraimidis and Spirakis, 2006.
        """
        clocks = torch.empty_like(self._rarity).exponential_(generator=rng) * self._rarity
        kept = clocks.topk(self._kept, largest=False, sorted=False).indices.cpu().numpy()
        kept.sort()
        counts = np.bincount(self._owners[kept], minlength=self._users)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Graph((indptr, self._indices[kept]), self._items, self._layers, self._device)


class Freedom(Lightgcn):
    """Users as in LightGCN; items with the vectors of what is like them added (F3)."""

    def __init__(
        self,
        whole: Graph,
        thinned: Thinned,
        of_items: FrozenItemGraph,
        features: Sequence[Tensor],
        present: Tensor,
        users: int,
        config: FreedomConfig,
        seed: int,
    ) -> None:
        """Begin at random.

        Args:
            whole: what is served propagates along it.
            thinned: draws what an epoch propagates along.
            of_items: of items that are alike.
            features: M of (I, n), in units of what is usual; anything finite where an item lacks the modality.
            present: (I, M) bool.
            users: U.
            config: sizes.
            seed: of the first values.
        """
        super().__init__(whole, users, len(present), config, seed)
        rng = torch.Generator().manual_seed(seed)
        self._whole, self._thinned, self._of_items, self._config = whole, thinned, of_items, config
        self._features, self._present = features, present
        self.maps = nn.ParameterList()
        for each in features:
            bound = (6 / (each.shape[1] + config.dimensions)) ** 0.5  # Glorot and Bengio, 2010
            self.maps.append(bound * (2 * torch.rand(each.shape[1], config.dimensions, generator=rng) - 1))

    def epoch_begins(self, rng: torch.Generator) -> None:
        """Draw the interactions that this epoch hears of."""
        self._graph = self._thinned.draw(rng)

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""
        users, items = super().propagated()
        return users, items + self._of_items.heard(self.items, self._config.item_layers, len(items))

    def forward(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """BPR of (B,) rows, and λ times that of each modality's mapped features, where both items have it (F4)."""
        u, v = self.propagated()
        mine = embedding(users, u)
        loss = softplus(-(mine * (embedding(positives, v) - embedding(negatives, v))).sum(-1)).mean()
        for place, (features, map_) in enumerate(zip(self._features, self.maps, strict=True)):
            both = self._present[positives, place] & self._present[negatives, place]
            difference = (features.index_select(0, positives) - features.index_select(0, negatives)) @ map_
            prices = softplus(-(mine * difference).sum(-1)) * both
            loss = loss + self._config.feature_weight * prices.sum() / both.sum().clamp(min=1)
        return loss

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d) vectors along all interactions, on the CPU."""
        self._graph = self._whole
        return super().vectors()

    @torch.no_grad()
    def cold_vectors(self) -> NDArray[np.float32]:
        """(C, d): the mean of the neighbours' LightGCN vectors, and what is like the item (F5)."""
        self._graph = self._whole
        _, items = super().propagated()
        count = len(items)
        usual = sums(items, self._of_items.rows[count:], self._of_items.weights[count:])
        alike = self._of_items.heard(self.items, self._config.item_layers, len(self._of_items.rows))
        return (usual + alike[count:]).cpu().numpy()


def train_freedom(experiment: Experiment, config: FreedomConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train to the best epoch; propagated vectors are exported, those of cold items among them."""
    train, users, items = experiment.train, len(experiment.dataset.users), len(experiment.dataset.items)
    inputs = modal_inputs(experiment, device)
    whole = Graph(train, items, config.layers, device)
    thinned = Thinned(train, items, config.layers, config.dropped, device)
    of_items = FrozenItemGraph(inputs.modalities, items, config.neighbours, device)
    known = inputs.of_items()
    model = Freedom(whole, thinned, of_items, known.features, known.present, users, config, experiment.seed)
    return train_graph("freedom", model, config, experiment, checkpoint, device)
