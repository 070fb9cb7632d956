"""MMGCN: a graph network of its own for each modality, held together by id vectors.

Specified in docs/algorithms/mmgcn.md. Source: Wei et al., *MMGCN: Multi-modal Graph Convolution Network for
Personalized Recommendation of Micro-video*, ACM MM 2019, its element-wise combination.

Letters: U users, I items, M modalities, K layers, w numbers of a mapped modality, d dimensions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from bundle.manifest import Size
from training.base.contract import Base
from training.base.lightgcn import GraphConfig, GraphModel, drawn, train_graph
from training.base.modal_inputs import ModalInputs, modal_inputs
from training.base.sparse import Product, interactions
from training.data.split import Csr
from training.experiment import Experiment


class MmgcnConfig(GraphConfig):
    """Hyper-parameters of the base model. Read once, never changed."""

    model: Literal["mmgcn"] = "mmgcn"
    feature_dimensions: Size = 64
    """w: numbers that the learned map makes of a modality, and that a user has there."""


class Means:
    """The mean over a user's items, and over an item's users; zeros where there are none."""

    def __init__(self, positives: Csr, items: int, device: torch.device) -> None:
        """Take the positives of U users, as CSR, and I."""
        by_user = interactions(positives, items)
        self._of_users, self._of_items = (Product(_means(each), device) for each in (by_user, by_user.T.tocsr()))

    def __call__(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """(U, n) and (I, n) → what users hear of items and items of users, the same shapes."""
        return self._of_users(items), self._of_items(users)


class Layer(nn.Module):
    """One step of one modality: what is heard, beside what one is (M2, M3)."""

    def __init__(self, before: int, dimensions: int, rng: torch.Generator) -> None:
        super().__init__()
        self.neighbours = nn.Linear(before, before, bias=False)
        self.own, self.heard = nn.Linear(before, dimensions), nn.Linear(before, dimensions)
        for layer in (self.neighbours, self.own, self.heard):
            _begin(layer, rng)

    def forward(self, own: Tensor, means: Tensor, ids: Tensor) -> Tensor:
        """Own vectors and means over neighbours (n, before), ids (n, d) → (n, d)."""
        heard = leaky_relu(self.neighbours(means))
        return leaky_relu(self.heard(heard) + leaky_relu(self.own(own)) + ids)


class Mmgcn(GraphModel):
    """Two tables of id vectors, and for each modality a table of users, a map of features and K layers (M1)."""

    def __init__(self, means: Means, inputs: ModalInputs, users: int, config: MmgcnConfig, seed: int) -> None:
        """Begin at random.

        Args:
            means: of interactions.
            inputs: features of M modalities, without cold items.
            users: U.
            config: sizes.
            seed: of the first values.
        """
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self._means, self._inputs = means, inputs
        self.users, self.items = drawn(users, config, rng), drawn(len(inputs.present), config, rng)
        self.tastes, self.maps, self.layers = nn.ParameterList(), nn.ModuleList(), nn.ModuleList()
        self._of_modality: list[list[Layer]] = []
        widths = [config.feature_dimensions, *[config.dimensions] * config.layers]
        for features in inputs.features:
            self.tastes.append(nn.init.xavier_normal_(torch.empty(users, widths[0]), generator=rng))
            self.maps.append(_begin(nn.Linear(features.shape[1], widths[0]), rng))
            self._of_modality.append([Layer(before, config.dimensions, rng) for before in widths[:-1]])
            self.layers.extend(self._of_modality[-1])

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(U, d) and (I, d) vectors: means over the modalities (M4)."""
        totals: tuple[list[Tensor], list[Tensor]] = [], []
        for place, features in enumerate(self._inputs.features):
            users, items = normalize(self.tastes[place]), normalize(self.maps[place](features))
            items = items * self._inputs.present[:, place, None]
            for layer in self._of_modality[place]:
                to_users, to_items = self._means(users, items)
                users, items = layer(users, to_users, self.users), layer(items, to_items, self.items)
            totals[0].append(users)
            totals[1].append(items)
        return torch.stack(totals[0]).mean(0), torch.stack(totals[1]).mean(0)


def _means(matrix: csr_matrix) -> csr_matrix:
    """Divide every row by how many it has."""
    return csr_matrix(diags(1 / np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)) @ matrix)


def _begin(layer: nn.Linear, rng: torch.Generator) -> nn.Linear:
    """Glorot's uniform draw; biases 0."""
    nn.init.xavier_uniform_(layer.weight, generator=rng)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def train_mmgcn(experiment: Experiment, config: MmgcnConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train to the best epoch; propagated vectors are exported, those of cold items among them."""
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    inputs = modal_inputs(experiment, device).of_items()
    means = Means(experiment.train, items, device)
    model = Mmgcn(means, inputs, users, config, experiment.seed)
    return train_graph("mmgcn", model, config, experiment, checkpoint, device)
