"""Graphs of items that are alike in their features, one for each modality: as they are, or learned along.

Specified in docs/algorithms/mm-lattice.md. Source: Zhang et al., *Mining Latent Structures for Multimedia
Recommendation* (LATTICE), ACM MM 2021.

Letters: I items, C cold ones, n numbers of a modality, k neighbours, N all neighbours of an item, M modalities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, normalize

from training.data.modality import Modality

ROWS_AT_ONCE = 1024
"""Items that are compared with all others together."""


class Neighbours:
    """The nearest items of each item in one modality; cold items have neighbours and are nobody's."""

    def __init__(self, modality: Modality, items: int, most: int, device: torch.device) -> None:
        """Take the features; items without the modality have no neighbours.

        Args:
            modality: (I + C, n) features.
            items: I; only these are neighbours.
            most: k, fewer where fewer items have the modality; an item is the first of its own.
            device: where they are compared.
        """
        present = torch.from_numpy(modality.present).to(device)
        self._rows = torch.nonzero(present)[:, 0]
        self._known = self._rows[self._rows < items]
        self._most, self._all = min(most, len(self._known)), len(present)
        values = torch.from_numpy(modality.values).to(device)[self._rows]
        usual = values[: len(self._known)].mean(dim=0) if len(self._known) else 0
        self.features = values - usual
        """(n with the modality, n) features, less their mean over the items that are not cold."""

    def nearest(self, x: Tensor) -> Tensor:
        """Rows of the items that have the modality, (n, w) → (n, k) places there."""
        return nearest(x, len(self._known), self._most)

    def of_items(self, nearest: Tensor) -> Tensor:
        """(n, k) places → (I + C, k) item rows; 0 for items without the modality."""
        return torch.zeros(self._all, self._most, dtype=torch.long, device=nearest.device).index_copy(
            0, self._rows, self._rows[nearest]
        )

    def spread(self, weights: Tensor) -> Tensor:
        """(n, k) weights → (I + C, k); 0 for items without the modality."""
        return torch.zeros(self._all, self._most, device=weights.device).index_copy(0, self._rows, weights)


class FrozenItemGraph:
    """The mean over an item's modalities of the mean over its nearest items there (docs/algorithms/freedom.md F2)."""

    def __init__(self, modalities: Sequence[Modality], items: int, most: int, device: torch.device) -> None:
        """Find the neighbours, once.

        Args:
            modalities: M.
            items: I; only these are neighbours.
            most: k, fewer where fewer items have a modality.
            device: of the graph.
        """
        rows, weights, many = [], [], sum(each.present.astype(np.float32) for each in modalities)
        shares = torch.from_numpy(1 / np.maximum(many, 1)).to(device)[:, None]
        for each in modalities:
            neighbours = Neighbours(each, items, most, device)
            near = neighbours.nearest(neighbours.features)
            rows.append(neighbours.of_items(near))
            weights.append(shares * neighbours.spread(torch.full(near.shape, 1 / near.shape[1], device=device)))
        self.rows, self.weights = torch.cat(rows, 1), torch.cat(weights, 1)
        """(I + C, N) item rows, and their weights: 1 together, 0 for an item without any modality."""

    def heard(self, table: Tensor, steps: int, count: int) -> Tensor:
        """(count, d) what the first of the items hear of a table (I, d) so many steps along the graph."""
        items = len(table)
        for _ in range(steps - 1):
            table = sums(table, self.rows[:items], self.weights[:items])
        return sums(table, self.rows[:count], self.weights[:count])


class ItemGraph(nn.Module):
    """All modalities together: Σ_m a_m (λ A_m + (1 − λ) Ã_m), a = softmax of a trained vector (I2, I3)."""

    def __init__(
        self,
        modalities: tuple[Neighbours, ...],
        kept: float,
        mapped: int,
        rng: torch.Generator,
    ) -> None:
        """Begin.

        Args:
            modalities: M.
            kept: λ, the share of the graph of the features as they are.
            mapped: how many numbers the learned map makes of a modality's features.
            rng: of the first maps.
        """
        super().__init__()
        self._modalities, self._kept = modalities, kept
        self.shares = nn.Parameter(torch.zeros(len(modalities)))
        self.maps = nn.ParameterList()
        for each in modalities:
            bound = (6 / (each.features.shape[1] + mapped)) ** 0.5  # Glorot and Bengio, 2010
            first = torch.rand(each.features.shape[1], mapped, generator=rng)
            self.maps.append(nn.Parameter((bound * (2 * first - 1)).to(each.features.device)))
        self._frozen = [(near := each.nearest(each.features), weights_of(each.features, near)) for each in modalities]
        self._learned: list[Tensor] = []
        self.choose()

    def choose(self) -> None:
        """Find the neighbours anew by the features as they are mapped now; until then only weights change."""
        self._learned = [
            each.nearest(each.features @ map_) for each, map_ in zip(self._modalities, self.maps, strict=True)
        ]

    def neighbours(self) -> tuple[Tensor, Tensor]:
        """(I + C, N) item rows and their weights."""
        rows, weights = [], []
        shares = self.shares.softmax(0)
        parts = zip(self._modalities, self.maps, self._frozen, self._learned, shares, strict=True)
        for each, map_, (near, likeness), learned, share in parts:
            own = weights_of(each.features @ map_, learned)
            rows += [each.of_items(near), each.of_items(learned)]
            weights += [each.spread(share * self._kept * likeness), each.spread(share * (1 - self._kept) * own)]
        return torch.cat(rows, 1), torch.cat(weights, 1)


@torch.no_grad()
def nearest(x: Tensor, among: int, most: int) -> Tensor:
    """Choose neighbours by the cosine: (n, w) → (n, k) row numbers, each below ``among``."""
    unit = normalize(x)
    others = unit[:among].T
    return torch.cat([(part @ others).topk(most, dim=1).indices for part in torch.split(unit, ROWS_AT_ONCE)])


def weights_of(x: Tensor, nearest: Tensor) -> Tensor:
    """Cosines of chosen neighbours (n, k), none below 0, over √(sum of the row's · sum of the neighbour's) (I1)."""
    unit = normalize(x)
    others = embedding(nearest.flatten(), unit).view(*nearest.shape, -1)
    likeness = (unit[:, None] * others).sum(-1).clamp(min=0)
    totals = likeness.sum(1, keepdim=True)
    scale = torch.where(totals > 0, totals, 1).rsqrt()
    return likeness * scale * embedding(nearest, scale)[..., 0]


def sums(table: Tensor, neighbours: Tensor, weights: Tensor) -> Tensor:
    """(I, d) vectors → the weighted sum of each item's neighbours, for as many items as there are rows of them."""
    return embedding_bag(neighbours, table, mode="sum", per_sample_weights=weights)
