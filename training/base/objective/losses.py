"""Losses by group, and their mixture by weights.

Rows of no group (of users without an allowed label, of items outside the declared groups) are trained as ever: they
keep their share of the loss, at the mean of their own rows. Letters: B rows, G groups; group G is no group.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from torch import Tensor

log = logging.getLogger(__name__)

SMALLEST = 1e-5
"""No group's weight falls below: it could not come back."""


class GroupLosses(NamedTuple):
    """Means of rows by group, and how many rows there were."""

    mean: Tensor
    """(G + 1,), 0 where there is no row."""
    rows: Tensor
    """(G + 1,)."""

    @property
    def all_there(self) -> bool:
        """Whether every group has a row: only then are losses compared."""
        return bool((self.rows[:-1] > 0).all())

    def shares(self, weights: Tensor) -> Tensor:
        """(G + 1,) what each mean counts under (G,) weights that add up to 1; no group counts by its rows."""
        outside = self.rows[-1:] / self.rows.sum()
        return torch.cat([weights * (1 - outside), outside])


def by_group(losses: Tensor, groups: Tensor, count: int) -> GroupLosses:
    """Mean of (B,) losses by (B,) groups from 0 to ``count``, which is no group."""
    rows = torch.bincount(groups, minlength=count + 1)
    sums = losses.new_zeros(count + 1).index_add(0, groups, losses)
    return GroupLosses(sums / rows.clamp(min=1), rows)


class GroupWeights:
    """(G,) weights that add up to 1 and move by exponentiated gradients, only where every group can be compared."""

    def __init__(self, count: int, rate: float, device: torch.device) -> None:
        self._rate, self._count, self._device = rate, count, device
        self.begin()

    def begin(self) -> None:
        """Equal ones."""
        self.values = torch.full((self._count,), 1 / self._count, device=self._device)
        self._batches = self._moves = 0

    def may_move(self, found: GroupLosses) -> bool:
        """Whether every group has a row in this batch; else the last weights are used again."""
        may = found.all_there
        self._batches, self._moves = self._batches + 1, self._moves + may
        return may

    def move(self, gains: Tensor) -> None:
        """W exp(η c) / Σ by (G,) gains, and not below `SMALLEST`."""
        self.values = torch.softmax(self.values.log() + self._rate * gains, 0).clamp(min=SMALLEST)

    def epoch_ends(self) -> None:
        """Say where weights never moved: nothing else would show it."""
        if self._batches and not self._moves:
            log.warning("base: no batch of this epoch had a row of all %d groups, so their weights rest", self._count)
        self._batches = self._moves = 0
