"""DRAGON: features propagated along the graph of interactions, then along one of items alike and one of users alike.

Specified in docs/algorithms/dragon.md. Source: Zhou et al., *Enhancing Dyadic Relations with Homogeneous Graphs for
Multimodal Recommendation*, ECAI 2023, with the authors' code where the paper leaves a number open.

Letters: U users, I items, C cold ones, M modalities, k neighbours, d dimensions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn.functional import normalize

from bundle.manifest import Size
from training.base.contract import Base
from training.base.item_graph import FrozenItemGraph, sums
from training.base.lightgcn import Graph, GraphConfig, GraphModel, drawn, train_graph
from training.base.modal_inputs import ModalInputs, modal_inputs
from training.base.sparse import Product, interactions
from training.data.split import Csr
from training.experiment import Experiment

PAIRS_AT_ONCE = 20_000_000
"""Pairs of interactions with one item that are counted together: what this takes of memory is bounded."""


class DragonConfig(GraphConfig):
    """Hyper-parameters of the base model. Read once, never changed."""

    model: Literal["dragon"] = "dragon"
    item_layers: int = Field(default=1, ge=1, le=4)
    """How many steps along the graph of items a vector hears of."""
    neighbours: PositiveInt = 10
    """Of an item, in each modality; an item is one of its own."""
    user_neighbours: PositiveInt = 40
    """Of a user: those with the most items in common."""
    hidden: Size = 256
    """Width of the layer between a modality's features and what is propagated of them."""


class Dragon(GraphModel):
    """Each modality has its part of the d numbers; none is an item's own but what its features and users say (D4)."""

    def __init__(
        self,
        graph: Graph,
        of_items: FrozenItemGraph,
        of_users: Product,
        inputs: ModalInputs,
        users: int,
        config: DragonConfig,
        seed: int,
    ) -> None:
        """Begin at random.

        Args:
            graph: of interactions.
            of_items: of items that are alike.
            of_users: (U, U), of users with items in common.
            inputs: features of M modalities.
            users: U.
            config: sizes.
            seed: of the first values.
        """
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self._graph, self._of_items, self._of_users, self._inputs = graph, of_items, of_users, inputs
        self._config, many = config, len(inputs.features)
        self._widths = [len(part) for part in np.array_split(np.arange(config.dimensions), many)]
        self.users = drawn(users, config, rng)
        self.attention = nn.Parameter(torch.zeros(users, many))
        self.maps = nn.ModuleList()
        for features, width in zip(inputs.features, self._widths, strict=True):
            first, last = nn.Linear(features.shape[1], config.hidden), nn.Linear(config.hidden, width)
            for layer in (first, last):
                nn.init.xavier_uniform_(layer.weight, generator=rng)
                nn.init.zeros_(layer.bias)
            self.maps.append(nn.Sequential(first, nn.LeakyReLU(), last))

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors."""
        users, items = self._along_interactions(self._directions()[: self._inputs.items])
        shares = self.attention.softmax(1) * len(self._widths)
        parts = torch.split(users, self._widths, dim=1)
        users = torch.cat([part * shares[:, place, None] for place, part in enumerate(parts)], 1)
        alike = self._of_items.heard(items, self._config.item_layers, len(items))
        return users + self._of_users(users), items + alike

    @torch.no_grad()
    def cold_vectors(self) -> NDArray[np.float32]:
        """(C, d): its own features, what its neighbours hear of users, and its neighbours (D6)."""
        directions, count = self._directions(), self._inputs.items
        _, items = self._along_interactions(directions[:count])
        rows, weights = self._of_items.rows[count:], self._of_items.weights[count:]
        own = directions[count:] + sums(items - directions[:count], rows, weights)
        alike = self._of_items.heard(items, self._config.item_layers, len(directions))
        return (own + alike[count:]).cpu().numpy()

    def _directions(self) -> Tensor:
        """(I + C, d) of each modality a direction, zeros where an item lacks it (D2)."""
        mapped = (map_(x) for map_, x in zip(self.maps, self._inputs.features, strict=True))
        return torch.cat([normalize(x) * self._inputs.present[:, place, None] for place, x in enumerate(mapped)], 1)

    def _along_interactions(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) sums of all layers, of the directions of items (I, d) (D3)."""
        own = torch.cat([normalize(part) for part in torch.split(self.users, self._widths, dim=1)], 1)
        users, items = self._graph(own, directions)
        layers = 1 + self._config.layers
        return layers * users, layers * items


def users_alike(positives: Csr, items: int, most: int) -> csr_matrix:
    """(U, U): of each user those with the most items in common, weighing their shares of the counts (D5).

    Args:
        positives: of U users, as CSR.
        items: I.
        most: how many of each, fewer where fewer have an item in common; of equal ones those first in the data.
    """
    by_user = interactions(positives, items)
    count, by_item = by_user.shape[0], by_user.T.tocsr()
    pairs = np.cumsum(by_user @ np.diff(by_item.indptr))
    parts = np.split(np.arange(count), np.flatnonzero(np.diff(pairs // PAIRS_AT_ONCE)) + 1)
    chosen, weights, indptr = [], [], [0]
    for rows in parts:
        common = (by_user[rows] @ by_item).tocsr()
        for row, begin, end in zip(rows, common.indptr, common.indptr[1:], strict=False):
            others, shared = common.indices[begin:end].astype(np.int64), common.data[begin:end].astype(np.int64)
            others, shared = others[others != row], shared[others != row]
            keys = others - shared * count
            order = np.argpartition(keys, most)[:most] if len(keys) > most else np.arange(len(keys))
            chosen.append(others[order])
            weights.append(shared[order] / max(shared[order].sum(), 1))
            indptr.append(indptr[-1] + len(order))
    numbers = np.concatenate(weights).astype(np.float32), np.concatenate(chosen), indptr
    return csr_matrix(numbers, (count, count))


def train_dragon(experiment: Experiment, config: DragonConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train to the best epoch; propagated vectors are exported, those of cold items among them."""
    train, users, items = experiment.train, len(experiment.dataset.users), len(experiment.dataset.items)
    inputs = modal_inputs(experiment, device)
    graph = Graph(train, items, config.layers, device)
    of_items = FrozenItemGraph(inputs.modalities, items, config.neighbours, device)
    of_users = Product(users_alike(train, items, config.user_neighbours), device)
    model = Dragon(graph, of_items, of_users, inputs, users, config, experiment.seed)
    return train_graph("dragon", model, config, experiment, checkpoint, device)
