"""Losses by group, and their mixture by weights.

Rows of no group (of users without an allowed label, of items outside the declared groups) are trained as ever: they
keep their share of the loss, at the mean of their own rows. Letters: B rows, G groups; group G is no group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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


def moved(weights: Tensor, gains: Tensor, rate: float) -> Tensor:
    """Exponentiated gradient on the simplex: w exp(η c) / Σ, and not below `SMALLEST`; (G,)."""
    logits = weights.log() + rate * gains
    return torch.softmax(logits, 0).clamp(min=SMALLEST)
