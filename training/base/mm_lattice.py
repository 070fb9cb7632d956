"""LATTICE (`mm_lattice`, to keep it apart from our encoder): LightGCN beside learned graphs of items that are alike.

Specified in docs/algorithms/mm-lattice.md. Source: Zhang et al., ACM MM 2021.

Letters: U users, I items, C cold ones, d dimensions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.functional import normalize

from bundle.manifest import Size
from training.base.contract import Base
from training.base.item_graph import ItemGraph, Neighbours, sums
from training.base.lightgcn import Graph, GraphConfig, Lightgcn, train_graph
from training.experiment import Experiment


class MmLatticeConfig(GraphConfig):
    """Hyper-parameters of the base model. Read once, never changed."""

    model: Literal["mm_lattice"] = "mm_lattice"
    item_layers: int = Field(default=1, ge=1, le=4)
    """How many steps along the graph of items a vector hears of."""
    neighbours: PositiveInt = 10
    """k, in each modality; an item is one of its own."""
    kept: float = Field(default=0.9, ge=0, le=1)
    """λ: the share of the graph of features as they are; the rest is learned."""
    feature_dimensions: Size = 64
    """Numbers that the learned map makes of a modality."""


class MmLattice(Lightgcn):
    """Users as in LightGCN; items with the direction of their neighbours' vectors added (L1, L2)."""

    def __init__(
        self, graph: Graph, of_items: ItemGraph, users: int, items: int, config: MmLatticeConfig, seed: int
    ) -> None:
        super().__init__(graph, users, items, config, seed)
        self.of_items, self._steps = of_items, config.item_layers

    def epoch_begins(self, rng: torch.Generator) -> None:
        """Choose neighbours by the features as they are mapped now."""
        self.of_items.choose()

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""
        users, items = super().propagated()
        neighbours, weights = self.of_items.neighbours()
        alike = self._alike(neighbours[: len(items)], weights[: len(items)])
        return users, items + normalize(sums(alike, neighbours[: len(items)], weights[: len(items)]))

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(U, d) and (I, d) vectors, on the CPU, with the neighbours of the weights as they are."""
        self.of_items.choose()
        return super().vectors()

    @torch.no_grad()
    def cold_vectors(self) -> NDArray[np.float32]:
        """(C, d): the weighted mean of the neighbours' LightGCN vectors, and the direction of their own (L3)."""
        _, items = super().propagated()
        neighbours, weights = self.of_items.neighbours()
        alike = self._alike(neighbours[: len(items)], weights[: len(items)])
        near, share = neighbours[len(items) :], weights[len(items) :]
        totals = share.sum(1, keepdim=True)
        usual = sums(items, near, share / torch.where(totals > 0, totals, 1))
        return (usual + normalize(sums(alike, near, share))).cpu().numpy()

    def _alike(self, neighbours: Tensor, weights: Tensor) -> Tensor:
        """Trained item vectors, all steps but the last along the graph of items."""
        found: Tensor = self.items
        for _ in range(self._steps - 1):
            found = sums(found, neighbours, weights)
        return found


def train_mm_lattice(experiment: Experiment, config: MmLatticeConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train to the best epoch; propagated vectors are exported, those of cold items among them."""
    dataset = experiment.dataset
    users, items = len(dataset.users), len(dataset.items)
    near = tuple(Neighbours(each, items, config.neighbours, device) for each in dataset.modalities)
    rng = torch.Generator().manual_seed(experiment.seed)
    of_items = ItemGraph(near, config.kept, config.feature_dimensions, rng).to(device)
    graph = Graph(experiment.train, items, config.layers, device)
    model = MmLattice(graph, of_items, users, items, config, experiment.seed)
    return train_graph("mm_lattice", model, config, experiment, checkpoint, device)
